//! Who waits for which switch, and what is under way: the write order, without clock or network.
//!
//! Rules, each with a test below:
//!
//! * Of several values waiting for one sub-account only the newest is written; all who asked get its
//!   outcome, since their own value held, if at all, until the newer one took its place at once.
//! * Of a request larger than a chunk, each entry waits in the request's own list until its turn comes, or until a
//!   newer small request asks for the same sub-account. Two large requests are written one after the other.
//! * A sub-account is never in two chunks at a time, so no chunk that is sent again can bring an
//!   older value back.
//! * Requests that fit into one chunk go first, and half of each chunk is kept for the larger ones:
//!   a batch of 500,000 delays a single switch by a chunk or two, and is itself never starved.
//! * What waits is bounded by a limit; a request that would pass it is refused at once.
//! * A request whose deadline passed is answered, and whatever of it was not sent is withdrawn.

mod chunk;
mod large;
mod request;

use std::{collections::VecDeque, mem, time::Instant};

use foldhash::{HashMap, HashMapExt};
use smallvec::{SmallVec, smallvec};

pub(in crate::zk_writer) use self::chunk::{Chunk, Entry, SettledSwitch};
use self::{
    chunk::{Asker, Askers, newest},
    large::{LargeBatch, LargeBatches},
    request::{BatchId, Due, Reply, Request, answer_all},
};
use crate::{
    domain::{Puname, SwitchResult},
    zk_writer::{
        messages::{WriteBatch, WriteFailure, WriteReply},
        results::Results,
    },
};

/// Entries of one chunk at the most. Larger transactions were measured to bring little, and they
/// make everybody behind them wait.
pub(crate) const CHUNK_ENTRIES: usize = 500;

/// Bytes of one chunk's names and coins, unless [`Queue::set_room`] says otherwise.
const CHUNK_BYTES: usize = 128 * 1024;

/// Entries that are given up in one go: each gets a log line, and others wait meanwhile.
pub(crate) const GIVEN_UP_AT_ONCE: usize = 1_000;

/// The room in a chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChunkRoom {
    /// Bytes of all entries.
    pub(crate) bytes: usize,
    /// Bytes of an entry besides its name and coin.
    pub(crate) per_entry: usize,
}

/// Why what was withdrawn is not applied.
pub(crate) const NOT_SENT: &str = "not sent within the time allowed";

/// The state of one sub-account that somebody waits for.
#[derive(Debug, Default)]
struct Slot {
    under_way: bool,
    /// Who waits for the next write; empty only while one is under way.
    waiting: Askers,
    /// Whether a token lies in the lane of small requests.
    prompt: bool,
}

/// The small requests' names to write next, or those of all others.
#[derive(Clone, Copy, Debug)]
enum Lane {
    Prompt,
    Bulk,
}

#[derive(Debug)]
pub(crate) struct Queue {
    slots: HashMap<Puname, Slot>,
    requests: HashMap<BatchId, Request>,
    next_request: u64,
    /// Names to write next, from requests that fit into a chunk, and others. A name may lie
    /// here twice or be settled already: `take` looks at its slot.
    prompt: VecDeque<Puname>,
    bulk: VecDeque<Puname>,
    /// Large requests; they come behind `bulk`.
    large: LargeBatches,
    /// What was not sent of large requests that are answered: the log still has to tell of it.
    given_up: VecDeque<LargeBatch>,
    waiting: usize,
    limit: usize,
    room: ChunkRoom,
}

