//! Changes as they come, for clients that read and for those that do not.

use std::time::Instant;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::events::{Event, Events};
use super::{Admin, without_time};
use crate::support::client::Answer;
use crate::support::daemon::Daemon;
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, seconds};

async fn batch(daemon: &Daemon, count: usize, coin: &str) {
    let names: Vec<String> = (0..count).map(|n| format!("user{n}")).collect();
    let batch = json!({"usercoins": [{"coin": coin, "punames": names}]}).to_string();
    assert_eq!(daemon.batch(batch).await, Answer::success());
}

#[tokio::test]
async fn each_change_is_told_as_it_is_settled() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let admin = Admin::of(&daemon).await;
    assert_eq!(daemon.switch("before", "btc").await, Answer::success());
    admin.recent(1).await;
    let mut events = Events::open(&admin).await;
    assert_eq!(events.status, 200);
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    let first = events.change().await;
    assert_eq!((&first["sub_account"], &first["number"]), (&json!("alice"), &json!(2)));
    let znodes = zookeeper.znodes().await;
    znodes.put_forbidden(&daemon.path("mallory"), "btc").await;
    assert_eq!(daemon.switch("mallory", "bcc").await.err_no, 107);
    let failed = events.change().await;
    assert_eq!(
        (&failed["sub_account"], &failed["outcome"]),
        (&json!("mallory"), &json!("not applied"))
    );
    // The page shows the same.
    let shown = admin.recent(3).await;
    assert_eq!([&shown[1], &shown[2]], [&first, &failed]);
    without_time(&first);
}

#[tokio::test]
async fn a_client_that_comes_back_goes_on_where_it_was() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let admin = Admin::of(&daemon).await;
    let mut events = Events::open(&admin).await;
    assert_eq!(daemon.switch("a", "btc").await, Answer::success());
    assert_eq!(events.change().await["sub_account"], "a");
    let id = events.last_id.take().expect("an id");
    drop(events);
    for user in ["b", "c"] {
        assert_eq!(daemon.switch(user, "btc").await, Answer::success());
    }
    admin.recent(3).await;
    let mut events = Events::resume(&admin, Some(&id)).await;
    assert_eq!(events.change().await["sub_account"], "b");
    assert_eq!(events.change().await["sub_account"], "c");
}

/// Numbers begin anew with each process: what one of them gave says nothing of what another one's client has seen.
#[tokio::test]
async fn a_client_of_the_daemon_before_a_restart_is_given_all_that_is_kept() {
    let zookeeper = ZooKeeper::shared().await;
    let before = Daemon::builder(zookeeper).admin().start().await;
    let admin = Admin::of(&before).await;
    let mut events = Events::open(&admin).await;
    assert_eq!(before.switch("a", "btc").await, Answer::success());
    assert_eq!(events.change().await["sub_account"], "a");
    let id = events.last_id.take().expect("an id");
    drop((events, before));

    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let admin = Admin::of(&daemon).await;
    for user in ["b", "c"] {
        assert_eq!(daemon.switch(user, "btc").await, Answer::success());
    }
    admin.recent(2).await;
    for id in [&*id, "1", "nonsense"] {
        let mut events = Events::resume(&admin, Some(id)).await;
        assert_eq!(events.change().await["sub_account"], "b", "{id}");
        assert_eq!(events.change().await["sub_account"], "c", "{id}");
    }
}

#[tokio::test]
async fn whoever_is_too_slow_learns_how_many_changes_it_has_missed() {
    const BATCH: usize = 20_000;
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let admin = Admin::of(&daemon).await;
    let mut events = Events::open(&admin).await;
    batch(&daemon, BATCH, "btc").await;
    let (mut missed, mut seen, mut last) = (0, 0, 0);
    while last < BATCH as u64 {
        match events.next().await {
            Event::Missed(count) => (missed, last) = (missed + count, last + count),
            Event::Change(change) => {
                seen += 1;
                last += 1;
                assert_eq!(change["number"].as_u64(), Some(last));
            }
            Event::Comment(comment) => panic!("{comment}"),
        }
    }
    // Twenty times as many as are kept: no client is fast enough for that.
    assert!(missed > 0 && seen >= 1_000, "{missed} missed, {seen} seen");
    assert_eq!(missed + seen, BATCH as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_nobody_reads_hold_up_nobody() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let admin = Admin::of(&daemon).await;
    batch(&daemon, 20_000, "btc").await;
    eventually("all of the batch is among the changes", seconds(20), || async {
        (admin.recent(1).await.last()?["number"] == 20_000).then_some(())
    })
    .await;
    let memory = daemon.peak_megabytes();
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(Events::open(&admin).await);
    }
    // No more than so many, which costs the others nothing.
    let ninth = admin.get("/recent/stream").await;
    assert_eq!(ninth.status, 503, "{ninth:?}");
    assert!(ninth.text().contains("8 streams are open already"), "{ninth:?}");
    let until = Instant::now() + seconds(5);
    let mut batches = 0;
    while Instant::now() < until {
        batch(&daemon, 20_000, if batches % 2 == 0 { "bcc" } else { "btc" }).await;
        assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
        batches += 1;
    }
    assert_eq!(admin.samples().await.value("switcher_log_lines_dropped_total"), 0.0);
    assert!(
        daemon.peak_megabytes() <= memory + 20,
        "{memory} MB became {}",
        daemon.peak_megabytes()
    );
    // They are told what they have missed, and the rest in order.
    let mut stream = streams.pop().unwrap();
    let mut last = 20_000;
    let all = (batches + 1) * 20_000 + batches;
    while last < all {
        match stream.next().await {
            Event::Missed(count) => last += count,
            Event::Change(change) => {
                let number = change["number"].as_u64().unwrap();
                assert_eq!(number, last + 1);
                last = number;
            }
            Event::Comment(comment) => panic!("{comment}"),
        }
    }
    drop((streams, stream));
    eventually("there is room for another", seconds(30), || async {
        // Whether a client is there shows when something is sent to it.
        assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
        (Events::open(&admin).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_has_nothing_to_tell_shows_that_it_lives() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let admin = Admin::of(&daemon).await;
    let mut events = Events::open(&admin).await;
    let comment = |text: &str| Some(Event::Comment(text.to_owned()));
    assert_eq!(events.next_of_all(seconds(5)).await, comment("changes follow"));
    assert_eq!(events.next_of_all(seconds(20)).await, comment("heartbeat"));
    assert_eq!(events.next_of_all(seconds(20)).await, comment("heartbeat"));
}

#[tokio::test]
async fn an_open_stream_does_not_hold_up_the_end() {
    let zookeeper = ZooKeeper::shared().await;
    let mut daemon = Daemon::builder(zookeeper).admin().start().await;
    let admin = Admin::of(&daemon).await;
    let mut events = Events::open(&admin).await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    let change: Value = events.change().await;
    assert_eq!(change["sub_account"], "alice");
    let start = Instant::now();
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait_exit(seconds(10)).await.code(), Some(0), "{:#?}", daemon.log());
    assert!(start.elapsed() < seconds(6), "{:?}", start.elapsed());
    assert!(events.ends().await);
    assert!(daemon.log_with(&["grace period is over"]).is_empty());
}
