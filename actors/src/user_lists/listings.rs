//! The lists, shared: `UserLists` alone changes them; the list API and `ZkWriter` read.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use bytes::Bytes;

use crate::domain::Coin;

/// Handle to all lists. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Listings(Arc<RwLock<Lists>>);

#[derive(Debug, Default)]
struct Lists {
    by_coin: BTreeMap<Coin, List>,
}

#[derive(Debug, Default)]
struct List {
    by_puid: BTreeMap<u32, String>,
    first_seen: HashMap<String, u64>,
    is_complete: bool,
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

/// Answer of the list API.
#[derive(Clone, Debug)]
pub enum ListAnswer {
    /// The first pull has not ended.
    NotReady,
    /// The JSON document.
    List(ListDocument),
}

/// A JSON document that requests share until the list changes.
#[derive(Clone, Debug)]
pub struct ListDocument {
    /// The document.
    pub body: Bytes,
    /// The document, packed with gzip; `None` if it is too small for that.
    pub gzip: Option<Bytes>,
    /// Strong entity tag, with its quotes.
    pub etag: String,
}

impl Listings {
    /// Empty lists of these coins, whose first pulls have not ended.
    pub fn of(coins: impl IntoIterator<Item = Coin>) -> Self {
        let by_coin = coins.into_iter().map(|coin| (coin, List::default())).collect();
        Self(Arc::new(RwLock::new(Lists { by_coin })))
    }

    /// Whether no coin has a list: then no path serves one, and no switch is held.
    pub fn is_empty(&self) -> bool {
        self.read().by_coin.is_empty()
    }

    /// The sub-accounts of a coin, or of all, whose puid is above `after`, by rising puid. An unknown coin has an empty
    /// list.
    pub fn answer(&self, coin: Option<&str>, after: u32) -> ListAnswer {
        let lists = self.read();
        let mut entries = BTreeMap::new();
        for (name, list) in &lists.by_coin {
            if coin.is_some_and(|coin| coin != name.as_str()) {
                continue;
            }
            if !list.is_complete {
                return ListAnswer::NotReady;
            }
            entries.extend(list.by_puid.range(after.saturating_add(1)..));
        }
        let mut body = String::from("{\"err_no\":0,\"err_msg\":null,\"data\":{");
        for (index, (puid, name)) in entries.iter().enumerate() {
            let name = serde_json::Value::from(name.as_str());
            body.push_str(&format!("{}{name}:{puid}", if index > 0 { "," } else { "" }));
        }
        body.push_str("}}");
        let etag = format!("\"{}\"", body.len());
        ListAnswer::List(ListDocument { body: body.into(), gzip: None, etag })
    }

    /// Whether the list of `coin` has this sub-account. In case-insensitive mode the case makes no difference.
    pub(crate) fn find(&self, coin: &Coin, name: &str) -> Listed {
        match self.read().by_coin.get(coin) {
            None => Listed::NoList,
            Some(list) => list.first_seen.get(name).map_or(Listed::No, |&at| Listed::Since(at)),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Lists> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}
