//! HTTP messages as clients and proxies send them: which of them are requests, where each ends, and when the connection
//! ends. On both listeners, in both versions.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::support::client::{Answer, Connection, Request, Response, basic};
use crate::support::daemon::{Daemon, PASSWORD, USER};
use crate::support::seconds;
use crate::support::zookeeper::ZooKeeper;

const BATCH: &str = r#"{"usercoins":[{"coin":"btc","punames":["alice"]}]}"#;

/// A request of these lines, with credentials.
fn raw(lines: &[&str], body: &str) -> Vec<u8> {
    let credentials = format!("Authorization: {}", basic(USER, PASSWORD));
    let lines = [&lines[..1], &[credentials.as_str()], &lines[1..]].concat();
    format!("{}\r\n\r\n{body}", lines.join("\r\n")).into_bytes()
}

fn switch(user: &str) -> Vec<u8> {
    Request::switch(user, "btc").credentials(USER, PASSWORD).head_bytes()
}

/// Sends `bytes` and returns all that comes until the connection ends.
async fn say(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut said = Vec::new();
    let end = timeout(seconds(20), stream.read_to_end(&mut said)).await;
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(end.is_ok(), "the connection stays open after {said}");
    said
}

/// Reads up to `end`.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let (mut said, mut some) = (String::new(), vec![0; 4096]);
    while !said.contains(end) {
        let read = timeout(seconds(20), stream.read(&mut some)).await;
        let count = read.unwrap_or_else(|_| panic!("no {end:?} after {said}")).unwrap();
        assert!(count > 0, "the connection ends after {said}");
        said.push_str(&String::from_utf8_lossy(&some[..count]));
    }
    said
}

fn assert_refused(response: &Response, status: u16, about: &str) {
    assert_eq!(response.status, status, "{about}: {response:?}");
    let answer = response.answer();
    assert_eq!((answer.err_no, answer.success), (status.into(), false), "{about}");
    assert!(!answer.err_msg.is_empty(), "{about}");
    assert_eq!(response.header("connection"), Some("close"), "{about}");
    assert!(response.header("x-request-id").is_some(), "{about}");
}

#[tokio::test]
async fn upgrade_is_ignored_and_the_connection_stays_open() {
    let daemon = Daemon::builder(ZooKeeper::shared().await).admin().start().await;
    let length = format!("Content-Length: {}", BATCH.len());
    let upgrades: [&[&str]; 6] = [
        &["Upgrade: websocket"],
        &["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x"],
        &["Connection: upgrade"],
        &["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"],
        &["Connection: keep-alive, Upgrade", "Upgrade: TLS/1.2"],
        &["Connection: keep-alive", "Connection: upgrade", "Upgrade: WebSocket, h2c"],
    ];
    for address in [daemon.base().to_owned(), daemon.admin().await] {
        for upgrade in upgrades {
            let mut connection = Connection::open(&address).await.unwrap();
            let lines = ["POST /switch/multi-user HTTP/1.1", "Host: 127.0.0.1", &length];
            let with_length = raw(&[&lines, upgrade].concat(), BATCH);
            let lines = [&lines[..2], &["Transfer-Encoding: chunked"]].concat();
            let body = format!("{:x}\r\n{BATCH}\r\n0\r\n\r\n", BATCH.len());
            let chunked = raw(&[&lines, upgrade].concat(), &body);
            let lines = ["POST /switch/multi-user HTTP/1.0", &length, "Connection: keep-alive"];
            let old = raw(&[&lines, upgrade].concat(), BATCH);
            for request in [with_length, chunked, old].iter().cycle().take(150) {
                let response = connection.exchange(request, false).await.unwrap();
                assert_eq!(response.answer(), Answer::success(), "{upgrade:?}");
                let connection = response.header("connection").unwrap_or("keep-alive");
                assert_eq!(connection, "keep-alive", "{upgrade:?}");
                assert_eq!(response.header("upgrade"), None, "{upgrade:?}");
            }
        }
        // The last is a token, though the HTTP library takes it for no method.
        for line in ["CONNECT switcher:443 HTTP/1.1", "%GET /switch HTTP/1.1"] {
            let mut connection = Connection::open(&address).await.unwrap();
            let request = raw(&[line, "Host: switcher:443"], "");
            let response = connection.exchange(&request, false).await.unwrap();
            assert_refused(&response, 405, line);
            assert_eq!(response.header("allow"), Some("GET, POST"));
        }
    }
}