impl Queue {
    /// `limit` counts switches that were accepted and not sent yet.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            slots: HashMap::new(),
            requests: HashMap::new(),
            next_request: 0,
            prompt: VecDeque::new(),
            bulk: VecDeque::new(),
            large: LargeBatches::default(),
            given_up: VecDeque::new(),
            waiting: 0,
            limit,
            room: ChunkRoom { bytes: CHUNK_BYTES, per_entry: 0 },
        }
    }

    /// From now on so many may wait. What waits already stays, be it more.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Sets the room of the chunks that are taken from now on.
    pub(crate) fn set_room(&mut self, room: ChunkRoom) {
        self.room = room;
    }

    /// Switches accepted and not sent yet.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether a chunk of all that can be sent now would be full, or nearly: names that are settled
    /// already may be counted.
    pub(crate) fn fills_a_chunk(&self) -> bool {
        self.prompt.len() + self.bulk.len() + self.large.len() >= CHUNK_ENTRIES
    }

    /// Whether nobody waits for anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.given_up.is_empty()
    }

    /// Takes a request in, or answers it at once: an empty one has nothing to wait for, and one that
    /// would pass the limit is refused. The limit counts superseded entries of the request, too. Returns whether it
    /// was not refused.
    pub(crate) fn accept(&mut self, batch: WriteBatch, deadline: Instant) -> bool {
        let WriteBatch { source, switches, wants_results, reply } = batch;
        let at_once = if switches.is_empty() {
            let results = wants_results.then(|| Results::new(0));
            Some(WriteReply { outcome: Ok(()), results })
        } else if self.waiting + switches.entries() > self.limit {
            let failure = WriteFailure::QueueFull { waiting: self.waiting, limit: self.limit };
            Some(WriteReply::refused(failure))
        } else {
            None
        };
        if let Some(answer) = at_once {
            let is_refused = answer.outcome.is_err();
            let _ = reply.send(answer);
            return !is_refused;
        }
        let id = BatchId(self.next_request);
        self.next_request += 1;
        let count = switches.len();
        self.waiting += count;
        let results = wants_results.then(|| Results::new(count));
        let is_large = count > CHUNK_ENTRIES;
        let mut request = Request {
            switches: switches.clone(),
            in_slots: SmallVec::new(),
            reply: Some(Reply { sender: reply, results }),
            deadline,
            unsettled: count,
            under_way: 0,
            sent: false,
            failure: None,
        };
        if !is_large {
            request.in_slots.extend(0..count as u32);
        }
        self.requests.insert(id, request);
        if is_large {
            self.large.push(id, source, switches);
            return true;
        }
        for place in 0..count {
            if let Some(coin) = switches.coin(place).cloned() {
                self.wait_for(switches.puname(place), Asker { request: id, place, source, coin });
            }
        }
        true
    }

    /// Lines up an entry of a small request, behind those of older large ones for the same sub-account.
    fn wait_for(&mut self, puname: Puname, asker: Asker) {
        let slot = self.slots.entry(puname.clone()).or_default();
        for older in self.large.take_out(puname.as_str()) {
            if let Some(request) = self.requests.get_mut(&older.request) {
                request.in_slots.push(older.place as u32);
            }
            slot.waiting.push(older);
        }
        slot.waiting.push(asker);
        let has_token = mem::replace(&mut slot.prompt, true);
        if !slot.under_way && !has_token {
            self.prompt.push_back(puname);
        }
    }

    /// The next chunk to write, `None` if nothing can be sent now.
    pub(crate) fn take(&mut self) -> Option<Chunk> {
        let kept_for_bulk = (self.bulk.len() + self.large.len()).min(CHUNK_ENTRIES / 2);
        let mut chunk = Chunk { entries: Vec::new() };
        let mut bytes = 0;
        self.fill(&mut chunk, &mut bytes, CHUNK_ENTRIES - kept_for_bulk, Lane::Prompt);
        self.fill(&mut chunk, &mut bytes, CHUNK_ENTRIES, Lane::Bulk);
        self.fill(&mut chunk, &mut bytes, CHUNK_ENTRIES, Lane::Prompt);
        (!chunk.entries.is_empty()).then_some(chunk)
    }

    fn fill(&mut self, chunk: &mut Chunk, bytes: &mut usize, entries: usize, lane: Lane) {
        while chunk.entries.len() < entries {
            let Some(puname) = self.next_name(lane) else { return };
            let Some(slot) = self.slots.get_mut(&puname) else { continue };
            if slot.under_way || slot.waiting.is_empty() {
                continue;
            }
            let coin = newest(&slot.waiting).as_str();
            let needed = puname.as_str().len() + coin.len() + self.room.per_entry;
            if !chunk.entries.is_empty() && *bytes + needed > self.room.bytes {
                note_slots(&mut self.requests, &slot.waiting);
                match lane {
                    Lane::Prompt => self.prompt.push_front(puname),
                    Lane::Bulk => self.bulk.push_front(puname),
                }
                return;
            }
            *bytes += needed;
            slot.under_way = true;
            slot.prompt = false;
            let askers = mem::replace(&mut slot.waiting, smallvec![]);
            self.waiting -= askers.len();
            for asker in &askers {
                if let Some(request) = self.requests.get_mut(&asker.request) {
                    request.entry_sent(asker.place);
                }
            }
            chunk.entries.push(Entry { puname, askers });
        }
    }

    /// The next name of a lane; its slot may have nothing to send.
    fn next_name(&mut self, lane: Lane) -> Option<Puname> {
        let tokens = match lane {
            Lane::Prompt => return self.prompt.pop_front(),
            Lane::Bulk => &mut self.bulk,
        };
        if let Some(puname) = tokens.pop_front() {
            return Some(puname);
        }
        // Whatever waits in the slot is older: a newer small request would have taken this entry out.
        let Entry { puname, askers } = self.large.next_entry()?;
        let slot = self.slots.entry(puname.clone()).or_default();
        slot.waiting.extend(askers);
        if slot.under_way {
            note_slots(&mut self.requests, &slot.waiting);
        }
        Some(puname)
    }

    /// Settles a chunk with the result of each of its entries, in order. Answers every request that waits for nothing
    /// more.
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
                if let Some(request) = self.requests.get_mut(&asker.request) {
                    request.under_way -= 1;
                    let newer = (place < last).then(|| entry.coin());
                    request.note(|results| {
                        results.note(asker.place, result.replaced_by(newer));
                    });
                }
                due.extend(self.settle(asker, WriteFailure::of(&result.outcome)));
            }
        }
        answer_all(due);
    }

    /// The sub-account may be written again; lines it up if somebody waits for that.
    fn release(&mut self, puname: &Puname) {
        let Some(slot) = self.slots.get_mut(puname) else { return };
        slot.under_way = false;
        if slot.waiting.is_empty() {
            self.slots.remove(puname);
        } else if slot.prompt {
            self.prompt.push_back(puname.clone());
        } else {
            self.bulk.push_back(puname.clone());
        }
    }

    /// Notes that one entry of a request is settled; returns the answer if it was the last.
    fn settle(&mut self, asker: &Asker, failure: Option<WriteFailure>) -> Option<Due> {
        let request = self.requests.get_mut(&asker.request)?;
        request.unsettled -= 1;
        request.failure = match (request.failure.take(), failure) {
            (Some(before), Some(now)) => Some(before.worse(now)),
            (before, now) => before.or(now),
        };
        if request.unsettled > 0 {
            return None;
        }
        let request = self.requests.remove(&asker.request)?;
        Some((request.reply?, request.failure.map_or(Ok(()), Err)))
    }

    /// Answers the requests whose deadline is not after `now`, and withdraws whatever of them was not
    /// sent: that is returned, about [`GIVEN_UP_AT_ONCE`] entries. If any are, the next call may have more. What is
    /// under way is settled when its chunk comes back.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Entry> {
        self.give_up(|deadline| deadline <= now)
    }

    /// The same for all requests, whatever their deadlines.
    pub(crate) fn expire_all(&mut self) -> Vec<Entry> {
        self.give_up(|_| true)
    }

    fn give_up(&mut self, is_due: impl Fn(Instant) -> bool) -> Vec<Entry> {
        let is_due = |request: &Request| request.reply.is_some() && is_due(request.deadline);
        let due = self.requests.iter().filter(|(_, request)| is_due(request)).map(|(&id, _)| id);
        let mut due: Vec<BatchId> = due.collect();
        // In the order in which they came.
        due.sort_unstable_by_key(|id| id.0);
        let (mut answers, mut withdrawn) = (Vec::new(), Vec::new());
        for id in due {
            if withdrawn.len() >= GIVEN_UP_AT_ONCE {
                break;
            }
            answers.extend(self.give_up_one(id, &mut withdrawn));
        }
        answer_all(answers);
        while withdrawn.len() < GIVEN_UP_AT_ONCE
            && let Some(batch) = self.given_up.front_mut()
        {
            match batch.next_entry() {
                Some(entry) => withdrawn.push(entry),
                None => drop(self.given_up.pop_front()),
            }
        }
        withdrawn
    }

    /// Takes out of the queue what one request asked for and was not sent; returns its answer.
    fn give_up_one(&mut self, id: BatchId, withdrawn: &mut Vec<Entry>) -> Option<Due> {
        let request = self.requests.get_mut(&id)?;
        let reply = request.reply.take()?;
        let failure = request.given_up();
        let (switches, in_slots) = (request.switches.clone(), mem::take(&mut request.in_slots));
        let before = withdrawn.len();
        for place in in_slots {
            let puname = switches.puname(place as usize);
            let Some(slot) = self.slots.get_mut(&puname) else { continue };
            let is_it = |asker: &Asker| asker.request == id && asker.place == place as usize;
            let Some(index) = slot.waiting.iter().position(is_it) else { continue };
            let asker = slot.waiting.remove(index);
            if !slot.under_way && slot.waiting.is_empty() {
                self.slots.remove(&puname);
            }
            withdrawn.push(Entry { puname, askers: smallvec![asker] });
        }
        let mut settled = withdrawn.len() - before;
        if let Some(rest) = self.large.remove(id) {
            settled += rest.len();
            self.given_up.push_back(rest);
        }
        self.waiting -= settled;
        self.drop_stale_tokens(settled);
        if let Some(request) = self.requests.get_mut(&id) {
            request.unsettled -= settled;
            if request.unsettled == 0 {
                self.requests.remove(&id);
            }
        }
        Some((reply, Err(failure)))
    }

    /// Drops tokens whose slots are gone, up to twice as many as there are new ones: without a session nothing else
    /// takes them.
    fn drop_stale_tokens(&mut self, new: usize) {
        for lane in [&mut self.prompt, &mut self.bulk] {
            for _ in 0..=2 * new {
                if lane.pop_front_if(|puname| !self.slots.contains_key(puname)).is_none() {
                    break;
                }
            }
        }
    }
}

/// Records which entries of the requests wait in a slot.
fn note_slots(requests: &mut HashMap<BatchId, Request>, waiting: &Askers) {
    for asker in waiting {
        if let Some(request) = requests.get_mut(&asker.request) {
            request.in_slots.push(asker.place as u32);
        }
    }
}

#[cfg(test)]
mod tests;
