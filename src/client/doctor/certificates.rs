//! Days until the daemon's certificates expire.

use std::time::SystemTime;

use super::findings::Findings;
use crate::config::CertificateEnd;

const DAY: u64 = 24 * 60 * 60;

/// Days before the expiry from which a renewal is due.
const SOON: u64 = 14;

pub fn certificates(findings: &mut Findings, certificates: &[CertificateEnd]) {
    const CHECK: &str = "certificate";
    const RENEW: &str = "renew the certificate, and reload the daemon (SIGHUP)";
    for CertificateEnd { used_for, end } in certificates {
        let what = format!("the certificate for {used_for}");
        match end.duration_since(SystemTime::now()).map(|left| left.as_secs() / DAY) {
            Err(_) => findings.problem(CHECK, format!("{what} has expired"), RENEW),
            Ok(days) if days < SOON => {
                findings.warn(CHECK, format!("{what} expires in {days} days"), RENEW);
            }
            Ok(days) => findings.ok(CHECK, format!("{what} expires in {days} days")),
        }
    }
}
