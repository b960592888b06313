//! The head of an HTTP/1 request: finding its end, checking it, and rewriting it for the HTTP library.
//!
//! The library must never find another end of a message than this parser does. So this parser refuses every
//! ambiguous request (RFC 9112, sections 2.2, 5 and 6), and rewrites a head in one canonical form where the
//! library would read more into it than the daemon wants.
//!
//! | in the request | for the library |
//! | --- | --- |
//! | `Upgrade`, `HTTP2-Settings`, the option `upgrade` | dropped: a server may ignore them (RFC 9110, section 7.8) |
//! | `Expect: 100-continue` | dropped: the connection answers it when the body is wanted |
//! | bytes of the target outside ASCII, and `"`, `<`, `>`, `` ` ``, `#` | percent-encoded, as Go's server reads them |
//! | the same `Content-Length` twice | once |
//! | HTTP/1.0 `POST` without `Content-Length` | `Content-Length: 0` |

use memchr::{memchr, memchr_iter};
use switcher_actors::Escaped;

use super::request_line::RequestLine;
use crate::http::error::RequestError;

/// Bytes of a request target. A name of 200 bytes, all escaped, takes 600.
pub const TARGET_LIMIT: usize = 8 * 1024;

/// Bytes of all header names and values: room for the longest credentials in use, not for a flood.
pub const HEADERS_LIMIT: usize = 64 * 1024;

/// Header lines of a request. The HTTP library takes 96, and a rewritten head may have one more than the client's.
const LINES_LIMIT: usize = 95;

/// Bytes of a request line without its target.
const LINE_ROOM: usize = 64;

/// Bytes of a head, with line ends and the empty lines before it.
pub const HEAD_LIMIT: usize = TARGET_LIMIT + HEADERS_LIMIT + 1024;

/// Search for the end of a head. It resumes where it stopped, so each byte is searched once.
#[derive(Default)]
pub struct Scan {
    /// Beginning of the head, behind empty lines.
    start: usize,
    /// Beginning of the current line.
    line: usize,
    searched: usize,
}

impl Scan {
    /// Bytes up to the end of the head in `bytes`, which grows from call to call; `None` if more are needed. An error
    /// means a line that ends with a bare LF, a first byte that begins no method, or a head above the limits.
    pub fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, RequestError> {
        while let Some(at) = memchr(b'\n', &bytes[self.searched..]) {
            let line_feed = self.searched + at;
            let line = &bytes[self.line..line_feed];
            let is_first = self.line == self.start;
            if is_first {
                check_first(line)?;
            }
            let Some(line) = line.strip_suffix(b"\r") else {
                return Err(malformed(format!(
                    "a line feed without a carriage return ends {}",
                    quoted(line)
                )));
            };
            self.line = line_feed + 1;
            self.searched = self.line;
            match (line.is_empty(), is_first) {
                // RFC 9112, section 2.2: some clients send one behind a body.
                (true, true) => self.start = self.line,
                (true, false) => return Ok(Some(self.line)),
                (false, _) => {}
            }
        }
        self.searched = bytes.len();
        self.check_unfinished(bytes)
    }

    fn check_unfinished(&self, bytes: &[u8]) -> Result<Option<usize>, RequestError> {
        check_first(&bytes[self.start..])?;
        if self.line == self.start && bytes.len() - self.start > TARGET_LIMIT + LINE_ROOM {
            return Err(RequestError::TargetTooLong(TARGET_LIMIT));
        }
        if bytes.len() > HEAD_LIMIT {
            return Err(RequestError::HeadersTooLarge(HEADERS_LIMIT));
        }
        Ok(None)
    }
}

/// The end of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes; 0 without a body.
    Length(u64),
    /// After the last chunk.
    Chunked,
}

/// A valid head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub framing: Framing,
    /// Whether the client allows another request on this connection.
    pub keeps_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

/// Parses a whole head, with the empty lines before it: the bytes up to the result of [`Scan::end`]. The second part is
/// the head for the library, where it differs.
pub fn parse(head: &[u8]) -> Result<(Head, Option<Vec<u8>>), RequestError> {
    let mut lines = lines(head);
    let line = RequestLine::parse(lines.next().unwrap_or_default())?;
    let mut headers = Headers::default();
    for line in lines.clone() {
        headers.read(line)?;
    }
    let framing = headers.framing(&line)?;
    let keeps_alive = !headers.closes && (!line.is_1_0 || headers.keeps_alive);
    let needs_length = line.is_1_0 && line.method == b"POST" && headers.length.is_none();
    let rewritten = (headers.needs_rewrite || needs_length || line.needs_rewrite()).then(|| {
        let kept =
            lines.filter(|line| Field::named(name_of(line)).is_none_or(|it| it == Field::Host));
        rewrite(&line, kept, framing, keeps_alive, headers.length.is_some() || needs_length)
    });
    let has_body = framing != Framing::Length(0);
    let expects_continue = headers.expects_continue && has_body && !line.is_1_0;
    Ok((Head { framing, keeps_alive, expects_continue }, rewritten))
}

