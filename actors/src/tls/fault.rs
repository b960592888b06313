//! Cause and remedy of a failed TLS handshake, for the operator of the server or of this side.

use std::io;

use thiserror::Error;
use tokio_rustls::rustls::{
    self, AlertDescription, CertificateError, PeerIncompatible,
    pki_types::{ServerName, UnixTime},
};
use webpki::Error as WebPkiError;
use x509_parser::time::ASN1Time;

use crate::domain::fit;

/// Requirement on the server's side of TLS.
const NEEDED: &str = "enable TLS 1.3 on the server, or TLS 1.2 with a cipher suite of ECDHE and AEAD, like \
    ECDHE-RSA-AES128-GCM-SHA256";

/// Failed handshake. Both texts are safe for a log and a terminal.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{cause}; {remedy}")]
pub struct TlsFault {
    /// Cause.
    pub cause: String,
    /// Remedy.
    pub remedy: String,
}

/// Remedies on this side of a connection, as parts of sentences.
#[derive(Clone, Debug, Default)]
pub struct TlsRemedies {
    /// Setting with the server's address.
    pub address: &'static str,
    /// Beginning of a remedy that trusts another certificate; the certificate follows.
    pub trust: &'static str,
    /// End of that remedy.
    pub afterwards: &'static str,
    /// Whether an authority's certificate on a server is accepted once it is listed itself.
    pub accepts_listed_authority: bool,
    /// Remedy for a server without TLS.
    pub without_tls: String,
    /// Remedy for a server that demands a client certificate, or refuses the one that it got.
    pub client_certificate: String,
}

/// Handshake whose signature does not match the certificate's key.
#[derive(Debug, Error)]
#[error("bad signature of the handshake")]
pub(super) struct BadHandshakeSignature;

/// Cause and remedy of a handshake, both fit for the log.
fn fault(cause: impl Into<String>, remedy: impl Into<String>) -> TlsFault {
    TlsFault { cause: cause.into(), remedy: remedy.into() }
}

/// Host name that no certificate can have.
pub(super) fn no_name(host: &str, our: &TlsRemedies) -> TlsFault {
    let cause = format!("no certificate can be valid for the host name '{}'", fit(host));
    fault(cause, format!("put another name of the server into {}", our.address))
}

/// Error of a handshake with the server of this name.
pub(super) fn of_handshake(
    error: &io::Error,
    name: &ServerName<'_>,
    our: &TlsRemedies,
) -> TlsFault {
    use rustls::Error as Tls;
    match tls_error(error) {
        Some(Tls::InvalidCertificate(error)) => of_certificate(error, name, our),
        Some(Tls::AlertReceived(alert)) => of_alert(*alert, our),
        Some(Tls::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        )) => fault("the server speaks neither TLS 1.2 nor TLS 1.3", NEEDED),
        Some(Tls::InvalidMessage(error)) => {
            fault(format!("the server's answer is not TLS ({error:?})"), &*our.without_tls)
        }
        Some(other) => fault(fit(&format!("the TLS handshake failed: {other}")), NEEDED),
        None => match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => fault(
                "the server closed the connection during the TLS handshake",
                format!("look at the server's log; {NEEDED}"),
            ),
            _ => fault(
                format!("the TLS handshake failed: {error}"),
                "look at the server's log and at the network",
            ),
        },
    }
}

