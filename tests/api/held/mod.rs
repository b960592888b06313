//! Held switches: real daemons with a safety period, and a real ZooKeeper. Except in `listed`, no list ever has a name,
//! so that each switch of an existing sub-account to a coin with a list is held.

mod crashes;
mod damage;
mod listed;
mod orders;
mod polls;
mod steps;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::time::sleep;
use zookeeper_client::{Acls, CreateMode};

use crate::support::{
    client::{self, Answer, Request},
    daemon::{Builder, Daemon, PASSWORD, USER},
    eventually, seconds,
    zookeeper::{Znodes, ZooKeeper},
};

/// Safety period of an interval of 2 s.
const PERIOD: u64 = 3;

/// A daemon with lists of `bcc` and `bch`, and none of `btc`.
pub fn holding(zookeeper: &ZooKeeper) -> Builder {
    Daemon::builder(zookeeper)
        .set("AvailableCoins", json!(["btc", "bcc", "bch"]))
        .set(
            "UserListAPI",
            json!({"bcc": "http://127.0.0.1:9/bcc", "bch": "http://127.0.0.1:9/bch"}),
        )
        .set("IntervalSeconds", 2)
}

fn intents(daemon: &Daemon) -> String {
    format!("{}_held/switches", daemon.watch_dir().trim_end_matches('/'))
}

/// Milliseconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// The due time of the switch that waits, in milliseconds since 1970.
async fn due(znodes: &Znodes, daemon: &Daemon, znode: &str) -> u64 {
    let intent = znodes.get(&format!("{}/{znode}", intents(daemon))).await.expect("an intent");
    serde_json::from_str::<Value>(&intent).unwrap()["due"].as_u64().unwrap()
}

/// The result of one switch.
async fn result(daemon: &Daemon, user: &str, coin: &str, flag: &str) -> Value {
    let json = json!({"usercoins": [{"coin": coin, "punames": [user]}]}).to_string();
    let request = Request::post(&format!("/switch/multi-user?{flag}=true")).body(json);
    let answer: Value = serde_json::from_slice(&daemon.send(request).await.body).unwrap();
    assert_eq!((&answer["err_no"], &answer["success"]), (&json!(0), &json!(true)), "{answer}");
    answer["results"][0].clone()
}

async fn becomes(znodes: &Znodes, path: &str, coin: &str) {
    eventually(&format!("{path} holds {coin}"), seconds(40), || async {
        (znodes.get(path).await.as_deref() == Some(coin)).then_some(())
    })
    .await;
}

