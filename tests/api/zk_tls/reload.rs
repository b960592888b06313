//! SIGHUP: new certificates serve from the next connection on.

use super::{file, scene, server_tls, trusting, with_identity};
use crate::reload::{applied, refused};
use crate::support::certificates::Authority;
use crate::support::{eventually, seconds, write_private};

#[tokio::test]
async fn new_certificates_serve_from_the_next_connection_on() {
    let Some(mut scene) = scene().await else { return };
    let builder = scene.builder.set("ZKRequestTimeoutSeconds", 20);
    let daemon = builder.start().await;
    daemon.switch_twice("alice").await;
    // The servers change to certificates of another authority, before the daemon.
    let next = Authority::new("next");
    scene.zookeeper.set_tls(server_tls(&next.server()));
    scene.zookeeper.kill9();
    scene.zookeeper.restart().await;
    daemon.wait_for_log(&["no ZooKeeper session", "authority that is not trusted"]).await;
    let builder = trusting(builder, &next);
    let changed = applied(&daemon, &builder).await;
    assert_eq!(changed, "ZKTLSCAFile (content of the file)");
    eventually("switches work", seconds(30), || async {
        daemon.switch("alice", "btc").await.success.then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_connection_lives_on_through_a_reload() {
    let Some(scene) = scene().await else { return };
    let daemon = scene.builder.start().await;
    daemon.switch_twice("alice").await;
    let authority = Authority::new("others");
    applied(&daemon, &trusting(scene.builder.clone(), &authority)).await;
    daemon.switch_twice("alice").await;
    assert_eq!(daemon.log_with(&["ZooKeeper connection lost"]), Vec::<String>::new());
}

#[tokio::test]
async fn a_reload_with_bad_files_or_without_tls_changes_nothing() {
    let Some(scene) = scene().await else { return };
    let daemon = scene.builder.start().await;
    daemon.switch_twice("alice").await;
    let off = scene.builder.clone().set("ZKTLSCAFile", "");
    refused(&daemon, &off, &["ZKTLSCAFile", "needs a restart"]).await;
    let client = with_identity(scene.builder.clone(), &scene.authority.client("daemon"));
    write_private(&file(&client, "zk.key"), "rubbish");
    refused(&daemon, &client, &["ZKTLSPrivateKeyFile", "which has no private key in PEM"]).await;
    daemon.switch_twice("alice").await;
}
