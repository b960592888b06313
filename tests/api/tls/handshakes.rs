//! Handshakes that succeed, and the outcome of others.

use std::sync::Arc;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::version::{TLS12, TLS13};

use super::{known, open, patient, send, trusting, try_switch};
use crate::admin::Admin;
use crate::support::certificates::{Authority, VERSIONS};
use crate::support::client::{Answer, Connection, Request, shake_hands};
use crate::support::seconds;

/// A handshake's first message without extensions, as a client has it that knows no version above this one.
pub fn old_client_hello(version: [u8; 2]) -> Vec<u8> {
    let random = [7; 32];
    // No session, two cipher suites, no compression.
    let body = [&version[..], &random, &[0, 0, 4, 0x00, 0x2f, 0xc0, 0x13, 1, 0]].concat();
    let message = [&[1, 0, 0, body.len() as u8][..], &body].concat();
    [&[22, 3, 1, 0, message.len() as u8][..], &message].concat()
}

/// A handshake's first message that is of so many bytes, in records of 16 KB.
pub fn long_client_hello(bytes: usize) -> Vec<u8> {
    const PART: usize = 16_000;
    let [_, high, middle, low] = (bytes as u32).to_be_bytes();
    let whole = [&[1, high, middle, low][..], &vec![0; bytes]].concat();
    let record = |part: &[u8]| {
        let [high, low] = (part.len() as u16).to_be_bytes();
        [&[22, 3, 1, high, low][..], part].concat()
    };
    whole.chunks(PART).flat_map(record).collect()
}

/// Everything that a client gets for these bytes, until the daemon hangs up.
async fn exchange(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut said = Vec::new();
    let read = timeout(seconds(30), stream.read_to_end(&mut said)).await;
    assert!(read.is_ok(), "the daemon does not hang up after {bytes:?}");
    said
}

#[tokio::test]
async fn both_versions_are_spoken_at_both_listeners() {
    let authority = Authority::new("root");
    let daemon = patient(&authority).await.start().await;
    for version in VERSIONS {
        let client = authority.trusting(&[version], None);
        let mut api = open(daemon.base(), &client).await;
        for coin in ["btc", "bcc"] {
            let answer = send(&mut api, Request::switch("alice", coin)).await.answer();
            assert_eq!(answer, Answer::success(), "{version:?}");
        }
        let mut admin = open(&daemon.admin().await, &client).await;
        assert_eq!(send(&mut admin, Request::get("/status")).await.status, 200, "{version:?}");
        let refused = api.send(&Request::switch("alice", "btc")).await.unwrap();
        assert_eq!(refused.status, 401, "TLS replaces no credentials");
    }
}

#[tokio::test]
async fn only_the_named_listeners_have_tls() {
    let authority = Authority::new("root");
    let client = trusting(&authority);
    let plain = async |address: &str, path| {
        let request = known(Request::get(path));
        Connection::open(address).await.unwrap().send(&request).await.unwrap().status
    };
    let tls = async |address: &str, path| {
        send(&mut open(address, &client).await, Request::get(path)).await.status
    };
    const SWITCH: &str = "/switch?puname=alice&coin=btc";
    let daemon = patient(&authority).await.set("TLSListeners", json!(["api"])).start().await;
    assert_eq!(plain(&daemon.admin().await, "/status").await, 200);
    assert_eq!(tls(daemon.base(), SWITCH).await, 200);
    let daemon = patient(&authority).await.set("TLSListeners", json!(["admin"])).start().await;
    assert_eq!(plain(daemon.base(), SWITCH).await, 200);
    assert_eq!(tls(&daemon.admin().await, "/status").await, 200);
}

#[tokio::test]
async fn http_1_1_is_agreed_upon_and_no_other_protocol() {
    let authority = Authority::new("root");
    let daemon = patient(&authority).await.start().await;
    let offering = |protocols: &[&[u8]]| {
        let mut client = (*trusting(&authority)).clone();
        client.alpn_protocols = protocols.iter().map(|it| it.to_vec()).collect();
        Arc::new(client)
    };
    let tcp = TcpStream::connect(daemon.base()).await.unwrap();
    let stream = shake_hands(tcp, &offering(&[b"h2", b"http/1.1"])).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let error = try_switch(&daemon, &offering(&[b"h2"])).await.unwrap_err();
    assert!(error.contains("NoApplicationProtocol"), "{error}");
}

