//! Database of a backend: sub-accounts, their coins, the time of each change, and the list of each coin.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::Reply;

/// A backend without faults: it returns all that changed at `last_date` or later, and all puids above `last_id`.
#[derive(Clone, Debug, Default)]
pub struct Backend {
    /// By name: the coin, and the second of its last change.
    sub_accounts: BTreeMap<String, (String, i64)>,
    /// The sub-accounts of each coin, by puid.
    lists: BTreeMap<String, BTreeMap<u32, String>>,
    last_puid: u32,
}

impl Backend {
    /// Switches a sub-account at a certain second.
    pub fn switch(&mut self, name: &str, coin: &str, at: i64) {
        self.sub_accounts.insert(name.to_owned(), (coin.to_owned(), at));
    }

    /// Adds a sub-account to the lists of these coins under one new puid, which it returns. One sequence of puids
    /// serves all lists. A sub-account that is there keeps its puid.
    pub fn list(&mut self, name: &str, coins: &[&str]) -> u32 {
        let known = self.lists.values().flatten().find(|(_, known)| *known == name);
        let puid = known.map_or(self.last_puid + 1, |(&puid, _)| puid);
        self.last_puid = self.last_puid.max(puid);
        for &coin in coins {
            self.lists.entry(coin.to_owned()).or_default().insert(puid, name.to_owned());
        }
        puid
    }

    /// A backend without sub-accounts, whose next puid follows this one.
    pub fn after(last_puid: u32) -> Self {
        Self { last_puid, ..Self::default() }
    }

    /// The largest puid so far.
    pub fn last_puid(&self) -> u32 {
        self.last_puid
    }

    /// Adds a sub-account to the lists of these coins under a new puid, which it returns, also one that has a puid.
    pub fn list_anew(&mut self, name: &str, coins: &[&str]) -> u32 {
        self.last_puid += 1;
        for &coin in coins {
            self.lists.entry(coin.to_owned()).or_default().insert(self.last_puid, name.to_owned());
        }
        self.last_puid
    }

    /// The sub-accounts of a coin whose puid is above `last_id`.
    pub fn list_answer(&self, coin: &str, last_id: u32) -> Reply {
        let list = self.lists.get(coin);
        let entries = list.into_iter().flatten().filter(|(puid, _)| **puid > last_id);
        let data: Map<String, Value> =
            entries.map(|(puid, name)| (name.clone(), json!(puid))).collect();
        Reply::json(&json!({"err_no": 0, "err_msg": null, "data": data}).to_string())
    }

    /// How many entries an answer from `last_date` on has.
    pub fn changed_since(&self, last_date: i64) -> usize {
        self.sub_accounts.values().filter(|(_, at)| *at >= last_date).count()
    }

    /// The answer at the second `now`.
    pub fn answer(&self, last_date: i64, now: i64) -> Reply {
        let changed = self.sub_accounts.iter().filter(|(_, (_, at))| *at >= last_date);
        let entries: Vec<_> =
            changed.map(|(name, (coin, _))| (name.as_str(), coin.as_str())).collect();
        Reply::map(&entries, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sequence_of_puids_serves_all_lists() {
        let mut backend = Backend::default();
        assert_eq!(backend.list("a", &["btc"]), 1);
        assert_eq!(backend.list("b", &["btc", "bcc"]), 2);
        assert_eq!(backend.list("a", &["bcc"]), 1);
        let puids = |coin| backend.lists[coin].keys().copied().collect::<Vec<u32>>();
        assert_eq!([puids("btc"), puids("bcc")], [[1, 2], [1, 2]]);
    }

    #[test]
    fn a_sub_account_may_get_another_puid() {
        let mut backend = Backend::after(6);
        assert_eq!(backend.list("a", &["btc"]), 7);
        assert_eq!((backend.list_anew("a", &["bcc"]), backend.last_puid()), (8, 8));
        assert_eq!((backend.lists["btc"].len(), backend.lists["bcc"].len()), (1, 1));
    }

    #[test]
    fn what_changed_in_the_very_second_is_in_the_answer() {
        let mut backend = Backend::default();
        backend.switch("a", "btc", 10);
        backend.switch("b", "btc", 11);
        backend.switch("a", "bcc", 12);
        let changed = [0, 11, 12, 13].map(|last_date| backend.changed_since(last_date));
        assert_eq!(changed, [2, 2, 1, 0]);
    }
}
