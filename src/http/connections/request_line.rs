//! The first line of a request: method, target and version (RFC 9112, section 3).

use actix_web::http::{Method, Uri};

use super::head::{TARGET_LIMIT, is_token, malformed, quoted};
use crate::http::error::RequestError;

/// `Allow` in the answer to a request without a path.
const METHODS: &[Method] = &[Method::GET, Method::POST];

/// A valid request line.
pub struct RequestLine<'a> {
    pub method: &'a [u8],
    target: &'a [u8],
    pub is_1_0: bool,
}

impl<'a> RequestLine<'a> {
    /// Parses a line without its end.
    pub fn parse(line: &'a [u8]) -> Result<Self, RequestError> {
        let mut parts = line.split(|&byte| byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed(format!(
                "the request line {} is not a method, a target and a version with one blank between each; \
                 write a blank in the target as %20",
                quoted(line)
            )));
        };
        if method.is_empty() || !method.iter().all(|&byte| is_token(byte)) {
            return Err(malformed(format!("{} is no method", quoted(method))));
        }
        let is_1_0 = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            _ => {
                let version = quoted(version);
                return Err(malformed(format!("{version} is no known version; use HTTP/1.1")));
            }
        };
        let line = Self { method, target, is_1_0 };
        line.check_target()?;
        Ok(line)
    }

    /// The target, percent-encoded where the library refuses it.
    pub fn target(&self) -> Vec<u8> {
        encoded(self.target)
    }

    fn check_target(&self) -> Result<(), RequestError> {
        // The library knows fewer methods than RFC 9110 allows: `%` is none.
        if self.method == b"CONNECT" || Method::from_bytes(self.method).is_err() {
            return Err(RequestError::MethodNotAllowed(METHODS));
        }
        if self.target.len() > TARGET_LIMIT {
            return Err(RequestError::TargetTooLong(TARGET_LIMIT));
        }
        let refused = || malformed(format!("{} is no request target", quoted(self.target)));
        if self.target.is_empty() || self.target.iter().any(u8::is_ascii_control) {
            return Err(refused());
        }
        // With a path first, everything else is allowed or encoded.
        if self.target[0] != b'/' {
            Uri::try_from(&*encoded(self.target)).map_err(|_| refused())?;
        }
        Ok(())
    }

    /// Whether the library refuses bytes of the target.
    pub fn needs_rewrite(&self) -> bool {
        self.target.iter().any(|&byte| is_encoded(byte))
    }
}

/// Whether the HTTP library refuses or cuts a target with this byte.
fn is_encoded(byte: u8) -> bool {
    !byte.is_ascii() || matches!(byte, b'"' | b'<' | b'>' | b'`' | b'#')
}

fn encoded(target: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(target.len() + 64);
    for &byte in target {
        match is_encoded(byte) {
            true => text.extend(format!("%{byte:02X}").as_bytes()),
            false => text.push(byte),
        }
    }
    text
}
