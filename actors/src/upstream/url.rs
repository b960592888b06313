//! The address of an upstream, and our credentials there.

use std::fmt;

use percent_encoding::percent_decode_str;
use thiserror::Error;
use url::{Position, Url};

use crate::domain::fit;

/// The URL of an upstream (`UserCoinMapURL`, `UserListAPI`, `UserAutoRegAPI.URL`): `http` or `https`, with a host.
///
/// A user and password in it become HTTP Basic authentication, as in Go. Neither they nor the query, which may hold
/// tokens, are ever printed.
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamUrl(Url);

/// Fault of a text that is no [`UpstreamUrl`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum UpstreamUrlError {
    /// The scheme is missing, or another one.
    #[error("does not begin with http:// or https://")]
    Scheme,
    /// No request can be sent to it.
    #[error("is no URL: {0}")]
    Malformed(url::ParseError),
}

impl UpstreamUrl {
    /// Parses the operator's text.
    pub fn parse(text: &str) -> Result<Self, UpstreamUrlError> {
        let lower = text.to_ascii_lowercase();
        if !lower.starts_with("http://") && !lower.starts_with("https://") {
            return Err(UpstreamUrlError::Scheme);
        }
        let mut url = Url::parse(text).map_err(UpstreamUrlError::Malformed)?;
        url.set_fragment(None);
        Ok(Self(url))
    }

    pub(super) fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The URL to request: without user and password.
    pub(crate) fn target(&self) -> Url {
        without_credentials(self.0.clone())
    }

    /// The URL to request, with `name=from` at the end of the query.
    pub(crate) fn asking_from(&self, name: &str, from: i64) -> Url {
        let mut url = self.target();
        url.query_pairs_mut().append_pair(name, &from.to_string());
        url
    }

    /// User and password, decoded.
    pub(super) fn credentials(&self) -> Option<(String, String)> {
        let (user, password) = (self.0.username(), self.0.password());
        if user.is_empty() && password.is_none() {
            return None;
        }
        Some((decoded(user), decoded(password.unwrap_or_default())))
    }

    /// Whether the credentials for this URL may be sent to `there`: the same port of the same host, or its port 443 for
    /// an upgrade to https; never in the clear if this URL is https.
    pub(super) fn shares_credentials(&self, there: &Url) -> bool {
        let (here, port) = (&self.0, there.port_or_known_default());
        let is_upgrade = here.scheme() == "http" && there.scheme() == "https" && port == Some(443);
        let is_same = here.scheme() == there.scheme() && port == here.port_or_known_default();
        (is_same || is_upgrade) && here.host_str() == there.host_str()
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

impl fmt::Debug for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UpstreamUrl({self})")
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn without_credentials(mut url: Url) -> Url {
    // Neither can fail: the URL has a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}

/// The URL after a redirect from `here` to `location`, or the reason not to follow it.
pub(super) fn follow(here: &Url, location: &str) -> Result<Url, String> {
    let mut there = here.join(location).map_err(|error| format!("to no URL: {error}"))?;
    there.set_fragment(None);
    if !matches!(there.scheme(), "http" | "https") {
        return Err(format!("to {}, which is neither http nor https", shown(&there)));
    }
    Ok(without_credentials(there))
}

/// The URL without credentials and query, fit for the log.
pub(super) fn shown(url: &Url) -> String {
    let query = if url.query().is_some() { "?…" } else { "" };
    let address = &url[Position::BeforeHost..Position::AfterPath];
    fit(&format!("{}://{address}{query}", url.scheme()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> String {
        UpstreamUrl::parse(text).unwrap().asking_from("last_date", 7).to_string()
    }

    #[test]
    fn last_date_joins_whatever_query_there_is() {
        assert_eq!(asked("http://h:8000/u.php"), "http://h:8000/u.php?last_date=7");
        assert_eq!(asked("http://h"), "http://h/?last_date=7");
        assert_eq!(asked("http://h/u?"), "http://h/u?last_date=7");
        assert_eq!(asked("http://h/u?a=b%20c+d&e"), "http://h/u?a=b%20c+d&e&last_date=7");
        assert_eq!(asked("http://h/u#x"), "http://h/u?last_date=7");
        assert_eq!(asked("HTTP://u:p@H/u"), "http://h/u?last_date=7");
    }

    #[test]
    fn credentials_are_decoded_and_never_shown() {
        let url = UpstreamUrl::parse("http://us%40er:p%3Aw%25zz@h/u?token=t").unwrap();
        assert_eq!(url.credentials(), Some(("us@er".to_owned(), "p:w%zz".to_owned())));
        assert_eq!(format!("{url:?}"), "UpstreamUrl(http://h/u?…)");
        assert_eq!(UpstreamUrl::parse("http://h/").unwrap().credentials(), None);
    }

    #[test]
    fn credentials_go_to_their_host_only() {
        let shares = |here: &str, there: &str| {
            let (here, there) = (UpstreamUrl::parse(here).unwrap(), Url::parse(there).unwrap());
            here.shares_credentials(&there)
        };
        for (here, there) in [
            ("http://h/", "http://H:80/x"),
            ("http://h/", "https://h/"),
            ("http://h:8000/", "https://h/"),
            ("https://h/", "https://h:443/"),
        ] {
            assert!(shares(here, there), "{here} {there}");
        }
        for (here, there) in [
            ("http://h/", "http://i/"),
            ("http://h/", "http://h:81/"),
            ("http://h/", "https://h:444/"),
            ("http://h/", "https://i/"),
            ("http://h/", "http://x.h/"),
            ("https://h/", "http://h/"),
            ("https://h:8443/", "http://h:8443/"),
            ("http://h:8443/", "https://h:8443/"),
        ] {
            assert!(!shares(here, there), "{here} {there}");
        }
    }

    #[test]
    fn a_text_without_a_host_to_request_is_refused() {
        for text in ["", "h/u", "ftp://h/", "file:///etc/passwd", "http:h"] {
            assert_eq!(UpstreamUrl::parse(text), Err(UpstreamUrlError::Scheme), "{text}");
        }
        for text in ["http://", "http://:80/", "http://h:99999/", "http://[::1/", "https://a b/"] {
            let refused = UpstreamUrl::parse(text);
            assert!(matches!(refused, Err(UpstreamUrlError::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn redirects_lead_to_any_host_over_http() {
        let followed = |here: &str, location: &str| {
            follow(&Url::parse(here).unwrap(), location).map(|url| url.to_string())
        };
        assert_eq!(followed("http://h/a/b?x", "c?y"), Ok("http://h/a/c?y".to_owned()));
        assert_eq!(followed("http://h/a", "/c#f"), Ok("http://h/c".to_owned()));
        assert_eq!(followed("http://h/a", "//i/c"), Ok("http://i/c".to_owned()));
        assert_eq!(followed("https://h/a", "http://i/c"), Ok("http://i/c".to_owned()));
        assert_eq!(followed("http://h/a", "https://u:p@i/c"), Ok("https://i/c".to_owned()));
        for there in ["ftp://h/c", "file:///etc/passwd", "javascript:x", "http://["] {
            assert!(followed("http://h/a", there).is_err(), "{there}");
        }
    }
}
