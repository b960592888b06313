//! Queue of switches: the write order, without clock or network.
//!
//! Rules, each with a test below:
//!
//! * If several values wait for one sub-account, only the newest is written. All their callers get its outcome, since
//!   an older value would have held only until the newer one replaced it in the same moment. A held switch replaces
//!   nothing until its due time: the newest of those before it that are not held is written first.
//! * An entry of a request larger than a chunk waits in the request's own list until its turn comes, or until a newer
//!   small request names the same sub-account. Two large requests are written one after the other.
//! * A sub-account is never in two chunks at a time, so no chunk that is sent again can restore an older value.
//! * Requests that fit into one chunk go first, and half of each chunk is kept for larger ones: a batch of 500,000
//!   delays a single switch by a chunk or two, and is itself never starved.
//! * The number of waiting switches is limited; a request that exceeds the limit is refused at once.
//! * A request is answered at its deadline, and its unsent entries are withdrawn.

mod chunk;
mod large;
mod request;

use std::{collections::VecDeque, mem, time::Instant};

use foldhash::fast::RandomState;
use hashbrown::hash_map::{EntryRef, HashMap};
use smallvec::smallvec;

pub(in crate::zk_writer) use self::chunk::{Chunk, ChunkEntry, SettledSwitch};
use self::{
    chunk::{Asker, Askers, written_together},
    large::{LargeBatch, LargeBatches},
    request::{Due, WaitingBatch, answer_all},
};
use crate::{
    domain::{Coin, Puname, SwitchResult},
    zk_writer::{
        admission::{Admission, BatchId},
        messages::{WriteBatch, WriteFailure},
    },
};

/// Maximum entries of one chunk. Larger transactions were measured to bring little, and they delay all requests behind
/// them.
pub(crate) const CHUNK_ENTRIES: usize = 500;

/// Bytes of one chunk's names and coins before the first [`Queue::set_room`].
const CHUNK_BYTES: usize = 128 * 1024;

/// Entries to give up in one go: each gets a log line, and other work waits meanwhile.
pub(crate) const GIVEN_UP_AT_ONCE: usize = 1_000;

/// Entries for which an idle queue keeps memory.
const KEPT: usize = 4 * CHUNK_ENTRIES;

/// Size limit of a chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChunkRoom {
    pub(crate) bytes: usize,
    /// Bytes of an entry in addition to its name and coin.
    pub(crate) per_entry: usize,
}

/// Cause for withdrawn entries.
pub(crate) const NOT_SENT: &str = "not sent within the time allowed";

#[derive(Debug, Default)]
struct Slot {
    under_way: bool,
    /// Requesters of the next write; empty only while one is under way.
    waiting: Askers,
    /// Whether the sub-account's name is in [`Queue::prompt`].
    prompt: bool,
}

/// Names from small requests, or all others.
#[derive(Clone, Copy, Debug)]
enum Priority {
    Prompt,
    Bulk,
}

type Batches = HashMap<BatchId, WaitingBatch, RandomState>;

#[derive(Debug)]
pub(crate) struct Queue {
    slots: HashMap<Puname, Slot, RandomState>,
    /// Counts accepted, unsent switches.
    pub(in crate::zk_writer) admission: Admission,
    batches: Batches,
    /// Names to write next, from requests that fit into a chunk, and others. A name may be here twice, or be settled
    /// already: `take` looks at its slot.
    prompt: VecDeque<Puname>,
    bulk: VecDeque<Puname>,
    /// Large requests; they come after `bulk`.
    large: LargeBatches,
    /// Unsent entries of large requests that are answered, still to be logged.
    given_up: VecDeque<LargeBatch>,
    room: ChunkRoom,
}

