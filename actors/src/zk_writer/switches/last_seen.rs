//! Last known state of each znode.
//!
//! The log shows the old coin, but a read for it would make every switch slower. The answer to a write has the znode's
//! new version: if it follows the last known one, no other client wrote in between, and the last known coin is the old
//! one. Otherwise the old coin is not known. This memory decides nothing else but the operation to try first.

use std::{collections::VecDeque, hash::BuildHasher};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::{
    domain::{Coin, Puname},
    zk::Revision,
};

/// State of a znode after our write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LastState {
    pub(crate) coin: Coin,
    /// `None` if our write created the znode and the server returned no state.
    pub(crate) revision: Option<Revision>,
}

/// Blocks kept. The oldest makes room for a new one.
const BLOCKS: usize = 17;

/// Maximum entries of a block: as many as [`Id`] can count.
const BLOCK_ENTRIES: usize = 1 << 16;

/// Bytes of names after which a block is full, too: enough unless the mean name is longer than 32 bytes.
const BLOCK_BYTES: usize = 32 * BLOCK_ENTRIES;

/// Tables of the index. Each grows alone: growing one large table would delay the switches of that moment.
const SHARDS: usize = 16;

/// States of the million sub-accounts that were inserted last, about 45 bytes each with names of 11 bytes.
///
/// The names are kept: by a hash alone, two sub-accounts could share a state, and [`Revision::follows`] would not
/// always detect it, since znodes made in one transaction have the same creation id.
#[derive(Debug)]
pub(crate) struct LastSeen {
    block_entries: usize,
    blocks: Blocks,
    /// The entries by name.
    index: [HashTable<Id>; SHARDS],
    hasher: RandomState,
    /// The different coins of all entries.
    coins: Vec<Coin>,
}

/// Number of an entry. Numbers repeat after hundreds of millions of entries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Id {
    /// Number of the block, in the order of creation; wraps.
    block: u16,
    entry: u16,
}

#[derive(Debug, Default)]
struct Blocks {
    /// Number of the oldest block.
    first: u16,
    /// The oldest first.
    kept: VecDeque<Block>,
}

/// Entries in the order of their arrival.
#[derive(Debug, Default)]
struct Block {
    /// Their names without separators.
    names: String,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    revision: Revision,
    /// Whether `revision` is known. An `Option` would take eight more bytes an entry.
    has_revision: bool,
    /// End of the name.
    end: u32,
    /// Index among the coins.
    coin: u16,
}

impl Entry {
    fn set(&mut self, coin: u16, revision: Option<Revision>) {
        self.coin = coin;
        self.has_revision = revision.is_some();
        self.revision = revision.unwrap_or_default();
    }
}

impl Blocks {
    fn block(&self, id: Id) -> Option<&Block> {
        self.kept.get(usize::from(id.block.wrapping_sub(self.first)))
    }

    fn entry(&self, id: Id) -> Option<&Entry> {
        self.block(id)?.entries.get(usize::from(id.entry))
    }

    fn entry_mut(&mut self, id: Id) -> Option<&mut Entry> {
        let block = self.kept.get_mut(usize::from(id.block.wrapping_sub(self.first)))?;
        block.entries.get_mut(usize::from(id.entry))
    }

    fn name(&self, id: Id) -> &str {
        let name = self.block(id).and_then(|block| {
            let end = |entry: u16| Some(block.entries.get(usize::from(entry))?.end as usize);
            let start = id.entry.checked_sub(1).and_then(end).unwrap_or(0);
            block.names.get(start..end(id.entry)?)
        });
        name.unwrap_or_default()
    }

    /// Whether the next entry needs a new block.
    fn is_full(&self, block_entries: usize) -> bool {
        self.kept.back().is_none_or(|last| {
            last.entries.len() >= block_entries || last.names.len() >= BLOCK_BYTES
        })
    }

    /// Adds a block of so many entries at most; returns the number of the one that makes room for it.
    fn add(&mut self, block_entries: usize) -> Option<u16> {
        let entries = Vec::with_capacity(block_entries);
        self.kept.push_back(Block { names: String::new(), entries });
        (self.kept.len() > BLOCKS).then(|| {
            self.kept.pop_front();
            self.first = self.first.wrapping_add(1);
            self.first.wrapping_sub(1)
        })
    }

