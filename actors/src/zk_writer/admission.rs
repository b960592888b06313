//! Admission of batches to the queues of switches and of dry runs, and the answers to their callers.

use tokio::sync::oneshot;

use super::{
    messages::{WriteFailure, WriteReply},
    results::Results,
};
use crate::domain::{SwitchOutcome, Switches};

/// Number of a batch, in the order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct BatchId(u64);

/// Bounds the entries that wait.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) waiting: usize,
    /// Applies to batches from now on. Those that wait stay, even above the limit.
    pub(super) limit: usize,
    next_batch: u64,
}

impl Admission {
    pub(super) fn new(limit: usize) -> Self {
        Self { waiting: 0, limit, next_batch: 0 }
    }

    /// Admits a batch, or answers it at once: an empty one has nothing to wait for, and one that exceeds the limit is
    /// refused. The limit counts the batch's superseded entries, too.
    pub(super) fn admit(
        &mut self,
        switches: &Switches,
        wants_results: bool,
        sender: oneshot::Sender<WriteReply>,
    ) -> Option<(BatchId, Reply)> {
        let results = || wants_results.then(|| Results::new(switches.len()));
        let answer = if switches.is_empty() {
            WriteReply { outcome: Ok(()), results: results() }
        } else if self.waiting + switches.entries() > self.limit {
            let (waiting, limit) = (self.waiting, self.limit);
            WriteReply::refused(WriteFailure::QueueFull { waiting, limit })
        } else {
            self.waiting += switches.len();
            self.next_batch += 1;
            return Some((BatchId(self.next_batch), Reply { sender, results: results() }));
        };
        // The caller may have disconnected.
        let _ = sender.send(answer);
        None
    }
}

/// Channel for the answer to a caller, and the results so far.
#[derive(Debug)]
pub(super) struct Reply {
    sender: oneshot::Sender<WriteReply>,
    /// `None` if the caller does not ask for results.
    results: Option<Results>,
}

impl Reply {
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Records results, if the caller asks for them.
    pub(super) fn note(&mut self, note: impl FnOnce(&mut Results)) {
        self.results.as_mut().map(note);
    }

    /// Answers the caller. Open entries get the outcome `waiting`, or `under_way` if they were sent.
    pub(super) fn answer(
        self,
        outcome: Result<(), WriteFailure>,
        waiting: SwitchOutcome,
        under_way: SwitchOutcome,
    ) {
        let results = self.results.map(|results| results.end(waiting, under_way));
        // The caller may have disconnected.
        let _ = self.sender.send(WriteReply { outcome, results });
    }
}
