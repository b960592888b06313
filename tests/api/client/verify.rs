//! `verify`: the user-coin map compared with ZooKeeper.

use serde_json::json;
use upstream_sim::{Reply, Upstream};

use super::{Cli, assert_says};
use crate::held::holding;
use crate::polls::{now, url};
use crate::support::daemon::Daemon;
use crate::support::zookeeper::ZooKeeper;
use crate::support::{free_port, unique};

#[tokio::test]
async fn drift_is_printed_and_is_the_exit_status() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream =
        Upstream::start(|_| Reply::map(&[("alice", "btc"), ("a b", "bcc")], now())).await.unwrap();
    // The daemon does not poll, so that the drift stays.
    let builder =
        Daemon::builder(zookeeper).set("UserCoinMapURL", url(&upstream) + "?token=s3cr3t");
    let daemon = builder.start().await;
    let cli = Cli::new("verify").config(builder.write_config());
    daemon.switch("alice", "bcc").await;

    let told = cli.ends_with(1).await;
    assert_says(
        &told.stdout,
        &[
            "\"a b\": the map says bcc, ZooKeeper no znode\n",
            "alice: the map says btc, ZooKeeper bcc\n",
            "2 of 2 sub-accounts differ",
        ],
    );
    let document = cli.json(1).await;
    let drift = |name: &str, map: &str, zookeeper: Option<&str>| json!({"sub_account": name, "map": map, "zookeeper": zookeeper, "is_readable": true, "held": null});
    let expected = json!({"command": "verify", "exit_status": 1, "sub_accounts": 2, "invalid": 0,
        "url": url(&upstream) + "?…",
        "drift": [drift("a b", "bcc", None), drift("alice", "btc", Some("bcc"))]});
    assert_eq!(document, expected);
    let znodes = zookeeper.znodes().await;
    assert_eq!(znodes.get(&daemon.path("a b")).await, None, "it writes nothing");
    assert!(upstream.requests().iter().all(|request| request.last_date() == Some("0")));

    daemon.switch("alice", "btc").await;
    daemon.switch("a b", "bcc").await;
    let told = cli.ends_with(0).await;
    assert_eq!(told.stdout, "all 2 sub-accounts of the map have the same coin in ZooKeeper\n");
    assert_eq!(cli.json(0).await["drift"], json!([]));
}

#[tokio::test]
async fn entries_that_can_never_be_written_are_reported_and_are_no_drift() {
    let zookeeper = ZooKeeper::shared().await;
    let map = [("alice", "btc"), ("bob", "ltc\u{1b}"), ("c/d", "btc")];
    let upstream = Upstream::start(move |_| Reply::map(&map, now())).await.unwrap();
    let builder = Daemon::builder(zookeeper).set("UserCoinMapURL", url(&upstream));
    let daemon = builder.start().await;
    daemon.switch("alice", "btc").await;
    let cli = Cli::new("verify").config(builder.write_config());
    let told = cli.ends_with(0).await;
    assert_says(&told.stdout, &["bob: ", "\"ltc\\u{1b}\" is none of", "c/d: ", "slash"]);
    assert_says(&told.stdout, &["all 1 sub-accounts", "2 entries of the map can never"]);
    assert_eq!(cli.json(0).await["invalid"], 2);
}

#[tokio::test]
async fn sub_accounts_of_a_list_without_their_znodes_are_found() {
    let zookeeper = ZooKeeper::shared().await;
    let list = r#"{"err_no":0,"err_msg":null,"data":{"Alice":1,"bob_btc":2,"carol":3,"dave":0}}"#;
    let upstream = Upstream::start(move |_| Reply::json(list)).await.unwrap();
    let root = format!("/t/{}", unique("verify-list"));
    let builder = Daemon::builder(zookeeper)
        .without("UserCoinMapURL")
        .set("UserListAPI", json!({"btc": url(&upstream) + "?k=s3cret"}))
        .set("ZKSwitcherWatchDir", format!("{root}/sw/"))
        .set("ZKUserCaseInsensitiveIndex", format!("{root}/case/"));
    let znodes = zookeeper.znodes().await;
    for (path, data) in [("sw/Alice", "bcc"), ("sw/bob", "btc"), ("case/alice", "Alice")] {
        znodes.put(&format!("{root}/{path}"), data).await;
    }
    let cli = Cli::new("verify").config(builder.write_config());
    let told = cli.ends_with(1).await;
    assert_says(
        &told.stdout,
        &[
            "bob: in the list of btc, but has no index entry\n",
            "carol: in the list of btc, but has no znode\n",
            "carol: in the list of btc, but has no index entry\n",
            "dave: a pull of the list of btc skips this entry",
            "faults in the list of btc, which has 3 sub-accounts: 3\n",
        ],
    );
    let document = cli.json(1).await;
    let missing =
        |name: &str, what: &str| json!({"sub_account": name, "list": "btc", "missing": what});
    let expected = json!({"command": "verify", "exit_status": 1, "missing": [
        missing("bob", "index entry"), missing("carol", "znode"), missing("carol", "index entry")]});
    assert_eq!(document, expected);
    for (path, data) in [("case/bob", "BOB"), ("sw/carol", "x"), ("case/carol", "dave")] {
        znodes.put(&format!("{root}/{path}"), data).await;
    }
    let told = cli.ends_with(1).await;
    let wrong = "carol: in the list of btc, but its index entry has the name dave";
    assert_says(&told.stdout, &[wrong, "delete the entry", "which has 3 sub-accounts: 1\n"]);
    let expected = json!([missing("carol", "index entry with its name")]);
    assert_eq!(cli.json(1).await["missing"], expected);
    znodes.put(&format!("{root}/case/carol"), "carol").await;
    let told = cli.ends_with(0).await;
    assert_says(&told.stdout, &["all 3 sub-accounts of the list of btc are in ZooKeeper"]);

    let lower = builder.clone().set("StratumServerCaseInsensitive", true);
    let told = Cli::new("verify").config(lower.write_config()).ends_with(1).await;
    assert_says(
        &told.stdout,
        &["alice: in the list of btc, but has no znode\n", "which has 3 sub-accounts: 1\n"],
    );
    upstream.otherwise(|_| Reply::status(500, "Oops", "text/html", "<b>"));
    assert_says(&cli.ends_with(69).await.stderr, &["list of btc", "status 500", "?…"]);
}

