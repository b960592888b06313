//! ZooKeeper and the daemon killed, frozen, late: what was acknowledged is there, what was refused
//! is not, and the daemon comes back by itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::client::{Answer, Connection, Request};
use crate::support::daemon::{Daemon, PASSWORD, USER};
use crate::support::load::{Fate, Load};
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, seconds};

/// Fates that leave open whether the write was done.
const OPEN: [Fate; 2] = [Fate::Unknown, Fate::Unanswered];

/// Asks for switches until one succeeds.
async fn wait_until_switches_work(daemon: &Daemon, user: &str, coin: &str) {
    eventually("switches work", seconds(30), || async {
        daemon.switch(user, coin).await.success.then_some(())
    })
    .await;
}

#[tokio::test]
async fn without_zookeeper_the_daemon_serves_and_works_when_it_comes() {
    let mut zookeeper = ZooKeeper::absent().await;
    let mut daemon = Daemon::builder(&zookeeper).set("ZKRequestTimeoutSeconds", 2).start().await;
    for _ in 0..2 {
        let start = Instant::now();
        let (single, batch) = tokio::join!(
            daemon.switch("alice", "btc"),
            daemon.batch(r#"{"usercoins":[{"coin":"btc","punames":["bob","carol"]}]}"#),
        );
        assert_eq!(single, Answer::error(105, "read record failed"));
        assert_eq!(batch, Answer::error(105, "read record failed"));
        assert!(start.elapsed() < seconds(8), "answered after {:?}", start.elapsed());
    }
    // What needs no ZooKeeper is told all the same.
    assert_eq!(daemon.switch("a/b", "btc").await.err_no, 102);
    assert_eq!(daemon.send_as_is(&Request::switch("alice", "btc")).await.status, 401);
    assert!(daemon.is_alive());

    zookeeper.restart().await;
    wait_until_switches_work(&daemon, "dave", "btc").await;
    let znodes = zookeeper.znodes().await;
    for user in ["alice", "bob", "carol"] {
        let coin = znodes.get(&daemon.path(user)).await;
        assert_eq!(coin, None, "{user} was refused, so nothing may happen later");
    }
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let mut zookeeper = ZooKeeper::absent().await;
    let builder = Daemon::builder(&zookeeper).set("ZKQueueLimit", 100);
    let daemon = Arc::new(builder.set("ZKRequestTimeoutSeconds", 30).start().await);
    let start = Instant::now();
    // Only one of them fits: it waits, the others must not.
    let mut batches = JoinSet::new();
    for batch in 0..3 {
        let daemon = Arc::clone(&daemon);
        let names: Vec<String> = (0..60).map(|number| format!("b{batch}-{number}")).collect();
        let json = json!({"usercoins": [{"coin": "btc", "punames": names}]}).to_string();
        batches.spawn(async move { (batch, daemon.batch(json).await) });
    }
    for _ in 0..2 {
        let (_, answer) = batches.join_next().await.unwrap().unwrap();
        assert!([105, 107].contains(&answer.err_no), "{answer}");
    }
    assert!(start.elapsed() < seconds(15), "refused after {:?}", start.elapsed());

    zookeeper.restart().await;
    let (accepted, answer) = batches.join_next().await.unwrap().unwrap();
    assert_eq!(answer, Answer::success());
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success(), "there is room again");
    let directory = daemon.watch_dir().trim_end_matches('/');
    let children = zookeeper.znodes().await.children(directory).await;
    let of_the_accepted = format!("b{accepted}-");
    let (written, alice): (Vec<_>, Vec<_>) =
        children.iter().partition(|name| name.starts_with(&of_the_accepted));
    assert_eq!((written.len(), alice.len()), (60, 1), "what was refused left no trace");
}

