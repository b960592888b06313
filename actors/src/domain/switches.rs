//! The switches of one request: millions of entries in little memory.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::{Coin, Puname, PunameError, puname};

/// Flag in the end offset of a superseded entry's name. Names take less than 2 GiB: a body is limited to 1 GiB, and
/// lower case lengthens a name by half at most.
const SUPERSEDED: u32 = 1 << 31;

/// The switches of one request, valid by construction. Of several entries for one sub-account only the last counts.
///
/// An entry costs its name and four bytes, a counting one about nine more. A *place* is the index of a counting entry
/// among the counting entries, in the request's order.
#[derive(Debug)]
pub struct Switches {
    entries: EntryList,
    /// The counting entries; empty if all count.
    counting: Vec<u32>,
    /// The counting entries by name; empty for a single entry.
    by_name: HashTable<u32>,
    hasher: RandomState,
    superseded: Vec<(Coin, usize)>,
}

/// All entries, in the request's order.
#[derive(Debug, Default)]
struct EntryList {
    /// The names without separators.
    names: String,
    /// The end of each entry's name.
    ends: Vec<u32>,
    runs: Vec<Run>,
}

/// Adjacent entries with the same coin.
#[derive(Debug)]
struct Run {
    coin: Coin,
    /// Index of the first entry after the run.
    end: u32,
}

/// One entry of [`Switches`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwitchEntry<'a> {
    /// The sub-account's name.
    pub puname: &'a str,
    /// The coin; `None` if the entry only names a sub-account.
    pub coin: Option<&'a Coin>,
    /// The entry's place; `None` if a later entry is for the same sub-account.
    pub place: Option<usize>,
}

impl EntryList {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn name(&self, entry: u32) -> &str {
        let end =
            |entry: u32| self.ends.get(entry as usize).map(|end| (end & !SUPERSEDED) as usize);
        let start = entry.checked_sub(1).and_then(end).unwrap_or(0);
        end(entry).and_then(|end| self.names.get(start..end)).unwrap_or_default()
    }

    fn coin(&self, entry: u32) -> Option<&Coin> {
        let run = self.runs.partition_point(|run| run.end <= entry);
        self.runs.get(run).map(|run| &run.coin)
    }

    fn is_superseded(&self, entry: u32) -> bool {
        self.ends.get(entry as usize).is_some_and(|end| end & SUPERSEDED != 0)
    }
}

impl Switches {
    /// One sub-account without a coin, to read its znode.
    pub fn of_name(puname: &Puname) -> Self {
        let mut builder = SwitchesBuilder::new(false);
        builder.push(puname.as_str());
        builder.build()
    }

    /// The number of entries, superseded ones included.
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// The number of counting entries: each sub-account once.
    pub fn len(&self) -> usize {
        if self.counting.is_empty() { self.entries.len() } else { self.counting.len() }
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }

