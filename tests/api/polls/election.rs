//! Daemons choose the one that polls by an ephemeral znode (`ZKPollerLockPath`).

use rustix::process::Signal;
use upstream_sim::{Gate, Reply, Upstream};

use super::{assert_line, now, polling, polls};
use crate::support::daemon::Builder;
use crate::support::{eventually, seconds, unique, zookeeper::ZooKeeper};

/// An upstream, and a configuration for each of two daemons, which request different paths.
async fn two(zookeeper: &ZooKeeper) -> (Upstream, [Builder; 2], String) {
    let upstream = Upstream::start(|_| Reply::map(&[("alice", "btc")], now())).await.unwrap();
    let lock = format!("/t/{}/poller/lock", unique("election"));
    let watch_dir = format!("/t/{}/", unique("elected"));
    let builders = ["first", "second"].map(|name| {
        polling(zookeeper, &upstream)
            .set("UserCoinMapURL", format!("http://{}/{name}", upstream.address()))
            .set("ZKPollerLockPath", lock.clone())
            .set("ZKSwitcherWatchDir", watch_dir.clone())
            .set("ZKSessionTimeoutSeconds", 2)
    });
    (upstream, builders, lock)
}

fn asked_by(upstream: &Upstream, name: &str) -> usize {
    upstream.requests().iter().filter(|it| it.target.contains(name)).count()
}

/// Waits until that daemon alone asks, three times in a row.
async fn asks_alone(upstream: &Upstream, name: &str) {
    eventually(&format!("{name} asks alone"), seconds(40), || async {
        let requests = upstream.requests();
        let last = requests.iter().rev().take(3);
        (requests.len() >= 3 && last.clone().all(|it| it.target.contains(name))).then_some(())
    })
    .await;
}

#[tokio::test]
async fn another_daemon_takes_over_when_the_poller_ends_or_is_killed() {
    let zookeeper = ZooKeeper::shared().await;
    let (upstream, [first, second], lock) = two(zookeeper).await;
    let mut first = first.start().await;
    polls(&first, 1).await;
    let znodes = zookeeper.znodes().await;
    let (holder, stat) = znodes.get_with_stat(&lock).await.unwrap();
    assert!(stat.ephemeral_owner != 0 && holder.contains(&format!("process {}", first.pid())));

    let mut standby = second.start().await;
    standby.wait_for_log(&["standing by: another daemon polls", &holder]).await;
    polls(&first, 3).await;
    assert_eq!(asked_by(&upstream, "second"), 0);
    assert_eq!(standby.log_with(&["standing by"]).len(), 1);

    first.kill9();
    standby.wait_for_log(&["taking over: this daemon polls now"]).await;
    asks_alone(&upstream, "second").await;
    assert_line(&polls(&standby, 1).await[0], &["outcome: complete", "unchanged: 1"]);

    let (_, [third, _], _) = two(zookeeper).await;
    let third = third
        .set("UserCoinMapURL", format!("http://{}/third", upstream.address()))
        .set("ZKPollerLockPath", lock)
        .set("ZKSwitcherWatchDir", standby.watch_dir())
        .start()
        .await;
    third.wait_for_log(&["standing by"]).await;
    standby.signal(Signal::TERM);
    assert_eq!(standby.wait_exit(seconds(10)).await.code(), Some(0));
    asks_alone(&upstream, "third").await;
}

/// A poller that sleeps through the loss of its lock wakes up with a map older than its successor's.
#[tokio::test]
async fn a_map_of_a_poller_that_has_lost_the_lock_is_not_written() {
    let zookeeper = ZooKeeper::shared().await;
    let (upstream, [first, second], _) = two(zookeeper).await;
    let gate = Gate::default();
    upstream.next(Reply::map(&[("alice", "bcc")], now()));
    upstream.next(Reply::map(&[("alice", "btc")], now()).behind(&gate));
    let first = first.start().await;
    polls(&first, 1).await;
    eventually("the second fetch", seconds(10), || async {
        (asked_by(&upstream, "first") == 2).then_some(())
    })
    .await;
    first.signal(Signal::STOP);
    upstream.otherwise(|_| Reply::map(&[("alice", "bcc")], now()));
    let second = second.start().await;
    assert_line(&polls(&second, 1).await[0], &["outcome: complete", "unchanged: 1"]);
    first.signal(Signal::CONT);
    eventually("a new session of the first", seconds(20), || async {
        (first.log_with(&["ZooKeeper session is up"]).len() == 2).then_some(())
    })
    .await;
    gate.open();
    assert_line(&polls(&first, 2).await[1], &["outcome: incomplete", "written: 0"]);
    first.wait_for_log(&["standing by: another daemon polls"]).await;
    let coin = zookeeper.znodes().await.get(&second.path("alice")).await;
    assert_eq!(coin.as_deref(), Some("bcc"));
}

#[tokio::test]
async fn there_is_one_poller_again_after_zookeeper_was_away() {
    let mut zookeeper = ZooKeeper::private().await;
    let (upstream, [first, second], lock) = two(&zookeeper).await;
    let first = first.start().await;
    polls(&first, 1).await;
    let second = second.start().await;
    second.wait_for_log(&["standing by"]).await;
    zookeeper.kill9();
    first.wait_for_log(&["connection lost"]).await;
    second.wait_for_log(&["connection lost"]).await;
    zookeeper.restart().await;
    let before = upstream.requests().len();
    eventually("three polls more", seconds(40), || async {
        (upstream.requests().len() >= before + 3).then_some(())
    })
    .await;
    let (holder, stat) = zookeeper.znodes().await.get_with_stat(&lock).await.unwrap();
    assert!(stat.ephemeral_owner != 0);
    let first_holds = holder.contains(&format!("process {}", first.pid()));
    asks_alone(&upstream, if first_holds { "first" } else { "second" }).await;
}

#[tokio::test]
async fn a_lock_that_never_goes_away_is_reported() {
    let zookeeper = ZooKeeper::shared().await;
    let (upstream, [first, _], lock) = two(zookeeper).await;
    let znodes = zookeeper.znodes().await;
    znodes.put(&lock, "somebody's").await;
    let daemon = first.start().await;
    let poll = &polls(&daemon, 1).await[0];
    assert_line(poll, &["outcome: failed", "is there but not ephemeral", "delete it"]);
    assert!(upstream.requests().is_empty());
    znodes.remove(&lock).await;
    daemon.wait_for_log(&["outcome: complete"]).await;
}
