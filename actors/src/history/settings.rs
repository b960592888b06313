//! Settings of the history.

use std::time::Duration;

use switcher_history::{ChangeRow, Writer};

/// Settings of the history, and its open database.
pub struct HistorySettings {
    /// The database.
    pub writer: Writer,
    /// The newest records, oldest first: the recent changes of the time before the start.
    pub recent: Vec<ChangeRow>,
    /// The records whose answers wait for the disk (`HistorySync`).
    pub sync: HistorySync,
    /// Time for which switches are kept (`HistoryDays`).
    pub kept: Duration,
    /// Time for which payout changes are kept (`HistoryPayoutDays`).
    pub payouts_kept: Duration,
    /// Maximum size of the database (`HistoryMaxBytes`).
    pub max_bytes: u64,
}

/// The records whose answers wait for the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HistorySync {
    /// Coinbase updates alone. A crash of the machine may lose the records of a second's switches.
    #[default]
    Updates,
    /// All successes.
    All,
}
