//! Received bytes that the HTTP library has not read yet: one request at a time, its head and then its body.
//! No clock, no socket.

use actix_web::web::{Buf, BytesMut};
use tokio::io::ReadBuf;

use super::{
    chunked::Chunked,
    head::{Framing, Scan, parse},
};
use crate::api::answer::ApiError;

/// The head of the request that the library answers in place of one that was refused.
const STAND_IN: &[u8] = b"GET * HTTP/1.1\r\nHost: refused\r\nConnection: close\r\n\r\n";

/// Room for a chunk's size line and the line end behind its data.
const CHUNK_ROOM: usize = 16 + 2 + 2;

/// The last chunk.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Buffer and position in the stream of requests.
#[derive(Default)]
pub struct Inbound {
    /// Received, and not handed over. Empty, it holds no memory.
    bytes: BytesMut,
    /// Bytes of a head, at the beginning of `bytes`, that may be handed over.
    head: usize,
    body: Body,
    scan: Scan,
}

/// The part of a body that has not been handed over.
enum Body {
    Length(u64),
    Chunked(Chunked),
    /// The data of a chunked body; its last chunk is missing.
    LastChunk,
}

impl Default for Body {
    fn default() -> Self {
        Self::Length(0)
    }
}

/// A request whose head can be handed over.
pub struct Request {
    pub keeps_alive: bool,
    pub expects_continue: bool,
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

    /// Takes in what the client has sent.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Looks for the next request; the one before has to be handed over whole. `None` if more bytes are needed.
    ///
    /// # Errors
    /// The answer to a head that cannot be understood. No further request can be found then.
    pub fn next_request(&mut self) -> Result<Option<Request>, ApiError> {
        let Some(end) = self.scan.end(&self.bytes)? else { return Ok(None) };
        let head = parse(&self.bytes[..end])?;
        self.scan = Scan::default();
        self.head = end;
        if let Some(rewritten) = &head.rewritten {
            let mut bytes = BytesMut::with_capacity(rewritten.len() + self.bytes.len() - end);
            bytes.extend_from_slice(rewritten);
            bytes.extend_from_slice(&self.bytes[end..]);
            self.bytes = bytes;
            self.head = rewritten.len();
        }
        self.body = match head.framing {
            Framing::Length(length) => Body::Length(length),
            Framing::Chunked => Body::Chunked(Chunked::default()),
        };
        let (keeps_alive, expects_continue) = (head.keeps_alive, head.expects_continue);
        Ok(Some(Request { keeps_alive, expects_continue }))
    }

    /// Replaces everything with a request that the library can answer with an error.
    pub fn refuse(&mut self) {
        *self = Self { bytes: STAND_IN.into(), head: STAND_IN.len(), ..Self::default() };
    }

    /// Whether a head can be handed over, or the rest of one.
    pub fn has_head(&self) -> bool {
        self.head > 0
    }

    /// Whether a part of the body has not been handed over.
    pub fn has_body(&self) -> bool {
        !matches!(self.body, Body::Length(0))
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
            Body::Length(left) if self.bytes.is_empty() => left,
            _ => 0,
        }
    }

    /// The library has got so many bytes of the body directly.
    pub fn passed(&mut self, count: u64) {
        if let Body::Length(left) = &mut self.body {
            *left = left.saturating_sub(count);
        }
    }

    /// Hands over as much of the received body as `into` has room for. A chunked body gets chunks of its own, without
    /// extensions and trailers.
    ///
    /// # Errors
    /// The answer to a body whose coding is malformed. Its end cannot be found then.
    pub fn take_body(&mut self, into: &mut ReadBuf<'_>) -> Result<(), ApiError> {
        match &mut self.body {
            Body::Length(left) => {
                let room = self.bytes.len().min(into.remaining());
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(room);
                *left -= count as u64;
                self.take(count, into);
                Ok(())
            }
            Body::Chunked(_) => self.take_chunk(into),
            Body::LastChunk => {
                self.take_last_chunk(into);
                Ok(())
            }
        }
    }

    fn take_chunk(&mut self, into: &mut ReadBuf<'_>) -> Result<(), ApiError> {
        let Body::Chunked(chunked) = &mut self.body else { return Ok(()) };
        let room = into.remaining().saturating_sub(CHUNK_ROOM);
        while room > 0 && !self.bytes.is_empty() && !chunked.is_done() {
            let known = self.bytes.len().min(room);
            let part = chunked.next(&self.bytes[..known])?;
            self.bytes.advance(part.coding);
            if part.data > 0 {
                into.put_slice(format!("{:x}\r\n", part.data).as_bytes());
                into.put_slice(&self.bytes[..part.data]);
                into.put_slice(b"\r\n");
                self.bytes.advance(part.data);
                break;
            }
        }
        if chunked.is_done() {
            self.body = Body::LastChunk;
            self.take_last_chunk(into);
        }
        self.release();
        Ok(())
    }

    fn take_last_chunk(&mut self, into: &mut ReadBuf<'_>) {
        if into.remaining() >= LAST_CHUNK.len() {
            into.put_slice(LAST_CHUNK);
            self.body = Body::Length(0);
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