#[tokio::test]
async fn raw_bytes_of_a_target_count_as_percent_encoded() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    let znodes = zookeeper.znodes().await;
    for (version, host) in [("1.0", ""), ("1.1", "Host: 127.0.0.1\r\n")] {
        for (start, user) in [
            ("/switch?coin=btc&puname=", "用户"),
            ("http://switcher/switch?coin=btc&puname=", "Zoë"),
            ("/switch?coin=btc&puname=", "a\"b<c>d`e{f}g|h\\i^"),
        ] {
            let user = format!("{user}{version}");
            let credentials = basic(USER, PASSWORD);
            let request = format!(
                "GET {start}{user} HTTP/{version}\r\n{host}Connection: keep-alive\r\n\
                 Authorization: {credentials}\r\n\r\n"
            );
            let mut connection = daemon.connect().await;
            for _ in 0..2 {
                let response = connection.exchange(request.as_bytes(), false).await.unwrap();
                assert_eq!(response.answer(), Answer::success(), "{request}");
            }
            assert_eq!(znodes.get(&daemon.path(&user)).await.as_deref(), Some("btc"), "{user}");
        }
    }
    // GBK is not UTF-8: such a name is as invalid as its encoded form.
    let encoded = daemon.send(Request::switch(b"\xd3\xc3", "btc")).await.answer();
    let mut head = raw(&["GET /switch?coin=btc&puname=\u{1} HTTP/1.1", "Host: 127.0.0.1"], "");
    let at = head.iter().position(|&byte| byte == 1).unwrap();
    head.splice(at..=at, *b"\xd3\xc3");
    let response = daemon.connect().await.exchange(&head, false).await.unwrap();
    assert_eq!(response.answer(), encoded);
    let path = raw(&["GET /用户 HTTP/1.1", "Host: 127.0.0.1"], "");
    let response = daemon.connect().await.exchange(&path, false).await.unwrap();
    assert_eq!(response.answer().err_no, 404);
}

