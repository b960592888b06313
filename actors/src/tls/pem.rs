//! Certificates and keys as operators' files have them: PEM.

use std::time::Duration;

use thiserror::Error;
use tokio_rustls::rustls::{
    self, InconsistentKeys,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer, UnixTime,
        pem::{Error as PemError, PemObject},
    },
    sign::CertifiedKey,
};
use x509_parser::{parse_x509_certificate, time::ASN1Time};

/// Fault of a file; follows "FILE, which".
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PemFault {
    /// There is no section of the kind that is needed.
    #[error("has no {0} in PEM form (-----BEGIN …-----)")]
    Nothing(&'static str),
    /// The key has a password, which no program can type.
    #[error(
        "has an encrypted private key: decrypt it (openssl pkey -in FILE -out NEW), and chmod 600 the result"
    )]
    Encrypted,
    /// A section is damaged.
    #[error("is damaged: {0}")]
    Damaged(String),
    /// Certificate that cannot be parsed.
    #[error("has a certificate that cannot be read (number {0} in the file)")]
    BadCertificate(usize),
    /// Key of a kind that the library does not have.
    #[error(
        "has a private key that cannot be used ({0}): RSA of 2048 bits or more, ECDSA P-256 or P-384, or Ed25519 can"
    )]
    UnusableKey(String),
    /// Certificate and key are of two pairs.
    #[error("has a private key that does not belong to the certificate")]
    OtherKey,
}

/// Period of a certificate, in seconds since 1970, and its name for texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Subject, as in `CN=zk1`.
    pub subject: String,
    /// First second of its period.
    pub not_before: i64,
    /// Last second of its period.
    pub not_after: i64,
}

/// A certificate with its chain, and its key.
pub type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// All certificates of a file; at least one.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemFault> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| fault(error, "certificate"))?;
    if found.is_empty() {
        return Err(PemFault::Nothing("certificate"));
    }
    match found.iter().position(|it| facts(it).is_none()) {
        Some(index) => Err(PemFault::BadCertificate(index + 1)),
        None => Ok(found),
    }
}

/// The first private key of a file, and whether it belongs to the first certificate of `chain`.
pub fn identity(chain: Vec<CertificateDer<'static>>, pem: &[u8]) -> Result<Identity, PemFault> {
    let is_encrypted = [&b"BEGIN ENCRYPTED PRIVATE KEY"[..], b"Proc-Type: 4,ENCRYPTED"]
        .iter()
        .any(|mark| pem.windows(mark.len()).any(|window| window == *mark));
    if is_encrypted {
        return Err(PemFault::Encrypted);
    }
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| fault(error, "private key"))?;
    match CertifiedKey::from_der(chain.clone(), key.clone_key(), &ring::default_provider()) {
        Ok(_) => Ok((chain, key)),
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(PemFault::OtherKey)
        }
        Err(error) => Err(PemFault::UnusableKey(error.to_string())),
    }
}

/// Period and name of a certificate; `None` if it cannot be parsed.
pub fn facts(certificate: &CertificateDer<'_>) -> Option<CertificateFacts> {
    let (_, certificate) = parse_x509_certificate(certificate).ok()?;
    let validity = certificate.validity();
    Some(CertificateFacts {
        subject: certificate.subject().to_string(),
        not_before: validity.not_before.timestamp(),
        not_after: validity.not_after.timestamp(),
    })
}

fn fault(error: PemError, wanted: &'static str) -> PemFault {
    match error {
        PemError::NoItemsFound => PemFault::Nothing(wanted),
        // Its own text prints bytes as numbers.
        PemError::MissingSectionEnd { .. } => PemFault::Damaged("a section has no end".to_owned()),
        PemError::IllegalSectionStart { .. } => {
            PemFault::Damaged("a section begins with a bad line".to_owned())
        }
        other => PemFault::Damaged(other.to_string()),
    }
}

pub(super) fn unix_time(time: ASN1Time) -> UnixTime {
    let seconds = u64::try_from(time.timestamp()).unwrap_or_default();
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}
