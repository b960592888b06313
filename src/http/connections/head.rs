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
//! | bytes of the target that are no ASCII, and `"`, `<`, `>`, `` ` ``, `#` | percent-encoded, as Go's server reads them |
//! | the same `Content-Length` twice | once |
//! | HTTP/1.0 `POST` without `Content-Length` | `Content-Length: 0` |

use memchr::{memchr, memchr_iter};
use switcher_actors::Escaped;

use super::request_line::RequestLine;
use crate::api::answer::ApiError;

/// Bytes of a request target. A name of 200 bytes, all escaped, takes 600.
pub const TARGET_LIMIT: usize = 8 * 1024;

/// Bytes of all header names and values: room for the longest credentials in use, not for a flood.
pub const HEADERS_LIMIT: usize = 64 * 1024;

/// Header lines of a request. The HTTP library takes 96, and a rewritten head may have one more than the client's.
const LINES_LIMIT: usize = 95;

/// Bytes of a request line besides its target.
const LINE_ROOM: usize = 64;

/// Bytes of a head, line ends and empty lines before it included.
pub const HEAD_LIMIT: usize = TARGET_LIMIT + HEADERS_LIMIT + 1024;

/// Search for the end of a head. It goes on where it stopped, so each byte is looked at once.
#[derive(Default)]
pub struct Scan {
    /// Beginning of the head, behind empty lines.
    start: usize,
    /// Beginning of the current line.
    line: usize,
    /// Bytes that have been searched.
    searched: usize,
}

impl Scan {
    /// Bytes up to the end of the head in `bytes`, which grows from call to call; `None` if more have to come.
    ///
    /// # Errors
    /// A line ends with a bare LF, the first byte begins no method, or the head is larger than the limits.
    pub fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, ApiError> {
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

    fn check_unfinished(&self, bytes: &[u8]) -> Result<Option<usize>, ApiError> {
        check_first(&bytes[self.start..])?;
        if self.line == self.start && bytes.len() - self.start > TARGET_LIMIT + LINE_ROOM {
            return Err(ApiError::TargetTooLong(TARGET_LIMIT));
        }
        if bytes.len() > HEAD_LIMIT {
            return Err(ApiError::HeadersTooLarge(HEADERS_LIMIT));
        }
        Ok(None)
    }
}

/// Where a request's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes; 0 without a body.
    Length(u64),
    /// After the last chunk.
    Chunked,
}

/// A head that has been checked.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    /// The head for the library, where it differs from the client's.
    pub rewritten: Option<Vec<u8>>,
    pub framing: Framing,
    /// Whether the client allows another request on this connection.
    pub keeps_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

