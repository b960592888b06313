//! Reads and checks the files for TLS.

use std::{
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use switcher_actors::{CertificateFacts, Quoted, ZkTls, ZkTlsFault, certificates, facts, rfc_3339};

use super::files::Findings;

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

/// Files for TLS to ZooKeeper (trust contract, section 3).
#[derive(Clone, Debug)]
pub struct ZkTlsFiles {
    /// `ZKTLSCAFile`.
    pub ca: PathBuf,
    /// `ZKTLSCertificateFile` and `ZKTLSPrivateKeyFile`.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl Findings {
    /// Reads the listeners' certificate and key.
    pub(super) fn read_tls(&mut self, _settings: Option<&mut TlsSettings>) {}

    /// Reads the certificates for ZooKeeper.
    pub(super) fn read_zookeeper_tls(&mut self, files: Option<&ZkTlsFiles>) -> Option<ZkTls> {
        const CA: &str = "ZKTLSCAFile";
        const CERTIFICATE: &str = "ZKTLSCertificateFile";
        const KEY: &str = "ZKTLSPrivateKeyFile";
        let ZkTlsFiles { ca, identity } = files?;
        let authorities = self.read(CA, ca);
        let identity = identity.as_ref().map(|(certificate, key)| {
            let (chain, private) = (self.read(CERTIFICATE, certificate), self.read(KEY, key));
            self.check_privacy(KEY, key);
            (certificate, chain, key, private)
        });
        if let Some(authorities) = &authorities {
            self.check_period(CA, authorities);
        }
        let client = match &identity {
            Some((_, chain, _, private)) => {
                let chain = chain.as_ref()?;
                self.check_period(CERTIFICATE, chain);
                Some((&**chain, &**private.as_ref()?))
            }
            None => None,
        };
        match ZkTls::new(&authorities?, client) {
            Ok(tls) => Some(tls),
            Err(faults) => {
                for fault in faults {
                    let (key, file) = match (&fault, &identity) {
                        (ZkTlsFault::Certificate(_), Some((file, ..))) => (CERTIFICATE, *file),
                        (ZkTlsFault::Key(_), Some((_, _, file, _))) => (KEY, *file),
                        _ => (CA, ca),
                    };
                    let file = file.to_string_lossy();
                    self.problem(key, format!("is {}, which {fault}", Quoted(&file)));
                }
                None
            }
        }
    }

    /// Records a problem if every user of this machine may read the file of a private key.
    pub(super) fn check_privacy(&mut self, key: &'static str, file: &Path) {
        if let Some(mode) = self.mode(file)
            && mode & 0o007 != 0
        {
            let file = file.to_string_lossy();
            let text = format!(
                "is {}, which every user of this machine may use (mode {mode:03o}): run chmod 600",
                Quoted(&file)
            );
            self.problem(key, text);
        }
    }

    /// Warns of certificates that are expired or not yet valid. They may be renewed by a reload.
    pub(super) fn check_period(&mut self, key: &'static str, pem: &[u8]) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        for certificate in certificates(pem).unwrap_or_default() {
            let Some(CertificateFacts { subject, not_before, not_after }) = facts(&certificate)
            else {
                continue;
            };
            let subject = Quoted(&subject);
            if now > not_after {
                self.warnings.push(format!(
                    "{key} has the certificate {subject}, which expired on {}: renew it",
                    date(not_after)
                ));
            } else if now < not_before {
                self.warnings.push(format!(
                    "{key} has the certificate {subject}, which is not valid before {}: check this machine's clock",
                    date(not_before)
                ));
            }
        }
    }
}

/// A time in seconds since 1970, for texts.
fn date(seconds: i64) -> String {
    rfc_3339(u64::try_from(seconds).unwrap_or_default())
}
