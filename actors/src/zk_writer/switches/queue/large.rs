//! Requests larger than a chunk, whose entries stay in the request's own list until their turn comes.
//!
//! So accepting, refusing or giving up a batch of millions costs nothing for each entry.

use std::{collections::VecDeque, sync::Arc};

use foldhash::{HashSet, HashSetExt};

use super::{Asker, BatchId};
use crate::domain::{Puname, Source, Switches};

/// Unsent rest of a large request.
#[derive(Debug)]
pub(super) struct LargeBatch {
    id: BatchId,
    source: Source,
    switches: Arc<Switches>,
    /// The first place that was not taken in turn.
    next: usize,
    /// Later places that were taken out of turn.
    taken: HashSet<usize>,
}

impl LargeBatch {
    fn asker(&self, place: usize) -> Option<Asker> {
        let coin = self.switches.coin(place)?.clone();
        Some(Asker { batch: self.id, place, source: self.source.clone(), coin })
    }

    /// Takes the entry of a sub-account out of turn, if it is still here.
    fn take_out(&mut self, name: &str) -> Option<Asker> {
        let place = self.switches.find(name).filter(|&place| place >= self.next)?;
        if self.taken.insert(place) { self.asker(place) } else { None }
    }

    pub(super) fn len(&self) -> usize {
        self.switches.len() - self.next - self.taken.len()
    }

    /// The next entry: its sub-account and the requester.
    pub(super) fn next_entry(&mut self) -> Option<(Puname, Asker)> {
        while self.next < self.switches.len() {
            let place = self.next;
            self.next += 1;
            if !self.taken.remove(&place) {
                return Some((self.switches.puname(place), self.asker(place)?));
            }
        }
        None
    }
}

/// Large requests that wait, the oldest first.
#[derive(Debug, Default)]
pub(super) struct LargeBatches {
    batches: VecDeque<LargeBatch>,
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

    /// The next entry in turn: its sub-account and the requester.
    pub(super) fn next_entry(&mut self) -> Option<(Puname, Asker)> {
        while let Some(batch) = self.batches.front_mut() {
            if let Some(entry) = batch.next_entry() {
                self.len -= 1;
                return Some(entry);
            }
            self.batches.pop_front();
        }
        None
    }

    /// Removes the rest of a request.
    pub(super) fn remove(&mut self, id: BatchId) -> Option<LargeBatch> {
        let index = self.batches.iter().position(|batch| batch.id == id)?;
        let batch = self.batches.remove(index)?;
        self.len -= batch.len();
        Some(batch)
    }
}
