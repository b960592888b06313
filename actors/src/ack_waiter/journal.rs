//! What is told of each exchange, and of requests that never became one: a log line, the figures, and, of an
//! update, its place among the last changes.
//!
//! The line says who asked what of which sub-pool, what the jobmaker held and holds, and what came of it.

use std::{
    fmt, iter,
    sync::Arc,
    time::{Duration, Instant},
};

use slog::{Logger, error, info, o, warn};

use super::messages::{Caller, ExchangeFailure};
use crate::{
    domain::{Coinbase, CoinbaseUpdate, Escaped, Shown, Source, SubPool, seconds},
    metrics::{Asked, Change, ChangeKind, ExchangeEnd, Metrics},
    zk::Overwrite,
};

/// As much of a text from outside is shown. Addresses and coinbase texts are shorter.
const SHOWN_CHARACTERS: usize = 120;

/// A text from outside: in quotes and escaped, so that it can forge neither a line nor a field of one.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.char_indices().nth(SHOWN_CHARACTERS).map_or(self.0.len(), |(end, _)| end);
        write!(f, "\"{}\"", Escaped(&self.0[..end]))?;
        if end < self.0.len() { f.write_str("…") } else { Ok(()) }
    }
}

/// Text and address, or that they are not known.
struct Values<'a>(Option<&'a Coinbase>);

impl fmt::Display for Values<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("?"),
            Some(coinbase) => {
                write!(f, "{} {}", Quoted(&coinbase.coinbase_info), Quoted(&coinbase.payout_addr))
            }
        }
    }
}

