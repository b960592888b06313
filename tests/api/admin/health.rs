//! Whether the daemon is alive, and whether it is ready: through everything that can be missing.

use rustix::process::Signal;
use upstream_sim::{Gate, Reply, Upstream};

use super::Admin;
use crate::support::client::{Answer, Request};
use crate::support::daemon::{Builder, Daemon, PASSWORD, USER};
use crate::support::zookeeper::ZooKeeper;
use crate::support::{seconds, unique};

const NO_SESSION: &str = "no session with ZooKeeper\n";
const NOT_POLLED: &str = "the first poll of the user-coin map is not done\n";

#[tokio::test]
async fn readiness_follows_zookeeper_and_the_daemons_end() {
    let mut zookeeper = ZooKeeper::absent().await;
    let builder = Daemon::builder(&zookeeper).admin().set("ZKRequestTimeoutSeconds", 30);
    let mut daemon = builder.start().await;
    let admin = Admin::of(&daemon).await;
    assert_eq!(admin.readiness().await, (503, format!("not ready\n{NO_SESSION}")));
    zookeeper.restart().await;
    admin.wait_until(200, "ready\n").await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    zookeeper.kill9();
    admin.wait_until(503, NO_SESSION).await;
    zookeeper.restart().await;
    admin.wait_until(200, "ready\n").await;

    // A switch that ZooKeeper does not answer keeps the daemon draining.
    zookeeper.stop();
    let request = Request::switch("bob", "btc").credentials(USER, PASSWORD);
    let mut connection = daemon.connect().await;
    connection.write(&request.head_bytes()).await.unwrap();
    tokio::time::sleep(seconds(1) / 2).await;
    daemon.signal(Signal::TERM);
    admin.wait_until(503, "draining: the daemon is shutting down\n").await;
    assert_eq!(admin.send(&Request::get("/healthz")).await.status, 200);
    connection.read_response().await.unwrap();
    assert_eq!(daemon.wait_exit(seconds(12)).await.code(), Some(0), "{:#?}", daemon.log());
    zookeeper.cont();
}

#[tokio::test]
async fn a_session_that_cannot_be_ended_is_shown_as_gone() {
    let zookeeper = ZooKeeper::private().await;
    // Long enough that the connection is not given up for silence.
    let builder = Daemon::builder(&zookeeper).admin().set("ZKSessionTimeoutSeconds", 60);
    let mut daemon = builder.start().await;
    let admin = Admin::of(&daemon).await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    admin.wait_for("switcher_zookeeper_session_up", 1.0).await;
    zookeeper.stop();
    let request = Request::switch("alice", "bcc").credentials(USER, PASSWORD);
    let mut connection = daemon.connect().await;
    connection.write(&request.head_bytes()).await.unwrap();
    admin.wait_for("switcher_zookeeper_chunks_in_flight", 1.0).await;
    daemon.signal(Signal::TERM);
    admin.wait_for("switcher_zookeeper_session_up", 0.0).await;
    assert_eq!(daemon.wait_exit(seconds(12)).await.code(), Some(0), "{:#?}", daemon.log());
    daemon.wait_for_log(&["session could not be ended"]).await;
    assert!(daemon.log_with(&["connection lost"]).is_empty(), "{:#?}", daemon.log());
    zookeeper.cont();
}

#[tokio::test]
async fn a_process_that_answers_is_alive_whatever_is_missing() {
    let zookeeper = ZooKeeper::absent().await;
    let daemon = Daemon::builder(&zookeeper).admin().start().await;
    let admin = Admin::of(&daemon).await;
    let response = admin.send(&Request::get("/healthz")).await;
    assert_eq!((response.status, response.text()), (200, "ok\n".to_owned()));
    let response = admin.send(&Request::new("HEAD", "/readyz")).await;
    assert_eq!((response.status, response.body.len()), (503, 0));
}

/// Daemons that poll one upstream, by turns if they do.
fn polling(zookeeper: &ZooKeeper, upstream: &Upstream, lock: &str) -> Builder {
    Daemon::builder(zookeeper)
        .admin()
        .set("EnableCronJob", true)
        .set("CronIntervalSeconds", 1)
        .set("ZKPollerLockPath", lock)
        .set("UserCoinMapURL", format!("http://{}/map", upstream.address()))
}

#[tokio::test]
async fn a_daemon_that_polls_is_ready_once_a_first_map_is_settled() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream =
        Upstream::start(|_| Reply::map(&[("alice", "btc")], 1_513_239_055)).await.unwrap();
    let gate = Gate::default();
    upstream.next(Reply::status(500, "Internal Server Error", "text/plain", "no"));
    upstream.next(Reply::map(&[("alice", "btc")], 1_513_239_055).behind(&gate));
    let daemon = polling(zookeeper, &upstream, "").start().await;
    let admin = Admin::of(&daemon).await;
    daemon.wait_for_log(&["poll, outcome: failed"]).await;
    admin.wait_for("switcher_zookeeper_session_up", 1.0).await;
    assert_eq!(admin.readiness().await, (503, format!("not ready\n{NOT_POLLED}")));
    gate.open();
    admin.wait_until(200, "ready\n").await;
    // Once is enough: a backend that fails later is no reason to send the clients elsewhere.
    upstream.otherwise(|_| Reply::status(500, "Internal Server Error", "text/plain", "no"));
    daemon.wait_for_log(&["poll, outcome: failed", "next_last_date: 1513239055"]).await;
    assert_eq!(admin.readiness().await.0, 200);
}

#[tokio::test]
async fn what_zookeeper_refuses_for_good_keeps_nobody_from_being_ready() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream =
        Upstream::start(|_| Reply::map(&[("mallory", "btc")], 1_513_239_055)).await.unwrap();
    let watch_dir = format!("/t/{}/", unique("refused"));
    let znodes = zookeeper.znodes().await;
    znodes.put(watch_dir.trim_end_matches('/'), "").await;
    znodes.put_read_only(&format!("{watch_dir}mallory"), "bcc").await;
    let builder = polling(zookeeper, &upstream, "").set("ZKSwitcherWatchDir", watch_dir);
    let daemon = builder.start().await;
    daemon.wait_for_log(&["poll, outcome: incomplete"]).await;
    Admin::of(&daemon).await.wait_until(200, "ready\n").await;
}

#[tokio::test]
async fn a_daemon_that_stands_by_is_ready_though_it_has_pulled_nothing() {
    let zookeeper = ZooKeeper::shared().await;
    let lock = format!("/t/{}/poller", unique("standby"));
    let upstream = Upstream::start(|_| Reply::map(&[], 1_513_239_055)).await.unwrap();
    let first = polling(zookeeper, &upstream, &lock).start().await;
    Admin::of(&first).await.wait_until(200, "ready\n").await;
    // Another upstream, which never answers.
    let silent = Upstream::start(|_| Reply::silence()).await.unwrap();
    let second = polling(zookeeper, &silent, &lock).start().await;
    let admin = Admin::of(&second).await;
    admin.wait_until(200, "ready\n").await;
    assert_eq!(silent.requests().len(), 0);
    let samples = admin.samples().await;
    assert!(samples.value(r#"switcher_polls_total{outcome="standby"}"#) >= 1.0);
    assert_eq!(samples.value("switcher_poll_duration_seconds_count"), 0.0);
}
