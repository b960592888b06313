//! Who waits for a look at a batch (a dry run) or at a single znode, and what is being read: without clock or network.
//!
//! * A batch is read in parts of up to [`PART_ENTRIES`], and batches take turns: a large one holds up a small
//!   one by a part or two. So many parts are under way at a time that a switch never waits behind more.
//! * What was accepted and is not answered is bounded by a limit; what would pass it is refused at once.
//! * Of several entries for one sub-account the last is looked at; the others are superseded.
//! * A part that could not be read ends its batch: a caller who was told half of it would ask again anyway.

use std::{collections::VecDeque, ops::Range, sync::Arc, time::Instant};

use foldhash::{HashMap, HashMapExt};
use tokio::sync::oneshot;

use crate::{
    domain::{Coin, PreviousValue, SwitchOutcome, SwitchResult, Switches},
    zk::ZnodeRead,
    zk_writer::{
        messages::{DryRunBatch, WriteFailure, WriteReply},
        results::Results,
    },
};

/// Sub-accounts that are looked at in one go.
pub(crate) const PART_ENTRIES: usize = 500;

/// Parts on their way at a time.
pub(crate) const PARTS_UNDER_WAY: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct BatchId(u64);

/// What is to be read in one go.
#[derive(Debug)]
pub(crate) struct Part {
    batch: BatchId,
    switches: Arc<Switches>,
    places: Range<usize>,
}

impl Part {
    /// The names of the sub-accounts.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.places.clone().map(|place| self.switches.name(place))
    }
}

/// A batch that is looked at.
#[derive(Debug)]
struct Batch {
    switches: Arc<Switches>,
    results: Results,
    reply: oneshot::Sender<WriteReply>,
    deadline: Instant,
    /// The first place that was not given out yet.
    next: usize,
    parts_under_way: usize,
    /// Why the last of the znodes that could not be read was not.
    failure: Option<WriteFailure>,
}

impl Batch {
    fn is_given_out(&self) -> bool {
        self.next >= self.switches.len()
    }

    fn end(self, failure: Option<WriteFailure>) {
        let cause = failure.as_ref().map(ToString::to_string).unwrap_or_default();
        let unread = SwitchOutcome::Unknown(cause.into());
        let results = Some(self.results.end(unread.clone(), unread));
        // The caller may have gone away.
        let _ = self.reply.send(WriteReply { outcome: failure.map_or(Ok(()), Err), results });
    }
}

#[derive(Debug)]
pub(crate) struct DryRuns {
    batches: HashMap<BatchId, Batch>,
    next_batch: u64,
    /// Whose turn it is; some may be answered already.
    turns: VecDeque<BatchId>,
    parts_under_way: usize,
    /// Entries of all batches.
    waiting: usize,
    limit: usize,
}

