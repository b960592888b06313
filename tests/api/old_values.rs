//! `old` while another client writes the same znodes: by the znode's version history, each reported value is the one
//! that our write replaced.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use zookeeper_client::{Acl, Acls, AuthId, Client, CreateMode, Error, Permission};

use crate::frame_proxy::{FrameProxy, MULTI};
use crate::support::client::Request;
use crate::support::daemon::Daemon;
use crate::support::zookeeper::ZooKeeper;

/// Switches of a large transaction, and of a small one.
const MANY: usize = 400;
const FEW: usize = 40;

/// A znode's data in each of its states, by creating transaction and version.
type History = BTreeMap<(i64, i32), String>;

async fn create(client: &Client, path: &str, data: &str) -> Option<((i64, i32), String)> {
    let persistent = CreateMode::Persistent.with_acls(Acls::anyone_all());
    match client.create(path, data.as_bytes(), &persistent).await {
        Ok((stat, _)) => Some(((stat.czxid, stat.version), data.to_owned())),
        Err(Error::NodeExists) => None,
        Err(error) => panic!("{path}: {error}"),
    }
}

async fn set(client: &Client, path: &str, data: &str) -> Option<((i64, i32), String)> {
    match client.set_data(path, data.as_bytes(), None).await {
        Ok(stat) => Some(((stat.czxid, stat.version), data.to_owned())),
        Err(Error::NoNode) => None,
        Err(error) => panic!("{path}: {error}"),
    }
}

/// Writes all users with `results=true`.
async fn results(daemon: &Daemon, users: &[String]) -> Vec<Value> {
    let json = json!({"usercoins": [{"coin": "bcc", "punames": users}]}).to_string();
    let response = daemon.send(Request::post("/switch/multi-user?results=true").body(json)).await;
    let answer: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(answer["success"], true, "{answer}");
    answer["results"].as_array().unwrap().clone()
}

/// Panics if `old` of this result is not the value that the daemon's only write of the znode replaced. Returns whether
/// `old` is reported.
async fn check(client: &Client, path: &str, history: &History, result: &Value) -> bool {
    let (_, stat) = client.get_data(path).await.unwrap();
    let is_ours = |version: &i32| !history.contains_key(&(stat.czxid, *version));
    let ours: Vec<i32> = (0..=stat.version).filter(is_ours).collect();
    assert_eq!(ours.len(), 1, "{path}: one of the writes is the daemon's");
    let before = (ours[0] > 0).then(|| history[&(stat.czxid, ours[0] - 1)].clone());
    match result.get("old") {
        None => false,
        Some(old) => {
            assert_eq!(*old, json!(before), "{path}: {history:?}");
            true
        }
    }
}

fn users(round: usize, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("r{round}-{number}")).collect()
}

/// After the read, the write is held back, and another client writes some of the znodes in between.
#[tokio::test]
async fn a_write_between_our_read_and_our_write_is_not_reported_as_old() {
    let zookeeper = ZooKeeper::shared().await;
    let proxy = FrameProxy::start(zookeeper.address()).await;
    let daemon = Daemon::builder(zookeeper).set("ZKBroker", json!([proxy.address()])).start().await;
    let client = zookeeper.client().await;
    // The daemon has a session, and has created the directory.
    assert!(daemon.switch("other", "btc").await.success);
    for (round, (count, exist)) in
        [(MANY, true), (MANY, false), (FEW, true), (FEW, false)].into_iter().enumerate()
    {
        let users = users(round, count);
        let paths: Vec<String> = users.iter().map(|user| daemon.path(user)).collect();
        let mut histories = vec![History::new(); count];
        if exist {
            for (path, history) in paths.iter().zip(&mut histories) {
                history.extend(create(&client, path, "first").await);
            }
        }
        let mut held = proxy.hold(MULTI);
        let meddling = async {
            held.arrived().await;
            for (path, history) in paths.iter().zip(&mut histories).step_by(4) {
                history.extend(create(&client, path, "made").await);
                history.extend(set(&client, path, "changed").await);
            }
            held.release();
        };
        let (results, ()) = tokio::join!(results(&daemon, &users), meddling);
        let mut reported = 0;
        for ((path, history), result) in paths.iter().zip(&histories).zip(&results) {
            reported += usize::from(check(&client, path, history, result).await);
        }
        // All undisturbed znodes that were read or created by the daemon are reported.
        assert!(reported >= count * 3 / 4 - 5, "round {round}: {reported} of {count} are reported");
        // The log agrees.
        let changed = format!("sub_account: {}, old: ?", users[0]);
        daemon.wait_for_log(&[&changed, "outcome: applied"]).await;
    }
}

