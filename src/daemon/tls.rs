//! TLS of the listeners, and the ends of all certificates as a metric.

use std::time::UNIX_EPOCH;

use prometheus_client::{
    metrics::{family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use crate::{
    config::{CertificateEnd, FileContents, Settings},
    http::{ListenerTls, Tls},
    tls::{LiveTls, ServerTls},
};

/// Certificates that a reload replaces.
#[derive(Clone)]
pub struct Certificates {
    /// `None` without TLS.
    live: Option<LiveTls>,
    ends: Family<[(&'static str, &'static str); 1], Gauge>,
}

impl Certificates {
    pub fn replace(&self, listener_tls: Option<ServerTls>, certificates: &[CertificateEnd]) {
        // Only a restart turns TLS on or off.
        if let (Some(live), Some(tls)) = (&self.live, listener_tls) {
            live.replace(tls);
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
    pub fn new(settings: &Settings, contents: &FileContents, registry: &mut Registry) -> Self {
        let ends = Family::default();
        registry.register_with_unit(
            "certificate_expiry_timestamp",
            "When the certificate expires that the daemon shows, since 1970, by its use; of a file's certificates the earliest",
            Unit::Seconds,
            ends.clone(),
        );
        let live = contents.listener_tls.clone().map(LiveTls::new);
        let tls = live.clone().map(|live| Tls::new(live, registry));
        let certificates = Certificates { live, ends };
        certificates.show(&contents.certificates);
        let [api, admin] = settings.tls.as_ref().map_or([false; 2], |it| [it.api, it.admin]);
        let of = |is_on, name| tls.as_ref().filter(|_| is_on).map(|tls| tls.of_listener(name));
        Self { certificates, api: of(api, "api"), admin: of(admin, "admin") }
    }
}