    /// Adds an entry to the last block.
    fn push(&mut self, name: &str, coin: u16, revision: Option<Revision>) -> Option<Id> {
        let last = self.kept.len().checked_sub(1)?;
        let block = &mut self.kept[last];
        let entry = u16::try_from(block.entries.len()).ok()?;
        block.names.push_str(name);
        let end = u32::try_from(block.names.len()).ok()?;
        let mut new = Entry { revision: Revision::default(), has_revision: false, end, coin };
        new.set(coin, revision);
        block.entries.push(new);
        Some(Id { block: self.first.wrapping_add(last as u16), entry })
    }
}

impl LastSeen {
    /// An empty memory; see [`with_blocks_of`](Self::with_blocks_of).
    pub(crate) fn new() -> Self {
        Self::with_blocks_of(BLOCK_ENTRIES)
    }

    /// As many blocks as always, of at most so many entries.
    fn with_blocks_of(block_entries: usize) -> Self {
        Self {
            block_entries,
            blocks: Blocks::default(),
            index: Default::default(),
            hasher: RandomState::default(),
            coins: Vec::new(),
        }
    }

    pub(crate) fn find(&self, puname: &Puname) -> Option<Id> {
        let hash = self.hasher.hash_one(puname.as_str());
        let is_it = |id: &Id| self.blocks.name(*id) == puname.as_str();
        self.index[shard(hash)].find(hash, is_it).copied()
    }

    /// The state of an entry; `None` if it was evicted.
    pub(crate) fn state(&self, id: Id) -> Option<LastState> {
        let entry = self.blocks.entry(id)?;
        let coin = self.coins.get(usize::from(entry.coin))?.clone();
        Some(LastState { coin, revision: entry.has_revision.then_some(entry.revision) })
    }

    /// Replaces the state of an entry, unless it was evicted: spares a second search.
    pub(crate) fn update(&mut self, id: Id, seen: &LastState) {
        if let Some(coin) = self.coin_index(&seen.coin)
            && let Some(entry) = self.blocks.entry_mut(id)
        {
            entry.set(coin, seen.revision);
        }
    }

    /// Updates a known entry, never inserts: one large poll would otherwise evict the sub-accounts that callers switch.
    pub(crate) fn refresh(&mut self, puname: &Puname, seen: Option<LastState>) {
        if self.find(puname).is_some() {
            self.note(puname, seen);
        }
    }

    /// Remembers the state of a znode, or forgets it if it is not known.
    pub(crate) fn note(&mut self, puname: &Puname, seen: Option<LastState>) {
        let name = puname.as_str();
        let hash = self.hasher.hash_one(name);
        let seen = seen.and_then(|seen| Some((self.coin_index(&seen.coin)?, seen.revision)));
        let Self { blocks, index, hasher, .. } = self;
        let known = index[shard(hash)].find_entry(hash, |id| blocks.name(*id) == name);
        match (known, seen) {
            (Ok(known), Some((coin, revision))) => {
                if let Some(entry) = blocks.entry_mut(*known.get()) {
                    entry.set(coin, revision);
                }
            }
            (Ok(known), None) => drop(known.remove()),
            (Err(_), Some((coin, revision))) => {
                if blocks.is_full(self.block_entries)
                    && let Some(gone) = blocks.add(self.block_entries)
                {
                    index.iter_mut().for_each(|shard| shard.retain(|id| id.block != gone));
                }
                if let Some(id) = blocks.push(name, coin, revision) {
                    let hash_of = |id: &Id| hasher.hash_one(blocks.name(*id));
                    index[shard(hash)].insert_unique(hash, id, hash_of);
                }
            }
            (Err(_), None) => {}
        }
    }

    /// The coin's index, which a new coin gets; `None` if there are too many coins.
    fn coin_index(&mut self, coin: &Coin) -> Option<u16> {
        let known = self.coins.iter().position(|known| known == coin);
        let index = u16::try_from(known.unwrap_or(self.coins.len())).ok()?;
        if known.is_none() {
            self.coins.push(coin.clone());
        }
        Some(index)
    }
}

