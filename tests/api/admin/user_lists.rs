//! The admin pages with user lists, held switches and registrations.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use upstream_sim::{Gate, Reply, Upstream};

use super::Admin;
use crate::held::holding;
use crate::support::client::{self, Answer, Request};
use crate::support::daemon::{Builder, Daemon};
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, seconds, unique};
use crate::user_lists::{ready, upstream};

const BTC: &str = r#"{"err_no":0,"err_msg":null,"data":{"Alice":7,"bob":9,"c/d":11}}"#;

async fn page(admin: &Admin, path: &str) -> Value {
    let response = admin.get(path).await;
    assert_eq!(response.status, 200, "{response:?}");
    serde_json::from_slice(&response.body).unwrap()
}

fn lists(zookeeper: &ZooKeeper, upstream: &Upstream, coins: &[&str]) -> Builder {
    let urls = coins.iter().map(|coin| {
        ((*coin).to_owned(), Value::from(format!("http://{}/{coin}", upstream.address())))
    });
    Daemon::builder(zookeeper).admin().set("UserListAPI", Value::Object(urls.collect()))
}

/// Waits until `/status` fits.
async fn status(admin: &Admin, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    eventually(what, seconds(30), || async {
        Some(page(admin, "/status").await).filter(|status| fits(status))
    })
    .await
}

#[tokio::test]
async fn the_status_has_the_state_of_each_list() {
    let (zookeeper, gate) = (ZooKeeper::shared().await, Gate::default());
    let held_back = gate.clone();
    let backend = Upstream::start(move |request| match &request.target[..4] {
        "/aaa" => Reply::json(BTC).behind(&held_back),
        "/bcc" => Reply::status(500, "Oops", "text/plain", "broken"),
        _ => Reply::json(BTC),
    });
    let backend = backend.await.unwrap();
    let builder = lists(zookeeper, &backend, &["aaa", "bcc", "btc"]).set("IntervalSeconds", 600);
    let daemon = builder.start().await;
    let admin = Admin::of(&daemon).await;
    let pulled = |status: &Value| {
        [1, 2].iter().all(|list: &usize| !status["lists"][*list]["last_outcome"].is_null())
    };
    let status = status(&admin, "two pulls", pulled).await;
    assert!(status["registrations"].is_null(), "{status}");
    let [waiting, failed, complete] = [0, 1, 2].map(|list: usize| &status["lists"][list]);
    let expected = json!({"coin": "aaa", "sub_accounts": 0, "largest_puid": 0, "is_served": false,
        "last_outcome": null, "last_cause": null, "last_seconds_ago": null,
        "last_complete_seconds_ago": null, "next_in_seconds": null, "skipped": 0, "last_skipped": null});
    assert_eq!(*waiting, expected);
    assert_eq!((&failed["coin"], &failed["last_outcome"]), (&json!("bcc"), &json!("failed")));
    assert!(failed["last_cause"].as_str().unwrap().contains("status 500"), "{failed}");
    assert_eq!(
        (&failed["last_complete_seconds_ago"], &failed["is_served"]),
        (&Value::Null, &json!(false))
    );
    assert_eq!((&complete["sub_accounts"], &complete["largest_puid"]), (&json!(2), &json!(9)));
    assert_eq!(
        (&complete["last_outcome"], &complete["is_served"]),
        (&json!("complete"), &json!(true))
    );
    assert_eq!(
        (&complete["skipped"], &complete["last_skipped"]["name"]),
        (&json!(1), &json!("c/d"))
    );
    assert!(complete["last_skipped"]["cause"].as_str().unwrap().contains("slash"), "{complete}");
    let next = complete["next_in_seconds"].as_u64().unwrap();
    assert!((400..=600).contains(&next), "{complete}");
    admin.wait_for(r#"switcher_user_list_skipped_entries{coin="btc"}"#, 1.0).await;
    gate.open();
}

/// Neither lists that cannot be pulled nor held switches keep clients of the API away.
#[tokio::test]
async fn lists_do_not_count_for_readiness_and_have_a_check_of_their_own() {
    let (mut zookeeper, gate) = (ZooKeeper::private().await, Gate::default());
    let held_back = gate.clone();
    let backend = Upstream::start(move |_| Reply::json(BTC).behind(&held_back)).await.unwrap();
    let daemon = lists(&zookeeper, &backend, &["btc"]).start().await;
    let admin = Admin::of(&daemon).await;
    let check = || async {
        let request = Request::get("/?last_id=2147483647");
        let response = client::send(daemon.base(), &request).await.unwrap();
        (response.status, response.body.len())
    };
    admin.wait_until(200, "ready\n").await;
    assert_eq!(check().await.0, 503);
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    gate.open();
    ready(daemon.base()).await;
    assert_eq!(check().await, (200, 37), "small, whatever the size of the list");
    zookeeper.kill9();
    admin.wait_until(503, "not ready\nno session with ZooKeeper\n").await;
    assert_eq!(check().await.0, 200, "the list is served without ZooKeeper");
    assert_eq!(page(&admin, "/held-switches").await["is_carrier"], false);
}

#[tokio::test]
async fn a_look_up_shows_lists_index_entry_and_held_switch() {
    let zookeeper = ZooKeeper::shared().await;
    let index = format!("/t/{}/case/", unique("look-up"));
    let both = BTreeMap::from(["btc", "bcc"].map(|coin| (coin.to_owned(), BTC.to_owned())));
    let backend = upstream(both).await;
    let builder = lists(zookeeper, &backend, &["btc", "bcc"])
        .set("ZKUserCaseInsensitiveIndex", index.clone())
        .set("IntervalSeconds", 600);
    let daemon = builder.start().await;
    let (admin, znodes) = (Admin::of(&daemon).await, zookeeper.znodes().await);
    ready(daemon.base()).await;
    // Listed just now, so the switch is held.
    assert_eq!(daemon.switch("Alice", "bcc").await, Answer::success());
    let found = page(&admin, "/sub-account?puname=Alice").await;
    assert_eq!(
        (&found["sub_account"], &found["coin"]),
        (&json!("Alice"), &json!("btc")),
        "{found}"
    );
    let entry = json!({"path": format!("{index}alice"), "name": "Alice"});
    assert_eq!(found["index_entry"], entry);
    for (place, coin) in [(0, "bcc"), (1, "btc")] {
        let list = &found["lists"][place];
        assert_eq!(
            (&list["coin"], &list["puids"]),
            (&json!(coin), &json!([{"puid": 7, "name": "Alice"}]))
        );
        assert!(list["since"].as_str().unwrap().starts_with("20"), "{list}");
    }
    let held = &found["held"];
    assert_eq!((&held["coin"], &held["overdue_seconds"]), (&json!("bcc"), &json!(0)), "{found}");
    let known = eventually("a known held switch", seconds(20), || async {
        Some(page(&admin, "/held-switches").await).filter(|held| held["is_carrier"] == true)
    });
    let mut expected = held.clone();
    expected["sub_account"] = "Alice".into();
    let expected = json!({"known": 1, "is_carrier": true, "switches": [expected]});
    assert_eq!(known.await, expected);

    let unknown = page(&admin, "/sub-account?puname=carol").await;
    let entry = json!({"path": format!("{index}carol"), "name": null});
    let expected = json!({"sub_account": "carol", "coin": null, "held": null, "lists": [], "index_entry": entry});
    assert_eq!(unknown, expected);
    znodes.put_forbidden(&format!("{index}dave"), "dave").await;
    let intents = format!("{}_held/switches", daemon.watch_dir().trim_end_matches('/'));
    znodes.put(&format!("{intents}/dave"), "x").await;
    let faults = page(&admin, "/sub-account?puname=dave").await["faults"].clone();
    let faults = faults.as_array().unwrap();
    assert!(faults[0].as_str().unwrap().starts_with("index entry: "), "{faults:?}");
    assert!(faults[1].as_str().unwrap().starts_with("held switch: it is no intent"), "{faults:?}");
}

#[tokio::test]
async fn the_next_held_switches_come_first() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = holding(zookeeper).set("IntervalSeconds", 600).admin();
    let daemon = builder.start().await;
    let admin = Admin::of(&daemon).await;
    for user in ["zoe", "adam"] {
        assert_eq!(daemon.switch(user, "btc").await, Answer::success());
        assert_eq!(daemon.switch(user, "bcc").await, Answer::success());
        tokio::time::sleep(Duration::from_millis(1_100)).await;
    }
    let held = page(&admin, "/held-switches").await;
    let names = [0, 1].map(|place: usize| held["switches"][place]["sub_account"].clone());
    assert_eq!((held["known"].as_u64(), names), (Some(2), [json!("zoe"), json!("adam")]), "{held}");
}