/// A znode is deleted and created again between read and write.
#[tokio::test]
async fn a_znode_that_was_created_again_between_read_and_write_has_no_old_value() {
    let zookeeper = ZooKeeper::shared().await;
    let proxy = FrameProxy::start(zookeeper.address()).await;
    let daemon = Daemon::builder(zookeeper).set("ZKBroker", json!([proxy.address()])).start().await;
    let client = zookeeper.client().await;
    let users = users(0, MANY);
    assert!(daemon.switch("other", "btc").await.success);
    for user in &users {
        create(&client, &daemon.path(user), "first").await;
    }
    let mut held = proxy.hold(MULTI);
    let path = daemon.path(&users[7]);
    let meddling = async {
        held.arrived().await;
        client.delete(&path, None).await.unwrap();
        create(&client, &path, "again").await;
        held.release();
    };
    let (results, ()) = tokio::join!(results(&daemon, &users), meddling);
    for (index, result) in results.iter().enumerate() {
        let old = (index != 7).then_some("first");
        assert_eq!(result.get("old").and_then(Value::as_str), old, "{index}");
    }
}

/// Another client creates and writes the same znodes all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_each_old_value_is_the_one_that_was_replaced() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    let client = zookeeper.client().await;
    let mut reported = 0;
    for round in 0..8 {
        let users = users(round, MANY);
        let paths: Vec<String> = users.iter().map(|user| daemon.path(user)).collect();
        let mut histories = vec![History::new(); MANY];
        if round % 2 == 0 {
            let created = join_all(paths.iter().map(|path| create(&client, path, "first"))).await;
            histories.iter_mut().zip(created).for_each(|(history, entry)| history.extend(entry));
        }
        let meddling = async {
            for write in 0..3 {
                let data = format!("meddler {write}");
                tokio::time::sleep(Duration::from_millis(fastrand::u64(..8))).await;
                let written = join_all(paths.iter().map(async |path| {
                    (create(&client, path, &data).await, set(&client, path, &data).await)
                }));
                for (history, (created, set)) in histories.iter_mut().zip(written.await) {
                    history.extend(created.into_iter().chain(set));
                }
            }
        };
        let (results, ()) = tokio::join!(results(&daemon, &users), meddling);
        for ((path, history), result) in paths.iter().zip(&histories).zip(&results) {
            reported += usize::from(check(&client, path, history, result).await);
        }
    }
    assert!(reported > 0, "no old value was reported");
}

/// After many new sub-accounts in a row the daemon creates the next without a read. Here some of them exist.
#[tokio::test]
async fn a_wrong_guess_that_sub_accounts_are_new_costs_no_old_value() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    let client = zookeeper.client().await;
    let new = users(0, FEW);
    for result in results(&daemon, &new).await {
        assert_eq!(result["old"], Value::Null, "{result}");
    }
    let mixed = [&new[..2], &users(1, 4)].concat();
    for user in &mixed[4..] {
        create(&client, &daemon.path(user), "first").await;
    }
    let results = results(&daemon, &mixed).await;
    let old: Vec<&Value> = results.iter().map(|result| &result["old"]).collect();
    let expected = ["bcc", "bcc", "", "", "first", "first"].map(|old| match old {
        "" => Value::Null,
        coin => json!(coin),
    });
    assert_eq!(old, expected.iter().collect::<Vec<_>>(), "{results:?}");
    assert!(results.iter().all(|result| result.get("old").is_some()), "{results:?}");
}

/// The guess fails in another way where the daemon may write the znodes, but not create any.
#[tokio::test]
async fn a_wrong_guess_is_corrected_where_nothing_may_be_created() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    let client = zookeeper.client().await;
    results(&daemon, &users(0, FEW)).await;
    let path = daemon.path("late");
    create(&client, &path, "first").await;
    let (directory, _) = path.rsplit_once('/').unwrap();
    let no_creates = Permission::READ | Permission::WRITE | Permission::ADMIN;
    let acl = Acl::new(no_creates, AuthId::anyone());
    client.set_acl(directory, &[acl], None).await.unwrap();
    let results = results(&daemon, &["late".to_owned()]).await;
    assert_eq!(results[0]["old"], "first", "{results:?}");
    assert_eq!(daemon.switch("missing", "btc").await.err_no, 107);
}
