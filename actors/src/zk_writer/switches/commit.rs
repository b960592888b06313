//! Brings one chunk of callers' switches into ZooKeeper, whatever the znodes hold.
//!
//! A transaction has to know which znodes exist: setting a missing one, or creating an existing one, makes it fail, and
//! ZooKeeper syncs that failure to its disk like a success. Entries that were seen before are assumed to exist. The
//! others are read first, which costs one round trip without a sync, unless [newcomers](super::newcomers) are expected.
//! The [engine](crate::zk_writer::write) corrects wrong assumptions.

use std::iter;

use super::{last_seen::LastState, queue::Chunk};
use crate::{
    domain::{PreviousValue, SwitchOutcome, ZnodeDir},
    zk::{AnyState, Connection, Overwrite, Revision, ZnodeRead},
    zk_writer::{
        progress::Progress,
        write::{Policy, Step, Target, Writing},
    },
};

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

/// Writes `chunk` into `dir`. `seen` has the last known state of each entry's znode. With `guess_new`, entries without
/// a state are created without a read. The end of each entry goes to `progress`.
pub(super) async fn commit(
    connection: &Connection,
    dir: &ZnodeDir,
    chunk: &Chunk,
    seen: Vec<Option<LastState>>,
    guess_new: bool,
    progress: &Progress,
) {
    let paths = Paths::of(dir, chunk);
    let is_new: Vec<bool> = seen.iter().map(|seen| guess_new && seen.is_none()).collect();
    let entries = paths.iter().zip(&chunk.entries).zip(seen);
    let steps =
        entries.map(|((path, entry), seen)| step(path, entry.coin().as_str().as_bytes(), seen));
    let mut writing = Writing::new(connection, dir, progress, steps.collect());
    read(&mut writing, |index| !is_new[index]).await;
    if is_new.contains(&true) {
        let guesses = writing.steps.iter_mut().zip(&is_new).filter(|(_, is_new)| **is_new);
        guesses.for_each(|(step, _)| step.target = Target::Missing);
        writing.round().await;
        // ZooKeeper may refuse to create a znode that exists and that it would let us write.
        let refused = writing.steps.iter_mut().zip(&is_new).filter(|(step, is_new)| {
            **is_new && matches!(step.outcome, Some(SwitchOutcome::Refused(_)))
        });
        refused.for_each(|(step, _)| step.outcome = None);
        read(&mut writing, |index| is_new[index]).await;
    }
    writing.run().await;
    writing.report();
    read_refused_again(&mut writing).await;
}

fn step<'a>(path: &'a str, data: &'a [u8], seen: Option<LastState>) -> Step<'a, AnyState> {
    let known = seen.and_then(|seen| Some((seen.revision?, PreviousValue::Coin(seen.coin))));
    Step::new(path, data, Target::Existing(AnyState), known)
}

/// The znodes' paths, in one text.
struct Paths {
    text: String,
    ends: Vec<usize>,
}

impl Paths {
    fn of(dir: &ZnodeDir, chunk: &Chunk) -> Self {
        let mut text = String::new();
        let ends = chunk.entries.iter().map(|entry| {
            text.extend([dir.as_str(), entry.puname.as_str()]);
            text.len()
        });
        let ends = ends.collect();
        Self { text, ends }
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        let starts = iter::once(&0).chain(&self.ends);
        starts.zip(&self.ends).map(|(&start, &end)| &self.text[start..end])
    }
}

/// Reads the open entries of unknown state for which `is_due` holds. A read that fails is ignored: the write finds out
/// by itself.
async fn read(writing: &mut Writing<'_, AnyState>, is_due: impl Fn(usize) -> bool) {
    let open = writing.indices(|step| step.known.is_none() && step.outcome.is_none());
    let due: Vec<usize> = open.into_iter().filter(|&index| is_due(index)).collect();
    for (&index, read) in due.iter().zip(writing.read(&due).await.unwrap_or_default()) {
        learn(&mut writing.steps[index], read);
    }
}

fn learn(step: &mut Step<'_, AnyState>, read: ZnodeRead) {
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
