//! Records of exchanges, and of requests that never became one: a log line, metrics, and an update's entry among the
//! recent changes.

use std::{iter, sync::Arc, time::Instant};

use slog::{Logger, error, info, o, warn};

use super::messages::{Caller, ExchangeFailure, ExchangeReply, JobmakerAnswer};
use crate::{
    domain::{Coinbase, CoinbaseUpdate, Quoted, Shown, Source, SubPool, clip, seconds},
    metrics::{Asked, Change, ChangeEnd, ChangeKind, ExchangeEnd, Metrics},
    zk::Overwrite,
};

/// Characters of a foreign text that are shown. Addresses and coinbase texts are shorter.
const SHOWN_CHARACTERS: usize = 120;

/// A foreign text, quoted, escaped and cut.
fn quoted(text: &str) -> String {
    let (text, ellipsis) = clip(text, SHOWN_CHARACTERS);
    format!("{}{ellipsis}", Quoted(text))
}

/// A coinbase's text and address, or `?` if not known.
fn values(coinbase: Option<&Coinbase>) -> String {
    coinbase.map_or("?".to_owned(), |coinbase| {
        format!("{} {}", quoted(&coinbase.coinbase_info), quoted(&coinbase.payout_addr))
    })
}

/// The facts about an exchange.
pub(super) struct ExchangeRecord {
    pub(super) sub_pool: SubPool,
    /// The origin of the update, or of the first get.
    pub(super) source: Source,
    pub(super) is_update: bool,
    /// Number of gets.
    pub(super) gets: usize,
    /// The jobmaker's coinbase before, if reported.
    pub(super) old: Option<Coinbase>,
    /// The jobmaker's coinbase since then, or the requested one.
    pub(super) new: Option<Coinbase>,
    /// The jobmaker's host name; empty if it did not answer.
    pub(super) host: String,
    pub(super) began: Instant,
    /// When the request was first sent.
    pub(super) sent: Option<Instant>,
}

pub(crate) struct Journal {
    log: Logger,
    metrics: Metrics,
}

impl Journal {
    pub(crate) fn new(log: &Logger, metrics: &Metrics) -> Self {
        Self { log: log.clone(), metrics: metrics.clone() }
    }

    /// Records the end of an exchange.
    pub(super) fn exchange(&self, record: &ExchangeRecord, reply: &ExchangeReply) {
        let asked = if record.is_update { Asked::Update } else { Asked::Get };
        let (end, outcome) = match reply {
            Err(failure) if failure.wrote_nothing() => {
                (ExchangeEnd::NothingWritten, NOTHING_WRITTEN)
            }
            Err(_) => (ExchangeEnd::Unknown, UNKNOWN),
            Ok(answer) if !answer.success => (ExchangeEnd::Refused, "refused"),
            Ok(_) if record.is_update => (ExchangeEnd::Done, "applied"),
            Ok(_) => (ExchangeEnd::Done, "read"),
        };
        let ack = record.sent.filter(|_| reply.is_ok()).map(|sent| sent.elapsed());
        self.metrics.exchange(asked, end, ack);
        if let (true, Some(new)) = (record.is_update, &record.new) {
            let cause = match reply {
                Err(failure) => Some(failure.to_string()),
                Ok(answer) => (!answer.success).then(|| answer.err_msg.clone()),
            };
            let (old, cause) = (record.old.as_ref(), cause.as_deref());
            self.changed(&record.source, &record.sub_pool, old, new, outcome, cause);
        }
        let log = self.log.new(o!(
            record.source.clone(),
            "coin" => quoted(record.sub_pool.coin()),
            "sub_pool" => quoted(record.sub_pool.name()),
            "asked" => asked.label(),
            "gets" => record.gets,
            "old" => values(record.old.as_ref()),
            "new" => if record.is_update { values(record.new.as_ref()) } else { "-".to_owned() },
            "jobmaker" => quoted(&record.host),
            "took_seconds" => seconds(record.began.elapsed()),
        ));
        match reply {
            Err(failure) => {
                warn!(log, "sub-pool exchange"; "outcome" => outcome, "cause" => %failure)
            }
            Ok(JobmakerAnswer { success: false, err_msg, .. }) => {
                info!(log, "sub-pool exchange"; "outcome" => outcome, "err_msg" => quoted(err_msg))
            }
            Ok(_) => info!(log, "sub-pool exchange"; "outcome" => outcome),
        }
    }

