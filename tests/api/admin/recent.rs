//! The last changes: who, what, from what to what, and what came of it.

use jobmaker_sim::{Jobmaker, Knobs, SubPool};
use serde_json::{Value, json};
use upstream_sim::{Reply, Upstream};

use super::{Admin, without_time};
use crate::support::client::{Answer, Request};
use crate::support::daemon::Daemon;
use crate::support::unique;
use crate::support::zookeeper::ZooKeeper;

#[tokio::test]
async fn switches_are_shown_with_old_new_and_outcome() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let (admin, znodes) = (Admin::of(&daemon).await, zookeeper.znodes().await);
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    assert_eq!(daemon.switch("alice", "bcc").await, Answer::success());
    znodes.put_read_only(&daemon.path("mallory"), "btc").await;
    assert_eq!(daemon.switch("mallory", "bcc").await.err_no, 107);
    // What was refused changes nothing, and was to change nothing.
    assert_eq!(daemon.switch("alice", "xyz").await.err_no, 104);
    let changes: Vec<Value> = admin.recent(3).await.iter().map(without_time).collect();
    let switch = |number: u64, user: &str, old: Value, new: &str, outcome: &str| {
        json!({"number": number, "source": "api", "client": "127.0.0.1", "actor": "admin", "kind": "switch",
            "sub_account": user, "old": old, "new": new, "outcome": outcome})
    };
    assert_eq!(changes[0], switch(1, "alice", Value::Null, "btc", "applied"));
    assert_eq!(changes[1], switch(2, "alice", json!("btc"), "bcc", "applied"));
    let mut refused = changes[2].clone();
    let cause = refused.as_object_mut().unwrap().remove("cause").expect("a cause");
    assert_eq!(refused, switch(3, "mallory", json!("btc"), "bcc", "not applied"));
    assert!(!cause.as_str().unwrap().is_empty(), "{cause}");
    assert_eq!(changes.len(), 3);
}

#[tokio::test]
async fn what_was_never_sent_is_shown_and_its_old_coin_is_not() {
    let mut zookeeper = ZooKeeper::private().await;
    let builder = Daemon::builder(&zookeeper).admin().set("ZKRequestTimeoutSeconds", 1);
    let daemon = builder.start().await;
    let admin = Admin::of(&daemon).await;
    admin.wait_until(200, "ready").await;
    zookeeper.kill9();
    admin.wait_until(503, "no session").await;
    assert_eq!(daemon.switch("alice", "btc").await.err_no, 105);
    let change = admin.recent(1).await.pop().unwrap();
    assert_eq!(change["outcome"], "not applied");
    assert_eq!(change["cause"], "not sent within the time allowed");
    assert_eq!(change.get("old"), None, "nobody has looked: {change}");
}

#[tokio::test]
async fn a_polls_switches_are_shown_but_not_what_it_leaves_as_it_is() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = Upstream::start(|_| Reply::map(&[], 1_513_239_055)).await.unwrap();
    upstream.next(Reply::map(&[("alice", "btc"), ("bob", "bcc")], 1_513_239_055));
    let watch_dir = format!("/t/{}/", unique("polled"));
    zookeeper.znodes().await.put(&format!("{watch_dir}bob"), "bcc").await;
    let builder = Daemon::builder(zookeeper)
        .admin()
        .set("ZKSwitcherWatchDir", watch_dir)
        .set("EnableCronJob", true)
        .set("UserCoinMapURL", format!("http://{}/map", upstream.address()));
    let daemon = builder.start().await;
    let admin = Admin::of(&daemon).await;
    let changes: Vec<Value> = admin.recent(1).await.iter().map(without_time).collect();
    let alice = json!({"number": 1, "source": "poll", "kind": "switch", "sub_account": "alice",
        "old": null, "new": "btc", "outcome": "applied"});
    assert_eq!(changes, [alice]);
}

