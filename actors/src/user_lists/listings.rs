//! The lists that all threads share: `UserLists` alone changes them; the list API and `ZkWriter` read without a lock.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;

use super::{
    document::{Document, ListDocument},
    list::{List, merged},
};
use crate::domain::Coin;

/// Handle to all lists. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Listings(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    lists: ArcSwap<Lists>,
    changes: AtomicU64,
    /// Held while `lists` is replaced; readers do not take it.
    writing: Mutex<()>,
    /// Distinguishes the entity tags of this process from those of others.
    tag: u64,
}

#[derive(Clone, Debug, Default)]
struct Lists {
    by_coin: BTreeMap<Coin, Arc<Shown>>,
    merged: Arc<OnceLock<Arc<Document>>>,
}

/// A list and its document.
#[derive(Clone, Debug, Default)]
struct Shown {
    list: List,
    /// Whether a pull has succeeded.
    is_complete: bool,
    /// Whether the first pull has ended, with or without success.
    was_tried: bool,
    document: OnceLock<Arc<Document>>,
}

impl Shown {
    fn document(&self) -> &Arc<Document> {
        let entries = || self.list.iter().map(|(puid, name, _)| (puid, name));
        self.document.get_or_init(|| Arc::new(Document::of(entries(), self.list.change)))
    }
}

impl Lists {
    fn merged(&self) -> Arc<Document> {
        let mut lists = self.by_coin.values();
        if let (Some(only), None) = (lists.next(), lists.next()) {
            return Arc::clone(only.document());
        }
        let document = self.merged.get_or_init(|| {
            let change = self.by_coin.values().map(|it| it.list.change).max().unwrap_or_default();
            let entries = merged(self.by_coin.values().map(|it| &it.list));
            Arc::new(Document::of(entries, change))
        });
        Arc::clone(document)
    }
}

/// Whether a sub-account is in a coin's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    /// The coin has no list.
    NoList,
    /// The list lacks the name.
    No,
    /// Seconds since 1970 at which the list first had the name.
    Since(u64),
}

/// A sub-account in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedAs {
    /// The list's coin.
    pub coin: Coin,
    /// First sight, in seconds since 1970.
    pub since: u64,
    /// Puids with the spelling of each, the first few by rising puid. Stratum servers keep the first.
    pub puids: Vec<(u32, String)>,
}

/// Size of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListSize {
    /// Number of entries.
    pub entries: usize,
    /// 0 in an empty list.
    pub largest_puid: u32,
    /// Whether the list is served: it was complete once.
    pub is_served: bool,
}

/// Puids of a sub-account that [`Listings::look_up`] returns.
const PUIDS_SHOWN: usize = 5;

/// Answer of the list API.
#[derive(Clone, Debug)]
pub enum ListAnswer {
    /// No pull of the list has succeeded yet; for the merged list: the first pull of some list has not ended.
    NotReady,
    /// The JSON document.
    List(ListDocument),
}

impl Listings {
    /// Empty lists of these coins, whose first pulls have not ended. With `ignore_case`, names that differ in case only
    /// are one sub-account.
    pub fn of(coins: impl IntoIterator<Item = Coin>, ignore_case: bool) -> Self {
        let empty = Shown { list: List::new(ignore_case), ..Shown::default() };
        let by_coin = coins.into_iter().map(|coin| (coin, Arc::new(empty.clone()))).collect();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let tag = u64::try_from(since.as_nanos()).unwrap_or_default();
        let lists = ArcSwap::from_pointee(Lists { by_coin, ..Lists::default() });
        Self(Arc::new(Shared { lists, tag, ..Shared::default() }))
    }

    /// Whether no coin has a list: then no path serves one, and no switch is held.
    pub fn is_empty(&self) -> bool {
        self.0.lists.load().by_coin.is_empty()
    }

    /// The sub-accounts of a coin, or of all, whose puid is above `after`, by rising puid. An unknown coin has an empty
    /// list. A list is ready once a pull has succeeded, the merged one once the first pull of each list has ended, with
    /// or without success (user-list contract, section 4).
    pub fn answer(&self, coin: Option<&str>, after: u32) -> ListAnswer {
        let lists = self.0.lists.load();
        let document = match coin {
            None if lists.by_coin.values().all(|it| it.was_tried) => lists.merged(),
            Some(coin) => match lists.by_coin.get(coin) {
                None => Arc::new(Document::of([], 0)),
                Some(shown) if shown.is_complete => Arc::clone(shown.document()),
                Some(_) => return ListAnswer::NotReady,
            },
            None => return ListAnswer::NotReady,
        };
        ListAnswer::List(document.after(after, self.0.tag))
    }

