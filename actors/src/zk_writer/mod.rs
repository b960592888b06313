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
//!
//! ```text
//! AskJobmaker ─▶ Lanes ── begin ──▶ exchange() ─▶ ZooKeeper ─▶ jobmaker
//!                  ▲                    │
//!                  └── finish ◀── over ─┴─▶ AckWaiter ─▶ replies, log
//! ```
//!
//! * `sub_pools`: begins exchanges with jobmakers;
//! * `lanes`: who waits for which sub-pool's; no clock, no network;
//! * `exchange`: makes one.

mod actor;
mod commit;
mod exchange;
mod journal;
mod lanes;
mod last_seen;
mod messages;
mod queue;
mod sub_pools;

pub use actor::WriterSettings;
pub(crate) use actor::ZkWriter;
pub(crate) use messages::Drain;
pub use messages::{Ask, AskJobmaker, WriteBatch, WriteFailure, WriteReply};
pub use sub_pools::SubPoolSettings;
pub(crate) use sub_pools::ToAckWaiter;