impl Queue {
    /// A queue of at most `limit` accepted, unsent switches.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            slots: HashMap::default(),
            admission: Admission::new(limit),
            batches: Batches::default(),
            prompt: VecDeque::new(),
            bulk: VecDeque::new(),
            large: LargeBatches::default(),
            given_up: VecDeque::new(),
            room: ChunkRoom { bytes: CHUNK_BYTES, per_entry: 0 },
        }
    }

    pub(crate) fn set_room(&mut self, room: ChunkRoom) {
        self.room = room;
    }

    /// Whether the next chunk would be full, or nearly: names that are settled already may be counted.
    pub(crate) fn fills_a_chunk(&self) -> bool {
        self.prompt.len() + self.bulk.len() + self.large.len() >= CHUNK_ENTRIES
    }

    /// Whether no request waits for an answer, and no entry for its log line.
    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.given_up.is_empty()
    }

    /// Accepts a request, or answers it at once. Returns whether it was accepted.
    pub(crate) fn accept(&mut self, batch: WriteBatch, deadline: Instant) -> bool {
        let WriteBatch { source, switches, wants_results, reply } = batch;
        let Some((id, reply)) = self.admission.admit(&switches, wants_results, reply) else {
            return false;
        };
        let count = switches.len();
        let mut batch = WaitingBatch::new(switches.clone(), reply, deadline);
        if count > CHUNK_ENTRIES {
            self.batches.insert(id, batch);
            self.large.push(id, source, switches);
            return true;
        }
        batch.in_slots.extend(0..count as u32);
        self.batches.insert(id, batch);
        for place in 0..count {
            if let Some(coin) = switches.coin(place).cloned() {
                let source = source.clone();
                self.wait_for(switches.puname(place), Asker { batch: id, place, source, coin });
            }
        }
        true
    }

    /// Queues an entry of a small request behind those of older large requests for the same sub-account.
    fn wait_for(&mut self, puname: Puname, asker: Asker) {
        let slot = self.slots.entry(puname.clone()).or_default();
        for older in self.large.take_out(puname.as_str()) {
            if let Some(batch) = self.batches.get_mut(&older.batch) {
                batch.in_slots.push(older.place as u32);
            }
            slot.waiting.push(older);
        }
        slot.waiting.push(asker);
        let has_name = mem::replace(&mut slot.prompt, true);
        if !slot.under_way && !has_name {
            self.prompt.push_back(puname);
        }
    }

    /// The next chunk to write, `None` if nothing can be sent now. `is_held` says which switches are to be held.
    pub(crate) fn take(&mut self, is_held: impl Fn(&Coin, &str) -> bool) -> Option<Chunk> {
        let bulk = self.bulk.len() + self.large.len();
        let kept_for_bulk = bulk.min(CHUNK_ENTRIES / 2);
        let entries = Vec::with_capacity((self.prompt.len() + bulk).min(CHUNK_ENTRIES));
        let mut chunk = Chunk { entries };
        let mut bytes = 0;
        for (entries, priority) in [
            (CHUNK_ENTRIES - kept_for_bulk, Priority::Prompt),
            (CHUNK_ENTRIES, Priority::Bulk),
            (CHUNK_ENTRIES, Priority::Prompt),
        ] {
            self.fill(&mut chunk, &mut bytes, entries, priority, &is_held);
        }
        (!chunk.entries.is_empty()).then_some(chunk)
    }

    fn fill(
        &mut self,
        chunk: &mut Chunk,
        bytes: &mut usize,
        entries: usize,
        priority: Priority,
        is_held: impl Fn(&Coin, &str) -> bool,
    ) {
        let Self { slots, batches, prompt, bulk, .. } = self;
        while chunk.entries.len() < entries {
            let names = match priority {
                Priority::Prompt => &mut *prompt,
                Priority::Bulk => &mut *bulk,
            };
            let (puname, slot) = match (names.pop_front(), priority) {
                (Some(puname), _) => match slots.get_mut(&puname) {
                    Some(slot) => (puname, slot),
                    None => continue,
                },
                (None, Priority::Prompt) => return,
                (None, Priority::Bulk) => {
                    let Some((puname, asker)) = self.large.next_entry() else { return };
                    let slot = slots.entry(puname.clone()).or_default();
                    // The requesters in the slot are older: a newer small request would have taken this entry out.
                    slot.waiting.push(asker);
                    if slot.under_way {
                        note_slots(batches, &slot.waiting);
                    }
                    (puname, slot)
                }
            };
            if slot.under_way || slot.waiting.is_empty() {
                continue;
            }
            let count = written_together(&slot.waiting, |coin| is_held(coin, puname.as_str()));
            let coin = slot.waiting[count - 1].coin.as_str();
            let needed = puname.as_str().len() + coin.len() + self.room.per_entry;
            if !chunk.entries.is_empty() && *bytes + needed > self.room.bytes {
                note_slots(batches, &slot.waiting);
                names.push_front(puname);
                return;
            }
            *bytes += needed;
            slot.under_way = true;
            slot.prompt = false;
            let later = slot.waiting.drain(count..).collect();
            let askers = mem::replace(&mut slot.waiting, later);
            note_slots(batches, &slot.waiting);
            self.admission.waiting -= askers.len();
            for asker in &askers {
                if let Some(batch) = batches.get_mut(&asker.batch) {
                    batch.entry_sent(asker.place);
                }
            }
            chunk.entries.push(ChunkEntry { puname, askers });
        }
    }

    /// Settles a chunk with the result of each entry, in order. Answers every request whose last entry it was.
    pub(crate) fn finish<'a>(
        &mut self,
        chunk: &Chunk,
        results: impl IntoIterator<Item = &'a SwitchResult>,
    ) {
        let mut due = Vec::new();
        for (entry, result) in chunk.entries.iter().zip(results) {
            self.release(&entry.puname);
            let last = entry.askers.len() - 1;
            for (place, asker) in entry.askers.iter().enumerate() {
                let Some(batch) = self.batches.get_mut(&asker.batch) else { continue };
                let newer = (place < last).then(|| entry.coin());
                batch.note(|results| results.note(asker.place, result.replaced_by(newer)));
                if batch.settle(WriteFailure::of(&result.outcome)) {
                    due.extend(self.batches.remove(&asker.batch).and_then(WaitingBatch::answer));
                }
            }
        }
        answer_all(due);
    }

    /// Allows the sub-account's next write, and queues it if one waits.
    fn release(&mut self, puname: &Puname) {
        let EntryRef::Occupied(mut entry) = self.slots.entry_ref(puname) else { return };
        let slot = entry.get_mut();
        slot.under_way = false;
        if slot.waiting.is_empty() {
            entry.remove();
        } else if slot.prompt {
            self.prompt.push_back(puname.clone());
        } else {
            self.bulk.push_back(puname.clone());
        }
    }

    /// Answers the requests whose deadline is not after `now`, and withdraws and returns their unsent entries, about
    /// [`GIVEN_UP_AT_ONCE`]. If it returns any, the next call may return more. Entries under way are settled when their
    /// chunk comes back.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<ChunkEntry> {
        self.give_up(|deadline| deadline <= now)
    }

    pub(crate) fn expire_all(&mut self) -> Vec<ChunkEntry> {
        self.give_up(|_| true)
    }

    fn give_up(&mut self, is_due: impl Fn(Instant) -> bool) -> Vec<ChunkEntry> {
        let is_due = |batch: &WaitingBatch| batch.reply.is_some() && is_due(batch.deadline);
        let due = self.batches.iter().filter(|(_, batch)| is_due(batch)).map(|(&id, _)| id);
        let mut due: Vec<BatchId> = due.collect();
        // In the order of arrival.
        due.sort_unstable();
        let (mut answers, mut withdrawn) = (Vec::new(), Vec::new());
        for id in due {
            if withdrawn.len() >= GIVEN_UP_AT_ONCE {
                break;
            }
            answers.extend(self.give_up_one(id, &mut withdrawn));
        }
        answer_all(answers);
        if self.is_empty() {
            self.free_memory();
        }
        while withdrawn.len() < GIVEN_UP_AT_ONCE
            && let Some(batch) = self.given_up.front_mut()
        {
            match batch.next_entry() {
                Some((puname, asker)) => {
                    withdrawn.push(ChunkEntry { puname, askers: smallvec![asker] });
                }
                None => drop(self.given_up.pop_front()),
            }
        }
        withdrawn
    }

    /// Frees the memory that a burst has left behind.
    fn free_memory(&mut self) {
        self.slots.shrink_to(KEPT);
        self.batches.shrink_to(KEPT);
        self.prompt.shrink_to(KEPT);
        self.bulk.shrink_to(KEPT);
    }

    /// Removes one request's unsent entries from the queue; returns its answer.
    fn give_up_one(&mut self, id: BatchId, withdrawn: &mut Vec<ChunkEntry>) -> Option<Due> {
        let batch = self.batches.get_mut(&id)?;
        let reply = batch.reply.take()?;
        let failure = batch.given_up();
        let (switches, in_slots) = (batch.switches.clone(), mem::take(&mut batch.in_slots));
        let before = withdrawn.len();
        for place in in_slots {
            let puname = switches.puname(place as usize);
            let Some(slot) = self.slots.get_mut(&puname) else { continue };
            let is_it = |asker: &Asker| asker.batch == id && asker.place == place as usize;
            let Some(index) = slot.waiting.iter().position(is_it) else { continue };
            let asker = slot.waiting.remove(index);
            if !slot.under_way && slot.waiting.is_empty() {
                self.slots.remove(&puname);
            }
            withdrawn.push(ChunkEntry { puname, askers: smallvec![asker] });
        }
        let mut settled = withdrawn.len() - before;
        if let Some(rest) = self.large.remove(id) {
            settled += rest.len();
            self.given_up.push_back(rest);
        }
        self.admission.waiting -= settled;
        self.drop_stale_names(settled);
        if let Some(batch) = self.batches.get_mut(&id) {
            batch.unsettled -= settled;
            if batch.unsettled == 0 {
                self.batches.remove(&id);
            }
        }
        Some((reply, Err(failure)))
    }

    /// Drops names whose slots are gone, up to twice as many as there are new ones: without a session nothing else
    /// removes them.
    fn drop_stale_names(&mut self, new: usize) {
        for names in [&mut self.prompt, &mut self.bulk] {
            for _ in 0..=2 * new {
                if names.pop_front_if(|puname| !self.slots.contains_key(puname)).is_none() {
                    break;
                }
            }
        }
    }
}

/// Records that these entries wait in a slot.
fn note_slots(batches: &mut Batches, waiting: &Askers) {
    for asker in waiting {
        if let Some(batch) = batches.get_mut(&asker.batch) {
            batch.in_slots.push(asker.place as u32);
        }
    }
}

#[cfg(test)]
mod tests;
