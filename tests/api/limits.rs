//! Clients that are slow, greedy or broken: they are cut off, and no other client notices.

use std::time::Duration;

use crate::support::client::{Answer, Connection, Request};
use crate::support::daemon::{Daemon, PASSWORD, USER};
use crate::support::seconds;
use crate::support::zookeeper::ZooKeeper;

const MIB: usize = 1024 * 1024;
const BATCH: &str = r#"{"usercoins":[{"coin":"btc","punames":["alice"]}]}"#;

/// The batch, blown up with blanks to a size.
fn batch_of_size(size: usize) -> Vec<u8> {
    let mut json = BATCH.as_bytes().to_vec();
    json.resize(size, b' ');
    json
}

fn in_chunks(body: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(body.len() + body.len() / 1_000);
    for chunk in body.chunks(64 * 1024) {
        framed.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        framed.extend_from_slice(chunk);
        framed.extend_from_slice(b"\r\n");
    }
    framed.extend_from_slice(b"0\r\n\r\n");
    framed
}

/// Does `work` while another client switches without being disturbed.
async fn while_others_are_served<T>(daemon: &Daemon, work: impl Future<Output = T>) -> T {
    let serving = async {
        loop {
            assert_eq!(daemon.switch("other", "btc").await, Answer::success());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        done = work => done,
        () = serving => unreachable!("it serves for ever"),
    }
}

async fn assert_serves(daemon: &mut Daemon, after: &str) {
    assert!(daemon.is_alive(), "the daemon ended after {after}");
    assert_eq!(daemon.switch("other", "btc").await, Answer::success(), "after {after}");
}

#[tokio::test]
async fn a_body_of_16_mib_is_taken_and_one_byte_more_is_refused() {
    let zookeeper = ZooKeeper::shared().await;
    let mut daemon = Daemon::start(zookeeper).await;
    let znodes = zookeeper.znodes().await;
    let chunked = Request::post("/switch/multi-user").header("Transfer-Encoding", "chunked");

    let too_large = batch_of_size(16 * MIB + 1);
    let framed = in_chunks(&too_large);
    for (request, what) in [
        (Request::batch(too_large), "with its length"),
        (chunked.clone().body(framed), "in chunks"),
    ] {
        let response = daemon.send(request).await;
        assert_eq!(response.status, 413, "{what}: {response:?}");
        let answer = response.answer();
        assert!(!answer.success && answer.err_no != 0, "{what}: {answer}");
    }
    assert_eq!(znodes.get(&daemon.path("alice")).await, None, "nothing was written");

    let just_right = batch_of_size(16 * MIB);
    let framed = in_chunks(&just_right);
    assert_eq!(daemon.batch(just_right).await, Answer::success());
    assert_eq!(daemon.send(chunked.body(framed)).await.answer(), Answer::success());
    assert_eq!(znodes.get(&daemon.path("alice")).await.as_deref(), Some("btc"));
    assert_serves(&mut daemon, "large bodies").await;
}

#[tokio::test]
async fn the_limit_of_bodies_can_be_set() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).set("APIBodyLimitBytes", 2_000).start().await;
    assert_eq!(daemon.batch(batch_of_size(2_000)).await, Answer::success());
    let response = daemon.send(Request::batch(batch_of_size(2_001))).await;
    assert_eq!(response.status, 413, "{response:?}");
    let kind = "application/x-www-form-urlencoded";
    let form = format!("puname=alice&coin=bcc&x={}", "x".repeat(2_000));
    let response =
        daemon.send(Request::post("/switch").header("Content-Type", kind).body(form)).await;
    assert_eq!(response.status, 413, "{response:?}");
    let znodes = zookeeper.znodes().await;
    assert_eq!(znodes.get(&daemon.path("alice")).await.as_deref(), Some("btc"));
}

#[tokio::test]
async fn a_head_that_never_completes_is_cut_off() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).set("APIHeadTimeoutSeconds", 1).start().await;
    let mut connection = daemon.connect().await;
    let head = "GET /switch?puname=alice&coin=btc HTTP/1.1\r\nHost: switcher\r\nX-Drip: ";
    connection.write(head.as_bytes()).await.unwrap();
    let pause = Duration::from_millis(100);
    while_others_are_served(&daemon, connection.drip_until_closed(b"x", pause, seconds(10))).await;
}

