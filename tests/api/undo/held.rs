//! Held switches.

use super::*;
use crate::held::holding;
use crate::support::{eventually, seconds};

async fn scene(zookeeper: &ZooKeeper) -> Scene {
    Scene::of(zookeeper, &with_history(holding(zookeeper))).await
}

fn intents(scene: &Scene) -> String {
    format!("{}_held/switches", scene.daemon.watch_dir().trim_end_matches('/'))
}

async fn settled(scene: &Scene) {
    eventually("no intent is left", seconds(40), || async {
        scene.znodes.children(&intents(scene)).await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_held_switch_that_waits_is_taken_back_and_never_carried_out() {
    let scene = scene(ZooKeeper::shared().await).await;
    scene.switch("btc", &["alice"]).await;
    let request = scene.switch("bcc", &["alice"]).await;
    let undone = scene.undo_request(&request).await;
    undone.request();
    assert_eq!(undone.lines(), ["alice: btc -> btc restored"]);
    settled(&scene).await;
    assert_eq!(scene.coin("alice").await.as_deref(), Some("btc"));
    scene.daemon.wait_for_log(&["held switch, ", "sub_account: alice", "outcome: obsolete"]).await;
}

#[tokio::test]
async fn a_held_switch_that_was_carried_out_is_taken_back_once() {
    let scene = scene(ZooKeeper::shared().await).await;
    scene.switch("btc", &["alice"]).await;
    let request = scene.switch("bcc", &["alice"]).await;
    settled(&scene).await;
    scene.daemon.wait_for_log(&["held switch, ", "outcome: carried out"]).await;
    let undone = scene.undo_request(&request).await;
    assert_eq!(undone.lines(), ["alice: bcc -> btc restored"]);
    assert_eq!(scene.coin("alice").await.as_deref(), Some("btc"));
}

#[tokio::test]
async fn a_newer_held_switch_counts_as_switched_since() {
    let scene = scene(ZooKeeper::shared().await).await;
    scene.switch("bcc", &["alice", "bob"]).await;
    let request = scene.switch("btc", &["alice", "bob"]).await;
    let newer = scene.switch("bch", &["alice"]).await;
    let undone = scene.undo_request(&request).await;
    let mut lines = undone.lines();
    lines.sort();
    assert_eq!(lines, ["alice: btc -> bcc left_alone: switched since", "bob: btc -> bcc restored"]);
    let results = undone.body["results"].as_array().unwrap();
    let alice = results.iter().find(|it| it["sub_account"] == "alice").unwrap();
    assert_eq!(alice["by"], json!(newer), "{undone:?}");
    settled(&scene).await;
    assert_eq!(scene.coin("alice").await.as_deref(), Some("bch"));
}
