//! Requests that are too large, too deep, ambiguous or endless.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::time::timeout;

use super::siege::{ATTEMPT, PASSWORD, Scale, Sent, USER, known, while_it_listens};
use crate::support::client::{Answer, Connection, Request, basic};
use crate::support::daemon::Daemon;
use crate::support::seconds;
use crate::support::zookeeper::ZooKeeper;

const MIB: usize = 1024 * 1024;
const JSON_PATHS: [&str; 3] =
    ["/switch/multi-user", "/subpool/get-coinbase", "/subpool/update-coinbase"];

/// Sends `start`, then `part` again and again, while the daemon listens.
async fn endless(daemon: &Daemon, start: &[u8], part: &[u8]) {
    let mut connection = daemon.connect().await;
    let _ = connection.write(start).await;
    let parts = part.repeat((64 * 1024 / part.len()).max(1));
    while connection.write(&parts).await.is_ok() {}
}

pub async fn endless_chunks(daemon: &Daemon, scale: Scale) -> Sent {
    let stranger = Request::post("/switch/multi-user").header("Transfer-Encoding", "chunked");
    let client = known(stranger.clone()).head_bytes();
    let stranger = stranger.credentials(USER, ATTEMPT).head_bytes();
    let chunk = [b"1000\r\n", &*vec![b' '; 4096], b"\r\n"].concat();
    let extension = [&client[..], b"1;"].concat();
    let trailer = [&client[..], b"0\r\n"].concat();
    let before = daemon.descriptors();
    for _ in 0..scale.rounds {
        let sending = async {
            tokio::join!(
                endless(daemon, &client, &chunk),
                endless(daemon, &client, b"1\r\n \r\n"),
                endless(daemon, &stranger, &chunk),
                endless(daemon, &extension, b"x"),
                endless(daemon, &trailer, b"X-T: y\r\n"),
            )
        };
        while_it_listens(daemon, before, sending).await;
    }
    Sent { connections: 5 * scale.rounds, requests: 5 * scale.rounds }
}

