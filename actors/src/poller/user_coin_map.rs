//! A user-coin map that was read: a million entries in little memory.

use std::cmp::Ordering;

pub(super) use crate::domain::SwitchRules as Rules;
use crate::domain::{Assignment, Coin, Puname, Shown};

/// Bad entries that are told of by name; the others are counted.
pub(super) const BAD_TOLD: usize = 20;

/// As much of a bad entry's name, or of its coin's, is shown.
const NAME_CHARS: usize = 200;

/// The entries of an answer in the order of its text, bad ones apart.
///
/// Names lie in one text, so that an entry costs its name and eight bytes.
#[derive(Debug)]
pub(super) struct UserCoinMap {
    coins: Vec<Coin>,
    names: String,
    entries: Vec<Entry>,
    bad: Bad,
    rules: Rules,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Where its name ends in `names`.
    end: u32,
    /// Which coin of the list, [`NO_COIN`] for one that is not in it.
    coin: u16,
}

/// The coin of an entry that is bad, but takes the place of an earlier one of its name.
const NO_COIN: u16 = u16::MAX;

/// The entries that cannot be written, ever.
#[derive(Clone, Debug, Default)]
pub(super) struct Bad {
    /// How many.
    pub(super) count: usize,
    /// The first, name and fault, fit for the log.
    pub(super) told: Vec<(String, String)>,
}

/// The value of an entry, as found.
#[derive(Debug)]
pub(super) enum Value<'a> {
    /// A text, a coin's name if all is well.
    Text(&'a str),
    /// Anything else.
    NoText,
}

impl UserCoinMap {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            coins: rules.coins.iter().cloned().collect(),
            names: String::new(),
            entries: Vec::new(),
            bad: Bad::default(),
            rules,
        }
    }

    /// Forgets what was added.
    pub(super) fn clear(&mut self) {
        self.names.clear();
        self.entries.clear();
        self.bad = Bad::default();
    }

    /// Adds an entry, or takes note that it is bad. Of several for one sub-account the last one counts.
    pub(super) fn add(&mut self, name: &str, value: &Value<'_>) {
        let puname = match self.rules.puname(name) {
            Ok(puname) => puname,
            Err(error) => return self.add_bad(name, format!("the name {error}")),
        };
        let coin = match value {
            Value::Text(coin) => self.coins.iter().position(|known| known.as_str() == *coin),
            Value::NoText => None,
        };
        let coin = coin.and_then(|index| u16::try_from(index).ok()).unwrap_or(NO_COIN);
        if coin == NO_COIN {
            self.add_bad(
                name,
                match value {
                    Value::Text(coin) => {
                        format!("the coin {} is none of AvailableCoins", in_short(coin))
                    }
                    Value::NoText => "its value is not a text".to_owned(),
                },
            );
        }
        self.names.push_str(puname.as_str());
        // The limit on a body's size keeps the names below four gigabytes.
        let end = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.entries.push(Entry { end, coin });
    }

    fn add_bad(&mut self, name: &str, fault: String) {
        self.bad.count += 1;
        if self.bad.told.len() < BAD_TOLD {
            self.bad.told.push((in_short(name), fault));
        }
    }

    /// How many entries were added, bad and repeated ones included.
    pub(super) fn entries(&self) -> usize {
        // An entry with a bad name is in the count of bad ones only.
        let bad_coins = self.entries.iter().filter(|entry| entry.coin == NO_COIN).count();
        self.entries.len() + self.bad.count - bad_coins
    }

    /// Settles which entry of each name counts: each sub-account is then in it once. Takes a while for a large
    /// map.
    pub(super) fn settled(self) -> Settled {
        let mut order: Vec<u32> = (0..).take(self.entries.len()).collect();
        let name = |index: u32| self.name(index as usize);
        order.sort_unstable_by(|&a, &b| match name(a).cmp(name(b)) {
            Ordering::Equal => b.cmp(&a),
            other => other,
        });
        order.dedup_by(|later, kept| name(*later) == name(*kept));
        order.retain(|&index| self.entries[index as usize].coin != NO_COIN);
        Settled { map: self, order }
    }

    fn name(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.entries[before].end as usize);
        &self.names[start..self.entries[index].end as usize]
    }
}

/// The entries to write, each sub-account once.
#[derive(Debug)]
pub(super) struct Settled {
    map: UserCoinMap,
    order: Vec<u32>,
}

impl Settled {
    /// How many.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// How many there were, bad and repeated ones included.
    pub(super) fn entries(&self) -> usize {
        self.map.entries()
    }

    /// Those that cannot be written.
    pub(super) fn bad(&self) -> &Bad {
        &self.map.bad
    }

    /// At most `size` entries from the one at `from` on.
    pub(super) fn part(&self, from: usize, size: usize) -> Vec<Assignment> {
        let part = self.order.iter().skip(from).take(size);
        part.filter_map(|&index| self.assignment(index as usize)).collect()
    }

    /// The coins of the entries from the one at `from` on.
    pub(super) fn coins(&self, from: usize) -> impl Iterator<Item = &Coin> {
        let rest = self.order.iter().skip(from);
        rest.filter_map(|&index| {
            self.map.coins.get(usize::from(self.map.entries[index as usize].coin))
        })
    }

    fn assignment(&self, index: usize) -> Option<Assignment> {
        let coin = self.map.coins.get(usize::from(self.map.entries[index].coin))?.clone();
        Puname::parse(self.map.name(index)).ok().map(|puname| Assignment { puname, coin })
    }
}

/// A text of the upstream's, fit for the log.
fn in_short(text: &str) -> String {
    match text.char_indices().nth(NAME_CHARS) {
        Some((end, _)) => format!("{}…", Shown(&text[..end])),
        None => Shown(text).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Coins;

    fn map(lower_case: bool, entries: &[(&str, &str)]) -> UserCoinMap {
        let coins = Coins::new(&["btc", "bcc"]).unwrap();
        let mut map = UserCoinMap::new(Rules { coins, lower_case });
        for (name, coin) in entries {
            map.add(name, &Value::Text(coin));
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
    fn bad_entries_are_told_of_up_to_a_number() {
        let mut map = map(false, &[("a/b", "btc"), ("x", "LTC\u{1b}")]);
        map.add("y", &Value::NoText);
        let told: Vec<_> = map.bad.told.iter().map(|(name, fault)| (&**name, &**fault)).collect();
        assert_eq!(
            told,
            [
                ("a/b", "the name contains a slash"),
                ("x", r#"the coin "LTC\u{1b}" is none of AvailableCoins"#),
                ("y", "its value is not a text"),
            ]
        );
        for _ in 0..100 {
            map.add("", &Value::Text("btc"));
        }
        assert_eq!((map.bad.count, map.bad.told.len(), map.entries()), (103, BAD_TOLD, 103));
        map.clear();
        assert_eq!((map.bad.count, map.entries()), (0, 0));
    }
}
