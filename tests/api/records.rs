//! The origin of a change in all records: user, the person for whom a backend acts, reason, client behind proxies.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::admin::Admin;
use crate::support::client::{self, Answer, Request, Response};
use crate::support::daemon::{Builder, Daemon, PASSWORD, USER};
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, seconds};

/// A daemon with a history, admin pages and this machine as a trusted proxy.
fn builder(zookeeper: &ZooKeeper) -> Builder {
    let builder = Daemon::builder(zookeeper).admin();
    let file = builder.folder().join("history.db");
    builder
        .set("HistoryFile", file.to_str().expect("a path in UTF-8"))
        .set("TrustedProxies", json!(["127.0.0.0/8"]))
}

fn switch(user: &str, coin: &str) -> Request {
    Request::switch(user, coin).credentials(USER, PASSWORD)
}

async fn succeed(daemon: &Daemon, request: &Request) -> Response {
    let response = daemon.send_as_is(request).await;
    assert_eq!(response.answer(), Answer::success(), "{request:?}");
    response
}

async fn json_of(admin: &Admin, path: &str) -> Value {
    let page = admin.get(path).await;
    assert_eq!(page.status, 200, "{path}: {page:?}");
    serde_json::from_slice(&page.body).unwrap()
}

/// The fields about the origin of a row.
fn origin(row: &Value) -> Value {
    let names = ["source", "actor", "on_behalf_of", "client", "comment"];
    names.iter().filter_map(|name| Some((*name, row.get(name)?.clone()))).collect()
}

#[tokio::test]
async fn user_person_reason_and_client_are_in_all_records_and_survive_a_restart() {
    let builder = builder(ZooKeeper::shared().await);
    let mut daemon = builder.start().await;
    let request = switch("alice", "btc")
        .header("X-On-Behalf-Of", "wang@example.com")
        .header("X-Change-Comment", "=ticket 17, 换币")
        .header("X-Forwarded-For", "198.51.100.7");
    succeed(&daemon, &request).await;
    // No such header: the fields are absent.
    succeed(&daemon, &switch("bob", "btc")).await;
    let full = json!({"source": "api", "actor": "admin", "on_behalf_of": "wang@example.com",
        "client": "198.51.100.7", "comment": "=ticket 17, 换币"});
    let plain = json!({"source": "api", "actor": "admin", "client": "127.0.0.1"});

    let line = daemon.wait_for_log(&["switch,", "alice"]).await;
    let fields = r#"source: api, client: 198.51.100.7, actor: admin, on_behalf_of: wang@example.com, comment: "=ticket 17, 换币", request: "#;
    assert!(line.contains(fields), "{line}");
    let line = daemon.wait_for_log(&["switch,", "bob"]).await;
    assert!(line.contains("source: api, client: 127.0.0.1, actor: admin, request: "), "{line}");

    let admin = Admin::of(&daemon).await;
    let recent: Vec<Value> = admin.recent(2).await.iter().map(origin).collect();
    assert_eq!(recent, [full.clone(), plain.clone()]);
    for page in ["changes", "requests"] {
        let path = if page == "changes" { "/history" } else { "/history/requests" };
        let rows = json_of(&admin, &format!("{path}?order=oldest")).await;
        let rows: Vec<Value> = rows[page].as_array().unwrap().iter().map(origin).collect();
        assert_eq!(rows, [full.clone(), plain.clone()], "{path}");
        let csv = admin.get(&format!("{path}?format=csv&order=oldest")).await.text();
        let row = csv.lines().nth(1).unwrap();
        // No spreadsheet computes the comment.
        let fields = r#",api,admin,wang@example.com,198.51.100.7,"'=ticket 17, 换币","#;
        assert!(row.contains(fields), "{row}");
    }
    let of_user = json_of(&admin, "/history?actor=admin").await;
    assert_eq!(of_user["changes"].as_array().unwrap().len(), 2);
    assert_eq!(json_of(&admin, "/history?actor=wang").await["changes"], json!([]));

    daemon.signal(Signal::TERM);
    assert!(daemon.wait_exit(seconds(20)).await.success());
    let daemon = builder.start().await;
    let admin = Admin::of(&daemon).await;
    let recent: Vec<Value> = admin.recent(2).await.iter().map(origin).collect();
    assert_eq!(recent, [full, plain]);
}

#[tokio::test]
async fn hostile_texts_are_cut_and_stay_texts() {
    let daemon = builder(ZooKeeper::shared().await).start().await;
    let admin = Admin::of(&daemon).await;
    let request = |user: &str, person: &[u8], comment: &[u8]| {
        let request = switch(user, "btc").header("X-On-Behalf-Of", person);
        request.header("X-Change-Comment", comment)
    };
    // A terminal's escape as one character, an order of writing, and a field of the log.
    let odd = "a\u{9b}2J\u{202e}b, outcome: applied";
    succeed(&daemon, &request("odd", odd.as_bytes(), odd.as_bytes())).await;
    succeed(&daemon, &request("long", "é".repeat(100).as_bytes(), "用".repeat(100).as_bytes()))
        .await;
    succeed(&daemon, &request("empty", b"", b"  ")).await;
    succeed(&daemon, &request("bytes", b"a\xff\xfeb", b"\xe7\x94")).await;
    // The first counts.
    let twice = request("twice", b"first", b"first");
    let twice = twice.header("X-On-Behalf-Of", "second").header("X-Change-Comment", "second");
    succeed(&daemon, &twice).await;

    let recent = admin.recent(5).await;
    let texts = |change: &Value| [change["on_behalf_of"].clone(), change["comment"].clone()];
    let found: Vec<_> = recent.iter().map(texts).collect();
    let long = [json!("é".repeat(32)), json!("用".repeat(66))];
    let bytes = [json!("a\u{fffd}\u{fffd}b"), json!("\u{fffd}")];
    let first = [json!("first"), json!("first")];
    let odds = [json!(odd), json!(odd)];
    assert_eq!(found, [odds, long, [Value::Null, Value::Null], bytes, first]);

    let page = admin.get("/recent").await.text() + &admin.get("/history").await.text();
    let log = daemon.log().join("\n");
    for text in [&page, &log] {
        assert!(!text.contains(['\u{9b}', '\u{202e}']), "{text}");
    }
    let line = daemon.wait_for_log(&["switch,", "sub_account: odd"]).await;
    let quoted = r#"comment: "a\u{9b}2J\u{202e}b, outcome: applied", "#;
    assert!(line.contains(quoted), "{line}");
}

