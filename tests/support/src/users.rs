//! Entries of a `UsersFile`, with hashes that cost next to nothing.

use argon2::password_hash::{PasswordHasher, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{daemon::Builder, write_private};

/// A user with a password, stored as an argon2id hash.
pub fn with_password(name: &str, password: &str, roles: &[&str]) -> Value {
    with_hash(name, &argon2(password, 8), roles)
}

/// A user with a password, stored as a bcrypt hash like those of `htpasswd -B`.
pub fn with_bcrypt(name: &str, password: &str, roles: &[&str]) -> Value {
    with_hash(name, &bcrypt(password, 4), roles)
}

pub fn with_hash(name: &str, hash: &str, roles: &[&str]) -> Value {
    json!({"name": name, "password": hash, "roles": roles})
}

/// A user with the token [`token_of`] its name.
pub fn with_token(name: &str, roles: &[&str]) -> Value {
    let digest = hex(&Sha256::digest(token_of(name)));
    json!({"name": name, "token_sha256": digest, "roles": roles})
}

/// The token of a user: 64 hex characters.
pub fn token_of(name: &str) -> String {
    hex(&Sha256::digest(format!("token of {name}")))
}

/// An argon2id hash that takes so many KiB.
pub fn argon2(password: &str, kib: u32) -> String {
    let params = Params::new(kib, 1, 1, None).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash: PasswordHash =
        argon2.hash_password_with_salt(password.as_bytes(), b"salt of the tests").unwrap();
    hash.to_string()
}

/// A bcrypt hash of that cost.
pub fn bcrypt(password: &str, cost: u32) -> String {
    let hash = bcrypt::hash_with_salt(password, cost, *b"salt of the test").unwrap();
    hash.format_for_version(bcrypt::Version::TwoY)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Builder {
    /// Writes `UsersFile` with these users. A later call replaces the file of the same daemon.
    pub fn users(self, users: &[Value]) -> Self {
        self.users_text(&json!({"users": users}).to_string())
    }

    /// As [`Builder::users`], with any text.
    pub fn users_text(self, text: &str) -> Self {
        let file = write_private(&self.folder().join("users.json"), text);
        let file = file.to_str().expect("a path in UTF-8").to_owned();
        self.set("UsersFile", file)
    }
}