/// The lines of a head without their ends, from the request line to the last header.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    let mut start = 0;
    let lines = memchr_iter(b'\n', head).map(move |end| {
        let line = &head[start..end];
        start = end + 1;
        line.strip_suffix(b"\r").unwrap_or(line)
    });
    lines.filter(|line| !line.is_empty())
}

fn name_of(line: &[u8]) -> &[u8] {
    memchr(b':', line).map_or(line, |colon| &line[..colon])
}

/// A header that decides about the connection or the body. A rewritten head has all but `Host` in their canonical form
/// alone, or not at all.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Host,
    Expect,
    Upgrade,
    Connection,
    ContentLength,
    Http2Settings,
    TransferEncoding,
}

impl Field {
    fn named(name: &[u8]) -> Option<Self> {
        let (field, wanted) = match name.len() {
            4 => (Self::Host, "host"),
            6 => (Self::Expect, "expect"),
            7 => (Self::Upgrade, "upgrade"),
            10 => (Self::Connection, "connection"),
            14 if matches!(name[0], b'c' | b'C') => (Self::ContentLength, "content-length"),
            14 => (Self::Http2Settings, "http2-settings"),
            17 => (Self::TransferEncoding, "transfer-encoding"),
            _ => return None,
        };
        name.eq_ignore_ascii_case(wanted.as_bytes()).then_some(field)
    }
}

/// The headers so far.
#[derive(Default)]
struct Headers {
    lines: usize,
    size: usize,
    has_host: bool,
    length: Option<u64>,
    is_chunked: bool,
    closes: bool,
    keeps_alive: bool,
    has_connection: bool,
    expects_continue: bool,
    needs_rewrite: bool,
}

