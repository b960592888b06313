//! Who waits for which switch, and what is under way: the write order, without clock or network.
//!
//! Rules, each with a test below:
//!
//! * Of several values waiting for one sub-account only the newest is written; all who asked get its
//!   outcome, since their own value held, if at all, until the newer one took its place at once.
//! * A sub-account is never in two chunks at a time, so no chunk that is sent again can bring an
//!   older value back.
//! * Requests that fit into one chunk go first, and half of each chunk is kept for the larger ones:
//!   a batch of 500,000 delays a single switch by a chunk or two, and is itself never starved.
//! * What waits is bounded by a limit; a request that would pass it is refused at once.
//! * A request whose deadline passed is answered, and whatever of it was not sent is withdrawn.

use std::{collections::VecDeque, time::Instant};

use foldhash::{HashMap, HashMapExt};
use smallvec::{SmallVec, smallvec};
use tokio::sync::oneshot;

use super::{
    messages::{WriteBatch, WriteFailure, WriteReply},
    results::{EntryResult, Results},
};
use crate::domain::{Assignment, Coin, Old, Puname, Source};

/// Entries of one chunk at the most. Larger transactions were measured to bring little, and they
/// make everybody behind them wait.
pub(super) const CHUNK_ENTRIES: usize = 500;

/// Bytes of one chunk's names and coins at the most. With the directory's path and the protocol's own
/// bytes for each entry that stays below the megabyte at which the server drops the connection.
pub(super) const CHUNK_BYTES: usize = 128 * 1024;

/// Why what was withdrawn is not applied.
pub(super) const NOT_SENT: &str = "not sent within the time allowed";

/// What is said of what was under way when the time was over.
const NO_ANSWER: &str = "no answer from ZooKeeper within the time allowed";

/// What is to be written in one go.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) entries: Vec<Entry>,
}

/// One znode's new value, and everybody who asked for it or for one that it replaces.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) puname: Puname,
    askers: Askers,
}

impl Entry {
    /// The value to write: what was asked for last.
    pub(super) fn coin(&self) -> &Coin {
        newest(&self.askers)
    }

    /// Each switch that asked for this entry, in the order of asking.
    pub(super) fn switches(&self) -> impl Iterator<Item = Settled<'_>> {
        let last = self.askers.len() - 1;
        self.askers.iter().enumerate().map(move |(index, asker)| Settled {
            source: asker.source,
            puname: &self.puname,
            coin: &asker.coin,
            superseded_by: (index < last).then(|| self.coin()),
        })
    }
}

/// What became of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// ZooKeeper committed it.
    Applied,
    /// It is known not to have been written; the text says why.
    NotApplied(String),
    /// It may have been written; the text says why nobody knows.
    Unknown(String),
}

impl Outcome {
    fn failure(&self) -> Option<WriteFailure> {
        match self {
            Self::Applied => None,
            Self::NotApplied(text) => Some(WriteFailure::Refused(text.clone())),
            Self::Unknown(text) => Some(WriteFailure::Unknown(text.clone())),
        }
    }
}

/// One switch that is settled, for the log.
#[derive(Debug)]
pub(super) struct Settled<'a> {
    pub(super) source: Source,
    pub(super) puname: &'a Puname,
    pub(super) coin: &'a Coin,
    /// The newer value that was written in its place.
    pub(super) superseded_by: Option<&'a Coin>,
}

/// One asker nearly always.
type Askers = SmallVec<[Asker; 1]>;

#[derive(Debug)]
struct Asker {
    request: BatchId,
    /// Its place among the request's entries.
    index: u32,
    source: Source,
    coin: Coin,
}

