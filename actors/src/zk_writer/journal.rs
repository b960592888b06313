//! What is told of each switch that is settled: a log line, the figures, and its place among the last changes.
//!
//! The line says who asked, which sub-account, from which coin to which, and what came of it.

use std::sync::Arc;

use slog::{Logger, debug, error, info, warn};

use super::{
    polls::{Fate, Part, Synced},
    switches::{Chunk, Committed, Entry, Outcome, Settled},
};
use crate::{
    domain::{Assignment, PreviousValue, Shown, Source, Switches},
    metrics::{Change, ChangeKind, Metrics, SwitchEnd},
};

/// Where it is told.
pub(super) struct Journal {
    log: Logger,
    metrics: Metrics,
}

impl Journal {
    pub(super) fn new(log: &Logger, metrics: &Metrics) -> Self {
        Self { log: log.clone(), metrics: metrics.clone() }
    }

    /// Callers' switches that came back from ZooKeeper.
    pub(super) fn committed(&self, chunk: &Chunk, committed: &[Committed]) {
        self.metrics.chunk(chunk.entries.len());
        debug!(self.log, "chunk"; "sub_accounts" => chunk.entries.len());
        let ends = committed.iter().map(|committed| (&committed.old, &committed.outcome));
        self.settled(chunk.entries.iter().zip(ends));
    }

    /// Callers' switches that were never sent.
    pub(super) fn withdrawn(&self, entries: &[Entry], cause: &str) {
        let outcome = Outcome::NotApplied(cause.to_owned());
        self.settled(entries.iter().map(|entry| (entry, (&PreviousValue::NotKnown, &outcome))));
    }

    /// Entries of a request that later ones of the same request supersede: they are counted and logged together.
    pub(super) fn superseded(&self, source: Source, switches: &Switches) {
        let count = switches.entries() - switches.len();
        if count > 0 {
            info!(self.log, "batch with repeated sub-accounts; the last entry of each counts"; source,
                "entries" => switches.entries(), "superseded" => count);
        }
        for (coin, count) in switches.superseded() {
            self.metrics.superseded(source, coin, *count);
        }
    }

    fn settled<'a>(
        &self,
        entries: impl Iterator<Item = (&'a Entry, (&'a PreviousValue, &'a Outcome))> + Clone,
    ) {
        let mut count = 0;
        for (entry, (_, outcome)) in entries.clone() {
            let end = end_of(outcome);
            for switch in entry.switches() {
                let end = match (end, switch.superseded_by) {
                    (SwitchEnd::Applied, Some(_)) => SwitchEnd::Superseded,
                    (end, _) => end,
                };
                self.metrics.switch(switch.source, switch.coin, end);
                count += 1;
            }
        }
        if count == 0 {
            return;
        }
        let changes = entries.clone().flat_map(|(entry, (old, outcome))| {
            entry.switches().map(move |switch| move || change(&switch, old, outcome))
        });
        self.metrics.recent().note(count, changes);
        for (entry, (old, outcome)) in entries {
            entry.switches().for_each(|switch| self.log_switch(&switch, old, outcome));
        }
    }

    fn log_switch(&self, switch: &Settled<'_>, old: &PreviousValue, outcome: &Outcome) {
        let Settled { source, puname, coin, superseded_by } = switch;
        let text = words(outcome);
        match (cause(outcome), superseded_by) {
            (None, None) => {
                info!(self.log, "switch"; source, "sub_account" => %puname.shown(),
                "old" => %old, "new" => %coin, "outcome" => text)
            }
            (None, Some(newer)) => info!(self.log, "switch"; source,
                "sub_account" => %puname.shown(), "old" => %old, "new" => %coin, "outcome" => text,
                "superseded_by" => %newer),
            (Some(cause), _) => {
                warn!(self.log, "switch"; source, "sub_account" => %puname.shown(),
                "old" => %old, "new" => %coin, "outcome" => text, "cause" => cause)
            }
        }
    }

