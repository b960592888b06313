//! The recent changes: a ring for any number of readers, each at its own pace.
//!
//! A reader has no queue. It remembers the number of the last change seen, asks for newer ones, and learns how many it
//! has missed. So slow readers cost nothing, and the ring is all the memory that readers need.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::sync::watch;

use crate::{
    domain::{Coin, Coinbase, PreviousValue, Puname, Source, SubPool, clip},
    zk::Revision,
};

/// Characters of a coinbase text that are kept.
const SHOWN_CHARACTERS: usize = 120;

/// A change of a sub-account or a sub-pool, a registration, or the attempt.
#[derive(Clone, Debug)]
pub struct Change {
    /// Serial number since the start, from 1.
    pub number: u64,
    /// When the outcome was known.
    pub at: SystemTime,
    /// The origin.
    pub source: Source,
    /// The requested change.
    pub what: ChangeKind,
    /// The outcome.
    pub end: ChangeEnd,
    /// The outcome, in the log's words.
    pub outcome: &'static str,
    /// Why it failed, or why the outcome is unknown.
    pub cause: Option<Arc<str>>,
}

/// Outcome of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeEnd {
    /// It has had its effect.
    Applied,
    /// Accepted; it takes effect at its due time.
    Held,
    /// It has no effect.
    NotApplied,
    /// It may have had its effect, or may have it later.
    Unknown,
}

/// The requested change.
#[derive(Clone, Debug)]
pub enum ChangeKind {
    /// A sub-account's coin.
    Switch {
        /// The sub-account.
        puname: Puname,
        /// The znode's data before.
        old: PreviousValue,
        /// The requested coin; `None` if an undo deleted the znode.
        new: Option<Coin>,
        /// The coin of a newer switch that was written instead.
        superseded_by: Option<Coin>,
        /// Due time of a held switch, in milliseconds since 1970.
        due: Option<u64>,
        /// State of the znode after the change, if known; of a held switch, at its acceptance.
        revision: Option<Revision>,
    },
    /// A sub-pool's coinbase.
    Update {
        /// The sub-pool.
        sub_pool: SubPool,
        /// The jobmaker's coinbase before, if reported. Shared, since it may have kilobytes.
        old: Option<Arc<Coinbase>>,
        /// The jobmaker's coinbase since then, or the requested one.
        new: Arc<Coinbase>,
    },
    /// A new sub-account.
    Registration {
        /// Its name, cut to a length fit for the log; any text that may name a znode.
        sub_account: String,
        /// The backend's number, if it has registered the name.
        puid: Option<u32>,
        /// The coin of a registered sub-account, unless none is configured.
        first_coin: Option<Coin>,
        /// From the sight of the request to its deletion.
        took: Duration,
    },
}

/// The recent changes.
pub struct Recent {
    ring: Mutex<Ring>,
    /// The number of the last change, for readers that wait for the next.
    last: watch::Sender<u64>,
    run: u64,
    feed: OnceLock<Arc<dyn Feed>>,
}

/// Receiver of all changes, not only of those that the ring has room for.
pub(crate) trait Feed: Send + Sync {
    /// Takes simultaneous changes. Runs on the thread of the actor that made them, so it must not wait.
    fn take(&self, changes: Vec<Change>);

    /// Whether changes must be handed over before their callers are answered.
    fn comes_first(&self) -> bool;
}

#[derive(Default)]
struct Ring {
    changes: VecDeque<Change>,
    last: u64,
}

/// The changes since a given one.
#[derive(Debug, Default)]
pub struct Since {
    /// Number of older changes that the ring has dropped.
    pub missed: u64,
    /// The changes, oldest first.
    pub changes: Vec<Change>,
}

impl Recent {
    /// Size of the ring.
    pub const KEPT: usize = 1_000;

