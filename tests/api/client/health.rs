//! `health`: alive, ready, neither, and no admin pages.

use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Cli, assert_says};
use crate::support::daemon::{Builder, Daemon};
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, free_port, seconds};

fn health(builder: &Builder) -> Cli {
    Cli::new("health").config(builder.write_config())
}

/// A daemon's configuration with a known port for the admin pages.
fn builder(zookeeper: &ZooKeeper) -> (Builder, u16) {
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    (Daemon::builder(zookeeper).set("AdminListenAddr", address), port)
}

#[tokio::test]
async fn alive_differs_from_ready_and_missing_parts_are_named() {
    let mut zookeeper = ZooKeeper::absent().await;
    let (builder, port) = builder(&zookeeper);
    let cli = health(&builder);
    let told = cli.ends_with(1).await;
    assert_says(&told.stdout, &[&format!("cannot connect to 127.0.0.1:{port}: "), "refused"]);
    let daemon = builder.start().await;
    daemon.admin().await;
    assert_eq!(cli.ends_with(0).await.stdout, "ok\n");
    let ready = cli.clone().arg("--ready");
    assert_eq!(ready.ends_with(1).await.stdout, "no session with ZooKeeper\n");
    let document = ready.json(1).await;
    assert_eq!(document["missing"], json!(["no session with ZooKeeper"]), "{document}");
    assert_eq!(document["server"], json!(format!("127.0.0.1:{port}")));
    zookeeper.restart().await;
    eventually("a daemon that is ready", seconds(30), || async {
        (ready.run().await.code == Some(0)).then_some(())
    })
    .await;
    assert_eq!(ready.ends_with(0).await.stdout, "ready\n");
    assert_eq!(cli.json(0).await["missing"], json!([]));
}

#[tokio::test]
async fn it_finds_the_daemon_by_the_environment_alone_and_on_loopback() {
    let zookeeper = ZooKeeper::shared().await;
    let (builder, port) = builder(zookeeper);
    let daemon = builder.start().await;
    daemon.admin().await;
    for listen in [format!("127.0.0.1:{port}"), format!(":{port}"), format!("0.0.0.0:{port}")] {
        let cli = Cli::new("health").environment("AdminListenAddr", &listen);
        assert_eq!(cli.ends_with(0).await.stdout, "ok\n", "{listen}");
    }
    // Other problems of the configuration do not matter.
    let bad = builder.clone().without("ZKBroker").set("APIPassword", "");
    health(&bad).ends_with(0).await;
}

#[tokio::test]
async fn missing_admin_pages_are_a_configuration_failure() {
    let zookeeper = ZooKeeper::shared().await;
    let (builder, _) = builder(zookeeper);
    for (listen, said) in
        [("", "AdminListenAddr is empty"), ("127.0.0.1:0", "AdminListenAddr is \"127.0.0.1:0\"")]
    {
        let cli = health(&builder.clone().set("AdminListenAddr", listen));
        assert_says(&cli.ends_with(78).await.stderr, &[said]);
        let document: Value = cli.json(78).await;
        assert_eq!(document["error"]["kind"], "configuration", "{document}");
    }
    Cli::new("health --config /no/such.json").ends_with(78).await;
    Cli::new("health --timeout 0").ends_with(2).await;
    // The default address holds without the key.
    let named = Cli::new("health").run().await;
    let said = named.stdout.contains("127.0.0.1:8083") || named.stdout == "ok\n";
    assert!(said, "{named:?}");
}

#[tokio::test]
async fn a_silent_server_or_another_program_is_not_healthy() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let cli = Cli::new("health --timeout 1").environment("AdminListenAddr", &address);
    let told = cli.ends_with(1).await;
    assert_says(&told.stdout, &[&address, "no answer: not within 1 s (--timeout)"]);

    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    let cli = Cli::new("health").environment("AdminListenAddr", daemon.base());
    assert_says(&cli.ends_with(1).await.stdout, &["has no admin pages (status 401"]);
}