    /// What became of a part of a poll's map. Of what was not written, and is known not to have been, the Poller
    /// logs as much as it likes.
    pub(super) fn synced(&self, part: &Part, synced: &[Synced]) {
        let entries = part.assignments.iter().zip(synced);
        let mut count = 0;
        for (entry, synced) in entries.clone() {
            self.metrics.switch(Source::Poll, &entry.coin, end_of_fate(&synced.fate));
            count += usize::from(synced.fate != Fate::Unchanged);
        }
        if count > 0 {
            let changes = entries.clone().filter(|(_, synced)| synced.fate != Fate::Unchanged);
            self.metrics.recent().note(count, changes.map(|(entry, end)| || polled(entry, end)));
        }
        entries.for_each(|(entry, synced)| self.log_synced(entry, synced));
    }

    /// A part of a poll's map that was not begun. The Poller's line tells how many entries that are.
    pub(super) fn not_synced(&self, assignments: &[Assignment]) {
        for entry in assignments {
            self.metrics.switch(Source::Poll, &entry.coin, SwitchEnd::NotApplied);
        }
    }

    fn log_synced(&self, entry: &Assignment, Synced { fate, old, .. }: &Synced) {
        match fate {
            Fate::Written => info!(self.log, "switch"; Source::Poll,
                "sub_account" => %entry.puname.shown(), "old" => %old, "new" => %entry.coin,
                "outcome" => "applied"),
            Fate::Overwrote(overwrite) => {
                self.metrics.overwrote();
                error!(self.log, "switch"; Source::Poll,
                    "sub_account" => %entry.puname.shown(), "old" => %old, "new" => %entry.coin,
                    "outcome" => "applied", "cause" => %overwrite, "znode" => %Shown(&overwrite.path));
            }
            Fate::Unknown(cause) => warn!(self.log, "switch"; Source::Poll,
                "sub_account" => %entry.puname.shown(), "old" => %old, "new" => %entry.coin,
                "outcome" => "outcome unknown", "cause" => cause),
            Fate::Unchanged | Fate::SwitchedMeanwhile | Fate::Refused(_) | Fate::NotWritten(_) => {}
        }
    }
}

fn words(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Applied => "applied",
        Outcome::NotApplied(_) => "not applied",
        Outcome::Unknown(_) => "outcome unknown",
    }
}

fn cause(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Applied => None,
        Outcome::NotApplied(cause) | Outcome::Unknown(cause) => Some(cause),
    }
}

fn end_of(outcome: &Outcome) -> SwitchEnd {
    match outcome {
        Outcome::Applied => SwitchEnd::Applied,
        Outcome::NotApplied(_) => SwitchEnd::NotApplied,
        Outcome::Unknown(_) => SwitchEnd::Unknown,
    }
}

fn end_of_fate(fate: &Fate) -> SwitchEnd {
    match fate {
        Fate::Written | Fate::Overwrote(_) => SwitchEnd::Applied,
        Fate::Unchanged => SwitchEnd::Unchanged,
        Fate::SwitchedMeanwhile => SwitchEnd::Skipped,
        Fate::Refused(_) | Fate::NotWritten(_) => SwitchEnd::NotApplied,
        Fate::Unknown(_) => SwitchEnd::Unknown,
    }
}

fn change(switch: &Settled<'_>, old: &PreviousValue, outcome: &Outcome) -> Change {
    let what = ChangeKind::Switch {
        puname: switch.puname.clone(),
        old: old.to_kept(),
        new: switch.coin.clone(),
        superseded_by: switch.superseded_by.cloned(),
    };
    Change::new(switch.source, what, words(outcome), cause(outcome).map(Arc::from))
}

fn polled(entry: &Assignment, Synced { fate, old, .. }: &Synced) -> Change {
    let overwrote;
    let (outcome, cause) = match fate {
        Fate::Written => ("applied", None),
        Fate::Overwrote(overwrite) => {
            overwrote = overwrite.to_string();
            ("applied", Some(&*overwrote))
        }
        Fate::Unchanged => ("unchanged", None),
        Fate::SwitchedMeanwhile => ("skipped", Some("switched since the poll began")),
        Fate::Refused(cause) | Fate::NotWritten(cause) => ("not applied", Some(&**cause)),
        Fate::Unknown(cause) => ("outcome unknown", Some(&**cause)),
    };
    let what = ChangeKind::Switch {
        puname: entry.puname.clone(),
        old: old.to_kept(),
        new: entry.coin.clone(),
        superseded_by: None,
    };
    Change::new(Source::Poll, what, outcome, cause.map(Arc::from))
}
