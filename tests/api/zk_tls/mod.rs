//! TLS to ZooKeeper: a real server with TLS, and servers, certificates and ports that do not fit.

mod configuration;
mod connections;
mod faults;
mod reload;

use std::path::PathBuf;

use crate::support::certificates::{Authority, Identity};
use crate::support::daemon::{Builder, Daemon};
use crate::support::write_private;
use crate::support::zookeeper::{ServerTls, ZooKeeper};

/// A server with TLS, and a daemon that trusts its authority.
struct Scene {
    authority: Authority,
    zookeeper: ZooKeeper,
    builder: Builder,
}

/// `None` with a ZooKeeper without TLS, such as 3.4.
async fn scene() -> Option<Scene> {
    let authority = Authority::new("zookeepers");
    let server = authority.server();
    scene_with(authority, server_tls(&server)).await
}

async fn scene_with(authority: Authority, tls: ServerTls) -> Option<Scene> {
    if ZooKeeper::shared().await.version().await < (3, 5, 5) {
        return None;
    }
    let zookeeper = ZooKeeper::with_tls(tls).await;
    let builder = Daemon::builder(&zookeeper)
        .set("ZKBroker", vec![zookeeper.tls_address()])
        .set("ZKSessionTimeoutSeconds", 6);
    let builder = trusting(builder, &authority);
    Some(Scene { authority, zookeeper, builder })
}

/// A server that asks clients for no certificate.
fn server_tls(identity: &Identity) -> ServerTls {
    ServerTls { certificate: identity.pem().to_owned(), key: identity.key_pem(), clients: None }
}

fn file(builder: &Builder, name: &str) -> PathBuf {
    builder.folder().join(name)
}

/// The daemon trusts this authority.
fn trusting(builder: Builder, authority: &Authority) -> Builder {
    let ca = write_private(&file(&builder, "zk-ca.pem"), authority.pem());
    builder.set("ZKTLSCAFile", ca.to_str().unwrap())
}

/// The daemon has this certificate.
fn with_identity(builder: Builder, identity: &Identity) -> Builder {
    let certificate = write_private(&file(&builder, "zk.pem"), identity.pem());
    let key = write_private(&file(&builder, "zk.key"), &identity.key_pem());
    builder
        .set("ZKTLSCertificateFile", certificate.to_str().unwrap())
        .set("ZKTLSPrivateKeyFile", key.to_str().unwrap())
}
