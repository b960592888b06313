//! Sessions over TLS: switches, a client certificate, and servers that die, hang or come back.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{scene, scene_with, server_tls, with_identity};
use crate::client::Cli;
use crate::client::doctor::{doctor, found};
use crate::support::certificates::Authority;
use crate::support::client::Answer;
use crate::support::daemon::Daemon;
use crate::support::zookeeper::ServerTls;
use crate::support::{eventually, seconds};

async fn wait_until_switches_work(daemon: &Daemon, coin: &str) {
    eventually("switches work", seconds(40), || async {
        daemon.switch("alice", coin).await.success.then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_daemon_switches_over_tls_alone() {
    let Some(scene) = scene().await else { return };
    let builder = scene.builder.set("ZKRequestTimeoutSeconds", 20);
    let daemon = builder.start().await;
    daemon.switch_twice("alice").await;
    assert_eq!(
        daemon.batch(r#"{"usercoins":[{"coin":"btc","punames":["bob","carol"]}]}"#).await,
        Answer::success()
    );
    let znodes = scene.zookeeper.znodes().await;
    for (user, coin) in [("alice", "bcc"), ("bob", "btc"), ("carol", "btc")] {
        assert_eq!(znodes.get(&daemon.path(user)).await.as_deref(), Some(coin));
    }
    // Commands read the same configuration.
    let builder = &builder;
    let status = Cli::new("status alice").config(builder.write_config()).run().await;
    assert_eq!(status.code, Some(0), "{status:?}");
    let findings = found(&doctor(builder), "ok", "broker").await;
    assert!(findings[0].contains("answers over TLS"), "{findings:?}");
    // The version was read over TLS, too.
    assert_eq!(daemon.log_with(&["does not report its version"]), Vec::<String>::new());
    let version = scene.zookeeper.version_text().await;
    assert_eq!(daemon.log_with(&["session is up", &version]).len(), 1);
}

#[tokio::test]
async fn the_request_size_of_a_server_is_found_over_tls() {
    let Some(mut scene) = scene().await else { return };
    scene.zookeeper.kill9();
    scene.zookeeper.limit_requests(8 * 1024);
    scene.zookeeper.restart().await;
    let daemon = scene.builder.start().await;
    daemon.wait_for_log(&["takes only small requests", "bytes_at_most: 7700"]).await;
    daemon.switch_twice("alice").await;
}

#[tokio::test]
async fn a_server_may_ask_for_the_daemons_certificate() {
    let authority = Authority::new("zookeepers");
    let clients = Authority::new("daemons");
    let server = authority.server();
    let tls = ServerTls { clients: Some(clients.pem().to_owned()), ..server_tls(&server) };
    let Some(scene) = scene_with(authority, tls).await else { return };
    let without = scene.builder.clone().start().await;
    let line = without.wait_for_log(&["no ZooKeeper session", "cause"]).await;
    for part in ["client's certificate", "ZKTLSCertificateFile"] {
        assert!(line.contains(part) || line.contains("client certificate"), "{line}");
    }
    assert!(line.contains("set ZKTLSCertificateFile and ZKTLSPrivateKeyFile"), "{line}");
    drop(without);
    let daemon = with_identity(scene.builder, &clients.client("daemon")).start().await;
    wait_until_switches_work(&daemon, "btc").await;
}

#[tokio::test]
async fn after_a_killed_or_frozen_server_the_daemon_comes_back_and_ends_its_old_session() {
    let Some(mut scene) = scene().await else { return };
    let daemon = scene.builder.set("ZKRequestTimeoutSeconds", 2).start().await;
    wait_until_switches_work(&daemon, "btc").await;
    scene.zookeeper.kill9();
    daemon.wait_for_log(&["ZooKeeper connection lost"]).await;
    scene.zookeeper.restart().await;
    wait_until_switches_work(&daemon, "bcc").await;

    scene.zookeeper.stop();
    eventually("a second loss", seconds(40), || async {
        (daemon.log_with(&["ZooKeeper connection lost"]).len() == 2).then_some(())
    })
    .await;
    // Unknown or refused, but no success.
    assert!(!daemon.switch("alice", "btc").await.success);
    scene.zookeeper.cont();
    wait_until_switches_work(&daemon, "bcc").await;
    // The log may be late.
    let ids: Vec<String> = eventually("a third session", seconds(20), || async {
        let lines = daemon.log_with(&["ZooKeeper session is up"]);
        (lines.len() == 3).then(|| lines.iter().map(|line| session(line)).collect())
    })
    .await;
    let alive = scene.zookeeper.sessions().await;
    assert!(alive.contains(&ids[2]), "{ids:?} in {alive}");
    assert!(!alive.contains(&ids[0]) && !alive.contains(&ids[1]), "{ids:?} in {alive}");
    let znodes = scene.zookeeper.znodes().await;
    assert_eq!(znodes.get(&daemon.path("alice")).await.as_deref(), Some("bcc"));
}

/// The session of a log line, as ZooKeeper prints it.
fn session(line: &str) -> String {
    let (_, rest) = line.split_once("session: ").expect("a session");
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
    let digits = rest[..end].trim_start_matches("0x").trim_start_matches('0');
    format!("0x{digits}")
}

#[tokio::test]
async fn what_goes_over_the_network_names_no_sub_account() {
    const NAME: &[u8] = b"unmistakable_sub_account";
    let Some(scene) = scene().await else { return };
    for (address, is_plain) in
        [(scene.zookeeper.tls_address(), false), (scene.zookeeper.address(), true)]
    {
        let (proxy, seen) = listening_proxy(address).await;
        let mut builder = scene.builder.clone().set("ZKBroker", vec![proxy.to_string()]);
        if is_plain {
            builder = builder.set("ZKTLSCAFile", "");
        }
        let daemon = builder.start().await;
        eventually("a switch", seconds(40), || async {
            daemon.switch(NAME, "btc").await.success.then_some(())
        })
        .await;
        let seen = seen.lock().unwrap().clone();
        assert!(seen.len() > 500, "{} bytes", seen.len());
        let has_name = seen.windows(NAME.len()).any(|it| it == NAME);
        assert_eq!(has_name, is_plain, "the proxy sees all that is not encrypted");
        let has_word = seen.windows(4).any(|it| it == b"srvr");
        assert_eq!(has_word, is_plain);
    }
}

/// Passes connections on, and keeps all bytes of both directions.
async fn listening_proxy(server: String) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(server) = TcpStream::connect(&server).await else { continue };
            let ((from_client, to_client), (from_server, to_server)) =
                (client.into_split(), server.into_split());
            tokio::spawn(pass(from_client, to_server, Arc::clone(&all)));
            tokio::spawn(pass(from_server, to_client, Arc::clone(&all)));
        }
    });
    (address, seen)
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    all: Arc<Mutex<Vec<u8>>>,
) {
    let mut bytes = [0; 8192];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        all.lock().unwrap().extend_from_slice(&bytes[..count]);
        if to.write_all(&bytes[..count]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
