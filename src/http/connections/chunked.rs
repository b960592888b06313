//! The chunked coding of a request's body (RFC 9112, section 7.1): the ends of its data and of the body.

use super::head::{is_token, malformed};
use crate::http::error::RequestError;

/// Bytes of a chunk's size line with its extensions.
const LINE_LIMIT: usize = 4 * 1024;

/// Bytes of all trailer lines.
const TRAILER_LIMIT: usize = 8 * 1024;

/// Decoder of one body.
#[derive(Debug, Default)]
pub struct Chunked {
    state: ChunkState,
    /// Data bytes left of the current chunk.
    left: u64,
    /// Bytes of the current size line, or of the trailer.
    line: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ChunkState {
    /// Before the first digit of a size.
    #[default]
    Size,
    /// Behind the first digit.
    Digits,
    /// Behind the blank that some clients send after a size.
    Blank,
    Extension,
    SizeEnd,
    Data,
    DataEnd,
    DataEnded,
    /// At the beginning of a trailer line, or of the empty line that ends the body.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerLineEnd,
    LastLineEnd,
    Done,
}

/// The beginning of the received bytes: coding, then data.
#[derive(Debug, PartialEq, Eq)]
pub struct Span {
    pub coding: usize,
    pub data: usize,
}

impl Chunked {
    /// Whether the body has ended.
    pub fn is_done(&self) -> bool {
        self.state == ChunkState::Done
    }

    /// Reads `bytes` up to the end of the first data, of the body, or of the input. The caller drops the returned span
    /// before the next call. An error means malformed coding, or too long a size line or trailer.
    pub fn next(&mut self, bytes: &[u8]) -> Result<Span, RequestError> {
        for (at, &byte) in bytes.iter().enumerate() {
            if self.state == ChunkState::Data {
                let data = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len() - at);
                self.left -= data as u64;
                if self.left == 0 {
                    self.state = ChunkState::DataEnd;
                }
                return Ok(Span { coding: at, data });
            }
            if self.is_done() {
                return Ok(Span { coding: at, data: 0 });
            }
            self.state = self.step(byte)?;
        }
        Ok(Span { coding: bytes.len(), data: 0 })
    }

    fn step(&mut self, byte: u8) -> Result<ChunkState, RequestError> {
        use ChunkState::*;
        self.count()?;
        match (self.state, byte) {
            (Size | Digits, byte) if byte.is_ascii_hexdigit() => self.digit(byte),
            (Digits | Blank | Extension, b'\r') => Ok(SizeEnd),
            (Digits | Blank, b' ' | b'\t') => Ok(Blank),
            (Digits | Blank, b';') => Ok(Extension),
            (Extension, byte) if is_text(byte) => Ok(Extension),
            (SizeEnd, b'\n') if self.left > 0 => Ok(Data),
            (SizeEnd, b'\n') => {
                self.line = 0;
                Ok(Trailer)
            }
            (DataEnd, b'\r') => Ok(DataEnded),
            (DataEnded, b'\n') => {
                self.line = 0;
                Ok(Size)
            }
            (Trailer, b'\r') => Ok(LastLineEnd),
            (Trailer | TrailerName, byte) if is_token(byte) => Ok(TrailerName),
            (TrailerName, b':') => Ok(TrailerValue),
            (TrailerValue, byte) if is_text(byte) => Ok(TrailerValue),
            (TrailerValue, b'\r') => Ok(TrailerLineEnd),
            (TrailerLineEnd, b'\n') => Ok(Trailer),
            (LastLineEnd, b'\n') => Ok(Done),
            (state, byte) => Err(malformed(format!(
                "the chunked body has the byte {byte:#04x} {}",
                place(state)
            ))),
        }
    }

    fn digit(&mut self, digit: u8) -> Result<ChunkState, RequestError> {
        let digit = char::from(digit).to_digit(16).unwrap_or_default();
        let size = self.left.checked_mul(16).and_then(|size| size.checked_add(digit.into()));
        self.left = size.ok_or_else(|| malformed("a chunk's size is larger than 64 bits"))?;
        Ok(ChunkState::Digits)
    }

