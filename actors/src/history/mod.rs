//! The history: all changes, recorded in a database that outlasts the process (trust contract, section 1).
//!
//! ```text
//! journals ─▶ Recent ─▶ Queue ─┐
//! HTTP actor ─▶ History ───────┴─▶ Historian ─▶ switcher_history::Writer
//! ```
//!
//! Only the [`Historian`] writes the database and waits for the disk. Changes reach it through a bounded queue; all changes
//! that arrive during a commit go into the next one. A coinbase update waits for its record, and with
//! [`HistorySync::All`] the answer to each switch.
//!
//! * `queue`: changes and requests that wait for the Historian;
//! * `handle`: [`History`], the handle that records and waits;
//! * `actor`: the Historian: batches, retries, expiry, drain;
//! * `records`: conversion between changes and records;
//! * `journal`: log lines and metrics;
//! * `settings`: [`HistorySettings`].

mod actor;
mod handle;
mod journal;
mod queue;
mod records;
mod settings;

pub(crate) use actor::{CloseHistory, Historian};
pub use handle::{History, NotRecorded};
pub(crate) use queue::Queue;
pub(crate) use records::recent_change;
pub use settings::{HistorySettings, HistorySync};
