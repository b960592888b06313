//! Every request has an id: its answer's header, its log lines and its changes carry the same.

use std::collections::HashSet;

use jobmaker_sim::{Jobmaker, Knobs, SubPool};
use serde_json::{Value, json};

use crate::support::client::{self, Request, Response};
use crate::support::daemon::{Daemon, PASSWORD, USER};
use crate::support::unique;
use crate::support::zookeeper::ZooKeeper;

/// The id that an answer carries.
fn id(response: &Response) -> String {
    let ids: Vec<_> = response
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("x-request-id"))
        .map(|(_, id)| id.clone())
        .collect();
    let [id] = &ids[..] else { panic!("ids {ids:?} of {response:?}") };
    let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    assert!(id.len() == 16 && id.chars().all(is_hex), "{id}");
    id.clone()
}

async fn change_of(admin: &str, id: &str) -> Value {
    let request = Request::get("/recent").credentials(USER, PASSWORD);
    let body = client::send(admin, &request).await.unwrap().body;
    let body: Value = serde_json::from_slice(&body).unwrap();
    let changes = body["changes"].as_array().unwrap();
    let found: Vec<_> = changes.iter().filter(|change| change["request"] == id).collect();
    let [change] = &found[..] else { panic!("{found:?} of {id} in {body}") };
    (*change).clone()
}

#[tokio::test]
async fn an_id_leads_from_the_answer_to_the_log_and_to_the_change() {
    const ADDRESS: &str = "34woZDygXWqaVPnNxp5SUnbN6RNQ5koBt4";
    let zookeeper = ZooKeeper::shared().await;
    let base = format!("/t/{}/subpool/", unique("ids"));
    let builder = Daemon::builder(zookeeper).admin().set("ZKSubPoolUpdateBaseDir", base.clone());
    let daemon = builder.start().await;
    let admin = daemon.admin().await;
    let pools = vec![SubPool::new(&format!("{base}btc/pool3"), "hellobtc", ADDRESS)];
    let _jobmaker = Jobmaker::start(&zookeeper.address(), pools, Knobs::default()).await.unwrap();

    let switched = id(&daemon.send(Request::switch("alice", "btc")).await);
    let field = |id: &str| format!(", request: {id}, ");
    daemon.wait_for_log(&["switch, source: api", &field(&switched), "sub_account: alice"]).await;
    assert_eq!(change_of(&admin, &switched).await["sub_account"], "alice");

    let refused = id(&daemon.send(Request::switch("a/b", "btc")).await);
    daemon.wait_for_log(&["request refused, source: api", &field(&refused), "err_no: 102"]).await;

    let batch = r#"{"usercoins":[{"coin":"bcc","punames":["bob"]}]}"#;
    let dry = Request::post("/switch/multi-user?dry_run=true").body(batch);
    let dry = id(&daemon.send(dry).await);
    daemon.wait_for_log(&["dry run, source: api", &field(&dry)]).await;
    let results = Request::post("/switch/multi-user?results=true").body(batch);
    let results = id(&daemon.send(results).await);
    daemon.wait_for_log(&["switch, source: api", &field(&results), "sub_account: bob"]).await;

    let update = json!({"coin": "btc", "subpool_name": "pool3", "payout_addr": ADDRESS,
        "coinbase_info": "tiger"});
    let update = Request::post("/subpool/update-coinbase").body(update.to_string());
    let updated = id(&daemon.send(update).await);
    let line = daemon.wait_for_log(&["sub-pool exchange", &field(&updated)]).await;
    assert!(line.contains("asked: update") && line.contains("outcome: applied"), "{line}");
    assert_eq!(change_of(&admin, &updated).await["sub_pool"], "pool3");
    let get = json!({"coin": "btc", "subpool_name": "pool3"}).to_string();
    let got = id(&daemon.send(Request::post("/subpool/get-coinbase").body(get)).await);
    daemon.wait_for_log(&["sub-pool exchange", &field(&got), "asked: get"]).await;
}

#[tokio::test]
async fn a_request_that_fails_is_found_by_its_id() {
    let mut zookeeper = ZooKeeper::private().await;
    let daemon = Daemon::builder(&zookeeper).set("ZKRequestTimeoutSeconds", 1).start().await;
    daemon.wait_for_log(&["ZooKeeper session is up"]).await;
    zookeeper.kill9();
    daemon.wait_for_log(&["ZooKeeper connection lost"]).await;
    let response = daemon.send(Request::switch("alice", "btc")).await;
    assert_eq!(response.answer().err_no, 105);
    let field = format!(", request: {}, ", id(&response));
    daemon.wait_for_log(&["request failed: ", &field]).await;
    daemon.wait_for_log(&["switch, source: api", &field, "outcome: not applied"]).await;
}

#[tokio::test]
async fn every_answer_has_an_id_of_its_own_and_nobody_can_choose_it() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let admin = daemon.admin().await;
    let ours = |request: Request| request.credentials(USER, PASSWORD);
    let long = "x".repeat(9_000);
    let mut ids = HashSet::new();
    let mut answers = 0;
    for (address, status, request) in [
        (daemon.base(), 200, ours(Request::switch("alice", "btc"))),
        (daemon.base(), 200, ours(Request::switch("", "btc"))),
        (daemon.base(), 401, Request::switch("alice", "btc")),
        (daemon.base(), 401, Request::get("/nothing").credentials(USER, "wrong")),
        (daemon.base(), 404, ours(Request::get("/nothing"))),
        (daemon.base(), 405, ours(Request::new("PUT", "/switch"))),
        (daemon.base(), 413, ours(Request::batch("{}").header("Content-Length", "99999999"))),
        (daemon.base(), 414, ours(Request::get(&format!("/switch?puname={long}")))),
        (daemon.base(), 431, ours(Request::get("/switch").header("X-Long", "x".repeat(66_000)))),
        (&admin, 200, Request::get("/healthz")),
        (&admin, 200, ours(Request::get("/metrics"))),
        (&admin, 401, Request::get("/metrics")),
        (&admin, 404, ours(Request::get("/nothing"))),
        (&admin, 405, ours(Request::post("/recent"))),
        (&admin, 400, ours(Request::get("/recent?limit=x"))),
    ] {
        let request = request.header("X-Request-Id", "0123456789abcdef");
        let response = client::send(address, &request).await.unwrap();
        assert_eq!(response.status, status, "{response:?}");
        ids.insert(id(&response));
        answers += 1;
    }
    assert_eq!(ids.len(), answers);
    assert!(!ids.contains("0123456789abcdef"));
    let refused = daemon.wait_for_log(&["wrong credentials"]).await;
    assert!(ids.iter().any(|id| refused.contains(id)), "the last one's: {refused}");
    assert!(daemon.log_with(&["0123456789abcdef"]).is_empty());
}
