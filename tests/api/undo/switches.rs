//! Entries that are put back, and entries that are left alone.

use upstream_sim::{Reply, Upstream};
use zookeeper_client::{Acls, CreateMode};

use super::*;
use crate::frame_proxy::{FrameProxy, MULTI};
use crate::polls::{now, url};
use crate::support::{eventually, seconds};

#[tokio::test]
async fn a_switch_is_taken_back_and_so_is_its_undo() {
    let scene = Scene::start(ZooKeeper::shared().await).await;
    scene.switch("btc", &["alice"]).await;
    let request = scene.switch("bcc", &["alice"]).await;

    let planned = scene.dry_run(&request).await;
    planned.request();
    assert_eq!(planned.lines(), ["alice: bcc -> btc would_restore"]);
    assert_eq!(scene.coin("alice").await.as_deref(), Some("bcc"), "a dry run writes nothing");

    let undone = scene.undo(json!({"request": request, "comment": "wrong batch"})).await;
    let undo = undone.request();
    assert_eq!(undone.lines(), ["alice: bcc -> btc restored"]);
    assert_eq!(scene.coin("alice").await.as_deref(), Some("btc"));
    scene.daemon.wait_for_log(&["switch, source: undo", "alice, old: bcc, new: btc"]).await;
    let row = scene.row(&undo).await;
    assert_eq!(
        [&row["source"], &row["undo_of"], &row["comment"], &row["applied"]],
        [&json!("undo"), &json!(request), &json!("wrong batch"), &json!(1)],
        "{row}"
    );
    assert_eq!(scene.row(&request).await["undone_by"], json!(undo));
    let series = r#"switcher_switches_total{source="undo",coin="btc",result="applied"}"#;
    scene.admin.wait_for(series, 1.0).await;

    let again = scene.undo_request(&request).await;
    assert_eq!(again.error(), (409, format!("request '{request}' was undone by '{undo}'")));
    let planned = scene.dry_run(&request).await;
    assert_eq!(planned.lines(), ["alice: btc -> btc left_alone: switched since"]);
    assert_eq!(planned.body["results"][0]["by"], json!(undo));

    let redone = scene.undo_request(&undo).await;
    assert_eq!(redone.lines(), ["alice: btc -> bcc restored"]);
    assert_eq!(scene.coin("alice").await.as_deref(), Some("bcc"));
    assert_eq!(scene.row(&request).await.get("undone_by"), None, "its undo was undone");
    let third = scene.undo_request(&request).await;
    assert_eq!(third.lines(), ["alice: bcc -> btc left_alone: switched since"]);
    assert_eq!(scene.row(&request).await.get("undone_by"), None, "nothing was changed");
}

#[tokio::test]
async fn created_znodes_are_deleted_on_request_and_created_again() {
    let scene = Scene::start(ZooKeeper::shared().await).await;
    scene.switch("btc", &["old"]).await;
    let request = scene.switch("bcc", &["new", "old"]).await;
    let undone = scene.dry_run(&request).await;
    let (kept, restored) =
        ("new: bcc -> - left_alone: created by that request", "old: bcc -> btc would_restore");
    assert_eq!(undone.lines(), [kept, restored]);

    let body = json!({"request": request, "delete_created": true, "dry_run": true});
    let planned = scene.undo(body).await;
    assert_eq!(planned.lines(), ["new: bcc -> - would_delete", "old: bcc -> btc would_restore"]);
    let undone = scene.undo(json!({"request": request, "delete_created": true})).await;
    assert_eq!(undone.lines(), ["new: bcc -> - deleted", "old: bcc -> btc restored"]);
    assert_eq!((scene.coin("new").await, scene.coin("old").await.as_deref()), (None, Some("btc")));
    scene
        .daemon
        .wait_for_log(&["switch, source: undo", "new, old: bcc, new: -, outcome: applied"])
        .await;
    let series = r#"switcher_switches_total{source="undo",coin="-",result="applied"}"#;
    scene.admin.wait_for(series, 1.0).await;

    let redone = scene.undo_request(&undone.request()).await;
    assert_eq!(redone.lines(), ["new: - -> bcc restored", "old: btc -> bcc restored"]);
    assert_eq!(scene.coin("new").await.as_deref(), Some("bcc"));
    // What the undo created is deleted again.
    let body = json!({"request": redone.request(), "delete_created": true});
    assert_eq!(scene.undo(body).await.lines()[0], "new: bcc -> - deleted");
    // A switch after the deletion finds no znode.
    scene.switch("btc", &["new"]).await;
    assert_eq!(scene.coin("new").await.as_deref(), Some("btc"));
    let body = json!({"request": redone.request(), "dry_run": true});
    assert_eq!(scene.undo(body).await.status, 200);
}

