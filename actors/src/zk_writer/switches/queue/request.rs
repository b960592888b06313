//! The requests that wait, and their answers.

use std::{sync::Arc, time::Instant};

use smallvec::SmallVec;
use tokio::sync::oneshot;

use super::NOT_SENT;
use crate::{
    domain::{SwitchOutcome, Switches},
    zk_writer::{
        messages::{WriteFailure, WriteReply},
        results::Results,
    },
};

/// The cause for what was under way when the time was over.
const NO_ANSWER: &str = "no answer from ZooKeeper within the time allowed";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct BatchId(pub(super) u64);

#[derive(Debug)]
pub(super) struct Request {
    pub(super) switches: Arc<Switches>,
    /// The places of entries that wait, or have waited, in slots.
    pub(super) in_slots: SmallVec<[u32; 1]>,
    /// Taken when the caller is answered, which may be before all entries are settled.
    pub(super) reply: Option<Reply>,
    pub(super) deadline: Instant,
    /// Entries waiting or under way.
    pub(super) unsettled: usize,
    pub(super) under_way: usize,
    /// Whether anything of it was ever sent.
    pub(super) sent: bool,
    pub(super) failure: Option<WriteFailure>,
}

impl Request {
    /// Notes something in its results, if it asked for them and has not been answered.
    pub(super) fn note(&mut self, note: impl FnOnce(&mut Results)) {
        if let Some(results) = self.reply.as_mut().and_then(|reply| reply.results.as_mut()) {
            note(results);
        }
    }

    /// Notes that an entry is sent.
    pub(super) fn entry_sent(&mut self, place: usize) {
        self.under_way += 1;
        self.sent = true;
        self.note(|results| results.sent(place));
    }

    /// The failure of a request that is given up.
    pub(super) fn given_up(&mut self) -> WriteFailure {
        if self.under_way > 0 {
            WriteFailure::Unknown(NO_ANSWER.to_owned())
        } else if self.sent {
            self.failure.take().unwrap_or(WriteFailure::Incomplete)
        } else {
            WriteFailure::NotSent
        }
    }
}

/// Where an answer goes, and its results so far.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) sender: oneshot::Sender<WriteReply>,
    /// `None` if they are not asked for.
    pub(super) results: Option<Results>,
}

/// An answer that is due.
pub(super) type Due = (Reply, Result<(), WriteFailure>);

/// Answers callers, one right after the other: their threads wake up once for all of them. Entries that wait will
/// never be sent.
pub(super) fn answer_all(due: Vec<Due>) {
    for (Reply { sender, results }, outcome) in due {
        let results = results.map(|results| {
            results.end(
                SwitchOutcome::NotApplied(NOT_SENT.into()),
                SwitchOutcome::Unknown(NO_ANSWER.into()),
            )
        });
        // The caller may have gone away; its switches stand all the same.
        let _ = sender.send(WriteReply { outcome, results });
    }
}
