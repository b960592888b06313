//! Log lines and metrics of the history.

use std::time::{Duration, Instant};

use slog::{Logger, error, info, warn};
use switcher_history::{Error, Link, Outcome, Size};

use super::handle::NotRecorded;
use crate::{
    domain::{Quoted, Source, SubPool},
    metrics::Metrics,
};

/// Shortest interval between two log lines about dropped records.
const DROPS_LOGGED: Duration = Duration::from_secs(10);

pub(crate) struct Journal {
    log: Logger,
    metrics: Metrics,
    /// Whether the last attempt to record failed. The log has that.
    is_failing: bool,
    /// Dropped records that are not logged yet.
    dropped: u64,
    next_drops: Instant,
}

impl Journal {
    pub(crate) fn new(log: &Logger, metrics: &Metrics) -> Self {
        let (log, metrics) = (log.clone(), metrics.clone());
        Self { log, metrics, is_failing: false, dropped: 0, next_drops: Instant::now() }
    }

    /// Records could not be appended. Logged once until appending works again.
    pub(super) fn fails(&mut self, fault: &NotRecorded, waiting: usize) {
        self.metrics.history_fails(true);
        if !self.is_failing {
            error!(self.log, "changes cannot be recorded in the history; trying again each second: free disk space, or \
                check HistoryFile and its directory"; "cause" => %fault, "waiting" => waiting);
        }
        self.is_failing = true;
    }

    pub(super) fn works(&mut self) {
        self.metrics.history_fails(false);
        if self.is_failing {
            info!(self.log, "changes are recorded in the history again");
        }
        self.is_failing = false;
    }

    /// The file was damaged, and a new one is in use.
    pub(super) fn started_over(&self, cause: &Error, moved_to: &str) {
        error!(self.log, "the history was damaged and is moved aside; a new one begins, with a new chain of payout \
            changes"; "cause" => %cause, "moved_to" => moved_to);
    }

    /// Changes that a full queue dropped. Logged every ten seconds at most.
    pub(super) fn dropped(&mut self, changes: u64) {
        self.dropped += changes;
        if self.next_drops <= Instant::now() {
            error!(self.log, "changes dropped from the history: the disk is too slow, or fails";
                "changes" => self.dropped);
            (self.dropped, self.next_drops) = (0, Instant::now() + DROPS_LOGGED);
        }
    }

    /// The outcome of a payout change is recorded. Noted elsewhere, `chain_head` proves that no record was removed.
    pub(super) fn payout(
        &self,
        source: &Source,
        sub_pool: &SubPool,
        outcome: Outcome,
        chain_head: &Link,
    ) {
        self.metrics.history_chain_head(chain_head.to_string());
        info!(self.log, "payout change recorded"; source,
            "coin" => %Quoted(sub_pool.coin()), "sub_pool" => %Quoted(sub_pool.name()),
            "outcome" => outcome.word(), "chain_head" => %chain_head);
    }

    /// The outcome of an update could not be recorded: the history has it as unknown.
    pub(super) fn outcome_not_recorded(&self, source: &Source, cause: &NotRecorded) {
        error!(self.log, "the outcome of a payout change cannot be recorded: the history has it as unknown"; source,
            "cause" => %cause);
    }

    /// Expired records could not be dropped. Tried again after a minute.
    pub(super) fn not_expired(&self, cause: &NotRecorded) {
        warn!(self.log, "expired records of the history cannot be dropped; trying again"; "cause" => %cause);
    }

    /// The daemon stops, and so many records are lost.
    pub(super) fn lost(&self, records: usize) {
        error!(self.log, "records lost, since the daemon is stopping and the history cannot be written";
            "records" => records);
    }

    /// Contents of the database, each second.
    pub(super) fn size(&self, size: Size, chain_head: &Link) {
        self.metrics.history_size(size.rows, size.bytes, size.oldest, chain_head.to_string());
    }
}
