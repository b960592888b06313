//! Pages of other sites: no method of theirs is served, at either listener.

use serde_json::json;

use super::Admin;
use super::events::Events;
use crate::support::client::{Answer, Request, Response};
use crate::support::daemon::{Daemon, PASSWORD, USER};
use crate::support::unique;
use crate::support::zookeeper::ZooKeeper;

/// What a browser says of a request for `host`, and whether a page of another site has sent it.
fn says(host: &str) -> Vec<(Vec<(&'static str, String)>, bool)> {
    let text = str::to_owned;
    let own = format!("http://{host}");
    vec![
        (vec![], false),
        (vec![("Sec-Fetch-Site", text("none")), ("Sec-Fetch-Mode", text("navigate"))], false),
        (vec![("Sec-Fetch-Site", text("same-origin"))], false),
        (vec![("Origin", own.clone())], false),
        (vec![("Referer", format!("{own}/"))], false),
        (vec![("Sec-Fetch-Site", text("cross-site"))], true),
        (vec![("sec-fetch-site", text("CROSS-SITE")), ("Sec-Fetch-Mode", text("navigate"))], true),
        (vec![("Sec-Fetch-Site", text("same-site"))], true),
        (vec![("Sec-Fetch-Site", text("none")), ("Sec-Fetch-Site", text("cross-site"))], true),
        (vec![("Sec-Fetch-Site", text("cross-site")), ("Origin", own)], true),
        (vec![("Origin", text("http://evil.example"))], true),
        (vec![("Origin", text("null"))], true),
        (vec![("Referer", text("http://evil.example/page"))], true),
    ]
}

fn with(request: Request, host: &str, said: &[(&'static str, String)]) -> Request {
    let request = request.host(host).credentials(USER, PASSWORD);
    said.iter().fold(request, |request, (name, value)| request.header(name, value))
}

fn assert_refused(response: &Response, told: &str) {
    assert_eq!(response.status, 403, "{told}: {response:?}");
    let answer = response.answer();
    assert!(answer.err_no == 403 && answer.err_msg.contains("another site"), "{told}: {answer}");
}

#[tokio::test]
async fn the_api_writes_nothing_for_a_page_of_another_site() {
    let zookeeper = ZooKeeper::shared().await;
    let base = format!("/t/{}/subpool/", unique("origins"));
    let builder = Daemon::builder(zookeeper).set("ZKSubPoolUpdateBaseDir", base);
    let daemon = builder.start().await;
    let znodes = zookeeper.znodes().await;
    for (index, (said, is_foreign)) in says("api.pool:8082").into_iter().enumerate() {
        let user = format!("user{index}");
        let batch = json!({"usercoins": [{"coin": "btc", "punames": [user]}]}).to_string();
        let dry_run = Request::post("/switch/multi-user?dry_run=true").body(batch.as_str());
        let pool = r#"{"coin":"btc","subpool_name":"none"}"#;
        for request in [
            Request::switch(&user, "btc"),
            Request::post("/switch").body(format!("puname={user}&coin=btc")),
            Request::batch(batch.as_str()),
            dry_run,
            Request::post("/subpool/get-coinbase").body(pool),
            Request::post("/subpool-update-coinbase").body(pool),
            Request::get("/"),
        ] {
            let told = format!("{said:?} {request:?}");
            let response = daemon.send_as_is(&with(request, "api.pool:8082", &said)).await;
            if is_foreign {
                assert_refused(&response, &told);
            } else {
                assert_ne!(response.status, 403, "{told}: {response:?}");
            }
        }
        let written = znodes.get(&daemon.path(&user)).await;
        assert_eq!(written.is_some(), !is_foreign, "{said:?}: {written:?}");
    }
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
}

#[tokio::test]
async fn a_page_of_another_site_gets_nothing_and_takes_no_place_of_a_stream() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let admin = Admin::of(&daemon).await;
    for (said, is_foreign) in says(&admin.address) {
        for path in [
            "/recent/stream",
            "/recent",
            "/metrics",
            "/status",
            "/sub-account?puname=alice",
            "/openapi.json",
            "/console/console.js",
            "/nonsense",
        ] {
            for method in ["GET", "HEAD"] {
                if path == "/recent/stream" && !is_foreign && method == "GET" {
                    continue;
                }
                let request = with(Request::new(method, path), &admin.address, &said);
                let response = admin.send(&request).await;
                let told = format!("{said:?} {request:?}");
                match (is_foreign, method) {
                    (true, "GET") => assert_refused(&response, &told),
                    (true, _) => assert_eq!(response.status, 403, "{told}"),
                    (false, _) => assert_ne!(response.status, 403, "{told}"),
                }
            }
        }
    }
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(Events::open(&admin).await);
        assert_eq!(streams.last().unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_link_on_another_site_leads_to_the_console_and_to_the_docs() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let admin = Admin::of(&daemon).await;
    let headers = |mode: &str, dest: &str| {
        vec![
            ("Sec-Fetch-Site", "cross-site".to_owned()),
            ("Sec-Fetch-Mode", mode.to_owned()),
            ("Sec-Fetch-Dest", dest.to_owned()),
        ]
    };
    let link = headers("navigate", "document");
    // Over plain HTTP a browser says no more than this.
    let plain = vec![("Referer", "http://wiki.pool.example/".to_owned())];
    for (path, said, status) in [
        ("/", &link, 200),
        ("/docs", &link, 200),
        ("/", &plain, 200),
        ("/docs", &plain, 200),
        ("/", &headers("navigate", "iframe"), 403),
        ("/docs", &headers("no-cors", "image"), 403),
        ("/", &headers("cors", "empty"), 403),
        ("/recent", &link, 403),
        ("/recent/stream", &link, 403),
        ("/console/console.js", &link, 403),
    ] {
        let request = with(Request::get(path), &admin.address, said);
        assert_eq!(admin.send(&request).await.status, status, "{path} {said:?}");
    }
    // Health is open to everybody, and credentials that a browser adds change nothing.
    let health = with(Request::get("/healthz"), &admin.address, &headers("no-cors", "image"));
    assert_eq!(admin.send(&health).await.status, 200);
    let form = with(Request::post("/"), &admin.address, &link);
    assert_refused(&admin.send(&form).await, "a form");
}
