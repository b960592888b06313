//! Certificates for listeners and clients: an authority of one test, and what it issues.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, crypto::ring};
pub use upstream_sim::{Draft, Identity};

use crate::write_private;

/// Names of a server on this machine.
pub const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Both versions that the daemon speaks.
pub const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// An authority.
pub struct Authority(Identity);

impl Authority {
    /// A new one, whose key no other has.
    pub fn new(name: &str) -> Self {
        Self(Draft::new(&[name]).authority().self_signed().unwrap())
    }

    /// Its certificate, in PEM.
    pub fn pem(&self) -> &str {
        self.0.pem()
    }

    pub fn issue(&self, draft: Draft) -> Identity {
        draft.issued_by(&self.0).unwrap()
    }

    /// For a server on this machine.
    pub fn server(&self) -> Identity {
        self.issue(Draft::new(&LOCAL))
    }

    /// For a client of that name, and no server.
    pub fn client(&self, name: &str) -> Identity {
        self.issue(Draft::new(&[name]).for_clients())
    }

    /// A client's side of TLS that trusts this authority, speaks these versions, and shows that certificate.
    pub fn trusting(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        client: Option<&Identity>,
    ) -> Arc<ClientConfig> {
        trusting(self.pem(), versions, client)
    }
}

/// As [`Authority::trusting`], for a certificate in PEM.
pub fn trusting(
    pem: &str,
    versions: &[&'static SupportedProtocolVersion],
    client: Option<&Identity>,
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(pem)).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match client {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let key = PrivateKeyDer::from_pem_slice(identity.key_pem().as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![certificate(identity.pem())], key).unwrap()
        }
    })
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

/// Writes `NAME.pem` and `NAME.key`; only their owner may read the key.
pub fn write(identity: &Identity, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let file =
        |extension, text: &str| write_private(&folder.join(name).with_extension(extension), text);
    (file("pem", identity.pem()), file("key", &identity.key_pem()))
}