/// Waits until no intent is left.
async fn settled(znodes: &Znodes, daemon: &Daemon) {
    eventually("no intent is left", seconds(40), || async {
        znodes.children(&intents(daemon)).await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_switch_is_held_until_its_due_time() {
    let zookeeper = ZooKeeper::shared().await;
    let znodes = zookeeper.znodes().await;
    let daemon = holding(zookeeper).admin().start().await;
    assert_eq!(daemon.switch("alice", "bcc").await, Answer::success());
    assert_eq!(
        znodes.get(&daemon.path("alice")).await.as_deref(),
        Some("bcc"),
        "a new one is created at once"
    );
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    assert_eq!(znodes.get(&daemon.path("alice")).await.as_deref(), Some("btc"), "btc has no list");

    assert_eq!(result(&daemon, "alice", "bcc", "dry_run").await["outcome"], "would_be_held");
    let (began, before) = (Instant::now(), now());
    let held = result(&daemon, "alice", "bcc", "results").await;
    let accepted = before..=now();
    assert_eq!((&held["outcome"], &held["old"]), (&json!("held"), &json!("btc")), "{held}");
    let intent = znodes.get(&format!("{}/alice", intents(&daemon))).await.expect("an intent");
    let intent: Value = serde_json::from_str(&intent).unwrap();
    assert_eq!((&intent["coin"], &intent["source"]), (&json!("bcc"), &json!("api")), "{intent}");
    let due = due(&znodes, &daemon, "alice").await;
    assert!(accepted.contains(&(due - PERIOD * 1_000)), "{intent}, accepted in {accepted:?}");
    let milliseconds = format!(".{:03}Z", due % 1_000);
    assert!(held["due"].as_str().unwrap().ends_with(&milliseconds), "{held}, {intent}");

    let path = daemon.path("alice");
    while znodes.get(&path).await.as_deref() == Some("btc") {
        assert!(began.elapsed() < seconds(40), "never carried out: {:#?}", daemon.log());
        sleep(Duration::from_millis(20)).await;
    }
    assert!(now() >= due, "early: {:?}", began.elapsed());
    assert_eq!(znodes.get(&path).await.as_deref(), Some("bcc"));
    settled(&znodes, &daemon).await;
    daemon.wait_for_log(&["held switch, ", "sub_account: alice", "outcome: carried out"]).await;
    daemon.wait_for_log(&["switch, ", "outcome: held", "due: "]).await;
    let changes = Request::get("/recent?limit=2").credentials(USER, PASSWORD);
    let changes = client::send(&daemon.admin().await, &changes).await.unwrap().text();
    let changes: Value = serde_json::from_str(&changes).unwrap();
    for (change, outcome) in [(0, "held"), (1, "carried out")] {
        let change = &changes["changes"][change];
        assert_eq!(
            (&change["outcome"], &change["due"]),
            (&json!(outcome), &held["due"]),
            "{change}"
        );
    }
}

#[tokio::test]
async fn a_later_switch_counts_held_or_not() {
    let zookeeper = ZooKeeper::shared().await;
    let (daemon, znodes) = (holding(zookeeper).start().await, zookeeper.znodes().await);
    for user in ["now", "later", "again"] {
        assert_eq!(daemon.switch(user, "btc").await, Answer::success());
        assert_eq!(result(&daemon, user, "bcc", "results").await["outcome"], "held");
    }
    assert_eq!(result(&daemon, "now", "btc", "results").await["outcome"], "applied");
    assert_eq!(result(&daemon, "later", "bch", "results").await["outcome"], "held");
    let due = result(&daemon, "again", "bcc", "results").await["due"].clone();
    sleep(seconds(1)).await;
    let repeated = result(&daemon, "again", "bcc", "results").await;
    assert_eq!(repeated["due"], due, "a repeated switch keeps its due time");
    becomes(&znodes, &daemon.path("later"), "bch").await;
    becomes(&znodes, &daemon.path("again"), "bcc").await;
    settled(&znodes, &daemon).await;
    assert_eq!(znodes.get(&daemon.path("now")).await.as_deref(), Some("btc"));
    daemon.wait_for_log(&["held switch, ", "sub_account: now", "outcome: obsolete"]).await;
}

#[tokio::test]
async fn a_foreign_change_is_never_overwritten_and_a_deleted_znode_is_created() {
    let zookeeper = ZooKeeper::shared().await;
    let (daemon, znodes) = (holding(zookeeper).start().await, zookeeper.znodes().await);
    for user in ["written", "deleted", "recreated"] {
        assert_eq!(daemon.switch(user, "btc").await, Answer::success());
        assert_eq!(result(&daemon, user, "bcc", "results").await["outcome"], "held");
    }
    znodes.put(&daemon.path("written"), "btc").await;
    znodes.remove(&daemon.path("deleted")).await;
    znodes.remove(&daemon.path("recreated")).await;
    // The version is again that of the acceptance.
    let persistent = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let client = zookeeper.client().await;
    client.create(&daemon.path("recreated"), b"btc", &persistent).await.unwrap();
    becomes(&znodes, &daemon.path("deleted"), "bcc").await;
    settled(&znodes, &daemon).await;
    for user in ["written", "recreated"] {
        assert_eq!(znodes.get(&daemon.path(user)).await.as_deref(), Some("btc"), "{user}");
    }
}

#[tokio::test]
async fn a_batch_of_many_is_held_as_a_whole() {
    let zookeeper = ZooKeeper::shared().await;
    let (daemon, znodes) = (holding(zookeeper).start().await, zookeeper.znodes().await);
    let users: Vec<String> = (0..1_200).map(|n| format!("user{n}")).collect();
    for coin in ["btc", "bcc"] {
        let json = json!({"usercoins": [{"coin": coin, "punames": users}]}).to_string();
        assert_eq!(daemon.batch(json).await, Answer::success());
    }
    let paths: Vec<String> = users.iter().map(|user| daemon.path(user)).collect();
    eventually("all are carried out", seconds(60), || async {
        let values = znodes.get_all(&paths).await;
        values.iter().all(|value| value.as_deref() == Some("bcc")).then_some(())
    })
    .await;
    settled(&znodes, &daemon).await;
}

#[tokio::test]
async fn a_daemon_without_lists_carries_out_the_rest_and_creates_nothing_otherwise() {
    let zookeeper = ZooKeeper::shared().await;
    let znodes = zookeeper.znodes().await;
    let builder = holding(zookeeper);
    let mut daemon = builder.start().await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    assert_eq!(result(&daemon, "alice", "bcc", "results").await["outcome"], "held");
    daemon.kill9();
    let plain = builder.without("UserListAPI").start().await;
    becomes(&znodes, &plain.path("alice"), "bcc").await;
    settled(&znodes, &plain).await;
    assert_eq!(result(&plain, "alice", "bch", "results").await["outcome"], "applied");

    let other = Daemon::start(zookeeper).await;
    assert_eq!(other.switch("bob", "btc").await, Answer::success());
    sleep(seconds(2)).await;
    let root = intents(&other).trim_end_matches("/switches").to_owned();
    assert_eq!(znodes.get(&root).await, None);
}

#[tokio::test]
async fn a_directory_that_was_removed_is_made_again() {
    let zookeeper = ZooKeeper::shared().await;
    let (daemon, znodes) = (holding(zookeeper).start().await, zookeeper.znodes().await);
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    let root = intents(&daemon).trim_end_matches("/switches").to_owned();
    eventually("a carrier", seconds(20), || async {
        znodes.get(&format!("{root}/carrier")).await.map(drop)
    })
    .await;
    znodes.remove(&intents(&daemon)).await;
    // More than a round.
    sleep(seconds(2)).await;
    assert_eq!(result(&daemon, "alice", "bcc", "results").await["outcome"], "held");
    becomes(&znodes, &daemon.path("alice"), "bcc").await;
    settled(&znodes, &daemon).await;
}
