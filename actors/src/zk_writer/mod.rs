//! `ZkWriter`: owns the ZooKeeper session and the order of writes.
//!
//! ```text
//! WriteBatch ─▶ Queue ── take ──▶ Chunk ─▶ commit() ─▶ ZooKeeper
//!                 ▲                           │
//!                 └────── finish ◀── outcomes ┘  ─▶ replies, log
//! ```
//!
//! * `messages`: what others send here;
//! * `actor`: the shell: mailbox, timers, the session's states, what is under way;
//! * `queue`: who waits for what, which znode is under way; no clock, no network;
//! * `commit`: brings one chunk into ZooKeeper, whatever exists there already;
//! * `last_seen`: what we last saw in each znode: spares most looks;
//! * `results`: how each entry of a batch ended, for callers who ask for that;
//! * `journal`: what is told of each switch: log line, figures, last changes.
//!
//! ```text
//! DryRunBatch ─▶ DryRuns ── take ──▶ Part ─▶ ZooKeeper ── finish ─▶ DryRuns ─▶ replies
//! ```
//!
//! * `looks`: who waits for a dry run, and what is being read; no clock, no network.
//!
//! ```text
//! CoinbaseRequest ─▶ Lanes ── begin ──▶ exchange() ─▶ ZooKeeper ─▶ jobmaker
//!                  ▲                    │
//!                  └── finish ◀── over ─┴─▶ AckWaiter ─▶ replies, log
//! ```
//!
//! * `sub_pools`: begins exchanges with jobmakers;
//! * `lanes`: who waits for which sub-pool's; no clock, no network;
//! * `exchange`: makes one.
//!
//! ```text
//! BeginPoll ─▶ poll_turn::take() ─▶ ZooKeeper ─▶ the moment from which others are fresher
//! SyncBatch ─▶ sync() ────────────▶ ZooKeeper ─▶ report, log
//! ```
//!
//! * `poll_turn`: whether this daemon polls, and the mark before a fetch;
//! * `sync`: brings a part of a user-coin map in, on conditions.

mod actor;
mod commit;
mod exchange;
mod journal;
mod lanes;
mod last_seen;
mod looks;
mod messages;
mod poll_turn;
mod queue;
mod results;
mod sub_pools;
mod sync;

pub(crate) use actor::ZkWriter;
pub use actor::{WriterLimits, WriterSettings};
pub(crate) use messages::{
    BeginPoll, Drain, NewLimits, Ping, PollStart, PollTurn, SkippedEntry, SyncBatch, SyncReply,
    SyncReport,
};
pub use messages::{
    CoinbaseAction, CoinbaseRequest, DryRunBatch, PollerLock, WriteBatch, WriteFailure, WriteReply,
};
pub use results::{EntryOutcome, EntryResult, Results};
pub use sub_pools::SubPoolSettings;
pub(crate) use sub_pools::ToAckWaiter;