/// What came of an exchange.
pub(super) enum Outcome<'a> {
    /// Only gets waited, and the jobmaker told what it holds.
    Read,
    /// The jobmaker did what was asked.
    Applied,
    /// It refused, in these words.
    Refused(&'a str),
    /// There is no answer of it.
    Failed(&'a ExchangeFailure),
}

/// What there is to say of an exchange.
pub(super) struct Line {
    /// Whose jobmaker was asked.
    pub(super) sub_pool: SubPool,
    /// Who asked: for the update, or for the first of the gets.
    pub(super) source: Source,
    /// Whether it was for an update.
    pub(super) is_update: bool,
    /// How many gets took part.
    pub(super) gets: usize,
    /// What the jobmaker held before, if it told.
    pub(super) old: Option<Coinbase>,
    /// What it holds since, or was to hold.
    pub(super) new: Option<Coinbase>,
    /// The jobmaker's host name; empty if it did not answer.
    pub(super) host: String,
    /// When the exchange began.
    pub(super) began: Instant,
    /// When the request was sent first.
    pub(super) sent: Option<Instant>,
}

/// Where it is told.
pub(crate) struct Journal {
    log: Logger,
    metrics: Metrics,
}

impl Journal {
    pub(crate) fn new(log: &Logger, metrics: &Metrics) -> Self {
        Self { log: log.clone(), metrics: metrics.clone() }
    }

    /// An exchange is over.
    pub(super) fn exchange(&self, line: &Line, outcome: &Outcome<'_>) {
        let asked = if line.is_update { Asked::Update } else { Asked::Get };
        let (end, ack) = end_of(line, outcome);
        self.metrics.exchange(asked, end, ack);
        if let (true, Some(new)) = (line.is_update, &line.new) {
            let (words, cause) = words(outcome);
            let (old, cause) = (line.old.as_ref(), cause.as_deref());
            self.changed(line.source, &line.sub_pool, old, new, words, cause);
        }
        log_line(&self.log, line, asked, outcome);
    }

    /// An exchange has written this request over another znode than the one that was read.
    pub(super) fn overwrote(&self, line: &Line, overwrite: &Overwrite, request: &[u8]) {
        self.metrics.overwrote();
        let request = String::from_utf8_lossy(request);
        error!(self.log, "sub-pool request overwritten"; line.source,
            "coin" => %Quoted(line.sub_pool.coin()), "sub_pool" => %Quoted(line.sub_pool.name()),
            "znode" => %Shown(&overwrite.path), "written" => %Quoted(&request),
            "cause" => %overwrite);
    }

    /// An update never became an exchange.
    pub(crate) fn update_not_begun(
        &self,
        sub_pool: &SubPool,
        source: Source,
        update: &CoinbaseUpdate,
        cause: &str,
    ) {
        let new = update.coinbase();
        self.metrics.exchange(Asked::Update, ExchangeEnd::NothingWritten, None);
        self.changed(source, sub_pool, None, new, NOTHING_WRITTEN, Some(cause));
        warn!(self.log, "sub-pool update not begun"; source,
            "coin" => %Quoted(sub_pool.coin()), "sub_pool" => %Quoted(sub_pool.name()),
            "new" => %Values(Some(new)), "outcome" => NOTHING_WRITTEN, "cause" => cause);
    }

    /// These gets never became an exchange. The line names the first of them.
    pub(crate) fn gets_not_begun(&self, gets: &[Caller], cause: &ExchangeFailure) {
        let Some(first) = gets.first() else { return };
        self.metrics.gets_not_begun(gets.len());
        warn!(self.log, "sub-pool gets not begun"; first.source, "gets" => gets.len(),
            "outcome" => NOTHING_WRITTEN, "cause" => %cause);
    }

    /// A get was refused at once; that leaves no line, since it may be one of very many.
    pub(crate) fn get_refused(&self) {
        self.metrics.gets_not_begun(1);
    }

    fn changed(
        &self,
        source: Source,
        sub_pool: &SubPool,
        old: Option<&Coinbase>,
        new: &Coinbase,
        outcome: &'static str,
        cause: Option<&str>,
    ) {
        let make = || {
            let what = ChangeKind::Update {
                sub_pool: sub_pool.clone(),
                old: old.map(kept),
                new: kept(new),
            };
            Change::new(source, what, outcome, cause.map(|cause| shortened(cause).into()))
        };
        self.metrics.recent().note(1, iter::once(make));
    }
}

/// As much of the values as the log shows: a jobmaker may write a megabyte.
fn kept(coinbase: &Coinbase) -> Arc<Coinbase> {
    Arc::new(Coinbase {
        coinbase_info: shortened(&coinbase.coinbase_info),
        payout_addr: shortened(&coinbase.payout_addr),
    })
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// How the exchange ended, and what the jobmaker's answer took, if it gave one.
fn end_of(line: &Line, outcome: &Outcome<'_>) -> (ExchangeEnd, Option<Duration>) {
    let ack = line.sent.map(|sent| sent.elapsed());
    match outcome {
        Outcome::Read | Outcome::Applied => (ExchangeEnd::Done, ack),
        Outcome::Refused(_) => (ExchangeEnd::Refused, ack),
        Outcome::Failed(failure) if word(failure) == NOTHING_WRITTEN => {
            (ExchangeEnd::NothingWritten, None)
        }
        Outcome::Failed(_) => (ExchangeEnd::Unknown, None),
    }
}

/// The outcome in a word or two, and why, where there is a reason.
fn words(outcome: &Outcome<'_>) -> (&'static str, Option<String>) {
    match outcome {
        Outcome::Read => ("read", None),
        Outcome::Applied => ("applied", None),
        Outcome::Refused(words) => ("refused", Some((*words).to_owned())),
        Outcome::Failed(failure) => (word(failure), Some(failure.to_string())),
    }
}

fn log_line(log: &Logger, line: &Line, asked: Asked, outcome: &Outcome<'_>) {
    let new = Values(line.new.as_ref());
    let log = log.new(o!(
        line.source,
        "coin" => Quoted(line.sub_pool.coin()).to_string(),
        "sub_pool" => Quoted(line.sub_pool.name()).to_string(),
        "asked" => asked.label(),
        "gets" => line.gets,
        "old" => Values(line.old.as_ref()).to_string(),
        "new" => if line.is_update { new.to_string() } else { "-".to_owned() },
        "jobmaker" => Quoted(&line.host).to_string(),
        "took_seconds" => seconds(line.began.elapsed()),
    ));
    match outcome {
        Outcome::Read | Outcome::Applied => {
            info!(log, "sub-pool exchange"; "outcome" => words(outcome).0)
        }
        Outcome::Refused(words) => info!(log, "sub-pool exchange"; "outcome" => "refused",
            "err_msg" => %Quoted(words)),
        Outcome::Failed(failure) => warn!(log, "sub-pool exchange"; "outcome" => word(failure),
            "cause" => %failure),
    }
}

const NOTHING_WRITTEN: &str = "nothing written";

/// What an operator may rely on after a failure.
fn word(failure: &ExchangeFailure) -> &'static str {
    match failure {
        ExchangeFailure::QueueFull
        | ExchangeFailure::ShuttingDown
        | ExchangeFailure::NotServed
        | ExchangeFailure::NoSubPool(_)
        | ExchangeFailure::NoJobmaker
        | ExchangeFailure::NotRead(_)
        | ExchangeFailure::NotWritten(_) => NOTHING_WRITTEN,
        ExchangeFailure::TimedOut
        | ExchangeFailure::Overtaken
        | ExchangeFailure::AckNotRead(_)
        | ExchangeFailure::AckUnparsable
        | ExchangeFailure::Unknown(_) => "outcome unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_from_outside_can_forge_neither_line_nor_field_nor_flood_the_log() {
        let forged = Coinbase {
            coinbase_info: "a\" , outcome: applied\n\u{1b}[2J".to_owned(),
            payout_addr: "x".repeat(1000),
        };
        let shown = Values(Some(&forged)).to_string();
        let expected = r#""a\" , outcome: applied\n\u{1b}[2J" "#;
        assert_eq!(shown, format!("{expected}\"{}\"…", "x".repeat(120)));
        assert_eq!(Values(None).to_string(), "?");
    }
}
