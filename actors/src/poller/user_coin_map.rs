//! A user-coin map in memory: a million entries at eight bytes and a name each.

use std::cmp::Ordering;

use crate::domain::{Assignment, Coin, Puname, SwitchRules, fit_name};

/// Bad entries that are logged by name; further ones are counted.
pub(super) const BAD_SHOWN: usize = 20;

/// The entries of an answer, in the order of its text.
#[derive(Debug)]
pub(super) struct UserCoinMap {
    coins: Vec<Coin>,
    /// All names in one text.
    names: String,
    entries: Vec<MapEntry>,
    bad: BadEntries,
    rules: SwitchRules,
}

#[derive(Clone, Copy, Debug)]
struct MapEntry {
    /// End of its name in `names`.
    end: u32,
    /// Index in `coins`, or [`NO_COIN`].
    coin: u16,
}

/// The coin of an entry that is bad, but takes the place of an earlier one with its name.
const NO_COIN: u16 = u16::MAX;

/// Entries that cannot be written, ever.
#[derive(Clone, Debug, Default)]
pub(crate) struct BadEntries {
    pub(crate) count: usize,
    /// Name and fault of the first ones, fit for the log.
    pub(super) shown: Vec<(String, String)>,
}

impl UserCoinMap {
    pub(super) fn new(rules: SwitchRules) -> Self {
        Self {
            coins: rules.coins.iter().cloned().collect(),
            names: String::new(),
            entries: Vec::new(),
            bad: BadEntries::default(),
            rules,
        }
    }

    pub(super) fn clear(&mut self) {
        self.names.clear();
        self.entries.clear();
        self.bad = BadEntries::default();
    }

    /// Adds an entry, or notes that it is bad. `coin` is `None` for a value that is no text. Of several entries for one
    /// sub-account, the last one counts.
    pub(super) fn add(&mut self, name: &str, coin: Option<&str>) {
        let puname = match self.rules.puname(name) {
            Ok(puname) => puname,
            Err(error) => return self.add_bad(name, format!("the name {error}")),
        };
        let known = coin.and_then(|coin| self.coins.iter().position(|it| it.as_str() == coin));
        let known = known.and_then(|index| u16::try_from(index).ok());
        if known.is_none() {
            let fault = coin.map_or_else(
                || "its value is not a text".to_owned(),
                |coin| format!("the coin {} is none of AvailableCoins", fit_name(coin)),
            );
            self.add_bad(name, fault);
        }
        self.names.push_str(puname.as_str());
        // The limit on a body's size keeps the names below four gigabytes.
        let end = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.entries.push(MapEntry { end, coin: known.unwrap_or(NO_COIN) });
    }

    fn add_bad(&mut self, name: &str, fault: String) {
        self.bad.count += 1;
        if self.bad.shown.len() < BAD_SHOWN {
            self.bad.shown.push((fit_name(name), fault));
        }
    }

    /// Number of entries that were added, including bad and repeated ones.
    pub(crate) fn entries(&self) -> usize {
        // An entry with a bad name is in the count of bad ones only.
        let bad_coins = self.entries.iter().filter(|entry| entry.coin == NO_COIN).count();
        self.entries.len() + self.bad.count - bad_coins
    }

    /// Sorts the entries and keeps the last one of each name. Takes a while for a large map.
    pub(super) fn settled(self) -> SettledMap {
        let mut order: Vec<u32> = (0..).take(self.entries.len()).collect();
        let name = |index: u32| self.name(index as usize);
        order.sort_unstable_by(|&a, &b| match name(a).cmp(name(b)) {
            Ordering::Equal => b.cmp(&a),
            other => other,
        });
        order.dedup_by(|later, kept| name(*later) == name(*kept));
        order.retain(|&index| self.entries[index as usize].coin != NO_COIN);
        SettledMap { map: self, order }
    }

    fn name(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.entries[before].end as usize);
        &self.names[start..self.entries[index].end as usize]
    }

    fn coin(&self, index: usize) -> Option<&Coin> {
        self.coins.get(usize::from(self.entries[index].coin))
    }
}

