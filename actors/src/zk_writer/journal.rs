//! Reports settled switches: a log line, the metrics, and the recent changes.

use std::{iter, sync::Arc};

use slog::{Logger, debug, error, info, warn};

use super::{
    held::{Intent, Look},
    polls::MapPart,
    progress::EntryEnd,
    put_back::PutBackPart,
    switches::{Chunk, ChunkEntry, SettledSwitch},
};
use crate::{
    domain::{
        Assignment, Coin, OutcomeKind, PreviousValue, Puname, Shown, Source, SwitchOutcome,
        SwitchResult, Switches, rfc_3339_millis,
    },
    metrics::{Change, ChangeEnd, ChangeKind, HeldEnd, Metrics},
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
        self.settled(
            entries
                .flat_map(|(entry, written)| entry.switches().map(move |switch| (switch, written))),
        );
    }

    pub(super) fn withdrawn(&self, entries: &[ChunkEntry], cause: &str) {
        let end = EntryEnd::not_written(SwitchOutcome::NotApplied(cause.into()));
        let switches = entries.iter().flat_map(ChunkEntry::switches);
        self.settled(switches.map(|switch| (switch, &end)));
    }

    /// Entries of a request that later ones of the same request supersede: counted and logged together.
    pub(super) fn superseded(&self, source: &Source, switches: &Switches) {
        let count = switches.entries() - switches.len();
        if count > 0 {
            info!(self.log, "batch with repeated sub-accounts; the last entry of each counts"; source,
                "entries" => switches.entries(), "superseded" => count);
        }
        for (coin, count) in switches.superseded() {
            self.metrics.switches(source, Some(coin), OutcomeKind::Superseded, *count);
        }
    }

    /// A part of a poll's map. The Poller logs the entries that are known not to have been written, up to a number.
    pub(super) fn synced(&self, part: &MapPart, written: &[EntryEnd]) {
        let entries = part.assignments.iter().zip(written);
        self.settled(
            entries.map(|(entry, written)| (SettledSwitch::of_poll(&part.source, entry), written)),
        );
    }

    /// A part of a poll's map that was not begun. The Poller logs the number of its entries.
    pub(super) fn not_synced(&self, source: &Source, assignments: &[Assignment]) {
        for entry in assignments {
            self.metrics.switches(source, Some(&entry.coin), OutcomeKind::NotApplied, 1);
        }
    }

    /// A part of an undo. An entry that was left alone is no change; the sender logs the number of these.
    pub(super) fn put_back(&self, part: &PutBackPart, written: &[EntryEnd]) {
        let entries = part.entries.iter().zip(written);
        let tried = entries.filter(|(_, end)| end.result.outcome != SwitchOutcome::Skipped);
        self.settled(tried.map(|(entry, end)| (SettledSwitch::of_undo(&part.source, entry), end)));
    }

    fn settled<'a>(
        &self,
        switches: impl Iterator<Item = (SettledSwitch<'a>, &'a EntryEnd)> + Clone,
    ) {
        let is_change = |end: &EntryEnd| end.result.outcome != SwitchOutcome::Unchanged;
        let counted = switches.clone().map(|(switch, end)| {
            let kind = match (end.result.outcome.kind(), switch.superseded_by) {
                (OutcomeKind::Applied | OutcomeKind::Held, Some(_)) => OutcomeKind::Superseded,
                (kind, _) => kind,
            };
            (switch.source, switch.coin, kind)
        });
        // Most switches of a batch share coin and outcome: one atomic addition for all of them.
        let mut counted = counted.peekable();
        while let Some(first) = counted.next() {
            let key = |it: &(&Source, _, _)| (it.0.label(), it.1, it.2);
            let others = iter::from_fn(|| counted.next_if(|it| key(it) == key(&first))).count();
            self.metrics.switches(first.0, first.1, first.2, 1 + others);
        }
        let changes = switches.clone().filter(|(_, end)| is_change(end)).count();
        if changes > 0 {
            let changed = switches.clone().filter(|(_, end)| is_change(end));
            let changed = changed.map(|(switch, end)| move || change(&switch, end));
            self.metrics.recent().note(changes, changed);
        }
        switches.for_each(|(switch, end)| self.log_switch(&switch, &end.result));
    }

    /// Reports the end of a held switch. Other findings are no end, and not reported here.
    pub(super) fn looked(&self, puname: &Puname, look: &Look) {
        let (intent, old, revision, end) = match look {
            Look::CarriedOut { intent, old, revision } => {
                (intent, old.clone(), *revision, HeldEnd::CarriedOut)
            }
            Look::Obsolete { intent, value } => (intent, value.clone(), None, HeldEnd::Obsolete),
            Look::Overwrote { intent, .. } => {
                (intent, PreviousValue::NotKnown, None, HeldEnd::CarriedOut)
            }
            _ => return,
        };
        self.metrics.held_ended(end);
        let what = ChangeKind::Switch {
            puname: puname.clone(),
            old: old.clone(),
            new: Some(intent.coin.clone()),
            superseded_by: None,
            due: Some(intent.due),
            revision,
        };
        let change_end = match end {
            HeldEnd::CarriedOut => ChangeEnd::Applied,
            HeldEnd::Obsolete => ChangeEnd::NotApplied,
        };
        let outcome = end.words();
        let change = || Change::new(intent.source.clone(), what, (change_end, outcome), None);
        self.metrics.recent().note(1, iter::once(change));
        let (source, coin) = (&intent.source, intent.coin.as_str());
        match look {
            Look::Overwrote { overwrite, .. } => {
                self.metrics.overwrote();
                error!(self.log, "held switch"; source, "sub_account" => puname.shown(),
                    "old" => old, "new" => coin, "outcome" => outcome,
                    "cause" => %overwrite, "znode" => %Shown(&overwrite.path));
            }
            Look::Obsolete { .. } => {
                info!(self.log, "held switch"; source, "sub_account" => puname.shown(),
                    "old" => old, "new" => coin, "outcome" => outcome,
                    "cause" => "its znode was written after the switch was accepted");
            }
            _ => info!(self.log, "held switch"; source, "sub_account" => puname.shown(),
                "old" => old, "new" => coin, "outcome" => outcome, "due" => rfc_3339_millis(intent.due)),
        }
    }

    /// A held switch that cannot be carried out now; tried again every few seconds.
    pub(super) fn held_refused(&self, name: &str, intent: Option<&Intent>, cause: &str) {
        warn!(self.log, "held switch cannot be carried out; trying again: check the ACLs of its znodes, or delete the \
            intent to give the switch up"; "sub_account" => %Shown(name),
            "new" => intent.map_or("?", |intent| intent.coin.as_str()), "cause" => cause);
    }

    /// A held switch that was perhaps carried out. ZooKeeper shows it at the next look.
    pub(super) fn held_unknown(&self, name: &str, intent: Option<&Intent>, cause: &str) {
        warn!(self.log, "held switch: outcome unknown; looking again"; "sub_account" => %Shown(name),
            "new" => intent.map_or("?", |intent| intent.coin.as_str()), "cause" => cause);
    }

    /// Why no held switch can be carried out.
    pub(super) fn held_problem(&self, directory: &str, cause: &str) {
        warn!(self.log, "cannot carry out held switches; trying again: check the directory of ZKHeldSwitchDir and its ACLs";
            "directory" => directory, "cause" => cause);
    }

    fn log_switch(&self, switch: &SettledSwitch<'_>, SwitchResult { old, outcome }: &SwitchResult) {
        let SettledSwitch { source, puname, coin, superseded_by } = *switch;
        let (new, words) = (coin.map_or("-", Coin::as_str), outcome.kind().words());
        match outcome {
            // The Poller reports these.
            SwitchOutcome::Unchanged
            | SwitchOutcome::Skipped
            | SwitchOutcome::Refused(_)
            | SwitchOutcome::NotApplied(_)
                if source.is_poll() => {}
            SwitchOutcome::Overwrote { znode, cause } => {
                self.metrics.overwrote();
                error!(self.log, "switch"; source, "sub_account" => puname.shown(), "old" => old,
                    "new" => new, "outcome" => words, "cause" => &**cause, "znode" => %Shown(znode));
            }
            SwitchOutcome::Held { due } if superseded_by.is_none() => {
                info!(self.log, "switch"; source, "sub_account" => puname.shown(), "old" => old,
                    "new" => new, "outcome" => words, "due" => rfc_3339_millis(*due));
            }
            _ => match (outcome.cause(), superseded_by) {
                (None, None) => info!(self.log, "switch"; source, "sub_account" => puname.shown(),
                    "old" => old, "new" => new, "outcome" => words),
                (None, Some(newer)) => info!(self.log, "switch"; source,
                    "sub_account" => puname.shown(), "old" => old, "new" => new,
                    "outcome" => words, "superseded_by" => newer.as_str()),
                (Some(cause), _) => warn!(self.log, "switch"; source,
                    "sub_account" => puname.shown(), "old" => old, "new" => new,
                    "outcome" => words, "cause" => cause),
            },
        }
    }
}

fn change(switch: &SettledSwitch<'_>, EntryEnd { result, revision }: &EntryEnd) -> Change {
    let SwitchResult { old, outcome } = result;
    let is_last = switch.superseded_by.is_none();
    let what = ChangeKind::Switch {
        puname: switch.puname.clone(),
        old: old.clone(),
        new: switch.coin.cloned(),
        superseded_by: switch.superseded_by.cloned(),
        due: outcome.due().filter(|_| is_last),
        revision: revision.filter(|_| is_last),
    };
    let end = match outcome.kind() {
        OutcomeKind::Applied => ChangeEnd::Applied,
        OutcomeKind::Held => ChangeEnd::Held,
        OutcomeKind::Unknown => ChangeEnd::Unknown,
        _ => ChangeEnd::NotApplied,
    };
    let words = outcome.kind().words();
    Change::new(switch.source.clone(), what, (end, words), outcome.cause().map(Arc::from))
}