    /// Whether the list of `coin` has this sub-account. In case-insensitive mode the case makes no difference.
    pub(crate) fn find(&self, coin: &Coin, name: &str) -> Listed {
        match self.0.lists.load().by_coin.get(coin) {
            None => Listed::NoList,
            Some(shown) => {
                let since = shown.list.first_seen(name);
                since.map_or(Listed::No, |at| Listed::Since(u64::from(at)))
            }
        }
    }

    /// The name of a puid in the list of `coin`.
    pub(crate) fn name(&self, coin: &Coin, puid: u32) -> Option<String> {
        let lists = self.0.lists.load();
        lists.by_coin.get(coin)?.list.get(puid).map(str::to_owned)
    }

    /// Size of the list of `coin`.
    pub fn size(&self, coin: &Coin) -> ListSize {
        let lists = self.0.lists.load();
        let Some(Shown { list, is_complete, .. }) = lists.by_coin.get(coin).map(|it| &**it) else {
            return ListSize::default();
        };
        let (entries, largest_puid) = (list.len(), list.largest_puid());
        ListSize { entries, largest_puid, is_served: *is_complete }
    }

    /// The coins whose lists are served.
    pub(crate) fn served(&self) -> Vec<Coin> {
        let lists = self.0.lists.load();
        let served = lists.by_coin.iter().filter(|(_, shown)| shown.is_complete);
        served.map(|(coin, _)| coin.clone()).collect()
    }

    /// The lists that have this sub-account. In case-insensitive mode the case makes no difference.
    pub fn look_up(&self, name: &str) -> Vec<ListedAs> {
        let lists = self.0.lists.load();
        let found = lists.by_coin.iter().filter_map(|(coin, shown)| {
            let since = u64::from(shown.list.first_seen(name)?);
            let puids = shown.list.of_name(name).take(PUIDS_SHOWN);
            let puids = puids.map(|(puid, name)| (puid, name.to_owned())).collect();
            Some(ListedAs { coin: coin.clone(), since, puids })
        });
        found.collect()
    }

    /// Adds entries to the list of `coin`, by rising puid, all at once; `at` has the first sight of a puid, in seconds
    /// since 1970. Returns whether the list has changed. Renders the new documents, so that no client waits for that.
    pub(crate) fn insert(
        &self,
        coin: &Coin,
        entries: &[(u32, &str)],
        at: impl Fn(u32) -> u64,
    ) -> bool {
        let change = self.0.changes.fetch_add(1, Relaxed) + 1;
        let at = |puid| u32::try_from(at(puid)).unwrap_or(u32::MAX);
        let is_changed = self.change(coin, |shown| {
            let list = shown.list.with(entries, at, change)?;
            Some(Shown { list, document: OnceLock::new(), ..shown.clone() })
        });
        if is_changed {
            let lists = self.0.lists.load();
            if lists.by_coin.values().all(|it| it.was_tried) {
                lists.merged();
            }
            if let Some(shown) = lists.by_coin.get(coin) {
                shown.document();
            }
        }
        is_changed
    }

    /// Records the end of a pull. The list is served from its first complete pull on.
    pub(crate) fn pulled(&self, coin: &Coin, is_complete: bool) {
        self.change(coin, |shown| {
            let is_news = !shown.was_tried || (is_complete && !shown.is_complete);
            let is_complete = is_complete || shown.is_complete;
            is_news.then(|| Shown { was_tried: true, is_complete, ..shown.clone() })
        });
    }