#[tokio::test]
async fn a_deleted_znode_that_somebody_created_stays() {
    let scene = Scene::start(ZooKeeper::shared().await).await;
    let request = scene.switch("bcc", &["alice"]).await;
    let undone = scene.undo(json!({"request": request, "delete_created": true})).await;
    let newer = scene.switch("bcc", &["alice"]).await;
    let redone = scene.undo_request(&undone.request()).await;
    assert_eq!(redone.lines(), ["alice: bcc -> bcc left_alone: switched since"]);
    assert_eq!(redone.body["results"][0]["by"], json!(newer));
}

#[tokio::test]
async fn whatever_was_written_since_stays_and_its_request_is_named_if_known() {
    let zookeeper = ZooKeeper::shared().await;
    let scene = Scene::start(zookeeper).await;
    let users = ["api", "same", "foreign", "deleted", "recreated", "untouched"];
    scene.switch("btc", &users).await;
    let request = scene.switch("bcc", &users).await;
    let newer = scene.switch("btc", &["api"]).await;
    let same = scene.switch("bcc", &["same"]).await;
    scene.znodes.put(&scene.daemon.path("foreign"), "bcc").await;
    scene.znodes.remove(&scene.daemon.path("deleted")).await;
    // The same value and version, but another znode.
    let (client, path) = (zookeeper.client().await, scene.daemon.path("recreated"));
    let (_, before) = client.get_data(&path).await.unwrap();
    client.delete(&path, None).await.unwrap();
    let persistent = CreateMode::Persistent.with_acls(Acls::anyone_all());
    client.create(&path, b"bcc", &persistent).await.unwrap();
    for _ in 0..before.version {
        client.set_data(&path, b"bcc", None).await.unwrap();
    }
    let after = client.get_data(&path).await.unwrap().1;
    assert_eq!(after.version, before.version);

    for undone in [scene.dry_run(&request).await, scene.undo_request(&request).await] {
        let mut lines = undone.lines();
        lines.sort();
        let since =
            |user: &str, now: &str| format!("{user}: {now} -> btc left_alone: switched since");
        assert_eq!(
            lines[..5],
            [
                since("api", "btc"),
                since("deleted", "-"),
                since("foreign", "bcc"),
                since("recreated", "bcc"),
                since("same", "bcc")
            ]
        );
        for result in undone.body["results"].as_array().unwrap() {
            let by = match result["sub_account"].as_str().unwrap() {
                "api" => json!(newer),
                "same" => json!(same),
                _ => Value::Null,
            };
            assert_eq!(result["by"], by, "{result}");
            assert_eq!(result.get("at").is_some(), by.is_string(), "{result}");
        }
    }
    assert_eq!(scene.coin("untouched").await.as_deref(), Some("btc"));
    assert_eq!(client.get_data(&path).await.unwrap().1.mzxid, after.mzxid, "left alone");
}

#[tokio::test]
async fn old_coins_that_are_not_known_or_not_configured_are_not_written() {
    let scene = Scene::start(ZooKeeper::shared().await).await;
    scene.znodes.put(&scene.daemon.path("foreign"), "doge").await;
    let request = scene.switch("bcc", &["foreign"]).await;
    let undone = scene.undo_request(&request).await;
    assert_eq!(undone.lines(), ["foreign: bcc -> doge left_alone: old coin not known"]);
    assert_eq!(scene.row(&request).await.get("undone_by"), None);
}