#[tokio::test]
async fn the_status_has_registrations_that_wait_and_the_last_results() {
    let (zookeeper, gate) = (ZooKeeper::shared().await, Gate::default());
    let held_back = gate.clone();
    let backend = Upstream::start(move |request| match request.body.as_str() {
        body if body.contains("slow") => Reply::registered(5).behind(&held_back),
        body if body.contains("taken") => Reply::json(r#"{"message":"name \u001b taken"}"#),
        _ => Reply::json(r#"{"err_no":0,"err_msg":null,"data":{}}"#),
    });
    let backend = backend.await.unwrap();
    let requests = format!("/t/{}/reg/", unique("status-reg"));
    let url = format!("http://{}/reg", backend.address());
    let builder = lists(zookeeper, &backend, &["btc"])
        .set("EnableUserAutoReg", true)
        .set("ZKAutoRegWatchDir", requests.clone())
        .set("UserAutoRegTimeoutSeconds", 14)
        .set("UserAutoRegParallelRequests", 2)
        .set(
            "UserAutoRegAPI",
            json!({"URL": url, "DefaultCoin": "btc", "PostData": {"n": "{sub_name}"}}),
        );
    let daemon = builder.start().await;
    let (admin, znodes) = (Admin::of(&daemon).await, zookeeper.znodes().await);
    for name in ["slow", "taken"] {
        znodes.put(&format!("{requests}{name}"), "{}").await;
    }
    let at_once =
        status(&admin, "a refusal", |it| it["registrations"]["ended"]["refused"] == 1).await;
    let registrations = &at_once["registrations"];
    assert_eq!(registrations["under_way"], 1, "{registrations}");
    assert_eq!(registrations["waiting"][0]["sub_account"], "slow", "{registrations}");
    let last = &registrations["last"][0];
    assert_eq!((&last["sub_account"], &last["outcome"]), (&json!("taken"), &json!("refused")));
    assert!(last["cause"].as_str().unwrap().contains("taken"), "{last}");
    gate.open();
    let done = |it: &Value| it["registrations"]["ended"]["registered"] == 1;
    let done = status(&admin, "a success", done).await["registrations"].clone();
    assert_eq!((&done["under_way"], &done["waiting"]), (&json!(0), &json!([])), "{done}");
    let last = &done["last"][0];
    assert_eq!((&last["sub_account"], &last["cause"]), (&json!("slow"), &Value::Null), "{done}");
    assert_eq!(done["last"].as_array().unwrap().len(), 2);
}
