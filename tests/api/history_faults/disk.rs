//! A disk that takes nothing for a while, or is full or read-only, with `HistorySync: updates`: switches never wait.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use switcher_history::Old;

use super::*;
use crate::support::daemon::program;
use crate::support::load::{Fate, Load};
use crate::support::untested;

/// Changes that wait at most.
const WAITING: f64 = 100_000.0;

#[tokio::test]
async fn a_blocked_disk_holds_no_switch_up_and_loses_nothing() {
    let zookeeper = ZooKeeper::shared().await;
    let (builder, file) = recording(zookeeper);
    let daemon = Load::coins(builder).start().await;
    let admin = Admin::of(&daemon).await;
    let load = Load::start(&daemon, 4);
    load.wait_for_applied(100).await;
    let lock = Lock::of(&file).await;
    load.wait_for_applied(200).await;
    daemon.wait_for_log(&["ERRO", "changes cannot be recorded", "database is locked"]).await;
    load.wait_for_applied(200).await;
    let samples = admin.samples().await;
    let value = |name: &str| samples.value(&format!("switcher_history_{name}"));
    assert!(value("waiting") >= 200.0 && value("lag_seconds") >= 4.0, "{samples:#?}");
    assert_eq!(value("failing"), 1.0);
    lock.release();
    load.wait_for_applied(100).await;
    let answers = load.finish().await;
    settled(&admin).await;
    answers.judge(&zookeeper.znodes().await, &[]).await;
    let found = records(&file, answers.count(Fate::Applied)).await;
    assert_eq!(admin.samples().await.value("switcher_history_dropped_total"), 0.0);
    // In the order of the writes: each begins where the one before has ended.
    let mut last = BTreeMap::new();
    for row in &found {
        let Switch { sub_account, old, new, .. } = switch(row);
        let before = last.insert(sub_account, new.clone().unwrap());
        assert_eq!(*old, before.map_or(Old::Absent, Old::Value), "{row:?}");
    }
    daemon.wait_for_log(&["changes are recorded in the history again"]).await;
}

#[tokio::test]
async fn what_a_full_queue_drops_is_counted() {
    const BATCH: usize = 20_000;
    let zookeeper = ZooKeeper::shared().await;
    let (builder, file) = recording(zookeeper);
    let daemon = builder.start().await;
    let admin = Admin::of(&daemon).await;
    assert_eq!(daemon.batch(batch("user", BATCH, "btc")).await, Answer::success());
    settled(&admin).await;
    let lock = Lock::of(&file).await;
    for round in 0..6 {
        let coin = if round % 2 == 0 { "bcc" } else { "btc" };
        assert_eq!(daemon.batch(batch("user", BATCH, coin)).await, Answer::success());
    }
    daemon.wait_for_log(&["ERRO", "changes dropped from the history"]).await;
    let dropped = eventually("all are waiting or dropped", seconds(PATIENCE), || async {
        let samples = admin.samples().await;
        let waiting = samples.value("switcher_history_waiting");
        let dropped = samples.value("switcher_history_dropped_total");
        assert!(waiting <= WAITING, "{waiting}");
        (waiting + dropped == 6.0 * BATCH as f64).then_some(dropped)
    })
    .await;
    assert!((BATCH as f64..BATCH as f64 + 2_000.0).contains(&dropped), "{dropped}");
    lock.release();
    settled(&admin).await;
    assert_eq!(daemon.switch("last", "btc").await, Answer::success());
    let kept = 7 * BATCH + 1 - dropped as usize;
    let found = records(&file, kept).await;
    assert_eq!(switches(&found).last(), Some(&("last", "btc", Outcome::Applied)));
    assert_eq!(admin.samples().await.value("switcher_history_dropped_total"), dropped);
    admin.wait_for("switcher_history_records", kept as f64).await;
}

