//! `Poller`: pulls the user-coin map from the pool's web backend and has `ZkWriter` bring it in.
//!
//! ```text
//!            ┌──────────────── interval ────────────────┐
//!            ▼                                          │
//!  BeginPoll ─▶ mark ─▶ fetch ─▶ parse ─▶ UserCoinMap ─▶ SyncBatch… ─▶ reports ─▶ Cursor, log
//! ```
//!
//! Nothing is written before the whole answer has been read, understood and found to be a success: a
//! map that breaks off, or an `err_no` at its end, writes nothing.
//!
//! * `actor`: the shell: one poll at a time, and when the next begins;
//! * `poll`: one poll, from the mark to the last report;
//! * `fetch`: the HTTP request, its redirects and deadlines, TLS, and an answer's head; alone in naming the HTTP client;
//! * `body`: the answer's bytes, from the network to a parser that blocks: unpacked, counted, guarded;
//! * `answer`: the JSON (contract, section 4);
//! * `user_coin_map`: a million entries in little memory;
//! * `cursor`: what to ask for next; no clock, no network;
//! * `preview`: the map for who only wants to look at it;
//! * `url`: `UserCoinMapURL`;
//! * `journal`: the log lines of a poll;
//! * `properties`: what holds for any answer, for tests and fuzz targets.

mod actor;
mod answer;
mod body;
mod cursor;
mod fetch;
mod journal;
mod messages;
mod poll;
mod preview;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod url;
mod user_coin_map;

pub use actor::PollerSettings;
pub(crate) use actor::{Poller, ToZkWriter};
pub use fetch::FetchError;
pub(crate) use messages::{NewSettings, StopPolling};
pub use preview::{MapPreview, preview_map};
pub use url::{UpstreamUrl, UpstreamUrlError};
