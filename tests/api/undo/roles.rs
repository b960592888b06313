//! An undo needs the role of what it takes back; a dry run only that of a viewer.

use jobmaker_sim::{Jobmaker, Knobs, SubPool};

use super::*;
use crate::support::unique;
use crate::support::users::{token_of, with_token};

const ADDRESS: &str = "34woZDygXWqaVPnNxp5SUnbN6RNQ5koBt4";

/// An undo by the user of that name.
async fn undo_by(scene: &Scene, user: &str, body: &Value) -> Undone {
    let request = Request::post("/undo").body(body.to_string());
    let request = request.header("Authorization", format!("Bearer {}", token_of(user)));
    let response = scene.admin.send(&request).await;
    let body = serde_json::from_slice(&response.body).unwrap();
    Undone { status: response.status, body }
}

#[tokio::test]
async fn an_undo_needs_the_role_of_what_it_takes_back() {
    let zookeeper = ZooKeeper::shared().await;
    let root = format!("/t/{}/subpool", unique("undo-roles"));
    let users =
        ["viewer", "switcher", "payout"].map(|role| with_token(&format!("a-{role}"), &[role]));
    let builder =
        recording(zookeeper).users(&users).set("ZKSubPoolUpdateBaseDir", format!("{root}/"));
    let sub_pool = SubPool::new(&format!("{root}/btc/pool1"), "first", ADDRESS);
    let jobmaker = Jobmaker::start(&zookeeper.address(), vec![sub_pool], Knobs::default()).await;
    let _jobmaker = jobmaker.unwrap();
    let scene = Scene::of(zookeeper, &builder).await;
    scene.switch("btc", &["alice"]).await;
    let switch = scene.switch("bcc", &["alice"]).await;
    let body = json!({"coin": "btc", "subpool_name": "pool1", "payout_addr": ADDRESS,
        "coinbase_info": "second"});
    let update = Request::post("/subpool/update-coinbase").body(body.to_string());
    let response = scene.daemon.send(update).await;
    assert!(response.text().contains(r#""success":true"#), "{response:?}");
    let update = id(&response);

    let cases = [
        (&switch, "switcher", "switch sub-accounts", ["a-viewer", "a-payout"]),
        (&update, "payout", "change payout addresses", ["a-viewer", "a-switcher"]),
    ];
    for (request, role, activity, others) in cases {
        for user in others {
            let refused = undo_by(&scene, user, &json!({"request": request})).await;
            let (status, text) = refused.error();
            let expected = format!("user '{user}' may not {activity} (role {role})");
            assert_eq!(status, 403, "{text}");
            assert!(text.starts_with(&expected), "{text}");
            let dry = undo_by(&scene, user, &json!({"request": request, "dry_run": true})).await;
            assert_eq!((dry.status, &dry.body["success"]), (200, &json!(true)), "{dry:?}");
        }
    }
    assert_eq!(scene.coin("alice").await.as_deref(), Some("bcc"));
    let refused = scene.daemon.log_with(&["request refused", "may not", "path: /undo"]);
    assert_eq!(refused.len(), 4, "{refused:#?}");

    for (request, role, ..) in cases {
        let undone = undo_by(&scene, &format!("a-{role}"), &json!({"request": request})).await;
        let undo = undone.request();
        let row = scene.row(&undo).await;
        assert_eq!(
            (&row["actor"], &row["undo_of"]),
            (&json!(format!("a-{role}")), &json!(request))
        );
    }
    assert_eq!(scene.coin("alice").await.as_deref(), Some("btc"));
}
