//! HTTP Basic authentication.
//!
//! User and password are both compared, as digests, so that the time taken reveals neither a common prefix nor a
//! length.

use actix_web::{
    HttpResponse,
    http::header::{ContentType, WWW_AUTHENTICATE},
};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::Credentials;

/// `WWW-Authenticate` of a 401.
pub const CHALLENGE: &str = r#"Basic realm="Restricted""#;

/// Body of a 401.
pub const UNAUTHORIZED: &str = "<h1>401 - Unauthorized</h1>";

/// As in the Go daemon, padding is required, and stray bits behind the last byte are ignored.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical)
        .with_decode_allow_trailing_bits(true),
);

/// Digests of the accepted credentials, if any are accepted.
#[derive(Clone, PartialEq, Eq)]
pub struct BasicAuth(Option<Digests>);

#[derive(Clone, PartialEq, Eq)]
struct Digests {
    user: [u8; 32],
    password: [u8; 32],
}

impl BasicAuth {
    /// Accepts `credentials` alone; `None` accepts none.
    pub fn new(credentials: Option<&Credentials>) -> Self {
        Self(credentials.map(|Credentials { user, password }| Digests {
            user: digest(user.as_bytes()),
            password: digest(password.as_bytes()),
        }))
    }

    /// Whether the value of an `Authorization` header has the accepted credentials.
    pub fn admits(&self, header: Option<&[u8]>) -> bool {
        let sent = header.and_then(BasicCredentials::parse);
        let has_sent = sent.is_some();
        let sent = sent.unwrap_or_default();
        let (user, password) = (digest(sent.user()), digest(sent.password()));
        let matches = |accepted: &Digests| {
            bool::from(user.ct_eq(&accepted.user) & password.ct_eq(&accepted.password))
        };
        self.0.as_ref().is_some_and(matches) && has_sent
    }
}

/// User and password as a client sent them. Never printed.
#[derive(Default)]
pub struct BasicCredentials {
    decoded: Vec<u8>,
    /// Place of the first colon.
    colon: usize,
}

impl BasicCredentials {
    /// Parses the value of an `Authorization` header.
    pub fn parse(header: &[u8]) -> Option<Self> {
        let decoded = BASE64.decode(behind(b"Basic ", header)?).ok()?;
        let colon = decoded.iter().position(|&byte| byte == b':')?;
        Some(Self { decoded, colon })
    }

    pub fn of(user: &str, password: &str) -> Self {
        Self { decoded: format!("{user}:{password}").into_bytes(), colon: user.len() }
    }

    pub fn user(&self) -> &[u8] {
        &self.decoded[..self.colon]
    }

    pub fn password(&self) -> &[u8] {
        self.decoded.get(self.colon + 1..).unwrap_or_default()
    }
}

/// The token in the value of an `Authorization` header.
pub fn bearer_token(header: &[u8]) -> Option<&[u8]> {
    behind(b"Bearer ", header)
}

/// Whether the value of an `Authorization` header is a login attempt. A missing or empty one is not, nor is the bare
/// scheme: browsers and other clients send these before they are asked for credentials.
pub fn is_attempt(header: Option<&[u8]>) -> bool {
    let value = header.unwrap_or_default().trim_ascii();
    !value.is_empty() && !value.eq_ignore_ascii_case(b"Basic")
}

/// The answer to missing or wrong credentials.
pub fn unauthorized() -> HttpResponse {
    HttpResponse::Unauthorized()
        .insert_header((WWW_AUTHENTICATE, CHALLENGE))
        .content_type(ContentType::html())
        .body(UNAUTHORIZED)
}

fn digest(text: &[u8]) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// The text behind the scheme's name, whose case does not matter.
fn behind<'a>(scheme: &[u8], header: &'a [u8]) -> Option<&'a [u8]> {
    let (found, rest) = header.split_at_checked(scheme.len())?;
    found.eq_ignore_ascii_case(scheme).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(user: &str, password: &str) -> BasicAuth {
        let (user, password) = (user.to_owned(), password.to_owned());
        BasicAuth::new(Some(&Credentials { user, password }))
    }

    fn header(scheme: &str, credentials: &str) -> Vec<u8> {
        format!("{scheme} {}", BASE64.encode(credentials)).into_bytes()
    }

    #[test]
    fn the_right_credentials_are_accepted_in_any_case_of_the_scheme() {
        for scheme in ["Basic", "basic", "BASIC"] {
            assert!(auth("admin", "admin").admits(Some(&header(scheme, "admin:admin"))));
        }
        assert!(auth("a", "b:c").admits(Some(&header("Basic", "a:b:c"))));
        assert!(auth("用户", "密码").admits(Some(&header("Basic", "用户:密码"))));
        // "admin:admin" with bits set after its last byte.
        assert!(auth("admin", "admin").admits(Some(b"Basic YWRtaW46YWRtaW5=")));
    }

    #[test]
    fn all_others_are_refused() {
        let auth = auth("admin", "admin");
        for credentials in
            ["admin:", ":admin", "admin", "", ":", "Admin:admin", "admin:admin ", "x:y"]
        {
            assert!(!auth.admits(Some(&header("Basic", credentials))), "{credentials}");
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
            assert!(!auth.admits(Some(header.as_bytes())), "{header}");
        }
        assert!(!auth.admits(None));
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
    fn without_accepted_credentials_none_are_right() {
        for credentials in [":", "", "admin:admin"] {
            assert!(
                !BasicAuth::new(None).admits(Some(&header("Basic", credentials))),
                "{credentials}"
            );
        }
    }
}
