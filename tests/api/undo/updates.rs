//! Coinbase updates.

use std::time::Duration;

use jobmaker_sim::{Jobmaker, Knobs, SubPool};

use super::*;
use crate::support::unique;

const ADDRESS: &str = "34woZDygXWqaVPnNxp5SUnbN6RNQ5koBt4";

struct Updates {
    scene: Scene,
    builder: Builder,
    _jobmaker: Jobmaker,
}

async fn start(zookeeper: &ZooKeeper) -> Updates {
    start_with(zookeeper, Knobs::default()).await
}

async fn start_with(zookeeper: &ZooKeeper, knobs: Knobs) -> Updates {
    let root = format!("/t/{}/subpool", unique("undo"));
    let builder = recording(zookeeper)
        .set("ZKSubPoolUpdateBaseDir", format!("{root}/"))
        .set("ZKSubPoolUpdateAckTimeout", 5);
    let sub_pool = SubPool::new(&format!("{root}/btc/pool1"), "first", ADDRESS);
    let jobmaker = Jobmaker::start(&zookeeper.address(), vec![sub_pool], knobs).await;
    let scene = Scene::of(zookeeper, &builder).await;
    Updates { scene, builder, _jobmaker: jobmaker.unwrap() }
}

fn values(info: &str) -> Value {
    json!({"coinbase_info": info, "payout_addr": ADDRESS})
}

impl Updates {
    async fn update(&self, info: &str) -> String {
        let body = json!({"coin": "btc", "subpool_name": "pool1", "payout_addr": ADDRESS,
            "coinbase_info": info});
        let request = Request::post("/subpool/update-coinbase").body(body.to_string());
        let response = self.scene.daemon.send(request).await;
        assert!(response.text().contains(r#""success":true"#), "{response:?}");
        id(&response)
    }

    async fn current(&self) -> Value {
        let body = json!({"coin": "btc", "subpool_name": "pool1"}).to_string();
        let response =
            self.scene.daemon.send(Request::post("/subpool/get-coinbase").body(body)).await;
        let answer: Value = serde_json::from_slice(&response.body).unwrap();
        answer["old"].clone()
    }
}

#[tokio::test]
async fn an_update_is_taken_back_by_an_update_and_so_is_its_undo() {
    let updates = start(ZooKeeper::shared().await).await;
    let scene = &updates.scene;
    let request = updates.update("second").await;
    let result = |outcome: &str, now: &str, back_to: &str| {
        json!([{"coin": "btc", "sub_pool": "pool1", "now": values(now), "back_to": values(back_to),
            "outcome": outcome}])
    };
    let planned = scene.dry_run(&request).await;
    assert_eq!(planned.body["results"], result("would_restore", "second", "first"));
    assert_eq!(updates.current().await, values("second"));

    let undone = scene.undo_request(&request).await;
    assert_eq!(undone.body["results"], result("restored", "second", "first"), "{undone:?}");
    assert_eq!(updates.current().await, values("first"));
    let undo = undone.request();
    assert_eq!(scene.row(&undo).await["undo_of"], json!(request));
    let again = scene.undo_request(&request).await;
    assert_eq!(again.error(), (409, format!("request '{request}' was undone by '{undo}'")));

    let redone = scene.undo_request(&undo).await;
    assert_eq!(redone.body["results"], result("restored", "first", "second"), "{redone:?}");
    assert_eq!(updates.current().await, values("second"));
}

#[tokio::test]
async fn newer_values_stay_and_their_request_is_named() {
    let updates = start(ZooKeeper::shared().await).await;
    let request = updates.update("second").await;
    let newer = updates.update("third").await;
    let undone = updates.scene.undo_request(&request).await;
    let result = &undone.body["results"][0];
    assert_eq!(
        [&result["outcome"], &result["cause"], &result["by"], &result["now"]],
        [&json!("left_alone"), &json!("switched since"), &json!(newer), &values("third")],
        "{undone:?}"
    );
    assert_eq!(updates.current().await, values("third"));
}

#[tokio::test]
async fn an_update_that_comes_during_an_undo_wins() {
    let delay_before_ack = Duration::from_millis(300);
    let knobs = Knobs { delay_before_ack, ..Knobs::default() };
    let updates = start_with(ZooKeeper::shared().await, knobs).await;
    for wait in [0, 150, 450] {
        let request = updates.update("second").await;
        let newer = async {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            updates.update("third").await
        };
        let (undone, _) = tokio::join!(updates.scene.undo_request(&request), newer);
        assert_eq!(updates.current().await, values("third"), "{undone:?}");
    }
}

#[tokio::test]
async fn without_the_sub_pool_api_an_update_cannot_be_undone() {
    let zookeeper = ZooKeeper::shared().await;
    let Updates { mut scene, builder, .. } = {
        let updates = start(zookeeper).await;
        updates.update("second").await;
        updates
    };
    let page = scene.admin.get("/history?kind=update").await;
    let page: Value = serde_json::from_slice(&page.body).unwrap();
    let request = page["changes"][0]["request"].as_str().unwrap().to_owned();
    scene.daemon.kill9();
    let scene = Scene::of(zookeeper, &builder.set("ZKSubPoolUpdateBaseDir", "")).await;
    for dry_run in [true, false] {
        let (status, text) =
            scene.undo(json!({"request": request, "dry_run": dry_run})).await.error();
        assert_eq!(status, 400);
        assert!(text.contains("the sub-pool API is off (ZKSubPoolUpdateBaseDir)"), "{text}");
    }
}
