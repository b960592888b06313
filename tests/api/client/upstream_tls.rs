//! The upstream's certificate: the trusted ones, and the cause and remedy that `verify`, `doctor` and the poll's log line
//! give for the others.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use upstream_sim::{Draft, Identity, Reply, Upstream};

use super::doctor::finds;
use super::{Cli, assert_says, write};
use crate::polls::now;
use crate::support::daemon::{Builder, Daemon};
use crate::support::zookeeper::ZooKeeper;

const HOST: &str = "localhost";

async fn serve(identity: &Identity) -> Upstream {
    Upstream::start_tls_as(identity, |_| Reply::map(&[("alice", "btc")], now())).await.unwrap()
}

/// A daemon that polls this host by https.
async fn polling(host: &str, port: u16) -> Builder {
    Daemon::builder(ZooKeeper::shared().await)
        .set("EnableCronJob", true)
        .set("CronIntervalSeconds", 1)
        .set("UserCoinMapURL", format!("https://{host}:{port}/u"))
}

/// A command of that daemon's machine, where these certificates and no others are trusted.
fn trusting(command: &str, builder: &Builder, pem: &str) -> Cli {
    let file = write(builder.folder(), "trusted.pem", pem);
    let cli = Cli::new(command).config(builder.write_config());
    // A folder without such files, in place of the machine's.
    let folder = builder.folder().to_str().unwrap();
    cli.environment("SSL_CERT_FILE", &file).environment("SSL_CERT_DIR", folder)
}

/// Whether an upstream with this certificate is trusted by a daemon that polls `host` and trusts `pem`.
async fn is_trusted(identity: &Identity, pem: &str, host: &str) -> bool {
    let upstream = serve(identity).await;
    let builder = polling(host, upstream.address().port()).await;
    let finished = trusting("doctor --json", &builder, pem).run().await;
    let document: Value = serde_json::from_str(&finished.stdout).unwrap();
    let findings = document["findings"].as_array().unwrap();
    let found = findings.iter().find(|it| it["check"] == "upstream").unwrap();
    let is_trusted = found["level"] == "ok";
    assert_eq!(is_trusted, !upstream.requests().is_empty(), "{found}");
    is_trusted
}

#[tokio::test]
async fn a_certificate_that_is_itself_trusted_serves_whether_or_not_it_is_an_authority() {
    let root = Draft::new(&["root"]).authority().self_signed().unwrap();
    for identity in [
        // As `openssl req -x509` makes it.
        Draft::new(&[HOST, "127.0.0.1"]).authority().self_signed().unwrap(),
        Draft::new(&[HOST, "127.0.0.1"]).self_signed().unwrap(),
        Draft::new(&[HOST, "127.0.0.1"]).issued_by(&root).unwrap(),
        Draft::new(&[HOST, "127.0.0.1"]).authority().issued_by(&root).unwrap(),
    ] {
        for host in [HOST, "127.0.0.1"] {
            assert!(is_trusted(&identity, identity.pem(), host).await);
        }
        // Among others, in any place of the file.
        let both = format!("{}{}", root.pem(), identity.pem());
        assert!(is_trusted(&identity, &both, HOST).await);
        assert!(!is_trusted(&identity, identity.pem(), "127.0.0.2").await);
    }
    let leaf = Draft::new(&[HOST]).issued_by(&root).unwrap();
    assert!(is_trusted(&leaf, root.pem(), HOST).await);
}

#[tokio::test]
async fn a_trusted_authority_vouches_for_no_other_authority_on_a_server() {
    let root = Draft::new(&[HOST]).authority().self_signed().unwrap();
    let intermediate = Draft::new(&[HOST]).authority().issued_by(&root).unwrap();
    let same_names = Draft::new(&[HOST]).authority().self_signed().unwrap();
    let beneath = Draft::new(&[HOST]).issued_by(&same_names).unwrap();
    for identity in [&intermediate, &same_names, &beneath] {
        assert!(!is_trusted(identity, root.pem(), HOST).await);
    }
    // The key has to be the certificate's.
    let stolen = same_names.with_certificate_of(&root);
    assert!(!is_trusted(&stolen, root.pem(), HOST).await);
    let upstream = serve(&stolen).await;
    let builder = polling(HOST, upstream.address().port()).await;
    let told = trusting("verify", &builder, root.pem()).ends_with(69).await.stderr;
    assert_says(&told, &["handshake is not signed with its certificate's key"]);
}

