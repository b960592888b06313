//! Cause and remedy of a TLS handshake that failed, for the operator of the upstream.

use std::{fmt, io};

use thiserror::Error;
use tokio_rustls::rustls::{
    self, AlertDescription, CertificateError, PeerIncompatible,
    pki_types::{ServerName, UnixTime},
};
use webpki::Error as WebPkiError;
use x509_parser::time::ASN1Time;

use super::super::journal::fit;

/// Requirement on the server's side of TLS.
const NEEDED: &str = "enable TLS 1.3 on the server, or TLS 1.2 with a cipher suite of ECDHE and AEAD, like \
    ECDHE-RSA-AES128-GCM-SHA256";

/// A handshake that failed. Both texts are fit for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::poller) struct TlsFault {
    /// The cause.
    pub(in crate::poller) cause: String,
    /// What to do about it.
    pub(in crate::poller) remedy: String,
}

/// A handshake whose signature does not fit the certificate's key.
#[derive(Debug, Error)]
#[error("bad signature of the handshake")]
pub(super) struct BadHandshakeSignature;

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.cause, self.remedy)
    }
}

impl TlsFault {
    fn new(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { cause: cause.into(), remedy: remedy.into() }
    }

    /// A host that no certificate can be for.
    pub(super) fn no_name(host: &str) -> Self {
        let cause = format!("no certificate can be valid for the host name '{}'", fit(host));
        Self::new(cause, "put another name of the server into UserCoinMapURL")
    }

    /// TLS could not be set up at the start.
    pub(super) fn impossible() -> Self {
        Self::new("https is not possible", "look at the daemon's log from its start on")
    }

    /// The handshake's error, with a server that was asked for by this name.
    pub(super) fn of_handshake(error: &io::Error, name: &ServerName<'_>) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(rustls::Error::InvalidCertificate(fault)) => of_certificate(fault, name),
            Some(rustls::Error::AlertReceived(alert)) => of_alert(*alert),
            Some(rustls::Error::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
            )) => Self::new("the server speaks neither TLS 1.2 nor TLS 1.3", NEEDED),
            Some(rustls::Error::InvalidMessage(fault)) => Self::new(
                format!("the server's answer is not TLS ({fault:?})"),
                "put http:// or the port of https into UserCoinMapURL",
            ),
            Some(other) => Self::new(fit(&format!("the TLS handshake failed: {other}")), NEEDED),
            None if error.kind() == io::ErrorKind::UnexpectedEof
                || error.kind() == io::ErrorKind::ConnectionReset =>
            {
                Self::new(
                    "the server closed the connection during the TLS handshake",
                    format!("look at the server's log; {NEEDED}"),
                )
            }
            None => Self::new(
                format!("the TLS handshake failed: {error}"),
                "look at the server's log and at the network",
            ),
        }
    }
}

fn of_alert(alert: AlertDescription) -> TlsFault {
    match alert {
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
            TlsFault::new(
                format!(
                    "the server refuses the handshake (alert {alert:?}): most likely it has no cipher suite with \
                     ECDHE and AEAD, or demands a client certificate, or has a key on the curve P-521"
                ),
                NEEDED,
            )
        }
        AlertDescription::ProtocolVersion => TlsFault::new(
            "the server speaks neither TLS 1.2 nor TLS 1.3 (alert ProtocolVersion)",
            NEEDED,
        ),
        AlertDescription::UnrecognisedName => TlsFault::new(
            "the server does not know the host name (alert UnrecognisedName)",
            "put the name that the server is configured for into UserCoinMapURL",
        ),
        AlertDescription::CertificateRequired | AlertDescription::BadCertificate => TlsFault::new(
            format!("the server demands a client certificate (alert {alert:?})"),
            "switch that off for this client: it has none; a user and password may be in UserCoinMapURL",
        ),
        other => TlsFault::new(
            format!("the server refuses the handshake (alert {other:?})"),
            format!("look at the server's log; {NEEDED}"),
        ),
    }
}

