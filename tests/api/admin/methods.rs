//! Methods: HEAD wherever there is GET, and a 405 that lists the path's methods.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Admin;
use super::events::Events;
use crate::support::client::{Request, basic};
use crate::support::daemon::{Daemon, PASSWORD, USER};
use crate::support::seconds;
use crate::support::users::with_token;
use crate::support::zookeeper::ZooKeeper;

const PAGES: [&str; 21] = [
    "/",
    "/healthz",
    "/readyz",
    "/metrics",
    "/recent",
    "/recent?limit=x",
    "/history",
    "/history?limit=x",
    "/history/requests",
    "/status",
    "/sub-account?puname=alice",
    "/sub-account?puname=a%2Fb",
    "/whoami",
    "/login",
    "/login.css",
    "/openapi.json",
    "/docs",
    "/docs.css",
    "/console/console.css",
    "/console/icon.svg",
    "/console/console.js",
];

/// Both paths of each endpoint that is on both listeners.
const POSTS: [&str; 6] = [
    "/switch/multi-user",
    "/switch-multi-user",
    "/subpool/get-coinbase",
    "/subpool-get-coinbase",
    "/subpool/update-coinbase",
    "/subpool-update-coinbase",
];

/// Whatever comes until the daemon closes the connection: the status, the headers but those that differ from one
/// answer to the next, and the body.
async fn exchange(admin: &Admin, line: &str) -> (String, Vec<String>, Vec<u8>) {
    let mut stream = TcpStream::connect(&admin.address).await.unwrap();
    let authorization = basic(USER, PASSWORD);
    let head = format!(
        "{line}\r\nHost: localhost\r\nConnection: close\r\nAuthorization: {authorization}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let reading = timeout(seconds(20), stream.read_to_end(&mut answer)).await;
    reading.unwrap_or_else(|_| panic!("no end of the answer to {line}")).unwrap();
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n").expect("a head") + 4;
    let body = answer.split_off(end);
    let head = String::from_utf8(answer).unwrap().to_ascii_lowercase();
    let mut lines = head.lines();
    let status = lines.next().unwrap().to_owned();
    let differs =
        |header: &&str| header.starts_with("date:") || header.starts_with("x-request-id:");
    let mut headers: Vec<_> = lines.filter(|it| !differs(it)).map(str::to_owned).collect();
    headers.sort();
    (status, headers, body)
}

/// The headers whose value depends on the moment.
fn without_length(headers: &[String]) -> Vec<String> {
    headers.iter().map(|it| it.replace(|c: char| c.is_ascii_digit(), "")).collect()
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon =
        Daemon::builder(zookeeper).admin().users(&[with_token("li", &["viewer"])]).start().await;
    let admin = Admin::of(&daemon).await;
    admin.wait_until(200, "ready").await;
    for version in ["1.0", "1.1"] {
        for path in PAGES {
            let get = exchange(&admin, &format!("GET {path} HTTP/{version}")).await;
            let head = exchange(&admin, &format!("HEAD {path} HTTP/{version}")).await;
            assert_eq!(head.0, get.0, "{path}");
            assert_eq!(head.2, b"", "{path}");
            let length = format!("content-length: {}", get.2.len());
            assert!(!get.2.is_empty() && get.1.contains(&length), "{path}: {get:?}");
            if ["/metrics", "/status"].contains(&path) {
                assert_eq!(without_length(&head.1), without_length(&get.1), "{path}");
            } else {
                assert_eq!(head.1, get.1, "{path}");
            }
        }
    }
}

#[tokio::test]
async fn head_of_a_stream_ends_at_once_and_takes_no_place() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon =
        Daemon::builder(zookeeper).admin().users(&[with_token("li", &["viewer"])]).start().await;
    let admin = Admin::of(&daemon).await;
    let mut streams = Vec::new();
    for version in ["1.0", "1.1"] {
        for _ in 0..10 {
            let line = format!("HEAD /recent/stream HTTP/{version}");
            let (status, headers, body) = exchange(&admin, &line).await;
            assert!(status.contains(" 200 ") && body.is_empty(), "{status} {body:?}");
            assert!(headers.contains(&"content-type: text/event-stream".to_owned()), "{headers:?}");
        }
        // Among streams that are open, too.
        for _ in 0..4 {
            streams.push(Events::open(&admin).await);
            assert_eq!(streams.last().unwrap().status, 200, "{} are open", streams.len());
        }
    }
    let (status, _, body) = exchange(&admin, "HEAD /recent/stream HTTP/1.1").await;
    assert!(status.contains(" 200 ") && body.is_empty(), "{status} {body:?}");
}

#[tokio::test]
async fn each_405_lists_the_methods_of_its_path() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon =
        Daemon::builder(zookeeper).admin().users(&[with_token("li", &["viewer"])]).start().await;
    let admin = Admin::of(&daemon).await;
    let is_refused = async |address: &str, method: &str, path: &str, allow: &str| {
        let request = Request::new(method, path).credentials(USER, PASSWORD);
        let response = crate::support::client::send(address, &request).await.unwrap();
        assert_eq!(response.status, 405, "{method} {path}: {response:?}");
        assert_eq!(response.header("Allow"), Some(allow), "{method} {path}");
    };
    // A sign-in is a POST.
    let is_read = |path: &&&str| !path.contains('?') && **path != "/login";
    let pages = PAGES.iter().filter(is_read).chain(&["/recent/stream"]);
    for path in pages {
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get"] {
            is_refused(&admin.address, method, path, "GET, HEAD").await;
        }
    }
    for address in [&admin.address, daemon.base()] {
        for path in POSTS {
            for method in ["GET", "HEAD", "PUT", "OPTIONS"] {
                is_refused(address, method, path, "POST").await;
            }
        }
    }
    for method in ["HEAD", "PUT", "OPTIONS", "DELETE"] {
        let path = "/switch?puname=alice&coin=btc";
        is_refused(daemon.base(), method, path, "GET, POST").await;
    }
    assert_eq!(zookeeper.znodes().await.get(&daemon.path("alice")).await, None);
}
