//! Requests larger than a chunk: their entries stay in the request's own list until their turn comes.
//!
//! So a batch of millions costs nothing for each entry when it is accepted, refused or given up.

use std::{collections::VecDeque, sync::Arc};

use foldhash::{HashSet, HashSetExt};

use super::{Asker, BatchId, Entry};
use crate::domain::{Source, Switches};

/// A large request, or what is left.
#[derive(Debug)]
pub(super) struct LargeBatch {
    id: BatchId,
    source: Source,
    switches: Arc<Switches>,
    /// The first place whose turn has not come.
    next: usize,
    /// Places behind `next` that were taken out of turn.
    taken: HashSet<usize>,
}

impl LargeBatch {
    fn asker(&self, place: usize) -> Option<Asker> {
        let coin = self.switches.coin(place)?.clone();
        Some(Asker { request: self.id, place, source: self.source, coin })
    }

    /// Takes the entry of a sub-account out of its turn, if it is still there.
    fn take_out(&mut self, name: &str) -> Option<Asker> {
        let place = self.switches.find(name).filter(|&place| place >= self.next)?;
        if self.taken.insert(place) { self.asker(place) } else { None }
    }

    /// Entries that are left.
    pub(super) fn len(&self) -> usize {
        self.switches.len() - self.next - self.taken.len()
    }

    /// The next entry, as one that only this request asked for.
    pub(super) fn next_entry(&mut self) -> Option<Entry> {
        while self.next < self.switches.len() {
            let place = self.next;
            self.next += 1;
            if !self.taken.remove(&place) {
                let askers = [self.asker(place)?].into_iter().collect();
                return Some(Entry { puname: self.switches.puname(place), askers });
            }
        }
        None
    }
}

/// The large requests that wait, the oldest first.
#[derive(Debug, Default)]
pub(super) struct LargeBatches {
    batches: VecDeque<LargeBatch>,
    /// Entries that are left in all of them.
    len: usize,
}

impl LargeBatches {
    pub(super) fn push(&mut self, id: BatchId, source: Source, switches: Arc<Switches>) {
        let batch = LargeBatch { id, source, switches, next: 0, taken: HashSet::new() };
        self.len += batch.len();
        self.batches.push_back(batch);
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Takes out all entries of a sub-account, the oldest first.
    pub(super) fn take_out(&mut self, name: &str) -> impl Iterator<Item = Asker> {
        let Self { batches, len } = self;
        batches.iter_mut().filter_map(|batch| batch.take_out(name)).inspect(|_| *len -= 1)
    }

    /// The entry whose turn it is.
    pub(super) fn next_entry(&mut self) -> Option<Entry> {
        while let Some(batch) = self.batches.front_mut() {
            if let Some(entry) = batch.next_entry() {
                self.len -= 1;
                return Some(entry);
            }
            self.batches.pop_front();
        }
        None
    }

    /// Takes out a request with all that is left.
    pub(super) fn remove(&mut self, id: BatchId) -> Option<LargeBatch> {
        let index = self.batches.iter().position(|batch| batch.id == id)?;
        let batch = self.batches.remove(index)?;
        self.len -= batch.len();
        Some(batch)
    }
}