    /// All entries, in the request's order.
    pub fn iter(&self) -> impl Iterator<Item = SwitchEntry<'_>> {
        self.iter_from(0, 0)
    }

    /// The entries from index `from` on. `place` is the place of the first counting entry among these.
    pub fn iter_from(
        &self,
        from: usize,
        mut place: usize,
    ) -> impl Iterator<Item = SwitchEntry<'_>> {
        // Fewer than 2^31 entries: each takes at least two bytes of a body.
        (from as u32..self.entries.len() as u32).map(move |entry| {
            let is_superseded = self.entries.is_superseded(entry);
            let own = (!is_superseded).then_some(place);
            place += usize::from(!is_superseded);
            SwitchEntry {
                puname: self.entries.name(entry),
                coin: self.entries.coin(entry),
                place: own,
            }
        })
    }

    /// The sub-account at a place.
    pub fn puname(&self, place: usize) -> Puname {
        Puname::valid(self.entries.name(self.entry(place)))
    }

    /// The name of the sub-account at a place.
    pub fn name(&self, place: usize) -> &str {
        self.entries.name(self.entry(place))
    }

    /// The coin at a place; `None` if the entry only names a sub-account.
    pub fn coin(&self, place: usize) -> Option<&Coin> {
        self.entries.coin(self.entry(place))
    }

    /// The number of superseded entries of each coin.
    pub(crate) fn superseded(&self) -> &[(Coin, usize)] {
        &self.superseded
    }

    /// The place of a sub-account.
    pub fn find(&self, name: &str) -> Option<usize> {
        let hash = self.hasher.hash_one(name);
        let is_it = |&entry: &u32| self.entries.name(entry) == name;
        if self.by_name.is_empty() {
            return (0..self.len()).find(|&place| self.name(place) == name);
        }
        let entry = *self.by_name.find(hash, is_it)?;
        if self.counting.is_empty() {
            return Some(entry as usize);
        }
        self.counting.binary_search(&entry).ok()
    }

    fn entry(&self, place: usize) -> u32 {
        match self.counting.get(place) {
            Some(&entry) => entry,
            None => u32::try_from(place).unwrap_or(u32::MAX),
        }
    }
}

/// Collects a request's entries.
#[derive(Debug)]
pub struct SwitchesBuilder {
    lower_case: bool,
    entries: EntryList,
}

impl SwitchesBuilder {
    /// An empty request. With `lower_case`, names are mapped as by [`Puname::parse_lower_case`].
    pub fn new(lower_case: bool) -> Self {
        Self { lower_case, entries: EntryList::default() }
    }

    /// Adds a sub-account. [`set_coin`](Self::set_coin) sets its coin.
    pub fn add(&mut self, name: &str) -> Result<(), PunameError> {
        let start = self.entries.names.len();
        if self.lower_case {
            self.entries.names.extend(puname::lower_case(name));
            if let Err(error) = puname::check(&self.entries.names[start..]) {
                self.entries.names.truncate(start);
                return Err(error);
            }
            self.end_name();
        } else {
            puname::check(name)?;
            self.push(name);
        }
        Ok(())
    }

    /// Sets the coin of all entries without one.
    pub fn set_coin(&mut self, coin: &Coin) {
        let end = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        match self.entries.runs.last_mut() {
            Some(run) if run.coin == *coin => run.end = end,
            _ => self.entries.runs.push(Run { coin: coin.clone(), end }),
        }
    }

    fn push(&mut self, name: &str) {
        self.entries.names.push_str(name);
        self.end_name();
    }

    fn end_name(&mut self) {
        let end = u32::try_from(self.entries.names.len()).unwrap_or(u32::MAX);
        self.entries.ends.push(end);
    }

