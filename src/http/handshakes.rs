//! Failed TLS handshakes: counts them, and collects a summary for the log.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use crate::tls::LiveTls;

/// Why a handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Plain HTTP instead of a handshake.
    PlainHttp,
    /// Neither TLS 1.2 nor 1.3.
    Version,
    /// The client has no certificate of an authority in `TLSClientCAFile`.
    ClientCertificate,
    /// An alert of the client, which most likely does not trust the daemon's certificate.
    RefusedByClient,
    /// No TLS, or nothing in common.
    Protocol,
    /// The connection ended.
    Closed,
    TooSlow,
    /// Unfinished handshakes and heads hold all the memory that they may.
    NoMemory,
}

impl Reason {
    const ALL: [Self; 8] = [
        Self::PlainHttp,
        Self::Version,
        Self::ClientCertificate,
        Self::RefusedByClient,
        Self::Protocol,
        Self::Closed,
        Self::TooSlow,
        Self::NoMemory,
    ];

    /// The metric's label.
    fn label(self) -> &'static str {
        match self {
            Self::PlainHttp => "plain_http",
            Self::Version => "version",
            Self::ClientCertificate => "client_certificate",
            Self::RefusedByClient => "refused_by_client",
            Self::Protocol => "protocol",
            Self::Closed => "closed",
            Self::TooSlow => "too_slow",
            Self::NoMemory => "no_memory",
        }
    }
}

/// TLS of the listeners: the configuration in force, and the counters of failed handshakes.
#[derive(Clone)]
pub struct Tls {
    live: LiveTls,
    failed: Family<[(&'static str, &'static str); 2], Counter>,
}

impl Tls {
    pub fn new(live: LiveTls, registry: &mut Registry) -> Self {
        let failed = Family::default();
        registry.register(
            "tls_handshakes_failed",
            "TLS handshakes that failed, by listener and reason",
            failed.clone(),
        );
        Self { live, failed }
    }

    /// TLS of one listener.
    pub fn of_listener(&self, listener: &'static str) -> ListenerTls {
        let counters = Reason::ALL.map(|reason| {
            let labels = [("listener", listener), ("reason", reason.label())];
            self.failed.get_or_create_owned(&labels)
        });
        let failed = Arc::new(FailedHandshakes { counters, last: Mutex::default() });
        ListenerTls { live: self.live.clone(), failed }
    }
}

/// TLS of a listener. Clones share it.
#[derive(Clone)]
pub struct ListenerTls {
    pub live: LiveTls,
    pub failed: Arc<FailedHandshakes>,
}

/// The failed handshakes of a listener.
pub struct FailedHandshakes {
    /// In the order of [`Reason::ALL`].
    counters: [Counter; Reason::ALL.len()],
    last: Mutex<Summary>,
}

/// Failed handshakes since the last summary. They are not logged one by one, since any client can cause them.
#[derive(Default)]
pub struct Summary {
    pub failed: u64,
    pub last: Option<FailedHandshake>,
}

/// The last handshake that failed.
pub struct FailedHandshake {
    pub reason: &'static str,
    /// Of the TLS library.
    pub cause: String,
    pub client: Option<IpAddr>,
}

impl FailedHandshakes {
    pub fn note(&self, reason: Reason, cause: &str, client: Option<SocketAddr>) {
        for (counter, _) in self.counters.iter().zip(Reason::ALL).filter(|it| it.1 == reason) {
            counter.inc();
        }
        let client = client.map(|client| client.ip().to_canonical());
        let mut summary = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        summary.failed += 1;
        summary.last =
            Some(FailedHandshake { reason: reason.label(), cause: cause.to_owned(), client });
    }

    /// The summary since the last call.
    pub fn take_summary(&self) -> Summary {
        std::mem::take(&mut self.last.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