#[tokio::test]
async fn a_second_head_that_never_completes_is_cut_off_too() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).set("APIHeadTimeoutSeconds", 1).start().await;
    let mut connection = daemon.connect().await;
    let request = Request::switch("alice", "btc").credentials(USER, PASSWORD);
    let answer = connection.send(&request).await.unwrap().answer();
    assert_eq!(answer, Answer::success());
    let whole = request.head_bytes();
    connection.write(&whole[..whole.len() - 4]).await.unwrap();
    let pause = Duration::from_millis(100);
    while_others_are_served(&daemon, connection.drip_until_closed(b"x", pause, seconds(10))).await;
}

#[tokio::test]
async fn a_body_that_never_completes_is_cut_off_and_writes_nothing() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).set("APIBodyTimeoutSeconds", 1).start().await;
    for framing in [("Content-Length", "100000"), ("Transfer-Encoding", "chunked")] {
        let mut connection = daemon.connect().await;
        let request = Request::post("/switch/multi-user").header(framing.0, framing.1);
        connection.write(&request.credentials(USER, PASSWORD).head_bytes()).await.unwrap();
        let (start, drop) = match framing.0 {
            "Content-Length" => (BATCH.to_owned(), " "),
            _ => (format!("{:x}\r\n{BATCH}\r\n", BATCH.len()), "1\r\n \r\n"),
        };
        connection.write(start.as_bytes()).await.unwrap();
        let pause = Duration::from_millis(100);
        let dripping = connection.drip_until_closed(drop.as_bytes(), pause, seconds(10));
        while_others_are_served(&daemon, dripping).await;
    }
    let znodes = zookeeper.znodes().await;
    assert_eq!(znodes.get(&daemon.path("alice")).await, None);
}

#[tokio::test]
async fn a_connection_that_never_says_anything_is_closed() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).set("APIHeadTimeoutSeconds", 1).start().await;
    let mut connection = daemon.connect().await;
    let silence = connection.drip_until_closed(b"", seconds(1), seconds(10));
    while_others_are_served(&daemon, silence).await;
}

#[tokio::test]
async fn hundreds_of_half_requests_delay_no_other_client() {
    let zookeeper = ZooKeeper::shared().await;
    let mut daemon = Daemon::start(zookeeper).await;
    let whole = Request::batch(BATCH).header("Content-Length", "1000").credentials(USER, PASSWORD);
    let head = whole.head_bytes();
    let mut held: Vec<Connection> = Vec::new();
    for number in 0..400 {
        let mut connection = daemon.connect().await;
        let end = if number % 2 == 0 { head.len() } else { head.len() / 2 };
        connection.write(&head[..end]).await.unwrap();
        held.push(connection);
    }
    for _ in 0..20 {
        assert_serves(&mut daemon, "400 half requests").await;
    }
}

/// Heads of the largest size, sent slowly. A refused head frees its memory.
#[tokio::test]
async fn unfinished_heads_of_strangers_hold_little_memory_and_leave_room_for_others() {
    const CONNECTIONS: usize = 4_000;
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).set("APIHeadTimeoutSeconds", 60).start().await;
    let mut held = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        let mut connection = daemon.connect().await;
        connection.write(b"GET / HTTP/1.1\r\nHost: switcher\r\nX-Long: ").await.unwrap();
        held.push(connection);
    }
    for _ in 0..4 {
        for connection in &mut held {
            // It may have been refused.
            let _ = connection.write(&[b'x'; 16 * 1024]).await;
        }
    }
    let mut ordinary = daemon.connect().await;
    let head = Request::switch("alice", "btc").credentials(USER, PASSWORD).head_bytes();
    for part in head.chunks(40) {
        ordinary.write(part).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(ordinary.read_response().await.unwrap().answer(), Answer::success());
    let megabytes = daemon.peak_megabytes();
    assert!(megabytes <= 100, "{megabytes} MB");
    let refused = held.last_mut().unwrap().read_response().await.unwrap();
    assert_eq!((refused.status, refused.answer().err_no), (503, 503));
}

