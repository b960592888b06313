//! Cuts connections whose next request never comes, or never ends.
//!
//! The HTTP library has a deadline for the head of a connection's first request and for an idle
//! connection, but once a single byte of a second head has arrived neither of them runs. So each
//! connection keeps note of when its last request ended, and one that has begun no other for longer than
//! the keep-alive time and a head's deadline together is shut down.

use std::{
    any::Any,
    collections::HashMap,
    net::Shutdown,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use actix_web::{dev::Extensions, rt::net::TcpStream};
use socket2::{SockRef, Socket};

/// All live connections. Clones share them.
#[derive(Clone)]
pub struct Connections(Arc<Shared>);

struct Shared {
    started: Instant,
    live: Mutex<Live>,
}

#[derive(Default)]
struct Live {
    next: u64,
    sockets: HashMap<u64, (Socket, Arc<AtomicU64>)>,
}

/// One connection's note, kept with the connection and dropped with it.
#[derive(Clone)]
pub struct Tracked(Arc<Note>);

struct Note {
    id: u64,
    connections: Connections,
    idle_since: Arc<AtomicU64>,
}

/// The value of `idle_since` while a request is under way, or before the first.
const BUSY: u64 = u64::MAX;

impl Connections {
    /// None yet.
    pub fn new() -> Self {
        Self(Arc::new(Shared { started: Instant::now(), live: Mutex::default() }))
    }

    /// For the server to call with each new connection.
    pub fn track(&self, connection: &dyn Any, data: &mut Extensions) {
        let Some(stream) = connection.downcast_ref::<TcpStream>() else { return };
        // Without descriptors to spare, this connection goes unwatched; the library's own timers remain.
        let Ok(socket) = SockRef::from(stream).try_clone() else { return };
        let idle_since = Arc::new(AtomicU64::new(BUSY));
        let mut live = self.lock();
        let id = live.next;
        live.next += 1;
        live.sockets.insert(id, (socket, Arc::clone(&idle_since)));
        data.insert(Tracked(Arc::new(Note { id, connections: self.clone(), idle_since })));
    }

    /// Shuts down what has been without a request for `patience`; tells how many.
    pub fn cut_idle(&self, patience: Duration) -> usize {
        let now = self.now();
        let patience = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        let live = self.lock();
        let stale = live.sockets.values().filter(|(socket, idle_since)| {
            let since = idle_since.load(Ordering::Relaxed);
            // The library sees the end of the stream and drops the connection, and with it the note.
            since != BUSY
                && now.saturating_sub(since) > patience
                && socket.shutdown(Shutdown::Both).is_ok()
        });
        stale.count()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(BUSY - 1)
    }

    /// No code that holds the lock can leave the map half changed.
    fn lock(&self) -> MutexGuard<'_, Live> {
        self.0.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tracked {
    /// A request's head has arrived whole.
    pub fn request_began(&self) {
        self.0.idle_since.store(BUSY, Ordering::Relaxed);
    }

    /// Its answer is made.
    pub fn request_ended(&self) {
        self.0.idle_since.store(self.0.connections.now(), Ordering::Relaxed);
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        self.connections.lock().sockets.remove(&self.id);
    }
}
