//! `ZkWriter`: owns the ZooKeeper session and the order of writes.
//!
//! ```text
//! WriteBatch ─▶ Queue ── take ──▶ Chunk ─▶ commit() ─▶ ZooKeeper
//!                 ▲                           │
//!                 └────── finish ◀── outcomes ┘  ─▶ replies, log
//! ```
//!
//! * `messages`: what others send here;
//! * `actor`: the shell: mailbox, session states, timers;
//! * `queue`: who waits for what, which znode is under way; no clock, no network;
//! * `commit`: brings one chunk into ZooKeeper, whatever exists there already;
//! * `last_seen`: what we last saw in each znode: spares most looks;
//! * `journal`: the log line of each switch.

mod actor;
mod commit;
mod journal;
mod last_seen;
mod messages;
mod queue;

pub use actor::{WriterSettings, ZkWriter};
pub use messages::{Drain, Source, WriteBatch, WriteFailure, WriteReply};