#[tokio::test]
async fn a_large_request_is_undone_in_slices_after_a_restart() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = recording(zookeeper);
    let mut scene = Scene::of(zookeeper, &builder).await;
    let users: Vec<String> = (0..20_000).map(|n| format!("user{n}")).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    scene.switch("btc", &users).await;
    let request = scene.switch("bcc", &users).await;
    scene.switch("btc", &users[7_000..7_003]).await;
    scene.daemon.signal(rustix::process::Signal::TERM);
    scene.daemon.wait_exit(seconds(30)).await;
    let scene = Scene::of(zookeeper, &builder).await;
    let undone = scene.undo_request(&request).await;
    undone.request();
    let count = |end: &str| undone.lines().iter().filter(|line| line.ends_with(end)).count();
    assert_eq!((count("restored"), count("switched since")), (19_997, 3));
    let paths: Vec<String> = users.iter().map(|user| scene.daemon.path(user)).collect();
    let coins = scene.znodes.get_all(&paths).await;
    assert!(coins.iter().all(|coin| coin.as_deref() == Some("btc")));
}

#[tokio::test]
async fn the_part_of_a_poll_is_taken_back() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = Upstream::start(|_| Reply::map(&[], now())).await.unwrap();
    upstream.next(Reply::map(&[("alice", "btc"), ("bob", "btc")], 1_700_000_000));
    upstream.next(Reply::map(&[("alice", "bcc"), ("bob", "bcc")], 1_700_000_060));
    let builder = recording(zookeeper)
        .set("EnableCronJob", true)
        .set("CronIntervalSeconds", 1)
        .set("UserCoinMapURL", url(&upstream));
    let scene = Scene::of(zookeeper, &builder).await;
    let poll = eventually("the second poll", seconds(30), || async {
        let page = scene.admin.get("/history?source=poll&coin=bcc").await;
        let page: Value = serde_json::from_slice(&page.body).unwrap();
        page["changes"][0]["request"].as_str().map(str::to_owned)
    })
    .await;
    let undone = scene.undo_request(&poll).await;
    let mut lines = undone.lines();
    lines.sort();
    assert_eq!(lines, ["alice: bcc -> btc restored", "bob: bcc -> btc restored"]);
}

#[tokio::test]
async fn an_unknown_outcome_is_left_alone() {
    let zookeeper = ZooKeeper::shared().await;
    let proxy = FrameProxy::start(zookeeper.address()).await;
    let builder = recording(zookeeper).set("ZKBroker", json!([proxy.address()]));
    let scene = Scene::of(zookeeper, &builder).await;
    scene.switch("btc", &["alice"]).await;
    let mut held = proxy.hold_answer(&[MULTI], "alice");
    let request = Request::switch("alice", "bcc");
    let lose = async {
        held.arrived().await;
        held.lose();
    };
    let (response, ()) = tokio::join!(scene.daemon.send(request), lose);
    assert_eq!(response.answer().err_no, 107);
    let undone = scene.undo_request(&id(&response)).await;
    assert_eq!(undone.lines(), ["alice: bcc -> ? left_alone: outcome was unknown"]);
    assert_eq!(scene.coin("alice").await.as_deref(), Some("bcc"));
}

#[tokio::test]
async fn an_undo_of_unknown_outcome_is_no_success() {
    let zookeeper = ZooKeeper::shared().await;
    let proxy = FrameProxy::start(zookeeper.address()).await;
    let builder = recording(zookeeper).set("ZKBroker", json!([proxy.address()]));
    let scene = Scene::of(zookeeper, &builder).await;
    scene.switch("btc", &["alice"]).await;
    let request = scene.switch("bcc", &["alice"]).await;
    let mut held = proxy.hold_answer(&[MULTI], "alice");
    let lose = async {
        held.arrived().await;
        held.lose();
    };
    let (undone, ()) = tokio::join!(scene.undo_request(&request), lose);
    assert_eq!((undone.status, &undone.body["success"]), (500, &json!(false)), "{undone:?}");
    assert_eq!(undone.lines(), ["alice: ? -> btc unknown: the connection was lost"]);
    let row = scene.row(&request).await;
    assert_eq!(row["undone_by"], undone.body["request"], "it may have changed something");
}

