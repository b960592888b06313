//! Requests of programs: the client in the records, sizes, failed logins, a daemon that is away.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::*;
use crate::admin::Admin;
use crate::support::client::{Answer, Request};
use crate::support::{eventually, free_port, seconds};

/// Adds headers in which a client claims other addresses.
fn spoofed(request: Request) -> Request {
    request
        .header("X-Forwarded-For", "198.51.100.7")
        .header("X-Forwarded-For", "127.0.0.1")
        .header("X-Real-IP", "198.51.100.8")
        .header("Forwarded", "for=198.51.100.9")
}

#[tokio::test]
async fn records_have_the_clients_address_whatever_it_claims() {
    for kind in Kind::installed() {
        let (daemon, proxy) = start(kind).await;
        let by_token = as_backend(Request::switch("alice", "btc"));
        let by_password = Request::switch("bob", "bcc").credentials("wang", "secret");
        let by_password = by_password.header("X-On-Behalf-Of", "李");
        for (client, request) in [(BACKEND, spoofed(by_token)), (OPERATOR, by_password)] {
            let response = proxy.send(API, client, request).await;
            assert_eq!(response.answer(), Answer::success(), "{kind:?}");
        }
        let admin = Admin::of(&daemon).await;
        let fields = ["client", "actor", "on_behalf_of"];
        let origin = |row: &Value| fields.map(|name| row[name].clone());
        let expected = [
            [json!("127.0.0.2"), json!("backend"), Value::Null],
            [json!("127.0.0.3"), json!("wang"), json!("李")],
        ];
        let recent: Vec<_> = admin.recent(2).await.iter().map(origin).collect();
        assert_eq!(recent, expected, "{kind:?}");
        let page = admin.get("/history?order=oldest").await;
        let page: Value = serde_json::from_slice(&page.body).unwrap();
        let rows: Vec<_> = page["changes"].as_array().unwrap().iter().map(origin).collect();
        assert_eq!(rows, expected, "{kind:?}");
        daemon.wait_for_log(&["switch,", "client: 127.0.0.2, actor: backend"]).await;
        // At the console's site, too.
        let whoami = spoofed(as_backend(Request::get("/whoami")));
        let whoami = proxy.send(CONSOLE, OPERATOR, whoami).await;
        let whoami: Value = serde_json::from_slice(&whoami.body).unwrap();
        assert_eq!(whoami["client"], "127.0.0.3", "{kind:?}");
    }
}

#[tokio::test]
async fn failed_logins_count_for_the_client_not_for_the_proxy() {
    for kind in Kind::installed() {
        let (daemon, proxy) = start(kind).await;
        let proxy = Arc::new(proxy);
        // Equal guesses would be compared, and count, once.
        let wrong =
            |number| Request::switch("alice", "btc").credentials("wang", &format!("wrong{number}"));
        let mut waiting = JoinSet::new();
        for number in 0..24 {
            let (proxy, guess) = (Arc::clone(&proxy), spoofed(wrong(number)));
            waiting.spawn(async move { proxy.send(API, BACKEND, guess).await });
        }
        let answers = waiting.join_all().await;
        let refused: Vec<_> = answers.iter().filter(|it| it.status == 429).collect();
        assert!(!refused.is_empty(), "{kind:?}: {answers:?}");
        assert!(refused.iter().all(|it| it.header("Retry-After").is_some()), "{refused:?}");
        let admin = Admin::of(&daemon).await;
        let at_once = r#"switcher_failed_logins_total{listener="api",answer="at_once"}"#;
        let before = admin.samples().await.value(at_once);
        assert_eq!(proxy.send(API, OPERATOR, wrong(0)).await.status, 401, "{kind:?}");
        admin.wait_for(at_once, before + 1.0).await;
    }
}

/// A batch with one entry in so many bytes.
fn padded(bytes: usize) -> Request {
    let mut body = br#"{"usercoins":[{"coin":"btc","punames":["alice"]}]"#.to_vec();
    body.resize(bytes - 1, b' ');
    body.push(b'}');
    as_backend(Request::batch(body))
}

