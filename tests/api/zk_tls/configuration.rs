//! The files and keys: all problems at once.

use super::{file, scene, trusting, with_identity};
use crate::client::doctor::{doctor, found};
use crate::support::certificates::{Authority, Draft};
use crate::support::daemon::Daemon;
use crate::support::write_private;
use crate::support::zookeeper::ZooKeeper;

#[tokio::test]
async fn every_problem_with_the_files_is_reported_at_once() {
    let builder = Daemon::builder(ZooKeeper::shared().await);
    let authority = Authority::new("zookeepers");
    let builder = with_identity(builder, &authority.client("daemon"));
    let empty = write_private(&file(&builder, "empty.pem"), "no certificate here\n");
    let key = file(&builder, "zk.key");
    let builder = builder.set("ZKTLSCAFile", empty.to_str().unwrap());
    // Another key.
    write_private(&key, &authority.server().key_pem());
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let finished = builder.check().await;
    assert_eq!(finished.code, Some(78), "{finished:?}");
    finished.assert_stderr_names(&[
        "ZKTLSCAFile: is ",
        "which has no certificate in PEM",
        "ZKTLSPrivateKeyFile: is ",
        "whose key does not belong to the first certificate of ZKTLSCertificateFile",
        "which every user of this machine may use (mode 644): run chmod o= on it",
    ]);

    let absent = builder.set("ZKTLSCAFile", "/nowhere/ca.pem").set("ZKTLSCertificateFile", "");
    let finished = absent.check().await;
    finished.assert_stderr_names(&["ZKTLSCertificateFile: is not set, but ZKTLSPrivateKeyFile is"]);
    let whole = absent.set("ZKTLSPrivateKeyFile", "");
    whole
        .check()
        .await
        .assert_stderr_names(&["ZKTLSCAFile: is \"/nowhere/ca.pem\", which cannot be read"]);
}

#[tokio::test]
async fn a_key_with_a_password_is_refused() {
    let builder = Daemon::builder(ZooKeeper::shared().await);
    let authority = Authority::new("zookeepers");
    let builder = with_identity(trusting(builder, &authority), &authority.client("daemon"));
    let key = file(&builder, "zk.key");
    let text = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    write_private(&key, text);
    let finished = builder.check().await;
    finished.assert_stderr_names(&["ZKTLSPrivateKeyFile", "whose key is encrypted"]);
    write_private(&key, "-----BEGIN PRIVATE KEY-----\nAAAA");
    builder
        .check()
        .await
        .assert_stderr_names(&["ZKTLSPrivateKeyFile", "whose private key is damaged"]);
}

#[tokio::test]
async fn keys_without_the_authorities_and_hosts_without_names_are_refused() {
    let builder = Daemon::builder(ZooKeeper::shared().await);
    let authority = Authority::new("zookeepers");
    let builder = with_identity(builder, &authority.client("daemon"));
    builder
        .check()
        .await
        .assert_stderr_names(&["ZKTLSCAFile: is not set, but ZKTLSCertificateFile is"]);
    let builder = trusting(builder, &authority);
    assert_eq!(builder.check().await.code, Some(0));
    let brokers = vec!["[fe80::1%eth0]:2281", "zk..1:2281", "zk1:2281"];
    let bad = builder.set("ZKBroker", brokers).check().await;
    assert_eq!(bad.code, Some(78));
    bad.assert_stderr_names(&[
        "[fe80::1%eth0]:2281",
        "zk..1:2281",
        "whose host no certificate can name",
    ]);
    assert!(!bad.stderr.contains("zk1:2281"), "{}", bad.stderr);
}

#[tokio::test]
async fn an_expired_certificate_is_a_warning_since_a_reload_replaces_it() {
    let builder = Daemon::builder(ZooKeeper::shared().await);
    let authority = Authority::new("zookeepers");
    let expired = authority.issue(Draft::new(&["daemon"]).for_clients().expired());
    let builder = with_identity(trusting(builder, &authority), &expired);
    let finished = builder.check().await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let shown = finished.shown();
    assert!(shown.contains("ZKTLSCertificateFile is "), "{shown}");
    assert!(shown.contains("has expired on 2001-02-03"), "{shown}");
    let findings = found(&doctor(&builder), "problem", "certificate").await;
    assert_eq!(findings, ["the certificate for zookeeper has expired"]);
    let lasting = with_identity(builder, &authority.client("daemon"));
    let findings = found(&doctor(&lasting), "ok", "certificate").await;
    assert!(findings[0].starts_with("the certificate for zookeeper expires in "), "{findings:?}");
}

#[tokio::test]
async fn without_the_keys_nothing_is_read() {
    let Some(scene) = scene().await else { return };
    let builder =
        scene.builder.set("ZKTLSCAFile", "").set("ZKBroker", vec![scene.zookeeper.address()]);
    builder.start().await.switch_twice("alice").await;
}
