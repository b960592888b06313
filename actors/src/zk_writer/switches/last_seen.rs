//! Last known state of each znode.
//!
//! The log shows the old coin, but a read for it would make every switch slower. The answer to a write has the znode's
//! new version: if it follows the last known one, no other client wrote in between, and the last known coin is the old
//! one. Otherwise the old coin is not known. This memory decides nothing else but the operation to try first.

use std::mem;

use foldhash::{HashMap, HashMapExt};

use crate::{
    domain::{Coin, Puname},
    zk::Revision,
};

/// State of a znode after our write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LastState {
    pub(crate) coin: Coin,
    pub(crate) revision: Revision,
}

/// The sub-accounts seen most recently: at least `capacity`, at most twice as many.
#[derive(Debug)]
pub(crate) struct LastSeen {
    capacity: usize,
    recent: HashMap<Puname, LastState>,
    /// Was `recent` until that was full.
    before: HashMap<Puname, LastState>,
}

impl LastSeen {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, recent: HashMap::new(), before: HashMap::new() }
    }

    pub(crate) fn get(&self, puname: &Puname) -> Option<&LastState> {
        self.recent.get(puname).or_else(|| self.before.get(puname))
    }

    /// Updates a known entry, never inserts: one large poll would otherwise evict the sub-accounts that callers switch.
    pub(crate) fn refresh(&mut self, puname: &Puname, seen: Option<LastState>) {
        if self.get(puname).is_some() {
            self.note(puname, seen);
        }
    }

    /// Remembers the state of a znode, or forgets it if it is not known.
    pub(crate) fn note(&mut self, puname: &Puname, seen: Option<LastState>) {
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

    fn seen(version: i32) -> LastState {
        let coins = Coins::new(&["btc"]).unwrap();
        let coin = coins.get("btc").unwrap().clone();
        LastState { coin, revision: Revision::test(1, version) }
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
