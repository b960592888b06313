//! Settings of the history.

use std::time::Duration;

use switcher_history::{ChangeRow, Writer};

/// Settings of the history, and its open database.
pub struct HistorySettings {
    /// The database.
    pub writer: Writer,
    /// The newest records, oldest first: the recent changes before the start.
    pub recent: Vec<ChangeRow>,
    /// The answers that wait for the disk (`HistorySync`).
    pub sync: HistorySync,
    /// Time for which switches are kept (`HistoryDays`).
    pub kept: Duration,
    /// Time for which payout changes and reloads are kept (`HistoryPayoutDays`).
    pub payouts_kept: Duration,
    /// Maximum bytes of the database (`HistoryMaxBytes`).
    pub max_bytes: u64,
}

/// The answers that wait until their records are on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HistorySync {
    /// Those to coinbase updates. A crash of the machine may lose the records of a second's switches.
    #[default]
    Updates,
    /// Those to updates, and all successes of switches.
    All,
}
