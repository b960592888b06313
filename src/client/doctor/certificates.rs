//! Days until the daemon's certificates expire.

use std::time::SystemTime;

use super::findings::Findings;
use crate::{
    config::CertificateEnd,
    tls::{RENEWAL_DAYS, days_until},
};

pub fn certificates(findings: &mut Findings, certificates: &[CertificateEnd]) {
    const CHECK: &str = "certificate";
    const RENEW: &str = "renew the certificate, and reload the daemon (SIGHUP)";
    for CertificateEnd { used_for, end } in certificates {
        let what = format!("the certificate for {used_for}");
        match days_until(*end, SystemTime::now()) {
            None => findings.problem(CHECK, format!("{what} has expired"), RENEW),
            Some(days) if days < RENEWAL_DAYS => {
                findings.warn(CHECK, format!("{what} expires in {days} days"), RENEW);
            }
            Some(days) => findings.ok(CHECK, format!("{what} expires in {days} days")),
        }
    }
}