    /// Records that this request replaced another znode than the one read.
    pub(super) fn overwrote(&self, record: &ExchangeRecord, overwrite: &Overwrite, request: &[u8]) {
        self.metrics.overwrote();
        let request = String::from_utf8_lossy(request);
        error!(self.log, "sub-pool request overwritten: this daemon replaced a newer request of another program, which has to repeat it"; &record.source,
            "coin" => quoted(record.sub_pool.coin()), "sub_pool" => quoted(record.sub_pool.name()),
            "znode" => %Shown(&overwrite.path), "written" => quoted(&request),
            "cause" => %overwrite);
    }

    /// Records an update that never became an exchange.
    pub(crate) fn update_not_begun(
        &self,
        sub_pool: &SubPool,
        source: &Source,
        update: &CoinbaseUpdate,
        cause: &str,
    ) {
        let new = update.coinbase();
        self.metrics.exchange(Asked::Update, ExchangeEnd::NothingWritten, None);
        self.changed(source, sub_pool, None, new, NOTHING_WRITTEN, Some(cause));
        warn!(self.log, "sub-pool update not begun"; source,
            "coin" => quoted(sub_pool.coin()), "sub_pool" => quoted(sub_pool.name()),
            "new" => values(Some(new)), "outcome" => NOTHING_WRITTEN, "cause" => cause);
    }

    /// Records gets that never became an exchange. The line names the first origin.
    pub(crate) fn gets_not_begun(&self, gets: &[Caller], cause: &ExchangeFailure) {
        let Some(first) = gets.first() else { return };
        self.metrics.gets_not_begun(gets.len());
        warn!(self.log, "sub-pool gets not begun"; &first.source, "gets" => gets.len(),
            "outcome" => NOTHING_WRITTEN, "cause" => %cause);
    }

    /// Counts a get that was refused at once, without a line, since there may be very many.
    pub(crate) fn get_refused(&self) {
        self.metrics.gets_not_begun(1);
    }

    fn changed(
        &self,
        source: &Source,
        sub_pool: &SubPool,
        old: Option<&Coinbase>,
        new: &Coinbase,
        outcome: &'static str,
        cause: Option<&str>,
    ) {
        let make = || {
            let what = ChangeKind::Update {
                sub_pool: sub_pool.clone(),
                old: old.cloned().map(Arc::new),
                new: Arc::new(new.clone()),
            };
            let end = match outcome {
                "applied" => ChangeEnd::Applied,
                UNKNOWN => ChangeEnd::Unknown,
                _ => ChangeEnd::NotApplied,
            };
            Change::new(
                source.clone(),
                what,
                (end, outcome),
                cause.map(|cause| shortened(cause).into()),
            )
        };
        self.metrics.recent().note(1, iter::once(make));
    }
}

fn shortened(text: &str) -> String {
    let (text, ellipsis) = clip(text, SHOWN_CHARACTERS);
    format!("{text}{ellipsis}")
}

const UNKNOWN: &str = "outcome unknown";

const NOTHING_WRITTEN: &str = "nothing written";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_texts_can_forge_neither_line_nor_field_nor_flood_the_log() {
        let forged = Coinbase {
            coinbase_info: "a\" , outcome: applied\n\u{1b}[2J".to_owned(),
            payout_addr: "x".repeat(1000),
        };
        let shown = values(Some(&forged));
        let expected = r#""a\" , outcome: applied\n\u{1b}[2J" "#;
        assert_eq!(shown, format!("{expected}\"{}\"…", "x".repeat(120)));
        assert_eq!(values(None), "?");
    }
}