    fn count(&mut self) -> Result<(), RequestError> {
        self.line += 1;
        let is_trailer = matches!(
            self.state,
            ChunkState::Trailer
                | ChunkState::TrailerName
                | ChunkState::TrailerValue
                | ChunkState::TrailerLineEnd
                | ChunkState::LastLineEnd
        );
        if is_trailer && self.line > TRAILER_LIMIT {
            return Err(malformed(format!("the trailer is longer than {TRAILER_LIMIT} bytes")));
        }
        if !is_trailer && self.line > LINE_LIMIT {
            return Err(malformed(format!(
                "a chunk's size line is longer than {LINE_LIMIT} bytes"
            )));
        }
        Ok(())
    }
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}

fn place(state: ChunkState) -> &'static str {
    match state {
        ChunkState::Size | ChunkState::Digits | ChunkState::Blank => {
            "in a chunk's size, which is a hexadecimal number"
        }
        ChunkState::Extension => "in a chunk's extension",
        ChunkState::SizeEnd => "after a carriage return; a chunk's size ends with CR LF",
        ChunkState::Data | ChunkState::DataEnd | ChunkState::DataEnded => {
            "behind a chunk; a chunk ends with CR LF"
        }
        ChunkState::Trailer | ChunkState::TrailerName => {
            "in a trailer's name, which ends with a colon"
        }
        ChunkState::TrailerValue
        | ChunkState::TrailerLineEnd
        | ChunkState::LastLineEnd
        | ChunkState::Done => "in its trailer, whose lines end with CR LF",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `body` in parts of `step` bytes: its data, and how many bytes it took.
    fn decode(body: &[u8], step: usize) -> Result<(Vec<u8>, usize), RequestError> {
        let (mut decoder, mut data, mut taken, mut known) = (Chunked::default(), Vec::new(), 0, 0);
        while !decoder.is_done() && taken < body.len() {
            known = (known + step).min(body.len());
            let span = decoder.next(&body[taken..known])?;
            data.extend_from_slice(&body[taken + span.coding..][..span.data]);
            taken += span.coding + span.data;
        }
        assert!(decoder.is_done(), "it has not ended");
        Ok((data, taken))
    }

    #[test]
    fn data_and_end_do_not_depend_on_the_parts_that_arrive() {
        for (body, data) in [
            ("0\r\n\r\n", ""),
            ("5\r\nhello\r\n0\r\n\r\n", "hello"),
            ("A\r\n0123456789\r\n1 ;x=\"y\"\r\nz\r\n000\r\n\r\n", "0123456789z"),
            ("1\t\r\n\n\r\n0;last\r\nX-Sum: 1\r\nY: é\r\n\r\n", "\n"),
        ] {
            for step in 1..body.len() {
                let with_more = format!("{body}GET / HTTP/1.1\r\n");
                let decoded = decode(with_more.as_bytes(), step);
                assert_eq!(
                    decoded,
                    Ok((data.as_bytes().to_vec(), body.len())),
                    "{body:?} by {step}"
                );
            }
        }
    }

    #[test]
    fn ambiguous_coding_is_refused() {
        for body in [
            "5\nhello\r\n0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhello\r\n0\n\r\n",
            "5\r\nhello\r\n0\r\n\n",
            "0\r\nX: 1\n\r\n",
            "0\r\n folded\r\n\r\n",
            "0\r\nX\r\n\r\n",
            "0\r\nX : 1\r\n\r\n",
            "0\r\n: 1\r\n\r\n",
            "5\rhello\r\n0\r\n\r\n",
            "5;a\nb\r\nhello\r\n0\r\n\r\n",
            "5;\0\r\nhello\r\n0\r\n\r\n",
            "-5\r\nhello\r\n0\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            " 5\r\nhello\r\n0\r\n\r\n",
            "5 5\r\nhello\r\n0\r\n\r\n",
            "\r\nhello\r\n0\r\n\r\n",
            "zz\r\n",
            "10000000000000000\r\n",
        ] {
            let refused = decode(body.as_bytes(), body.len());
            assert!(matches!(refused, Err(RequestError::Malformed(_))), "{body:?}: {refused:?}");
        }
        for (before, part) in [("1;", "x"), ("0\r\n", "X: 1\r\n")] {
            let body = format!("{before}{}", part.repeat(9_000));
            let refused = decode(body.as_bytes(), 1_000);
            assert!(matches!(refused, Err(RequestError::Malformed(_))), "{before:?}: {refused:?}");
        }
    }
}