fn newest(askers: &Askers) -> &Coin {
    // An entry is made with an asker and loses it only by being settled or dropped whole.
    &askers[askers.len() - 1].coin
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct BatchId(u64);

#[derive(Debug)]
struct Request {
    /// Taken when the caller is answered, which may be before all entries are settled.
    reply: Option<Reply>,
    deadline: Instant,
    /// Entries waiting or under way.
    unsettled: usize,
    under_way: usize,
    /// Whether anything of it was ever sent.
    sent: bool,
    failure: Option<WriteFailure>,
}

impl Request {
    /// Has something noted in its results, if it is to tell them and has not been answered.
    fn note(&mut self, note: impl FnOnce(&mut Results)) {
        if let Some(results) = self.reply.as_mut().and_then(|reply| reply.results.as_mut()) {
            note(results);
        }
    }
}

/// Where an answer goes, and what it will tell.
#[derive(Debug)]
struct Reply {
    sender: oneshot::Sender<WriteReply>,
    /// `None` if they are not asked for.
    results: Option<Results>,
}

/// An answer that is due.
type Due = (Reply, Result<(), WriteFailure>);

/// Answers callers, one right after the other: their threads wake up once for all of them.
fn answer_all(due: Vec<Due>) {
    for (Reply { sender, results }, outcome) in due {
        let results = results.map(|results| results.end(NO_ANSWER)).unwrap_or_default();
        // The caller may have gone away; its switches stand all the same.
        let _ = sender.send(WriteReply { outcome, results });
    }
}

/// The state of one sub-account that somebody waits for.
#[derive(Debug, Default)]
struct Slot {
    under_way: bool,
    /// Who waits for the next write; empty only while one is under way.
    waiting: Askers,
    /// Whether a token lies in the lane of small requests.
    prompt: bool,
}

#[derive(Debug)]
pub(super) struct Queue {
    slots: HashMap<Puname, Slot>,
    requests: HashMap<BatchId, Request>,
    next_request: u64,
    /// Names to write next, from requests that fit into a chunk, and from larger ones. A name may lie
    /// here twice or be settled already: `take` looks at its slot.
    prompt: VecDeque<Puname>,
    bulk: VecDeque<Puname>,
    waiting: usize,
    limit: usize,
}

impl Queue {
    /// `limit` counts switches that were accepted and not sent yet.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            slots: HashMap::new(),
            requests: HashMap::new(),
            next_request: 0,
            prompt: VecDeque::new(),
            bulk: VecDeque::new(),
            waiting: 0,
            limit,
        }
    }

    /// From now on so many may wait. What waits already stays, be it more.
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Switches accepted and not sent yet.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether a chunk of all that can be sent now would be full, or nearly: names that are settled
    /// already may be counted.
    pub(super) fn fills_a_chunk(&self) -> bool {
        self.prompt.len() + self.bulk.len() >= CHUNK_ENTRIES
    }

    /// Whether nobody waits for anything.
    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Takes a request in, or answers it at once: an empty one has nothing to wait for, and one that
    /// would pass the limit is refused.
    pub(super) fn accept(&mut self, batch: WriteBatch, deadline: Instant) {
        let WriteBatch { source, assignments, wants_results, reply } = batch;
        let count = assignments.len();
        let at_once = if count == 0 {
            Some(WriteReply { outcome: Ok(()), results: Vec::new() })
        } else if self.waiting + count > self.limit {
            let failure = WriteFailure::QueueFull { waiting: self.waiting, limit: self.limit };
            Some(WriteReply::unwritten(failure, if wants_results { count } else { 0 }))
        } else {
            None
        };
        if let Some(answer) = at_once {
            let _ = reply.send(answer);
            return;
        }
        let id = BatchId(self.next_request);
        self.next_request += 1;
        let request = Request {
            reply: Some(Reply {
                sender: reply,
                results: wants_results.then(|| Results::new(count)),
            }),
            deadline,
            unsettled: count,
            under_way: 0,
            sent: false,
            failure: None,
        };
        self.requests.insert(id, request);
        self.waiting += count;
        let prompt = count <= CHUNK_ENTRIES;
        for (index, Assignment { puname, coin }) in (0..).zip(assignments) {
            self.wait_for(puname, Asker { request: id, index, source, coin }, prompt);
        }
    }

    fn wait_for(&mut self, puname: Puname, asker: Asker, prompt: bool) {
        let slot = self.slots.entry(puname.clone()).or_default();
        let first = slot.waiting.is_empty();
        // A request comes in whole, so its entries for one sub-account wait side by side.
        if let Some(before) = slot.waiting.last()
            && before.request == asker.request
            && let Some(request) = self.requests.get_mut(&asker.request)
        {
            request.note(|results| results.supersede(before.index as usize));
        }
        slot.waiting.push(asker);
        let sooner = prompt && !slot.prompt;
        slot.prompt |= prompt;
        if slot.under_way || !(first || sooner) {
            return;
        }
        if prompt { self.prompt.push_back(puname) } else { self.bulk.push_back(puname) }
    }

    /// The next chunk to write, `None` if nothing can be sent now.
    pub(super) fn take(&mut self) -> Option<Chunk> {
        let kept_for_bulk = self.bulk.len().min(CHUNK_ENTRIES / 2);
        let mut chunk = Chunk { entries: Vec::new() };
        let mut bytes = 0;
        self.fill(&mut chunk, &mut bytes, CHUNK_ENTRIES - kept_for_bulk, |queue| &mut queue.prompt);
        self.fill(&mut chunk, &mut bytes, CHUNK_ENTRIES, |queue| &mut queue.bulk);
        self.fill(&mut chunk, &mut bytes, CHUNK_ENTRIES, |queue| &mut queue.prompt);
        (!chunk.entries.is_empty()).then_some(chunk)
    }

    fn fill(
        &mut self,
        chunk: &mut Chunk,
        bytes: &mut usize,
        entries: usize,
        lane: fn(&mut Self) -> &mut VecDeque<Puname>,
    ) {
        while chunk.entries.len() < entries && *bytes < CHUNK_BYTES {
            let Some(puname) = lane(self).pop_front() else { return };
            let Some(slot) = self.slots.get_mut(&puname) else { continue };
            if slot.under_way || slot.waiting.is_empty() {
                continue;
            }
            slot.under_way = true;
            slot.prompt = false;
            let askers = std::mem::replace(&mut slot.waiting, smallvec![]);
            self.waiting -= askers.len();
            for asker in &askers {
                if let Some(request) = self.requests.get_mut(&asker.request) {
                    request.under_way += 1;
                    request.sent = true;
                }
            }
            *bytes += puname.as_str().len() + newest(&askers).as_str().len();
            chunk.entries.push(Entry { puname, askers });
        }
    }

    /// Settles a chunk: `ends` holds for each of its entries, in order, what became of it and what its znode
    /// held before. Answers every request that waits for nothing more.
    pub(super) fn finish<'a>(
        &mut self,
        chunk: &Chunk,
        ends: impl IntoIterator<Item = (&'a Outcome, &'a Old)>,
    ) {
        let mut due = Vec::new();
        for (entry, (outcome, old)) in chunk.entries.iter().zip(ends) {
            self.release(&entry.puname);
            let last = entry.askers.len() - 1;
            for (place, asker) in entry.askers.iter().enumerate() {
                if let Some(request) = self.requests.get_mut(&asker.request) {
                    request.under_way -= 1;
                    let newer = (place < last).then(|| entry.coin());
                    request.note(|results| {
                        results.note(asker.index as usize, || {
                            EntryResult::of_write(outcome, old, newer)
                        });
                    });
                }
                due.extend(self.settle(asker, outcome.failure()));
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
    /// sent: that is returned. What is under way is settled when its chunk comes back.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Entry> {
        self.give_up(|deadline| deadline <= now)
    }

    /// The same for all requests, whatever their deadlines.
    pub(super) fn expire_all(&mut self) -> Vec<Entry> {
        self.give_up(|_| true)
    }

    fn give_up(&mut self, is_due: impl Fn(Instant) -> bool) -> Vec<Entry> {
        let mut due = Vec::new();
        let mut with_results = HashMap::new();
        for (&id, request) in &mut self.requests {
            if !is_due(request.deadline) {
                continue;
            }
            let Some(reply) = request.reply.take() else { continue };
            if reply.results.is_some() {
                with_results.insert(id, due.len());
            }
            let failure = if request.under_way > 0 {
                WriteFailure::Unknown(NO_ANSWER.to_owned())
            } else if request.sent {
                request.failure.take().unwrap_or(WriteFailure::Incomplete)
            } else {
                WriteFailure::NotSent
            };
            due.push((reply, Err(failure)));
        }
        let withdrawn = if due.is_empty() { Vec::new() } else { self.withdraw() };
        // What was withdrawn is not applied; all else that is not settled is under way, so unknown.
        for asker in withdrawn.iter().flat_map(|entry| &entry.askers) {
            if let Some(&place) = with_results.get(&asker.request)
                && let Some(results) = &mut due[place].0.results
            {
                results.note(asker.index as usize, || EntryResult::not_applied(NOT_SENT));
            }
        }
        answer_all(due);
        withdrawn
    }

    /// Takes out of the queue what was asked for by requests that are answered.
    fn withdraw(&mut self) -> Vec<Entry> {
        let mut withdrawn: Vec<Entry> = Vec::new();
        let requests = &self.requests;
        self.slots.retain(|puname, slot| {
            let answered = |asker: &Asker| {
                requests.get(&asker.request).is_none_or(|request| request.reply.is_none())
            };
            if slot.waiting.iter().any(answered) {
                let (askers, stay) = slot.waiting.drain(..).partition(answered);
                slot.waiting = stay;
                withdrawn.push(Entry { puname: puname.clone(), askers });
            }
            slot.under_way || !slot.waiting.is_empty()
        });
        let slots = &self.slots;
        self.prompt.retain(|puname| slots.contains_key(puname));
        self.bulk.retain(|puname| slots.contains_key(puname));
        for asker in withdrawn.iter().flat_map(|entry| &entry.askers) {
            self.waiting -= 1;
            // Its caller is answered already: there is no answer to send.
            self.settle(asker, None);
        }
        withdrawn
    }
}

#[cfg(test)]
mod tests;
