//! Head of an answer: its status, and the type and packing of its body.

use super::super::body::Encoding;
use crate::domain::fit;
use crate::{domain::Escaped, http_client::HttpAnswer};

#[derive(Debug)]
pub(super) struct AnswerHead {
    pub(super) status: u16,
    content_type: Option<String>,
    content_encoding: Option<String>,
    pub(super) encoding: Encoding,
}

impl AnswerHead {
    pub(super) fn of(answer: &HttpAnswer) -> Self {
        Self::new(answer.status, answer.header("content-type"), answer.header("content-encoding"))
    }

    fn new(status: u16, content_type: Option<String>, content_encoding: Option<String>) -> Self {
        let encoding = content_encoding.as_deref().map_or(Encoding::Plain, encoding);
        Self { status, content_type, content_encoding, encoding }
    }

    /// The `Content-Encoding` that explains why a body cannot be read. A body that begins like JSON or HTML is not packed: its
    /// label is wrong, which the Go daemon ignores, too.
    pub(super) fn foreign_encoding(&self, start: &[u8]) -> Option<String> {
        let is_text = start.trim_ascii_start().first().is_some_and(|byte| b"{[\"<".contains(byte));
        if is_text || self.encoding == Encoding::Gzip {
            return None;
        }
        self.content_encoding.as_deref().filter(|it| codings(it).next().is_some()).map(fit)
    }

    /// Status, headers and first bytes of the body, fit for the log.
    pub(super) fn description(&self, start: &[u8]) -> String {
        let content_type = fit(self.content_type.as_deref().unwrap_or("none"));
        let encoding = self.content_encoding.as_deref().map(fit);
        let encoding = encoding.map(|it| format!(", content encoding '{it}'")).unwrap_or_default();
        let begins: String = start
            .utf8_chunks()
            .map(|it| format!("{}{}", Escaped(it.valid()), it.invalid().escape_ascii()))
            .collect();
        let status = self.status;
        format!("status {status}, content type '{content_type}'{encoding}, and begins '{begins}'")
    }
}

/// Packing of a body with this `Content-Encoding`. The Go daemon unpacks after exactly `gzip`, and takes every other body
/// as it is.
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
        let foreign = |content_encoding: &str, start: &[u8]| {
            let head = AnswerHead::new(200, None, Some(content_encoding.to_owned()));
            head.foreign_encoding(start)
        };
        assert_eq!(foreign("br", b" \n{"), None);
        assert_eq!(foreign("none", b"<html>"), None);
        assert_eq!(foreign("br", b"\x0b\x02").as_deref(), Some("br"));
        assert_eq!(foreign("identity,", b"x"), None);
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_as_hexadecimal() {
        let shown = AnswerHead::new(200, None, None).description(b"\x1f\x8b'\xc3\xa9\xff\n");
        assert_eq!(shown, "status 200, content type 'none', and begins '\\u{1f}\\x8b\\'é\\xff\\n'");
    }
}