#[tokio::test]
async fn clients_that_hang_up_before_their_answer_do_no_harm() {
    let zookeeper = ZooKeeper::shared().await;
    let mut daemon = Daemon::start(zookeeper).await;
    for number in 0..300 {
        let coin = if number % 2 == 0 { "btc" } else { "bcc" };
        let request = Request::switch(format!("gone{number}"), coin).credentials(USER, PASSWORD);
        let mut connection = daemon.connect().await;
        connection.write(&request.head_bytes()).await.unwrap();
    }
    assert_serves(&mut daemon, "300 clients that hung up").await;
}

#[tokio::test]
async fn json_that_nests_100_000_deep_is_wrong_and_does_no_harm() {
    let zookeeper = ZooKeeper::shared().await;
    let mut daemon = Daemon::start(zookeeper).await;
    let nest =
        |open: &str, close: &str| format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
    let (lists, objects) = (nest("[", "]"), nest(r#"{"a":"#, "}"));
    for json in [
        lists.clone(),
        objects.clone(),
        "[".repeat(100_000),
        r#"{"usercoins":"#.repeat(100_000),
        format!(r#"{{"usercoins":{lists}}}"#),
        format!(r#"{{"usercoins":[{{"coin":"btc","punames":{lists}}}]}}"#),
        format!(r#"{{"usercoins":[{{"coin":"btc","punames":["alice"],"x":{objects}}}]}}"#),
        format!(r#"{{"x":{lists},"usercoins":[{{"coin":"btc","punames":["alice"]}}]}}"#),
        format!(r#"{{"usercoins":[{{"coin":"btc","punames":["alice"]}}],"x":{objects}}}"#),
    ] {
        let answer = daemon.batch(json.clone()).await;
        let what = format!("{:.60}…", json);
        assert_eq!((answer.err_no, answer.success), (400, false), "{what}: {answer}");
        assert_serves(&mut daemon, &what).await;
    }
    let znodes = zookeeper.znodes().await;
    assert_eq!(znodes.get(&daemon.path("alice")).await, None);

    let modest = format!(
        r#"{{"x":{}{},"usercoins":[{{"coin":"btc","punames":["alice"]}}]}}"#,
        "[".repeat(50),
        "]".repeat(50),
    );
    assert_eq!(daemon.batch(modest).await, Answer::success(), "an unknown field is ignored");
}

#[tokio::test]
async fn heads_that_are_too_long_or_no_http_are_refused_and_do_no_harm() {
    let zookeeper = ZooKeeper::shared().await;
    let mut daemon = Daemon::start(zookeeper).await;
    let long = "x".repeat(2 * MIB);
    let authorization = Request::get("/").credentials(USER, PASSWORD).head_bytes();
    let authorization = String::from_utf8(authorization).unwrap();
    let authorization = authorization.split_once("\r\n").unwrap().1;
    for (bytes, what) in [
        (format!("GET /switch?coin=btc&puname={long} HTTP/1.1\r\n{authorization}"), "a long URI"),
        (format!("GET / HTTP/1.1\r\nX-Long: {long}\r\n{authorization}"), "a long header"),
        (
            format!("GET / HTTP/1.1\r\n{}{authorization}", "X-Many: 1\r\n".repeat(10_000)),
            "many headers",
        ),
        ("\r\n\r\n\r\n\r\n hello\r\n\r\n".to_owned(), "no HTTP"),
        (
            "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}\r\n\r\n".to_owned(),
            "a TLS greeting",
        ),
        (
            format!("GET /switch?puname=a b&coin=btc HTTP/1.1\r\n{authorization}"),
            "a blank in the URI",
        ),
        (
            format!("POST /switch HTTP/1.1\r\nContent-Length: -1\r\n{authorization}"),
            "a negative length",
        ),
        (
            format!("POST /switch HTTP/1.1\r\nContent-Length: x\r\n{authorization}"),
            "a length in letters",
        ),
        (
            format!("POST /switch HTTP/1.1\r\nTransfer-Encoding: chunked\r\n{authorization}zz\r\n"),
            "a chunk of no size",
        ),
    ] {
        let mut connection = daemon.connect().await;
        // Closing the connection without an answer is accepted, too.
        if let Ok(response) = connection.exchange(bytes.as_bytes(), false).await {
            let refused = (400..500).contains(&response.status) || !response.answer().success;
            assert!(refused, "{what}: {response:?}");
        }
        assert_serves(&mut daemon, what).await;
    }
}