#[tokio::test]
async fn other_protocols_and_malformed_heads_are_answered_with_a_reason() {
    let daemon = Daemon::builder(ZooKeeper::shared().await).admin().start().await;
    let host = "Host: 127.0.0.1\r\n";
    let get = "GET /switch?puname=alice&coin=btc HTTP/1.1";
    let long = "x".repeat(9 * 1024);
    for address in [daemon.base().to_owned(), daemon.admin().await] {
        for (bytes, status, about) in [
            ("HELLO\r\n\r\n".to_owned(), 400, "HELLO"),
            ("GET /\r\n\r\n".to_owned(), 400, "GET /"),
            ("\u{16}\u{3}\u{1}\u{2}\0\u{1}".to_owned(), 400, "0x16"),
            (format!("GET /switch?puname=a b HTTP/1.1\r\n{host}\r\n"), 400, "%20"),
            (format!("GET  / HTTP/1.1\r\n{host}\r\n"), 400, "blank"),
            (format!("GET /\t HTTP/1.1\r\n{host}\r\n"), 400, "target"),
            (format!("GET /\u{7f} HTTP/1.1\r\n{host}\r\n"), 400, "target"),
            (format!("GET http:// HTTP/1.1\r\n{host}\r\n"), 400, "http://"),
            (format!("G@T / HTTP/1.1\r\n{host}\r\n"), 400, "G@T"),
            (format!("GET / HTTP/2.0\r\n{host}\r\n"), 400, "HTTP/2.0"),
            (format!("GET / HTTP/1.2\r\n{host}\r\n"), 400, "HTTP/1.2"),
            (format!("GET / http/1.1\r\n{host}\r\n"), 400, "http/1.1"),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 400, "HTTP/2.0"),
            (format!("{get}\r\n\r\n"), 400, "Host"),
            (format!("{get}\r\n{host}{host}\r\n"), 400, "Host"),
            (format!("{get}\r\nHost: a b\r\n\r\n"), 400, "'a b'"),
            (format!("{get}\r\nHost: a@b/c\r\n\r\n"), 400, "'a@b/c'"),
            (format!("{get}\r\nHost: é\r\n\r\n"), 400, "'é'"),
            (format!("{get}\r\n{host}No colon\r\n\r\n"), 400, "No colon"),
            (format!("{get}\r\n{host}X Y: z\r\n\r\n"), 400, "X Y"),
            (format!("{get}\r\n{host}X : z\r\n\r\n"), 400, "X "),
            (format!("{get}\r\n{host}X-é: z\r\n\r\n"), 400, "X-é"),
            (format!("{get}\r\n{host}: z\r\n\r\n"), 400, "name"),
            (format!("{get}\r\n{host}X: a\r\n b\r\n\r\n"), 400, "folded"),
            (format!("{get}\r\n{host}X: a\rb\r\n\r\n"), 400, "0x0d"),
            (format!("{get}\r\n{host}X: a\0b\r\n\r\n"), 400, "0x00"),
            (format!("{get}\r\n{host}Content-Length: -1\r\n\r\n"), 400, "-1"),
            (format!("{get}\r\n{host}Content-Length: 1, 1\r\n\r\n"), 400, "1, 1"),
            (format!("{get}\r\n{host}Content-Length: 99999999999999999999\r\n\r\n"), 400, "9999"),
            (
                format!("{get}\r\n{host}Content-Length: 1\r\nContent-Length: 2\r\n\r\n"),
                400,
                "both 1 and 2",
            ),
            (
                format!("{get}\r\n{host}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
                400,
                "both",
            ),
            (format!("{get}\r\n{host}Transfer-Encoding: gzip, chunked\r\n\r\n"), 400, "gzip"),
            (
                "POST /switch HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
                400,
                "HTTP/1.0",
            ),
            (format!("{get}\r\n{host}Expect: 200-ok\r\n\r\n"), 417, "200-ok"),
            (format!("GET /{long} HTTP/1.1\r\n{host}\r\n"), 414, "8192"),
            (format!("GET /{long}"), 414, "8192"),
            (format!("{get}\r\n{host}X: {}\r\n\r\n", long.repeat(8)), 431, "65536"),
            (format!("{get}\r\n{host}{}", "X: y\r\n".repeat(20_000)), 431, "65536"),
            (format!("{get}\r\n{host}{}\r\n", "X: y\r\n".repeat(95)), 431, "95"),
        ] {
            let mut connection = Connection::open(&address).await.unwrap();
            let response = connection.exchange(bytes.as_bytes(), false).await;
            let response = response.unwrap_or_else(|error| panic!("{error}: {bytes:.80}"));
            assert_refused(&response, status, &bytes.chars().take(80).collect::<String>());
            let answer = response.answer();
            assert!(answer.err_msg.contains(about), "{answer} to {bytes:.80}");
        }
    }
    let log = daemon.log().join("\n");
    assert!(!log.contains("panic"), "{log}");
}

