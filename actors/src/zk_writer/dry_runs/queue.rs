//! Dry runs that wait or are read, without clock or network.
//!
//! * A batch is read in parts of up to [`PART_ENTRIES`], and batches take turns: a large one delays a small one by a
//!   part or two. The number of parts under way is limited, so that no switch waits behind more.
//! * The number of accepted, unanswered entries is limited; a batch that exceeds the limit is refused at once.
//! * If a batch has several entries for one sub-account, the last one is read; the others are superseded.
//! * A part that could not be read ends its batch: the caller would have to ask again anyway.

use std::{collections::VecDeque, ops::Range, sync::Arc, time::Instant};

use foldhash::{HashMap, HashMapExt};

use crate::{
    domain::{Coin, PreviousValue, SwitchOutcome, SwitchResult, Switches},
    zk::ZnodeRead,
    zk_writer::{
        admission::{Admission, BatchId, Reply},
        messages::{DryRunBatch, WriteFailure},
    },
};

/// Sub-accounts to read together.
const PART_ENTRIES: usize = 500;

/// Maximum parts under way.
const PARTS_UNDER_WAY: usize = 2;

/// Entries to read together.
#[derive(Debug)]
pub(crate) struct DryRunPart {
    batch: BatchId,
    switches: Arc<Switches>,
    places: Range<usize>,
}

impl DryRunPart {
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.places.clone().map(|place| self.switches.name(place))
    }
}

#[derive(Debug)]
struct DryRun {
    switches: Arc<Switches>,
    reply: Reply,
    deadline: Instant,
    /// The first place that is in no part yet.
    next: usize,
    parts_under_way: usize,
    /// Failure of the last znode that could not be read.
    failure: Option<WriteFailure>,
}

impl DryRun {
    fn is_given_out(&self) -> bool {
        self.next >= self.switches.len()
    }
}

#[derive(Debug)]
pub(crate) struct DryRuns {
    /// Counts accepted, unanswered entries.
    pub(in crate::zk_writer) admission: Admission,
    batches: HashMap<BatchId, DryRun>,
    /// Batches in turn; some may be answered already.
    turns: VecDeque<BatchId>,
    parts_under_way: usize,
}

impl DryRuns {
    /// A queue of at most `limit` accepted, unanswered entries.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            admission: Admission::new(limit),
            batches: HashMap::new(),
            turns: VecDeque::new(),
            parts_under_way: 0,
        }
    }

    /// Whether no batch waits for an answer and no part is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.parts_under_way == 0
    }

    pub(crate) fn accept(&mut self, batch: DryRunBatch, deadline: Instant) {
        let DryRunBatch { switches, reply } = batch;
        let Some((id, reply)) = self.admission.admit(&switches, true, reply) else { return };
        let (next, parts_under_way, failure) = (0, 0, None);
        let batch = DryRun { switches, reply, deadline, next, parts_under_way, failure };
        self.batches.insert(id, batch);
        self.turns.push_back(id);
    }

    /// The next part to read; `None` if no batch waits or enough parts are under way.
    pub(crate) fn take(&mut self) -> Option<DryRunPart> {
        while self.parts_under_way < PARTS_UNDER_WAY {
            let id = self.turns.pop_front()?;
            let Some(batch) = self.batches.get_mut(&id) else { continue };
            if batch.reply.is_closed() {
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
            return Some(DryRunPart { batch: id, switches: batch.switches.clone(), places });
        }
        None
    }

    /// Takes in the znodes of a part, or why they were not read. `due` has the due time of a switch that would be held.
    pub(crate) fn finish(
        &mut self,
        part: &DryRunPart,
        reads: Result<Vec<ZnodeRead>, String>,
        due: impl Fn(&Coin, &str) -> Option<u64>,
    ) {
        self.parts_under_way -= 1;
        let Some(batch) = self.batches.get_mut(&part.batch) else { return };
        batch.parts_under_way -= 1;
        let reads = match reads {
            Ok(reads) => reads,
            Err(cause) => return self.end(part.batch, Some(WriteFailure::NotRead(cause))),
        };
        for (place, read) in part.places.clone().zip(reads) {
            if let Err(cause) = &read {
                batch.failure = Some(WriteFailure::NotRead(cause.clone()));
            }
            let coin = batch.switches.coin(place);
            let mut result = compare(coin, read);
            if let (Some(coin), SwitchOutcome::WouldChange | SwitchOutcome::Unchanged) =
                (coin, &result.outcome)
                && let Some(due) = due(coin, batch.switches.name(place))
            {
                result.outcome = SwitchOutcome::WouldBeHeld { due };
            }
            batch.reply.note(|results| results.note(place, result));
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

    pub(crate) fn expire_all(&mut self) {
        self.give_up(|_| true);
    }

    fn give_up(&mut self, is_due: impl Fn(&DryRun) -> bool) {
        let due = self.batches.iter().filter(|(_, batch)| is_due(batch)).map(|(&id, _)| id);
        for id in due.collect::<Vec<_>>() {
            self.end(id, Some(WriteFailure::NotSent));
        }
    }

    fn end(&mut self, id: BatchId, failure: Option<WriteFailure>) {
        if let Some(batch) = self.remove(id) {
            let cause = failure.as_ref().map(ToString::to_string).unwrap_or_default();
            let unread = SwitchOutcome::Unknown(cause.into());
            batch.reply.answer(failure.map_or(Ok(()), Err), unread.clone(), unread);
        }
    }

    fn remove(&mut self, id: BatchId) -> Option<DryRun> {
        let batch = self.batches.remove(&id)?;
        self.admission.waiting -= batch.switches.len();
        Some(batch)
    }
}

/// Result of a switch to `coin`, without writing it.
fn compare(coin: Option<&Coin>, read: ZnodeRead) -> SwitchResult {
    let content = match read {
        Ok(content) => content,
        Err(cause) => return SwitchResult::without_old(SwitchOutcome::Unknown(cause.into())),
    };
    let old = match (content, coin) {
        (None, _) => PreviousValue::Absent,
        (Some(content), Some(coin)) if content.data == coin.as_str().as_bytes() => {
            PreviousValue::Coin(coin.clone())
        }
        (Some(content), _) => PreviousValue::Data(content.data),
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