    /// Decides which entry of each sub-account counts. Slow for millions of entries: not for a thread that serves
    /// others.
    pub fn build(self) -> Switches {
        let Self { mut entries, .. } = self;
        let hasher = RandomState::default();
        let (mut by_name, mut counting, mut superseded) =
            (HashTable::new(), Vec::new(), Vec::<(Coin, usize)>::new());
        if entries.len() > 1 {
            entries.names.shrink_to_fit();
            entries.ends.shrink_to_fit();
            for entry in (0..entries.len() as u32).rev() {
                let name = entries.name(entry);
                let hash = hasher.hash_one(name);
                let is_it = |&other: &u32| entries.name(other) == name;
                if by_name.find(hash, is_it).is_some() {
                    if let Some(coin) = entries.coin(entry) {
                        match superseded.iter_mut().find(|(known, _)| known == coin) {
                            Some((_, count)) => *count += 1,
                            None => superseded.push((coin.clone(), 1)),
                        }
                    }
                    entries.ends[entry as usize] |= SUPERSEDED;
                } else {
                    by_name
                        .insert_unique(hash, entry, |&other| hasher.hash_one(entries.name(other)));
                }
            }
        }
        if by_name.len() < entries.len() && !by_name.is_empty() {
            counting.reserve_exact(by_name.len());
            counting
                .extend((0..entries.len() as u32).filter(|&entry| !entries.is_superseded(entry)));
        }
        Switches { entries, counting, by_name, hasher, superseded }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Coins;

    fn switches(groups: &[(&str, &[&str])]) -> Switches {
        let coins = Coins::new(&["btc", "bcc"]).unwrap();
        let mut builder = SwitchesBuilder::new(false);
        for (coin, names) in groups {
            names.iter().for_each(|name| builder.add(name).unwrap());
            builder.set_coin(coins.get(coin).unwrap());
        }
        builder.build()
    }

    fn shown(switches: &Switches) -> Vec<String> {
        let coin = |coin: Option<&Coin>| coin.map_or("-".to_owned(), Coin::to_string);
        let entries = switches.iter();
        entries.map(|it| format!("{}={} {:?}", it.puname, coin(it.coin), it.place)).collect()
    }

    #[test]
    fn of_several_entries_for_a_sub_account_the_last_one_counts() {
        let switches = switches(&[("btc", &["a", "b", "a"]), ("bcc", &["c", "a"])]);
        let expected =
            ["a=btc None", "b=btc Some(0)", "a=btc None", "c=bcc Some(1)", "a=bcc Some(2)"];
        assert_eq!(shown(&switches), expected);
        assert_eq!((switches.entries(), switches.len()), (5, 3));
        let superseded: Vec<_> = switches.superseded().iter().map(|(_, count)| *count).collect();
        assert_eq!(superseded, [2], "of btc");
        for (place, (name, coin)) in [("b", "btc"), ("c", "bcc"), ("a", "bcc")].iter().enumerate() {
            assert_eq!(switches.puname(place).as_str(), *name);
            assert_eq!(switches.coin(place).map(Coin::as_str), Some(*coin));
            assert_eq!(switches.find(name), Some(place));
        }
        assert_eq!(switches.find("d"), None);
        assert_eq!(switches.iter_from(3, 1).next(), switches.iter().nth(3));
    }

    #[test]
    fn a_single_entry_and_none_are_requests_too() {
        let one = switches(&[("btc", &["a"])]);
        assert_eq!(shown(&one), ["a=btc Some(0)"]);
        assert_eq!((one.find("a"), one.find("b")), (Some(0), None));
        let none = switches(&[("btc", &[])]);
        assert!(none.is_empty() && none.find("a").is_none());
        let name = Switches::of_name(&Puname::parse("a").unwrap());
        assert_eq!(shown(&name), ["a=- Some(0)"]);
    }

    #[test]
    fn names_are_checked_as_they_are_written() {
        let mut builder = SwitchesBuilder::new(true);
        assert_eq!(builder.add(""), Err(PunameError::Empty));
        assert!(matches!(builder.add("a/b"), Err(PunameError::Invalid(_))));
        // U+023A takes two bytes, its lower case three.
        assert!(builder.add(&"\u{23a}".repeat(100)).is_err());
        builder.add("ALICE").unwrap();
        builder.add("\u{130}").unwrap();
        builder.add("alice").unwrap();
        let switches = builder.build();
        let names: Vec<_> = switches.iter().map(|entry| entry.puname).collect();
        assert_eq!((names, switches.len()), (vec!["alice", "i", "alice"], 2));
    }

    #[test]
    fn many_names_are_found_each_at_its_place() {
        let names: Vec<String> = (0..5_000).map(|n| format!("u{}", n % 3_000)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let switches = switches(&[("btc", &names)]);
        assert_eq!((switches.entries(), switches.len()), (5_000, 3_000));
        assert!((0..3_000).all(|place| switches.find(switches.name(place)) == Some(place)));
        let counting = switches.iter().filter_map(|entry| entry.place);
        assert!(counting.eq(0..3_000));
    }
}
