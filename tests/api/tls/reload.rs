//! An operator who renews certificates while clients are served.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;

use super::{known, open, patient, send, trusting, try_switch, with};
use crate::admin::Admin;
use crate::reload::{applied, refused};
use crate::support::certificates::{Authority, Draft, LOCAL};
use crate::support::client::{Answer, Request, connect_narrow, shake_hands};
use crate::support::{seconds, write_private};

/// A stream of bytes that the test reads when it likes.
struct Reader(BufReader<TlsStream<TcpStream>>);

impl Reader {
    /// Sends a request and reads the answer's head.
    async fn open(address: &str, tls: &Arc<ClientConfig>, request: Request) -> Self {
        let tcp = connect_narrow(address, 64 * 1024).await.unwrap();
        let mut stream = shake_hands(tcp, tls).await.unwrap();
        let request = known(request);
        let bytes = [&request.head_bytes()[..], request.body_bytes()].concat();
        stream.write_all(&bytes).await.unwrap();
        stream.flush().await.unwrap();
        let mut reader = Self(BufReader::new(stream));
        assert!(reader.line().await.contains(" 200 "));
        while !reader.line().await.is_empty() {}
        reader
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = timeout(seconds(30), self.0.read_line(&mut line)).await;
        assert!(read.expect("a line in time").unwrap() > 0, "the answer has ended");
        line.trim_end().to_owned()
    }

    /// The next change of the stream of changes.
    async fn change(&mut self) -> Value {
        loop {
            if let Some(change) = self.line().await.strip_prefix("data: ") {
                return serde_json::from_str(change).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_renewed_certificate_serves_the_next_handshake_and_open_connections_stay() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let builder = patient(&old).await;
    let daemon = builder.start().await;
    let (before, after) = (trusting(&old), trusting(&new));
    let mut kept = open(daemon.base(), &before).await;
    assert_eq!(send(&mut kept, Request::switch("alice", "btc")).await.answer(), Answer::success());
    let admin = daemon.admin().await;
    let mut changes = Reader::open(&admin, &before, Request::get("/recent/stream")).await;
    // Megabytes, of which the client has read the head.
    let names: Vec<String> = (0..60_000).map(|n| format!("user{n}")).collect();
    let batch = json!({"usercoins": [{"coin": "btc", "punames": names}]}).to_string();
    let request = Request::post("/switch/multi-user?dry_run=true").body(batch);
    let mut large = Reader::open(daemon.base(), &before, request).await;

    // The same files.
    let changed = applied(&daemon, &with(builder.clone(), &new.server())).await;
    let expected =
        "TLSCertificateFile (content of the file); TLSPrivateKeyFile (content of the file)";
    assert_eq!(changed, expected);

    assert!(try_switch(&daemon, &before).await.is_err());
    assert_eq!(try_switch(&daemon, &after).await.unwrap().answer(), Answer::success());
    assert_eq!(send(&mut kept, Request::switch("bob", "bcc")).await.answer(), Answer::success());
    while changes.change().await["sub_account"] != "bob" {}
    let mut rest = Vec::new();
    // The last chunk.
    while !rest.ends_with(b"\r\n0\r\n\r\n") {
        let read = timeout(seconds(30), large.0.read_buf(&mut rest)).await;
        let tail = String::from_utf8_lossy(&rest[rest.len().saturating_sub(90)..]);
        assert!(matches!(read, Ok(Ok(1..))), "{read:?} after {} bytes, {tail}", rest.len());
    }
    let tail = String::from_utf8_lossy(&rest[rest.len() - 90..]);
    assert!(tail.contains(r#""puname":"user59999","old":null,"new":"btc""#), "{tail}");
    assert!(rest.len() > 3 << 20, "{} bytes are no large answer", rest.len());

    // Other files.
    let (certificate, key) =
        crate::support::certificates::write(&old.server(), builder.folder(), "renewed");
    let moved = builder
        .clone()
        .set("TLSCertificateFile", certificate.to_str().unwrap())
        .set("TLSPrivateKeyFile", key.to_str().unwrap());
    let changed = applied(&daemon, &moved).await;
    assert!(changed.contains("renewed.pem") && changed.contains("renewed.key"), "{changed}");
    assert!(
        try_switch(&daemon, &before).await.is_ok() && try_switch(&daemon, &after).await.is_err()
    );
    assert_eq!(applied(&daemon, &moved).await, "nothing");
    assert!(try_switch(&daemon, &before).await.is_ok());
}

#[tokio::test]
async fn a_refused_reload_keeps_the_old_certificate() {
    let authority = Authority::new("root");
    let builder = patient(&authority).await;
    let daemon = builder.start().await;
    let client = trusting(&authority);
    let key = builder.folder().join("server.key");
    let other = authority.server();
    // The half of a renewal that is not whole yet, and damage.
    for text in [other.key_pem(), other.key_pem().replace("PRIVATE", "PUBLIC"), String::new()] {
        write_private(&key, &text);
        refused(&daemon, &builder, &["TLSPrivateKeyFile"]).await;
        assert!(try_switch(&daemon, &client).await.is_ok());
    }
    // All or nothing.
    let fresh = with(builder.clone(), &Authority::new("another root").server());
    refused(&daemon, &fresh.clone().set("AvailableCoins", json!([])), &["AvailableCoins"]).await;
    assert!(try_switch(&daemon, &client).await.is_ok());
    applied(&daemon, &fresh).await;
    assert!(try_switch(&daemon, &client).await.is_err());
}

#[tokio::test]
async fn only_a_restart_turns_tls_on_or_off_or_moves_it() {
    let authority = Authority::new("root");
    let on = patient(&authority).await;
    let off = on.clone().set("TLSCertificateFile", "").set("TLSPrivateKeyFile", "");
    let causes = ["TLSCertificateFile from ", "TLSPrivateKeyFile from "];
    let daemon = on.start().await;
    refused(&daemon, &off, &causes).await;
    let absent = on.clone().without("TLSCertificateFile").without("TLSPrivateKeyFile");
    refused(&daemon, &absent, &causes).await;
    let moved = on.clone().set("TLSListeners", json!(["api"]));
    refused(&daemon, &moved, &["TLSListeners from ", "needs a restart"]).await;
    assert!(try_switch(&daemon, &trusting(&authority)).await.is_ok());

    let daemon = off.start().await;
    refused(&daemon, &on, &causes).await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
}

#[tokio::test]
async fn the_end_of_the_certificate_is_a_metric() {
    const SERIES: &str = r#"switcher_certificate_expiry_timestamp_seconds{use="listeners"}"#;
    const DAY: f64 = 86_400.0;
    let authority = Authority::new("root");
    let builder = patient(&authority).await.set("TLSListeners", json!(["api"]));
    let of = |days| with(builder.clone(), &authority.issue(Draft::new(&LOCAL).for_days(days)));
    let daemon = of(30).start().await;
    let admin = Admin::of(&daemon).await;
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    let left = admin.samples().await.value(SERIES) - now;
    assert!((29.0 * DAY..=30.0 * DAY).contains(&left), "{left}");
    applied(&daemon, &of(60)).await;
    let left = admin.samples().await.value(SERIES) - now;
    assert!((59.0 * DAY..=61.0 * DAY).contains(&left), "{left}");

    let plain = crate::support::daemon::Daemon::builder(
        crate::support::zookeeper::ZooKeeper::shared().await,
    );
    let plain = plain.admin().start().await;
    let admin = Admin::of(&plain).await;
    let text = admin.get("/metrics").await.text();
    assert!(!text.contains("certificate") && !text.contains("tls"), "{text}");
}
