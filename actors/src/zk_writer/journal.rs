//! The log line of each switch: who asked, which sub-account, from which coin to which, what came of it.

use std::fmt;

use slog::{Logger, info, warn};

use super::queue::{Entry, Outcome, Settled};
use crate::domain::{Assignment, Coin, Shown, Source};

/// As much of a znode's old data is shown; the stratum side reads no more of a coin's name.
pub(super) const SHOWN_BYTES: usize = 64;

/// What a znode held before a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Old {
    /// It was not looked at, or the look failed.
    NotKnown,
    /// There was no znode.
    Absent,
    /// The coin that we had written before.
    Coin(Coin),
    /// Its data, which anybody may have written.
    Data(Vec<u8>),
}

impl fmt::Display for Old {
    /// Escapes what could forge a log line, and cuts what is too long for a coin.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = match self {
            Self::NotKnown => return f.write_str("?"),
            Self::Absent => return f.write_str("-"),
            Self::Coin(coin) => return coin.fmt(f),
            Self::Data(data) => data,
        };
        let shown = &data[..data.len().min(SHOWN_BYTES)];
        write!(f, "{}", Shown(&String::from_utf8_lossy(shown)))?;
        if shown.len() < data.len() { f.write_str("…") } else { Ok(()) }
    }
}

/// Logs each switch that asked for `entry`.
pub(super) fn record(log: &Logger, entry: &Entry, old: &Old, outcome: &Outcome) {
    let (text, cause) = match outcome {
        Outcome::Applied => ("applied", None),
        Outcome::NotApplied(cause) => ("not applied", Some(cause)),
        Outcome::Unknown(cause) => ("outcome unknown", Some(cause)),
    };
    for Settled { source, puname, coin, superseded_by } in entry.switches() {
        match (cause, superseded_by) {
            (None, None) => {
                info!(log, "switch"; "source" => %source, "sub_account" => %puname.shown(),
                "old" => %old, "new" => %coin, "outcome" => text)
            }
            (None, Some(newer)) => info!(log, "switch"; "source" => %source,
                "sub_account" => %puname.shown(), "old" => %old, "new" => %coin, "outcome" => text,
                "superseded_by" => %newer),
            (Some(cause), _) => {
                warn!(log, "switch"; "source" => %source, "sub_account" => %puname.shown(),
                "old" => %old, "new" => %coin, "outcome" => text, "cause" => cause)
            }
        }
    }
}

/// Logs a switch that a poll made, or made perhaps: then there is a cause for not knowing.
pub(super) fn record_polled(log: &Logger, entry: &Assignment, old: &Old, unknown: Option<&str>) {
    match unknown {
        None => {
            info!(log, "switch"; "source" => %Source::Poll, "sub_account" => %entry.puname.shown(),
            "old" => %old, "new" => %entry.coin, "outcome" => "applied")
        }
        Some(cause) => warn!(log, "switch"; "source" => %Source::Poll,
            "sub_account" => %entry.puname.shown(), "old" => %old, "new" => %entry.coin,
            "outcome" => "outcome unknown", "cause" => cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_data_cannot_forge_a_line_nor_flood_it() {
        assert_eq!(Old::Data(b"btc".to_vec()).to_string(), "btc");
        assert_eq!(Old::Data(b"a\nb\x1b[2J".to_vec()).to_string(), r#""a\nb\u{1b}[2J""#);
        assert_eq!(Old::Data(b"x, new: y".to_vec()).to_string(), r#""x, new: y""#);
        assert_eq!(Old::Data(vec![b'x'; 65]).to_string(), format!("{}…", "x".repeat(64)));
        assert_eq!((Old::Absent.to_string(), Old::NotKnown.to_string()), ("-".into(), "?".into()));
    }
}
