//! The list of one coin: sub-accounts by puid, and when each was first seen; no clock, no network.
//!
//! A list never changes: [`List::with`] makes the next one, so that readers need no lock. All names are in one text; an
//! entry takes about 25 bytes in addition to its name.

use std::{hash::BuildHasher, iter};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::domain::lower_case;

/// The sub-accounts of one coin.
#[derive(Clone, Debug, Default)]
pub(super) struct List {
    /// By rising puid, each once.
    entries: Vec<Entry>,
    names: Names,
    /// The change that made this list; 0 for an empty one.
    pub(super) change: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    puid: u32,
    /// Place of its name.
    name: u32,
    /// Number of the change that brought it: of two lists' entries for a puid, the merged list has the later one.
    came: u32,
}

/// Names, each spelling once, and the first sight of each.
#[derive(Clone, Debug, Default)]
struct Names {
    text: String,
    /// End in `text`, and first sight in seconds since 1970.
    ends: Vec<(u32, u32)>,
    /// Places by the names in lower case or as they are.
    index: HashTable<u32>,
    ignore_case: bool,
    hasher: RandomState,
}

impl List {
    /// An empty list. `ignore_case` says whether names that differ in case only are one sub-account.
    pub(super) fn new(ignore_case: bool) -> Self {
        Self { names: Names { ignore_case, ..Names::default() }, ..Self::default() }
    }

    /// This list plus `new` entries, which come by rising puid; `None` if it has them all. Names that it lacks are
    /// first seen `at` the time of their puid. An entry replaces the name of its puid; a name without a puid is
    /// forgotten.
    pub(super) fn with(
        &self,
        new: &[(u32, &str)],
        at: impl Fn(u32) -> u32,
        change: u64,
    ) -> Option<Self> {
        let is_new = |&(puid, name): &(u32, &str)| self.get(puid) != Some(name);
        if !new.iter().any(is_new) {
            return None;
        }
        let replaces = new.iter().any(|&(puid, name)| self.get(puid).is_some_and(|it| it != name));
        let mut next = Self::new(self.names.ignore_case);
        if !replaces {
            // The common case keeps the names' places.
            next.names = self.names.clone();
        }
        next.change = change;
        next.entries.reserve_exact(self.entries.len() + new.len());
        next.names.ends.reserve_exact(new.len());
        next.names.text.reserve_exact(new.iter().map(|(_, name)| name.len()).sum());
        let came = u32::try_from(change).unwrap_or(u32::MAX);
        let mut old = self.entries.iter().peekable();
        let mut new = new.iter().peekable();
        loop {
            let takes_old = match (old.peek(), new.peek()) {
                (None, None) => break,
                (Some(old), Some(&&(puid, _))) => old.puid < puid,
                (old, _) => old.is_some(),
            };
            if takes_old {
                let Some(&entry) = old.next() else { break };
                next.keep(self, entry, replaces);
                continue;
            }
            let Some(&(puid, name)) = new.next() else { break };
            // The last of several entries for one puid counts.
            if new.peek().is_some_and(|next| next.0 == puid) {
                continue;
            }
            match old.next_if(|entry| entry.puid == puid) {
                Some(&entry) if self.names.at(entry.name) == name => {
                    next.keep(self, entry, replaces);
                }
                _ => {
                    let seen = self.first_seen(name).or_else(|| next.first_seen(name));
                    let seen = seen.unwrap_or_else(|| at(puid));
                    let name = next.names.place(name, seen);
                    next.entries.push(Entry { puid, name, came });
                }
            }
        }
        Some(next)
    }

    /// Appends an entry of the `old` list, whose names have other places here if some are `moved`.
    fn keep(&mut self, old: &Self, mut entry: Entry, moved: bool) {
        if moved {
            let (_, seen) = old.names.ends[entry.name as usize];
            entry.name = self.names.place(old.names.at(entry.name), seen);
        }
        self.entries.push(entry);
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The name of a puid.
    pub(super) fn get(&self, puid: u32) -> Option<&str> {
        let place = self.entries.binary_search_by_key(&puid, |entry| entry.puid).ok()?;
        Some(self.names.at(self.entries[place].name))
    }

    /// When the list had this name first, in seconds since 1970; `None` if it lacks the name.
    pub(super) fn first_seen(&self, name: &str) -> Option<u32> {
        self.names.find(name).map(|place| self.names.ends[place as usize].1)
    }

    /// The largest puid; 0 in an empty list.
    pub(super) fn largest_puid(&self) -> u32 {
        self.entries.last().map_or(0, |entry| entry.puid)
    }

    /// Puid and name of each entry that is this sub-account, by rising puid. Looks at all entries.
    pub(super) fn of_name<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (u32, &'a str)> {
        let all = self.iter().map(|(puid, name, _)| (puid, name));
        all.filter(move |(_, listed)| self.names.is_same(listed, name))
    }

    /// Puid, name, and the change with which each entry came, by rising puid.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &str, u32)> {
        self.entries.iter().map(|entry| (entry.puid, self.names.at(entry.name), entry.came))
    }
}

