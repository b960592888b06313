//! Ends of entries, and the state of a write outside its task.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use crate::{
    domain::{SwitchOutcome, SwitchResult},
    zk::Revision,
};

/// End of one entry.
#[derive(Clone, Debug)]
pub(super) struct EntryEnd {
    pub(super) result: SwitchResult,
    /// State of the znode after our write, if the server returned it; of a held switch, at its acceptance; of a znode
    /// that an undo left alone, as read.
    pub(super) revision: Option<Revision>,
}

impl EntryEnd {
    /// An entry that is not known to have been written.
    pub(super) fn not_written(outcome: SwitchOutcome) -> Self {
        Self { result: SwitchResult::without_old(outcome), revision: None }
    }
}

/// State of a write, kept outside its task, which ends with the connection.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Whether anything was sent that could change a znode.
    is_sent: AtomicBool,
    written: Mutex<Option<Vec<EntryEnd>>>,
}

impl Progress {
    /// Call it before anything is sent that could change a znode.
    pub(super) fn sent(&self) {
        self.is_sent.store(true, Ordering::SeqCst);
    }

    pub(super) fn report(&self, written: Vec<EntryEnd>) {
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) = Some(written);
    }

    /// Results of all `entries`. Call it when the task has ended.
    pub(super) fn take(&self, entries: usize) -> Vec<EntryEnd> {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner).take();
        written.unwrap_or_else(|| {
            let outcome = if self.is_sent.load(Ordering::SeqCst) {
                SwitchOutcome::Unknown("the connection was lost".into())
            } else {
                let cause = "the connection was lost before anything was written";
                SwitchOutcome::NotApplied(cause.into())
            };
            vec![EntryEnd::not_written(outcome); entries]
        })
    }
}