#[tokio::test]
async fn a_client_without_tls_gets_an_answer_and_no_effect() {
    let authority = Authority::new("root");
    let daemon = patient(&authority).await.start().await;
    for address in [daemon.base().to_owned(), daemon.admin().await] {
        let mut connection = Connection::open(&address).await.unwrap();
        let response = send(&mut connection, Request::switch("alice", "btc")).await;
        let text = "this port speaks HTTPS: begin the URL with https://; nothing was written";
        assert_eq!((response.status, response.answer()), (400, Answer::error(400, text)));
        let batch = known(Request::batch(vec![b' '; 3 << 20])).head_bytes();
        let said = exchange(&address, &[batch, vec![b' '; 3 << 20]].concat()).await;
        assert!(said.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&said));
    }
    let client = trusting(&authority);
    let known = send(&mut open(daemon.base(), &client).await, Request::switch("bob", "x")).await;
    assert_eq!(known.answer().err_no, 104, "others are served");
    let znodes = crate::support::zookeeper::ZooKeeper::shared().await.znodes().await;
    assert_eq!(znodes.get(&daemon.path("alice")).await, None);
}

#[tokio::test]
async fn failed_handshakes_are_refused_counted_and_logged_by_their_reason() {
    let authority = Authority::new("root");
    let builder = patient(&authority).await.set("TLSListeners", json!(["api"]));
    let daemon = builder.set("APIHeadTimeoutSeconds", 2).start().await;
    let admin = Admin::of(&daemon).await;
    let counted = async |reason: &str, count: usize| {
        let labels = format!(r#"{{listener="api",reason="{reason}"}}"#);
        let series = format!("switcher_tls_handshakes_failed_total{labels}");
        admin.wait_for(&series, count as f64).await;
        daemon
            .wait_for_log(&["TLS handshakes failed", &format!("reason: {reason}"), "127.0.0.1"])
            .await;
    };
    // SSL 3, TLS 1.0 and 1.1.
    for (number, version) in [[3, 0], [3, 1], [3, 2]].into_iter().enumerate() {
        let said = exchange(daemon.base(), &old_client_hello(version)).await;
        assert!(matches!(said[..], [21, 3, _, 0, 2, 2, _]), "no alert for {version:?}: {said:?}");
        counted("version", number + 1).await;
    }
    for (number, garbage) in [
        &[22, 3, 1, 0, 5, 1, 0, 0, 1, 0][..],
        // A record of another kind, and one that is too large.
        &[23, 3, 3, 0, 1, 0],
        &[22, 3, 3, 0xff, 0xff, 1, 0, 0, 1, 0],
        b"\0\0\0\0\0\0\0\0",
    ]
    .into_iter()
    .enumerate()
    {
        let said = exchange(daemon.base(), garbage).await;
        assert!(matches!(said[..], [21, 3, _, 0, 2, 2, _]), "{garbage:?}: {said:?}");
        counted("protocol", number + 1).await;
    }
    // Half a handshake, and silence.
    let hello = old_client_hello([3, 3]);
    assert_eq!(exchange(daemon.base(), &hello[..20]).await, b"");
    counted("too_slow", 1).await;
    let mut stream = TcpStream::connect(daemon.base()).await.unwrap();
    stream.write_all(&hello[..20]).await.unwrap();
    drop(stream);
    counted("closed", 1).await;
    exchange(daemon.base(), b"GET / HTTP/1.1\r\n\r\n").await;
    counted("plain_http", 1).await;
    let stranger = trusting(&Authority::new("another root"));
    try_switch(&daemon, &stranger).await.unwrap_err();
    counted("refused_by_client", 1).await;
    // A client that says nothing is no handshake.
    assert_eq!(exchange(daemon.base(), b"").await, b"");
    for version in [&TLS12, &TLS13] {
        let client = authority.trusting(&[version], None);
        assert_eq!(try_switch(&daemon, &client).await.unwrap().answer(), Answer::success());
    }
    let failed = admin.samples().await.sum("switcher_tls_handshakes_failed_total");
    assert_eq!(failed as usize, 3 + 4 + 4);
}
