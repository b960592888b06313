//! Requests that wait, and their answers.

use std::{sync::Arc, time::Instant};

use smallvec::SmallVec;

use super::NOT_SENT;
use crate::{
    domain::{SwitchOutcome, Switches},
    zk_writer::{admission::Reply, messages::WriteFailure, results::Results},
};

/// Cause for entries that were under way at the deadline.
const NO_ANSWER: &str = "no answer from ZooKeeper within the time allowed";

#[derive(Debug)]
pub(super) struct WaitingBatch {
    pub(super) switches: Arc<Switches>,
    /// Places of entries that wait, or have waited, in slots.
    pub(super) in_slots: SmallVec<[u32; 1]>,
    /// Taken when the caller is answered, which may be before all entries are settled.
    pub(super) reply: Option<Reply>,
    pub(super) deadline: Instant,
    /// Entries waiting or under way.
    pub(super) unsettled: usize,
    pub(super) under_way: usize,
    /// Whether any entry was ever sent.
    is_sent: bool,
    pub(super) failure: Option<WriteFailure>,
}

impl WaitingBatch {
    /// A batch of which nothing was sent.
    pub(super) fn new(switches: Arc<Switches>, reply: Reply, deadline: Instant) -> Self {
        Self {
            in_slots: SmallVec::new(),
            reply: Some(reply),
            deadline,
            unsettled: switches.len(),
            under_way: 0,
            is_sent: false,
            failure: None,
            switches,
        }
    }

    /// Records that an entry is sent.
    pub(super) fn entry_sent(&mut self, place: usize) {
        self.under_way += 1;
        self.is_sent = true;
        self.note(|results| results.sent(place));
    }

    /// Records results, if the caller asks for them and is not answered.
    pub(super) fn note(&mut self, note: impl FnOnce(&mut Results)) {
        if let Some(reply) = &mut self.reply {
            reply.note(note);
        }
    }

    /// Records the end of an entry that was under way. Returns whether it was the last of all.
    pub(super) fn settle(&mut self, failure: Option<WriteFailure>) -> bool {
        self.under_way -= 1;
        self.unsettled -= 1;
        self.failure = match (self.failure.take(), failure) {
            (Some(before), Some(now)) => Some(before.worse(now)),
            (before, now) => before.or(now),
        };
        self.unsettled == 0
    }

    /// The answer after the last entry, unless it was given before.
    pub(super) fn answer(self) -> Option<Due> {
        Some((self.reply?, self.failure.map_or(Ok(()), Err)))
    }

    /// The failure at the deadline.
    pub(super) fn given_up(&mut self) -> WriteFailure {
        if self.under_way > 0 {
            WriteFailure::Unknown(NO_ANSWER.to_owned())
        } else if self.is_sent {
            self.failure.take().unwrap_or(WriteFailure::Incomplete)
        } else {
            WriteFailure::NotSent
        }
    }
}

/// An answer that is due.
pub(super) type Due = (Reply, Result<(), WriteFailure>);

/// Answers callers, one right after the other, so that their threads wake up once for all. Their waiting entries will
/// never be sent.
pub(super) fn answer_all(due: Vec<Due>) {
    for (reply, outcome) in due {
        let not_sent = SwitchOutcome::NotApplied(NOT_SENT.into());
        reply.answer(outcome, not_sent, SwitchOutcome::Unknown(NO_ANSWER.into()));
    }
}
