//! HTTP Basic authentication.
//!
//! Both sides are compared as digests, name and password always both, so that the time taken tells
//! neither how much of them was right nor how long they are.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::Credentials;

/// Padding is demanded; stray bits after the last byte are not looked at. So it is in the daemon that
/// this one replaces.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical)
        .with_decode_allow_trailing_bits(true),
);

/// The operator's credentials, as digests.
#[derive(Clone, PartialEq, Eq)]
pub struct BasicAuth {
    user: [u8; 32],
    password: [u8; 32],
    /// Whether there are any.
    opens: bool,
}

impl BasicAuth {
    /// Lets `credentials` in, and nobody else.
    pub fn new(credentials: &Credentials) -> Self {
        let Credentials { user, password } = credentials;
        Self { user: digest(user.as_bytes()), password: digest(password.as_bytes()), opens: true }
    }

    /// Lets nobody in.
    pub fn closed() -> Self {
        Self { user: digest(b""), password: digest(b""), opens: false }
    }

    /// Judges an `Authorization` header's value; a missing one is judged like an empty one.
    pub fn admits(&self, header: Option<&[u8]>) -> bool {
        let decoded = header.and_then(encoded_part).and_then(|encoded| BASE64.decode(encoded).ok());
        let credentials = decoded.unwrap_or_default();
        let colon = credentials.iter().position(|&byte| byte == b':');
        let (user, password) = match colon {
            Some(colon) => (&credentials[..colon], &credentials[colon + 1..]),
            None => (&credentials[..], &b""[..]),
        };
        let admitted = digest(user).ct_eq(&self.user) & digest(password).ct_eq(&self.password);
        bool::from(admitted) && colon.is_some() && self.opens
    }
}

/// Whether an `Authorization` header's value is an attempt to log in. A missing or empty one is none, nor is the
/// scheme's name alone: a browser's first request, and each client that waits to be asked.
pub fn is_attempt(header: Option<&[u8]>) -> bool {
    let value = header.unwrap_or_default().trim_ascii();
    !value.is_empty() && !value.eq_ignore_ascii_case(b"Basic")
}

fn digest(text: &[u8]) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// What follows the scheme's name, which is matched whatever its case.
fn encoded_part(header: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"Basic ";
    let (scheme, encoded) = header.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(user: &str, password: &str) -> BasicAuth {
        BasicAuth::new(&Credentials { user: user.to_owned(), password: password.to_owned() })
    }

    fn header(scheme: &str, credentials: &str) -> Vec<u8> {
        format!("{scheme} {}", BASE64.encode(credentials)).into_bytes()
    }

    #[test]
    fn the_right_credentials_are_let_in_whatever_the_schemes_case() {
        for scheme in ["Basic", "basic", "BASIC"] {
            assert!(gate("admin", "admin").admits(Some(&header(scheme, "admin:admin"))));
        }
        assert!(gate("a", "b:c").admits(Some(&header("Basic", "a:b:c"))));
        assert!(gate("用户", "密码").admits(Some(&header("Basic", "用户:密码"))));
        // "admin:admin" with bits set after its last byte.
        assert!(gate("admin", "admin").admits(Some(b"Basic YWRtaW46YWRtaW5=")));
    }

    #[test]
    fn everything_else_is_not() {
        let gate = gate("admin", "admin");
        for credentials in
            ["admin:", ":admin", "admin", "", ":", "Admin:admin", "admin:admin ", "x:y"]
        {
            assert!(!gate.admits(Some(&header("Basic", credentials))), "{credentials}");
        }
        for header in [
            "",
            "Basic",
            "Basic ",
            "Basic !!!!",
            "Bearer YWRtaW46YWRtaW4=",
            "Basic YWRtaW46YWRtaW4",
            "Basic  YWRtaW46YWRtaW4=",
        ] {
            assert!(!gate.admits(Some(header.as_bytes())), "{header}");
        }
        assert!(!gate.admits(None));
    }

    #[test]
    fn a_header_with_anything_but_a_schemes_name_is_an_attempt() {
        for header in [None, Some(""), Some(" "), Some("Basic"), Some("basic ")] {
            assert!(!is_attempt(header.map(str::as_bytes)), "{header:?}");
        }
        for header in ["Basic Og==", "Basic !!!!", "Bearer x", "Digest", "YWRtaW46YWRtaW4=", "x"] {
            assert!(is_attempt(Some(header.as_bytes())), "{header}");
        }
        assert!(is_attempt(Some(b"\xff")));
    }

    #[test]
    fn a_closed_gate_lets_nobody_in() {
        for credentials in [":", "", "admin:admin"] {
            assert!(
                !BasicAuth::closed().admits(Some(&header("Basic", credentials))),
                "{credentials}"
            );
        }
    }
}
