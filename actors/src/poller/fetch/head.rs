//! The head of an answer: its status, and what it says of its body.

use hyper::{
    Response, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName},
};

use super::super::{body::Encoding, journal::fit};
use crate::domain::Escaped;

/// Head of an answer, for errors and for the choice of how to read the body.
#[derive(Debug)]
pub(super) struct About {
    pub(super) status: StatusCode,
    content_type: Option<String>,
    content_encoding: Option<String>,
    pub(super) encoding: Encoding,
}

impl About {
    pub(super) fn of<B>(response: &Response<B>) -> Self {
        let content_encoding = header(response, CONTENT_ENCODING);
        Self {
            status: response.status(),
            content_type: header(response, CONTENT_TYPE),
            encoding: content_encoding.as_deref().map_or(Encoding::Plain, encoding),
            content_encoding,
        }
    }

    /// The `Content-Encoding` that explains why a body is no map. A body that begins like JSON or HTML is not packed: there
    /// the label is wrong, which the Go daemon does not mind, either.
    pub(super) fn foreign_encoding(&self, head: &[u8]) -> Option<String> {
        let is_text = head.trim_ascii_start().first().is_some_and(|byte| b"{[\"<".contains(byte));
        let named =
            self.content_encoding.as_deref().filter(|named| codings(named).next().is_some());
        if is_text || self.encoding == Encoding::Gzip { None } else { named.map(fit) }
    }

    /// Status, headers and first bytes of the body, fit for the log.
    pub(super) fn description(&self, head: &[u8]) -> String {
        let content_type = fit(self.content_type.as_deref().unwrap_or("none"));
        let encoding = self.content_encoding.as_deref().map(fit);
        let encoding = encoding.map(|it| format!(", content encoding '{it}'")).unwrap_or_default();
        let chunks = head.utf8_chunks();
        let begins: String = chunks
            .map(|it| format!("{}{}", Escaped(it.valid()), it.invalid().escape_ascii()))
            .collect();
        format!(
            "status {}, content type '{content_type}'{encoding}, and begins '{begins}'",
            self.status.as_u16()
        )
    }
}

/// How to read a body with this `Content-Encoding`. The Go daemon unpacks after exactly `gzip`, and takes every other
/// body as it is.
fn encoding(content_encoding: &str) -> Encoding {
    if content_encoding.trim().eq_ignore_ascii_case("gzip") {
        Encoding::Gzip
    } else if codings(content_encoding).any(|coding| matches!(&*coding, "gzip" | "x-gzip")) {
        Encoding::GzipOrPlain
    } else {
        Encoding::Plain
    }
}

/// Codings of a list, in lower case, without empty entries and `identity`, which is none.
fn codings(list: &str) -> impl Iterator<Item = String> {
    let codings = list.split(',').map(|coding| coding.trim().to_ascii_lowercase());
    codings.filter(|coding| !coding.is_empty() && coding != "identity")
}

/// The text of a header, of all its lines.
fn header<B>(response: &Response<B>, name: HeaderName) -> Option<String> {
    let values = response.headers().get_all(name);
    let values: Vec<_> =
        values.iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_gzip_is_unpacked() {
        for (text, expected) in [
            ("gzip", Encoding::Gzip),
            (" GZIP ", Encoding::Gzip),
            ("x-gzip", Encoding::GzipOrPlain),
            ("gzip,", Encoding::GzipOrPlain),
            ("identity, gzip", Encoding::GzipOrPlain),
            ("gzip, none", Encoding::GzipOrPlain),
            ("", Encoding::Plain),
            (" , ,", Encoding::Plain),
            ("identity", Encoding::Plain),
            ("none", Encoding::Plain),
            ("br", Encoding::Plain),
            ("gzipped", Encoding::Plain),
        ] {
            assert_eq!(encoding(text), expected, "{text}");
        }
    }

    #[test]
    fn a_body_that_begins_like_json_or_html_has_no_foreign_encoding() {
        let about = |content_encoding: &str| {
            About::of(
                &Response::builder().header(CONTENT_ENCODING, content_encoding).body(()).unwrap(),
            )
        };
        assert_eq!(about("br").foreign_encoding(b" \n{"), None);
        assert_eq!(about("none").foreign_encoding(b"<html>"), None);
        assert_eq!(about("br").foreign_encoding(b"\x0b\x02").as_deref(), Some("br"));
        assert_eq!(about("identity,").foreign_encoding(b"x"), None);
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_as_hexadecimal() {
        let about = About::of(&Response::new(()));
        let shown = about.description(b"\x1f\x8b'\xc3\xa9\xff\n");
        assert_eq!(shown, "status 200, content type 'none', and begins '\\u{1f}\\x8b\\'é\\xff\\n'");
    }
}
