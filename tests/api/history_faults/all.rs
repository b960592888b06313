//! `HistorySync: all`: no success without a record on the disk.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::support::daemon::{PASSWORD, USER};
use crate::support::load::{self, Fate};

fn syncing(zookeeper: &ZooKeeper) -> (Builder, PathBuf) {
    let (builder, file) = recording(zookeeper);
    (builder.set("HistorySync", "all"), file)
}

#[tokio::test]
async fn a_switch_that_cannot_be_recorded_is_no_success_and_then_none_is_written() {
    let zookeeper = ZooKeeper::shared().await;
    let znodes = zookeeper.znodes().await;
    let (builder, file) = syncing(zookeeper);
    let daemon = builder.start().await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    let lock = Lock::of(&file).await;
    assert_eq!(daemon.switch("alice", "bcc").await.err_no, 107);
    assert_eq!(znodes.get(&daemon.path("alice")).await.as_deref(), Some("bcc"));
    daemon.wait_for_log(&["written to ZooKeeper, but not recorded: database is locked"]).await;
    daemon.wait_for_log(&["ERRO", "changes cannot be recorded in the history"]).await;
    for name in ["bob", "carol"] {
        assert_eq!(daemon.switch(name, "btc").await.err_no, 105);
        assert_eq!(daemon.batch(batch(name, 10, "btc")).await.err_no, 105);
    }
    for name in ["bob", "carol", "bob0"] {
        assert_eq!(znodes.get(&daemon.path(name)).await, None);
    }
    daemon.wait_for_log(&["the switches cannot be recorded: database is locked"]).await;
    lock.release();
    eventually("switches are admitted again", seconds(PATIENCE), || async {
        (daemon.switch("dave", "btc").await == Answer::success()).then_some(())
    })
    .await;
    daemon.wait_for_log(&["changes are recorded in the history again"]).await;
    let found = recorded(&file);
    let expected = [("alice", "btc"), ("alice", "bcc"), ("dave", "btc")]
        .map(|it| (it.0, it.1, Outcome::Applied));
    assert_eq!(switches(&found), expected);
}

#[tokio::test]
async fn kill_9_after_an_answer_loses_no_record() {
    let zookeeper = ZooKeeper::shared().await;
    let (builder, file) = syncing(zookeeper);
    let mut expected = Vec::new();
    for round in 0..4 {
        let mut daemon = builder.start().await;
        let name = format!("user{round}");
        if round % 2 == 0 {
            assert_eq!(daemon.switch(&name, "btc").await, Answer::success());
            expected.push(name);
        } else {
            assert_eq!(daemon.batch(batch(&name, 700, "btc")).await, Answer::success());
            expected.extend((0..700).map(|n| format!("{name}{n}")));
        }
        daemon.kill9();
        let found = recorded(&file);
        let names: BTreeSet<_> = found.iter().map(|row| switch(row).sub_account.clone()).collect();
        assert_eq!((names, found.len()), (expected.iter().cloned().collect(), expected.len()));
        assert!(found.iter().all(|row| row.outcome == Outcome::Applied));
    }
}

/// Many callers share a sync, and each success is in the file by then.
#[tokio::test]
async fn kill_9_under_load_loses_no_record_of_an_answer() {
    let zookeeper = ZooKeeper::shared().await;
    let (builder, file) = syncing(zookeeper);
    let mut daemon = builder.start().await;
    let clients: Vec<_> = (0..16)
        .map(|client| {
            let mut kept = None;
            let address = daemon.base().to_owned();
            tokio::spawn(async move {
                let mut applied = Vec::new();
                for number in 0.. {
                    let name = format!("user-{client}-{number}");
                    let request = Request::switch(&name, "btc").credentials(USER, PASSWORD);
                    match load::switch(&mut kept, &address, &request).await {
                        Ok(Fate::Applied) => applied.push(name),
                        _ => return applied,
                    }
                }
                applied
            })
        })
        .collect();
    records_at_least(&file, 300).await;
    // From here on the disk takes nothing, so there is no success either.
    let lock = Lock::of(&file).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    daemon.kill9();
    lock.release();
    let found = recorded(&file);
    let names: BTreeSet<_> = found.iter().map(|row| switch(row).sub_account.as_str()).collect();
    for client in clients {
        for name in client.await.unwrap() {
            assert!(names.contains(name.as_str()), "{name} was answered and is not recorded");
        }
    }
}

async fn records_at_least(file: &Path, count: usize) {
    eventually(&format!("{count} records"), seconds(PATIENCE), || async {
        (recorded(file).len() >= count).then_some(())
    })
    .await;
}
