//! Reads and checks the files for TLS.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use switcher_actors::{Quoted, Shown, ZkTls, ZkTlsFault};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::files::Findings;
use crate::tls::{
    CertificateDer, Period, PrivateKeyDer, RENEWAL_DAYS, ServerFault, ServerTls, certificates,
    days_until, private_key,
};

/// TLS of the listeners (trust contract, section 3).
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// `TLSCertificateFile`.
    pub certificate: PathBuf,
    /// `TLSPrivateKeyFile`.
    pub key: PathBuf,
    /// `TLSClientCAFile`.
    pub client_ca: Option<PathBuf>,
    /// Whether the API's listener has TLS.
    pub api: bool,
    /// Whether the admin listener has TLS.
    pub admin: bool,
}

/// Expiry of a certificate that the daemon shows.
#[derive(Clone, Copy, Debug)]
pub struct CertificateEnd {
    /// Label of the metric: `listeners`, or `zookeeper`.
    pub used_for: &'static str,
    /// The earliest expiry of the certificates in the file.
    pub end: SystemTime,
}

/// Files for TLS to ZooKeeper (trust contract, section 3).
#[derive(Clone, Debug)]
pub struct ZkTlsFiles {
    /// `ZKTLSCAFile`.
    pub ca: PathBuf,
    /// `ZKTLSCertificateFile` and `ZKTLSPrivateKeyFile`.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl Findings {
    /// Reads the files for TLS of the listeners.
    pub(super) fn read_tls(&mut self, settings: Option<&TlsSettings>) -> Option<ServerTls> {
        const CERTIFICATE: &str = "TLSCertificateFile";
        const KEY: &str = "TLSPrivateKeyFile";
        const CLIENT_CA: &str = "TLSClientCAFile";
        let TlsSettings { certificate, key, client_ca, .. } = settings?;
        let certificates = self.read_certificates(CERTIFICATE, certificate);
        let private_key = self.read_private_key(KEY, key);
        // After a problem with the authorities, certificate and key are checked all the same.
        let authorities =
            client_ca.as_ref().and_then(|file| self.read_certificates(CLIENT_CA, file));
        let (certificates, private_key) = (certificates?, private_key?);
        self.look_at_periods(CERTIFICATE, certificate, &certificates, "listeners");
        let is_complete = authorities.is_some() == client_ca.is_some();
        let fault = match ServerTls::new(certificates, private_key, authorities) {
            // Never one that admits clients without a certificate where the file of authorities is damaged.
            Ok(server) => return is_complete.then_some(server),
            Err(fault) => fault,
        };
        let (name, file) = match (&fault, client_ca) {
            (ServerFault::Key(_) | ServerFault::OtherKey, _) => (KEY, key),
            (ServerFault::Authority(_) | ServerFault::Authorities(_), Some(file)) => {
                (CLIENT_CA, file)
            }
            _ => (CERTIFICATE, certificate),
        };
        self.refuse_file(name, file, fault);
        None
    }

    /// Reads the files for TLS to ZooKeeper.
    pub(super) fn read_zookeeper_tls(&mut self, files: Option<&ZkTlsFiles>) -> Option<ZkTls> {
        const CA: &str = "ZKTLSCAFile";
        const CERTIFICATE: &str = "ZKTLSCertificateFile";
        const KEY: &str = "ZKTLSPrivateKeyFile";
        let ZkTlsFiles { ca, identity } = files?;
        let authorities = self.read(CA, ca);
        let identity = identity.as_ref().map(|(certificate, key)| {
            self.refuse_public(KEY, key);
            (certificate, self.read(CERTIFICATE, certificate), key, self.read(KEY, key))
        });
        let client = match &identity {
            Some((file, chain, _, private)) => {
                let chain = chain.as_ref()?;
                let parsed = certificates(chain).unwrap_or_default();
                self.look_at_periods(CERTIFICATE, file, &parsed, "zookeeper");
                Some((&**chain, &**private.as_ref()?))
            }
            None => None,
        };
        let faults = match ZkTls::new(&authorities?, client) {
            Ok(tls) => return Some(tls),
            Err(faults) => faults,
        };
        for fault in faults {
            let (key, file) = match (&fault, &identity) {
                (ZkTlsFault::Certificate(_), Some((file, ..))) => (CERTIFICATE, *file),
                (ZkTlsFault::Key(_), Some((_, _, file, _))) => (KEY, *file),
                _ => (CA, ca),
            };
            self.refuse_file(key, file, fault);
        }
        None
    }

    /// Reads all certificates of a file; `None` after a recorded problem.
    pub(super) fn read_certificates(
        &mut self,
        key: &'static str,
        file: &Path,
    ) -> Option<Vec<CertificateDer<'static>>> {
        let found = certificates(&self.read(key, file)?);
        found.map_err(|fault| self.refuse_file(key, file, fault)).ok()
    }

    /// Warns of certificates that the daemon shows and that are not valid, or not for long. That is no problem: a
    /// forgotten renewal must not prevent a restart of the daemon.
    pub(super) fn look_at_periods(
        &mut self,
        key: &'static str,
        file: &Path,
        certificates: &[CertificateDer<'_>],
        used_for: &'static str,
    ) {
        let periods: Vec<_> = certificates.iter().filter_map(Period::of).collect();
        let (now, file) = (SystemTime::now(), file.to_string_lossy());
        for period in &periods {
            if let Some(doubt) = doubt(period, now) {
                let (file, subject) = (Quoted(&file), Shown(&period.subject));
                self.warnings
                    .push(format!("{key} is {file}, whose certificate of {subject} {doubt}"));
            }
        }
        let ends = periods.iter().map(|period| period.end);
        self.certificates.extend(ends.min().map(|end| CertificateEnd { used_for, end }));
    }

    /// Reads the first private key of a file; `None` after a recorded problem.
    pub(super) fn read_private_key(
        &mut self,
        key: &'static str,
        file: &Path,
    ) -> Option<PrivateKeyDer<'static>> {
        self.refuse_public(key, file);
        let found = private_key(&self.read(key, file)?);
        found.map_err(|fault| self.refuse_file(key, file, fault)).ok()
    }
}

/// Doubt about a certificate's period, which continues "its certificate ".
fn doubt(period: &Period, now: SystemTime) -> Option<String> {
    const RENEW: &str = "renew it, and send SIGHUP";
    let Period { begin, end, .. } = period;
    if now < *begin {
        return Some(format!(
            "is not valid before {}, and is refused until then: check this machine's clock",
            date(*begin)
        ));
    }
    match days_until(*end, now) {
        None => Some(format!("has expired on {}, and is refused: {RENEW}", date(*end))),
        Some(days) if days < RENEWAL_DAYS => {
            Some(format!("expires in {days} days, on {}: {RENEW}", date(*end)))
        }
        Some(_) => None,
    }
}

fn date(time: SystemTime) -> String {
    OffsetDateTime::from(time).format(&Rfc3339).unwrap_or_else(|_| "a day far away".to_owned())
}
