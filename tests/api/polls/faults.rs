//! ZooKeeper away, ZooKeeper refusing, and the daemon's end, in the middle of a poll.

use rustix::process::Signal;
use upstream_sim::{Gate, Reply, Upstream};

use super::{asked, assert_line, now, polling, polls, requests, upstream};
use crate::support::client::Answer;
use crate::support::{eventually, seconds, zookeeper::ZooKeeper};

const SECOND: i64 = 1_700_000_000;
const MANY: usize = 60_000;

#[tokio::test]
async fn the_first_fetch_waits_for_zookeeper_and_not_for_the_interval() {
    let mut zookeeper = ZooKeeper::absent().await;
    let upstream = Upstream::start(|_| Reply::map(&[("alice", "btc")], now())).await.unwrap();
    let daemon = polling(&zookeeper, &upstream).set("CronIntervalSeconds", 3600).start().await;
    daemon.wait_for_log(&["no ZooKeeper session"]).await;
    tokio::time::sleep(seconds(1)).await;
    assert!(upstream.requests().is_empty());
    zookeeper.restart().await;
    assert_line(&polls(&daemon, 1).await[0], &["outcome: complete", "written: 1"]);
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn entries_that_zookeeper_missed_are_fetched_again() {
    let mut zookeeper = ZooKeeper::private().await;
    let (upstream, gate) = (upstream().await, Gate::default());
    upstream.next(Reply::map(&[("alice", "btc")], SECOND));
    upstream.next(Reply::map(&[("alice", "bcc")], SECOND + 60).behind(&gate));
    upstream.next(Reply::map(&[("alice", "bcc")], SECOND + 120));
    let daemon = polling(&zookeeper, &upstream).start().await;
    requests(&upstream, 2).await;
    zookeeper.kill9();
    daemon.wait_for_log(&["connection lost"]).await;
    gate.open();
    let next = format!("next_last_date: {SECOND}");
    assert_line(&polls(&daemon, 2).await[1], &["outcome: incomplete", "not_written: 1", &next]);
    zookeeper.restart().await;
    assert_line(&polls(&daemon, 3).await[2], &["outcome: complete", "written: 1"]);
    let from = [0, SECOND, SECOND].map(|date| date.to_string());
    assert_eq!(asked(&upstream.requests())[..3], from);
    let coin = zookeeper.znodes().await.get(&daemon.path("alice")).await;
    assert_eq!(coin.as_deref(), Some("bcc"));
}

#[tokio::test]
async fn zookeeper_may_die_and_freeze_in_the_middle_of_a_map() {
    let mut zookeeper = ZooKeeper::private().await;
    let upstream = Upstream::start(|request| {
        let coin = if request.last_date() == Some("0") { "bcc" } else { "btc" };
        Reply::many(MANY, coin, SECOND)
    });
    let upstream = upstream.await.unwrap();
    let daemon = polling(&zookeeper, &upstream).start().await;
    daemon.wait_for_log(&["switch, source: poll"]).await;
    zookeeper.kill9();
    let first = &polls(&daemon, 1).await[0];
    assert_line(first, &["outcome: incomplete", "cause: ", "next_last_date: 0"]);
    assert!(!first.contains("not_written: 0"), "{first}");
    let unknown = daemon.log_with(&["switch, source: poll", "outcome: outcome unknown"]).len();
    assert!(unknown <= 2_000, "{unknown}: no more than four parts were under way");
    zookeeper.restart().await;
    assert_line(&polls(&daemon, 2).await[1], &["outcome: complete", "entries: 60000"]);
    let znodes = zookeeper.znodes().await;
    let paths: Vec<_> = (0..MANY).map(|n| daemon.path(&format!("user{n:07}"))).collect();
    let coins = znodes.get_all(&paths).await;
    assert!(coins.iter().all(Option::is_some));

    // Later polls have another coin. ZooKeeper frozen during one of them loses nothing either.
    daemon.wait_for_log(&["switch, source: poll", "new: btc"]).await;
    zookeeper.stop();
    tokio::time::sleep(seconds(4)).await;
    zookeeper.cont();
    eventually("a poll that finds all as it should be", seconds(60), || async {
        let lines = daemon.log_with(&["outcome: complete", "unchanged: 60000"]);
        (!lines.is_empty()).then_some(())
    })
    .await;
    let coins = znodes.get_all(&paths).await;
    assert!(coins.iter().all(|coin| coin.as_deref() == Some("btc")));
}

#[tokio::test]
async fn entries_that_zookeeper_refuses_are_fetched_again_until_it_accepts_them() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream =
        Upstream::start(|_| Reply::map(&[("alice", "btc"), ("bob", "btc")], SECOND)).await.unwrap();
    let znodes = zookeeper.znodes().await;
    let builder = polling(zookeeper, &upstream);
    let directory = format!("/t/{}", crate::support::unique("refused"));
    znodes.put(&directory, "").await;
    znodes.put_read_only(&format!("{directory}/alice"), "bcc").await;
    let daemon = builder.set("ZKSwitcherWatchDir", format!("{directory}/")).start().await;
    let next = "next_last_date: 0";
    let polls = polls(&daemon, 2).await;
    assert_line(&polls[0], &["WARN", "outcome: incomplete", "written: 1", "refused: 1", next]);
    assert_line(&polls[1], &["outcome: incomplete", "unchanged: 1", "refused: 1", next]);
    assert!(!daemon.log_with(&["source: poll", "alice", "not applied", "cause"]).is_empty());
    znodes.remove(&daemon.path("alice")).await;
    daemon.wait_for_log(&["outcome: complete", &format!("next_last_date: {SECOND}")]).await;
    assert_eq!(znodes.get(&daemon.path("alice")).await.as_deref(), Some("btc"));
}

