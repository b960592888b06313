//! Reads and checks the files for TLS.

use std::path::PathBuf;

use switcher_actors::ZkSettings;

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

impl Findings {
    /// Reads the listeners' certificate and key.
    pub(super) fn read_tls(&mut self, _settings: Option<&mut TlsSettings>) {}

    /// Reads the certificates for ZooKeeper.
    pub(super) fn read_zookeeper_tls(&mut self, _settings: &mut ZkSettings) {}
}
