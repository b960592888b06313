//! Log lines and metrics of a poll: one line at its end, and before it the ones that need the operator's attention.

use std::time::Duration;

use slog::{Logger, info, warn};

use super::{
    answer::ShapeWarning,
    cursor::NowDate,
    outcome::SyncedMap,
    user_coin_map::{BAD_SHOWN, BadEntries},
};
use crate::{
    domain::{OutcomeKind, Source, SwitchOutcome, seconds},
    metrics::{Metrics, PollEnd},
    zk_writer::{SkippedEntry, SyncReport},
};

pub(super) struct Journal {
    log: Logger,
    metrics: Metrics,
}

impl Journal {
    pub(super) fn new(log: &Logger, metrics: &Metrics) -> Self {
        Self { log: log.clone(), metrics: metrics.clone() }
    }

    /// The daemon's turn to poll came or went. `holder` is the other daemon.
    pub(super) fn turn(&self, holder: Option<&str>) {
        match holder {
            Some(holder) => {
                info!(self.log, "standing by: another daemon polls"; "holder" => holder);
            }
            None => info!(self.log, "taking over: this daemon polls now"),
        }
    }

    /// Another daemon polls. Logged by [`Self::turn`] only.
    pub(super) fn standby(&self, took: Duration) {
        self.metrics.poll(PollEnd::Standby, took, 0);
        self.metrics.first_poll_done();
    }

    /// The daemon stops during a poll.
    pub(super) fn abandoned(&self) {
        self.metrics.poll(PollEnd::GivenUp, Duration::ZERO, 0);
        info!(self.log, "poll"; "outcome" => "given up", "cause" => "the daemon is stopping");
    }

    pub(super) fn shape(&self, warning: ShapeWarning) {
        warn!(self.log, "the upstream's {}", warning);
    }

    /// Entries that can never be written, by name up to a number.
    pub(super) fn bad_entries(&self, bad: &BadEntries) {
        for (name, fault) in &bad.shown {
            warn!(self.log, "entry of the user-coin map skipped"; "sub_account" => name, "cause" => fault);
        }
        if bad.count > BAD_SHOWN {
            warn!(self.log, "more entries of the user-coin map skipped"; "entries" => bad.count - BAD_SHOWN);
        }
    }

    /// Entries that were skipped or refused, by name up to a number.
    pub(super) fn skipped(&self, source: &Source, report: &SyncReport) {
        for SkippedEntry { puname, old, coin, outcome } in &report.skipped {
            let (words, cause) = (outcome.kind().words(), outcome.cause());
            if *outcome == SwitchOutcome::Skipped {
                info!(self.log, "switch"; source, "sub_account" => %puname.shown(),
                    "old" => old, "new" => %coin, "outcome" => words, "cause" => cause);
            } else {
                warn!(self.log, "switch"; source, "sub_account" => %puname.shown(),
                    "old" => old, "new" => %coin, "outcome" => words, "cause" => cause);
            }
        }
        let more = report.switched_meanwhile + report.refused - report.skipped.len();
        if more > 0 {
            info!(self.log, "more switches of the poll skipped or refused"; "entries" => more);
        }
    }

    /// A `now_date` that does not move forward, or cannot be right.
    pub(super) fn now_date(&self, now_date: NowDate) {
        let (date, consequence) = match now_date {
            NowDate::Good(_) | NowDate::Absent => return,
            NowDate::Backwards(date) => (
                date,
                "is before that of the previous poll; the next poll starts from the earlier time. Changes may be \
                 missed if CronOverlapSeconds is smaller than the step: correct the upstream's clock, then restart \
                 the daemon, which fetches the whole map",
            ),
            NowDate::NotPositive(date) => (date, "is not positive: last_date is kept"),
            NowDate::FarAhead(date) => (
                date,
                "is more than a day ahead of this machine's clock: last_date is kept, since a poll from there would \
                 miss switches; check both clocks, and that it is in seconds",
            ),
        };
        warn!(self.log, "the upstream's now_date {}", consequence; "now_date" => date);
    }

    /// A poll without an answer ended.
    pub(super) fn failed(&self, cause: &str, took: Duration, next_last_date: i64) {
        self.metrics.poll(PollEnd::Failed, took, 0);
        warn!(self.log, "poll"; "outcome" => "failed", "cause" => cause, "seconds" => seconds(took),
            "next_last_date" => next_last_date);
    }

    /// A poll with an answer ended.
    pub(super) fn synced(&self, synced: &SyncedMap, took: Duration, next_last_date: i64) {
        let (SyncedMap { map, report, .. }, cause) = (synced, synced.cause());
        let end = if cause.is_none() { PollEnd::Complete } else { PollEnd::Incomplete };
        self.metrics.poll(end, took, map.bad().count);
        for coin in map.coins(synced.handed_over) {
            self.metrics.switches(&synced.source, Some(coin), OutcomeKind::NotApplied, 1);
        }
        // Readiness does not wait for refused entries, which ZooKeeper will refuse again.
        if report.not_written == 0 {
            self.metrics.first_poll_done();
        }
        macro_rules! log_end {
            ($level:ident, $($outcome:tt)*) => {
                $level!(self.log, "poll"; $($outcome)*, "entries" => map.entries(),
                    "written" => report.written, "unchanged" => report.unchanged,
                    "switched_meanwhile" => report.switched_meanwhile, "invalid" => map.bad().count,
                    "refused" => report.refused, "not_written" => report.not_written,
                    "seconds" => seconds(took), "next_last_date" => next_last_date,
                    "request" => %synced.source.request)
            };
        }
        match cause {
            None => log_end!(info, "outcome" => "complete"),
            Some(cause) => log_end!(warn, "outcome" => "incomplete", "cause" => cause),
        }
    }
}
