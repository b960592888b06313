//! The history: all changes, recorded in a database that outlasts the process (trust contract, section 1).
//!
//! ```text
//! journals ─▶ Recent ─▶ Queue ─┐
//! HTTP actor ─▶ History ───────┴─▶ Historian ─▶ switcher_history::Writer
//! ```
//!
//! [`Historian`] owns the database and is the only one that waits for the disk. Changes reach it through a bounded queue;
//! all that arrives during a commit goes into the next one. A coinbase update waits for its record, and so does each
//! switch with [`HistorySync::All`].
//!
//! * `queue`: changes and requests that wait for the Historian;
//! * `handle`: [`History`], by which others record and wait;
//! * `actor`: the Historian: batches, retries, expiry, drain;
//! * `records`: from changes to records, and back;
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
