//! Results of a batch's entries, for callers that ask for them.

use foldhash::{HashMap, HashMapExt};

use crate::domain::{SwitchOutcome, SwitchResult};

/// Results of one batch, by the places of its entries ([`Switches`](crate::domain::Switches)).
///
/// Equal results are kept once: an entry costs four bytes, and each different result about 100.
#[derive(Debug, PartialEq, Eq)]
pub struct Results {
    /// For each entry the index of its result in `all`.
    indices: Vec<u32>,
    /// The different results. The first two are those of open entries.
    all: Vec<SwitchResult>,
    known: HashMap<SwitchResult, u32>,
}

/// Index of entries that wait.
const WAITING: u32 = 0;

/// Index of entries that were sent.
const UNDER_WAY: u32 = 1;

impl Results {
    /// Results of so many entries, all waiting.
    pub(super) fn new(entries: usize) -> Self {
        let open = SwitchResult::without_old(SwitchOutcome::Unknown("".into()));
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

    pub(super) fn note(&mut self, place: usize, result: SwitchResult) {
        let Some(index) = self.indices.get_mut(place) else { return };
        *index = *self.known.entry(result).or_insert_with_key(|result| {
            self.all.push(result.clone());
            // No batch has 2^32 entries.
            (self.all.len() - 1) as u32
        });
    }

    /// Settles the open entries: those that wait, and those that were sent.
    pub(super) fn end(mut self, waiting: SwitchOutcome, under_way: SwitchOutcome) -> Self {
        self.all[WAITING as usize] = SwitchResult::without_old(waiting);
        self.all[UNDER_WAY as usize] = SwitchResult::without_old(under_way);
        self.known = HashMap::new();
        self
    }

    /// The result of the entry at a place; `None` beyond the last.
    pub fn get(&self, place: usize) -> Option<&SwitchResult> {
        self.all.get(*self.indices.get(place)? as usize)
    }

    /// All results, by the places of their entries.
    pub fn iter(&self) -> impl Iterator<Item = &SwitchResult> {
        (0..self.indices.len()).filter_map(|place| self.get(place))
    }
}

impl FromIterator<SwitchResult> for Results {
    fn from_iter<I: IntoIterator<Item = SwitchResult>>(results: I) -> Self {
        let results: Vec<_> = results.into_iter().collect();
        let mut all = Self::new(results.len());
        results.into_iter().enumerate().for_each(|(place, result)| all.note(place, result));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_entries_end_as_not_sent_or_unknown() {
        let mut results = Results::new(4);
        (0..3).for_each(|place| results.sent(place));
        let not_applied = |cause: &str| SwitchOutcome::NotApplied(cause.into());
        let refused = SwitchResult::without_old(not_applied("no rights"));
        results.note(0, refused.clone());
        results.note(2, refused.clone());
        assert_eq!(results.all.len(), 3, "equal results are kept once");
        let (waiting, lost) = (not_applied("late"), SwitchOutcome::Unknown("lost".into()));
        let results = results.end(waiting.clone(), lost.clone());
        let [waiting, lost] = [waiting, lost].map(SwitchResult::without_old);
        let expected = [&refused, &lost, &refused, &waiting];
        assert!(results.iter().eq(expected), "{results:?}");
        assert_eq!(results.get(4), None);
    }
}
