//! Start and end: the daemon makes what it needs, and leaves nobody without an answer.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::support::client::{Answer, Request};
use crate::support::daemon::{Daemon, PASSWORD, USER};
use crate::support::load::Load;
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, free_port, seconds, unique};

/// The grace period (8 s by default), and what a busy machine may add.
const GRACE: Duration = seconds(10);

#[tokio::test]
async fn the_watch_directory_is_created_with_its_parents_by_whoever_comes_first() {
    let zookeeper = ZooKeeper::shared().await;
    let directory = format!("/t/{}/a/b/c", unique("deep"));
    let builders: Vec<_> = (0..4)
        .map(|number| {
            // Half of them name it without its slash.
            let slash = if number % 2 == 0 { "/" } else { "" };
            Daemon::builder(zookeeper).set("ZKSwitcherWatchDir", format!("{directory}{slash}"))
        })
        .collect();
    let (first, second, third, fourth) = tokio::join!(
        builders[0].start(),
        builders[1].start(),
        builders[2].start(),
        builders[3].start(),
    );
    let znodes = zookeeper.znodes().await;
    eventually("the watch directory exists", seconds(10), || znodes.stat(&directory)).await;
    for (number, daemon) in [&first, &second, &third, &fourth].into_iter().enumerate() {
        let user = format!("user{number}");
        assert_eq!(daemon.switch(&user, "btc").await, Answer::success());
        let coin = znodes.get(&format!("{directory}/{user}")).await;
        assert_eq!(coin.as_deref(), Some("btc"), "{user}");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_and_ends_the_daemon() {
    let zookeeper = ZooKeeper::shared().await;
    let address = format!("127.0.0.1:{}", free_port());
    let _holder = std::net::TcpListener::bind(&address).unwrap();
    let builder = Daemon::builder(zookeeper).set("ListenAddr", address.clone());
    let finished = builder.refuse_to_start().await;
    assert!(finished.code.is_some_and(|code| code != 0), "{finished:?}");
    finished.assert_stderr_names(&[&address]);
}

#[tokio::test]
async fn sigterm_and_sigint_end_the_daemon_with_status_0() {
    let zookeeper = ZooKeeper::shared().await;
    for signal in [Signal::TERM, Signal::INT] {
        let mut daemon = Daemon::start(zookeeper).await;
        assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
        daemon.signal(signal);
        let status = daemon.wait_exit(GRACE).await;
        assert_eq!(status.code(), Some(0), "{signal:?}: {:#?}", daemon.log());
    }
}

#[tokio::test]
async fn sigterm_closes_the_session_instead_of_letting_it_expire() {
    let zookeeper = ZooKeeper::private().await;
    let builder = Daemon::builder(&zookeeper).set("ZKSessionTimeoutSeconds", 30);
    let mut daemon = builder.start().await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    let session = zookeeper.connected_sessions().await.pop().expect("the daemon has a session");
    assert!(zookeeper.sessions().await.contains(&session));
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait_exit(GRACE).await.code(), Some(0));
    eventually("the session is gone", seconds(5), || async {
        (!zookeeper.sessions().await.contains(&session)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn sigterm_does_not_wait_for_connections_that_ask_nothing() {
    let zookeeper = ZooKeeper::shared().await;
    let mut daemon = Daemon::start(zookeeper).await;
    let request = Request::switch("alice", "btc").credentials(USER, PASSWORD);
    let mut idle = daemon.connect().await;
    assert_eq!(idle.send(&request).await.unwrap().answer(), Answer::success());
    let _silent = daemon.connect().await;
    let mut half = daemon.connect().await;
    half.write(&request.head_bytes()[..20]).await.unwrap();
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait_exit(GRACE).await.code(), Some(0), "{:#?}", daemon.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_answers_all_that_it_applies() {
    let zookeeper = ZooKeeper::shared().await;
    let mut daemon = Load::coins(Daemon::builder(zookeeper)).start().await;
    let load = Load::start(&daemon, 16);
    load.wait_for_applied(1_000).await;
    daemon.signal(Signal::TERM);
    let status = daemon.wait_exit(GRACE).await;
    assert_eq!(status.code(), Some(0), "{:#?}", daemon.log().last());

    let history = load.finish().await;
    // A request that crossed the end in the wire may go without an answer, but then it must not
    // have been done either.
    history.judge(&zookeeper.znodes().await, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_lets_a_batch_in_flight_finish() {
    const NAMES: i32 = 20_000;
    let zookeeper = ZooKeeper::shared().await;
    let mut daemon = Daemon::start(zookeeper).await;
    let znodes = zookeeper.znodes().await;
    let names: Vec<String> = (0..NAMES).map(|number| format!("user{number}")).collect();
    let json = json!({"usercoins": [{"coin": "btc", "punames": names}]}).to_string();
    let request = Request::batch(json).credentials(USER, PASSWORD);
    let mut connection = daemon.connect().await;
    let answer = tokio::spawn(async move { connection.send(&request).await });

    let directory = daemon.watch_dir().trim_end_matches('/').to_owned();
    eventually("the batch has begun", seconds(30), || async {
        znodes.stat(&directory).await.filter(|stat| stat.num_children > 0)
    })
    .await;
    daemon.signal(Signal::TERM);
    assert_eq!(answer.await.unwrap().unwrap().answer(), Answer::success());
    assert_eq!(daemon.wait_exit(GRACE).await.code(), Some(0), "{:#?}", daemon.log().last());
    assert_eq!(znodes.stat(&directory).await.unwrap().num_children, NAMES);
}

#[tokio::test]
async fn sigterm_while_zookeeper_is_away_answers_and_ends_within_the_grace_period() {
    let mut zookeeper = ZooKeeper::private().await;
    let mut daemon = Daemon::start(&zookeeper).await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    zookeeper.kill9();
    let request = Request::switch("bob", "btc").credentials(USER, PASSWORD);
    let mut connection = daemon.connect().await;
    connection.write(&request.head_bytes()).await.unwrap();
    // Held open until the daemon has surely taken the request.
    tokio::time::sleep(Duration::from_millis(500)).await;
    daemon.signal(Signal::TERM);
    let answer = connection.read_response().await.unwrap().answer();
    assert!([105, 107].contains(&answer.err_no), "{answer}");
    assert_eq!(daemon.wait_exit(GRACE).await.code(), Some(0), "{:#?}", daemon.log());
}

#[tokio::test]
async fn sigterm_ends_a_daemon_that_never_found_zookeeper() {
    let zookeeper = ZooKeeper::absent().await;
    let mut daemon = Daemon::start(&zookeeper).await;
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait_exit(GRACE).await.code(), Some(0), "{:#?}", daemon.log());
}

#[tokio::test]
async fn a_second_sigterm_ends_at_once() {
    let zookeeper = ZooKeeper::private().await;
    let builder = Daemon::builder(&zookeeper)
        .set("ZKRequestTimeoutSeconds", 30)
        .set("ZKSessionTimeoutSeconds", 30)
        .set("ShutdownGraceSeconds", 30);
    let mut daemon = builder.start().await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    // A switch that ZooKeeper does not answer keeps the daemon draining.
    zookeeper.stop();
    let request = Request::switch("bob", "btc").credentials(USER, PASSWORD);
    let mut connection = daemon.connect().await;
    connection.write(&request.head_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    daemon.signal(Signal::TERM);
    // It has taken the first signal when it takes no more connections. Two that arrive together
    // would count as one.
    let address = daemon.base().to_owned();
    eventually("no more connections are taken", seconds(10), || async {
        tokio::net::TcpStream::connect(&address).await.err()
    })
    .await;
    assert!(daemon.is_alive(), "it drains: {:#?}", daemon.log());
    let start = Instant::now();
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait_exit(seconds(5)).await.code(), Some(70));
    assert!(start.elapsed() < seconds(5));
    daemon.wait_for_log(&["second signal (SIGTERM)"]).await;
    zookeeper.cont();
}

#[tokio::test]
async fn a_client_that_never_ends_its_request_leaves_the_writer_time_to_end_in_order() {
    let zookeeper = ZooKeeper::shared().await;
    let mut daemon = Daemon::builder(zookeeper).set("ShutdownGraceSeconds", 4).start().await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    let request = Request::batch("{}").header("Content-Length", "100").credentials(USER, PASSWORD);
    let mut slow = daemon.connect().await;
    slow.write(&request.head_bytes()).await.unwrap();
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait_exit(seconds(8)).await.code(), Some(0), "{:#?}", daemon.log());
    daemon.wait_for_log(&["ZooKeeper session closed"]).await;
}

#[tokio::test]
async fn what_zookeeper_does_not_answer_is_told_and_logged_before_the_grace_period_ends() {
    let zookeeper = ZooKeeper::private().await;
    let builder = Daemon::builder(&zookeeper)
        .set("ZKRequestTimeoutSeconds", 30)
        .set("ZKSessionTimeoutSeconds", 30)
        .set("ShutdownGraceSeconds", 4);
    let mut daemon = builder.start().await;
    daemon.switch_twice("alice").await;
    zookeeper.stop();
    let request = Request::switch("alice", "bcc").credentials(USER, PASSWORD);
    let mut connection = daemon.connect().await;
    connection.write(&request.head_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    daemon.signal(Signal::TERM);
    let answer = connection.read_response().await.unwrap().answer();
    assert_eq!(answer.err_no, 107, "{answer}");
    assert_eq!(daemon.wait_exit(seconds(8)).await.code(), Some(0), "{:#?}", daemon.log());
    daemon.wait_for_log(&["outcome unknown", "sub_account: alice", "new: bcc"]).await;
    zookeeper.cont();
}
