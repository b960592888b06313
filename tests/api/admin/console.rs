//! What the console works with: the API's endpoints on the admin listener, the status, a look at a znode, the files;
//! and that no page of another site can use them.

use std::time::Duration;

use serde_json::{Value, json};

use super::Admin;
use crate::support::client::{Answer, Request};
use crate::support::daemon::{Daemon, PASSWORD, USER};
use crate::support::unique;
use crate::support::zookeeper::ZooKeeper;

async fn json(admin: &Admin, path: &str, status: u16) -> Value {
    let response = admin.get(path).await;
    assert_eq!(response.status, status, "{response:?}");
    serde_json::from_slice(&response.body).unwrap()
}

fn batch(user: &str) -> Request {
    let json = json!({"usercoins": [{"coin": "btc", "punames": [user]}]}).to_string();
    Request::batch(json).credentials(USER, PASSWORD)
}

#[tokio::test]
async fn the_apis_endpoints_answer_there_as_on_their_own_port() {
    let zookeeper = ZooKeeper::shared().await;
    let base = format!("/t/{}/subpool/", unique("admin"));
    let builder = Daemon::builder(zookeeper).admin().set("ZKSubPoolUpdateBaseDir", base);
    let daemon = builder.set("APIBodyLimitBytes", 1024).start().await;
    let admin = Admin::of(&daemon).await;
    let post = |path: &str, body: &str| Request::post(path).credentials(USER, PASSWORD).body(body);
    let large = format!(r#"{{"usercoins":[],"x":"{}"}}"#, "x".repeat(1024));
    for (path, body) in [
        ("/switch/multi-user", r#"{"usercoins":[{"coin":"bcc","punames":["alice"]}]}"#),
        ("/switch-multi-user", r#"{"usercoins":[{"coin":"btc","punames":["a/b"]}]}"#),
        (
            "/switch/multi-user?results=true",
            r#"{"usercoins":[{"coin":"bcc","punames":["alice"]}]}"#,
        ),
        (
            "/switch/multi-user?dry_run=true",
            r#"{"usercoins":[{"coin":"btc","punames":["alice"]}]}"#,
        ),
        ("/switch/multi-user", &large),
        ("/subpool/get-coinbase", r#"{"coin":"btc","subpool_name":"none"}"#),
        ("/subpool-update-coinbase", r#"{"coin":"btc","subpool_name":"none","payout_addr":""}"#),
    ] {
        let request = post(path, body);
        let (here, there) = (admin.send(&request).await, daemon.send_as_is(&request).await);
        assert_eq!((here.status, here.text()), (there.status, there.text()), "{path} {body}");
    }
    let znodes = zookeeper.znodes().await;
    assert_eq!(znodes.get(&daemon.path("alice")).await.as_deref(), Some("bcc"));
    // Whoever asks counts as that, in the log and among the changes.
    let change = admin.recent(4).await.pop().unwrap();
    assert_eq!((&change["client"], &change["source"]), (&json!("127.0.0.1"), &json!("api")));
    // They are counted with the others; what is no endpoint's is not.
    let requests = "switcher_http_requests_total";
    let series = |endpoint: &str, err_no: u16| {
        format!(r#"{requests}{{endpoint="{endpoint}",err_no="{err_no}"}}"#)
    };
    admin.wait_for(&series("switch_multi_user", 0), 6.0).await;
    admin.wait_for(&series("subpool_get_coinbase", 404), 2.0).await;
    assert_eq!(admin.get("/nonsense").await.status, 404);
    assert_eq!(admin.samples().await.get(&series("none", 404)), None);
}

/// A browser says by `Sec-Fetch-Site`, or else by `Origin`, whose page sends a request.
#[tokio::test]
async fn pages_of_other_sites_are_refused_and_programs_are_not() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let admin = Admin::of(&daemon).await;
    let znodes = zookeeper.znodes().await;
    let own = format!("http://{}", admin.address);
    let tls = format!("https://{}", admin.address);
    let sites =
        [None, Some("same-origin"), Some("none"), Some("same-site"), Some("cross-site"), Some("")];
    let origins = [None, Some(&*own), Some("http://evil.example"), Some(&*tls), Some("null")];
    for (index, (site, origin)) in
        sites.iter().flat_map(|site| origins.map(|origin| (*site, origin))).enumerate()
    {
        let is_let_in = match (site, origin) {
            (Some(site), _) => ["same-origin", "none"].contains(&site),
            (None, Some(origin)) => origin == own,
            (None, None) => true,
        };
        let user = format!("user{index}");
        let told = format!("Sec-Fetch-Site {site:?}, Origin {origin:?}");
        let with = |mut request: Request| {
            for (name, value) in [("Sec-Fetch-Site", site), ("Origin", origin)] {
                request = value.map_or(request.clone(), |value| request.header(name, value));
            }
            request.host(&admin.address)
        };
        let response = admin.send(&with(batch(&user))).await;
        assert_eq!(response.status, if is_let_in { 200 } else { 403 }, "{told}: {response:?}");
        assert_eq!(response.answer() == Answer::success(), is_let_in, "{told}");
        if !is_let_in {
            let answer = response.answer();
            assert_eq!(answer.err_no, 403);
            assert!(answer.err_msg.contains("another site"), "{answer}");
        }
        let written = znodes.get(&daemon.path(&user)).await;
        assert_eq!(written.is_some(), is_let_in, "{told}: {written:?}");
        for path in ["/subpool/get-coinbase", "/subpool-update-coinbase", "/recent", "/nonsense"] {
            let request = with(Request::post(path).credentials(USER, PASSWORD).body("{}"));
            let status = admin.send(&request).await.status;
            assert_eq!(status == 403, !is_let_in, "{told}: {path} {status}");
        }
        // Who has no credentials learns no more than that.
        let stranger = admin.send(&with(Request::batch("{}"))).await;
        assert_eq!(stranger.status, 401, "{told}");
        // Looking is no harm, and what a link leads to is shown.
        let page = admin.send(&with(Request::get("/").credentials(USER, PASSWORD))).await;
        assert_eq!(page.status, 200, "{told}");
    }
}

/// By GET a page of another site could have a browser switch over plain HTTP, where it says nothing of the page.
#[tokio::test]
async fn nothing_is_switched_by_get() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let admin = Admin::of(&daemon).await;
    for request in [Request::switch("alice", "btc"), Request::post("/switch?puname=alice&coin=btc")]
    {
        let response = admin.send(&request.credentials(USER, PASSWORD)).await;
        assert_eq!(response.status, 404, "{response:?}");
    }
    for path in ["/switch/multi-user", "/switch-multi-user", "/subpool/update-coinbase"] {
        assert_eq!(admin.get(path).await.status, 405, "{path}");
    }
    assert_eq!(zookeeper.znodes().await.get(&daemon.path("alice")).await, None);
}

#[tokio::test]
async fn a_look_tells_what_zookeeper_holds() {
    let mut zookeeper = ZooKeeper::private().await;
    let builder = Daemon::builder(&zookeeper).admin().set("ZKRequestTimeoutSeconds", 1);
    let daemon = builder.set("StratumServerCaseInsensitive", true).start().await;
    let admin = Admin::of(&daemon).await;
    let znodes = zookeeper.znodes().await;
    znodes.put(&daemon.path("alice"), "btc").await;
    // Others have written it, and this daemon has never seen it.
    let held = |name: &str, coin: Value| json!({"sub_account": name, "coin": coin, "held": null});
    assert_eq!(json(&admin, "/sub-account?puname=Alice", 200).await, held("alice", json!("btc")));
    assert_eq!(json(&admin, "/sub-account?puname=bob", 200).await, held("bob", Value::Null));
    znodes.put(&daemon.path("x y&z"), &"é".repeat(100)).await;
    let long = json(&admin, "/sub-account?puname=x%20y%26z", 200).await;
    assert_eq!(long, held("x y&z", json!(format!("{}…", "é".repeat(32)))));
    for (query, why) in
        [("", "is empty"), ("?puname=a%2Fb", "contains a slash"), ("?x=y", "is empty")]
    {
        let error = json(&admin, &format!("/sub-account{query}"), 400).await;
        assert_eq!(error, json!({"error": format!("puname {why}")}), "{query}");
    }
    assert_eq!(znodes.get(&daemon.path("bob")).await, None, "a look has written");
    zookeeper.kill9();
    admin.wait_until(503, "no session").await;
    let error = json(&admin, "/sub-account?puname=alice", 503).await;
    assert!(error["error"].as_str().unwrap().contains("not sent to ZooKeeper"), "{error}");
}

#[tokio::test]
async fn the_status_tells_the_daemons_state_and_its_counters() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let admin = Admin::of(&daemon).await;
    admin.wait_until(200, "ready").await;
    assert_eq!(daemon.switch("alice", "bcc").await, Answer::success());
    admin.recent(1).await;
    let api = |applied: u64| json!({"applied": applied, "held": 0, "not_applied": 0, "unknown": 0, "superseded": 0});
    let poll = json!({"applied": 0, "held": 0, "not_applied": 0, "unknown": 0, "superseded": 0, "unchanged": 0, "skipped": 0});
    let expected = json!({"session": true, "draining": false, "missing": [], "polls": null, "api": true,
            "sub_pools": false, "coinbase_max_bytes": 30, "coins": ["btc", "bcc"],
            "switches_waiting": 0, "switches_held": 0, "lists": null, "registrations": null, "history": null, "switches": {
                "btc": {"api": api(0), "poll": poll}, "bcc": {"api": api(1), "poll": poll}}});
    // The answer of a switch may come before the counters have it.
    let mut status = Value::Null;
    for _ in 0..100 {
        status = json(&admin, "/status", 200).await;
        for part in ["version", "commit", "uptime_seconds"] {
            assert!(!status.as_object_mut().unwrap().remove(part).expect(part).is_null(), "{part}");
        }
        if status == expected {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(status, expected);
}

#[tokio::test]
async fn the_files_forbid_all_that_is_not_theirs() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let admin = Admin::of(&daemon).await;
    let page = admin.get("/").await;
    let mut files = vec!["/".to_owned()];
    // Each file that one of them names is there.
    let mut size = 0;
    let mut next = 0;
    while next < files.len() {
        let file = admin.get(&files[next]).await;
        assert_eq!(file.status, 200, "{}", files[next]);
        size += file.body.len();
        let policy = file.header("Content-Security-Policy").expect("a policy");
        for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(file.header("X-Content-Type-Options"), Some("nosniff"));
        assert_eq!(file.header("Connection"), Some("close"), "{}", files[next]);
        for name in file.text().split('"').filter(|word| {
            ["console/", "./"].iter().any(|start| word.starts_with(start)) && !word.contains(' ')
        }) {
            let name = name.trim_start_matches("./").trim_start_matches("console/");
            let path = format!("/console/{name}");
            if !files.contains(&path) {
                files.push(path);
            }
        }
        next += 1;
    }
    assert_eq!(files.len(), 16, "{files:?}");
    assert!(size < 100_000, "{size} bytes");
    assert!(page.header("Content-Type").unwrap().starts_with("text/html"));
    for path in &files {
        assert_eq!(admin.send(&Request::get(path)).await.status, 401, "{path}");
        let post = Request::post(path).credentials(USER, PASSWORD);
        assert_eq!(admin.send(&post).await.status, 405, "{path}");
        assert_eq!(daemon.send(Request::get(path)).await.status, 404, "{path}");
    }
}