#[tokio::test]
async fn updates_of_sub_pools_are_shown_and_gets_are_not() {
    const ADDRESS: &str = "34woZDygXWqaVPnNxp5SUnbN6RNQ5koBt4";
    let zookeeper = ZooKeeper::shared().await;
    let base = format!("/t/{}/subpool/", unique("updated"));
    let builder = Daemon::builder(zookeeper).admin().set("ZKSubPoolUpdateBaseDir", base.clone());
    let daemon = builder.start().await;
    let admin = Admin::of(&daemon).await;
    let pools = vec![SubPool::new(&format!("{base}btc/pool3"), "hellobtc", ADDRESS)];
    let _jobmaker = Jobmaker::start(&zookeeper.address(), pools, Knobs::default()).await.unwrap();
    let get = json!({"coin": "btc", "subpool_name": "pool3"}).to_string();
    daemon.send(Request::post("/subpool/get-coinbase").body(get)).await;
    let update = |name: &str, info: &str, address: &str| {
        let body = json!({"coin": "btc", "subpool_name": name, "payout_addr": address,
            "coinbase_info": info});
        Request::post("/subpool/update-coinbase").body(body.to_string())
    };
    daemon.send(update("pool3", "tiger", ADDRESS)).await;
    daemon.send(update("pool3", "lion", "nonsense")).await;
    daemon.send(update("none", &"x".repeat(1000), ADDRESS)).await;

    let changes: Vec<Value> = admin.recent(3).await.iter().map(without_time).collect();
    let coinbase =
        |info: &str, address: &str| json!({"coinbase_info": info, "payout_addr": address});
    let applied = json!({"number": 1, "source": "api", "client": "127.0.0.1", "actor": "admin", "kind": "update",
        "coin": "btc", "sub_pool": "pool3", "old": coinbase("hellobtc", ADDRESS),
        "new": coinbase("tiger", ADDRESS), "outcome": "applied"});
    let refused = json!({"number": 2, "source": "api", "client": "127.0.0.1", "actor": "admin", "kind": "update",
        "coin": "btc", "sub_pool": "pool3", "old": coinbase("tiger", ADDRESS),
        "new": coinbase("lion", "nonsense"), "outcome": "refused",
        "cause": "invalid payout address"});
    let nobody = json!({"number": 3, "source": "api", "client": "127.0.0.1", "actor": "admin", "kind": "update",
        "coin": "btc", "sub_pool": "none",
        "new": coinbase(&format!("{}…", "x".repeat(120)), ADDRESS), "outcome": "nothing written",
        "cause": "there is no request znode"});
    assert_eq!(changes, [applied, refused, nobody]);
}

/// What others have written into a znode, and what a client calls a sub-account, cannot break the page.
#[tokio::test]
async fn hostile_texts_are_no_more_than_texts() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let (admin, znodes) = (Admin::of(&daemon).await, zookeeper.znodes().await);
    let old = "\",\"x\":1}\r\n\ndata: {}\n\n</script>\u{2028}\u{1b}[2J";
    znodes.put(&daemon.path("alice"), old).await;
    znodes.put(&daemon.path("bob"), &"x".repeat(500_000)).await;
    let name = "a\"}],\\b<script>&\u{202e}\u{3164}\u{fe0f}\u{2800}用";
    for user in ["alice", "bob", name] {
        assert_eq!(daemon.switch(user, "btc").await, Answer::success());
    }
    let changes = admin.recent(3).await;
    assert_eq!(changes[0]["old"], old);
    assert_eq!(changes[1]["old"], format!("{}…", "x".repeat(64)));
    assert_eq!(changes[2]["sub_account"], name);
    // The bytes may be read on a terminal.
    let escaped: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let found = format!("/sub-account?puname={escaped}");
    for path in ["/recent".to_owned(), found] {
        let text = admin.get(&path).await.text();
        let is_unseen =
            |c: char| c.is_control() || "\u{202e}\u{2028}\u{3164}\u{fe0f}\u{2800}".contains(c);
        assert!(!text.contains(is_unseen), "{text:?}");
        assert!(text.contains("\\u202e\\u3164\\ufe0f\\u2800用"), "{text}");
    }
}

#[tokio::test]
async fn as_many_are_shown_as_were_asked_for() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let admin = Admin::of(&daemon).await;
    let names: Vec<String> = (0..3_000).map(|n| format!("user{n}")).collect();
    let batch = json!({"usercoins": [{"coin": "btc", "punames": names}]}).to_string();
    assert_eq!(daemon.batch(batch).await, Answer::success());
    admin
        .wait_for(r#"switcher_switches_total{source="api",coin="btc",result="applied"}"#, 3000.0)
        .await;
    assert_eq!(admin.recent(100).await.len(), 100);
    for (limit, expected) in [("1", 1), ("1000", 1000)] {
        let body = admin.get(&format!("/recent?limit={limit}")).await.body;
        let body: Value = serde_json::from_slice(&body).unwrap();
        let changes = body["changes"].as_array().unwrap();
        let numbers: Vec<_> = changes.iter().map(|it| it["number"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (3001 - expected..=3000).collect::<Vec<_>>(), "the oldest first");
    }
    for limit in ["0", "1001", "-1", "many", "1e2"] {
        let response = admin.get(&format!("/recent?limit={limit}")).await;
        assert_eq!(response.status, 400, "{response:?}");
        let body: Value = serde_json::from_slice(&response.body).unwrap();
        assert!(body["error"].as_str().unwrap().contains("from 1 to 1000"), "{body}");
    }
}