impl Headers {
    fn read(&mut self, line: &[u8]) -> Result<(), RequestError> {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(malformed(
                "a header line begins with a blank: folded lines are not allowed",
            ));
        }
        let name = name_of(line);
        let Some(value) = line.get(name.len() + 1..) else {
            return Err(malformed(format!("the header line {} has no colon", quoted(line))));
        };
        if name.is_empty() || !name.iter().all(|&byte| is_token(byte)) {
            return Err(malformed(format!("{} is no header name", quoted(name))));
        }
        if let Some(byte) = value.iter().find(|&&byte| byte.is_ascii_control() && byte != b'\t') {
            let name = quoted(name);
            return Err(malformed(format!("the value of header {name} has the byte {byte:#04x}")));
        }
        let value = value.trim_ascii();
        self.lines += 1;
        self.size += name.len() + value.len();
        if self.size > HEADERS_LIMIT {
            return Err(RequestError::HeadersTooLarge(HEADERS_LIMIT));
        }
        if self.lines > LINES_LIMIT {
            return Err(RequestError::HeadersTooMany(LINES_LIMIT));
        }
        match Field::named(name) {
            Some(Field::Host) => self.note_host(value)?,
            Some(Field::Expect) => self.note_expect(value)?,
            Some(Field::Upgrade | Field::Http2Settings) => self.needs_rewrite = true,
            Some(Field::Connection) => self.note_connection(value),
            Some(Field::ContentLength) => self.note_length(value)?,
            Some(Field::TransferEncoding) => self.note_coding(value)?,
            None => {}
        }
        Ok(())
    }

    /// Allows the bytes of a host and a port (RFC 9110, section 7.2), as Go's server does.
    fn note_host(&mut self, value: &[u8]) -> Result<(), RequestError> {
        if self.has_host {
            return Err(malformed("the header Host comes twice"));
        }
        self.has_host = true;
        let is_allowed =
            |byte: &u8| byte.is_ascii_alphanumeric() || b"!$%&'()*+,-.:;=[]_~".contains(byte);
        if !value.iter().all(is_allowed) {
            let value = quoted(value);
            return Err(malformed(format!(
                "the Host {value} is not a host with or without a port"
            )));
        }
        Ok(())
    }

    fn note_expect(&mut self, value: &[u8]) -> Result<(), RequestError> {
        self.needs_rewrite = true;
        for token in tokens(value) {
            if !token.eq_ignore_ascii_case(b"100-continue") {
                return Err(RequestError::ExpectationFailed(quoted(token)));
            }
            self.expects_continue = true;
        }
        Ok(())
    }

    fn note_connection(&mut self, value: &[u8]) {
        let mut is_plain = !self.has_connection;
        self.has_connection = true;
        for token in tokens(value) {
            match token.to_ascii_lowercase().as_slice() {
                b"close" => self.closes = true,
                b"keep-alive" => self.keeps_alive = true,
                _ => is_plain = false,
            }
        }
        self.needs_rewrite |= !is_plain || self.closes && self.keeps_alive;
    }

    fn note_length(&mut self, value: &[u8]) -> Result<(), RequestError> {
        let digits =
            value.iter().all(u8::is_ascii_digit).then(|| str::from_utf8(value).ok()).flatten();
        let Some(length) = digits.and_then(|digits| digits.parse().ok()) else {
            let value = quoted(value);
            return Err(malformed(format!("the Content-Length {value} is no number of bytes")));
        };
        match self.length.replace(length) {
            Some(before) if before != length => {
                Err(malformed(format!("the Content-Length is both {before} and {length}")))
            }
            Some(_) => {
                self.needs_rewrite = true;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn note_coding(&mut self, value: &[u8]) -> Result<(), RequestError> {
        if self.is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
            let value = quoted(value);
            return Err(malformed(format!(
                "the Transfer-Encoding {value} is not supported; send chunked alone, and once"
            )));
        }
        self.is_chunked = true;
        Ok(())
    }

    fn framing(&self, line: &RequestLine<'_>) -> Result<Framing, RequestError> {
        if !self.has_host && !line.is_1_0 {
            return Err(malformed("an HTTP/1.1 request needs the header Host"));
        }
        match (self.is_chunked, self.length) {
            (true, Some(_)) => {
                Err(malformed("both Transfer-Encoding and Content-Length are given"))
            }
            (true, None) if line.is_1_0 => {
                Err(malformed("an HTTP/1.0 request cannot have a Transfer-Encoding"))
            }
            (true, None) => Ok(Framing::Chunked),
            (false, length) => Ok(Framing::Length(length.unwrap_or(0))),
        }
    }
}

/// The tokens of a comma-separated list.
fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

fn rewrite<'a>(
    line: &RequestLine<'_>,
    kept: impl Iterator<Item = &'a [u8]>,
    framing: Framing,
    keeps_alive: bool,
    has_length: bool,
) -> Vec<u8> {
    let version: &[u8] = if line.is_1_0 { b" HTTP/1.0" } else { b" HTTP/1.1" };
    let mut head = [line.method, b" ", &line.target(), version, b"\r\n"].concat();
    for line in kept {
        head.extend_from_slice(line);
        head.extend_from_slice(b"\r\n");
    }
    let connection: &[u8] = match (keeps_alive, line.is_1_0) {
        (true, true) => b"Connection: keep-alive\r\n",
        (false, false) => b"Connection: close\r\n",
        (true, false) | (false, true) => b"",
    };
    head.extend_from_slice(connection);
    match framing {
        Framing::Length(length) if has_length => {
            head.extend_from_slice(format!("Content-Length: {length}\r\n").as_bytes());
        }
        Framing::Length(_) => {}
        Framing::Chunked => head.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// Whether the byte is allowed in a method or in a header's name (RFC 9110, section 5.6.2).
pub fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

/// Refuses other protocols, such as TLS, at their first byte, instead of waiting for a line.
fn check_first(line: &[u8]) -> Result<(), RequestError> {
    match line.first() {
        Some(&byte) if !is_token(byte) && !matches!(byte, b'\r' | b'\n') => {
            Err(malformed(format!(
                "the byte {byte:#04x} begins no HTTP request; this address speaks HTTP without TLS"
            )))
        }
        _ => Ok(()),
    }
}

pub fn malformed(cause: impl Into<String>) -> RequestError {
    RequestError::Malformed(cause.into())
}

/// A client's bytes for an error message.
pub fn quoted(bytes: &[u8]) -> String {
    const SHOWN: usize = 80;
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]);
    let rest = if bytes.len() > SHOWN { "…" } else { "" };
    format!("'{}{rest}'", Escaped(&shown))
}
