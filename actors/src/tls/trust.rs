//! Rule for a server's certificate.

use std::sync::Arc;

use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use x509_parser::parse_x509_certificate;

use super::{client::TlsTrust, fault::BadHandshakeSignature, pem::unix_time};

/// Rule for a server's certificate. By every rule, the certificate's key must have signed the handshake.
#[derive(Debug)]
pub(super) struct Trust {
    rule: Rule,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
enum Rule {
    /// The rule of `webpki`, except that a certificate in the trusted list needs no other certificate above it. A
    /// self-signed certificate with `CA:TRUE`, as `openssl req -x509` makes it, then serves once it is listed, as in Go's
    /// `crypto/x509`; `webpki` refuses every authority's certificate on a server.
    ///
    /// A listed certificate still has to name the host, be within its period, and be meant for servers
    /// (docs/develop/decisions/0025-upstream-certificates.md).
    Listed {
        roots: RootCertStore,
        listed: Vec<CertificateDer<'static>>,
    },
    Exactly(CertificateDer<'static>),
    Anyone,
}

impl Trust {
    pub(super) fn new(trust: TlsTrust, algorithms: WebPkiSupportedAlgorithms) -> Self {
        let rule = match trust {
            TlsTrust::Certificates(listed) => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(listed.iter().cloned());
                Rule::Listed { roots, listed }
            }
            TlsTrust::Exactly(certificate) => Rule::Exactly(certificate),
            TlsTrust::Anyone => Rule::Anyone,
        };
        Self { rule, algorithms }
    }
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
        match &self.rule {
            Rule::Listed { roots, listed } => {
                let certificate = ParsedCertificate::try_from(end_entity)?;
                if listed.contains(end_entity) {
                    verify_listed(end_entity, now)?;
                } else {
                    verify_server_cert_signed_by_trust_anchor(
                        &certificate,
                        roots,
                        intermediates,
                        now,
                        self.algorithms.all,
                    )?;
                }
                verify_server_name(&certificate, server_name)?;
            }
            Rule::Exactly(certificate) if certificate != end_entity => {
                return Err(CertificateError::ApplicationVerificationFailure.into());
            }
            Rule::Exactly(_) | Rule::Anyone => {}
        }
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
