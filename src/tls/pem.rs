//! Certificates and keys in PEM.

use thiserror::Error;
use tokio_rustls::rustls::pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{Error as PemError, PemObject},
};

/// Content that cannot be used. The text continues "is FILE, ".
#[derive(Debug, Error)]
pub enum PemFault {
    #[error("which has no certificate in PEM (-----BEGIN CERTIFICATE-----){}", of_der(*.0, "x509"))]
    NoCertificate(bool),
    #[error("whose certificate number {number} is damaged: {cause}")]
    BadCertificate { number: usize, cause: PemError },
    #[error("which has no private key in PEM (-----BEGIN PRIVATE KEY-----){}", of_der(*.0, "pkey"))]
    NoKey(bool),
    #[error(
        "whose key is encrypted, and the daemon has no passphrase: decrypt it, openssl pkey -in OLD -out NEW, and let \
         only the daemon's user read it"
    )]
    EncryptedKey,
    #[error("whose private key is damaged: {0}")]
    BadKey(PemError),
}

/// Remedy for the other usual coding.
fn of_der(is_der: bool, command: &str) -> String {
    match is_der {
        true => format!("; it looks like DER: openssl {command} -inform der -in OLD -out NEW"),
        false => String::new(),
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
        found.push(certificate.map_err(|cause| PemFault::BadCertificate { number, cause })?);
    }
    match found.is_empty() {
        true => Err(PemFault::NoCertificate(is_der(content))),
        false => Ok(found),
    }
}

/// The first private key of a file: PKCS #8, PKCS #1 or SEC 1.
pub fn private_key(content: &[u8]) -> Result<PrivateKeyDer<'static>, PemFault> {
    const ENCRYPTED: [&[u8]; 2] = [b"BEGIN ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED"];
    let has = |words: &&[u8]| memchr::memmem::find(content, words).is_some();
    match PrivateKeyDer::from_pem_slice(content) {
        Ok(key) => Ok(key),
        Err(_) if ENCRYPTED.iter().any(has) => Err(PemFault::EncryptedKey),
        Err(PemError::NoItemsFound) => Err(PemFault::NoKey(is_der(content))),
        Err(cause) => Err(PemFault::BadKey(cause)),
    }
}
