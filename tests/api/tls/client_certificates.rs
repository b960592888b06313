//! `TLSClientCAFile`: clients need a certificate, in addition to credentials.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::rustls::HandshakeKind;

use super::{open, patient, trusting, try_switch};
use crate::admin::Admin;
use crate::reload::applied;
use crate::support::certificates::{Authority, Draft, LOCAL, VERSIONS};
use crate::support::client::{Answer, Request, shake_hands};
use crate::support::daemon::Builder;
use crate::support::write_private;

fn asking(builder: Builder, authorities: &[&Authority]) -> Builder {
    let text: String = authorities.iter().map(|it| it.pem()).collect();
    let file = write_private(&builder.folder().join("clients.pem"), &text);
    builder.set("TLSClientCAFile", file.to_str().unwrap())
}

#[tokio::test]
async fn clients_need_a_certificate_of_an_authority_and_credentials() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let builder = asking(patient(&servers).await, &[&Authority::new("other"), &clients]);
    let daemon = builder.set("TLSListeners", json!(["api"])).start().await;
    let good = clients.client("backend");
    let no_purpose = clients.issue(Draft::new(&["backend"]));
    let expired = clients.issue(Draft::new(&["backend"]).for_clients().expired());
    let early = clients.issue(Draft::new(&["backend"]).for_clients().early());
    let servers_own = clients.issue(Draft::new(&LOCAL).for_servers());
    let forged = Authority::new("clients").client("backend");
    let of_servers = servers.client("backend");
    for version in VERSIONS {
        for good in [&good, &no_purpose] {
            let client = servers.trusting(&[version], Some(good));
            assert_eq!(try_switch(&daemon, &client).await.unwrap().answer(), Answer::success());
            let mut connection = open(daemon.base(), &client).await;
            let answer = connection.send(&Request::switch("alice", "btc")).await.unwrap();
            assert_eq!(answer.status, 401, "a certificate replaces no credentials");
        }
        for bad in [
            None,
            Some(&expired),
            Some(&early),
            Some(&servers_own),
            Some(&forged),
            Some(&of_servers),
        ] {
            let client = servers.trusting(&[version], bad);
            let error = try_switch(&daemon, &client).await.unwrap_err();
            assert!(error.contains("alert"), "{error}");
        }
    }
    let series =
        r#"switcher_tls_handshakes_failed_total{listener="api",reason="client_certificate"}"#;
    Admin::of(&daemon).await.wait_for(series, 12.0).await;
}

/// A session that is resumed shows no certificate: one that has expired meanwhile would still be accepted.
#[tokio::test]
async fn a_client_shows_its_certificate_in_every_handshake() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let builder = patient(&servers).await;
    for (builder, resumes) in [(builder.clone(), true), (asking(builder, &[&clients]), false)] {
        let daemon = builder.start().await;
        for version in VERSIONS {
            let client = servers.trusting(&[version], Some(&clients.client("backend")));
            let mut kinds = Vec::new();
            for _ in 0..2 {
                let tcp = TcpStream::connect(daemon.base()).await.unwrap();
                let mut stream = shake_hands(tcp, &client).await.unwrap();
                stream.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await.unwrap();
                // TLS 1.3 sends its tickets with the answer.
                stream.read_to_end(&mut Vec::new()).await.unwrap();
                kinds.extend(stream.get_ref().1.handshake_kind());
            }
            let second = if resumes { HandshakeKind::Resumed } else { HandshakeKind::Full };
            assert_eq!(kinds, [HandshakeKind::Full, second], "{version:?}");
        }
    }
}

#[tokio::test]
async fn a_reload_of_the_authorities_holds_for_the_next_handshake_even_of_a_known_client() {
    let servers = Authority::new("servers");
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let builder = patient(&servers).await;
    let without = builder.clone();
    let daemon = builder.start().await;
    for version in VERSIONS {
        let unnamed = servers.trusting(&[version], None);
        // Has a session that it could resume.
        assert!(try_switch(&daemon, &unnamed).await.is_ok());
        let [known, later] =
            [&old, &new].map(|it| servers.trusting(&[version], Some(&it.client("backend"))));
        let changed = applied(&daemon, &asking(without.clone(), &[&old])).await;
        assert!(changed.starts_with("TLSClientCAFile from \"\" to "), "{changed}");
        assert!(try_switch(&daemon, &unnamed).await.is_err());
        assert!(
            try_switch(&daemon, &known).await.is_ok() && try_switch(&daemon, &known).await.is_ok()
        );
        assert!(try_switch(&daemon, &later).await.is_err());
        let changed = applied(&daemon, &asking(without.clone(), &[&new])).await;
        assert_eq!(changed, "TLSClientCAFile (content of the file)");
        assert!(try_switch(&daemon, &known).await.is_err());
        assert!(try_switch(&daemon, &later).await.is_ok());
        applied(&daemon, &without).await;
        assert!(try_switch(&daemon, &trusting(&servers)).await.is_ok());
    }
}
