//! Trusted certificates, and the handshake.

use std::{fmt, io, sync::Arc};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, Error, InvalidMessage,
        crypto::ring,
        pki_types::{CertificateDer, ServerName},
    },
};

use super::{
    fault::{self, TlsFault, TlsRemedies},
    pem::Identity,
    trust::Trust,
};

/// Client's side of TLS 1.2 and 1.3.
pub struct TlsClient {
    connector: Result<TlsConnector, Error>,
    remedies: TlsRemedies,
}

/// Servers that are trusted.
#[derive(Debug)]
pub enum TlsTrust {
    /// Those with one of these certificates, or one below it, that name the host.
    Certificates(Vec<CertificateDer<'static>>),
    /// Those with exactly this certificate. Its names and period do not matter.
    Exactly(CertificateDer<'static>),
    /// All, for requests without secrets and with unimportant answers.
    Anyone,
}

/// Connection after the handshake.
pub type TlsStream = tokio_rustls::client::TlsStream<TcpStream>;

/// The operating system's certificate authorities, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`; and the causes why
/// some could not be read.
pub fn system_authorities() -> (Vec<CertificateDer<'static>>, Vec<String>) {
    let found = rustls_native_certs::load_native_certs();
    (found.certs, found.errors.iter().map(ToString::to_string).collect())
}

/// Whether a certificate can be valid for this host, a name or an address.
pub fn is_tls_name(host: &str) -> bool {
    ServerName::try_from(bare(host)).is_ok()
}

/// A host without the brackets of an IPv6 address.
fn bare(host: &str) -> &str {
    host.trim_matches(['[', ']'])
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsClient(…)")
    }
}

impl TlsClient {
    /// `identity` is the client's own certificate, with its chain, and its key.
    pub fn new(trust: TlsTrust, identity: Option<Identity>, remedies: TlsRemedies) -> Self {
        let provider = Arc::new(ring::default_provider());
        let trust = Trust::new(trust, provider.signature_verification_algorithms);
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(trust));
                match identity {
                    Some((chain, key)) => builder.with_client_auth_cert(chain, key),
                    None => Ok(builder.with_no_client_auth()),
                }
            });
        Self { connector: config.map(|config| Arc::new(config).into()), remedies }
    }

    /// The fault, if `identity` cannot be used: every handshake then fails with it.
    pub fn fault(&self) -> Option<String> {
        self.connector.as_ref().err().map(ToString::to_string)
    }

    /// With a rule for certificates of its own.
    pub(crate) fn of_config(config: ClientConfig, remedies: TlsRemedies) -> Self {
        Self { connector: Ok(Arc::new(config).into()), remedies }
    }

    /// Shakes hands with the host, a name or an address.
    pub async fn connect(&self, host: &str, stream: TcpStream) -> Result<TlsStream, TlsFault> {
        let name = ServerName::try_from(bare(host).to_owned())
            .map_err(|_| fault::no_name(host, &self.remedies))?;
        let connected = match &self.connector {
            Ok(connector) => connector.connect(name.clone(), stream).await,
            Err(error) => Err(io::Error::other(error.clone())),
        };
        connected.map_err(|error| fault::of_handshake(&error, &name, &self.remedies))
    }

    /// The fault, if a server ends a connection after the handshake because of the client's certificate: TLS 1.3 permits
    /// that.
    pub(crate) fn late_fault(&self, error: &io::Error) -> Option<TlsFault> {
        fault::of_late_alert(error, &self.remedies)
    }
}

/// Whether the server answers the beginning of a handshake with TLS, even with a refusal.
pub(crate) async fn speaks_tls(host: &str, stream: TcpStream) -> bool {
    let client = TlsClient::new(TlsTrust::Anyone, None, TlsRemedies::default());
    let Ok(name) = ServerName::try_from(bare(host).to_owned()) else { return false };
    let Ok(connector) = &client.connector else { return false };
    match connector.connect(name, stream).await {
        Ok(_) => true,
        Err(error) => match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) | None => false,
            Some(_) => true,
        },
    }
}