impl Names {
    fn at(&self, place: u32) -> &str {
        let place = place as usize;
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before].0 as usize);
        &self.text[start..self.ends[place].0 as usize]
    }

    /// The place of a name that is the same sub-account.
    fn find(&self, name: &str) -> Option<u32> {
        let is_it = |&place: &u32| self.is_same(self.at(place), name);
        self.index.find(self.hash(name), is_it).copied()
    }

    /// The place of exactly this name, which may be new.
    fn place(&mut self, name: &str, seen: u32) -> u32 {
        let hash = self.hash(name);
        let known = self.index.find(hash, |&place| self.at(place) == name).copied();
        known.unwrap_or_else(|| {
            self.text.push_str(name);
            let place = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
            // A list of 4 GiB does not fit into memory in practice.
            self.ends.push((u32::try_from(self.text.len()).unwrap_or(u32::MAX), seen));
            let (ends, text) = (&self.ends, &self.text);
            let (hasher, ignore_case) = (&self.hasher, self.ignore_case);
            self.index.insert_unique(hash, place, |&place| {
                let start = (place as usize).checked_sub(1).map_or(0, |before| ends[before].0);
                hash_of(&text[start as usize..ends[place as usize].0 as usize], ignore_case, hasher)
            });
            place
        })
    }

    fn is_same(&self, a: &str, b: &str) -> bool {
        a == b || (self.ignore_case && lower_case(a).eq(lower_case(b)))
    }

    fn hash(&self, name: &str) -> u64 {
        hash_of(name, self.ignore_case, &self.hasher)
    }
}

fn hash_of(name: &str, ignore_case: bool, hasher: &RandomState) -> u64 {
    if ignore_case {
        return hasher.hash_one(lower_case(name).collect::<String>());
    }
    hasher.hash_one(name)
}

/// The entries of all lists by rising puid, each puid once: with the name that came last.
pub(super) fn merged<'a>(
    lists: impl Iterator<Item = &'a List>,
) -> impl Iterator<Item = (u32, &'a str)> {
    let mut lists: Vec<_> = lists.map(|list| list.iter().peekable()).collect();
    iter::from_fn(move || {
        let next = lists.iter_mut().filter_map(|list| list.peek()).map(|entry| entry.0).min()?;
        let same = lists.iter_mut().filter_map(|list| list.next_if(|entry| entry.0 == next));
        same.max_by_key(|&(_, _, came)| came).map(|(puid, name, _)| (puid, name))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn listed(list: &List) -> Vec<(u32, &str)> {
        list.iter().map(|(puid, name, _)| (puid, name)).collect()
    }

    #[test]
    fn a_puid_that_changes_its_name_leaves_the_old_name_unlisted() {
        let list =
            List::new(false).with(&[(1, "alice"), (2, "bob"), (3, "bob")], |_| 10, 1).unwrap();
        let list = list.with(&[(1, "carol"), (2, "dave")], |_| 20, 2).unwrap();
        assert_eq!(listed(&list), [(1, "carol"), (2, "dave"), (3, "bob")]);
        assert_eq!((list.first_seen("alice"), list.first_seen("carol")), (None, Some(20)));
        assert_eq!(list.first_seen("bob"), Some(10), "another puid has it");
        assert!(list.with(&[(1, "carol"), (3, "bob")], |_| 30, 3).is_none(), "nothing is new");
    }

    #[test]
    fn case_makes_no_difference_where_it_is_ignored() {
        let list = List::new(true).with(&[(1, "Alice")], |_| 10, 1).unwrap();
        let list = list.with(&[(2, "ALICE")], |_| 20, 2).unwrap();
        assert_eq!(listed(&list), [(1, "Alice"), (2, "ALICE")], "the list keeps the spelling");
        assert_eq!(list.first_seen("alice"), Some(10));
        let list = List::new(false).with(&[(1, "Alice")], |_| 10, 1).unwrap();
        assert_eq!(list.first_seen("alice"), None);
    }

    #[test]
    fn the_merged_list_has_the_name_that_came_last() {
        let empty = List::new(false);
        let first = empty.with(&[(1, "a"), (3, "c")], |_| 0, 2).unwrap();
        let second = empty.with(&[(1, "b"), (2, "d")], |_| 0, 1).unwrap();
        let both: Vec<_> = merged([&first, &second].into_iter()).collect();
        assert_eq!(both, [(1, "a"), (2, "d"), (3, "c")]);
        let second = second.with(&[(1, "e")], |_| 0, 3).unwrap();
        assert_eq!(merged([&first, &second].into_iter()).next(), Some((1, "e")));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_list_is_what_a_naive_model_is(
            ignore_case in any::<bool>(),
            answers in vec(vec((1u32..12, prop::sample::select(&["a", "A", "b", "cc", "é", "É"][..])), 0..8), 0..8),
        ) {
            let mut list = List::new(ignore_case);
            let key = |name: &str| if ignore_case { name.to_lowercase() } else { name.to_owned() };
            let (mut names, mut seen) = (BTreeMap::new(), BTreeMap::new());
            for (at, mut answer) in (1u32..).zip(answers) {
                answer.sort_by_key(|entry| entry.0);
                let last: BTreeMap<u32, &str> = answer.iter().copied().collect();
                if let Some(next) = list.with(&answer, |_| at, u64::from(at)) {
                    list = next;
                }
                names.extend(last.clone());
                for name in last.values() {
                    seen.entry(key(name)).or_insert(at);
                }
                seen.retain(|name, _| names.values().any(|it| key(it) == *name));
                let expected: Vec<_> = names.iter().map(|(&puid, &name)| (puid, name)).collect();
                prop_assert_eq!(listed(&list), expected);
                for name in ["a", "A", "b", "cc", "é", "É", "z"] {
                    prop_assert_eq!(list.first_seen(name), seen.get(&key(name)).copied(), "{}", name);
                }
            }
        }
    }
}
