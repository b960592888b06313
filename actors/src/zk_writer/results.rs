//! What became of each entry of a batch, for the callers who ask for that, and what would become of it.

use std::sync::Arc;

use super::queue::Outcome;
use crate::domain::{Coin, Old};

/// How one entry of a batch ended, or would end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryResult {
    /// What its znode held before, as much of it as is shown.
    pub old: Old,
    /// What became of it.
    pub outcome: EntryOutcome,
}

/// What became of one entry of a batch. Entries that failed together share the text that says why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryOutcome {
    /// ZooKeeper has committed it, or the newer value that another request asked for and that took its place
    /// in the same moment.
    Applied {
        /// That newer value.
        replaced_by: Option<Coin>,
    },
    /// It is known not to have been written; the text says why.
    NotApplied(Arc<str>),
    /// Nobody can say whether it was written, or, of a [`LookAtBatch`](super::LookAtBatch), what its znode
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
    pub(super) fn of_write(outcome: &Outcome, old: &Old, newer: Option<&Coin>) -> Self {
        let outcome = match outcome {
            Outcome::Applied => EntryOutcome::Applied { replaced_by: newer.cloned() },
            Outcome::NotApplied(cause) => EntryOutcome::NotApplied(cause.as_str().into()),
            Outcome::Unknown(cause) => EntryOutcome::Unknown(cause.as_str().into()),
        };
        Self { old: old.to_kept(), outcome }
    }

    pub(super) fn not_applied(cause: &str) -> Self {
        Self { old: Old::NotKnown, outcome: EntryOutcome::NotApplied(cause.into()) }
    }

    pub(super) fn unknown(cause: &str) -> Self {
        Self { old: Old::NotKnown, outcome: EntryOutcome::Unknown(cause.into()) }
    }
}

/// The results of one batch in the making, in the request's order.
#[derive(Debug)]
pub(super) struct Results(Vec<Option<EntryResult>>);

impl Results {
    pub(super) fn new(entries: usize) -> Self {
        Self(vec![None; entries])
    }

    /// Notes how an entry ended, if that is not known yet: what is superseded stays so.
    pub(super) fn note(&mut self, index: usize, result: impl FnOnce() -> EntryResult) {
        if let Some(place) = self.0.get_mut(index) {
            place.get_or_insert_with(result);
        }
    }

    /// A later entry of the same batch is for the same sub-account.
    pub(super) fn supersede(&mut self, index: usize) {
        let outcome = EntryOutcome::Superseded;
        self.note(index, || EntryResult { old: Old::NotKnown, outcome });
    }

    pub(super) fn is_known(&self, index: usize) -> bool {
        self.0.get(index).is_some_and(Option::is_some)
    }

    /// All of them; those that are not known by now end as unknown, for this reason.
    pub(super) fn end(self, cause: &str) -> Vec<EntryResult> {
        let unknown = EntryResult::unknown(cause);
        let known = self.0.into_iter();
        known.map(|result| result.unwrap_or_else(|| unknown.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_superseded_stays_so_and_what_is_not_known_is_unknown() {
        let mut results = Results::new(3);
        results.supersede(0);
        results.note(0, || EntryResult::not_applied("no rights"));
        results.note(1, || EntryResult::not_applied("no rights"));
        let ends: Vec<_> = results.end("lost").into_iter().map(|result| result.outcome).collect();
        let (refused, unknown) = ("no rights".into(), "lost".into());
        assert_eq!(
            ends,
            [
                EntryOutcome::Superseded,
                EntryOutcome::NotApplied(refused),
                EntryOutcome::Unknown(unknown)
            ]
        );
    }
}
