//! `AckWaiter`: owns the pending exchanges with jobmakers and their deadlines, answers and logs them.
//!
//! ```text
//! ZkWriter ── Expect ──▶ pending ◀── Report ── the exchange's task
//!                           │  └── Next ──▶      (reads, watches, writes)
//!                           └─▶ replies, log
//! ```
//!
//! * `messages`: messages to the actor, and callers' answers;
//! * `actor`: the shell: mailbox and deadlines;
//! * `attribution`: decides which request an ack answers, with the proof; no clock, no network;
//! * `ack`: the jobmaker's JSON;
//! * `pending`: one exchange and its callers: every answer;
//! * `journal`: log line, metrics and recent change of each exchange;
//! * `properties`: properties of acks, for tests and fuzz targets.

mod ack;
mod actor;
mod attribution;
mod journal;
mod messages;
mod pending;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;

pub(crate) use ack::Ack;
pub(crate) use actor::AckWaiter;
pub(crate) use attribution::{Next, Sighting};
pub(crate) use journal::Journal;
pub(crate) use messages::{Caller, Event, ExchangeId, Expect, Report, Settle, Turn};
pub use messages::{ExchangeFailure, ExchangeReply, JobmakerAnswer};
