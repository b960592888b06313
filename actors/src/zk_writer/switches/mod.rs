//! Callers' switches.
//!
//! * `queue`: who waits for what, which znode is under way; no clock, no network;
//! * `pump`: how switches go out;
//! * `commit`: brings one chunk into ZooKeeper, whatever exists there already;
//! * `last_seen`: what we last saw in each znode: spares most looks.

mod commit;
mod last_seen;
mod pump;
mod queue;

pub(super) use last_seen::{LastSeen, Seen};
pub(super) use queue::{Chunk, Entry, NOT_SENT, Queue, SettledSwitch};