impl DryRuns {
    /// `limit` counts entries that were accepted and not answered yet.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            batches: HashMap::new(),
            next_batch: 0,
            turns: VecDeque::new(),
            parts_under_way: 0,
            waiting: 0,
            limit,
        }
    }

    /// From now on so many may wait. What waits already stays, be it more.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Entries that were accepted and are not answered yet.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether nobody waits for anything and nothing is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.parts_under_way == 0
    }

    /// Takes a batch in, or answers it at once.
    pub(crate) fn accept(&mut self, look: DryRunBatch, deadline: Instant) {
        let DryRunBatch { switches, reply } = look;
        if switches.is_empty() {
            let _ = reply.send(WriteReply { outcome: Ok(()), results: Some(Results::new(0)) });
            return;
        }
        if self.waiting + switches.entries() > self.limit {
            let failure = WriteFailure::QueueFull { waiting: self.waiting, limit: self.limit };
            let _ = reply.send(WriteReply::refused(failure));
            return;
        }
        let results = Results::new(switches.len());
        let id = BatchId(self.next_batch);
        self.next_batch += 1;
        self.waiting += switches.len();
        self.turns.push_back(id);
        let (next, parts_under_way, failure) = (0, 0, None);
        let batch = Batch { switches, results, reply, deadline, next, parts_under_way, failure };
        self.batches.insert(id, batch);
    }

    /// The next part to read, `None` if nothing waits or enough is under way.
    pub(crate) fn take(&mut self) -> Option<Part> {
        while self.parts_under_way < PARTS_UNDER_WAY {
            let id = self.turns.pop_front()?;
            let Some(batch) = self.batches.get_mut(&id) else { continue };
            if batch.reply.is_closed() {
                // Nobody is left to be told.
                self.remove(id);
                continue;
            }
            let end = batch.switches.len().min(batch.next + PART_ENTRIES);
            let places = batch.next..end;
            batch.next = end;
            if !batch.is_given_out() {
                self.turns.push_back(id);
            }
            batch.parts_under_way += 1;
            self.parts_under_way += 1;
            return Some(Part { batch: id, switches: batch.switches.clone(), places });
        }
        None
    }

    /// Takes in what was read of a part: what each znode holds, or why nothing was read.
    pub(crate) fn finish(&mut self, part: &Part, read: Result<Vec<ZnodeRead>, String>) {
        self.parts_under_way -= 1;
        let Some(batch) = self.batches.get_mut(&part.batch) else { return };
        batch.parts_under_way -= 1;
        let looks = match read {
            Ok(looks) => looks,
            Err(cause) => return self.end(part.batch, Some(WriteFailure::NotRead(cause))),
        };
        for (place, look) in part.places.clone().zip(looks) {
            if let Err(cause) = &look {
                batch.failure = Some(WriteFailure::NotRead(cause.clone()));
            }
            let coin = batch.switches.coin(place);
            batch.results.note(place, compare(coin, look));
        }
        if batch.is_given_out() && batch.parts_under_way == 0 {
            let failure = batch.failure.take();
            self.end(part.batch, failure);
        }
    }

    /// Answers the batches whose deadline is not after `now`.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.give_up(|batch| batch.deadline <= now);
    }

    /// The same for all, whatever their deadlines.
    pub(crate) fn expire_all(&mut self) {
        self.give_up(|_| true);
    }

    fn give_up(&mut self, is_due: impl Fn(&Batch) -> bool) {
        let due = self.batches.iter().filter(|(_, batch)| is_due(batch)).map(|(&id, _)| id);
        for id in due.collect::<Vec<_>>() {
            self.end(id, Some(WriteFailure::NotSent));
        }
    }

    fn end(&mut self, id: BatchId, failure: Option<WriteFailure>) {
        if let Some(batch) = self.remove(id) {
            batch.end(failure);
        }
    }

    fn remove(&mut self, id: BatchId) -> Option<Batch> {
        let batch = self.batches.remove(&id)?;
        self.waiting -= batch.switches.len();
        Some(batch)
    }
}

/// What an entry would do to what its znode holds.
fn compare(coin: Option<&Coin>, look: ZnodeRead) -> SwitchResult {
    let content = match look {
        Ok(content) => content,
        Err(cause) => return SwitchResult::without_old(SwitchOutcome::Unknown(cause.into())),
    };
    let old = match (&content, coin) {
        (None, _) => PreviousValue::Absent,
        (Some(content), Some(coin)) if content.data == coin.as_str().as_bytes() => {
            PreviousValue::Coin(coin.clone())
        }
        (Some(content), _) => PreviousValue::kept(&content.data),
    };
    let outcome = match (&old, coin) {
        (_, None) => SwitchOutcome::Seen,
        (PreviousValue::Absent, _) => SwitchOutcome::WouldCreate,
        (PreviousValue::Coin(_), _) => SwitchOutcome::Unchanged,
        _ => SwitchOutcome::WouldChange,
    };
    SwitchResult { old, outcome }
}

#[cfg(test)]
mod tests;
