//! Brings one chunk of callers' switches into ZooKeeper, whatever the znodes hold.
//!
//! A transaction has to know which znodes exist: setting a missing one, or creating an existing one, makes it fail.
//! Entries that were seen before are assumed to exist. The others are read: beside the write if they are few, because
//! nearly all sub-accounts exist and callers wait for every round trip; before it if they are many. The
//! [engine](crate::zk_writer::write) corrects wrong assumptions.

use std::pin::pin;

use futures_util::FutureExt;

use super::{
    last_seen::LastState,
    queue::{CHUNK_ENTRIES, Chunk},
};
use crate::{
    domain::{PreviousValue, SwitchOutcome, ZnodeDir},
    zk::{AnyState, Connection, Overwrite, Revision, WriteError, ZnodeRead},
    zk_writer::write::{Policy, Progress, Step, Target, Tried, Writing},
};

/// Largest number of unseen entries that are read beside the write instead of before it.
const READ_FIRST_ABOVE: usize = CHUNK_ENTRIES / 2;

impl Policy for AnyState {
    const GIVEN_UP: &'static str = "its znode keeps coming and going";

    fn correct(exists: bool) -> Result<Target<Self>, SwitchOutcome> {
        Ok(if exists { Target::Existing(Self) } else { Target::Missing })
    }

    /// The write replaces any znode.
    fn overwrite(self, _: &str, _: Revision) -> Option<Overwrite> {
        None
    }
}

/// Writes `chunk` into `dir`; `seen` has the last known state of each entry's znode. The end of each entry goes to
/// `progress`.
pub(super) async fn commit(
    connection: &Connection,
    dir: &ZnodeDir,
    chunk: &Chunk,
    seen: Vec<Option<LastState>>,
    progress: &Progress,
) {
    let steps = chunk.entries.iter().zip(seen).map(|(entry, seen)| {
        let path = dir.child(entry.puname.as_str());
        step(path, entry.coin().as_str().as_bytes(), seen)
    });
    let mut writing = Writing::new(connection, dir, progress, steps.collect());
    let unseen = writing.indices(|step| step.known.is_none());
    // A read beside the write must be sent whole before it.
    if unseen.len() > READ_FIRST_ABOVE.min(connection.reads_at_once()) {
        let read = writing.read(&unseen).await;
        learn(&mut writing, &unseen, read);
    } else {
        let (tried, read) = send_and_read(&writing, &unseen).await;
        writing.apply(tried).await;
        learn(&mut writing, &unseen, read);
    }
    writing.run().await;
    writing.report();
    read_refused_again(&mut writing).await;
}

fn step(path: String, data: &[u8], seen: Option<LastState>) -> Step<'_, AnyState> {
    let known = seen.map(|seen| (seen.revision, PreviousValue::Coin(seen.coin)));
    Step::new(path, data, Target::Existing(AnyState), known)
}

/// Sends a read of some entries and right behind it the write of all. The read's answer comes before the write's.
async fn send_and_read(
    writing: &Writing<'_, AnyState>,
    indices: &[usize],
) -> (Tried, Result<Vec<ZnodeRead>, WriteError>) {
    let mut read = pin!(writing.read(indices));
    let early = read.as_mut().now_or_never();
    let tried = writing.send().await;
    let read = match early {
        Some(read) => read,
        None => read.await,
    };
    (tried, read)
}

/// Takes a read's answer in. A read that failed is ignored: the write finds out by itself.
fn learn(
    writing: &mut Writing<'_, AnyState>,
    indices: &[usize],
    read: Result<Vec<ZnodeRead>, WriteError>,
) {
    for (&index, read) in indices.iter().zip(read.unwrap_or_default()) {
        learn_one(&mut writing.steps[index], read);
    }
}

fn learn_one(step: &mut Step<'_, AnyState>, read: ZnodeRead) {
    // A znode that may not be read exists.
    let is_missing = matches!(read, Ok(None));
    step.target = if is_missing { Target::Missing } else { Target::Existing(AnyState) };
    if let Ok(content) = read {
        step.known =
            content.map(|content| (content.mark.revision, PreviousValue::Data(content.data)));
    }
}

/// A refusal does not show the znode's state, so only a second read proves what the znode held.
async fn read_refused_again(writing: &mut Writing<'_, AnyState>) {
    let is_refused = |step: &Step<'_, _>| {
        matches!(step.outcome, Some(SwitchOutcome::Refused(_) | SwitchOutcome::NotApplied(_)))
    };
    let refused = writing.indices(|step| is_refused(step) && step.known.is_some());
    if refused.is_empty() {
        return;
    }
    let Ok(read) = writing.read(&refused).await else { return };
    for (&index, read) in refused.iter().zip(read) {
        learn_after_refusal(&mut writing.steps[index], read);
    }
    writing.report();
}

fn learn_after_refusal(step: &mut Step<'_, AnyState>, read: ZnodeRead) {
    if let (Some((before, _)), Ok(Some(after))) = (&step.known, read) {
        step.is_unchanged = after.mark.revision == *before;
    }
}

#[cfg(test)]
mod tests;
