//! SIGHUP at inconvenient moments.

use std::io::Write;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;
use serde_json::json;

use super::{APPLIED, applied, patient};
use crate::admin::Admin;
use crate::support::client::{Answer, Request};
use crate::support::daemon::{PASSWORD, USER};
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, seconds};

/// Whether a process has a handler for SIGHUP, signal 1.
fn heeds_hang_up(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    caught.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask & 1 == 1))
}

/// The configuration is a pipe, so reading blocks until the test writes to it.
#[tokio::test]
async fn before_the_configuration_is_read_it_is_kept_for_later_and_no_reading_delays_the_end() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = patient(zookeeper);
    let file = builder.write_config();
    let text = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    mknodat(CWD, &file, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let (mut process, log) = builder.spawn(&["--config".into(), file.clone().into()]);
    eventually("a handler for SIGHUP", seconds(30), || async {
        heeds_hang_up(process.pid()).then_some(())
    })
    .await;
    process.signal(Signal::HUP);
    let writer = tokio::task::spawn_blocking(move || {
        let mut pipe = std::fs::File::options().write(true).open(file).unwrap();
        pipe.write_all(&text).unwrap();
    });
    eventually("the daemon listens", seconds(30), || {
        assert!(process.try_wait().is_none(), "it has ended: {:#?}", log.lines());
        let line = log.lines_with(&["listening"]).into_iter().next();
        async { line }
    })
    .await;
    writer.await.unwrap();
    // The daemon reads again, and the test does not write.
    process.signal(Signal::TERM);
    assert_eq!(process.wait(seconds(30)).await.code(), Some(0), "{:#?}", log.lines());
}

#[tokio::test]
async fn while_zookeeper_is_away_it_is_heeded() {
    let mut zookeeper = ZooKeeper::absent().await;
    let builder = patient(&zookeeper).set("ZKRequestTimeoutSeconds", 1);
    let daemon = builder.start().await;
    assert_eq!(daemon.switch("alice", "ltc").await.err_no, 104);
    let with = builder.clone().set("AvailableCoins", json!(["ltc"]));
    applied(&daemon, &with).await;
    assert_eq!(daemon.switch("alice", "ltc").await.err_no, 105);
    zookeeper.restart().await;
    eventually("a switch", seconds(60), || async {
        (daemon.switch("alice", "ltc").await == Answer::success()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn while_the_daemon_ends_it_is_ignored_and_logged() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = patient(zookeeper).admin();
    let mut daemon = builder.start().await;
    let admin = Admin::of(&daemon).await;
    admin.wait_until(200, "ready").await;
    // The rest of the body never comes, which delays the exit by some seconds.
    let mut client = daemon.connect().await;
    let request = Request::batch("{}").credentials(USER, PASSWORD);
    client.write(&request.head_bytes()).await.unwrap();
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    daemon.signal(Signal::TERM);
    daemon.wait_for_log(&["stopping"]).await;
    builder.set("AvailableCoins", json!(["ltc"])).write_config();
    daemon.signal(Signal::HUP);
    daemon.wait_for_log(&["SIGHUP is ignored"]).await;
    assert!(daemon.log_with(&[APPLIED]).is_empty());
    assert_eq!(daemon.wait_exit(seconds(30)).await.code(), Some(0));
}

#[tokio::test]
async fn the_grace_period_is_that_of_the_last_reload() {
    let zookeeper = ZooKeeper::private().await;
    let builder = patient(&zookeeper)
        .set("ZKSessionTimeoutSeconds", 60)
        .set("ZKRequestTimeoutSeconds", 300)
        .set("ShutdownGraceSeconds", 300);
    let mut daemon = builder.start().await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    applied(&daemon, &builder.set("ShutdownGraceSeconds", 2)).await;
    zookeeper.stop();
    let mut under_way = daemon.connect().await;
    let request = Request::switch("alice", "bcc").credentials(USER, PASSWORD);
    under_way.write(&request.head_bytes()).await.unwrap();
    daemon.signal(Signal::TERM);
    daemon.wait_for_log(&["stopping"]).await;
    assert_eq!(daemon.wait_exit(seconds(60)).await.code(), Some(0));
    zookeeper.cont();
}