/// Error of a connection after the handshake; `None` if it has another reason.
pub(super) fn of_late_alert(error: &io::Error, our: &TlsRemedies) -> Option<TlsFault> {
    match tls_error(error)? {
        rustls::Error::AlertReceived(alert) => Some(of_alert(*alert, our)),
        _ => None,
    }
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn of_alert(alert: AlertDescription, our: &TlsRemedies) -> TlsFault {
    use AlertDescription as Alert;
    match alert {
        Alert::HandshakeFailure | Alert::InsufficientSecurity => fault(
            format!(
                "the server refuses the handshake (alert {alert:?}): most likely it has no cipher suite with ECDHE and \
                 AEAD, or demands a client certificate, or has a key on the curve P-521"
            ),
            NEEDED,
        ),
        Alert::ProtocolVersion => {
            fault("the server speaks neither TLS 1.2 nor TLS 1.3 (alert ProtocolVersion)", NEEDED)
        }
        Alert::UnrecognisedName => fault(
            "the server does not know the host name (alert UnrecognisedName)",
            format!("put the name that the server is configured for into {}", our.address),
        ),
        Alert::CertificateUnknown | Alert::UnknownCA | Alert::CertificateExpired => fault(
            format!("the server refuses the client's certificate (alert {alert:?})"),
            &*our.client_certificate,
        ),
        Alert::CertificateRequired | Alert::BadCertificate => fault(
            format!("the server demands a client certificate (alert {alert:?})"),
            &*our.client_certificate,
        ),
        other => fault(
            format!("the server refuses the handshake (alert {other:?})"),
            format!("look at the server's log; {NEEDED}"),
        ),
    }
}

fn of_certificate(error: &CertificateError, name: &ServerName<'_>, our: &TlsRemedies) -> TlsFault {
    let TlsRemedies { address, trust, afterwards, .. } = our;
    use CertificateError as Cert;
    let clock = "check this machine's clock";
    let webpki = match error {
        Cert::Other(other) => other.0.downcast_ref(),
        _ => None,
    };
    match (error, webpki) {
        (Cert::ExpiredContext { not_after, .. }, _) => fault(
            format!("the server's certificate has expired on {}", date(*not_after)),
            format!("renew it on the server, or {clock}"),
        ),
        (Cert::NotValidYetContext { not_before, .. }, _) => fault(
            format!("the server's certificate is not valid before {}", date(*not_before)),
            format!("{clock} and the server's"),
        ),
        (Cert::NotValidForNameContext { presented, .. }, _) if !presented.is_empty() => {
            let (host, names) = (fit(&name.to_str()), fit(&presented.join(", ")));
            fault(
                format!("the server's certificate is not valid for {host}, but for {names}"),
                format!("put such a name into {address}, or {}", new_certificate(name)),
            )
        }
        (Cert::ApplicationVerificationFailure, _) => fault(
            "the server shows another certificate than that of the configuration",
            trust.to_owned(),
        ),
        (Cert::UnknownIssuer, _) => fault(
            "the server's certificate is issued by an authority that is not trusted",
            format!(
                "{trust} the certificate of that authority, or of a self-signed server itself{afterwards}; \
                 or let the server send its intermediate certificates, too"
            ),
        ),
        (Cert::BadSignature | Cert::UnsupportedSignatureAlgorithmForPublicKeyContext { .. }, _) => {
            fault(
                "the server's certificate is not signed by the trusted certificate of its issuer's name, which may have \
             been renewed",
                format!("{trust} the certificate that the issuer uses now{afterwards}"),
            )
        }
        (_, Some(WebPkiError::CaUsedAsEndEntity)) => fault(
            "the server's certificate is one of an authority (CA:TRUE), and not itself trusted",
            instead_of_authority(name, our),
        ),
        (_, Some(WebPkiError::UnsupportedCertVersion)) => fault(
            "the server's certificate is X.509 version 1, which cannot name hosts",
            format!(
                "a version 3 certificate with subjectAltName is needed: {}",
                new_certificate(name)
            ),
        ),
        _ => fault(unusable(error), new_certificate(name)),
    }
}

/// Cause that only another certificate removes.
fn unusable(error: &CertificateError) -> String {
    let cause = match error {
        CertificateError::NotValidForNameContext { .. } => {
            "has no subjectAltName; a host name in its commonName does not count"
        }
        CertificateError::Other(other) if other.0.is::<BadHandshakeSignature>() => {
            return "the server's handshake is not signed with its certificate's key, or that is an RSA key of less \
                than 2048 bits"
                .to_owned();
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is not meant for servers: its extendedKeyUsage lacks serverAuth"
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. } => {
            "is signed with an algorithm that is not supported, such as SHA-1"
        }
        other => return fit(&format!("the server's certificate cannot be used: {other}")),
    };
    format!("the server's certificate {cause}")
}

/// Remedy for an authority's certificate on a server.
fn instead_of_authority(name: &ServerName<'_>, our: &TlsRemedies) -> String {
    let TlsRemedies { trust, afterwards, accepts_listed_authority, .. } = our;
    let other = format!("{} -addext basicConstraints=CA:FALSE", new_certificate(name));
    match accepts_listed_authority {
        true => format!("{trust} exactly this certificate{afterwards}; or {other}"),
        false => other,
    }
}

fn new_certificate(name: &ServerName<'_>) -> String {
    let kind = if matches!(name, ServerName::IpAddress(_)) { "IP" } else { "DNS" };
    format!(
        "make a new certificate for the server: openssl req -x509 -newkey rsa:2048 … -addext subjectAltName={kind}:{}",
        fit(&name.to_str())
    )
}

fn date(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).ok();
    let date = seconds.and_then(|seconds| ASN1Time::from_timestamp(seconds).ok());
    date.map_or_else(|| format!("{} s after 1970", time.as_secs()), |date| date.to_string())
}