/// The table of the index for a hash, by other bits than those that the table itself uses.
fn shard(hash: u64) -> usize {
    (hash >> 32) as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Coins;

    impl LastSeen {
        fn get(&self, puname: &Puname) -> Option<LastState> {
            self.state(self.find(puname)?)
        }
    }

    fn name(n: usize) -> Puname {
        Puname::parse(&format!("user{n}")).unwrap()
    }

    fn seen(version: i32) -> LastState {
        let coins = Coins::new(&["btc"]).unwrap();
        let coin = coins.get("btc").unwrap().clone();
        LastState { coin, revision: Some(Revision::test(1, version)) }
    }

    #[test]
    fn it_is_bounded_and_keeps_what_was_seen_last() {
        let mut last_seen = LastSeen::with_blocks_of(2);
        // More blocks than their numbers distinguish.
        let count = 2 * (usize::from(u16::MAX) + 100) + 1;
        for n in 0..count {
            last_seen.note(&name(n), Some(seen(n as i32)));
        }
        let kept = 2 * BLOCKS - 1;
        for n in count - kept..count {
            assert_eq!(last_seen.get(&name(n)), Some(seen(n as i32)));
        }
        let known: usize = last_seen.index.iter().map(HashTable::len).sum();
        assert_eq!((known, last_seen.blocks.kept.len()), (kept, BLOCKS));
        assert_eq!((last_seen.get(&name(0)), last_seen.coins.len()), (None, 1));
    }

    #[test]
    fn long_names_fill_a_block_by_their_bytes() {
        let mut last_seen = LastSeen::new();
        let long = "x".repeat(190);
        let long = |n: usize| Puname::parse(&format!("{long}{n:07}")).unwrap();
        let count = BLOCK_BYTES / 197 + 2;
        (0..count).for_each(|n| last_seen.note(&long(n), Some(seen(1))));
        assert_eq!(last_seen.blocks.kept.len(), 2);
        assert!((0..count).all(|n| last_seen.get(&long(n)).is_some()));
    }

    #[test]
    fn each_entry_has_its_own_coin() {
        let mut last_seen = LastSeen::new();
        let coins = Coins::new(&["btc", "bcc"]).unwrap();
        let state = |coin: &Coin| LastState { coin: coin.clone(), revision: None };
        for (n, coin) in coins.iter().chain(coins.iter()).enumerate() {
            last_seen.note(&name(n), Some(state(coin)));
        }
        for (n, coin) in coins.iter().chain(coins.iter()).enumerate() {
            assert_eq!(last_seen.get(&name(n)), Some(state(coin)));
        }
    }

    #[test]
    fn what_is_not_known_any_more_is_forgotten() {
        let mut last_seen = LastSeen::with_blocks_of(1);
        last_seen.note(&name(1), Some(seen(1)));
        last_seen.note(&name(2), Some(seen(1)));
        last_seen.note(&name(1), None);
        last_seen.note(&name(2), None);
        assert!(last_seen.get(&name(1)).is_none() && last_seen.get(&name(2)).is_none());
    }

    #[test]
    fn an_entry_that_was_evicted_is_not_updated() {
        let mut last_seen = LastSeen::with_blocks_of(1);
        last_seen.note(&name(0), Some(seen(1)));
        let id = last_seen.find(&name(0)).unwrap();
        last_seen.update(id, &seen(2));
        assert_eq!(last_seen.get(&name(0)), Some(seen(2)));
        (1..=BLOCKS).for_each(|n| last_seen.note(&name(n), Some(seen(1))));
        last_seen.update(id, &seen(3));
        assert_eq!((last_seen.state(id), last_seen.get(&name(0))), (None, None));
        assert!((1..=BLOCKS).all(|n| last_seen.get(&name(n)) == Some(seen(1))));
    }

    #[test]
    fn a_newer_state_hides_an_older_one() {
        let mut last_seen = LastSeen::with_blocks_of(1);
        last_seen.note(&name(1), Some(seen(1)));
        last_seen.note(&name(2), Some(seen(1)));
        last_seen.note(&name(1), Some(seen(2)));
        assert_eq!(last_seen.get(&name(1)), Some(seen(2)));
    }

    #[test]
    fn a_state_follows_another_only_if_nobody_wrote_in_between() {
        let state = Revision::test;
        assert!(state(1, 5).follows(state(1, 4)));
        assert!(!state(1, 6).follows(state(1, 4)));
        assert!(!state(1, 4).follows(state(1, 4)));
        assert!(!state(2, 5).follows(state(1, 4)));
    }
}