#[tokio::test]
async fn a_long_absence_of_zookeeper_is_told_in_few_words() {
    let mut zookeeper = ZooKeeper::private().await;
    let daemon = Daemon::start(&zookeeper).await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    let before = daemon.log().len();
    zookeeper.kill9();
    // Held long enough for dozens of attempts to connect.
    tokio::time::sleep(seconds(8)).await;
    let lines = daemon.log().split_off(before);
    assert!(!lines.is_empty(), "the loss of ZooKeeper is told");
    assert!(lines.len() <= 10, "{} lines: {lines:#?}", lines.len());
    zookeeper.restart().await;
    wait_until_switches_work(&daemon, "alice", "bcc").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zookeeper_killed_and_restarted_under_load_loses_nothing_acknowledged() {
    let mut zookeeper = ZooKeeper::private().await;
    let daemon = Load::coins(Daemon::builder(&zookeeper)).start().await;
    let load = Load::start(&daemon, 16);
    for _ in 0..2 {
        load.wait_for_applied(500).await;
        zookeeper.kill9();
        // Held long enough for the daemon to notice and to try in vain.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        zookeeper.restart().await;
        load.wait_for_applied(500).await;
    }
    let history = load.finish().await;
    history.judge(&zookeeper.znodes().await, &OPEN).await;
    assert!(history.count(Fate::Applied) >= 2_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_zookeeper_brings_no_old_write_over_a_newer_one() {
    let zookeeper = ZooKeeper::private().await;
    let builder = Load::coins(Daemon::builder(&zookeeper))
        .set("ZKSessionTimeoutSeconds", 2)
        .set("ZKRequestTimeoutSeconds", 1);
    let daemon = builder.start().await;
    let load = Load::start(&daemon, 16);
    load.wait_for_applied(500).await;
    for freeze in [Duration::from_millis(1_500), seconds(5)] {
        zookeeper.stop();
        tokio::time::sleep(freeze).await;
        zookeeper.cont();
        load.wait_for_applied(500).await;
    }
    let history = load.finish().await;
    history.judge(&zookeeper.znodes().await, &OPEN).await;
}

#[tokio::test]
async fn a_write_of_unknown_outcome_is_no_success_and_is_told_by_name() {
    let zookeeper = ZooKeeper::private().await;
    let daemon = Daemon::builder(&zookeeper).set("ZKRequestTimeoutSeconds", 2).start().await;
    daemon.switch_twice("alice").await;
    zookeeper.stop();
    let start = Instant::now();
    let answer = daemon.switch("alice", "bcc").await;
    assert_eq!(answer, Answer::error(107, "write record failed"));
    assert!(start.elapsed() < seconds(10), "answered after {:?}", start.elapsed());
    daemon.wait_for_log(&["outcome unknown", "sub_account: alice", "new: bcc"]).await;
    zookeeper.cont();
    wait_until_switches_work(&daemon, "alice", "btc").await;
    let znodes = zookeeper.znodes().await;
    assert_eq!(znodes.get(&daemon.path("alice")).await.as_deref(), Some("btc"));
}

/// A paused server holds two things of ours in its buffers: the write that got no answer, and our
/// attempt to come back through it. Neither may do anything when it goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_server_of_an_ensemble_brings_no_old_write_over_a_newer_one() {
    let ensemble = ZooKeeper::ensemble().await;
    let [paused, other, leader] = &ensemble[..] else { panic!("three servers") };
    let brokers = json!([paused.address(), other.address()]);
    let mut daemons = Vec::new();
    // Chance decides who is with which server and who tries which first: many daemons, some rounds.
    for _ in 0..12 {
        daemons.push(Daemon::builder(paused).set("ZKBroker", brokers.clone()).start().await);
    }
    let switch_all = async |coin: &str| {
        let switches = daemons.iter().map(|daemon| daemon.switch("alice", coin));
        futures_util::future::join_all(switches).await
    };
    let mut unknown = 0;
    for _ in 0..3 {
        for daemon in &daemons {
            wait_until_switches_work(daemon, "alice", "btc").await;
        }
        paused.stop();
        let old = switch_all("bcc").await;
        unknown += old.iter().filter(|answer| answer.err_no == 107).count();
        let newer = switch_all("btc").await;
        paused.cont();
        // Time for the server to do what is in its buffers.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let znodes = leader.znodes().await;
        for (daemon, answer) in daemons.iter().zip(newer) {
            if answer.success {
                let coin = znodes.get(&daemon.path("alice")).await;
                assert_eq!(coin.as_deref(), Some("btc"), "{:#?}", daemon.log());
            }
        }
    }
    assert!(unknown > 0, "no daemon was with the paused server");
}

/// A restart in the middle of trouble: what the old daemon had sent must not come after what the new one
/// sends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_stopped_during_an_outage_ends_its_session_through_another_server() {
    let ensemble = ZooKeeper::ensemble().await;
    let [paused, other, leader] = &ensemble[..] else { panic!("three servers") };
    let brokers = json!([paused.address(), other.address()]);
    let mut daemons = Vec::new();
    for _ in 0..6 {
        let builder = Daemon::builder(paused).set("ZKBroker", brokers.clone());
        // Room to find another server, however long the attempt with the paused one takes.
        let daemon = builder.set("ShutdownGraceSeconds", 30).start().await;
        wait_until_switches_work(&daemon, "alice", "btc").await;
        daemons.push(daemon);
    }
    let session = |daemon: &Daemon| {
        let line = daemon.log_with(&["ZooKeeper session is up"]).pop().unwrap();
        line.split("session: ").nth(1).unwrap().split(',').next().unwrap().to_owned()
    };
    let before: Vec<String> = daemons.iter().map(session).collect();
    let living = leader.sessions().await;
    assert!(before.iter().all(|session| living.contains(session)), "{before:?} {living}");
    paused.stop();
    let switches = daemons.iter().map(|daemon| daemon.switch("alice", "bcc"));
    let answers = futures_util::future::join_all(switches).await;
    assert!(
        answers.iter().any(|answer| answer.err_no == 107),
        "no daemon was with the paused server"
    );
    for daemon in &daemons {
        daemon.signal(Signal::TERM);
    }
    for daemon in &mut daemons {
        assert_eq!(daemon.wait_exit(seconds(40)).await.code(), Some(0), "{:#?}", daemon.log());
        daemon.wait_for_log(&["ZooKeeper session closed"]).await;
    }
    paused.cont();
    let living = leader.sessions().await;
    assert!(before.iter().all(|session| !living.contains(session)), "{before:?} {living}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_killed_under_load_loses_nothing_acknowledged() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = Load::coins(Daemon::builder(zookeeper));
    let mut daemon = builder.start().await;
    let load = Load::start(&daemon, 16);
    load.wait_for_applied(1_000).await;
    daemon.kill9();
    let history = load.finish().await;
    history.judge(&zookeeper.znodes().await, &OPEN).await;

    let daemon = builder.start().await;
    assert_eq!(daemon.switch("w0-0", "c0").await, Answer::success(), "the next one works at once");
}

#[tokio::test]
async fn an_expired_session_is_followed_by_a_new_one() {
    let zookeeper = ZooKeeper::private().await;
    let builder = Daemon::builder(&zookeeper).set("ZKSessionTimeoutSeconds", 2);
    let mut daemon = builder.start().await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    let before = zookeeper.connected_sessions().await;
    assert_eq!(before.len(), 1, "{before:?}");

    daemon.signal(Signal::STOP);
    eventually("the session expires", seconds(20), || async {
        zookeeper.connected_sessions().await.is_empty().then_some(())
    })
    .await;
    let request = Request::switch("bob", "btc").credentials(USER, PASSWORD);
    let mut connection = daemon.connect().await;
    connection.write(&request.head_bytes()).await.unwrap();
    daemon.signal(Signal::CONT);

    let answer = connection.read_response().await.unwrap().answer();
    assert!([0, 105, 107].contains(&answer.err_no), "{answer}");
    wait_until_switches_work(&daemon, "alice", "bcc").await;
    assert!(daemon.is_alive());
    let after = zookeeper.connected_sessions().await;
    assert_eq!(after.len(), 1, "{after:?}");
    assert_ne!(before, after, "a new session");
    let znodes = zookeeper.znodes().await;
    assert_eq!(znodes.get(&daemon.path("alice")).await.as_deref(), Some("bcc"));
    if answer.success {
        assert_eq!(znodes.get(&daemon.path("bob")).await.as_deref(), Some("btc"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_znode_that_we_may_not_write_fails_only_its_own_callers() {
    const CLIENTS: usize = 32;
    const ROUNDS: usize = 30;
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    let znodes = zookeeper.znodes().await;
    eventually("the watch directory exists", seconds(10), || {
        znodes.stat(daemon.watch_dir().trim_end_matches('/'))
    })
    .await;
    znodes.put_read_only(&daemon.path("readonly"), "btc").await;
    znodes.put_forbidden(&daemon.path("forbidden"), "btc").await;

    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let address = daemon.base().to_owned();
        clients.spawn(async move {
            let mut connection = Connection::open(&address).await.unwrap();
            for round in 0..ROUNDS {
                // One in eight meets a znode that is closed to us; the others meet each other.
                let (user, allowed) = match (client + round) % 16 {
                    0 => ("readonly".to_owned(), &[107][..]),
                    8 => ("forbidden".to_owned(), &[105, 107][..]),
                    _ => (format!("user{}", (client + round) % 40), &[0][..]),
                };
                let request = Request::switch(&user, "bcc").credentials(USER, PASSWORD);
                let answer = connection.send(&request).await.unwrap().answer();
                assert!(allowed.contains(&answer.err_no), "{user}: {answer}");
            }
        });
    }
    clients.join_all().await;
    assert_eq!(znodes.get(&daemon.path("readonly")).await.as_deref(), Some("btc"));

    // A batch in which one may not be written says so, and does not hurt the next.
    let names: Vec<String> = (0..1_000).map(|number| format!("batch{number}")).collect();
    let groups = json!([
        {"coin": "bcc", "punames": names},
        {"coin": "bcc", "punames": ["readonly"]},
    ]);
    let answer = daemon.batch(json!({"usercoins": groups}).to_string()).await;
    assert_eq!(answer, Answer::error(107, "write record failed"));
    assert_eq!(daemon.switch("user1", "btc").await, Answer::success());
    daemon.wait_for_log(&["sub_account: readonly", "outcome: not applied"]).await;
}