#[tokio::test]
async fn cause_and_remedy_of_a_bad_certificate_are_named() {
    let authority = || Draft::new(&[HOST]).authority();
    let other = Draft::new(&["other"]).authority().self_signed().unwrap();
    const LISTED: &str = "let SSL_CERT_FILE name a PEM file, and append to it";
    const SAN: &str = "-addext subjectAltName=DNS:localhost";
    // The certificate, whether it is listed, cause and remedy.
    let cases: Vec<(Identity, bool, &[&str], &[&str])> = vec![
        (
            authority().self_signed().unwrap(),
            false,
            &["authority (CA:TRUE)", "not itself trusted"],
            &[LISTED, "exactly this certificate"],
        ),
        (
            Draft::new(&[HOST]).self_signed().unwrap(),
            false,
            &["issued by an authority that is not trusted"],
            &[LISTED, "self-signed"],
        ),
        // Renewed, while the old one is listed.
        (
            Draft::new(&["other"]).self_signed().unwrap(),
            false,
            &["not signed by the trusted certificate of its issuer's name"],
            &[LISTED],
        ),
        (
            authority().expired().self_signed().unwrap(),
            true,
            &["has expired on Feb  3", "2001"],
            &["renew it on the server", "clock"],
        ),
        (
            Draft::new(&[HOST]).expired().issued_by(&other).unwrap(),
            false,
            &["has expired on Feb  3", "2001"],
            &["renew it on the server"],
        ),
        (
            authority().early().self_signed().unwrap(),
            true,
            &["not valid before Feb  3", "2999"],
            &["this machine's clock"],
        ),
        (
            authority().for_clients().self_signed().unwrap(),
            true,
            &["not meant for servers", "serverAuth"],
            &[SAN],
        ),
        (
            Draft::new(&["example.com", "10.0.0.1"]).authority().self_signed().unwrap(),
            true,
            &["not valid for localhost, but for", "example.com", "10.0.0.1"],
            &["UserCoinMapURL", SAN],
        ),
        (
            Draft::new(&[]).authority().self_signed().unwrap(),
            true,
            &["no subjectAltName", "commonName"],
            &[SAN],
        ),
        (Identity::version_1().unwrap(), true, &["X.509 version 1"], &["version 3", SAN]),
    ];
    for (identity, is_listed, cause, remedy) in cases {
        let upstream = serve(&identity).await;
        let builder = polling(HOST, upstream.address().port()).await;
        let pem = if is_listed { identity.pem() } else { other.pem() };
        let told = trusting("verify", &builder, pem).ends_with(69).await.stderr;
        assert_says(&told, &[cause, remedy, &["cannot connect to https://localhost"]].concat());
        let doctor = trusting("doctor", &builder, pem);
        finds(&doctor, "problem", "upstream", cause).await;
        let told = doctor.run().await.stdout;
        let (_, remedies) = told.split_once("problem  upstream: ").unwrap();
        let remedy_line = remedies.lines().nth(1).unwrap();
        assert_says(remedy_line, remedy);
        assert!(upstream.requests().is_empty());
    }
}

/// The port of a server that answers a client's first bytes so, and closes the connection.
async fn answering(bytes: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            if stream.read(&mut [0; 4096]).await.is_ok() {
                let _ = stream.write_all(bytes).await;
            }
        }
    });
    port
}

#[tokio::test]
async fn a_server_that_shakes_no_hands_is_named_with_its_remedy() {
    let ciphers = "ECDHE-RSA-AES128-GCM-SHA256";
    // Alerts as servers send them: a fatal handshake_failure, protocol_version, internal_error.
    let cases: [(&[u8], &[&str]); 5] = [
        (b"\x15\x03\x03\x00\x02\x02\x28", &["no cipher suite with ECDHE and AEAD", ciphers]),
        (b"\x15\x03\x01\x00\x02\x02\x46", &["neither TLS 1.2 nor TLS 1.3", ciphers]),
        (b"\x15\x03\x03\x00\x02\x02\x50", &["alert InternalError", "the server's log"]),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", &["is not TLS", "put http://"]),
        (b"", &["closed the connection during the TLS handshake", ciphers]),
    ];
    for (bytes, parts) in cases {
        let builder = polling("127.0.0.1", answering(bytes).await).await;
        let told = Cli::new("verify").config(builder.write_config()).ends_with(69).await.stderr;
        assert_says(&told, &[parts, &["cannot connect to https://127.0.0.1"]].concat());
    }
}

#[tokio::test]
async fn the_polls_line_has_cause_and_remedy() {
    let identity = Draft::new(&[HOST]).authority().self_signed().unwrap();
    let upstream = serve(&identity).await;
    let other = Draft::new(&["other"]).authority().self_signed().unwrap();
    let builder = polling(HOST, upstream.address().port()).await;
    let file = write(builder.folder(), "trusted.pem", other.pem());
    let builder = builder.environment("SSL_CERT_FILE", &file);
    let daemon = builder.start().await;
    let line = daemon.wait_for_log(&[" poll, ", "outcome: failed"]).await;
    assert_says(
        &line,
        &["authority (CA:TRUE)", "let SSL_CERT_FILE name a PEM file, and append to it"],
    );
    drop(daemon);
    write(builder.folder(), "trusted.pem", format!("{}{}", other.pem(), identity.pem()));
    let daemon = builder.start().await;
    daemon.wait_for_log(&[" poll, ", "outcome: complete", "written: 1"]).await;
}