#[tokio::test]
async fn a_bare_line_feed_ends_nothing() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let whole = String::from_utf8(switch("alice")).unwrap();
    let ends: Vec<_> = whole.match_indices("\r\n").map(|(at, _)| at).collect();
    for address in [daemon.base().to_owned(), daemon.admin().await] {
        for &at in &ends {
            for end in ["\n", "\r", "\n\r", "\r\r\n"] {
                let request = format!("{}{end}{}", &whole[..at], &whole[at + 2..]);
                // Behind a carriage return alone, the head may not have ended.
                let request = format!("{request}\r\n\r\n");
                let mut connection = Connection::open(&address).await.unwrap();
                let response = connection.exchange(request.as_bytes(), false).await.unwrap();
                assert_refused(&response, 400, &format!("{request:?}"));
            }
        }
        let post =
            ["POST /switch/multi-user HTTP/1.1", "Host: 127.0.0.1", "Transfer-Encoding: chunked"];
        let size = format!("{:x}", BATCH.len());
        for body in [
            format!("{size}\n{BATCH}\r\n0\r\n\r\n"),
            format!("{size}\r\n{BATCH}\n0\r\n\r\n"),
            format!("{size}\r\n{BATCH}\r\n0\n\r\n"),
            format!("{size}\r\n{BATCH}\r\n0\r\n\n"),
            format!("{size}\r\n{BATCH}\r\n0\r\nX: y\n\r\n"),
            format!("{size};x\ny\r\n{BATCH}\r\n0\r\n\r\n"),
            format!("{size}\r\n{BATCH}\r\nzz\r\n"),
        ] {
            let mut connection = Connection::open(&address).await.unwrap();
            let response = connection.exchange(&raw(&post, &body), false).await.unwrap();
            assert_refused(&response, 400, &body);
            assert_eq!(
                connection.read_response().await.unwrap_err().kind(),
                std::io::ErrorKind::UnexpectedEof
            );
        }
    }
    let znodes = zookeeper.znodes().await;
    assert_eq!(znodes.get(&daemon.path("alice")).await, None, "nothing was written");
    // RFC 9112, section 2.2: an empty line before a request is ignored.
    let mut connection = daemon.connect().await;
    let request = format!("\r\n\r\n{whole}");
    for _ in 0..2 {
        let response = connection.exchange(request.as_bytes(), false).await.unwrap();
        assert_eq!(response.answer(), Answer::success());
    }
}

#[tokio::test]
async fn heads_and_bodies_that_are_unusual_but_right_are_understood() {
    let daemon = Daemon::start(ZooKeeper::shared().await).await;
    let length = format!("Content-Length: {}", BATCH.len());
    let (first, rest) = BATCH.split_at(10);
    let chunks = format!(
        "{:X};name=\"value\"\r\n{first}\r\n00{:x} \r\n{rest}\r\n000\r\nX-Sum: 1\r\n\r\n",
        first.len(),
        rest.len()
    );
    let post = "POST /switch/multi-user HTTP/1.1";
    let mut connection = daemon.connect().await;
    for (lines, body) in [
        (vec![post, "Host: 127.0.0.1", &length, &length], BATCH),
        (vec![post, "Host:", &length, "X-Empty:", "X-Latin: \u{e9}"], BATCH),
        (vec![post, "host:s", "transfer-encoding:\tChunked "], &chunks),
    ] {
        let request = raw(&lines, body);
        for step in [1, 7, request.len()] {
            for part in request.chunks(step) {
                connection.write(part).await.unwrap();
                if step == 7 {
                    sleep(Duration::from_millis(1)).await;
                }
            }
            let response = connection.read_response().await.unwrap();
            assert_eq!(response.answer(), Answer::success(), "{lines:?}");
        }
    }
    let old = raw(&["POST /switch?puname=alice&coin=btc HTTP/1.0"], "");
    assert!(say(daemon.base(), &old).await.ends_with(&Answer::success().to_string()));
}

#[tokio::test]
async fn a_body_that_a_switch_does_not_need_ends_no_connection() {
    let daemon = Daemon::start(ZooKeeper::shared().await).await;
    let mut connection = daemon.connect().await;
    for method in ["GET", "POST"] {
        for framing in
            ["Content-Type: text/plain\r\nContent-Length: 5", "Transfer-Encoding: chunked"]
        {
            let line = format!("{method} /switch?puname=alice&coin=btc HTTP/1.1");
            let body = if framing.ends_with("chunked") { "2\r\n{}\r\n0\r\n\r\n" } else { "hello" };
            connection.write(&raw(&[&line, "Host: s", framing], body)).await.unwrap();
            let response = connection.read_response().await.unwrap();
            assert_eq!(response.answer(), Answer::success(), "{method} {framing}");
            assert_eq!(response.header("connection"), None, "{method} {framing}");
        }
    }
}

