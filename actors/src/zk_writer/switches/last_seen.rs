//! What we last saw in each znode.
//!
//! The log should tell the old coin, but a read for it makes every switch slower. The
//! answer to a write tells the znode's new version: if it follows the one that we saw last, nobody wrote
//! in between, and the old coin is the one that we saw. If it does not, somebody else did, and the old
//! coin is not known. Nothing else is ever decided by this memory.

use std::mem;

use foldhash::{HashMap, HashMapExt};

use crate::{
    domain::{Coin, Puname},
    zk::Revision,
};

/// What a znode held when we wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) coin: Coin,
    pub(crate) revision: Revision,
}

/// The sub-accounts seen most recently: at least `capacity` of them, at most twice as many.
#[derive(Debug)]
pub(crate) struct LastSeen {
    capacity: usize,
    recent: HashMap<Puname, Seen>,
    /// Was `recent` until that was full.
    before: HashMap<Puname, Seen>,
}

impl LastSeen {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, recent: HashMap::new(), before: HashMap::new() }
    }

    pub(crate) fn get(&self, puname: &Puname) -> Option<&Seen> {
        self.recent.get(puname).or_else(|| self.before.get(puname))
    }

    /// Takes in a newer state of a znode that is remembered. Others are none of those seen most recently: a
    /// million that a poll writes would drive out all that callers switch.
    pub(crate) fn refresh(&mut self, puname: &Puname, seen: Option<Seen>) {
        if self.get(puname).is_some() {
            self.note(puname, seen);
        }
    }

    /// Remembers what a znode holds, or forgets it if that is not known.
    pub(crate) fn note(&mut self, puname: &Puname, seen: Option<Seen>) {
        let Some(seen) = seen else {
            self.recent.remove(puname);
            self.before.remove(puname);
            return;
        };
        if let Some(known) = self.recent.get_mut(puname) {
            *known = seen;
            return;
        }
        if self.recent.len() >= self.capacity {
            self.before = mem::take(&mut self.recent);
        }
        self.recent.insert(puname.clone(), seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Coins;

    fn name(n: usize) -> Puname {
        Puname::parse(&format!("user{n}")).unwrap()
    }

    fn seen(version: i32) -> Seen {
        let coins = Coins::new(&["btc"]).unwrap();
        let coin = coins.get("btc").unwrap().clone();
        Seen { coin, revision: Revision::test(1, version) }
    }

    #[test]
    fn it_is_bounded_and_keeps_what_was_seen_last() {
        let mut last_seen = LastSeen::new(10);
        for n in 0..1000 {
            last_seen.note(&name(n), Some(seen(1)));
        }
        assert!((990..1000).all(|n| last_seen.get(&name(n)).is_some()));
        assert!(last_seen.recent.len() + last_seen.before.len() <= 20);
    }

    #[test]
    fn what_is_not_known_any_more_is_forgotten() {
        let mut last_seen = LastSeen::new(1);
        last_seen.note(&name(1), Some(seen(1)));
        last_seen.note(&name(2), Some(seen(1)));
        last_seen.note(&name(1), None);
        last_seen.note(&name(2), None);
        assert!(last_seen.get(&name(1)).is_none() && last_seen.get(&name(2)).is_none());
    }

    #[test]
    fn a_newer_state_hides_an_older_one() {
        let mut last_seen = LastSeen::new(1);
        last_seen.note(&name(1), Some(seen(1)));
        last_seen.note(&name(2), Some(seen(1)));
        last_seen.note(&name(1), Some(seen(2)));
        assert_eq!(last_seen.get(&name(1)), Some(&seen(2)));
    }

    #[test]
    fn a_state_follows_another_only_if_nobody_wrote_in_between() {
        let state = Revision::test;
        assert!(state(1, 5).follows(state(1, 4)));
        assert!(!state(1, 6).follows(state(1, 4)));
        assert!(!state(1, 4).follows(state(1, 4)));
        assert!(!state(2, 5).follows(state(1, 4)));
    }
}
