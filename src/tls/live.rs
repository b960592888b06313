//! The listeners' TLS in force.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_rustls::TlsAcceptor;

use super::ServerTls;

/// TLS for connections that begin now. Clones share it, as the listeners do.
#[derive(Clone)]
pub struct LiveTls(Arc<ArcSwap<ServerTls>>);

impl LiveTls {
    pub fn new(tls: ServerTls) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(tls)))
    }

    /// Changes TLS for connections that begin from now on; those that have begun keep theirs.
    pub fn replace(&self, tls: ServerTls) {
        self.0.store(Arc::new(tls));
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        self.0.load().acceptor()
    }
}
