//! The log lines of a poll: one at its end, and before it what an operator has to look at.

use std::time::Duration;

use slog::{Logger, info, warn};

use super::{
    cursor::NowDate,
    poll::Brought,
    user_coin_map::{BAD_TOLD, Bad},
};
use crate::{
    domain::Source,
    zk_writer::{Left, SyncReport},
};

/// As much of a text of the upstream's is shown.
const SHOWN_CHARS: usize = 200;

/// A text of the upstream's, fit for the log: what could forge a line is escaped, what is too long is cut.
pub(super) fn fit(text: &str) -> String {
    let fit: String = text.chars().take(SHOWN_CHARS).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() { fit + "…" } else { fit }
}

/// Entries that can never be written, by name up to a number.
pub(super) fn bad_entries(log: &Logger, bad: &Bad) {
    for (name, fault) in &bad.told {
        warn!(log, "entry of the user-coin map skipped"; "sub_account" => name, "cause" => fault);
    }
    if bad.count > BAD_TOLD {
        warn!(log, "more entries of the user-coin map skipped"; "entries" => bad.count - BAD_TOLD);
    }
}

/// Entries that were left alone or refused, by name up to a number.
pub(super) fn left(log: &Logger, report: &SyncReport) {
    for Left { puname, old, coin, refusal } in &report.left {
        match refusal {
            None => {
                info!(log, "switch"; "source" => %Source::Poll, "sub_account" => %puname.shown(),
                "old" => old, "new" => %coin, "outcome" => "skipped",
                "cause" => "switched since the poll began")
            }
            Some(cause) => warn!(log, "switch"; "source" => %Source::Poll,
                "sub_account" => %puname.shown(), "old" => old, "new" => %coin, "outcome" => "not applied",
                "cause" => cause),
        }
    }
    let more = report.switched_meanwhile + report.refused - report.left.len();
    if more > 0 {
        info!(log, "more switches of the poll skipped or refused"; "entries" => more);
    }
}

/// A `now_date` that is not what it should be.
pub(super) fn now_date(log: &Logger, now_date: NowDate) {
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
    warn!(log, "the upstream's now_date {}", told; "now_date" => date);
}

/// The end of a poll that had no answer.
pub(super) fn failed(log: &Logger, cause: &str, took: Duration, next_last_date: i64) {
    warn!(log, "poll"; "outcome" => "failed", "cause" => cause, "seconds" => seconds(took),
        "next_last_date" => next_last_date);
}

/// The end of a poll that had one.
pub(super) fn brought(log: &Logger, brought: &Brought, took: Duration, next_last_date: i64) {
    let Brought { map, report, .. } = brought;
    let (entries, bad) = (map.entries(), map.bad());
    let refused = (report.refused > 0).then(|| "ZooKeeper refused entries, see above".to_owned());
    match report.cause.clone().or(refused) {
        None => info!(log, "poll"; "outcome" => "complete",
            "entries" => entries, "written" => report.written, "unchanged" => report.unchanged,
            "switched_meanwhile" => report.switched_meanwhile, "invalid" => bad.count,
            "refused" => report.refused, "not_written" => report.not_written,
            "seconds" => seconds(took), "next_last_date" => next_last_date),
        Some(cause) => warn!(log, "poll"; "outcome" => "incomplete", "cause" => cause,
            "entries" => entries, "written" => report.written, "unchanged" => report.unchanged,
            "switched_meanwhile" => report.switched_meanwhile, "invalid" => bad.count,
            "refused" => report.refused, "not_written" => report.not_written,
            "seconds" => seconds(took), "next_last_date" => next_last_date),
    }
}

fn seconds(took: Duration) -> String {
    format!("{:.3}", took.as_secs_f64())
}
