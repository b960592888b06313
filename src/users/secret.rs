//! Proofs of a user's identity: the stored forms of passwords and tokens, and their comparison.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The stored form of a user's password or token. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// SHA-256 of a token's text, or of a password that the configuration has in plain text. One comparison takes a
    /// microsecond.
    Sha256([u8; 32]),
    /// Argon2id hash as a PHC string. A comparison takes tens of milliseconds.
    Argon2(String),
    /// bcrypt hash, as `htpasswd -B` writes it (`$2y$`). As slow.
    Bcrypt(String),
}

impl Secret {
    /// The stored form of a token or of a password in plain text.
    pub fn of_text(text: &str) -> Self {
        Self::Sha256(sha_256(text.as_bytes()))
    }

    /// Whether a comparison takes so long that its number must be limited.
    pub fn is_slow(&self) -> bool {
        !matches!(self, Self::Sha256(_))
    }

    /// Whether `proof` is the password or the token. Takes the same time for any wrong proof.
    pub fn is_proven_by(&self, proof: &[u8]) -> bool {
        match self {
            Self::Sha256(digest) => sha_256(proof).ct_eq(digest).into(),
            Self::Argon2(hash) => argon2_matches(hash, proof),
            Self::Bcrypt(hash) => bcrypt::verify(proof, hash).unwrap_or(false),
        }
    }
}

fn argon2_matches(hash: &str, proof: &[u8]) -> bool {
    use argon2::{Argon2, PasswordVerifier, password_hash::phc::PasswordHash};
    let hash = PasswordHash::new(hash);
    hash.is_ok_and(|hash| Argon2::default().verify_password(proof, &hash).is_ok())
}

fn sha_256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
