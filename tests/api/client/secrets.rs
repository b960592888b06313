//! No command shows a secret, whatever happens.

use serde_json::json;
use upstream_sim::{Reply, Upstream};

use super::puppet::{Act, Puppet, SUCCESS};
use super::{Cli, write};
use crate::support::daemon::Daemon;
use crate::support::zookeeper::ZooKeeper;

const SECRET: &str = "s3cr3t-w0rd";

#[tokio::test]
async fn no_output_has_a_secret() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = Upstream::start(|_| Reply::status(403, "No", "text/html", "<b>")).await.unwrap();
    let builder = Daemon::builder(zookeeper)
        .set("APIPassword", SECRET)
        .set("EnableCronJob", true)
        .set("ZKDigestCredentials", format!("switcher:{SECRET}"))
        .set(
            "UserCoinMapURL",
            format!("http://u:{SECRET}@{}/u?token={SECRET}", upstream.address()),
        );
    let daemon = builder.start().await;
    let config = builder.write_config();
    let folder = tempfile::tempdir().unwrap();
    let password = write(folder.path(), "password", SECRET);
    let batch = write(folder.path(), "batch.csv", "a,btc\nb,btc\n");
    let broken = write(folder.path(), "broken.json", format!("{{\"APIPassword\":\"{SECRET}\""));
    let wrong_type =
        write(folder.path(), "type.json", json!({"APIPassword": [SECRET]}).to_string());
    let puppet = Puppet::start([Act::Answer(SUCCESS.to_owned()), Act::HangUp]).await;
    let server = format!("--server {} --user u --password-file {password}", puppet.address());
    let right = format!("--server {} --password {SECRET}", daemon.base());
    for cli in [
        Cli::new("switch a btc").words(&right).config(&config),
        Cli::new("switch a ltc").words(&right).config(&config),
        Cli::new(&format!(
            "switch a btc --user eve --password {SECRET} --server {}",
            daemon.base()
        )),
        Cli::new(&format!("switch a btc --server h:1 --password {SECRET} --password-file x")),
        Cli::new(&format!("switch a btc --password {SECRET} --user x --chunk")),
        Cli::new("switch a btc").config(&broken),
        Cli::new("switch a btc").config(&wrong_type),
        Cli::new("status a").config(&broken),
        Cli::new("status a").config(&wrong_type),
        Cli::new("status a").config(&config),
        Cli::new("verify").config(&config),
        Cli::new("doctor").config(&config).words(&right),
        Cli::new("doctor").config(&wrong_type),
        Cli::new("batch").arg(&batch).words("--chunk 1").words(&server),
        Cli::new("get-coinbase btc p").words(&server),
        Cli::new("history").words(&server),
        Cli::new("history").config(&broken),
        Cli::new("undo 00a1 --yes").words(&server),
        Cli::new("update-coinbase btc p --payout-addr p --coinbase-info i --yes").words(&server),
    ] {
        for cli in [cli.clone(), cli.arg("--json")] {
            let finished = cli.run().await;
            let shown = finished.shown();
            assert!(finished.code.is_some(), "{finished:?}");
            assert!(!shown.contains(SECRET), "{:?}: {shown}", cli.arguments);
            // Nor in its form on the wire.
            assert!(!shown.contains("czNjcjN0"), "{:?}: {shown}", cli.arguments);
        }
    }
    let kept = std::fs::read_to_string(format!("{batch}.progress")).unwrap();
    assert!(!kept.contains(SECRET) && kept.contains(puppet.address()), "{kept}");
}
