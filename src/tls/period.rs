//! The time in which a certificate is valid.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_rustls::rustls::pki_types::CertificateDer;
use x509_parser::{parse_x509_certificate, time::ASN1Time};

/// Days before a certificate's end from which on a renewal is due; as in config/prometheus-alerts.yaml.
pub const RENEWAL_DAYS: u64 = 14;

/// Time in which a certificate is valid.
#[derive(Clone, Debug)]
pub struct Period {
    /// The subject's name, as the certificate has it; not fit for the log.
    pub subject: String,
    pub begin: SystemTime,
    pub end: SystemTime,
}

impl Period {
    /// `None` if the certificate cannot be read.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = parse_x509_certificate(certificate).ok()?;
        let validity = certificate.validity();
        let [begin, end] = [validity.not_before, validity.not_after].map(system_time);
        Some(Self { subject: certificate.subject().to_string(), begin, end })
    }
}

/// Whole days until `end`; `None` after it.
pub fn days_until(end: SystemTime, now: SystemTime) -> Option<u64> {
    end.duration_since(now).ok().map(|left| left.as_secs() / (24 * 60 * 60))
}

/// Times before 1970 become 1970.
fn system_time(time: ASN1Time) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or_default())
}
