//! What is told of a poll: a log line at its end, before it what an operator has to look at, and the figures.

use std::time::Duration;

use slog::{Logger, info, warn};

use super::{
    cursor::NowDate,
    poll::Brought,
    user_coin_map::{BAD_TOLD, Bad},
};
use crate::{
    domain::{Escaped, Source, seconds},
    metrics::{Metrics, PollEnd, SwitchEnd},
    zk_writer::{SkippedEntry, SyncReport},
};

/// As much of a text of the upstream's is shown.
const SHOWN_CHARS: usize = 200;

/// A text of the upstream's, fit for the log: what could forge a line is escaped, what is too long is cut.
pub(super) fn fit(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", Escaped(&text[..end])),
        None => Escaped(text).to_string(),
    }
}

/// Where it is told.
pub(super) struct Journal {
    log: Logger,
    metrics: Metrics,
}

impl Journal {
    pub(super) fn new(log: &Logger, metrics: &Metrics) -> Self {
        Self { log: log.clone(), metrics: metrics.clone() }
    }

    /// Another daemon polls. That is no line for each time: when the turn changes there is one.
    pub(super) fn standby(&self, took: Duration) {
        self.metrics.poll(PollEnd::Standby, took, 0);
        self.metrics.first_poll_done();
    }

    /// A poll is given up, since the daemon ends.
    pub(super) fn given_up(&self) {
        self.metrics.poll(PollEnd::GivenUp, Duration::ZERO, 0);
        info!(self.log, "poll"; "outcome" => "given up", "cause" => "the daemon is stopping");
    }

    /// Entries that can never be written, by name up to a number.
    pub(super) fn bad_entries(&self, bad: &Bad) {
        for (name, fault) in &bad.told {
            warn!(self.log, "entry of the user-coin map skipped"; "sub_account" => name, "cause" => fault);
        }
        if bad.count > BAD_TOLD {
            warn!(self.log, "more entries of the user-coin map skipped"; "entries" => bad.count - BAD_TOLD);
        }
    }

    /// Entries that were left alone or refused, by name up to a number.
    pub(super) fn left(&self, report: &SyncReport) {
        for SkippedEntry { puname, old, coin, refusal } in &report.left {
            match refusal {
                None => {
                    info!(self.log, "switch"; Source::Poll, "sub_account" => %puname.shown(),
                    "old" => old, "new" => %coin, "outcome" => "skipped",
                    "cause" => "switched since the poll began")
                }
                Some(cause) => warn!(self.log, "switch"; Source::Poll,
                    "sub_account" => %puname.shown(), "old" => old, "new" => %coin, "outcome" => "not applied",
                    "cause" => cause),
            }
        }
        let more = report.switched_meanwhile + report.refused - report.left.len();
        if more > 0 {
            info!(self.log, "more switches of the poll skipped or refused"; "entries" => more);
        }
    }

    /// A `now_date` that is not what it should be.
    pub(super) fn now_date(&self, now_date: NowDate) {
        let (date, told) = match now_date {
            NowDate::Good(_) | NowDate::Absent => return,
            NowDate::Backwards(date) => (
                date,
                "is before the last one: followed, but what changed since its clock stepped back may be \
                 missing, unless CronOverlapSeconds covers it; a restart pulls all",
            ),
            NowDate::NotPositive(date) => (date, "is not positive: last_date is kept"),
            NowDate::FarAhead(date) => (
                date,
                "is more than a day ahead of this machine's clock: last_date is kept, since from there \
                 switches would be missed; check both clocks, and that it is in seconds",
            ),
        };
        warn!(self.log, "the upstream's now_date {}", told; "now_date" => date);
    }

    /// The end of a poll that had no answer.
    pub(super) fn failed(&self, cause: &str, took: Duration, next_last_date: i64) {
        self.metrics.poll(PollEnd::Failed, took, 0);
        warn!(self.log, "poll"; "outcome" => "failed", "cause" => cause, "seconds" => seconds(took),
            "next_last_date" => next_last_date);
    }

    /// The end of a poll that had one.
    pub(super) fn brought(&self, brought: &Brought, took: Duration, next_last_date: i64) {
        let Brought { map, handed_over, report, .. } = brought;
        let (entries, bad) = (map.entries(), map.bad());
        let refused =
            (report.refused > 0).then(|| "ZooKeeper refused entries, see above".to_owned());
        let overwrote = (report.overwrote > 0)
            .then(|| "znodes that were created again were overwritten, see above".to_owned());
        let cause = report.cause.clone().or(overwrote).or(refused);
        let end = if cause.is_none() { PollEnd::Complete } else { PollEnd::Incomplete };
        self.metrics.poll(end, took, bad.count);
        for coin in map.coins(*handed_over) {
            self.metrics.switch(Source::Poll, coin, SwitchEnd::NotApplied);
        }
        // What ZooKeeper refuses it will refuse next time, too: that is nothing to wait for.
        if report.not_written == 0 {
            self.metrics.first_poll_done();
        }
        match cause {
            None => info!(self.log, "poll"; "outcome" => "complete",
                "entries" => entries, "written" => report.written, "unchanged" => report.unchanged,
                "switched_meanwhile" => report.switched_meanwhile, "invalid" => bad.count,
                "refused" => report.refused, "not_written" => report.not_written,
                "seconds" => seconds(took), "next_last_date" => next_last_date),
            Some(cause) => warn!(self.log, "poll"; "outcome" => "incomplete", "cause" => cause,
                "entries" => entries, "written" => report.written, "unchanged" => report.unchanged,
                "switched_meanwhile" => report.switched_meanwhile, "invalid" => bad.count,
                "refused" => report.refused, "not_written" => report.not_written,
                "seconds" => seconds(took), "next_last_date" => next_last_date),
        }
    }
}