    fn change(&self, coin: &Coin, next: impl FnOnce(&Shown) -> Option<Shown>) -> bool {
        let _writing = self.0.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lists = Lists::clone(&self.0.lists.load());
        let Some(shown) = lists.by_coin.get_mut(coin) else { return false };
        let Some(next) = next(shown) else { return false };
        if next.list.change != shown.list.change {
            lists.merged = Arc::default();
        }
        *shown = Arc::new(next);
        self.0.lists.store(Arc::new(lists));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Coins;

    fn coin(name: &str) -> Coin {
        Coins::new(&[name]).unwrap().get(name).unwrap().clone()
    }

    fn served(answer: ListAnswer) -> Option<String> {
        match answer {
            ListAnswer::NotReady => None,
            ListAnswer::List(document) => Some(String::from_utf8(document.parts.concat()).unwrap()),
        }
    }

    fn data(text: &str) -> Option<String> {
        Some(format!("{{\"err_no\":0,\"err_msg\":null,\"data\":{{{text}}}}}"))
    }

    #[test]
    fn a_list_is_served_from_its_first_complete_pull_on() {
        let (btc, bcc) = (coin("btc"), coin("bcc"));
        let lists = Listings::of([btc.clone(), bcc.clone()], false);
        assert!(served(lists.answer(Some("btc"), 0)).is_none());
        lists.insert(&btc, &[(1, "alice"), (7, "b\"ob")], |_| 10);
        assert!(served(lists.answer(Some("btc"), 0)).is_none(), "the pull has not ended");
        lists.pulled(&btc, true);
        assert_eq!(served(lists.answer(Some("btc"), 0)), data("\"alice\":1,\"b\\\"ob\":7"));
        assert!(served(lists.answer(None, 0)).is_none(), "one list was never pulled");
        lists.pulled(&bcc, false);
        assert!(served(lists.answer(Some("bcc"), 0)).is_none());
        assert_eq!(served(lists.answer(None, 1)), data("\"b\\\"ob\":7"));
        lists.insert(&bcc, &[(3, "carol"), (7, "dave")], |_| 20);
        lists.pulled(&bcc, true);
        lists.pulled(&btc, false);
        assert_eq!(served(lists.answer(None, 0)), data("\"alice\":1,\"carol\":3,\"dave\":7"));
        assert_eq!(served(lists.answer(Some("btc"), 5)), data("\"b\\\"ob\":7"));
        assert_eq!(served(lists.answer(Some("btc"), 7)), data(""));
        assert_eq!(served(lists.answer(Some("BTC"), 0)), data(""), "no such coin");
    }

    #[test]
    fn an_answer_is_shared_until_the_list_changes() {
        let btc = coin("btc");
        let lists = Listings::of([btc.clone()], false);
        lists.pulled(&btc, true);
        lists.insert(&btc, &[(1, "alice")], |_| 10);
        let whole = |coin: Option<&str>| match lists.answer(coin, 0) {
            ListAnswer::List(document) => document,
            ListAnswer::NotReady => panic!("not ready"),
        };
        let (first, again) = (whole(Some("btc")), whole(None));
        assert_eq!(first.parts[1].as_ptr(), again.parts[1].as_ptr());
        assert_eq!(first.etag, again.etag);
        assert!(!lists.insert(&btc, &[(1, "alice")], |_| 20));
        assert_eq!(whole(None).etag, first.etag);
        assert!(lists.insert(&btc, &[(1, "bob")], |_| 20));
        assert_ne!(whole(None).etag, first.etag);
    }

    #[test]
    fn a_look_up_finds_a_name_in_all_lists() {
        let (btc, bcc) = (coin("btc"), coin("bcc"));
        let lists = Listings::of([btc.clone(), bcc.clone()], true);
        assert_eq!(lists.size(&btc), ListSize::default());
        lists.insert(&btc, &[(1, "Alice"), (2, "bob"), (9, "ALICE")], |_| 10);
        lists.insert(&bcc, &[(4, "alice")], |_| 20);
        lists.pulled(&btc, true);
        let names = |puids: &[(u32, &str)]| {
            puids.iter().map(|(puid, name)| (*puid, (*name).to_owned())).collect::<Vec<_>>()
        };
        let listed = |coin: &Coin, since, puids: &[(u32, &str)]| ListedAs {
            coin: coin.clone(),
            since,
            puids: names(puids),
        };
        let expected =
            [listed(&bcc, 20, &[(4, "alice")]), listed(&btc, 10, &[(1, "Alice"), (9, "ALICE")])];
        assert_eq!(lists.look_up("aLice"), expected);
        assert_eq!(lists.look_up("carol"), []);
        let size = ListSize { entries: 3, largest_puid: 9, is_served: true };
        assert_eq!(lists.size(&btc), size);
        assert!(!lists.size(&bcc).is_served);
    }

    #[test]
    fn a_name_is_found_in_its_list_only() {
        let (btc, bcc) = (coin("btc"), coin("bcc"));
        let lists = Listings::of([btc.clone()], true);
        lists.insert(&btc, &[(1, "Alice")], |_| 10);
        assert_eq!(lists.find(&btc, "alice"), Listed::Since(10));
        assert_eq!(lists.find(&btc, "bob"), Listed::No);
        assert_eq!(lists.find(&bcc, "alice"), Listed::NoList);
    }
}
