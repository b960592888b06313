//! One pull of a list: fetches, has first coins and index entries created, then inserts the entries into the list.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeSet, HashSet},
    hash::{BuildHasher, RandomState},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use actix::Recipient;
use futures_util::{StreamExt, stream};
use slog::Logger;
use tokio::sync::{Notify, oneshot};

use super::{
    Listings, UserListSettings,
    answer::{BadEntries, ListFormat, PulledEntry, PulledList, listed_name, znode_name},
    messages::ListsToZkWriter,
};
use crate::{
    domain::{Coin, Puname, ZnodeDir},
    upstream::{Upstream, UpstreamUrl},
    zk_writer::{
        FirstCoin, FirstCoins, FirstCoinsEnd, ListMark, ListMarks, NotCreated, WriteMarks,
    },
};

/// Entries of one message to `ZkWriter`.
const PART: usize = 500;

/// Messages under way: while ZooKeeper writes one, the next is read.
const PARTS_UNDER_WAY: usize = 4;

/// Pulls one list. Its cells are used by the loop of the list and by messages of the Registrar, on one thread.
pub(super) struct Puller {
    pub(super) coin: Coin,
    upstream: Upstream,
    format: ListFormat,
    index: Option<ZnodeDir>,
    marks: ZnodeDir,
    listings: Listings,
    zk_writer: ListsToZkWriter,
    /// The largest puid that needs no further pull.
    last_id: Cell<u32>,
    /// The list's marks; at first those from before the daemon's start.
    pub(super) known: RefCell<ListMarks>,
    /// Whether a pull was complete: entries of later ones are new.
    was_complete: Cell<bool>,
    /// Safety period in seconds, for the marks.
    period: u64,
    /// Registered sub-accounts that wait for a pull, each once, in the order of their registration.
    registered: RefCell<Vec<PulledEntry>>,
    /// Puids that entered the list without a first coin.
    unsettled: RefCell<HashSet<u32>>,
    /// Puids that ZooKeeper gave no index entry.
    unindexed: RefCell<BTreeSet<u32>>,
    /// Requests a pull at once.
    pub(super) wake: Notify,
}

/// A registered sub-account that the list cannot have.
#[derive(Debug)]
pub(super) struct Displaced {
    pub(super) name: Box<str>,
    pub(super) puid: u32,
    /// The name that the list has for its puid.
    pub(super) listed: Box<str>,
}

/// End of a pull.
#[derive(Debug, Default)]
pub(super) struct PullEnd {
    pub(super) received: usize,
    pub(super) created: usize,
    pub(super) indexed: usize,
    pub(super) index_fault: Option<String>,
    /// Entries in the list whose first coin ZooKeeper refused.
    pub(super) refused: usize,
    /// Why it refused the first of them.
    pub(super) refusal: Option<String>,
    pub(super) displaced: Vec<Displaced>,
    pub(super) bad: BadEntries,
    pub(super) is_changed: bool,
    /// Why the pull failed: no usable answer, or ZooKeeper left an entry open.
    pub(super) fault: Option<String>,
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

/// Sends a message with a reply to `ZkWriter`.
pub(super) async fn ask<M, T>(
    to: &Recipient<M>,
    message: impl FnOnce(oneshot::Sender<Result<T, String>>) -> M,
) -> Result<T, String>
where
    M: actix::Message<Result = ()> + Send,
{
    let ended = || "the ZooKeeper writer has ended".to_owned();
    let (reply, answer) = oneshot::channel();
    to.send(message(reply)).await.map_err(|_| ended())?;
    answer.await.map_err(|_| ended())?
}

impl Puller {
    pub(super) fn new(
        coin: Coin,
        url: UpstreamUrl,
        settings: &UserListSettings,
        marks: ZnodeDir,
        listings: Listings,
        zk_writer: ListsToZkWriter,
        log: &Logger,
    ) -> Self {
        Self {
            coin,
            upstream: Upstream::new(settings.fetch(url), log),
            format: ListFormat { lower_case: settings.lower_case },
            index: settings.index.clone().filter(|_| !settings.lower_case),
            marks,
            listings,
            zk_writer,
            last_id: Cell::new(0),
            known: RefCell::default(),
            was_complete: Cell::new(false),
            period: settings.safety_period().as_secs(),
            registered: RefCell::default(),
            unsettled: RefCell::default(),
            unindexed: RefCell::default(),
            wake: Notify::new(),
        }
    }

    /// Fetches what is new; no side effect.
    pub(super) async fn fetch(&self) -> Result<PulledList, String> {
        let from = i64::from(self.last_id.get());
        let fetched = self.upstream.fetch("last_id", from, self.format.clone()).await;
        fetched.map_err(|error| error.to_string())
    }

