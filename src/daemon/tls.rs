//! TLS of the listeners, and the ends of all certificates as a metric.

use std::time::UNIX_EPOCH;

use prometheus_client::{
    metrics::{family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use crate::{
    config::{CertificateEnd, Settings, TlsSettings},
    http::{ListenerTls, Tls},
    tls::LiveTls,
};

/// Certificates that a reload replaces.
#[derive(Clone)]
pub struct Certificates {
    /// `None` without TLS.
    live: Option<LiveTls>,
    ends: Family<[(&'static str, &'static str); 1], Gauge>,
}

impl Certificates {
    pub fn replace(&self, tls: Option<TlsSettings>, certificates: &[CertificateEnd]) {
        // Only a restart turns TLS on or off.
        if let (Some(live), Some(tls)) = (&self.live, tls) {
            live.replace(tls.server);
        }
        self.show(certificates);
    }

    fn show(&self, certificates: &[CertificateEnd]) {
        self.ends.clear();
        for CertificateEnd { used_for, end } in certificates {
            let end = end.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let gauge = self.ends.get_or_create_owned(&[("use", *used_for)]);
            gauge.set(i64::try_from(end).unwrap_or(i64::MAX));
        }
    }
}

/// TLS of the daemon, as at its start.
pub struct DaemonTls {
    pub certificates: Certificates,
    pub api: Option<ListenerTls>,
    pub admin: Option<ListenerTls>,
}

impl DaemonTls {
    pub fn new(settings: &Settings, registry: &mut Registry) -> Self {
        let ends = Family::default();
        registry.register_with_unit(
            "certificate_expiry_timestamp",
            "When the certificate expires that the daemon shows, since 1970, by its use; of a file's certificates the earliest",
            Unit::Seconds,
            ends.clone(),
        );
        let Some(TlsSettings { server, api, admin, .. }) = &settings.tls else {
            let certificates = Certificates { live: None, ends };
            certificates.show(&settings.certificates);
            return Self { certificates, api: None, admin: None };
        };
        let live = LiveTls::new(server.clone());
        let tls = Tls::new(live.clone(), registry);
        let certificates = Certificates { live: Some(live), ends };
        certificates.show(&settings.certificates);
        let of = |is_on: bool, name| is_on.then(|| tls.of_listener(name));
        Self { certificates, api: of(*api, "api"), admin: of(*admin, "admin") }
    }
}
