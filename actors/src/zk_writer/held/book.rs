//! The known held switches, without clock or network.
//!
//! ZooKeeper has the truth; this is a timetable of looks at it. A name is looked at when its time comes, and the look
//! decides by what ZooKeeper has then. So an entry that is wrong costs a look, never a switch.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::intent::Intent;
use crate::domain::Coin;

#[derive(Debug, Default)]
pub(crate) struct Book {
    known: HashMap<String, Entry>,
    /// Names by the time of the next look, in milliseconds since 1970.
    looks: BTreeSet<(u64, String)>,
}

#[derive(Debug)]
struct Entry {
    /// `None` until the first look.
    intent: Option<Intent>,
    look: u64,
}

impl Book {
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    pub(crate) fn intent(&self, name: &str) -> Option<&Intent> {
        self.known.get(name)?.intent.as_ref()
    }

    /// Takes in a committed intent, to be looked at when it is due.
    pub(crate) fn note(&mut self, name: &str, intent: Intent) {
        let look = intent.due;
        self.schedule(name, Some(intent), look);
    }

    /// Sets another time for the next look at a known name, such as 0: at once.
    pub(crate) fn postpone(&mut self, name: &str, look: u64) {
        if let Some(entry) = self.known.get(name) {
            let intent = entry.intent.clone();
            self.schedule(name, intent, look);
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        if let Some(entry) = self.known.remove(name) {
            self.looks.remove(&(entry.look, name.to_owned()));
        }
    }

    /// Takes in the names of all intents: new ones are due for a look at once, missing ones are forgotten.
    pub(crate) fn listed(&mut self, names: Vec<String>) {
        let names: HashSet<String> = names.into_iter().collect();
        let gone: Vec<String> =
            self.known.keys().filter(|name| !names.contains(*name)).cloned().collect();
        gone.iter().for_each(|name| self.remove(name));
        for name in names {
            if !self.known.contains_key(&name) {
                self.schedule(&name, None, 0);
            }
        }
    }

    /// Schedules looks at once at all intents, or at those for `coin`.
    pub(crate) fn look_again(&mut self, coin: Option<&Coin>) {
        let is_it = |entry: &Entry| {
            coin.is_none_or(|coin| entry.intent.as_ref().is_some_and(|it| it.coin == *coin))
        };
        let names = self.known.iter().filter(|(_, entry)| is_it(entry)).map(|(name, _)| name);
        for name in names.cloned().collect::<Vec<_>>() {
            self.postpone(&name, 0);
        }
    }

    /// The next names to be due, with their intents as far as they were read; at most `limit`.
    pub(crate) fn next(&self, limit: usize) -> Vec<(String, Option<Intent>)> {
        // By the next look, which is close to the due time.
        let mut next: Vec<_> = self
            .looks
            .iter()
            .take(limit)
            .map(|(_, name)| (name.clone(), self.intent(name).cloned()))
            .collect();
        next.sort_by_key(|(_, intent)| intent.as_ref().map(|intent| intent.due));
        next
    }

    /// The names whose look is due, the most urgent first; at most `limit`.
    pub(crate) fn due(&self, now: u64, limit: usize) -> Vec<String> {
        let due = self.looks.iter().take_while(|(look, _)| *look <= now);
        due.map(|(_, name)| name.clone()).take(limit).collect()
    }

    pub(crate) fn is_due(&self, now: u64) -> bool {
        self.next_look().is_some_and(|look| look <= now)
    }

    pub(crate) fn next_look(&self) -> Option<u64> {
        self.looks.first().map(|(look, _)| *look)
    }

    pub(crate) fn is_known(&self, name: &str) -> bool {
        self.known.contains_key(name)
    }

    /// Milliseconds by which the oldest due time has passed.
    pub(crate) fn overdue(&self, now: u64) -> u64 {
        let entries = self.known.values().filter_map(|entry| entry.intent.as_ref());
        entries.map(|intent| now.saturating_sub(intent.due)).max().unwrap_or(0)
    }

    fn schedule(&mut self, name: &str, intent: Option<Intent>, look: u64) {
        self.remove(name);
        self.known.insert(name.to_owned(), Entry { intent, look });
        self.looks.insert((look, name.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Coins, Source};

    fn intent(due: u64) -> Intent {
        let coin = Coins::new(&["bcc"]).unwrap().get("bcc").unwrap().clone();
        Intent { coin, due, source: Source::poll(crate::domain::RequestId(1)), mark: None }
    }

    #[test]
    fn a_name_is_looked_at_when_it_is_due_and_not_before() {
        let mut book = Book::default();
        book.note("late", intent(20));
        book.note("soon", intent(10));
        assert!(book.due(9, 9).is_empty() && !book.is_due(9));
        assert_eq!(book.due(10, 9), ["soon"]);
        assert_eq!(book.due(20, 9), ["soon", "late"]);
        assert_eq!(book.due(20, 1), ["soon"]);
        assert_eq!((book.overdue(9), book.overdue(25)), (0, 15));
        book.note("soon", intent(30));
        assert_eq!(book.due(20, 9), ["late"], "a later switch has replaced it");
        book.remove("late");
        assert_eq!((book.due(29, 9).len(), book.len()), (0, 1));
    }

    #[test]
    fn a_list_adds_unknown_names_and_drops_missing_ones() {
        let mut book = Book::default();
        book.note("ours", intent(10));
        book.note("gone", intent(10));
        book.listed(vec!["ours".to_owned(), "theirs".to_owned()]);
        assert_eq!(book.due(0, 9), ["theirs"]);
        assert_eq!(book.due(10, 9), ["theirs", "ours"]);
        assert_eq!(book.len(), 2);
    }

    #[test]
    fn all_intents_or_those_for_a_coin_are_looked_at_again() {
        let mut book = Book::default();
        book.note("a", intent(10));
        book.postpone("a", 99);
        let other = Coins::new(&["btc"]).unwrap().get("btc").unwrap().clone();
        book.look_again(Some(&other));
        assert!(!book.is_due(50));
        for coin in [Some(&intent(10).coin), None] {
            book.look_again(coin);
            assert_eq!(book.due(0, 9), ["a"]);
            assert_eq!(book.intent("a"), Some(&intent(10)));
            book.postpone("a", 99);
        }
    }
}
