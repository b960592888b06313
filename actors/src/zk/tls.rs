//! TLS to the servers.
//!
//! The client crate makes its own connections, by its own rules, and hides the causes of failed handshakes. The
//! connections of this module, for the servers' version and request size, follow the same rules with the same
//! certificates: they fail where the crate will fail, with the cause.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::rustls::{
    ClientConfig, Error as TlsError,
    client::WebPkiServerVerifier,
    crypto::ring,
    pki_types::{CertificateRevocationListDer, pem::PemObject},
    sign::CertifiedKey,
};
use zookeeper_client::{Error as ClientError, TlsCa, TlsCerts, TlsIdentity, TlsOptions};

use crate::tls::{
    Identity, PemFault, TlsClient, TlsFault, TlsRemedies, TlsStream, certificates, damage,
    private_key, roots,
};

/// Certificates for TLS to the servers. Clones share them, so that a reload replaces them for all later connections.
#[derive(Clone)]
pub struct ZkTls(Arc<ArcSwap<Certificates>>);

struct Certificates {
    /// For the client crate.
    certs: TlsCerts,
    /// For connections of our own.
    client: TlsClient,
}

/// Files that cannot serve. The texts continue "is FILE, ".
#[derive(Debug, Error)]
pub enum ZkTlsFault {
    /// The file of authorities.
    #[error("{0}")]
    Authorities(String),
    /// The file with the client's certificate.
    #[error("{0}")]
    Certificate(String),
    /// The file with its key.
    #[error("{0}")]
    Key(String),
}

impl ZkTls {
    /// Takes the contents of files in PEM form: authorities, with revocation lists if need be, and the client's
    /// certificate with its key.
    pub fn new(
        authorities: &[u8],
        client: Option<(&[u8], &[u8])>,
    ) -> Result<Self, Vec<ZkTlsFault>> {
        // The client crate's TLS contains two cryptography providers, and uses the process's default. An error means
        // that the default is set already.
        let _ = ring::default_provider().install_default();
        let verifier = verifier(authorities).map_err(ZkTlsFault::Authorities);
        let own = client.map(identity).transpose();
        match (verifier, own) {
            (Ok(verifier), Ok(own)) => {
                let parts = Certificates::new(verifier, own, authorities, client);
                let parts = parts.map_err(|fault| vec![fault])?;
                Ok(Self(Arc::new(ArcSwap::from_pointee(parts))))
            }
            (verifier, own) => Err(verifier.err().into_iter().chain(own.err()).collect()),
        }
    }

    /// Takes the certificates of `new`, for all clones.
    pub fn replace(&self, new: &Self) {
        self.0.store(new.0.load_full());
    }

    pub(super) fn options(&self) -> TlsOptions {
        TlsOptions::new().with_certs(self.0.load().certs.clone())
    }

    /// Shakes hands with a broker (`host:port`).
    pub(super) async fn connect(
        &self,
        broker: &str,
        stream: TcpStream,
    ) -> Result<TlsStream, TlsFault> {
        self.0.load_full().client.connect(host(broker), stream).await
    }

    /// The fault, if a broker ends a connection after the handshake because of our certificate.
    pub(super) fn late_fault(&self, error: &std::io::Error) -> Option<TlsFault> {
        self.0.load().client.late_fault(error)
    }
}

impl Certificates {
    fn new(
        verifier: Arc<WebPkiServerVerifier>,
        own: Option<Identity>,
        authorities: &[u8],
        client: Option<(&[u8], &[u8])>,
    ) -> Result<Self, ZkTlsFault> {
        let unusable = |error: &dyn fmt::Display| {
            ZkTlsFault::Authorities(format!("which cannot be used: {error}"))
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?
            .with_webpki_verifier(verifier);
        let config = match own {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(key_fault)?,
            None => builder.with_no_client_auth(),
        };
        let certs = for_crate(authorities, client).map_err(|error| unusable(&error))?;
        Ok(Self { certs, client: TlsClient::of_config(config, remedies()) })
    }
}

/// Host of a broker (`host:port`).
pub(super) fn host(broker: &str) -> &str {
    broker.rsplit_once(':').map_or(broker, |(host, _)| host)
}

fn identity((chain, key): (&[u8], &[u8])) -> Result<Identity, ZkTlsFault> {
    let chain = certificates(chain).map_err(|fault| ZkTlsFault::Certificate(fault.to_string()))?;
    let key = private_key(key).map_err(|fault| ZkTlsFault::Key(fault.to_string()))?;
    // Even if the authorities cannot be used, so that all problems are reported at once.
    CertifiedKey::from_der(chain.clone(), key.clone_key(), &ring::default_provider())
        .map_err(key_fault)?;
    Ok((chain, key))
}

fn key_fault(error: TlsError) -> ZkTlsFault {
    ZkTlsFault::Key(match error {
        TlsError::InconsistentKeys(_) => {
            "whose key does not belong to the first certificate of ZKTLSCertificateFile".to_owned()
        }
        error => PemFault::UnusableKey(error).to_string(),
    })
}

/// The rule for a server's certificate, as the client crate makes it of the same file.
fn verifier(authorities: &[u8]) -> Result<Arc<WebPkiServerVerifier>, String> {
    let roots = certificates(authorities).and_then(roots).map_err(|fault| fault.to_string())?;
    let lists: Result<Vec<_>, _> =
        CertificateRevocationListDer::pem_slice_iter(authorities).collect();
    let lists =
        lists.map_err(|fault| format!("whose revocation list is damaged: {}", damage(&fault)))?;
    let provider = Arc::new(ring::default_provider());
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .with_crls(lists)
        .build()
        .map_err(|error| format!("which cannot be used: {error}"))
}

fn for_crate(authorities: &[u8], client: Option<(&[u8], &[u8])>) -> Result<TlsCerts, ClientError> {
    // Text around the sections may be in any encoding.
    let mut certs =
        TlsCerts::builder().with_ca(TlsCa::from_pem(&String::from_utf8_lossy(authorities))?);
    if let Some((chain, key)) = client {
        let (chain, key) = (String::from_utf8_lossy(chain), String::from_utf8_lossy(key));
        certs = certs.with_identity(TlsIdentity::from_pem(&chain, &key)?);
    }
    certs.build()
}

fn remedies() -> TlsRemedies {
    TlsRemedies {
        address: "ZKBroker",
        trust: "append to the file of ZKTLSCAFile",
        afterwards: ", and reload the daemon (SIGHUP)",
        accepts_listed_authority: false,
        without_tls: "put the servers' secureClientPort into ZKBroker, or set no ZKTLSCAFile".to_owned(),
        client_certificate: "set ZKTLSCertificateFile and ZKTLSPrivateKeyFile to a certificate that the servers trust, \
            or set ssl.clientAuth=none in zoo.cfg"
            .to_owned(),
    }
}
