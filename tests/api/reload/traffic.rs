//! Reloads under traffic: no request fails because of an unrelated change, and accepted switches are written.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;

use super::{applied, patient};
use crate::support::client::{Answer, Request};
use crate::support::daemon::{PASSWORD, USER};
use crate::support::eventually;
use crate::support::seconds;
use crate::support::zookeeper::ZooKeeper;

#[tokio::test]
async fn clients_do_not_notice_unrelated_reloads() {
    const CLIENTS: usize = 4;
    let zookeeper = ZooKeeper::shared().await;
    let builder = patient(zookeeper)
        .set("ZKSubPoolUpdateBaseDir", "/t/reloaded/subpool/")
        .set("EnableCronJob", true)
        .set("UserCoinMapURL", "http://127.0.0.1:1/");
    let daemon = builder.start().await;
    let (over, switched) = (AtomicBool::new(false), AtomicUsize::new(0));
    let client = async |number: usize| {
        let mut connection = daemon.connect().await;
        let mut turn = 0;
        while !over.load(Ordering::Relaxed) {
            let coin = ["btc", "bcc"][turn % 2];
            let request = Request::switch(format!("user{number}"), coin);
            let response = connection.send(&request.credentials(USER, PASSWORD)).await;
            assert_eq!(response.unwrap().answer(), Answer::success());
            turn += 1;
            switched.fetch_add(1, Ordering::Relaxed);
        }
        turn
    };
    let operator = async {
        let changes = [
            ("AvailableCoins", json!(["btc", "ltc", "bcc"])),
            ("ZKQueueLimit", json!(1000)),
            ("ZKRequestTimeoutSeconds", json!(70)),
            ("APIBodyLimitBytes", json!(4096)),
            ("APIBodyTimeoutSeconds", json!(40)),
            ("JobmakerCoinbaseMaxBytes", json!(40)),
            ("ZKSubPoolUpdateAckTimeout", json!(7)),
            ("UserCoinMapURL", json!("http://127.0.0.1:1/other")),
            ("CronIntervalSeconds", json!(30)),
            ("ShutdownGraceSeconds", json!(9)),
        ];
        for (key, value) in changes.iter().cycle().take(3 * changes.len()) {
            let before = switched.load(Ordering::Relaxed);
            applied(&daemon, &builder.clone().set(key, value.clone())).await;
            // Traffic in between; the next reload reverts this change.
            eventually("switches between two reloads", seconds(30), || async {
                (switched.load(Ordering::Relaxed) >= before + CLIENTS).then_some(())
            })
            .await;
        }
        over.store(true, Ordering::Relaxed);
    };
    let clients = async { tokio::join!(client(0), client(1), client(2), client(3)) };
    let (turns, ()) = tokio::join!(clients, operator);
    let znodes = zookeeper.znodes().await;
    for (number, turns) in [turns.0, turns.1, turns.2, turns.3].into_iter().enumerate() {
        let coin = ["bcc", "btc"][turns % 2];
        let held = znodes.get(&daemon.path(&format!("user{number}"))).await;
        assert_eq!(held.as_deref(), Some(coin));
    }
}

#[tokio::test]
async fn a_request_keeps_the_configuration_of_its_start() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = patient(zookeeper);
    let daemon = builder.start().await;
    let batch = json!({"usercoins": [{"coin": "bcc", "punames": ["alice", "bob"]}]}).to_string();
    let request = Request::batch(batch.clone()).credentials(USER, PASSWORD);
    let mut early = daemon.connect().await;
    early.write(&request.head_bytes()).await.unwrap();
    early.write(&batch.as_bytes()[..10]).await.unwrap();
    // The daemon has checked the head once it answers a later request.
    assert_eq!(daemon.switch("carol", "bcc").await, Answer::success());
    let other = builder
        .set("AvailableCoins", json!(["ltc"]))
        .set("APIPassword", "another")
        .set("APIBodyLimitBytes", 1024);
    applied(&daemon, &other).await;
    let mut late = daemon.connect().await;
    assert_eq!(late.send(&request).await.unwrap().status, 401);
    early.write(&batch.as_bytes()[10..]).await.unwrap();
    assert_eq!(early.read_response().await.unwrap().answer(), Answer::success());
    // The next request of the same connection gets the new configuration.
    let response = early.send(&request).await.unwrap();
    assert_eq!(response.status, 401);
}

#[tokio::test]
async fn accepted_switches_are_written_after_their_coin_is_removed_and_the_queue_shortened() {
    let zookeeper = ZooKeeper::private().await;
    let builder = patient(&zookeeper)
        .admin()
        .set("ZKSessionTimeoutSeconds", 60)
        .set("ZKRequestTimeoutSeconds", 60);
    let daemon = builder.start().await;
    let admin = crate::admin::Admin::of(&daemon).await;
    admin.wait_until(200, "ready").await;
    assert_eq!(daemon.switch("first", "btc").await, Answer::success());
    zookeeper.stop();
    let names: Vec<_> = (0..10).map(|n| format!("user{n}")).collect();
    let batch = json!({"usercoins": [{"coin": "bcc", "punames": names}]}).to_string();
    let under_way = daemon.switch("first", "bcc");
    let waiting = async {
        admin.wait_for("switcher_zookeeper_chunks_in_flight", 1.0).await;
        daemon.batch(batch).await
    };
    let meanwhile = async {
        admin.wait_for("switcher_switches_waiting", 10.0).await;
        let other = builder
            .clone()
            .set("AvailableCoins", json!(["btc"]))
            .set("ZKQueueLimit", 5)
            .set("ZKRequestTimeoutSeconds", 1);
        let changed = applied(&daemon, &other).await;
        assert!(changed.contains("ZKQueueLimit from 1000000 to 5"), "{changed}");
        // New requests get the new limits.
        assert_eq!(daemon.switch("later", "bcc").await.err_no, 104);
        assert_eq!(daemon.switch("later", "btc").await.err_no, 107);
        applied(&daemon, &other.clone().set("ZKQueueLimit", 100)).await;
        let began = std::time::Instant::now();
        assert_eq!(daemon.switch("later", "btc").await.err_no, 105);
        assert!(began.elapsed() < seconds(30), "{:?}", began.elapsed());
        zookeeper.cont();
    };
    let (first, batch, ()) = tokio::join!(under_way, waiting, meanwhile);
    assert_eq!((first, batch), (Answer::success(), Answer::success()));
    let znodes = zookeeper.znodes().await;
    for name in names.iter().map(String::as_str).chain(["first"]) {
        assert_eq!(znodes.get(&daemon.path(name)).await.as_deref(), Some("bcc"), "{name}");
    }
    let series = r#"switcher_switches_total{source="api",coin="bcc",result="applied"}"#;
    admin.wait_for(series, 11.0).await;
}