#[tokio::test]
async fn nothing_is_recorded_of_a_client_without_credentials() {
    let builder = builder(ZooKeeper::shared().await).set("LogLevel", "debug");
    let daemon = builder.start().await;
    for credentials in [None, Some("wrong")] {
        let request = Request::switch("alice", "btc")
            .header("X-On-Behalf-Of", "mallory")
            .header("X-Change-Comment", "forged");
        let request = match credentials {
            Some(password) => request.credentials(USER, password),
            None => request,
        };
        assert_eq!(daemon.send_as_is(&request).await.status, 401);
    }
    daemon.wait_for_log(&["request,", "status: 401"]).await;
    let log = daemon.log().join("\n");
    assert!(!log.contains("mallory") && !log.contains("forged"), "{log}");
}

#[tokio::test]
async fn a_forged_client_is_recorded_nowhere() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = builder(zookeeper).set("TrustedProxies", json!(["127.0.0.1", "10.0.0.0/8"]));
    let daemon = builder.start().await;
    let admin = Admin::of(&daemon).await;
    let cases: [(&[&str], &str); 8] = [
        (&[], "127.0.0.1"),
        (&["198.51.100.7"], "198.51.100.7"),
        (&["1.2.3.4, 198.51.100.7"], "198.51.100.7"),
        (&["1.2.3.4", "198.51.100.7, 10.0.0.2"], "198.51.100.7"),
        (&["10.0.0.9, 198.51.100.7", "10.0.0.2"], "198.51.100.7"),
        (&["1.2.3.4, unknown, 10.0.0.2"], "10.0.0.2"),
        (&["1.2.3.4, "], "127.0.0.1"),
        (&["::ffff:198.51.100.7"], "198.51.100.7"),
    ];
    let forwarded = |lines: &[&str]| {
        let request = switch("alice", "btc");
        lines.iter().fold(request, |request, line| request.header("X-Forwarded-For", line))
    };
    for (lines, _) in cases {
        succeed(&daemon, &forwarded(lines)).await;
    }
    // Not from a trusted proxy.
    let mut connection =
        client::Connection::open_from([127, 0, 0, 9].into(), daemon.base()).await.unwrap();
    connection.write(&forwarded(&["198.51.100.7"]).head_bytes()).await.unwrap();
    assert_eq!(connection.read_response().await.unwrap().answer(), Answer::success());
    let clients: Vec<Value> = admin.recent(9).await.iter().map(|it| it["client"].clone()).collect();
    let expected: Vec<&str> =
        cases.iter().map(|(_, client)| *client).chain(["127.0.0.9"]).collect();
    assert_eq!(clients, expected);

    // A reload applies other networks.
    builder.clone().set("TrustedProxies", json!([])).write_config();
    daemon.signal(Signal::HUP);
    daemon.wait_for_log(&["configuration reloaded", "TrustedProxies"]).await;
    succeed(&daemon, &forwarded(&["198.51.100.7"])).await;
    let last = admin.recent(10).await.pop().unwrap();
    assert_eq!(last["client"], "127.0.0.1");
}

#[tokio::test]
async fn the_reason_in_an_undos_body_wins_over_the_header() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = builder(zookeeper).start().await;
    let admin = Admin::of(&daemon).await;
    succeed(&daemon, &switch("alice", "btc")).await;
    let response = succeed(&daemon, &switch("alice", "bcc")).await;
    let mut last = response.header("X-Request-Id").unwrap().to_owned();
    for (body_comment, expected) in [(Some("of the body"), "of the body"), (None, "of the header")]
    {
        let mut body = json!({"request": last});
        if let Some(comment) = body_comment {
            body["comment"] = json!(comment);
        }
        let request = Request::post("/undo")
            .credentials(USER, PASSWORD)
            .header("X-Change-Comment", "of the header")
            .header("X-On-Behalf-Of", "wang")
            .body(body.to_string());
        let response = admin.send(&request).await;
        assert_eq!(response.status, 200, "{response:?}");
        last = response.header("X-Request-Id").unwrap().to_owned();
        let row = eventually("the record", seconds(20), || async {
            let page = json_of(&admin, &format!("/history/requests?request={last}")).await;
            page["requests"].get(0).cloned()
        })
        .await;
        assert_eq!(
            origin(&row),
            json!({"source": "undo", "actor": "admin", "on_behalf_of": "wang",
                "client": "127.0.0.1", "comment": expected})
        );
    }
    let line = daemon.wait_for_log(&["INFO undo,", "of the header"]).await;
    assert!(
        line.contains(r#"actor: admin, on_behalf_of: wang, comment: "of the header""#),
        "{line}"
    );
}