    /// Takes an answer: settles its new entries, and inserts them into the list by rising puid, up to the first that is
    /// open. An entry whose first coin ZooKeeper refused is listed, and tried again by the next pulls: N stays until no
    /// first coin is refused. `registered` is the number of registrations from before the fetch.
    pub(super) async fn take(&self, pulled: PulledList, registered: usize) -> PullEnd {
        let PulledList { entries, superseded, bad, is_unreadable } = pulled;
        let mut end = PullEnd { received: entries.len(), bad, ..PullEnd::default() };
        // Before the new ones: of names that differ in case only, the smallest puid has the index entry.
        self.index_again(&mut end).await;
        let is_new = |entry: &&PulledEntry| {
            self.unsettled.borrow().contains(&entry.puid)
                || self.listings.name(&self.coin, entry.puid).as_deref() != Some(&*entry.name)
        };
        let new: Vec<&PulledEntry> = entries.iter().filter(is_new).collect();
        // Superseded names get first coins, but are not listed.
        let all: Vec<&PulledEntry> = new.iter().copied().chain(&superseded).collect();
        let settled = self.settle_all(&all, &mut end).await.min(new.len());
        let new: Vec<_> = new[..settled].iter().map(|it| (it.puid, &*it.name)).collect();
        let (now, known, is_first) = (now(), self.known.borrow().clone(), !self.was_complete.get());
        let first_seen = |puid| known.since(puid).filter(|at| is_first && *at < now).unwrap_or(now);
        end.is_changed |= !new.is_empty() && self.listings.insert(&self.coin, &new, first_seen);
        if end.fault.is_none() {
            self.add_registered(registered, &mut end);
            self.advance(&entries, is_unreadable, &mut end).await;
            self.was_complete.set(true);
        }
        end
    }

    /// Has first coins and index entries created. Returns how many entries are settled, created or refused, before the
    /// first open one.
    async fn settle_all(&self, new: &[&PulledEntry], end: &mut PullEnd) -> usize {
        let hasher = RandomState::new();
        let hash = |name: &Puname| hasher.hash_one(name.as_str());
        let repeated = self.repeated_index_names(new, hash);
        let mut indexed = HashSet::new();
        let parts = new.chunks(PART).map(|part| {
            let coins = part.iter().filter_map(|entry| {
                let mut coin = self.first_coin(&entry.name)?;
                coin.index_name = coin.index_name.filter(|name| {
                    // Of names that differ in case only, the smallest puid has the index entry.
                    !repeated.contains(&hash(name)) || indexed.insert(name.clone())
                });
                Some(coin)
            });
            self.create(coins.collect())
        });
        let mut sent = stream::iter(parts).buffered(PARTS_UNDER_WAY);
        let mut settled = 0;
        while let Some(created) = sent.next().await {
            let created = match created {
                Ok(created) => created,
                Err(fault) => {
                    end.fault.get_or_insert(fault);
                    break;
                }
            };
            settled += self.take_ends(&new[settled..], created, end);
            if end.fault.is_some() {
                break;
            }
        }
        settled
    }

    /// Records the ends of the first entries. Returns how many are settled before the first open one.
    fn take_ends(
        &self,
        entries: &[&PulledEntry],
        FirstCoinsEnd { ends, created, indexed, not_indexed, index_fault }: FirstCoinsEnd,
        end: &mut PullEnd,
    ) -> usize {
        end.created += created;
        end.indexed += indexed;
        end.index_fault = end.index_fault.take().or(index_fault);
        self.unindexed.borrow_mut().extend(not_indexed.iter().map(|&place| entries[place].puid));
        let mut unsettled = self.unsettled.borrow_mut();
        let mut settled = 0;
        for (entry, created) in entries.iter().zip(ends) {
            match created {
                Ok(()) => {
                    unsettled.remove(&entry.puid);
                }
                Err(NotCreated::Refused(cause)) => {
                    end.refused += 1;
                    end.refusal.get_or_insert(cause);
                    unsettled.insert(entry.puid);
                }
                Err(NotCreated::Open(cause)) => {
                    end.fault.get_or_insert(cause);
                    break;
                }
            }
            settled += 1;
        }
        settled
    }

    /// Has index entries created that ZooKeeper did not take before, a part at a time until it does not take one again.
    async fn index_again(&self, end: &mut PullEnd) {
        while end.index_fault.is_none() && !self.unindexed.borrow().is_empty() {
            let part: Vec<u32> = self.unindexed.borrow().iter().copied().take(PART).collect();
            // An entry that is not listed comes again.
            let (puids, coins): (Vec<u32>, Vec<FirstCoin>) = part
                .iter()
                .filter_map(|&puid| {
                    let name = self.listings.name(&self.coin, puid)?;
                    Some((puid, self.first_coin(&name)?))
                })
                .unzip();
            match self.create(coins).await {
                Ok(FirstCoinsEnd { indexed, not_indexed, index_fault, .. }) => {
                    end.indexed += indexed;
                    end.index_fault = index_fault;
                    let mut unindexed = self.unindexed.borrow_mut();
                    unindexed.retain(|puid| part.binary_search(puid).is_err());
                    unindexed.extend(not_indexed.iter().map(|&place| puids[place]));
                }
                Err(fault) => end.index_fault = Some(fault),
            }
        }
    }

