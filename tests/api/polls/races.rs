//! A poll and a caller's switch of the same sub-account, in every order. Gates hold the upstream's answer
//! back, so that the switch happens during the fetch.

use std::time::Duration;

use upstream_sim::{Gate, Reply, Upstream};

use super::{asked, assert_line, polling, polls, requests, upstream};
use crate::support::client::Answer;
use crate::support::{daemon::Daemon, zookeeper::ZooKeeper};

const SECOND: i64 = 1_700_000_000;

/// A daemon whose first poll has written `alice` and `bob` to `btc`, and whose second fetch waits at the gate
/// with a map that has both on `bcc`.
async fn held(zookeeper: &ZooKeeper) -> (Upstream, Daemon, Gate) {
    let (upstream, gate) = (upstream().await, Gate::default());
    upstream.next(Reply::map(&[("alice", "btc"), ("bob", "btc")], SECOND));
    upstream.next(Reply::map(&[("alice", "bcc"), ("bob", "bcc")], SECOND + 60).behind(&gate));
    let daemon = polling(zookeeper, &upstream).start().await;
    requests(&upstream, 2).await;
    (upstream, daemon, gate)
}

#[tokio::test]
async fn a_switch_before_the_fetch_gives_way_to_the_map() {
    let zookeeper = ZooKeeper::shared().await;
    let (upstream, gate) = (upstream().await, Gate::default());
    upstream.next(Reply::map(&[], SECOND).behind(&gate));
    upstream.next(Reply::map(&[("alice", "bcc")], SECOND + 60));
    let daemon = polling(zookeeper, &upstream).start().await;
    requests(&upstream, 1).await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    gate.open();
    assert_line(&polls(&daemon, 2).await[1], &["written: 1", "switched_meanwhile: 0"]);
    let coin = zookeeper.znodes().await.get(&daemon.path("alice")).await;
    assert_eq!(coin.as_deref(), Some("bcc"));
    assert_eq!(daemon.log_with(&["source: poll", "alice, old: btc, new: bcc"]).len(), 1);
}

#[tokio::test]
async fn a_switch_during_the_fetch_stays_until_the_next_poll_knows_of_it() {
    let zookeeper = ZooKeeper::shared().await;
    let (upstream, daemon, gate) = held(zookeeper).await;
    upstream.next(Reply::map(&[("alice", "bcc"), ("bob", "bcc")], SECOND + 120));
    // The same coin again is a switch, too.
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    gate.open();
    let skipping = &polls(&daemon, 2).await[1];
    let next = format!("next_last_date: {SECOND}");
    assert_line(skipping, &["outcome: complete", "written: 1", "switched_meanwhile: 1", &next]);
    assert_eq!(daemon.log_with(&["source: poll", "alice", "outcome: skipped"]).len(), 1);
    // Asked from one answer earlier, the map's word counts.
    assert_line(
        &polls(&daemon, 3).await[2],
        &["written: 1", "unchanged: 1", "switched_meanwhile: 0"],
    );
    let coin = zookeeper.znodes().await.get(&daemon.path("alice")).await;
    assert_eq!(coin.as_deref(), Some("bcc"));
    let from = [0, SECOND, SECOND, SECOND + 120].map(|date| date.to_string());
    assert_eq!(asked(&requests(&upstream, 4).await)[..4], from);
}

#[tokio::test]
async fn after_two_skips_in_a_row_the_span_does_not_grow() {
    let zookeeper = ZooKeeper::shared().await;
    let (upstream, daemon, first) = held(zookeeper).await;
    let second = Gate::default();
    upstream.next(Reply::map(&[("alice", "bcc")], SECOND + 120).behind(&second));
    for (number, gate) in [first, second].iter().enumerate() {
        requests(&upstream, number + 2).await;
        assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
        gate.open();
        assert_line(&polls(&daemon, number + 2).await[number + 1], &["switched_meanwhile: 1"]);
    }
    let from = [0, SECOND, SECOND, SECOND + 60].map(|date| date.to_string());
    assert_eq!(asked(&requests(&upstream, 4).await)[..4], from);
}