fn of_certificate(fault: &CertificateError, name: &ServerName<'_>) -> TlsFault {
    let clocks = "check this machine's clock";
    match fault {
        CertificateError::ExpiredContext { not_after, .. } => TlsFault::new(
            format!("the server's certificate has expired on {}", date(*not_after)),
            format!("renew it on the server, or {clocks}"),
        ),
        CertificateError::NotValidYetContext { not_before, .. } => TlsFault::new(
            format!("the server's certificate is not valid before {}", date(*not_before)),
            format!("{clocks} and the server's"),
        ),
        CertificateError::NotValidForNameContext { presented, .. } => of_names(presented, name),
        CertificateError::UnknownIssuer => TlsFault::new(
            "the server's certificate is issued by an authority that is not trusted",
            format!(
                "{} the certificate of that authority, or of a self-signed server itself, and restart the daemon; or \
                 let the server send its intermediate certificates, too",
                TRUST
            ),
        ),
        CertificateError::BadSignature
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            TlsFault::new(
                "the server's certificate is not signed by the trusted certificate of its issuer's name, which may have \
             been renewed",
                format!(
                    "{} the certificate that the issuer uses now, and restart the daemon",
                    TRUST
                ),
            )
        }
        CertificateError::Other(other) if other.0.is::<BadHandshakeSignature>() => TlsFault::new(
            "the server's handshake is not signed with its certificate's key, or that is an RSA key of less than 2048 \
             bits",
            new_certificate(name),
        ),
        CertificateError::Other(other) => of_webpki(other.0.downcast_ref(), fault, name),
        other => TlsFault::new(of_content(other), new_certificate(name)),
    }
}

/// Names of a certificate, none of which is the host's.
fn of_names(presented: &[String], name: &ServerName<'_>) -> TlsFault {
    if presented.is_empty() {
        return TlsFault::new(
            "the server's certificate has no subjectAltName; a host name in its commonName does not count",
            new_certificate(name),
        );
    }
    let (host, names) = (shown_name(name), fit(&presented.join(", ")));
    TlsFault::new(
        format!("the server's certificate is not valid for {host}, but for {names}"),
        format!("put such a name into UserCoinMapURL, or {}", new_certificate(name)),
    )
}

/// Causes that only another certificate removes.
fn of_content(fault: &CertificateError) -> String {
    match fault {
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the server's certificate is not meant for servers: its extendedKeyUsage lacks serverAuth"
                .to_owned()
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. } => {
            "the server's certificate is signed with an algorithm that is not supported, such as SHA-1"
                .to_owned()
        }
        other => fit(&format!("the server's certificate cannot be used: {other}")),
    }
}

/// Faults for which `rustls` has no variant of its own.
fn of_webpki(
    error: Option<&WebPkiError>,
    fault: &CertificateError,
    name: &ServerName<'_>,
) -> TlsFault {
    match error {
        Some(WebPkiError::UnsupportedCertVersion) => TlsFault::new(
            "the server's certificate is X.509 version 1, which cannot name hosts",
            format!(
                "a version 3 certificate with subjectAltName is needed: {}",
                new_certificate(name)
            ),
        ),
        Some(WebPkiError::CaUsedAsEndEntity) => TlsFault::new(
            "the server's certificate is one of an authority (CA:TRUE), and not itself trusted",
            format!(
                "{} exactly this certificate, and restart the daemon; or {} -addext basicConstraints=CA:FALSE",
                TRUST,
                new_certificate(name)
            ),
        ),
        _ => TlsFault::new(
            fit(&format!("the server's certificate cannot be used: {fault}")),
            new_certificate(name),
        ),
    }
}

/// How to trust a certificate.
const TRUST: &str = "let SSL_CERT_FILE name a PEM file, and append to it";

fn new_certificate(name: &ServerName<'_>) -> String {
    let kind = if matches!(name, ServerName::IpAddress(_)) { "IP" } else { "DNS" };
    format!(
        "make a new certificate for the server: openssl req -x509 -newkey rsa:2048 … -addext subjectAltName={kind}:{}",
        shown_name(name)
    )
}

fn shown_name(name: &ServerName<'_>) -> String {
    fit(&name.to_str())
}

fn date(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).ok();
    let date = seconds.and_then(|seconds| ASN1Time::from_timestamp(seconds).ok());
    date.map_or_else(|| format!("{} s after 1970", time.as_secs()), |date| date.to_string())
}
