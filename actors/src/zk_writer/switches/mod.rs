//! Callers' switches.
//!
//! * `queue`: the write order; no clock, no network;
//! * `pump`: sends chunk by chunk;
//! * `commit`: brings one chunk into ZooKeeper;
//! * `last_seen`: the last known state of each znode, which spares most reads; `newcomers`: a guess about the others.

mod commit;
mod last_seen;
mod newcomers;
mod pump;
mod queue;

pub(super) use last_seen::{LastSeen, LastState};
pub(super) use newcomers::Newcomers;
pub(super) use queue::{Chunk, ChunkEntry, NOT_SENT, Queue, SettledSwitch};
