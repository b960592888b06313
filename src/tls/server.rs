//! A listener's side of handshakes.

use std::sync::Arc;

use switcher_actors::{PemFault, roots};
use thiserror::Error;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        Error as TlsError, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer},
        server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
        sign::{CertifiedKey, SingleCertAndKey},
        version::{TLS12, TLS13},
    },
};

/// A listener's side of handshakes: its certificate, and the certificates that clients need. TLS 1.2 and 1.3, HTTP/1.1.
#[derive(Clone)]
pub struct ServerTls(Arc<ServerConfig>);

/// Certificates or a key that cannot be used. The text continues "is FILE, ".
#[derive(Debug, Error)]
pub enum ServerFault {
    #[error("whose first certificate cannot be used: {0}")]
    Certificate(TlsError),
    #[error(transparent)]
    Key(PemFault),
    #[error("whose key does not belong to the first certificate of TLSCertificateFile")]
    OtherKey,
    #[error(
        "whose first certificate is not that of the key in TLSPrivateKeyFile, but number {0} is: put that one first"
    )]
    Order(usize),
    #[error(transparent)]
    Authority(PemFault),
    #[error("which cannot be used: {0}")]
    Authorities(String),
}

impl ServerTls {
    /// Shows `certificates`, the server's own first. With `authorities`, clients need a certificate of one of them.
    pub fn new(
        certificates: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        authorities: Option<Vec<CertificateDer<'static>>>,
    ) -> Result<Self, ServerFault> {
        let certified = certified(certificates, key)?;
        let verifier = authorities.map(verifier).transpose()?;
        configure(verifier, certified).map(Self).map_err(ServerFault::Certificate)
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        Arc::clone(&self.0).into()
    }
}

fn configure(
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    certified: CertifiedKey,
) -> Result<Arc<ServerConfig>, TlsError> {
    let asks_clients = verifier.is_some();
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS12, &TLS13])?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if asks_clients {
        // A session that is taken up again shows no certificate, which may have expired since.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(Arc::new(config))
}

/// A key with its certificates.
fn certified(
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, ServerFault> {
    let key = ring::default_provider().key_provider.load_private_key(key);
    let key = key.map_err(|cause| ServerFault::Key(PemFault::UnusableKey(cause)))?;
    let mut certified = CertifiedKey::new(certificates, key);
    match certified.keys_match() {
        Ok(()) => return Ok(certified),
        Err(TlsError::InconsistentKeys(_)) => {}
        Err(error) => return Err(ServerFault::Certificate(error)),
    }
    for number in 2..=certified.cert.len() {
        certified.cert.rotate_left(1);
        if certified.keys_match().is_ok() {
            return Err(ServerFault::Order(number));
        }
    }
    Err(ServerFault::OtherKey)
}

fn verifier(
    authorities: Vec<CertificateDer<'static>>,
) -> Result<Arc<dyn ClientCertVerifier>, ServerFault> {
    let roots = roots(authorities).map_err(ServerFault::Authority)?;
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
    verifier.map(|it| it as _).map_err(|error| ServerFault::Authorities(error.to_string()))
}
