//! What became of each entry of a batch, for the callers who ask for that, and what would become of it.

use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};

use super::switches::Outcome;
use crate::domain::{Coin, PreviousValue};

/// How one entry of a batch ended, or would end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EntryResult {
    /// What its znode held before, as much of it as is shown.
    pub old: PreviousValue,
    /// What became of it.
    pub outcome: EntryOutcome,
}

/// What became of one entry of a batch. Entries that failed together share the text that says why.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EntryOutcome {
    /// ZooKeeper has committed it, or the newer value that another request asked for and that took its place
    /// in the same moment.
    Applied {
        /// That newer value.
        replaced_by: Option<Coin>,
    },
    /// It is known not to have been written; the text says why.
    NotApplied(Arc<str>),
    /// Nobody can say whether it was written, or, of a [`DryRunBatch`](super::DryRunBatch), what its znode
    /// holds; the text says why.
    Unknown(Arc<str>),
    /// A later entry of the same batch is for the same sub-account: what became of that one counts.
    Superseded,
    /// Would be written to a new znode.
    WouldCreate,
    /// Would be written in place of what its znode holds.
    WouldChange,
    /// Its znode holds the coin already. It would be written again, so that watches fire.
    Unchanged,
    /// Its znode was looked at, and no coin was asked about.
    Seen,
}

impl EntryResult {
    /// The end of an entry of a real batch; `newer` is the value of another request that was written in its
    /// place.
    pub(super) fn of_write(outcome: &Outcome, old: &PreviousValue, newer: Option<&Coin>) -> Self {
        let outcome = match outcome {
            Outcome::Applied => EntryOutcome::Applied { replaced_by: newer.cloned() },
            Outcome::NotApplied(cause) => EntryOutcome::NotApplied(cause.as_str().into()),
            Outcome::Unknown(cause) => EntryOutcome::Unknown(cause.as_str().into()),
        };
        Self { old: old.to_kept(), outcome }
    }

    pub(super) fn not_applied(cause: &str) -> Self {
        Self { old: PreviousValue::NotKnown, outcome: EntryOutcome::NotApplied(cause.into()) }
    }

    pub(super) fn unknown(cause: &str) -> Self {
        Self { old: PreviousValue::NotKnown, outcome: EntryOutcome::Unknown(cause.into()) }
    }
}

/// The results of one batch, by the places of its entries ([`Switches`](crate::domain::Switches)).
///
/// Equal results are kept once: an entry costs four bytes, and each different result about 100.
#[derive(Debug, PartialEq, Eq)]
pub struct Results {
    /// For each entry the index of its result in `all`.
    indices: Vec<u32>,
    /// The first two are of entries that are not settled.
    all: Vec<EntryResult>,
    known: HashMap<EntryResult, u32>,
}

/// The index of entries that were not sent. It is zero, so that a million of them need no memory yet.
const WAITING: u32 = 0;

/// The index of entries that were sent and not answered.
const UNDER_WAY: u32 = 1;

impl Results {
    pub(super) fn new(entries: usize) -> Self {
        let open = EntryResult::unknown("");
        Self {
            indices: vec![WAITING; entries],
            all: vec![open.clone(), open],
            known: HashMap::new(),
        }
    }

    /// Notes that an entry is on its way to ZooKeeper.
    pub(super) fn sent(&mut self, place: usize) {
        if let Some(index) = self.indices.get_mut(place) {
            *index = UNDER_WAY;
        }
    }

    /// Notes how an entry ended.
    pub(super) fn note(&mut self, place: usize, result: EntryResult) {
        let Some(index) = self.indices.get_mut(place) else { return };
        *index = *self.known.entry(result).or_insert_with_key(|result| {
            self.all.push(result.clone());
            // No batch has 2^32 entries.
            (self.all.len() - 1) as u32
        });
    }

    /// Settles the entries that are still open: those that wait, and those that were sent.
    pub(super) fn end(mut self, waiting: EntryResult, under_way: EntryResult) -> Self {
        self.all[WAITING as usize] = waiting;
        self.all[UNDER_WAY as usize] = under_way;
        self.known = HashMap::new();
        self
    }

    /// The result of the entry at a place; `None` behind the last.
    pub fn get(&self, place: usize) -> Option<&EntryResult> {
        self.all.get(*self.indices.get(place)? as usize)
    }

    /// All results, by the places of their entries.
    pub fn iter(&self) -> impl Iterator<Item = &EntryResult> {
        (0..self.indices.len()).filter_map(|place| self.get(place))
    }
}

impl FromIterator<EntryResult> for Results {
    fn from_iter<I: IntoIterator<Item = EntryResult>>(results: I) -> Self {
        let results: Vec<_> = results.into_iter().collect();
        let mut all = Self::new(results.len());
        results.into_iter().enumerate().for_each(|(place, result)| all.note(place, result));
        all
    }
}

impl EntryResult {
    /// The result of an entry that a later one of its batch supersedes.
    pub const SUPERSEDED: Self =
        Self { old: PreviousValue::NotKnown, outcome: EntryOutcome::Superseded };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_entries_end_as_not_sent_or_unknown() {
        let mut results = Results::new(4);
        (0..3).for_each(|place| results.sent(place));
        results.note(0, EntryResult::not_applied("no rights"));
        results.note(2, EntryResult::not_applied("no rights"));
        assert_eq!(results.all.len(), 3, "equal results are kept once");
        let (waiting, lost) = (EntryResult::not_applied("late"), EntryResult::unknown("lost"));
        let results = results.end(waiting.clone(), lost.clone());
        let refused = EntryResult::not_applied("no rights");
        let expected = [&refused, &lost, &refused, &waiting];
        assert!(results.iter().eq(expected), "{results:?}");
        assert_eq!(results.get(4), None);
    }
}
