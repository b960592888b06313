//! Certificates and keys in PEM, as operators' files have them.

use std::time::Duration;

use thiserror::Error;
use tokio_rustls::rustls::{
    Error as TlsError, RootCertStore,
    pki_types::{
        CertificateDer, PrivateKeyDer, UnixTime,
        pem::{Error as PemError, PemObject},
    },
};
use x509_parser::time::ASN1Time;

use crate::Quoted;

/// A certificate with its chain, and its key.
pub type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Content that cannot be used. The text continues "is FILE, ".
#[derive(Debug, Error)]
pub enum PemFault {
    /// Whether it looks like the other usual coding.
    #[error("which has no certificate in PEM (-----BEGIN CERTIFICATE-----){}", of_der(*.0, "x509"))]
    NoCertificate(bool),
    /// Its place in the file, from one, and the fault.
    #[error("whose certificate number {} is damaged: {}", .0, damage(.1))]
    BadCertificate(usize, PemError),
    /// Whether it looks like the other usual coding.
    #[error("which has no private key in PEM (-----BEGIN PRIVATE KEY-----){}", of_der(*.0, "pkey"))]
    NoKey(bool),
    /// The daemon has no passphrase.
    #[error(
        "whose key is encrypted, and the daemon has no passphrase: decrypt it, openssl pkey -in OLD -out NEW, and let \
         only the daemon's user read it"
    )]
    EncryptedKey,
    /// The fault.
    #[error("whose private key is damaged: {}", damage(.0))]
    BadKey(PemError),
    /// An authority's certificate: its place in the file, from one, and the fault.
    #[error("whose certificate number {0} cannot be used: {1}")]
    UnusableAuthority(usize, TlsError),
    /// A key that is of no use for TLS: the fault.
    #[error(
        "whose key cannot be used ({0}): it takes RSA of 2048 to 8192 bits, ECDSA on P-256 or P-384, or Ed25519"
    )]
    UnusableKey(TlsError),
}

/// Remedy for the other usual coding.
fn of_der(is_der: bool, command: &str) -> String {
    match is_der {
        true => format!("; it looks like DER: openssl {command} -inform der -in OLD -out NEW"),
        false => String::new(),
    }
}

/// A fault in PEM, in words: the library shows lines as numbers.
pub(crate) fn damage(fault: &PemError) -> String {
    match fault {
        PemError::MissingSectionEnd { end_marker } => {
            let line = format!("-----END {}-----", String::from_utf8_lossy(end_marker));
            format!("it has no line {}", Quoted(&line))
        }
        PemError::IllegalSectionStart { line } => {
            format!("the line {} begins no section", Quoted(&String::from_utf8_lossy(line)))
        }
        fault => fault.to_string(),
    }
}

/// Whether the content may be DER: it begins as a sequence of more than 127 bytes.
fn is_der(content: &[u8]) -> bool {
    matches!(content, [0x30, 0x81..=0x84, ..])
}

/// All certificates of a file, at least one, in their order.
pub fn certificates(content: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemFault> {
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(content) {
        let number = found.len() + 1;
        found.push(certificate.map_err(|cause| PemFault::BadCertificate(number, cause))?);
    }
    match found.is_empty() {
        true => Err(PemFault::NoCertificate(is_der(content))),
        false => Ok(found),
    }
}

/// The store of these authorities, for the check of the other side's certificate.
pub fn roots(authorities: Vec<CertificateDer<'static>>) -> Result<RootCertStore, PemFault> {
    let mut roots = RootCertStore::empty();
    for (index, authority) in authorities.into_iter().enumerate() {
        roots.add(authority).map_err(|cause| PemFault::UnusableAuthority(index + 1, cause))?;
    }
    Ok(roots)
}

/// The first private key of a file: PKCS #8, PKCS #1 or SEC 1.
pub fn private_key(content: &[u8]) -> Result<PrivateKeyDer<'static>, PemFault> {
    const ENCRYPTED: [&[u8]; 2] = [b"BEGIN ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED"];
    let has = |words: &&[u8]| content.windows(words.len()).any(|window| window == *words);
    match PrivateKeyDer::from_pem_slice(content) {
        Ok(key) => Ok(key),
        Err(_) if ENCRYPTED.iter().any(has) => Err(PemFault::EncryptedKey),
        Err(PemError::NoItemsFound) => Err(PemFault::NoKey(is_der(content))),
        Err(cause) => Err(PemFault::BadKey(cause)),
    }
}

pub(super) fn unix_time(time: ASN1Time) -> UnixTime {
    let seconds = u64::try_from(time.timestamp()).unwrap_or_default();
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_in_words() {
        for (content, expected) in [
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n",
                "whose certificate number 1 is damaged: it has no line \"-----END CERTIFICATE-----\"",
            ),
            (
                "-----BEGIN CERTIFICATE\nAAAA\n",
                "whose certificate number 1 is damaged: the line \"-----BEGIN CERTIFICATE\" begins no section",
            ),
        ] {
            let fault = certificates(content.as_bytes()).unwrap_err();
            assert_eq!(fault.to_string(), expected);
        }
    }
}