pub async fn nests(daemon: &Daemon) -> Sent {
    const LEVELS: usize = 1_000_000;
    let nests = [
        "[".repeat(LEVELS),
        format!("{}{}", "[".repeat(LEVELS), "]".repeat(LEVELS)),
        format!(r#"{{"x":{}1{}}}"#, r#"{"a":"#.repeat(LEVELS), "}".repeat(LEVELS)),
        format!(r#"{{"usercoins":{}"#, r#"[{"usercoins":"#.repeat(LEVELS)),
    ];
    let mut sent = Sent::default();
    for path in JSON_PATHS {
        for nest in &nests {
            let answer = daemon.send_as_is(&known(Request::post(path).body(nest.as_str()))).await;
            assert_eq!(answer.answer().err_no, 400, "{path} {nest:.20}…");
            sent += Sent { connections: 1, requests: 1 };
        }
    }
    sent
}

/// A path, a content type, a body, and the answer's `err_no`.
type Post = (&'static str, &'static str, String, i64);

/// Sixteen megabytes: as many `part`s as go between `head` and `tail`.
fn filled(head: &str, part: &str, tail: &str) -> String {
    let count = (16 * MIB - head.len() - tail.len()) / part.len();
    format!("{head}{}{tail}", part.repeat(count))
}

/// Forms of which only two parameters count.
pub fn forms() -> Vec<Post> {
    const FORM: &str = "application/x-www-form-urlencoded";
    let part = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n";
    vec![
        ("/switch", FORM, filled("puname=&", "a&", "coin=btc"), 101),
        ("/switch", FORM, filled("puname=", "%41", "&coin=btc"), 102),
        ("/switch", "multipart/form-data; boundary=B", filled("", part, "--B--\r\n"), 101),
    ]
}

/// Long JSON without content.
pub fn nothings() -> Vec<Post> {
    let batch =
        |head, part, tail, err_no| ("/switch/multi-user", "", filled(head, part, tail), err_no);
    let get = filled("{", r#""coin":"a","#, r#""coin":""}"#);
    let update = r#"{"coin":"btc","subpool_name":"p","payout_addr":""#;
    vec![
        batch(r#"{"usercoins":[{}"#, ",{}", "]}", 0),
        batch("{", r#""usercoins":[],"#, r#""x":0}"#, 108),
        ("/subpool/get-coinbase", "", get, 400),
        ("/subpool/update-coinbase", "", filled(update, "\\u0001", "\"}"), 400),
    ]
}

/// Batches of millions of names, of which one is refused.
pub fn names() -> Vec<Post> {
    let batch = |head, part, tail| ("/switch/multi-user", "", filled(head, part, tail), 101);
    let group = r#"{"usercoins":[{"coin":"btc","punames":["#;
    vec![
        batch(group, r#""","#, r#"""]}]}"#),
        batch(group, "null,", "null]}]}"),
        batch(group, r#""a","#, r#"""]}]}"#),
        batch(r#"{"usercoins":["#, r#"{"coin":"btc","punames":["a"]},"#, r#"{"punames":[""]}]}"#),
    ]
}

/// Sends each of the bodies twice at once.
pub async fn swell(daemon: &Daemon, bodies: &[Post]) -> Sent {
    let mut sent = Sent::default();
    for (path, kind, body, err_no) in bodies {
        let request = known(Request::post(path).header("Content-Type", kind).body(body.as_str()));
        let (one, other) = tokio::join!(daemon.send_as_is(&request), daemon.send_as_is(&request));
        for response in [one, other] {
            assert_eq!(response.answer().err_no, *err_no, "{path} {body:.40}…: {response:?}");
        }
        sent += Sent { connections: 2, requests: 2 };
    }
    sent
}

pub async fn duplicates(daemon: &Daemon, zookeeper: &ZooKeeper) -> Sent {
    const TIMES: usize = 20_000;
    let znodes = zookeeper.znodes().await;
    let wrong = r#""usercoins":[{"coin":"btc","punames":["first"]}],"#.repeat(TIMES);
    let coins = r#""COIN":"btc","punames":["first"],"#.repeat(TIMES);
    let last = r#""coin":"bcc","punames":["last"]"#;
    for json in [
        format!(r#"{{{wrong}"UserCoins":[{{{last}}}]}}"#),
        format!(r#"{{"usercoins":[{{{coins}{last}}}]}}"#),
    ] {
        znodes.put(&daemon.path("last"), "btc").await;
        assert_eq!(
            daemon.send_as_is(&known(Request::batch(json))).await.answer(),
            Answer::success()
        );
        assert_eq!(znodes.get(&daemon.path("last")).await.as_deref(), Some("bcc"));
    }
    let form = format!("puname=once&coin=btc{}", "&puname=last&coin=ltc&puname=".repeat(TIMES));
    let request =
        Request::post("/switch").header("Content-Type", "application/x-www-form-urlencoded");
    let answer = daemon.send_as_is(&known(request.body(form))).await.answer();
    assert_eq!(answer, Answer::success());
    assert_eq!(znodes.get(&daemon.path("first")).await, None);
    assert_eq!(znodes.get(&daemon.path("once")).await.as_deref(), Some("btc"));
    Sent { connections: 3, requests: 3 }
}

/// Heads that two parsers could read in two ways; a second request that only one of them finds must have
/// no effect.
pub async fn conflicting_lengths(daemon: &Daemon, zookeeper: &ZooKeeper) -> Sent {
    let znodes = zookeeper.znodes().await;
    let hidden = known(Request::switch("smuggled", "btc")).head_bytes();
    let hidden = String::from_utf8(hidden).unwrap();
    let (length, authorization) = (hidden.len(), basic(USER, PASSWORD));
    let mut sent = Sent::default();
    for framing in [
        format!("Content-Length: 0\r\nContent-Length: {length}"),
        format!("Content-Length: {length}\r\nContent-Length: 0"),
        format!("Content-Length: 0, {length}"),
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {length}"),
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity".to_owned(),
        "Transfer-Encoding: identity, chunked".to_owned(),
        "Transfer-Encoding: xchunked".to_owned(),
        "Transfer-Encoding: \u{b}chunked".to_owned(),
        "Transfer-Encoding : chunked".to_owned(),
        "Content-Length: +0".to_owned(),
        "Content-Length: 0x0".to_owned(),
        "Content-Length: 00000000000000000000000000000000000000".to_owned(),
        "Content-Length: 18446744073709551616".to_owned(),
        format!("Content-Length: {length}\r\n Content-Length: 0"),
    ] {
        let head = format!(
            "POST /switch/multi-user HTTP/1.1\r\nHost: switcher\r\nAuthorization: {authorization}\r\n{framing}\r\n\r\n"
        );
        let mut connection = daemon.connect().await;
        let bytes = [head.as_bytes(), b"0\r\n\r\n", hidden.as_bytes()].concat();
        let _ = connection.write(&bytes).await;
        // Any number of answers, then the daemon closes the connection, at the latest for lack of a next request.
        let hung_up =
            timeout(seconds(20), async { while connection.read_response().await.is_ok() {} }).await;
        assert!(hung_up.is_ok(), "{framing:?}: neither answered nor refused");
        sent += Sent { connections: 1, requests: 1 };
        let is_done = znodes.get(&daemon.path("smuggled")).await.is_some();
        assert!(!is_done, "{framing:?}: the hidden request was done");
    }
    sent
}

/// Credentials of many sizes around 64 KiB; whatever the answer, none is accepted. From many addresses: failed logins
/// from one are delayed.
pub async fn large_credentials(daemon: &Daemon, scale: Scale) -> Sent {
    let mut sent = Sent::default();
    let mut source = Ipv4Addr::new(127, 1, 0, 0);
    for _ in 0..scale.rounds * 4 {
        for size in [1 << 10, 48 << 10, (64 << 10) - 100, 64 << 10, 256 << 10, 1 << 20] {
            source = Ipv4Addr::from_bits(source.to_bits() + 1);
            let long = ATTEMPT.repeat(size / ATTEMPT.len() * 3 / 4);
            let right_first = format!("{PASSWORD}{long}");
            for header in [
                basic(USER, &long),
                basic(&long, PASSWORD),
                basic(USER, &right_first),
                format!("Basic {}", "=".repeat(size)),
                format!("Basic {PASSWORD}{}", " ".repeat(size)),
            ] {
                let request = Request::switch("stranger", "btc").header("Authorization", header);
                let connection = Connection::open_from(source.into(), daemon.base()).await;
                let mut connection = connection.unwrap();
                sent += Sent { connections: 1, requests: 1 };
                // Closing the connection without an answer is accepted, too.
                if let Ok(response) = connection.send(&request).await {
                    assert!([400, 401, 431].contains(&response.status), "{size}: {response:?}");
                }
            }
        }
    }
    // The next report of refused logins, which are logged together.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    sent
}
