//! Sub-accounts that a list has: the safety period counts from the first sight.

use std::collections::BTreeMap;

use upstream_sim::{Gate, Reply, Upstream};

use super::*;
use crate::user_lists::{document, ready, upstream};

/// Safety period of an interval of 6 s.
const LISTED_PERIOD: u64 = 9;

/// Milliseconds of the period that are over 2 s after a listing, at least: the clock's whole seconds count.
const OVER: u64 = 1_000;

/// A daemon with a list of `bcc` that has `name`.
async fn with_list(zookeeper: &ZooKeeper, name: &str) -> (Upstream, Builder) {
    let lists = BTreeMap::from([("bcc".to_owned(), document([(name.to_owned(), 1)]))]);
    let upstream = upstream(lists).await;
    let url = format!("http://{}/bcc", upstream.address());
    let builder = holding(zookeeper).set("UserListAPI", json!({ "bcc": url }));
    (upstream, builder.set("IntervalSeconds", 6))
}

/// Switches to `btc`, which has no list, then to `bcc`. Returns the outcome of the latter.
async fn there_and_back(daemon: &Daemon, user: &str) -> Value {
    assert_eq!(result(daemon, user, "btc", "results").await["outcome"], "applied");
    result(daemon, user, "bcc", "results").await["outcome"].clone()
}

#[tokio::test]
async fn the_period_begins_with_the_listing_and_is_over_once_for_all() {
    let zookeeper = ZooKeeper::shared().await;
    let znodes = zookeeper.znodes().await;
    let (_upstream, builder) = with_list(zookeeper, "alice").await;
    let mut daemon = builder.start().await;
    ready(daemon.base()).await;
    let listed = now();
    sleep(seconds(2)).await;
    assert_eq!(there_and_back(&daemon, "alice").await, "held");
    let due_time = due(&znodes, &daemon, "alice").await;
    let latest = now() + LISTED_PERIOD * 1_000 - OVER;
    assert!(due_time <= latest, "{due_time}, listed by {listed}");
    // The list has no such name, though it has one that differs in case.
    assert_eq!(daemon.switch("ALICE", "btc").await, Answer::success());
    let asked = now();
    assert_eq!(there_and_back(&daemon, "ALICE").await, "held");
    let unlisted = due(&znodes, &daemon, "ALICE").await;
    assert!(unlisted >= asked + LISTED_PERIOD * 1_000, "{unlisted}, asked at {asked}");
    becomes(&znodes, &daemon.path("alice"), "bcc").await;
    assert!(now() >= due_time, "early");
    assert_eq!(there_and_back(&daemon, "alice").await, "applied");
    settled(&znodes, &daemon).await;

    daemon.kill9();
    let next = builder.start().await;
    ready(next.base()).await;
    assert_eq!(there_and_back(&next, "alice").await, "applied", "known before");
}

#[tokio::test]
async fn the_look_into_the_list_ignores_case_where_names_do() {
    let zookeeper = ZooKeeper::shared().await;
    let znodes = zookeeper.znodes().await;
    let (_upstream, builder) = with_list(zookeeper, "Alice").await;
    let daemon = builder.set("StratumServerCaseInsensitive", true).start().await;
    ready(daemon.base()).await;
    let listed = now();
    sleep(seconds(2)).await;
    assert_eq!(there_and_back(&daemon, "ALICE").await, "held");
    let due_time = due(&znodes, &daemon, "alice").await;
    let latest = now() + LISTED_PERIOD * 1_000 - OVER;
    assert!(due_time <= latest, "{due_time}, listed by {listed}");
    becomes(&znodes, &daemon.path("alice"), "bcc").await;
    assert!(now() >= due_time, "early");
    assert_eq!(there_and_back(&daemon, "aLiCe").await, "applied");
}

#[tokio::test]
async fn a_switch_that_only_the_restart_has_held_is_carried_out_when_the_list_is_back() {
    let zookeeper = ZooKeeper::shared().await;
    let znodes = zookeeper.znodes().await;
    let (_upstream, builder) = with_list(zookeeper, "alice").await;
    let mut daemon = builder.start().await;
    ready(daemon.base()).await;
    for user in ["alice", "bob", "carol"] {
        assert_eq!(daemon.switch(user, "btc").await, Answer::success());
    }
    let mark = intents(&daemon).replace("switches", "lists/bcc");
    eventually("the mark", seconds(20), || async { znodes.get(&mark).await }).await;
    daemon.kill9();
    znodes.put(&mark, r#"[{"last_id":1,"at":1700000000}]"#).await;

    let gate = Gate::default();
    let held_back = gate.clone();
    let list = document([("alice".to_owned(), 1), ("carol".to_owned(), 2)]);
    let reply = move |_: &upstream_sim::Request| Reply::json(&list).behind(&held_back);
    let gated = Upstream::start(reply).await.unwrap();
    let url = format!("http://{}/bcc", gated.address());
    let builder = builder.set("UserListAPI", json!({ "bcc": url })).set("IntervalSeconds", 600);
    let next = builder.start().await;
    for user in ["alice", "bob", "carol"] {
        assert_eq!(result(&next, user, "bcc", "results").await["outcome"], "held");
    }
    gate.open();
    becomes(&znodes, &next.path("alice"), "bcc").await;
    // More than a round.
    sleep(seconds(2)).await;
    for user in ["bob", "carol"] {
        assert_eq!(znodes.get(&next.path(user)).await.as_deref(), Some("btc"), "{user} is new");
    }
}
