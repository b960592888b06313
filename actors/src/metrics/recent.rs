//! The last changes: a ring that any number of readers follow, each at its own pace.
//!
//! A reader has no queue of its own. It remembers the number of the last change that it has seen and asks for
//! what came since; if the ring has gone on without it, it learns how many it has missed. So a slow reader costs
//! nobody anything, and what all of them together may take in memory is the ring.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use tokio::sync::watch;

use crate::domain::{Coin, Coinbase, PreviousValue, Puname, Source, SubPool};

/// Something that was changed, or was to be.
#[derive(Clone, Debug)]
pub struct Change {
    /// Counts all changes since the start, from 1.
    pub number: u64,
    /// When it was settled.
    pub at: SystemTime,
    /// Who asked.
    pub source: Source,
    /// What was asked for.
    pub what: ChangeKind,
    /// What came of it, in the log's words.
    pub outcome: &'static str,
    /// Why it came to nothing, or why nobody knows.
    pub cause: Option<Arc<str>>,
}

/// What was to be changed.
#[derive(Clone, Debug)]
pub enum ChangeKind {
    /// A sub-account's coin.
    Switch {
        /// The sub-account.
        puname: Puname,
        /// What its znode held before.
        old: PreviousValue,
        /// The coin that was asked for.
        new: Coin,
        /// The newer one that was written in its place.
        superseded_by: Option<Coin>,
    },
    /// What a sub-pool's blocks carry and whom they pay.
    Update {
        /// The sub-pool.
        sub_pool: SubPool,
        /// What its jobmaker held before, if it told; shared, since these are texts of kilobytes.
        old: Option<Arc<Coinbase>>,
        /// What it holds since, or was to hold.
        new: Arc<Coinbase>,
    },
}

/// The last changes.
pub struct Recent {
    ring: Mutex<Ring>,
    /// The number of the last change, for those who wait for the next.
    last: watch::Sender<u64>,
    run: u64,
}

#[derive(Default)]
struct Ring {
    changes: VecDeque<Change>,
    last: u64,
}

/// What came since a reader looked last.
#[derive(Debug, Default)]
pub struct Since {
    /// How many it has missed before these.
    pub missed: u64,
    /// The others, the oldest first.
    pub changes: Vec<Change>,
}

impl Recent {
    /// So many changes are kept.
    pub const KEPT: usize = 1_000;

    pub(super) fn new() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let run = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        Self { ring: Mutex::default(), last: watch::Sender::new(0), run }
    }

    /// Tells these numbers from those that another process gave, before a restart or elsewhere: when they began, in
    /// microseconds since 1970.
    pub fn run(&self) -> u64 {
        self.run
    }

    /// Takes in `count` changes that were settled at the same time; `changes` makes them, but for those that would
    /// be pushed out at once. Their numbers and times are given here.
    pub(crate) fn note(
        &self,
        count: usize,
        changes: impl Iterator<Item = impl FnOnce() -> Change>,
    ) {
        let at = SystemTime::now();
        let mut ring = self.ring();
        let passed_over = count.saturating_sub(Self::KEPT);
        ring.last += passed_over as u64;
        for make in changes.skip(passed_over) {
            ring.last += 1;
            let number = ring.last;
            if ring.changes.len() == Self::KEPT {
                ring.changes.pop_front();
            }
            ring.changes.push_back(Change { number, at, ..make() });
        }
        // With the ring still held: two who note at once must not tell their numbers in the other order.
        self.last.send_replace(ring.last);
    }

    /// The last ones, at most `limit`, the oldest first.
    pub fn last(&self, limit: usize) -> Vec<Change> {
        let ring = self.ring();
        let from = ring.changes.len().saturating_sub(limit);
        ring.changes.range(from..).cloned().collect()
    }

    /// What has come since the change of that number.
    pub fn since(&self, number: u64) -> Since {
        let ring = self.ring();
        let first = ring.changes.front().map_or(ring.last + 1, |change| change.number);
        let new = ring.changes.iter().rev().take_while(|change| change.number > number).count();
        Since {
            missed: first.saturating_sub(number + 1),
            changes: ring.changes.range(ring.changes.len() - new..).cloned().collect(),
        }
    }

    /// The number of the last change, as it grows.
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// A panic while a change was moved in would leave the ring whole.
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Change {
    /// One that is noted next.
    pub(crate) fn new(
        source: Source,
        what: ChangeKind,
        outcome: &'static str,
        cause: Option<Arc<str>>,
    ) -> Self {
        Self { number: 0, at: SystemTime::UNIX_EPOCH, source, what, outcome, cause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Coins;

    fn changes(count: usize) -> impl Iterator<Item = impl FnOnce() -> Change> {
        let coin = Coins::new(&["btc"]).unwrap().get("btc").unwrap().clone();
        (0..count).map(move |n| {
            let new = coin.clone();
            move || {
                let puname = Puname::parse(&format!("user{n}")).unwrap();
                let what = ChangeKind::Switch {
                    puname,
                    old: PreviousValue::NotKnown,
                    new,
                    superseded_by: None,
                };
                Change::new(Source::Poll, what, "applied", None)
            }
        })
    }

    fn numbers(changes: &[Change]) -> Vec<u64> {
        changes.iter().map(|change| change.number).collect()
    }

    #[test]
    fn the_last_ones_are_kept_and_numbered() {
        let recent = Recent::new();
        recent.note(3, changes(3));
        assert_eq!(numbers(&recent.last(2)), [2, 3]);
        assert_eq!(numbers(&recent.last(9)), [1, 2, 3]);
        recent.note(Recent::KEPT, changes(Recent::KEPT));
        let all = recent.last(usize::MAX);
        assert_eq!((all.len(), all[0].number), (Recent::KEPT, 4));
    }

    #[test]
    fn of_more_than_are_kept_only_the_last_are_made() {
        let recent = Recent::new();
        let made = std::cell::Cell::new(0);
        let count = Recent::KEPT * 3;
        let counted = changes(count).map(|make| {
            || {
                made.set(made.get() + 1);
                make()
            }
        });
        recent.note(count, counted);
        assert_eq!(made.get(), Recent::KEPT);
        let all = recent.last(usize::MAX);
        let ChangeKind::Switch { puname, .. } = &all[0].what else { panic!("a switch") };
        assert_eq!((puname.as_str(), all[0].number), ("user2000", 2001));
        assert_eq!(all.last().unwrap().number, 3000);
    }

    #[test]
    fn a_reader_gets_what_came_since_or_learns_what_it_missed() {
        let recent = Recent::new();
        assert!(recent.since(0).changes.is_empty());
        recent.note(3, changes(3));
        assert_eq!(numbers(&recent.since(1).changes), [2, 3]);
        assert_eq!((recent.since(3).missed, recent.since(3).changes.len()), (0, 0));
        recent.note(Recent::KEPT, changes(Recent::KEPT));
        let since = recent.since(1);
        assert_eq!((since.missed, since.changes.len()), (2, Recent::KEPT));
        assert_eq!(recent.since(3).missed, 0);
    }

    #[test]
    fn whoever_follows_is_woken_once_for_all_that_came() {
        let recent = Recent::new();
        let mut follower = recent.follow();
        recent.note(2, changes(2));
        recent.note(2, changes(2));
        assert!(follower.has_changed().unwrap());
        assert_eq!(*follower.borrow_and_update(), 4);
        assert!(!follower.has_changed().unwrap());
    }
}