/// A daemon that has a small disk of its own for its history, mounted with these options. `None` if the kernel allows
/// no such mounts.
fn on_own_disk(zookeeper: &ZooKeeper, options: &str) -> Option<(Builder, PathBuf)> {
    let is_allowed = Command::new("unshare").args(["-Urm", "true"]).status();
    if !is_allowed.is_ok_and(|status| status.success()) {
        untested("full disk: `unshare -Urm` is refused here");
        return None;
    }
    let builder = Daemon::builder(zookeeper).admin();
    let disk = builder.folder().join("disk");
    fs::create_dir(&disk).unwrap();
    let script = builder.folder().join("daemon");
    let text = format!(
        "#!/bin/sh\nexec unshare -Urm sh -c 'mount -t tmpfs -o {options} none \"$0\" && exec \"$@\"' {} {} \"$@\"\n",
        disk.display(),
        program()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let file = disk.join("history.db");
    Some((builder.program(&script).set("HistoryFile", file.to_str().unwrap()), file))
}

#[tokio::test]
async fn a_full_disk_loses_nothing_of_a_moment() {
    let zookeeper = ZooKeeper::shared().await;
    let Some((builder, file)) = on_own_disk(zookeeper, "size=4m") else { return };
    let daemon = builder.set("ZKSubPoolUpdateBaseDir", "/t/full-disk/").start().await;
    let admin = Admin::of(&daemon).await;
    let ballast = file.with_file_name("ballast");
    let ballast = format!("/proc/{}/root{}", daemon.pid(), ballast.display());
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    let body =
        json!({"coin": "btc", "subpool_name": "none", "payout_addr": "a", "coinbase_info": "b"});
    let update = Request::post("/subpool/update-coinbase").body(body.to_string());
    assert_eq!(daemon.send(update.clone()).await.answer().err_no, 404);

    let mut filling = fs::File::create(&ballast).unwrap();
    while filling.write_all(&[1; 4096]).is_ok() {}
    let mut batches = 0;
    eventually("the disk is full", seconds(PATIENCE), || {
        batches += 1;
        let coin = if batches % 2 == 0 { "btc" } else { "bcc" };
        let (daemon, admin) = (&daemon, &admin);
        async move {
            assert_eq!(daemon.batch(batch("user", 500, coin)).await, Answer::success());
            let failing = admin.samples().await.value("switcher_history_failing");
            (failing == 1.0).then_some(())
        }
    })
    .await;
    let refused = "the change cannot be recorded: database or disk is full; nothing was written";
    assert_eq!(daemon.send(update.clone()).await.answer(), Answer::error(500, refused));
    daemon.wait_for_log(&["ERRO", "changes cannot be recorded", "disk is full"]).await;

    fs::remove_file(&ballast).unwrap();
    drop(filling);
    settled(&admin).await;
    daemon.wait_for_log(&["changes are recorded in the history again"]).await;
    assert_eq!(daemon.send(update).await.answer().err_no, 404);
    let found = pages(&admin).await;
    let (updates, switches): (Vec<_>, Vec<_>) = found.iter().partition(|it| it["kind"] == "update");
    let causes: Vec<_> = updates.iter().map(|row| row["cause"].as_str().unwrap()).collect();
    let missing = "there is no request znode";
    assert_eq!(causes, [missing, refused.trim_end_matches("; nothing was written"), missing]);
    assert_eq!(switches.len(), 1 + batches * 500);
    // In the order of the batches.
    for (number, row) in switches[1..].iter().enumerate() {
        assert_eq!(row["sub_account"], format!("user{}", number % 500));
        assert_eq!(row["outcome"], "applied");
    }
}

#[tokio::test]
async fn on_a_read_only_file_system_the_daemon_does_not_start() {
    let zookeeper = ZooKeeper::shared().await;
    let Some((builder, _)) = on_own_disk(zookeeper, "ro") else { return };
    let text = refused(&builder).await;
    assert!(text.contains("HistoryFile") && text.contains("Read-only file system"), "{text}");
}
