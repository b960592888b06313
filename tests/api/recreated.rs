//! A znode that is deleted and created again between the daemon's read and its conditional write: the version is the
//! same, so ZooKeeper accepts the write. The daemon must detect and report this.

use serde_json::{Value, json};
use upstream_sim::{Gate, Reply, Upstream};
use zookeeper_client::{Acls, Client, CreateMode};

use crate::admin::Admin;
use crate::frame_proxy::{FrameProxy, MULTI, SET_DATA};
use crate::polls::{now, url};
use crate::support::client::{Answer, Request};
use crate::support::daemon::Daemon;
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, seconds, unique};

const SECOND: i64 = 1_700_000_000;
const METRIC: &str = "switcher_zookeeper_newer_znodes_overwritten_total";
const RACE: &str = "data has been updated at query time";

async fn create(client: &Client, path: &str, data: &str) {
    let persistent = CreateMode::Persistent.with_acls(Acls::anyone_all());
    client.create(path, data.as_bytes(), &persistent).await.unwrap();
}

async fn polls(daemon: &Daemon, count: usize) -> Vec<String> {
    eventually(&format!("poll {count}"), seconds(60), || async {
        let lines = daemon.log_with(&[" poll, ", "next_last_date: "]);
        (lines.len() >= count).then_some(lines)
    })
    .await
}

#[tokio::test]
async fn a_poll_that_overwrites_a_newer_znode_is_incomplete_and_names_it() {
    let zookeeper = ZooKeeper::shared().await;
    let proxy = FrameProxy::start(zookeeper.address()).await;
    let (upstream, gate) =
        (Upstream::start(|_| Reply::map(&[], now())).await.unwrap(), Gate::default());
    upstream.next(Reply::map(&[("alice", "btc"), ("bob", "btc")], SECOND));
    let map = [("alice", "bcc"), ("bob", "bcc"), ("new", "bcc")];
    upstream.next(Reply::map(&map, SECOND + 60).behind(&gate));
    let daemon = Daemon::builder(zookeeper)
        .set("ZKBroker", json!([proxy.address()]))
        .set("EnableCronJob", true)
        .set("CronIntervalSeconds", 1)
        .set("UserCoinMapURL", url(&upstream))
        .admin()
        .start()
        .await;
    let admin = Admin::of(&daemon).await;
    polls(&daemon, 1).await;
    let (client, path) = (zookeeper.client().await, daemon.path("alice"));
    let mut held = proxy.hold(MULTI);
    gate.open();
    held.arrived().await;
    client.delete(&path, None).await.unwrap();
    create(&client, &path, "newer").await;
    held.release();

    let poll = polls(&daemon, 2).await[1].clone();
    let kept = format!("next_last_date: {SECOND}");
    for part in ["outcome: incomplete", "written: 3", &kept] {
        assert!(poll.contains(part), "no {part:?} in {poll}");
    }
    let lines = daemon.log_with(&["ERR", "switch", &path, "new: bcc"]);
    assert_eq!(lines.len(), 1, "{:#?}", daemon.log());
    assert!(lines[0].contains("old: ?"), "{lines:?}");
    assert!(daemon.log_with(&["ERR", &daemon.path("bob")]).is_empty());
    assert_eq!(daemon.log_with(&["sub_account: bob, old: btc, new: bcc"]).len(), 1);
    assert_eq!(daemon.log_with(&["sub_account: new, old: -, new: bcc"]).len(), 1);
    assert_eq!(admin.samples().await.value(METRIC), 1.0);
    let recent = admin.get("/recent").await.text();
    let recent: Value = serde_json::from_str(&recent).unwrap();
    let changes = recent["changes"].as_array().unwrap();
    let change = changes
        .iter()
        .find(|change| change["sub_account"] == "alice" && change["new"] == "bcc")
        .unwrap();
    assert_eq!(change.get("old"), None, "{change}");
    assert!(
        change["cause"].as_str().is_some_and(|cause| cause.contains("created again")),
        "{change}"
    );

    // The next poll fetches the same again.
    eventually("the next request", seconds(30), || async {
        upstream.requests().get(2).map(|request| {
            assert_eq!(request.last_date(), Some(SECOND.to_string().as_str()));
        })
    })
    .await;
}

/// An undo writes the watch directory when it deletes; its part is played by a client.
#[tokio::test]
async fn a_poll_leaves_a_znode_that_was_created_after_an_undo() {
    let zookeeper = ZooKeeper::shared().await;
    let proxy = FrameProxy::start(zookeeper.address()).await;
    let (upstream, gate) =
        (Upstream::start(|_| Reply::map(&[], now())).await.unwrap(), Gate::default());
    upstream.next(Reply::map(&[("alice", "btc"), ("bob", "btc")], SECOND));
    let map = [("alice", "bcc"), ("bob", "bcc")];
    upstream.next(Reply::map(&map, SECOND + 60).behind(&gate));
    let daemon = Daemon::builder(zookeeper)
        .set("ZKBroker", json!([proxy.address()]))
        .set("EnableCronJob", true)
        .set("CronIntervalSeconds", 1)
        .set("UserCoinMapURL", url(&upstream))
        .start()
        .await;
    polls(&daemon, 1).await;
    let (client, path) = (zookeeper.client().await, daemon.path("alice"));
    let mut held = proxy.hold(MULTI);
    gate.open();
    held.arrived().await;
    client.set_data(daemon.watch_dir().trim_end_matches('/'), b"", None).await.unwrap();
    client.delete(&path, None).await.unwrap();
    create(&client, &path, "newer").await;
    held.release();

    let poll = polls(&daemon, 2).await[1].clone();
    assert!(poll.contains("written: 1, ") && poll.contains("switched_meanwhile: 1"), "{poll}");
    assert_eq!(client.get_data(&path).await.unwrap().0, b"newer");
    assert!(daemon.log_with(&["ERR"]).is_empty());
}

