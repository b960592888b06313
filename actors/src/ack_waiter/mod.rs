//! `AckWaiter`: owns the pending acknowledgements, their deadlines, and what is said of them.
//!
//! ```text
//! ZkWriter ── Expect ──▶ pending ◀── Report ── the exchange's task
//!                           │  └── Next ──▶      (reads, watches, writes)
//!                           └─▶ replies, log
//! ```
//!
//! * `messages`: what others send here, and what callers are told;
//! * `actor`: the shell: mailbox and deadlines;
//! * `attribution`: decides whose answer an ack is; no clock, no network, and the argument why it is right;
//! * `ack`: the jobmaker's JSON;
//! * `pending`: one exchange and those who wait for it: every answer;
//! * `journal`: what is told of each exchange: log line, figures, last changes;
//! * `properties`: what holds for any ack, for tests and fuzz targets.

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
pub use messages::{Caller, ExchangeFailure, ExchangeReply, JobmakerAnswer};
pub(crate) use messages::{Event, ExchangeId, Expect, Report, Settle, Turn};