/// Parses a whole head, empty lines before it included: the bytes up to what [`Scan::end`] returned.
///
/// # Errors
/// The answer to a head that is malformed, ambiguous, too large, or expects what the daemon cannot do.
pub fn parse(head: &[u8]) -> Result<Head, ApiError> {
    let mut lines = lines(head);
    let line = RequestLine::parse(lines.next().unwrap_or_default())?;
    let mut fields = Fields::default();
    for line in lines.clone() {
        fields.read(line)?;
    }
    let framing = fields.framing(&line)?;
    let keeps_alive = match (line.is_1_0, fields.closes) {
        (_, true) => false,
        (is_1_0, false) => !is_1_0 || fields.keeps_alive,
    };
    let needs_length = line.is_1_0 && line.method == b"POST" && fields.length.is_none();
    let rewritten = (fields.needs_rewrite || needs_length || line.needs_rewrite()).then(|| {
        let kept = lines.filter(|line| !is_rewritten(name_of(line)));
        rewrite(&line, kept, framing, keeps_alive, fields.length.is_some() || needs_length)
    });
    let has_body = framing != Framing::Length(0);
    let expects_continue = fields.expects_continue && has_body && !line.is_1_0;
    Ok(Head { rewritten, framing, keeps_alive, expects_continue })
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

/// The header fields that decide about the connection and the body.
#[derive(Default)]
struct Fields {
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

impl Fields {
    fn read(&mut self, line: &[u8]) -> Result<(), ApiError> {
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
            return Err(ApiError::HeadersTooLarge(HEADERS_LIMIT));
        }
        if self.lines > LINES_LIMIT {
            return Err(ApiError::HeadersTooMany(LINES_LIMIT));
        }
        self.note(name, value)
    }

    fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), ApiError> {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
        match name.len() {
            4 if is("host") => {
                if self.has_host {
                    return Err(malformed("the header Host comes twice"));
                }
                self.has_host = true;
            }
            6 if is("expect") => self.note_expect(value)?,
            7 if is("upgrade") => self.needs_rewrite = true,
            10 if is("connection") => self.note_connection(value),
            14 if is("content-length") => self.note_length(value)?,
            14 if is("http2-settings") => self.needs_rewrite = true,
            17 if is("transfer-encoding") => self.note_coding(value)?,
            _ => {}
        }
        Ok(())
    }

    fn note_expect(&mut self, value: &[u8]) -> Result<(), ApiError> {
        self.needs_rewrite = true;
        for token in tokens(value) {
            if !token.eq_ignore_ascii_case(b"100-continue") {
                return Err(ApiError::ExpectationFailed(quoted(token)));
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

    fn note_length(&mut self, value: &[u8]) -> Result<(), ApiError> {
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

    fn note_coding(&mut self, value: &[u8]) -> Result<(), ApiError> {
        if self.is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
            let value = quoted(value);
            return Err(malformed(format!(
                "the Transfer-Encoding {value} is not supported; send chunked alone, and once"
            )));
        }
        self.is_chunked = true;
        Ok(())
    }

    fn framing(&self, line: &RequestLine<'_>) -> Result<Framing, ApiError> {
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

/// Whether a rewritten head has this header in its canonical form alone, or not at all.
fn is_rewritten(name: &[u8]) -> bool {
    ["connection", "content-length", "expect", "http2-settings", "transfer-encoding", "upgrade"]
        .iter()
        .any(|rewritten| name.eq_ignore_ascii_case(rewritten.as_bytes()))
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

/// Whether a method or a header's name may contain the byte (RFC 9110, section 5.6.2).
pub fn is_token(byte: u8) -> bool {
    const OTHERS: &[u8] = b"!#$%&'*+-.^_`|~";
    /// Looked up for each byte of each name.
    static TOKENS: [bool; 256] = {
        let (mut tokens, mut byte) = ([false; 256], 0);
        while byte < 256 {
            tokens[byte] = (byte as u8).is_ascii_alphanumeric();
            byte += 1;
        }
        let mut other = 0;
        while other < OTHERS.len() {
            tokens[OTHERS[other] as usize] = true;
            other += 1;
        }
        tokens
    };
    TOKENS[usize::from(byte)]
}

/// Refuses what is no HTTP at its first byte, such as TLS, instead of waiting for a line.
fn check_first(line: &[u8]) -> Result<(), ApiError> {
    match line.first() {
        Some(&byte) if !is_token(byte) && !matches!(byte, b'\r' | b'\n') => {
            Err(malformed(format!(
                "the byte {byte:#04x} begins no HTTP request; this address speaks HTTP without TLS"
            )))
        }
        _ => Ok(()),
    }
}

/// The answer to a request that is not HTTP as the standard has it.
pub fn malformed(cause: impl Into<String>) -> ApiError {
    ApiError::Malformed(cause.into())
}

/// A client's bytes for an error message.
pub fn quoted(bytes: &[u8]) -> String {
    const SHOWN: usize = 80;
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]);
    let rest = if bytes.len() > SHOWN { "…" } else { "" };
    format!("'{}{rest}'", Escaped(&shown))
}
