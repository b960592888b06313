//! Received bytes that the HTTP library has not read yet, handed over one request at a time: its head, then its body.
//! No clock, no socket.

use actix_web::web::{Buf, BytesMut};
use tokio::io::ReadBuf;

use super::{
    chunked::Chunked,
    head::{Framing, Head, Scan, parse},
};
use crate::http::error::RequestError;

/// A head that the library can answer in place of a refused one.
const STAND_IN: &[u8] = b"GET * HTTP/1.1\r\nHost: refused\r\nConnection: close\r\n\r\n";

/// Room for a chunk's size line and the line end behind its data.
const CHUNK_ROOM: usize = 16 + 2 + 2;

const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Buffer and position in the stream of requests.
#[derive(Default)]
pub struct Inbound {
    /// Received, and not handed over. Empty, it holds no memory.
    bytes: BytesMut,
    /// Bytes of a head, at the beginning of `bytes`, that may be handed over.
    head: usize,
    body: UnreadBody,
    scan: Scan,
}

/// The part of a body that has not been handed over.
enum UnreadBody {
    Length(u64),
    Chunked(Chunked),
    /// All data of a chunked body was handed over, but not its last chunk.
    LastChunk,
}

impl Default for UnreadBody {
    fn default() -> Self {
        Self::Length(0)
    }
}

impl Inbound {
    /// Bytes that were received and not handed over.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Memory that is held for them.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    pub fn receive(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Looks for the next request; the one before must have been handed over whole. `None` if more bytes are needed.
    /// After an error, no further request can be found.
    pub fn next_request(&mut self) -> Result<Option<Head>, RequestError> {
        let Some(end) = self.scan.end(&self.bytes)? else { return Ok(None) };
        let (head, rewritten) = parse(&self.bytes[..end])?;
        self.scan = Scan::default();
        self.head = end;
        if let Some(rewritten) = rewritten {
            let mut bytes = BytesMut::with_capacity(rewritten.len() + self.bytes.len() - end);
            bytes.extend_from_slice(&rewritten);
            bytes.extend_from_slice(&self.bytes[end..]);
            self.bytes = bytes;
            self.head = rewritten.len();
        }
        self.body = match head.framing {
            Framing::Length(length) => UnreadBody::Length(length),
            Framing::Chunked => UnreadBody::Chunked(Chunked::default()),
        };
        Ok(Some(head))
    }

    /// Replaces all bytes with a request that the library can answer with an error.
    pub fn refuse(&mut self) {
        *self = Self { bytes: STAND_IN.into(), head: STAND_IN.len(), ..Self::default() };
    }

    /// Whether a head, or the rest of one, can be handed over.
    pub fn has_head(&self) -> bool {
        self.head > 0
    }

    /// Whether a part of the body has not been handed over.
    pub fn has_body(&self) -> bool {
        !matches!(self.body, UnreadBody::Length(0))
    }

    /// Hands over as much of the head as `into` has room for.
    pub fn take_head(&mut self, into: &mut ReadBuf<'_>) {
        let count = self.head.min(into.remaining());
        self.take(count, into);
        self.head -= count;
    }

    /// Bytes of the body that a socket may put into the library's buffer directly: 0 for a chunked body, or while
    /// received bytes come before.
    pub fn direct(&self) -> u64 {
        match self.body {
            UnreadBody::Length(left) if self.bytes.is_empty() => left,
            _ => 0,
        }
    }

    /// The library has received `count` bytes of the body directly.
    pub fn passed(&mut self, count: u64) {
        if let UnreadBody::Length(left) = &mut self.body {
            *left = left.saturating_sub(count);
        }
    }

    /// Hands over as much of the received body as `into` has room for. The library gets a chunked body in other chunks,
    /// without extensions and trailers. After an error, the end of the body cannot be found.
    pub fn take_body(&mut self, into: &mut ReadBuf<'_>) -> Result<(), RequestError> {
        match &mut self.body {
            UnreadBody::Length(left) => {
                let room = self.bytes.len().min(into.remaining());
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(room);
                *left -= count as u64;
                self.take(count, into);
                Ok(())
            }
            UnreadBody::Chunked(_) => self.take_chunk(into),
            UnreadBody::LastChunk => {
                self.take_last_chunk(into);
                Ok(())
            }
        }
    }

    fn take_chunk(&mut self, into: &mut ReadBuf<'_>) -> Result<(), RequestError> {
        let UnreadBody::Chunked(chunked) = &mut self.body else { return Ok(()) };
        let room = into.remaining().saturating_sub(CHUNK_ROOM);
        while room > 0 && !self.bytes.is_empty() && !chunked.is_done() {
            let known = self.bytes.len().min(room);
            let span = chunked.next(&self.bytes[..known])?;
            self.bytes.advance(span.coding);
            if span.data > 0 {
                into.put_slice(format!("{:x}\r\n", span.data).as_bytes());
                into.put_slice(&self.bytes[..span.data]);
                into.put_slice(b"\r\n");
                self.bytes.advance(span.data);
                break;
            }
        }
        if chunked.is_done() {
            self.body = UnreadBody::LastChunk;
            self.take_last_chunk(into);
        }
        self.release();
        Ok(())
    }

    fn take_last_chunk(&mut self, into: &mut ReadBuf<'_>) {
        if into.remaining() >= LAST_CHUNK.len() {
            into.put_slice(LAST_CHUNK);
            self.body = UnreadBody::Length(0);
        }
    }

    fn take(&mut self, count: usize, into: &mut ReadBuf<'_>) {
        into.put_slice(&self.bytes[..count]);
        self.bytes.advance(count);
        self.release();
    }

    fn release(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = BytesMut::new();
        }
    }
}