#[tokio::test]
async fn a_znode_that_is_created_again_after_the_read_is_no_success() {
    let zookeeper = ZooKeeper::shared().await;
    let proxy = FrameProxy::start(zookeeper.address()).await;
    let builder = recording(zookeeper).set("ZKBroker", json!([proxy.address()]));
    let scene = Scene::of(zookeeper, &builder).await;
    scene.znodes.put(&scene.daemon.path("alice"), "btc").await;
    let request = scene.switch("bcc", &["alice"]).await;
    let (client, path) = (zookeeper.client().await, scene.daemon.path("alice"));
    let mut held = proxy.hold_request(&[MULTI], "alice");
    let meddle = async {
        held.arrived().await;
        let (_, before) = client.get_data(&path).await.unwrap();
        client.delete(&path, None).await.unwrap();
        let persistent = CreateMode::Persistent.with_acls(Acls::anyone_all());
        client.create(&path, b"bcc", &persistent).await.unwrap();
        for _ in 0..before.version {
            client.set_data(&path, b"bcc", None).await.unwrap();
        }
        held.release();
    };
    let (undone, ()) = tokio::join!(scene.undo_request(&request), meddle);
    assert_eq!((undone.status, &undone.body["success"]), (500, &json!(false)), "{undone:?}");
    assert!(undone.lines()[0].contains("unknown: the znode was deleted and created again"));
    scene.daemon.wait_for_log(&["ERR", "switch", "source: undo", &path]).await;
}

#[tokio::test]
async fn a_switch_between_read_and_write_wins_and_is_named() {
    let zookeeper = ZooKeeper::shared().await;
    let proxy = FrameProxy::start(zookeeper.address()).await;
    let builder = recording(zookeeper).set("ZKBroker", json!([proxy.address()]));
    let scene = Scene::of(zookeeper, &builder).await;
    scene.switch("btc", &["alice", "bob"]).await;
    let request = scene.switch("bcc", &["alice", "bob"]).await;
    let mut held = proxy.hold_request(&[MULTI], "alice");
    let meddle = async {
        held.arrived().await;
        scene.znodes.put(&scene.daemon.path("alice"), "foreign").await;
        held.release();
    };
    let (undone, ()) = tokio::join!(scene.undo_request(&request), meddle);
    undone.request();
    assert_eq!(
        undone.lines(),
        ["alice: foreign -> btc left_alone: switched since", "bob: bcc -> btc restored"]
    );
}

/// Another daemon's undo writes the watch directory, and then deletes: its part is played by a client.
#[tokio::test]
async fn a_znode_that_another_undo_made_room_for_is_not_deleted() {
    let zookeeper = ZooKeeper::shared().await;
    let proxy = FrameProxy::start(zookeeper.address()).await;
    let builder = recording(zookeeper).set("ZKBroker", json!([proxy.address()]));
    let scene = Scene::of(zookeeper, &builder).await;
    let request = scene.switch("bcc", &["alice"]).await;
    let (client, path) = (zookeeper.client().await, scene.daemon.path("alice"));
    let mut held = proxy.hold_request(&[MULTI], "alice");
    let meddle = async {
        held.arrived().await;
        let directory = scene.daemon.watch_dir().trim_end_matches('/');
        let (data, _) = client.get_data(directory).await.unwrap();
        client.set_data(directory, &data, None).await.unwrap();
        client.delete(&path, None).await.unwrap();
        let persistent = CreateMode::Persistent.with_acls(Acls::anyone_all());
        client.create(&path, b"bcc", &persistent).await.unwrap();
        held.release();
        client.get_data(&path).await.unwrap().1
    };
    let body = json!({"request": request, "delete_created": true});
    let (undone, created) = tokio::join!(scene.undo(body), meddle);
    assert_eq!(undone.lines(), ["alice: bcc -> - left_alone: switched since"]);
    assert_eq!(client.get_data(&path).await.unwrap().1.czxid, created.czxid, "left alone");
}
