//! The log line of each exchange: who asked what of which sub-pool, what the jobmaker held and holds,
//! and what came of it.

use std::{fmt, time::Instant};

use slog::{Logger, info, o, warn};

use super::messages::ExchangeFailure;
use crate::domain::{Coinbase, CoinbaseUpdate, Source, SubPool};

/// As much of a text from outside is shown. Addresses and coinbase texts are shorter.
const SHOWN_CHARACTERS: usize = 120;

/// A text from outside: in quotes and escaped, so that it can forge neither a line nor a field of one.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.char_indices().nth(SHOWN_CHARACTERS).map_or(self.0.len(), |(end, _)| end);
        write!(f, "\"{}\"", self.0[..end].escape_debug())?;
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
}

/// Writes the line.
pub(super) fn record(log: &Logger, line: &Line, outcome: &Outcome<'_>) {
    let new = Values(line.new.as_ref());
    let log = log.new(o!(
        "source" => line.source.to_string(),
        "coin" => Quoted(line.sub_pool.coin()).to_string(),
        "sub_pool" => Quoted(line.sub_pool.name()).to_string(),
        "asked" => if line.is_update { "update" } else { "get" },
        "gets" => line.gets,
        "old" => Values(line.old.as_ref()).to_string(),
        "new" => if line.is_update { new.to_string() } else { "-".to_owned() },
        "jobmaker" => Quoted(&line.host).to_string(),
        "took_seconds" => format!("{:.4}", line.began.elapsed().as_secs_f64()),
    ));
    match outcome {
        Outcome::Read => info!(log, "sub-pool exchange"; "outcome" => "read"),
        Outcome::Applied => info!(log, "sub-pool exchange"; "outcome" => "applied"),
        Outcome::Refused(words) => info!(log, "sub-pool exchange"; "outcome" => "refused",
            "err_msg" => %Quoted(words)),
        Outcome::Failed(failure) => warn!(log, "sub-pool exchange"; "outcome" => word(failure),
            "cause" => %failure),
    }
}

/// What an operator may rely on after a failure.
fn word(failure: &ExchangeFailure) -> &'static str {
    match failure {
        ExchangeFailure::QueueFull
        | ExchangeFailure::ShuttingDown
        | ExchangeFailure::NotServed
        | ExchangeFailure::NoSubPool(_)
        | ExchangeFailure::NoJobmaker
        | ExchangeFailure::NotRead(_)
        | ExchangeFailure::NotWritten(_) => "nothing written",
        ExchangeFailure::TimedOut
        | ExchangeFailure::Overtaken
        | ExchangeFailure::AckNotRead(_)
        | ExchangeFailure::AckUnparsable
        | ExchangeFailure::Unknown(_) => "outcome unknown",
    }
}

/// Writes the line of what never became an exchange; gets leave none.
pub(crate) fn record_not_begun(
    log: &Logger,
    sub_pool: &SubPool,
    source: Source,
    update: &CoinbaseUpdate,
    cause: &str,
) {
    warn!(log, "sub-pool update not begun"; "source" => %source,
        "coin" => %Quoted(sub_pool.coin()), "sub_pool" => %Quoted(sub_pool.name()),
        "new" => %Values(Some(update.coinbase())), "outcome" => "nothing written", "cause" => cause);
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
