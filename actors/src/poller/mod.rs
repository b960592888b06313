//! `Poller`: fetches the user-coin map from the pool's web backend and has `ZkWriter` write it.
//!
//! ```text
//!            ┌──────────────── interval ────────────────┐
//!            ▼                                          │
//!  BeginPoll ─▶ mark ─▶ fetch ─▶ parse ─▶ UserCoinMap ─▶ SyncBatch… ─▶ reports ─▶ PollCursor, log
//! ```
//!
//! Nothing is written before the whole answer has been read, understood and found to be a success: a
//! map that breaks off, or an `err_no` at its end, writes nothing.
//!
//! * `settings`, `messages`: settings of the operator, messages to the actor;
//! * `actor`: the shell: one poll at a time, and the time of the next;
//! * `poll`: one poll, from the mark to the last report; `outcome`: its end;
//! * `answer`: the JSON (contract, section 4);
//! * `user_coin_map`: a million entries in little memory;
//! * `cursor`: the next `last_date`; no clock, no network;
//! * `preview`: the map for commands that only read it;
//! * `journal`: the log lines and metrics of a poll;
//! * `properties`: properties of any answer, for tests and fuzz targets.

mod actor;
mod answer;
mod cursor;
mod journal;
mod messages;
mod outcome;
mod poll;
mod preview;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod settings;
mod user_coin_map;

pub(crate) use actor::Poller;
#[cfg(test)]
pub(crate) use answer::{FetchedMap, MapFormat};
pub(crate) use messages::{NewSettings, StopPolling};
pub(crate) use poll::ToZkWriter;
pub use preview::{MapPreview, preview_map};
pub use settings::PollerSettings;
