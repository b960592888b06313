//! Cuts connections whose next request never comes, or never ends.
//!
//! The HTTP library has a deadline for the head of a connection's first request and for an idle
//! connection, but once a single byte of a second head has arrived neither of them runs; and it goes on
//! reading a chunked body that we have refused for as long as one comes. So each connection keeps note
//! of when it is to be cut if no other request has begun by then, and is shut down at that time.

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
use rustix::process::{Resource, getrlimit};
use socket2::{SockRef, Socket};

/// All live connections. Clones share them.
#[derive(Clone)]
pub struct Connections(Arc<Shared>);

struct Shared {
    started: Instant,
    /// What a connection may take from one answer to the next request.
    patience: Duration,
    live: Mutex<Live>,
}

#[derive(Default)]
struct Live {
    next: u64,
    /// Each with the time to cut it, in milliseconds since the start.
    sockets: HashMap<u64, (Socket, Arc<AtomicU64>)>,
}

/// One connection's note, kept with the connection and dropped with it.
#[derive(Clone)]
pub struct Tracked(Arc<Note>);

struct Note {
    id: u64,
    connections: Connections,
    cut_at: Arc<AtomicU64>,
}

/// The time to cut a connection with a request under way, or before its first: the library watches that.
const NEVER: u64 = u64::MAX;

/// Descriptors of a connection: its own, and ours to cut it.
const DESCRIPTORS: u64 = 2;

/// Descriptors that connections must not take: for new sessions with ZooKeeper, pulls and the log.
const RESERVED: u64 = 64;

/// Connections that may be open at once, as the operating system's limit of open files has it. More wait until
/// others have ended: strangers who hold connections must not keep us from ZooKeeper.
pub fn most_at_once() -> usize {
    let Some(limit) = getrlimit(Resource::Nofile).current else { return usize::MAX };
    usize::try_from(limit.saturating_sub(RESERVED) / DESCRIPTORS).unwrap_or(usize::MAX).max(1)
}

/// What a client has to read a refusal in, while it may still be sending.
const AFTER_REFUSAL: Duration = Duration::from_secs(1);

impl Connections {
    /// None yet. `patience` is what a connection may take from one answer to the next request.
    pub fn new(patience: Duration) -> Self {
        Self(Arc::new(Shared { started: Instant::now(), patience, live: Mutex::default() }))
    }

    /// For the server to call with each new connection.
    pub fn track(&self, connection: &dyn Any, data: &mut Extensions) {
        let Some(stream) = connection.downcast_ref::<TcpStream>() else { return };
        // Without descriptors to spare, this connection goes unwatched; the library's own timers remain.
        let Ok(socket) = SockRef::from(stream).try_clone() else { return };
        let cut_at = Arc::new(AtomicU64::new(NEVER));
        let mut live = self.lock();
        let id = live.next;
        live.next += 1;
        live.sockets.insert(id, (socket, Arc::clone(&cut_at)));
        data.insert(Tracked(Arc::new(Note { id, connections: self.clone(), cut_at })));
    }

    /// Shuts down the connections whose time has come; tells how many.
    pub fn cut_due(&self) -> usize {
        let now = self.now();
        let live = self.lock();
        let due = live.sockets.values().filter(|(socket, cut_at)| {
            // The library sees the end of the stream and drops the connection, and with it the note.
            cut_at.load(Ordering::Relaxed) <= now && socket.shutdown(Shutdown::Both).is_ok()
        });
        due.count()
    }

    fn now(&self) -> u64 {
        millis(self.0.started.elapsed())
    }

    /// No code that holds the lock can leave the map half changed.
    fn lock(&self) -> MutexGuard<'_, Live> {
        self.0.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tracked {
    /// A request's head has arrived whole.
    pub fn request_began(&self) {
        self.0.cut_at.store(NEVER, Ordering::Relaxed);
    }

    /// Its answer is made; `refused` without its body having been read.
    pub fn request_ended(&self, refused: bool) {
        let connections = &self.0.connections;
        let patience = if refused { AFTER_REFUSAL } else { connections.0.patience };
        self.0.cut_at.store(connections.now() + millis(patience), Ordering::Relaxed);
    }
}

/// Half of the range is endless enough, and leaves room to add.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(NEVER).min(NEVER / 2)
}

impl Drop for Note {
    fn drop(&mut self) {
        self.connections.lock().sockets.remove(&self.id);
    }
}
