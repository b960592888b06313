//! Servers, certificates and ports that do not fit: the log and `doctor` name cause and remedy.

use super::{Scene, scene, scene_with, server_tls, trusting};
use crate::client::doctor::{doctor, found};
use crate::support::certificates::{Authority, Draft, LOCAL};
use crate::support::daemon::Builder;

/// Panics unless log and `doctor` name the cause and the remedy, and no switch is acknowledged.
async fn names(builder: &Builder, cause: &str, remedy: &str) {
    let builder = builder.clone().set("ZKRequestTimeoutSeconds", 1);
    let daemon = builder.start().await;
    let line = daemon.wait_for_log(&["no ZooKeeper session; trying again", cause]).await;
    assert!(line.contains(remedy), "{line}");
    assert!(!daemon.switch("alice", "btc").await.success);
    let problems = found(&doctor(&builder), "problem", "broker").await;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains(cause), "{problems:?}");
    let finished = doctor(&builder).run().await;
    assert!(finished.stdout.contains(remedy), "{}", finished.stdout);
    let sessions = found(&doctor(&builder), "problem", "session").await;
    assert!(sessions[0].contains(cause), "{sessions:?}");
}

#[tokio::test]
async fn a_server_of_another_authority_is_refused() {
    let Some(scene) = scene().await else { return };
    let builder = trusting(scene.builder, &Authority::new("others"));
    names(&builder, "authority that is not trusted", "append to the file of ZKTLSCAFile").await;
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let authority = Authority::new("zookeepers");
    let expired = authority.issue(Draft::new(&LOCAL).expired());
    let Some(scene) = scene_with(authority, server_tls(&expired)).await else { return };
    names(&scene.builder, "certificate has expired on Feb  3", "renew it on the server").await;
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new("zookeepers");
    let foreign = authority.issue(Draft::new(&["zk1.example.com"]));
    let Some(scene) = scene_with(authority, server_tls(&foreign)).await else { return };
    let cause = "certificate is not valid for 127.0.0.1, but for";
    names(&scene.builder, cause, "put such a name into ZKBroker").await;
}

/// With a configured version, no connection of the daemon's own precedes the session.
#[tokio::test]
async fn the_session_checks_authority_name_and_period_by_itself() {
    let authority = Authority::new("zookeepers");
    let drafts = [Draft::new(&["zk1.example.com"]), Draft::new(&LOCAL).expired()];
    let [foreign, expired] = drafts.map(|draft| authority.issue(draft));
    let unknown = Authority::new("others").server();
    let Some(mut scene) = scene_with(authority, server_tls(&foreign)).await else { return };
    let builder = scene.builder.set("ZKServerVersion", "3.8.0").set("ZKRequestTimeoutSeconds", 5);
    // An attempt has two fifths of it: enough for the first handshake of a busy server.
    let builder = builder.set("ZKSessionTimeoutSeconds", 40);
    for (what, identity) in [("foreign", foreign), ("expired", expired), ("unknown", unknown)] {
        scene.zookeeper.set_tls(server_tls(&identity));
        scene.zookeeper.kill9();
        scene.zookeeper.restart().await;
        let daemon = builder.start().await;
        daemon.wait_for_log(&["no ZooKeeper session; trying again"]).await;
        assert!(!daemon.switch("alice", "btc").await.success, "{what}");
        assert_eq!(daemon.log_with(&["session is up"]), Vec::<String>::new(), "{what}");
    }
}

#[tokio::test]
async fn the_other_port_is_recognized_by_either_side() {
    let Some(Scene { zookeeper, builder, .. }) = scene().await else { return };
    let plain = builder.clone().set("ZKBroker", vec![zookeeper.address()]);
    names(&plain, "it speaks no TLS at this port", "put the servers' secureClientPort").await;
    let tls = builder.set("ZKTLSCAFile", "");
    names(&tls, "it expects TLS", "set ZKTLSCAFile").await;
    // Without the question for the version, too.
    let known = tls.set("ZKServerVersion", "3.8.0");
    let daemon = known.set("ZKRequestTimeoutSeconds", 1).start().await;
    daemon.wait_for_log(&["no ZooKeeper session; trying again", "it expects TLS"]).await;
}

#[tokio::test]
async fn with_a_good_server_a_bad_one_is_a_warning() {
    let Some(scene) = scene().await else { return };
    let Some(bad) =
        scene_with(Authority::new("x"), server_tls(&Authority::new("x").server())).await
    else {
        return;
    };
    let brokers = vec![scene.zookeeper.tls_address(), bad.zookeeper.tls_address()];
    let daemon = scene.builder.set("ZKBroker", brokers).start().await;
    daemon.switch_twice("alice").await;
    daemon
        .wait_for_log(&["TLS to a ZooKeeper server fails", "authority that is not trusted"])
        .await;
}