/// The entries to write, each sub-account once.
#[derive(Debug)]
pub(crate) struct SettledMap {
    map: UserCoinMap,
    order: Vec<u32>,
}

impl SettledMap {
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Number of entries of the answer, including bad and repeated ones.
    pub(crate) fn entries(&self) -> usize {
        self.map.entries()
    }

    pub(crate) fn bad(&self) -> &BadEntries {
        &self.map.bad
    }

    /// At most `size` entries from the one at `from` on.
    pub(super) fn part(&self, from: usize, size: usize) -> Vec<Assignment> {
        let part = self.order.iter().skip(from).take(size).filter_map(|&index| {
            let coin = self.map.coin(index as usize)?.clone();
            let puname = Puname::parse(self.map.name(index as usize)).ok()?;
            Some(Assignment { puname, coin })
        });
        part.collect()
    }

    /// The coins of the entries from the one at `from` on.
    pub(super) fn coins(&self, from: usize) -> impl Iterator<Item = &Coin> {
        self.order.iter().skip(from).filter_map(|&index| self.map.coin(index as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Coins;

    fn map(lower_case: bool, entries: &[(&str, &str)]) -> UserCoinMap {
        let coins = Coins::new(&["btc", "bcc"]).unwrap();
        let mut map = UserCoinMap::new(SwitchRules { coins, lower_case });
        for (name, coin) in entries {
            map.add(name, Some(coin));
        }
        map
    }

    fn switches(map: UserCoinMap) -> Vec<(String, String)> {
        let settled = map.settled();
        let parts: Vec<_> =
            (0..settled.len()).step_by(2).map(|from| settled.part(from, 2)).collect();
        assert!(parts.iter().all(|part| part.len() <= 2));
        assert_eq!(parts.iter().map(Vec::len).sum::<usize>(), settled.len());
        let all = parts.into_iter().flatten();
        all.map(|entry| (entry.puname.to_string(), entry.coin.to_string())).collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|&(name, coin)| (name.to_owned(), coin.to_owned())).collect()
    }

    #[test]
    fn each_sub_account_is_in_it_once_with_its_last_value() {
        let entries = [("b", "btc"), ("a", "bcc"), ("b", "bcc"), ("c", "btc"), ("a", "btc")];
        let expected = pairs(&[("a", "btc"), ("b", "bcc"), ("c", "btc")]);
        assert_eq!(switches(map(false, &entries)), expected);
    }

    #[test]
    fn names_that_are_one_in_lower_case_are_one() {
        let entries = [("Alice", "btc"), ("ALICE", "bcc")];
        assert_eq!(switches(map(true, &entries)), pairs(&[("alice", "bcc")]));
        assert_eq!(switches(map(false, &entries)).len(), 2);
    }

    #[test]
    fn a_bad_entry_takes_the_place_of_a_good_one_of_its_name() {
        let map = map(false, &[("a", "btc"), ("a", "ltc"), ("b", "btc")]);
        assert_eq!((map.bad.count, map.entries()), (1, 3));
        assert_eq!(switches(map), pairs(&[("b", "btc")]));
    }

    #[test]
    fn bad_entries_are_shown_up_to_a_number() {
        let mut map = map(false, &[("a/b", "btc"), ("x", "LTC\u{1b}")]);
        map.add("y", None);
        let shown: Vec<_> = map.bad.shown.iter().map(|(name, fault)| (&**name, &**fault)).collect();
        assert_eq!(
            shown,
            [
                ("a/b", "the name contains a slash"),
                ("x", r#"the coin "LTC\u{1b}" is none of AvailableCoins"#),
                ("y", "its value is not a text"),
            ]
        );
        for _ in 0..100 {
            map.add("", Some("btc"));
        }
        assert_eq!((map.bad.count, map.bad.shown.len(), map.entries()), (103, BAD_SHOWN, 103));
        map.clear();
        assert_eq!((map.bad.count, map.entries()), (0, 0));
    }
}
