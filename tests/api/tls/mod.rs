//! TLS of the listeners: clients with good and bad intentions, and an operator who renews certificates.

mod answers;
mod client_certificates;
mod configuration;
pub mod handshakes;
mod reload;

use std::sync::Arc;

use tokio_rustls::rustls::ClientConfig;

use crate::support::certificates::{self, Authority, Identity, VERSIONS};
use crate::support::client::{Connection, Request, Response};
use crate::support::daemon::{Builder, Daemon, PASSWORD, USER};
use crate::support::zookeeper::ZooKeeper;

/// A daemon with the certificate of `identity` at both listeners.
pub fn with(builder: Builder, identity: &Identity) -> Builder {
    let (certificate, key) = certificates::write(identity, builder.folder(), "server");
    builder
        .set("TLSCertificateFile", certificate.to_str().unwrap())
        .set("TLSPrivateKeyFile", key.to_str().unwrap())
}

/// A daemon with a certificate of `authority`, and long timeouts: a busy machine must not fail these tests.
async fn patient(authority: &Authority) -> Builder {
    let builder = Daemon::builder(ZooKeeper::shared().await).admin();
    let builder = builder.set("APIHeadTimeoutSeconds", 60).set("ZKRequestTimeoutSeconds", 60);
    with(builder, &authority.server())
}

/// A client that trusts `authority` and has no certificate.
pub fn trusting(authority: &Authority) -> Arc<ClientConfig> {
    authority.trusting(&VERSIONS, None)
}

async fn open(address: &str, tls: &Arc<ClientConfig>) -> Connection {
    Connection::open_tls(address, tls).await.unwrap()
}

/// A request with the right credentials.
fn known(request: Request) -> Request {
    request.credentials(USER, PASSWORD)
}

async fn send(connection: &mut Connection, request: Request) -> Response {
    connection.send(&known(request)).await.unwrap()
}

/// An answer over a connection of its own, or the error of the handshake or of the answer.
async fn try_switch(daemon: &Daemon, tls: &Arc<ClientConfig>) -> Result<Response, String> {
    let connection = Connection::open_tls(daemon.base(), tls).await;
    let mut connection = connection.map_err(|error| error.to_string())?;
    let request = known(Request::switch("alice", "btc"));
    connection.send(&request).await.map_err(|error| error.to_string())
}
