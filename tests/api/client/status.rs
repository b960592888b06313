//! `status`: coins in ZooKeeper, without the daemon.

use serde_json::json;

use super::{Cli, assert_says};
use crate::held::holding;
use crate::polls::now;
use crate::support::client::Answer;
use crate::support::daemon::Daemon;
use crate::support::unique;
use crate::support::zookeeper::ZooKeeper;

/// The operator who asks may not read the daemon's secrets, or sits at another machine.
#[tokio::test]
async fn files_of_the_listeners_are_not_read() {
    let builder = Daemon::builder(ZooKeeper::shared().await)
        .set("UsersFile", "/nowhere/users.json")
        .set("TLSCertificateFile", "/nowhere/server.pem")
        .set("TLSPrivateKeyFile", "/nowhere/server.key");
    let config = builder.write_config();
    let told = Cli::new("status alice").config(config).ends_with(1).await;
    assert_eq!(told.stdout, "alice: no znode\n");
}

#[tokio::test]
async fn coins_in_zookeeper_and_missing_znodes_are_shown() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = Daemon::builder(zookeeper);
    let config = builder.write_config();
    let daemon = builder.start().await;
    daemon.switch("alice", "btc").await;
    daemon.switch("a b", "bcc").await;
    let znodes = zookeeper.znodes().await;
    znodes.put(&daemon.path("odd"), "x\u{1b}[2J").await;
    znodes.put_forbidden(&daemon.path("secret"), "btc").await;

    let found = Cli::new("status alice").arg("a b").config(&config).ends_with(0).await;
    assert_eq!(found.stdout, "alice: btc\n\"a b\": bcc\n");
    let cli = Cli::new("status bob alice odd secret").config(&config);
    let told = cli.ends_with(1).await;
    assert_says(
        &told.stdout,
        &["bob: no znode\nalice: btc\nodd: \"x\\u{1b}[2J\"\nsecret: not readable"],
    );
    let mut document = cli.json(1).await;
    let written = document["sub_accounts"][1]["written"].take().as_i64().unwrap();
    assert!((now() - written).abs() < 300, "{written}");
    document["sub_accounts"][2]["written"].take();
    let sub_account = |name: &str, coin: Option<&str>, is_readable: bool| json!({"sub_account": name, "coin": coin, "written": null, "is_readable": is_readable, "held": null});
    assert_eq!(
        document["sub_accounts"],
        json!([
            sub_account("bob", None, true),
            sub_account("alice", Some("btc"), true),
            sub_account("odd", Some("x\u{1b}[2J"), true),
            sub_account("secret", None, false),
        ])
    );
    assert_eq!(document["watch_dir"], daemon.watch_dir());
    // The command only reads: no session stays, and the daemon gets no request.
    assert_eq!(znodes.get(&daemon.path("bob")).await, None);
    drop(daemon);
    Cli::new("status alice").config(&config).ends_with(0).await;
}

#[tokio::test]
async fn names_are_read_as_the_daemon_writes_them() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = Daemon::builder(zookeeper).set("StratumServerCaseInsensitive", true);
    let daemon = builder.start().await;
    daemon.switch("ALICE", "btc").await;
    let config = builder.write_config();
    let found = Cli::new("status Alice").config(&config).ends_with(0).await;
    assert_eq!(found.stdout, "alice: btc\n");
    let told = Cli::new("status alice a/b").config(&config).ends_with(65).await;
    assert_says(&told.stderr, &["a/b", "slash"]);
    assert_eq!(told.stdout, "");
    let many: Vec<String> = (0..1200).map(|number| format!("{}{number}", unique("m"))).collect();
    let told = Cli::new("status").words(&many.join(" ")).config(&config).ends_with(1).await;
    assert_eq!(told.stdout.lines().count(), 1200);
}

#[tokio::test]
async fn a_bad_configuration_is_reported() {
    let zookeeper = ZooKeeper::shared().await;
    let bad = Daemon::builder(zookeeper).set("ZKSwitcherWatchDir", "relative").set("ZKBroker", "x");
    let cli = Cli::new("status alice").config(bad.write_config());
    let told = cli.ends_with(78).await;
    assert_says(&told.stderr, &["ZKSwitcherWatchDir", "relative", "ZKBroker"]);
    assert_eq!(cli.json(78).await["error"]["kind"], "configuration");
    Cli::new("status").ends_with(2).await;
}

#[tokio::test]
async fn held_switches_are_shown_with_their_due_time() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = holding(zookeeper).set("IntervalSeconds", 600);
    let (daemon, znodes) = (builder.start().await, zookeeper.znodes().await);
    for user in ["alice", "bob", "carol"] {
        assert_eq!(daemon.switch(user, "btc").await, Answer::success());
        assert_eq!(daemon.switch(user, "bcc").await, Answer::success());
    }
    // An intent that a later write has made obsolete, and one that is none.
    znodes.put(&daemon.path("bob"), "btc").await;
    let intents = format!("{}_held/switches", daemon.watch_dir().trim_end_matches('/'));
    znodes.put(&format!("{intents}/carol"), "{}").await;
    let cli = Cli::new("status alice bob carol").config(builder.write_config());
    let told = cli.ends_with(0).await;
    let lines: Vec<_> = told.stdout.lines().collect();
    assert!(lines[0].starts_with("alice: btc; held switch to bcc, due 20"), "{lines:?}");
    assert!(lines[0].ends_with(" s)") && lines[0].contains("(in "), "{lines:?}");
    assert_eq!(lines[1], "bob: btc");
    let unreadable = "carol: btc; held switch not readable (\"it is no intent: it has no coin\")";
    assert_eq!(lines[2], unreadable);
    let document = cli.json(0).await;
    let held = &document["sub_accounts"][0]["held"];
    assert_eq!((&held["coin"], &held["source"]), (&json!("bcc"), &json!("api")), "{held}");
    assert!((held["due"].as_i64().unwrap() / 1_000 - now() - 900).abs() < 120, "{held}");
    assert!(document["sub_accounts"][1]["held"].is_null(), "{document}");
    // They stay where lists are switched off.
    let plain = builder.without("UserListAPI").write_config();
    let told = Cli::new("status alice").config(plain).ends_with(0).await;
    assert_says(&told.stdout, &["alice: btc; held switch to bcc"]);
}