#[tokio::test]
async fn an_answer_is_not_lost_to_bytes_behind_its_request() {
    let daemon = Daemon::start(ZooKeeper::shared().await).await;
    for behind in ["HELLO\r\n\r\n", "GET / HTTP/1.1\n\n", "\0\0", "GET / HTTP/9.9\r\n\r\n"] {
        for good in [1, 3, 40] {
            let bytes = [&switch("alice").repeat(good), behind.as_bytes()].concat();
            let said = say(daemon.base(), &bytes).await;
            assert_eq!(said.matches(r#""success":true"#).count(), good, "{behind:?}: {said}");
            assert_eq!(said.matches("HTTP/1.1 400 ").count(), 1, "{behind:?}: {said}");
            assert!(said.rfind("HTTP/1.1 400 ") > said.rfind("HTTP/1.1 200 "), "{said}");
        }
    }
}

/// `nc -N` and PHP's `stream_socket_shutdown` close their side right behind a request.
#[tokio::test]
async fn a_whole_body_is_read_though_its_client_has_closed_its_side() {
    let daemon = Daemon::builder(ZooKeeper::shared().await).start().await;
    let lines = ["POST /switch/multi-user HTTP/1.1", "Host: 127.0.0.1"];
    let body = BATCH.replace("btc", "none");
    let length = format!("Content-Length: {}", body.len());
    let with_length = raw(&[&lines[..], &[&length]].concat(), &body);
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let chunked = raw(&[&lines[..], &["Transfer-Encoding: chunked"]].concat(), &chunks);
    for request in [with_length, chunked] {
        let mut stream = TcpStream::connect(daemon.base()).await.unwrap();
        stream.write_all(&request).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut said = String::new();
        timeout(seconds(20), stream.read_to_string(&mut said)).await.unwrap().unwrap();
        assert!(said.contains("coin is inexistent"), "{said}");
    }
    let cut = raw(&[&lines[..], &[&length]].concat(), &body[1..]);
    let mut stream = TcpStream::connect(daemon.base()).await.unwrap();
    stream.write_all(&cut).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut said = String::new();
    timeout(seconds(20), stream.read_to_string(&mut said)).await.unwrap().unwrap();
    assert!(said.contains("request body cannot be read"), "{said}");
}

#[tokio::test]
async fn nothing_behind_a_last_answer_is_done() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let behind = switch("behind");
    let stranger = Request::switch("alice", "btc").head_bytes();
    for (last, about) in [
        (
            raw(
                &[
                    "GET /switch?puname=alice&coin=btc HTTP/1.1",
                    "Host: 127.0.0.1",
                    "Connection: close",
                ],
                "",
            ),
            "close",
        ),
        (
            raw(
                &[
                    "GET /switch?puname=alice&coin=btc HTTP/1.1",
                    "Host: 127.0.0.1",
                    "Connection: x, Close",
                ],
                "",
            ),
            "Close in a list",
        ),
        (raw(&["GET /switch?puname=alice&coin=btc HTTP/1.0"], ""), "HTTP/1.0"),
        (raw(&["GET /nowhere HTTP/1.1", "Host: 127.0.0.1"], ""), "404"),
        (raw(&["PUT /switch HTTP/1.1", "Host: 127.0.0.1"], ""), "405"),
        (stranger, "401"),
    ] {
        // In one segment, and while the answer is made.
        for pause in [Duration::ZERO, Duration::from_millis(2)] {
            let mut stream = TcpStream::connect(daemon.base()).await.unwrap();
            stream.set_nodelay(true).unwrap();
            stream.write_all(&last).await.unwrap();
            if !pause.is_zero() {
                sleep(pause).await;
            }
            let _ = stream.write_all(&behind).await;
            let mut said = String::new();
            let _ = timeout(seconds(20), stream.read_to_string(&mut said)).await.expect(about);
            assert_eq!(said.matches("HTTP/1.").count(), 1, "{about}: {said}");
        }
    }
    let znodes = zookeeper.znodes().await;
    assert_eq!(znodes.get(&daemon.path("behind")).await, None);
    // The admin pages end a connection after an answer to a client without credentials, and behind an unread body.
    let metrics = raw(&["GET /metrics HTTP/1.1", "Host: 127.0.0.1"], "");
    let page = |framing, body| raw(&["GET /recent HTTP/1.1", "Host: 127.0.0.1", framing], body);
    for last in [
        Request::get("/healthz").head_bytes(),
        page("Content-Length: 5", "hello"),
        page("Transfer-Encoding: chunked", "0\r\n\r\n"),
    ] {
        let said = say(&daemon.admin().await, &[last, metrics.clone()].concat()).await;
        assert_eq!(said.matches("HTTP/1.1").count(), 1, "{said}");
    }
}

#[tokio::test]
async fn a_body_is_asked_for_only_if_it_will_be_read() {
    let daemon = Daemon::builder(ZooKeeper::shared().await)
        .admin()
        .set("APIBodyLimitBytes", 2_000)
        .start()
        .await;
    let length = format!("Content-Length: {}", BATCH.len());
    let expect = "Expect: 100-Continue";
    for address in [daemon.base().to_owned(), daemon.admin().await] {
        let post = "POST /switch/multi-user HTTP/1.1";
        let wrong = format!("Authorization: {}", basic(USER, "wrong"));
        let stranger = [post, "Host: 127.0.0.1", &wrong, &length, expect].join("\r\n") + "\r\n\r\n";
        let large = raw(&[post, "Host: 127.0.0.1", "Content-Length: 2001", expect], "");
        let nowhere = raw(&["POST /nowhere HTTP/1.1", "Host: 127.0.0.1", &length, expect], "");
        for (head, status) in [(stranger.into_bytes(), 401), (large, 413), (nowhere, 404)] {
            let said = say(&address, &head).await;
            assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{said}");
            assert!(!said.contains("100 Continue"), "{said}");
        }

        let mut stream = TcpStream::connect(&address).await.unwrap();
        for framing in [length.as_str(), "Transfer-Encoding: chunked"] {
            let chunked = framing != length;
            let body = if chunked {
                format!("{:x}\r\n{BATCH}\r\n0\r\n\r\n", BATCH.len())
            } else {
                BATCH.to_owned()
            };
            stream.write_all(&raw(&[post, "Host: 127.0.0.1", framing, expect], "")).await.unwrap();
            let said = read_until(&mut stream, "\r\n\r\n").await;
            assert_eq!(said, "HTTP/1.1 100 Continue\r\n\r\n");
            stream.write_all(body.as_bytes()).await.unwrap();
            let said = read_until(&mut stream, "}").await;
            assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
            // The body has come already, so no interim answer is needed.
            stream
                .write_all(&raw(&[post, "Host: 127.0.0.1", framing, expect], &body))
                .await
                .unwrap();
            let said = read_until(&mut stream, "}").await;
            assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
        }
        // Behind another request, in the order of the answers.
        let first = raw(&[post, "Host: 127.0.0.1", &length], BATCH);
        let second = raw(&[post, "Host: 127.0.0.1", &length, expect], "");
        stream.write_all(&[first, second].concat()).await.unwrap();
        let said = read_until(&mut stream, "100 Continue").await;
        assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
        // An HTTP/1.0 client knows no interim answer; without a body there is nothing to wait for.
        let old = raw(&["POST /switch/multi-user HTTP/1.0", &length, expect], BATCH);
        let empty = raw(&[post, "Host: 127.0.0.1", expect, "Connection: close"], "");
        for request in [old, empty] {
            let said = say(&address, &request).await;
            assert!(said.contains(" 200 ") && !said.contains("100 Continue"), "{said}");
        }
    }
}

/// The data of a chunked body.
fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    while let Some(end) = body.windows(2).position(|end| end == b"\r\n") {
        let size = usize::from_str_radix(str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        let rest = &body[end + 2..];
        data.extend_from_slice(&rest[..size.min(rest.len())]);
        body = rest.get(size + 2..).unwrap_or_default();
    }
    data
}

/// Reads a chunked answer, during `slowly` at most at about 2.5 MB/s.
async fn read_steadily(stream: &mut TcpStream, slowly: Duration) -> Vec<u8> {
    let end = Instant::now() + slowly;
    let mut said = Vec::new();
    let mut part = vec![0; 256 * 1024];
    loop {
        match timeout(seconds(20), stream.read(&mut part)).await.expect("a part of the answer") {
            Ok(0) | Err(_) => return said,
            Ok(count) => said.extend_from_slice(&part[..count]),
        }
        if said.ends_with(b"\r\n0\r\n\r\n") {
            return said;
        }
        if Instant::now() < end {
            sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test]
async fn an_answer_is_sent_whole_to_a_client_that_reads_steadily() {
    const ENTRIES: usize = 150_000;
    let daemon = Daemon::builder(ZooKeeper::shared().await)
        .admin()
        .set("APIHeadTimeoutSeconds", 1)
        .start()
        .await;
    let names: Vec<String> = (0..ENTRIES).map(|number| format!("{number:0>60}")).collect();
    let body = json!({"usercoins": [{"coin": "btc", "punames": names}]}).to_string();
    for connection in ["keep-alive", "close"] {
        let request = Request::post("/switch/multi-user?dry_run=true")
            .credentials(USER, PASSWORD)
            .header("Connection", connection)
            .body(body.clone());
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(512 * 1024).unwrap();
        let mut stream = socket.connect(daemon.base().parse().unwrap()).await.unwrap();
        let bytes = [request.head_bytes(), request.body_bytes().to_vec()].concat();
        stream.write_all(&bytes).await.unwrap();
        let said = read_steadily(&mut stream, seconds(4)).await;
        if connection == "keep-alive" {
            stream.write_all(&switch("alice")).await.unwrap();
            let next = read_until(&mut stream, "}").await;
            assert!(
                next.starts_with("HTTP/1.1 200 "),
                "the deadline starts behind the answer: {next}"
            );
        }
        let head = said.windows(4).position(|end| end == b"\r\n\r\n").expect("a head") + 4;
        let answer = serde_json::from_slice::<Value>(&unchunked(&said[head..]));
        let answer = answer
            .unwrap_or_else(|error| panic!("{connection}: {error} after {} bytes", said.len()));
        assert_eq!(answer["results"].as_array().unwrap().len(), ENTRIES, "{connection}");
    }
}

#[tokio::test]
async fn an_http_1_0_client_gets_no_chunks() {
    let daemon = Daemon::builder(ZooKeeper::shared().await).admin().start().await;
    let address = daemon.admin().await;
    for connection in ["Connection: close", "Connection: keep-alive"] {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let request = raw(&["GET /recent/stream HTTP/1.0", connection], "");
        stream.write_all(&request).await.unwrap();
        let said = read_until(&mut stream, "changes follow\n\n").await;
        let (head, body) = said.split_once("\r\n\r\n").unwrap();
        let head = head.to_ascii_lowercase();
        assert!(!head.contains("transfer-encoding") && !head.contains("keep-alive"), "{head}");
        assert_eq!(body, ": changes follow\n\n");
        assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
        let event = read_until(&mut stream, "}\n\n").await;
        assert!(event.starts_with("event: change\nid: "), "{event}");
    }
    // Every page is framed so that an HTTP/1.0 client finds its end.
    for path in ["/", "/status", "/recent", "/metrics", "/openapi.json", "/docs", "/healthz"] {
        let said = say(&address, &raw(&[&format!("GET {path} HTTP/1.0")], "")).await;
        assert!(!said.to_ascii_lowercase().contains("transfer-encoding"), "{path}: {said:.300}");
    }
}
