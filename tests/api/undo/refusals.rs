//! Errors, and failures of ZooKeeper.

use rustix::process::Signal;

use super::*;
use crate::support::{eventually, seconds};

#[tokio::test]
async fn what_cannot_be_undone_is_refused_with_the_reason() {
    let scene = Scene::start(ZooKeeper::shared().await).await;
    let unknown = "00000000000000ff";
    for dry_run in [true, false] {
        let refused = scene.undo(json!({"request": unknown, "dry_run": dry_run})).await;
        assert_eq!(refused.error(), (404, format!("request '{unknown}' is not in the history")));
    }
    for (body, part) in [
        (json!({"request": unknown, "dryrun": true}), "unknown field `dryrun`"),
        (json!({"request": unknown, "dry_run": "true"}), "expected a boolean"),
        (json!({"request": "255"}), "expected 16 hexadecimal digits"),
        (json!({}), "missing field `request`"),
    ] {
        let (status, text) = scene.undo(body.clone()).await.error();
        assert_eq!(status, 400, "{body}");
        assert!(text.contains(part) && text.contains("nothing was written"), "{body}: {text}");
    }
    scene.daemon.signal(Signal::HUP);
    let reload = eventually("the reload", seconds(20), || async {
        let page = scene.admin.get("/history?kind=reload").await;
        let page: Value = serde_json::from_slice(&page.body).unwrap();
        page["changes"][0]["request"].as_str().map(str::to_owned)
    });
    if let Ok(reload) = tokio::time::timeout(seconds(5), reload).await {
        let refused = scene.undo_request(&reload).await;
        let text = format!("request '{reload}' is a reload, which cannot be undone");
        assert_eq!(refused.error(), (400, text));
    }
}

#[tokio::test]
async fn other_methods_sites_and_clients_without_credentials_are_refused() {
    let scene = Scene::start(ZooKeeper::shared().await).await;
    scene.switch("btc", &["alice"]).await;
    let body = json!({"request": scene.switch("bcc", &["alice"]).await}).to_string();
    let get = scene.admin.get("/undo").await;
    assert_eq!((get.status, get.header("Allow")), (405, Some("POST")));
    let post = Request::post("/undo").body(body.clone());
    assert_eq!(scene.admin.send(&post).await.status, 401);
    let post = post.credentials(USER, PASSWORD).header("Sec-Fetch-Site", "cross-site");
    assert_eq!(scene.admin.send(&post).await.status, 403);
    assert_eq!(scene.coin("alice").await.as_deref(), Some("bcc"));
}

#[tokio::test]
async fn without_a_history_there_is_no_undo() {
    let zookeeper = ZooKeeper::shared().await;
    let scene = Scene::of(zookeeper, &Daemon::builder(zookeeper).admin()).await;
    let (status, text) = scene.undo_request("00000000000000ff").await.error();
    assert_eq!(status, 404);
    assert!(text.contains("HistoryFile"), "{text}");
}

#[tokio::test]
async fn without_zookeeper_nothing_is_put_back_and_the_answer_says_so() {
    let mut zookeeper = ZooKeeper::private().await;
    let scene = Scene::start(&zookeeper).await;
    scene.switch("btc", &["alice"]).await;
    let request = scene.switch("bcc", &["alice"]).await;
    zookeeper.kill9();
    scene.daemon.wait_for_log(&["ZooKeeper connection lost"]).await;
    for undone in [scene.dry_run(&request).await, scene.undo_request(&request).await] {
        assert_eq!((undone.status, &undone.body["success"]), (500, &json!(false)), "{undone:?}");
        let line = "alice: ? -> btc not_applied: there is no session with ZooKeeper";
        assert_eq!(undone.lines(), [line]);
    }
    zookeeper.restart().await;
    let undone = eventually("a session", seconds(40), || async {
        let undone = scene.undo_request(&request).await;
        (undone.status == 200).then_some(undone)
    })
    .await;
    assert_eq!(undone.lines(), ["alice: bcc -> btc restored"], "a failed undo is none");
}
