//! New entries of `UsersFile`. The caller has the random numbers.

use std::fmt::Write;

use super::secret::sha_256;
use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, Version,
    password_hash::{Error, phc::PasswordHash},
};

/// Memory of a comparison, in KiB; with [`PASSES`], one of the minima that OWASP recommends.
const MEMORY: u32 = 19 * 1024;
const PASSES: u32 = 2;

/// The argon2id hash of a password, as `UsersFile` has it (PHC string).
pub fn hash_password(password: &str, salt: &[u8; 16]) -> Result<String, Error> {
    let params = Params::new(MEMORY, PASSES, 1, None)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash: PasswordHash = argon2.hash_password_with_salt(password.as_bytes(), salt)?;
    Ok(hash.to_string())
}

/// A token, and its `token_sha256`.
pub fn token(random: &[u8; 32]) -> (String, String) {
    let token = hex(random);
    let digest = hex(&sha_256(token.as_bytes()));
    (token, digest)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::Secret;

    #[test]
    fn the_hash_is_that_of_the_password() {
        let hash = hash_password("pass wörd", &[7; 16]).unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, hash_password("pass wörd", &[8; 16]).unwrap());
        let secret = Secret::of_hash(&hash).unwrap();
        assert!(secret.is_proven_by("pass wörd".as_bytes()) && !secret.is_proven_by(b"pass"));
    }

    #[test]
    fn the_digest_is_that_of_the_tokens_text() {
        let (token, digest) = token(&[0xab; 32]);
        assert_eq!(token, "ab".repeat(32));
        let secret = Secret::of_token_digest(&digest).unwrap();
        assert!(secret.is_proven_by(token.as_bytes()) && !secret.is_proven_by(digest.as_bytes()));
    }
}
