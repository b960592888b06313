//! `ZkWriter`: owns the ZooKeeper session and the order of writes.
//!
//! ```text
//! WriteBatches ─▶ Queue ── take ──▶ Chunk ─▶ commit() ─▶ ZooKeeper
//!                   ▲                           │
//!                   └────── finish ◀── outcomes ┘  ─▶ replies, log
//!
//! DryRunBatch ─▶ DryRuns ── take ──▶ Part ─▶ ZooKeeper ── finish ─▶ DryRuns ─▶ replies
//!
//! BeginPoll ─▶ turn::take() ─▶ ZooKeeper ─▶ the mark: later writes are newer than the map
//! SyncBatch ─▶ sync() ───────▶ ZooKeeper ─▶ report, log
//!
//! PutBack ─▶ put_back() ───▶ ZooKeeper ─▶ reply, log
//!
//! a chunk's held entries ─▶ accept() ─▶ ZooKeeper ─▶ Book ── due ──▶ round() ─▶ ZooKeeper
//! WatchRequests, DeleteRequest ─▶ ZooKeeper ─▶ the Registrar
//! FirstCoins ─▶ create_missing() ─▶ ZooKeeper ─▶ replies to UserLists
//! ListHeld ─▶ Book ─▶ reply; LookUp ─▶ ZooKeeper ─▶ reply
//!
//! CoinbaseRequest ─▶ Lanes ── begin ──▶ exchange() ─▶ ZooKeeper ─▶ jobmaker
//!                      ▲                    │
//!                      └── finish ◀── over ─┴─▶ AckWaiter ─▶ replies, log
//! ```
//!
//! * `messages`, `settings`: the actor's vocabulary;
//! * `actor`: mailbox, deadlines, and what is under way;
//! * `session`: connects, reconnects, and ends the session;
//! * `switches`, `dry_runs`, `polls`, `registrations`, `sub_pools`, `first_coins`: one folder for each kind of request;
//! * `put_back`: undos;
//! * `held`: switches that wait for their safety period;
//! * `look_up`: held switches and one sub-account's state, for operators;
//! * `election`: elects one of several daemons, for polls and registrations;
//! * `admission`: limits what waits, and answers callers; `results`: results of a batch's entries;
//! * `write`: the write engine; `if_absent`, `if_unchanged`: conditions of its writes; `progress`: ends of its entries;
//! * `journal`: reports each switch to the log, the metrics and the recent changes.

mod actor;
mod admission;
mod dry_runs;
mod election;
mod first_coins;
mod held;
mod if_absent;
mod if_unchanged;
mod journal;
mod look_up;
mod messages;
mod polls;
mod progress;
mod put_back;
mod registrations;
mod results;
mod session;
mod settings;
mod sub_pools;
mod switches;
mod write;

pub(crate) use actor::ZkWriter;
pub(crate) use election::Election;
pub(crate) use first_coins::{
    FirstCoin, FirstCoins, FirstCoinsEnd, ListMark, ListMarks, NotCreated, ReadMarks, WriteMarks,
};
pub use held::{HeldRead, HeldSwitch, held_switches};
pub use look_up::{HeldList, ListHeld, LookUp, LookUpReply};
pub(crate) use messages::{
    BeginPoll, CoinbaseRequest, Drain, NewLimits, Ping, PollStart, PollTurn, SkippedEntry,
    SyncBatch, SyncReply, SyncReport,
};
pub use messages::{
    CoinbaseAction, DryRunBatch, ElectionLock, WriteBatch, WriteBatches, WriteFailure, WriteReply,
};
pub use put_back::{LeftState, PutBack, PutBackEnd, PutBackEntry, PutBackOutcome};
pub(crate) use registrations::{ConfirmElection, DeleteRequest, RequestsSeen, WatchRequests};
pub use results::Results;
pub use settings::{SubPoolSettings, WriterLimits, WriterSettings};
pub(crate) use sub_pools::ToAckWaiter;