/// A sub-pool with an ack, for a daemon behind the proxy.
struct SubPool {
    daemon: Daemon,
    client: Client,
    request: String,
}

impl SubPool {
    async fn start(proxy: &FrameProxy, zookeeper: &ZooKeeper) -> Self {
        let root = format!("/t/{}/subpool", unique("recreated"));
        let daemon = Daemon::builder(zookeeper)
            .set("ZKBroker", json!([proxy.address()]))
            .set("ZKSubPoolUpdateBaseDir", format!("{root}/"))
            .set("ZKSubPoolUpdateAckTimeout", 10)
            .admin()
            .start()
            .await;
        let client = zookeeper.client().await;
        let persistent = CreateMode::Persistent.with_acls(Acls::anyone_all());
        client.mkdir(&format!("{root}/btc"), &persistent).await.unwrap();
        let sub_pool = Self { daemon, client, request: format!("{root}/btc/pool3") };
        sub_pool.create("old").await;
        sub_pool
    }

    async fn create(&self, coinbase_info: &str) {
        let request = json!({"coinbase_info": coinbase_info, "payout_addr": "address"});
        create(&self.client, &self.request, &request.to_string()).await;
        create(&self.client, &format!("{}/ack", self.request), "").await;
    }

    /// Deletes the request and creates a newer one with the same version.
    async fn create_again(&self) {
        let (_, before) = self.client.get_data(&self.request).await.unwrap();
        self.client.delete(&format!("{}/ack", self.request), None).await.unwrap();
        self.client.delete(&self.request, None).await.unwrap();
        self.create("newer").await;
        for _ in 0..before.version {
            self.client
                .set_data(&self.request, b"{\"coinbase_info\":\"newer\"}", None)
                .await
                .unwrap();
        }
    }

    async fn assert_reported(&self) {
        let line = self.daemon.wait_for_log(&["ERR", "sub-pool", &self.request, "written: "]).await;
        assert!(line.contains("pool3"), "{line}");
        let admin = Admin::of(&self.daemon).await;
        assert_eq!(admin.samples().await.value(METRIC), 1.0);
    }
}

fn ask(path: &str, fields: &Value) -> Request {
    let mut body = json!({"coin": "btc", "subpool_name": "pool3"});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    Request::post(path).body(body.to_string())
}

fn get() -> Request {
    ask("/subpool/get-coinbase", &json!({}))
}

#[tokio::test]
async fn gets_that_overwrite_a_newer_request_are_answered_with_the_race() {
    let zookeeper = ZooKeeper::shared().await;
    let proxy = FrameProxy::start(zookeeper.address()).await;
    let sub_pool = SubPool::start(&proxy, zookeeper).await;
    let mut held = proxy.hold(SET_DATA);
    let meddling = async {
        held.arrived().await;
        sub_pool.create_again().await;
        held.release();
    };
    let (answer, ()) = tokio::join!(sub_pool.daemon.send(get()), meddling);
    assert_eq!(answer.text(), Answer::error(500, RACE).to_string());
    sub_pool.assert_reported().await;
    assert!(sub_pool.daemon.log_with(&["asked: get", "outcome: outcome unknown"]).len() == 1);
}

/// The second write of an update is conditional, too.
#[tokio::test]
async fn an_update_that_writes_again_over_a_newer_request_is_answered_with_the_race() {
    let zookeeper = ZooKeeper::shared().await;
    let proxy = FrameProxy::start(zookeeper.address()).await;
    let sub_pool = SubPool::start(&proxy, zookeeper).await;
    let update = ask(
        "/subpool/update-coinbase",
        &json!({"payout_addr": "address", "coinbase_info": "ours"}),
    );
    let client = &sub_pool.client;
    let meddling = async {
        eventually("our write", seconds(20), || async {
            let (_, stat) = client.get_data(&sub_pool.request).await.unwrap();
            (stat.version == 1).then_some(())
        })
        .await;
        let mut held = proxy.hold(SET_DATA);
        let value = json!({"coinbase_info": "other", "payout_addr": "address"});
        let ack = json!({"success": true, "old": value, "new": value, "err_msg": "success"});
        let ack_path = format!("{}/ack", sub_pool.request);
        client.set_data(&ack_path, ack.to_string().as_bytes(), None).await.unwrap();
        held.arrived().await;
        sub_pool.create_again().await;
        held.release();
    };
    let (answer, ()) = tokio::join!(sub_pool.daemon.send(update), meddling);
    assert_eq!(answer.text(), Answer::error(500, RACE).to_string());
    sub_pool.assert_reported().await;
}