#[tokio::test]
async fn whoever_writes_or_makes_the_znode_during_the_fetch_was_fresher() {
    let zookeeper = ZooKeeper::shared().await;
    let (upstream, gate) = (upstream().await, Gate::default());
    upstream.next(Reply::map(&[("alice", "btc")], SECOND));
    let map = [("alice", "bcc"), ("made", "bcc"), ("new", "bcc")];
    upstream.next(Reply::map(&map, SECOND + 60).behind(&gate));
    let daemon = polling(zookeeper, &upstream).start().await;
    requests(&upstream, 2).await;
    let znodes = zookeeper.znodes().await;
    znodes.put(&daemon.path("alice"), "elsewhere").await;
    znodes.put(&daemon.path("made"), "elsewhere").await;
    gate.open();
    assert_line(&polls(&daemon, 2).await[1], &["written: 1", "switched_meanwhile: 2"]);
    for (user, coin) in [("alice", "elsewhere"), ("made", "elsewhere"), ("new", "bcc")] {
        assert_eq!(znodes.get(&daemon.path(user)).await.as_deref(), Some(coin), "{user}");
    }
}

#[tokio::test]
async fn a_switch_after_the_poll_stays() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = upstream().await;
    upstream.next(Reply::map(&[("alice", "bcc")], SECOND));
    let daemon = polling(zookeeper, &upstream).start().await;
    polls(&daemon, 1).await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    polls(&daemon, 3).await;
    let coin = zookeeper.znodes().await.get(&daemon.path("alice")).await;
    assert_eq!(coin.as_deref(), Some("btc"));
}

#[tokio::test]
async fn two_daemons_may_pull_the_same_map() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = Upstream::start(|request| {
        let coin = if request.last_date() == Some("0") { "btc" } else { "bcc" };
        Reply::many(2_000, coin, SECOND)
    });
    let upstream = upstream.await.unwrap();
    let builder = polling(zookeeper, &upstream);
    let watch_dir = format!("/t/{}/", crate::support::unique("two"));
    let first = builder.clone().set("ZKSwitcherWatchDir", watch_dir.clone()).start().await;
    let second = polling(zookeeper, &upstream).set("ZKSwitcherWatchDir", watch_dir).start().await;
    for daemon in [&first, &second] {
        for poll in polls(daemon, 3).await {
            assert_line(&poll, &["outcome: complete", "entries: 2000", "refused: 0"]);
        }
    }
    let znodes = zookeeper.znodes().await;
    let paths: Vec<_> = (0..2_000).map(|n| first.path(&format!("user{n:07}"))).collect();
    assert!(znodes.get_all(&paths).await.iter().all(|coin| coin.as_deref() == Some("bcc")));
}

/// Callers and another client switch sub-accounts that polls write over and over. Each fetch has a coin of its own.
/// The coin right after a switch may come from a poll, but not from one with a fetch that began before the switch.
#[tokio::test]
async fn under_load_no_poll_undoes_a_switch_made_since_it_began() {
    const CONTENDED: usize = 40;
    const AT_LEAST: usize = 400;
    const AT_MOST: usize = 4_000;
    let zookeeper = ZooKeeper::shared().await;
    let upstream = upstream().await;
    let mut coins: Vec<String> = (0..60).map(|number| format!("poll{number}")).collect();
    for (number, coin) in (0..).zip(&coins) {
        upstream.next(Reply::many(5_000, coin, SECOND + number));
    }
    coins.extend(["btc".to_owned(), "bcc".to_owned()]);
    let daemon = polling(zookeeper, &upstream).set("AvailableCoins", coins).start().await;
    polls(&daemon, 1).await;
    let client = zookeeper.client().await;
    let meetings = || {
        let complete = daemon.log_with(&["outcome: complete"]);
        complete.iter().filter(|line| !line.contains("switched_meanwhile: 0")).count()
    };
    // Until they have met: how often depends on the machine.
    for number in 0..AT_MOST {
        if number >= AT_LEAST && meetings() > 0 {
            return;
        }
        // From all parts of the map.
        let user = format!("user{:07}", number % CONTENDED * (5_000 / CONTENDED));
        let begun = upstream.requests().len();
        if number % 2 == 0 {
            let coin = if number % 4 == 0 { "btc" } else { "bcc" };
            assert_eq!(daemon.switch(&user, coin).await, Answer::success());
        } else {
            client.set_data(&daemon.path(&user), b"btc", None).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        let (data, _) = client.get_data(&daemon.path(&user)).await.unwrap();
        let coin = String::from_utf8(data).unwrap();
        if let Some(poll) = coin.strip_prefix("poll") {
            let poll: usize = poll.parse().unwrap();
            assert!(poll >= begun, "{user}: poll {poll} undid a switch made after {begun} fetches");
        }
    }
    panic!("no poll met any of {AT_MOST} switches");
}
