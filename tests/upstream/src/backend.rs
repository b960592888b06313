//! Database of a backend: sub-accounts, their coins, and the time of each change.

use std::collections::BTreeMap;

use crate::Reply;

/// A backend that answers by the book: all that changed at `last_date` or later.
#[derive(Clone, Debug, Default)]
pub struct Backend {
    /// By name: the coin, and the second of its last change.
    sub_accounts: BTreeMap<String, (String, i64)>,
}

impl Backend {
    /// Switches a sub-account at a certain second.
    pub fn switch(&mut self, name: &str, coin: &str, at: i64) {
        self.sub_accounts.insert(name.to_owned(), (coin.to_owned(), at));
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
    fn what_changed_in_the_very_second_is_in_the_answer() {
        let mut backend = Backend::default();
        backend.switch("a", "btc", 10);
        backend.switch("b", "btc", 11);
        backend.switch("a", "bcc", 12);
        let changed = [0, 11, 12, 13].map(|last_date| backend.changed_since(last_date));
        assert_eq!(changed, [2, 2, 1, 0]);
    }
}