#[tokio::test]
async fn a_znode_that_may_not_be_read_costs_the_others_nothing() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = Upstream::start(|_| Reply::many(1_200, "btc", SECOND)).await.unwrap();
    let directory = format!("/t/{}", crate::support::unique("forbidden"));
    let znodes = zookeeper.znodes().await;
    znodes.put(&directory, "").await;
    znodes.put_forbidden(&format!("{directory}/user0000100"), "bcc").await;
    let builder = polling(zookeeper, &upstream);
    let daemon = builder.set("ZKSwitcherWatchDir", format!("{directory}/")).start().await;
    let poll = &polls(&daemon, 1).await[0];
    assert_line(poll, &["outcome: incomplete", "written: 1199", "refused: 1", "not_written: 0"]);
    let line = ["source: poll", "sub_account: user0000100", "not applied", "may not be read"];
    assert_eq!(daemon.log_with(&line).len(), 1);
}

#[tokio::test]
async fn a_missing_right_for_a_poll_is_reported() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = upstream().await;
    let path = |what| format!("/t/{}", crate::support::unique(what));
    let (read_only, forbidden, usual) = (path("readonly"), path("forbidden"), path("usual"));
    let znodes = zookeeper.znodes().await;
    znodes.put("/t/there", "").await;
    znodes.put_read_only(&read_only, "").await;
    znodes.put_forbidden(&forbidden, "").await;
    let (mark, claim) = ("cannot mark the moment", "cannot claim the lock");
    let new = format!("{read_only}/lock");
    for (directory, lock, attempt, refused) in [
        (&read_only, None, mark, format!("when writing {read_only}")),
        (&forbidden, None, mark, format!("when reading {forbidden}")),
        (&usual, Some(&new), claim, format!("when creating {new}")),
        (&usual, Some(&forbidden), claim, format!("when reading {forbidden}")),
    ] {
        let builder = polling(zookeeper, &upstream);
        let mut builder = builder.set("ZKSwitcherWatchDir", format!("{directory}/"));
        if let Some(lock) = lock {
            builder = builder.set("ZKPollerLockPath", lock.as_str());
        }
        let daemon = builder.start().await;
        let poll = &polls(&daemon, 1).await[0];
        assert_line(poll, &["outcome: failed", attempt, "not authorized", &refused]);
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn sigterm_in_mid_fetch_ends_the_daemon_in_order() {
    let zookeeper = ZooKeeper::shared().await;
    for hanging in [Reply::silence(), Reply::raw("HTTP/1.1 200 OK\r\n\r\n{\"err").hang()] {
        let upstream = upstream().await;
        upstream.next(hanging);
        let mut daemon = polling(zookeeper, &upstream).start().await;
        requests(&upstream, 1).await;
        daemon.signal(Signal::TERM);
        assert_eq!(daemon.wait_exit(seconds(5)).await.code(), Some(0));
        assert_eq!(daemon.log_with(&[" poll, outcome: given up"]).len(), 1);
        assert_eq!(daemon.log_with(&["ZooKeeper session closed"]).len(), 1);
    }
}

#[tokio::test]
async fn sigterm_in_mid_sync_leaves_a_line_for_each_znode_that_was_written() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = Upstream::start(|_| Reply::many(MANY, "btc", SECOND)).await.unwrap();
    let mut daemon = polling(zookeeper, &upstream).start().await;
    daemon.wait_for_log(&["switch, source: poll"]).await;
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait_exit(seconds(12)).await.code(), Some(0));
    daemon.wait_for_log(&["INFO stopped"]).await;
    let logged = daemon.log_with(&["switch, source: poll", "outcome: applied"]).len();
    let directory = daemon.watch_dir().trim_end_matches('/');
    let written = zookeeper.znodes().await.stat(directory).await.unwrap().num_children as usize;
    assert_eq!(logged, written);
    assert!(written > 0 && written < MANY, "{written}");
}

#[tokio::test]
async fn a_removed_watch_directory_is_created_again() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = Upstream::start(|_| Reply::map(&[("alice", "btc")], SECOND)).await.unwrap();
    let daemon = polling(zookeeper, &upstream).start().await;
    polls(&daemon, 1).await;
    let znodes = zookeeper.znodes().await;
    znodes.remove(daemon.watch_dir().trim_end_matches('/')).await;
    let alice = daemon.path("alice");
    eventually("alice is there again", seconds(20), || znodes.get(&alice)).await;
    assert!(daemon.log_with(&["outcome: failed"]).is_empty(), "{:#?}", daemon.log());
}

#[tokio::test]
async fn callers_are_answered_during_a_large_map() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = upstream().await;
    upstream.next(Reply::many(100_000, "btc", SECOND));
    let daemon = polling(zookeeper, &upstream).start().await;
    daemon.wait_for_log(&["switch, source: poll"]).await;
    let mut answered = 0;
    while daemon.log_with(&["entries: 100000"]).is_empty() {
        assert_eq!(daemon.switch(format!("caller{answered}"), "bcc").await, Answer::success());
        answered += 1;
    }
    assert!(answered > 10, "{answered}");
    assert_line(&polls(&daemon, 1).await[0], &["outcome: complete", "written: 100000"]);
}
