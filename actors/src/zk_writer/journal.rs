//! Reports settled switches: a log line, the metrics, and the recent changes.

use std::{iter, sync::Arc};

use slog::{Logger, debug, error, info, warn};

use super::{
    polls::MapPart,
    switches::{Chunk, ChunkEntry, SettledSwitch},
    write::EntryEnd,
};
use crate::{
    domain::{Assignment, OutcomeKind, Shown, Source, SwitchOutcome, SwitchResult, Switches},
    metrics::{Change, ChangeKind, Metrics},
};

pub(super) struct Journal {
    log: Logger,
    metrics: Metrics,
}

impl Journal {
    pub(super) fn new(log: &Logger, metrics: &Metrics) -> Self {
        Self { log: log.clone(), metrics: metrics.clone() }
    }

    pub(super) fn committed(&self, chunk: &Chunk, written: &[EntryEnd]) {
        self.metrics.chunk(chunk.entries.len());
        debug!(self.log, "chunk"; "sub_accounts" => chunk.entries.len());
        let entries = chunk.entries.iter().zip(written);
        self.settled(entries.flat_map(|(entry, written)| {
            entry.switches().map(move |switch| (switch, &written.result))
        }));
    }

    pub(super) fn withdrawn(&self, entries: &[ChunkEntry], cause: &str) {
        let result = SwitchResult::without_old(SwitchOutcome::NotApplied(cause.into()));
        let switches = entries.iter().flat_map(ChunkEntry::switches);
        self.settled(switches.map(|switch| (switch, &result)));
    }

    /// Entries of a request that later ones of the same request supersede: counted and logged together.
    pub(super) fn superseded(&self, source: Source, switches: &Switches) {
        let count = switches.entries() - switches.len();
        if count > 0 {
            info!(self.log, "batch with repeated sub-accounts; the last entry of each counts"; source,
                "entries" => switches.entries(), "superseded" => count);
        }
        for (coin, count) in switches.superseded() {
            self.metrics.switches(source, coin, OutcomeKind::Superseded, *count);
        }
    }

    /// A part of a poll's map. The Poller logs the entries that are known not to have been written, up to a number.
    pub(super) fn synced(&self, part: &MapPart, written: &[EntryEnd]) {
        let entries = part.assignments.iter().zip(written);
        self.settled(
            entries.map(|(entry, written)| (SettledSwitch::of_poll(entry), &written.result)),
        );
    }

    /// A part of a poll's map that was not begun. The Poller logs the number of its entries.
    pub(super) fn not_synced(&self, assignments: &[Assignment]) {
        for entry in assignments {
            self.metrics.switches(Source::Poll, &entry.coin, OutcomeKind::NotApplied, 1);
        }
    }

    fn settled<'a>(
        &self,
        switches: impl Iterator<Item = (SettledSwitch<'a>, &'a SwitchResult)> + Clone,
    ) {
        let is_change = |result: &SwitchResult| result.outcome != SwitchOutcome::Unchanged;
        let counted = switches.clone().map(|(switch, result)| {
            let kind = match (result.outcome.kind(), switch.superseded_by) {
                (OutcomeKind::Applied, Some(_)) => OutcomeKind::Superseded,
                (kind, _) => kind,
            };
            (switch.source, switch.coin, kind)
        });
        // Most switches of a batch share coin and outcome: one atomic addition for all of them.
        let mut counted = counted.peekable();
        while let Some(first) = counted.next() {
            let key = |it: &(Source, _, _)| (it.0.label(), it.1, it.2);
            let others = iter::from_fn(|| counted.next_if(|it| key(it) == key(&first))).count();
            self.metrics.switches(first.0, first.1, first.2, 1 + others);
        }
        let changes = switches.clone().filter(|(_, result)| is_change(result)).count();
        if changes > 0 {
            let changed = switches.clone().filter(|(_, result)| is_change(result));
            let changed = changed.map(|(switch, result)| move || change(&switch, result));
            self.metrics.recent().note(changes, changed);
        }
        switches.for_each(|(switch, result)| self.log_switch(&switch, result));
    }

    fn log_switch(&self, switch: &SettledSwitch<'_>, SwitchResult { old, outcome }: &SwitchResult) {
        let SettledSwitch { source, puname, coin, superseded_by } = *switch;
        let words = outcome.kind().words();
        match outcome {
            // The Poller reports these.
            SwitchOutcome::Unchanged
            | SwitchOutcome::Skipped
            | SwitchOutcome::Refused(_)
            | SwitchOutcome::NotApplied(_)
                if source == Source::Poll => {}
            SwitchOutcome::Overwrote { znode, cause } => {
                self.metrics.overwrote();
                error!(self.log, "switch"; source, "sub_account" => puname.shown(), "old" => old,
                    "new" => coin.as_str(), "outcome" => words, "cause" => &**cause, "znode" => %Shown(znode));
            }
            _ => match (outcome.cause(), superseded_by) {
                (None, None) => info!(self.log, "switch"; source, "sub_account" => puname.shown(),
                    "old" => old, "new" => coin.as_str(), "outcome" => words),
                (None, Some(newer)) => info!(self.log, "switch"; source,
                    "sub_account" => puname.shown(), "old" => old, "new" => coin.as_str(),
                    "outcome" => words, "superseded_by" => newer.as_str()),
                (Some(cause), _) => warn!(self.log, "switch"; source,
                    "sub_account" => puname.shown(), "old" => old, "new" => coin.as_str(),
                    "outcome" => words, "cause" => cause),
            },
        }
    }
}

fn change(switch: &SettledSwitch<'_>, SwitchResult { old, outcome }: &SwitchResult) -> Change {
    let what = ChangeKind::Switch {
        puname: switch.puname.clone(),
        old: old.clone(),
        new: switch.coin.clone(),
        superseded_by: switch.superseded_by.cloned(),
    };
    Change::new(switch.source, what, outcome.kind().words(), outcome.cause().map(Arc::from))
}
