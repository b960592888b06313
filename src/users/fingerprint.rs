//! Fingerprints of logins: digests under a key that is random per process.

use std::sync::LazyLock;

use ring::{
    hmac::{Context, HMAC_SHA256, Key},
    rand::SystemRandom,
};

/// Digest of a name and a password. Without the key it reveals nothing about them.
pub type Fingerprint = [u8; 32];

/// Random per process, so that a copy of its memory at another time is of no use.
static KEY: LazyLock<Key> = LazyLock::new(|| {
    // Without random numbers from the kernel, no login is safe.
    Key::generate(HMAC_SHA256, &SystemRandom::new()).expect("the kernel has random numbers")
});

/// The fingerprint of `name` and `password`.
pub fn fingerprint(name: &[u8], password: &[u8]) -> Fingerprint {
    let mut context = Context::with_key(&KEY);
    context.update(&(name.len() as u64).to_le_bytes());
    context.update(name);
    context.update(password);
    let mut fingerprint = Fingerprint::default();
    fingerprint.copy_from_slice(context.sign().as_ref());
    fingerprint
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_separates_name_and_password() {
        assert_eq!(fingerprint(b"ab", b"c"), fingerprint(b"ab", b"c"));
        for (name, password) in [("a", "bc"), ("abc", ""), ("", "abc"), ("ab", "d")] {
            let other = fingerprint(name.as_bytes(), password.as_bytes());
            assert_ne!(other, fingerprint(b"ab", b"c"), "{name}");
        }
    }
}
