//! The connections that the HTTP library reads and writes: message framing, deadlines, and bounds on the memory that a
//! client can occupy (docs/develop/decisions/0013-connection-layer.md).
//!
//! * `serve`: a connection from its first byte to its end;
//! * `tls_handshake`: its begin; `tls_stream`: its bytes, with TLS or without; `linger`: its end;
//! * `connection`: its phases and deadlines, and what the library reads;
//! * `inbound`: received bytes, handed over one request at a time;
//! * `head`, `request_line`: a request's head: its end, its checks, its canonical form;
//! * `chunked`: the end of a chunked body;
//! * `outbound`: answers on their way to the socket;
//! * `handle`: the view that a request has of its connection;
//! * `properties`: properties that hold for any bytes, for tests and the fuzz target.

mod chunked;
mod connection;
mod handle;
mod head;
mod inbound;
mod linger;
mod outbound;
#[cfg(any(test, fuzzing))]
pub mod properties;
mod request_line;
mod serve;
#[cfg(test)]
mod tests;
mod tls_handshake;
mod tls_stream;
#[cfg(test)]
mod tls_tests;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustix::process::{Resource, getrlimit};

use crate::http::handshakes::{FailedHandshakes, ListenerTls};

pub use connection::HttpConnection;
pub use handle::{AnswerInProgress, ConnectionHandle, TrackedBody};
pub use serve::serve;

/// Descriptors that connections must leave for new ZooKeeper sessions, polls and the log.
const RESERVED: usize = 64;

/// Descriptors of an HTTP worker's event loop.
pub const WORKER_DESCRIPTORS: usize = 8;

/// Memory that every unfinished head, or handshake, may hold, so that in a flood an ordinary head can still arrive in parts.
const HEAD_ROOM: usize = 2 * 1024;

/// Memory that all unfinished heads and handshakes of a listener may hold together beyond [`HEAD_ROOM`].
const HEADS_LIMIT: usize = 16 * 1024 * 1024;

/// Divisor: one head may hold at most this part of the memory that the others leave.
const SHARE_OF_ROOM: usize = 64;

/// Most connections at a time within the operating system's limit of open files, of which other listeners take
/// `others`. Further clients wait, so that they cannot keep the daemon from ZooKeeper.
pub fn max_connections(workers: usize, others: usize) -> usize {
    let Some(limit) = getrlimit(Resource::Nofile).current else { return usize::MAX };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    limit.saturating_sub(RESERVED + others + workers.saturating_mul(WORKER_DESCRIPTORS)).max(1)
}

/// Deadlines of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// From the connection to the end of its first head, a handshake included.
    pub first_head: Duration,
    /// From the last byte of an answer, when the kernel has taken it, to the first byte of the next request.
    pub idle: Duration,
    /// From the last byte of an answer to the end of the next head, once that has begun; and for the client to take
    /// any bytes of an answer.
    pub patience: Duration,
}

/// State that the connections of a listener share. Clones share it.
#[derive(Clone)]
pub struct Connections {
    deadlines: Deadlines,
    cut: Arc<AtomicUsize>,
    /// Bytes that unfinished heads and handshakes hold.
    held: Arc<AtomicUsize>,
    /// `None` without TLS.
    tls: Option<ListenerTls>,
}

impl Connections {
    pub fn new(deadlines: Deadlines, tls: Option<ListenerTls>) -> Self {
        Self { deadlines, cut: Arc::default(), held: Arc::default(), tls }
    }

    /// `None` without TLS.
    pub fn failed_handshakes(&self) -> Option<&FailedHandshakes> {
        self.tls.as_ref().map(|tls| &*tls.failed)
    }

    /// Number of connections that missed a deadline since the last call.
    pub fn take_cut(&self) -> usize {
        self.cut.swap(0, Ordering::Relaxed)
    }

    fn count_cut(&self) {
        self.cut.fetch_add(1, Ordering::Relaxed);
    }

    /// Changes the memory that one head or handshake holds from `before` to `now`. False if that is more than its share; it counts
    /// all the same until it is released.
    fn hold(&self, before: usize, now: usize) -> bool {
        let [before, now] = [before, now].map(|held| held.saturating_sub(HEAD_ROOM));
        if now <= before {
            self.held.fetch_sub(before - now, Ordering::Relaxed);
            return true;
        }
        let others = self.held.fetch_add(now - before, Ordering::Relaxed) - before;
        now <= HEADS_LIMIT.saturating_sub(others) / SHARE_OF_ROOM
    }
}
