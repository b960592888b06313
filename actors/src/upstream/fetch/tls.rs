//! TLS to the upstream: the trusted certificates, and the handshake.

use std::{io, sync::Arc, time::Duration};

use slog::{Logger, warn};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore,
        SignatureScheme,
        client::{
            danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
            verify_server_cert_signed_by_trust_anchor, verify_server_name,
        },
        crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature},
        pki_types::{CertificateDer, ServerName, UnixTime},
        server::ParsedCertificate,
    },
};
use url::Url;
use x509_parser::{parse_x509_certificate, time::ASN1Time};

use super::{
    super::url::shown,
    error::FetchError,
    tls_fault::{BadHandshakeSignature, no_name, of_handshake},
};

/// Client's side of TLS.
pub(super) struct Tls {
    connector: Result<TlsConnector, Error>,
    /// Key of the URL, for remedies.
    key: &'static str,
}

impl Tls {
    /// Reads the system's certificate authorities, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`. `is_needed` says
    /// whether their absence is worth a warning: an upstream without TLS may still redirect to one with it.
    pub(super) fn new(is_needed: bool, key: &'static str, log: &Logger) -> Self {
        let found = rustls_native_certs::load_native_certs();
        if found.certs.is_empty() && is_needed {
            let causes: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
            warn!(log, "no certificate authorities found, so no upstream is trusted: install \
                ca-certificates, or let SSL_CERT_FILE name a file with them";
                "cause" => causes.join("; "));
        }
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs.iter().cloned());
        let algorithms = provider.signature_verification_algorithms;
        let trust = Trust { roots, listed: found.certs, algorithms };
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let connector = config.map(|builder| {
            let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(trust));
            Arc::new(builder.with_no_client_auth()).into()
        });
        Self { connector, key }
    }

    /// Shakes hands with the URL's host.
    pub(super) async fn connect(
        &self,
        url: &Url,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, FetchError> {
        let host = url.host_str().unwrap_or_default();
        let connected = async {
            let bare = host.trim_matches(['[', ']']).to_owned();
            let name = ServerName::try_from(bare).map_err(|_| no_name(host, self.key))?;
            let connected = match &self.connector {
                Ok(connector) => connector.connect(name.clone(), stream).await,
                Err(error) => Err(io::Error::other(error.clone())),
            };
            connected.map_err(|error| of_handshake(&error, &name, self.key))
        };
        connected.await.map_err(|FetchError { cause, remedy }| FetchError {
            cause: format!("cannot connect to {}: {cause}", shown(url)),
            remedy,
        })
    }
}

/// Rule for a server's certificate: that of `webpki`, except that a certificate in the trusted list needs no other
/// certificate above it. A self-signed certificate with `CA:TRUE`, as `openssl req -x509` makes it, then serves once it is
/// listed, as in Go's `crypto/x509`; `webpki` refuses every authority's certificate on a server.
///
/// A listed certificate still has to name the host, be within its period, be meant for servers, and belong to the key
/// that signs the handshake (docs/develop/decisions/0025-upstream-certificates.md).
#[derive(Debug)]
struct Trust {
    roots: RootCertStore,
    listed: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        if self.listed.contains(end_entity) {
            verify_listed(end_entity, now)?;
        } else {
            verify_server_cert_signed_by_trust_anchor(
                &certificate,
                &self.roots,
                intermediates,
                now,
                self.algorithms.all,
            )?;
        }
        verify_server_name(&certificate, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
            .map_err(of_signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
            .map_err(of_signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Distinguishes a handshake's signature from a certificate's, for which the library has one variant.
fn of_signature(error: Error) -> Error {
    match error {
        Error::InvalidCertificate(CertificateError::BadSignature) => {
            CertificateError::Other(OtherError(Arc::new(BadHandshakeSignature))).into()
        }
        other => other,
    }
}

/// Checks a listed certificate's period and purpose.
fn verify_listed(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), CertificateError> {
    let (_, certificate) =
        parse_x509_certificate(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let validity = certificate.validity();
    let (not_before, not_after) = (unix_time(validity.not_before), unix_time(validity.not_after));
    if now < not_before {
        return Err(CertificateError::NotValidYetContext { time: now, not_before });
    }
    if now > not_after {
        return Err(CertificateError::ExpiredContext { time: now, not_after });
    }
    let usage = certificate.extended_key_usage().map_err(|_| CertificateError::BadEncoding)?;
    match usage {
        Some(usage) if !usage.value.server_auth && !usage.value.any => {
            Err(CertificateError::InvalidPurpose)
        }
        _ => Ok(()),
    }
}

fn unix_time(time: ASN1Time) -> UnixTime {
    let seconds = u64::try_from(time.timestamp()).unwrap_or_default();
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}