    pub(super) fn new() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let run = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        Self { ring: Mutex::default(), last: watch::Sender::new(0), run, feed: OnceLock::new() }
    }

    /// Id of this process's numbers, to distinguish them from those before a restart or of another daemon: the start
    /// in microseconds since 1970.
    pub fn run(&self) -> u64 {
        self.run
    }

    /// Adds `count` simultaneous changes and sets their numbers and times. Without a [feed](Feed), `changes` makes only
    /// those that the ring has room for.
    pub(crate) fn note(
        &self,
        count: usize,
        changes: impl Iterator<Item = impl FnOnce() -> Change>,
    ) {
        let at = SystemTime::now();
        let skipped = count.saturating_sub(Self::KEPT);
        let Some(feed) = self.feed.get() else {
            return self.push(skipped, changes.skip(skipped).map(|make| Change { at, ..make() }));
        };
        let all: Vec<Change> = changes.map(|make| Change { at, ..make() }).collect();
        self.push(skipped, all[skipped.min(all.len())..].iter().cloned());
        feed.take(all);
    }

    /// Adds changes to the ring, after `skipped` ones for which it has no room.
    fn push(&self, skipped: usize, changes: impl Iterator<Item = Change>) {
        let mut ring = self.ring();
        ring.last += skipped as u64;
        for change in changes {
            ring.last += 1;
            let number = ring.last;
            if ring.changes.len() == Self::KEPT {
                ring.changes.pop_front();
            }
            ring.changes.push_back(Change { number, ..change.shortened() });
        }
        // Under the ring's lock: concurrent calls must publish their numbers in order.
        self.last.send_replace(ring.last);
    }

    /// Hands all changes from now on to `feed`. Call it once.
    pub(crate) fn feed(&self, feed: Arc<dyn Feed>) {
        let _ = self.feed.set(feed);
    }

    /// Whether changes must be noted before their callers are answered.
    pub(crate) fn comes_first(&self) -> bool {
        self.feed.get().is_some_and(|feed| feed.comes_first())
    }

    /// Adds changes of an earlier process.
    pub(crate) fn restore(&self, changes: impl Iterator<Item = Change>) {
        self.push(0, changes);
    }

    /// The last `limit` changes, oldest first.
    pub fn last(&self, limit: usize) -> Vec<Change> {
        let ring = self.ring();
        let from = ring.changes.len().saturating_sub(limit);
        ring.changes.range(from..).cloned().collect()
    }

    /// The changes after the one with this number.
    pub fn since(&self, number: u64) -> Since {
        let ring = self.ring();
        let first = ring.changes.front().map_or(ring.last + 1, |change| change.number);
        let new = ring.changes.iter().rev().take_while(|change| change.number > number).count();
        Since {
            missed: first.saturating_sub(number + 1),
            changes: ring.changes.range(ring.changes.len() - new..).cloned().collect(),
        }
    }

    /// Watches the number of the last change.
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// A poisoned ring is still consistent.
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Change {
    /// The change with its coinbases cut as in the log: a jobmaker may write a megabyte.
    fn shortened(mut self) -> Self {
        if let ChangeKind::Update { old, new, .. } = &mut self.what {
            for coinbase in old.iter_mut().chain([new]) {
                *coinbase = Arc::new(Coinbase {
                    coinbase_info: shortened(&coinbase.coinbase_info),
                    payout_addr: shortened(&coinbase.payout_addr),
                });
            }
        }
        self
    }

    /// A change for [`Recent::note`], which sets number and time.
    pub(crate) fn new(
        source: Source,
        what: ChangeKind,
        (end, outcome): (ChangeEnd, &'static str),
        cause: Option<Arc<str>>,
    ) -> Self {
        Self { number: 0, at: SystemTime::UNIX_EPOCH, source, what, end, outcome, cause }
    }
}

fn shortened(text: &str) -> String {
    let (text, ellipsis) = clip(text, SHOWN_CHARACTERS);
    format!("{text}{ellipsis}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Coins, RequestId};

    fn changes(count: usize) -> impl Iterator<Item = impl FnOnce() -> Change> {
        let coin = Coins::new(&["btc"]).unwrap().get("btc").unwrap().clone();
        (0..count).map(move |n| {
            let new = coin.clone();
            move || {
                let puname = Puname::parse(&format!("user{n}")).unwrap();
                let what = ChangeKind::Switch {
                    puname,
                    old: PreviousValue::NotKnown,
                    new: Some(new),
                    superseded_by: None,
                    due: None,
                    revision: None,
                };
                let end = (ChangeEnd::Applied, "applied");
                Change::new(Source::poll(RequestId(1)), what, end, None)
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
    fn of_too_many_changes_only_the_last_are_made() {
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
    fn a_reader_gets_newer_changes_and_the_number_of_missed_ones() {
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
    fn a_follower_is_woken_once_for_all_new_changes() {
        let recent = Recent::new();
        let mut follower = recent.follow();
        recent.note(2, changes(2));
        recent.note(2, changes(2));
        assert!(follower.has_changed().unwrap());
        assert_eq!(*follower.borrow_and_update(), 4);
        assert!(!follower.has_changed().unwrap());
    }
}
