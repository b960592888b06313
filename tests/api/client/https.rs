//! Calls with TLS: the trusted certificates, client certificates, and what does not fit.

use super::{Cli, assert_says, write};
use crate::support::certificates::{Authority, Draft, Identity, LOCAL, write as write_pair};
use crate::support::daemon::{Builder, Daemon};
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, free_port, seconds};

/// A daemon's configuration with TLS on both listeners, at known ports.
async fn with_tls(identity: &Identity) -> (Builder, String) {
    let builder = Daemon::builder(ZooKeeper::shared().await);
    let (certificate, key) = write_pair(identity, builder.folder(), "server");
    let [listen, admin] = [(); 2].map(|()| format!("127.0.0.1:{}", free_port()));
    let builder = builder
        .set("ListenAddr", listen.clone())
        .set("AdminListenAddr", admin)
        .set("TLSCertificateFile", certificate.to_str().unwrap())
        .set("TLSPrivateKeyFile", key.to_str().unwrap());
    (builder, listen)
}

fn cli(words: &str, builder: &Builder) -> Cli {
    Cli::new(words).config(builder.write_config())
}

#[tokio::test]
async fn commands_on_the_daemons_machine_use_tls_as_the_configuration_has_it() {
    // The certificate does not name the loopback address.
    let identity = Authority::new("pool").issue(Draft::new(&["pool.example.com"]));
    let (builder, _) = with_tls(&identity).await;
    let daemon = builder.start().await;
    cli("switch alice btc", &builder).ends_with(0).await;
    let znodes = ZooKeeper::shared().await.znodes().await;
    assert_eq!(znodes.get(&daemon.path("alice")).await.as_deref(), Some("btc"));
    assert_eq!(cli("health", &builder).ends_with(0).await.stdout, "ok\n");
    cli("whoami", &builder).ends_with(0).await;
    drop(daemon);

    let api_alone = builder.set("TLSListeners", vec!["api"]);
    let _daemon = api_alone.start().await;
    cli("switch alice bcc", &api_alone).ends_with(0).await;
    assert_eq!(cli("health", &api_alone).ends_with(0).await.stdout, "ok\n");
}

#[tokio::test]
async fn a_server_with_another_certificate_than_the_file_gets_no_request() {
    let authority = Authority::new("pool");
    let (builder, listen) = with_tls(&authority.server()).await;
    let daemon = builder.start().await;
    // Renewed, before a reload.
    write_pair(&authority.server(), builder.folder(), "server");
    let failed = cli("switch alice btc", &builder).ends_with(69).await;
    let cause =
        "shows another certificate than that of the configuration; reload the daemon (SIGHUP)";
    assert_says(&failed.stderr, &[&format!("https://{listen}"), cause, "nothing was written"]);
    let znodes = ZooKeeper::shared().await.znodes().await;
    assert_eq!(znodes.get(&daemon.path("alice")).await, None);
    // A container must not be restarted for that.
    cli("health", &builder).ends_with(0).await;
    daemon.signal(rustix::process::Signal::HUP);
    eventually("the new certificate", seconds(20), || async {
        (cli("switch alice btc", &builder).run().await.code == Some(0)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn elsewhere_the_authority_and_the_name_decide() {
    let authority = Authority::new("pool");
    let (builder, listen) = with_tls(&authority.issue(Draft::new(&LOCAL[..2]))).await;
    let daemon = builder.start().await;
    let port = listen.rsplit_once(':').unwrap().1;
    let ca = write(builder.folder(), "ca.pem", authority.pem());
    let other = write(builder.folder(), "other.pem", Authority::new("other").pem());
    let call = |host: &str, ca: &str| {
        let cli = Cli::new("switch alice btc").at_address(&format!("https://{host}:{port}"));
        if ca.is_empty() { cli } else { cli.arg("--ca-file").arg(ca) }
    };
    for host in ["localhost", "127.0.0.1"] {
        call(host, &ca).ends_with(0).await;
    }
    for (ca, remedy) in [(&*other, "add to the file of --ca-file"), ("", "give --ca-file with")] {
        let failed = call("127.0.0.1", ca).ends_with(69).await;
        assert_says(&failed.stderr, &["authority that is not trusted", remedy]);
    }
    let name = Authority::new("x");
    let (foreign, listen) = with_tls(&name.issue(Draft::new(&["pool.example.com"]))).await;
    let _foreign = foreign.start().await;
    let ca = write(foreign.folder(), "ca.pem", name.pem());
    let cli = Cli::new("switch alice btc").at_address(&format!("https://{listen}"));
    let failed = cli.arg("--ca-file").arg(&ca).ends_with(69).await;
    assert_says(&failed.stderr, &["not valid for 127.0.0.1", "put such a name into --server"]);
    drop(daemon);
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_the_daemon_asks_for_it() {
    let (authority, clients) = (Authority::new("pool"), Authority::new("clients"));
    let (builder, listen) = with_tls(&authority.server()).await;
    let client_ca = write(builder.folder(), "clients.pem", clients.pem());
    let builder = builder.set("TLSClientCAFile", client_ca);
    let _daemon = builder.start().await;
    let (certificate, key) = write_pair(&clients.client("ops"), builder.folder(), "ops");
    for words in ["switch alice btc", "health"] {
        let without = cli(words, &builder).run().await;
        assert_ne!(without.code, Some(0), "{without:?}");
        assert_says(&without.shown(), &["--cert-file and --key-file"]);
        let with = cli(words, &builder).arg("--cert-file").arg(&certificate);
        with.arg("--key-file").arg(&key).ends_with(0).await;
    }
    // Certificate and key go together.
    let half = Cli::new("switch alice btc").at_address(&format!("https://{listen}"));
    half.clone().arg("--cert-file").arg(&certificate).ends_with(2).await;
    let (_, other) = write_pair(&clients.client("x"), builder.folder(), "x");
    let mixed = half.arg("--cert-file").arg(&certificate).arg("--key-file").arg(&other);
    assert_says(&mixed.ends_with(66).await.stderr, &["--cert-file and --key-file cannot be used"]);
}

#[tokio::test]
async fn the_wrong_scheme_is_recognized() {
    let (builder, listen) = with_tls(&Authority::new("pool").server()).await;
    let daemon = builder.start().await;
    let plain = Cli::new("switch alice btc").at_address(&listen).run().await;
    assert_ne!(plain.code, Some(0));
    let znodes = ZooKeeper::shared().await.znodes().await;
    assert_eq!(znodes.get(&daemon.path("alice")).await, None);
    let without = Daemon::start(ZooKeeper::shared().await).await;
    let secured = Cli::new("switch alice btc").at_address(&format!("https://{}", without.base()));
    let failed = secured.ends_with(69).await;
    assert_says(&failed.stderr, &["give --server http://HOST:PORT", "nothing was written"]);
    // A call that was meant to be encrypted does not go out in plain text.
    let ca = write(builder.folder(), "ca.pem", Authority::new("pool").pem());
    let meant = Cli::new("switch alice btc").at(&without).arg("--ca-file").arg(ca);
    assert_says(&meant.ends_with(2).await.stderr, &["give --server https://HOST:PORT"]);
}