#[tokio::test]
async fn the_largest_body_and_a_large_answer_pass() {
    const LIMIT: usize = 16 << 20;
    for kind in Kind::installed() {
        let (_daemon, proxy) = start(kind).await;
        let response = proxy.send(API, BACKEND, padded(LIMIT)).await;
        assert_eq!(response.answer(), Answer::success(), "{kind:?}");
        assert_eq!(proxy.send(API, BACKEND, padded(LIMIT + 1)).await.status, 413, "{kind:?}");

        let names: Vec<_> = (0..20_000).map(|n| format!("{n:0>100}")).collect();
        let batch = json!({"usercoins": [{"coin": "btc", "punames": names}]}).to_string();
        let request = Request::post("/switch/multi-user?dry_run=true")
            .header("Content-Type", "application/json")
            .body(batch);
        let response = proxy.send(API, BACKEND, as_backend(request)).await;
        let body: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(body["results"].as_array().unwrap().len(), names.len(), "{kind:?}");
    }
}

#[tokio::test]
async fn a_daemon_that_is_away_is_no_success_and_its_return_needs_no_restart_of_the_proxy() {
    let zookeeper = ZooKeeper::shared().await;
    for kind in Kind::installed() {
        let builder =
            behind_proxy(zookeeper).set("ListenAddr", format!("127.0.0.1:{}", free_port()));
        let mut daemon = builder.start().await;
        let proxy = in_front_of(&daemon, kind).await;
        let switch = || {
            let request = Request::post("/switch")
                .header("Content-Type", "application/x-www-form-urlencoded")
                .body("puname=alice&coin=btc");
            as_backend(request)
        };
        assert!(proxy.send(API, BACKEND, switch()).await.answer().success, "{kind:?}");
        daemon.kill9();
        let response = proxy.send(API, BACKEND, switch()).await;
        assert_eq!(response.status, 502, "{kind:?}: {response:?}");
        assert!(!response.text().contains("success"), "{kind:?}: {response:?}");
        let _daemon = builder.start().await;
        eventually("the daemon answers again", seconds(20), || async {
            proxy.send(API, BACKEND, switch()).await.try_answer().ok()?.success.then_some(())
        })
        .await;
    }
}

/// Request lines that a server has received, with the number of times.
type Received = Arc<Mutex<BTreeMap<String, usize>>>;

/// A server that keeps connections open, but hangs up on each request for a path with `lost` after reading it.
async fn losing_server() -> (String, Received) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let received = Received::default();
    let lines = Arc::clone(&received);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer_or_hang_up(stream, Arc::clone(&lines)));
        }
    });
    (address, received)
}

async fn answer_or_hang_up(stream: TcpStream, received: Received) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let start = head.len();
            if stream.read_line(&mut head).await? == 0 {
                return Ok(());
            }
            let line = head[start..].to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        stream.read_exact(&mut vec![0; length]).await?;
        let line = head.lines().next().unwrap_or_default().to_owned();
        let is_lost = line.contains("lost");
        *received.lock().unwrap().entry(line).or_default() += 1;
        if is_lost {
            return Ok(());
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await?;
    }
}

#[tokio::test]
async fn a_request_that_may_have_reached_the_daemon_is_not_sent_again() {
    for kind in Kind::installed() {
        let (address, received) = losing_server().await;
        let proxy = Proxy::start(kind, &address, &address).await;
        let send = |request| proxy.send(API, BACKEND, request);
        let lost = [
            Request::get("/switch?puname=lost&coin=btc"),
            Request::post("/switch?lost").body("puname=alice&coin=btc"),
            Request::post("/switch?lost=2").header("Idempotency-Key", "7"),
        ];
        for request in lost {
            // A proxy may keep the connection of this one for the next.
            assert_eq!(send(Request::get("/")).await.status, 200, "{kind:?}");
            assert_eq!(send(request).await.status, 502, "{kind:?}");
        }
        let received = received.lock().unwrap();
        let lost: Vec<_> = received.iter().filter(|(line, _)| line.contains("lost")).collect();
        assert!(
            lost.len() == 3 && lost.iter().all(|(_, times)| **times == 1),
            "{kind:?}: {lost:?}"
        );
    }
}