    /// Znode and index entry of a sub-account; `None` for a name that no list has.
    fn first_coin(&self, name: &str) -> Option<FirstCoin> {
        Some(FirstCoin { puname: self.znode_name(name)?, index_name: self.index_name(name) })
    }

    fn index_name(&self, name: &str) -> Option<Puname> {
        self.index.as_ref().and_then(|_| Puname::parse_lower_case(name).ok())
    }

    /// Hashes that more than one index name has: names that differ in case only, and chance collisions. A set of all
    /// names would take as much memory as the list.
    fn repeated_index_names(
        &self,
        entries: &[&PulledEntry],
        hash: impl Fn(&Puname) -> u64,
    ) -> HashSet<u64> {
        let names = entries.iter().filter_map(|entry| self.index_name(&entry.name));
        let mut hashes: Vec<u64> = names.map(|name| hash(&name)).collect();
        hashes.sort_unstable();
        hashes.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect()
    }

    async fn create(&self, entries: Vec<FirstCoin>) -> Result<FirstCoinsEnd, String> {
        let (coin, index) = (self.coin.clone(), self.index.clone());
        ask(&self.zk_writer.first_coins, |reply| FirstCoins { coin, entries, index, reply }).await
    }

    /// Creates the first coin and index entry of a registered sub-account.
    pub(super) async fn settle(&self, name: &str) -> Result<FirstCoinsEnd, String> {
        let puname = znode_name(name, self.format.lower_case)
            .map_err(|fault| format!("the name {fault}"))?;
        let entry = FirstCoin { puname, index_name: self.index_name(name) };
        self.create(vec![entry]).await
    }

    /// Notes a registered sub-account and requests a pull.
    pub(super) fn register(&self, name: &str, puid: u32) {
        if let Ok(name) = listed_name(name, self.format.lower_case) {
            let (entry, mut waiting) =
                (PulledEntry { puid, name: name.into() }, self.registered.borrow_mut());
            // A miner that was refused logs in again.
            if !waiting.contains(&entry) {
                waiting.push(entry);
            }
            self.wake.notify_one();
        }
    }

    /// Number of registered sub-accounts that wait for a pull.
    pub(super) fn registered(&self) -> usize {
        self.registered.borrow().len()
    }

    /// Inserts the first `registered` of the waiting sub-accounts, as far as the list lacks them. Only after a complete
    /// pull that began when they were registered: otherwise the list may lack smaller puids. A registration never
    /// replaces a name: a backend that ignores case answers `ALICE` with the puid of `alice`, which must stay listed.
    fn add_registered(&self, registered: usize, end: &mut PullEnd) {
        let mut waiting: Vec<_> = self.registered.borrow_mut().drain(..registered).collect();
        waiting.sort_by_key(|it| it.puid);
        let mut added: Vec<(u32, &str)> = Vec::new();
        for PulledEntry { puid, name } in &waiting {
            let before = added.last().filter(|last| last.0 == *puid).map(|last| last.1.to_owned());
            match before.or_else(|| self.listings.name(&self.coin, *puid)) {
                None => added.push((*puid, name)),
                Some(listed) if self.znode_name(&listed) != self.znode_name(name) => {
                    let (name, listed) = (name.clone(), listed.into());
                    end.displaced.push(Displaced { name, puid: *puid, listed });
                }
                Some(_) => {}
            }
        }
        self.unsettled.borrow_mut().extend(added.iter().map(|(puid, _)| *puid));
        end.is_changed |= !added.is_empty() && self.listings.insert(&self.coin, &added, |_| now());
    }

    fn znode_name(&self, name: &str) -> Option<Puname> {
        znode_name(name, self.format.lower_case).ok()
    }

    /// Raises N after a complete pull and writes the marks, unless N would pass an entry that has to come again: one
    /// with a refused first coin or an unreadable puid.
    async fn advance(&self, entries: &[PulledEntry], is_unreadable: bool, end: &mut PullEnd) {
        let Some(largest) = entries.last().map(|it| it.puid) else { return };
        if is_unreadable || end.refused > 0 || largest <= self.last_id.get() {
            return;
        }
        self.last_id.set(largest);
        let (dir, coin) = (self.marks.clone(), self.coin.clone());
        let mut marks = self.known.borrow().clone();
        if !marks.add(ListMark { last_id: largest, at: now() }, self.period) {
            return;
        }
        self.known.replace(marks.clone());
        // Not tried again after a failure: those of the next longer list replace them.
        let write = |reply| WriteMarks { dir, coin, marks, reply };
        if let Err(fault) = ask(&self.zk_writer.write_marks, write).await {
            end.index_fault.get_or_insert(fault);
        }
    }
}