#[tokio::test]
async fn a_large_map_is_compared_whole() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = Upstream::start(|_| Reply::many(25_000, "btc", now())).await.unwrap();
    let builder = Daemon::builder(zookeeper).set("UserCoinMapURL", url(&upstream));
    let daemon = builder.start().await;
    let names: Vec<_> = (0..25_000).map(|number| format!("user{number:07}")).collect();
    daemon.batch(json!({"usercoins": [{"coin": "btc", "punames": names}]}).to_string()).await;
    // At the ends of the chunks.
    let switched = ["user0009999", "user0010000", "user0024999"];
    for name in switched {
        daemon.switch(name, "bcc").await;
    }
    let document = Cli::new("verify").config(builder.write_config()).json(1).await;
    assert_eq!(document["sub_accounts"], 25_000);
    let drift = document["drift"].as_array().unwrap().iter();
    let names: Vec<_> = drift.map(|entry| entry["sub_account"].as_str().unwrap()).collect();
    assert_eq!(names, switched);
}

#[tokio::test]
async fn a_comparison_that_fails_is_reported() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream =
        Upstream::start(|_| Reply::status(500, "Oops", "text/html", "<b>")).await.unwrap();
    let builder = Daemon::builder(zookeeper).set("UserCoinMapURL", url(&upstream));
    let cli = Cli::new("verify").config(builder.write_config());
    let told = cli.ends_with(69).await;
    assert_says(&told.stderr, &[&url(&upstream), "status 500", "doctor"]);
    let told = Cli::new("verify").config(builder.clone().without("UserCoinMapURL").write_config());
    assert_says(&told.ends_with(78).await.stderr, &["UserCoinMapURL"]);

    upstream.otherwise(|_| Reply::map(&[("alice", "btc")], now()));
    let nobody = format!("127.0.0.1:{}", free_port());
    let builder = builder.set("ZKBroker", json!([nobody])).set("ZKSessionTimeoutSeconds", 1);
    let told = Cli::new("verify").config(builder.write_config()).ends_with(69).await;
    assert_says(&told.stderr, &[&nobody, "ZKBroker"]);
}

#[tokio::test]
async fn a_held_switch_to_the_maps_coin_is_no_fault() {
    let zookeeper = ZooKeeper::shared().await;
    let map = [("alice", "bcc"), ("bob", "bcc")];
    let upstream = Upstream::start(move |_| Reply::map(&map, now())).await.unwrap();
    let builder = holding(zookeeper).set("IntervalSeconds", 600);
    let daemon = builder.start().await;
    let builder = builder.set("UserCoinMapURL", url(&upstream)).without("UserListAPI");
    let cli = Cli::new("verify").config(builder.write_config());
    for coin in ["btc", "bcc"] {
        daemon.switch("alice", coin).await;
    }
    daemon.switch("bob", "bcc").await;
    let told = cli.ends_with(0).await;
    assert_says(
        &told.stdout,
        &[
            "alice: the map says bcc, ZooKeeper btc; held switch to bcc, due 20",
            "1 of 2 sub-accounts differ: their switches to the map's coins are held",
        ],
    );
    assert_eq!(cli.json(0).await["drift"][0]["held"]["coin"], "bcc");
    daemon.switch("bob", "btc").await;
    let told = cli.ends_with(1).await;
    assert_says(
        &told.stdout,
        &["bob: the map says bcc, ZooKeeper btc\n", "2 of 2", "(1 whose switch"],
    );
}
