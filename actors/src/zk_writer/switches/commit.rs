//! Brings one chunk into ZooKeeper, whatever exists there already.
//!
//! A transaction needs to know beforehand which znodes exist: setting a missing one or creating an
//! existing one voids it whole. Entries that we have seen before are taken to exist. The others are looked
//! at: beside the write if they are few, because nearly all sub-accounts exist and a round trip is all
//! that the callers wait for; before it if they are many. Either way a wrong guess is mended from what
//! the server named, and sent again; nothing of a void transaction was applied, so sending again cannot
//! repeat anything.
//!
//! An entry that ZooKeeper refuses for another reason (an ACL that is not ours) is settled alone, and
//! the rest goes on one by one, each for itself, so that many of its kind cannot hold up the others.

use std::pin::pin;

use futures_util::{FutureExt, future::join};

use super::{
    last_seen::Seen,
    queue::{CHUNK_ENTRIES, Chunk},
};
use crate::{
    domain::{PreviousValue, SwitchOutcome, SwitchResult, ZnodeDir},
    zk::{Connection, Look, Revision, TransactionError, WriteError, WriteOp},
    zk_writer::write::Written,
};

/// More entries than that are looked at before they are written, not beside it.
const LOOK_FIRST_ABOVE: usize = CHUNK_ENTRIES / 2;

/// Tries for one chunk. Two are enough unless somebody creates and deletes the same znodes meanwhile.
const ROUNDS: usize = 5;

/// From this round on entries go one by one, so that what comes and goes voids nobody else's write.
const ONE_BY_ONE_FROM: usize = 3;

/// Writes `chunk` into `dir`; `seen` holds what we know of each entry's znode. Returns what became of
/// each entry, in order.
pub(crate) async fn commit(
    connection: &Connection,
    dir: &ZnodeDir,
    chunk: &Chunk,
    seen: Vec<Option<Seen>>,
) -> Vec<Written> {
    let mut attempt = Attempt::new(connection, dir, chunk, seen);
    let unseen = attempt.unseen();
    // A look beside the write must be sent whole before it.
    if unseen.len() > LOOK_FIRST_ABOVE.min(connection.reads_at_once()) {
        let looked = attempt.look(&unseen).await;
        attempt.learn(&unseen, looked);
        attempt.round().await;
    } else {
        let (tried, looked) = attempt.send_and_look(&unseen).await;
        attempt.apply(tried).await;
        attempt.learn(&unseen, looked);
    }
    for round in 1..ROUNDS {
        if attempt.is_settled() {
            break;
        }
        attempt.one_by_one |= round >= ONE_BY_ONE_FROM;
        attempt.round().await;
    }
    attempt.look_again_at_refused().await;
    attempt.into_written()
}

/// A chunk on its way.
struct Attempt<'a> {
    connection: &'a Connection,
    dir: &'a ZnodeDir,
    steps: Vec<Step<'a>>,
    /// Whether what is open goes each for itself from now on.
    one_by_one: bool,
}

/// An entry on its way.
struct Step<'a> {
    path: String,
    data: &'a [u8],
    /// The last state that the znode is known to have been in, and what it held in it.
    known: Option<(Revision, PreviousValue)>,
    /// Whether the znode is believed to exist.
    exists: bool,
    outcome: Option<SwitchOutcome>,
    /// Whether our write created the znode.
    is_created: bool,
    /// Whether the znode was in the known state both before and after ZooKeeper refused our write.
    is_unchanged: bool,
    revision: Option<Revision>,
}

/// What a look brought: the entries' contents, or nothing.
type Looked = Result<Vec<Look>, WriteError>;

/// What one round brought: the answers to the entries by index, in a transaction or each for itself.
struct Tried {
    together: Vec<usize>,
    transaction: Result<Vec<Option<Revision>>, TransactionError>,
    singles: Vec<(usize, Result<Option<Revision>, WriteError>)>,
}

impl<'a> Step<'a> {
    fn new(path: String, data: &'a [u8], seen: Option<Seen>) -> Self {
        let known = seen.map(|seen| (seen.revision, PreviousValue::Coin(seen.coin)));
        Self {
            path,
            data,
            known,
            exists: true,
            outcome: None,
            is_created: false,
            is_unchanged: false,
            revision: None,
        }
    }

    fn op(&self) -> WriteOp<'_> {
        let (path, data) = (&*self.path, self.data);
        if self.exists {
            WriteOp::Set { path, data, expected: None }
        } else {
            WriteOp::Create { path, data }
        }
    }

    fn learn(&mut self, look: Look) {
        let content = match look {
            Ok(content) => content,
            // It is there, if it is not ours to see.
            Err(_) => {
                self.exists = true;
                return;
            }
        };
        self.exists = content.is_some();
        self.known =
            content.map(|content| (content.mark.revision, PreviousValue::Data(content.data)));
    }

    /// Takes in that [`op`](Self::op) was committed.
    fn applied(&mut self, revision: Option<Revision>) {
        self.outcome = Some(SwitchOutcome::Applied);
        self.is_created = !self.exists;
        self.revision = revision;
    }

    fn is_refused(&self) -> bool {
        matches!(self.outcome, Some(SwitchOutcome::NotApplied(_) | SwitchOutcome::Refused(_)))
    }

    /// Takes in a look after the write was refused.
    fn learn_after_refusal(&mut self, look: Look) {
        if let (Some((before, _)), Ok(Some(after))) = (&self.known, look) {
            self.is_unchanged = after.mark.revision == *before;
        }
    }

    /// What the znode held before our write: nothing, if the write created it; the known content, if the
    /// write made the next state of the same znode. All else is not proven: the znode was written between.
    fn old(&self) -> PreviousValue {
        match (&self.known, self.revision) {
            _ if self.is_created => PreviousValue::Absent,
            (Some((_, old)), _) if self.is_unchanged => old.clone(),
            (Some((before, old)), Some(after)) if after.follows(*before) => old.clone(),
            _ => PreviousValue::NotKnown,
        }
    }

    fn into_written(self) -> Written {
        let given_up = || SwitchOutcome::NotApplied("its znode keeps coming and going".into());
        let (old, revision) = (self.old(), self.revision);
        let outcome = self.outcome.unwrap_or_else(given_up);
        Written { result: SwitchResult { old, outcome }, revision }
    }
}

impl<'a> Attempt<'a> {
    fn new(
        connection: &'a Connection,
        dir: &'a ZnodeDir,
        chunk: &'a Chunk,
        seen: Vec<Option<Seen>>,
    ) -> Self {
        let steps = chunk.entries.iter().zip(seen).map(|(entry, seen)| {
            let path = dir.child(entry.puname.as_str());
            Step::new(path, entry.coin().as_str().as_bytes(), seen)
        });
        Self { connection, dir, steps: steps.collect(), one_by_one: false }
    }

    fn unseen(&self) -> Vec<usize> {
        (0..self.steps.len()).filter(|&index| self.steps[index].known.is_none()).collect()
    }

    fn is_settled(&self) -> bool {
        self.steps.iter().all(|step| step.outcome.is_some())
    }

    async fn look(&self, indices: &[usize]) -> Looked {
        if indices.is_empty() {
            return Ok(Vec::new());
        }
        let paths: Vec<&str> = indices.iter().map(|&index| &*self.steps[index].path).collect();
        self.connection.read(&paths).await
    }

    /// Takes a look's answer in. A failed look is no failure: the write finds out for itself.
    fn learn(&mut self, indices: &[usize], looked: Looked) {
        for (&index, look) in indices.iter().zip(looked.unwrap_or_default()) {
            self.steps[index].learn(look);
        }
    }

    async fn round(&mut self) {
        let tried = self.send().await;
        self.apply(tried).await;
    }

    /// Sends a look at some entries and right behind it the write of all. The look's answer is not
    /// waited for by itself: it comes before the write's.
    async fn send_and_look(&self, indices: &[usize]) -> (Tried, Looked) {
        let mut look = pin!(self.look(indices));
        let early = look.as_mut().now_or_never();
        let tried = self.send().await;
        let looked = match early {
            Some(looked) => looked,
            None => look.await,
        };
        (tried, looked)
    }

    /// Sends what is not settled, as far as it may be in one transaction.
    async fn send(&self) -> Tried {
        let creates_together = self.connection.version().creates_in_transactions();
        let open = (0..self.steps.len()).filter(|&index| self.steps[index].outcome.is_none());
        let (together, singles): (Vec<usize>, Vec<usize>) = open
            .partition(|&index| !self.one_by_one && (self.steps[index].exists || creates_together));
        let ops = |indices: &[usize]| {
            indices.iter().map(|&index| self.steps[index].op()).collect::<Vec<_>>()
        };
        let (together_ops, single_ops) = (ops(&together), ops(&singles));
        let transaction = async {
            if together_ops.is_empty() {
                return Ok(Vec::new());
            }
            self.connection.transact(&together_ops).await
        };
        let (transaction, answers) =
            join(transaction, self.connection.write_each(&single_ops)).await;
        Tried { together, transaction, singles: singles.into_iter().zip(answers).collect() }
    }

    async fn apply(&mut self, tried: Tried) {
        let Tried { together, transaction, singles } = tried;
        match transaction {
            Ok(revisions) => {
                for (index, revision) in together.into_iter().zip(revisions) {
                    self.steps[index].applied(revision);
                }
            }
            Err(TransactionError::Operation { index, error }) => {
                self.one_by_one |= matches!(error, WriteError::Refused(_));
                match together.get(index) {
                    Some(&index) => self.judge(index, error).await,
                    None => self
                        .settle_all(&together, &SwitchOutcome::Unknown(error.to_string().into())),
                }
            }
            Err(TransactionError::Whole(WriteError::Unknown(cause))) => {
                self.settle_all(&together, &SwitchOutcome::Unknown(cause.into()));
            }
            Err(TransactionError::Whole(error)) => {
                self.settle_all(&together, &SwitchOutcome::NotApplied(error.to_string().into()));
            }
        }
        for (index, answer) in singles {
            match answer {
                Ok(revision) => self.steps[index].applied(revision),
                Err(error) => self.judge(index, error).await,
            }
        }
    }

    /// Takes in what the server said of one entry; leaves it open if another try can succeed.
    async fn judge(&mut self, index: usize, error: WriteError) {
        let step = &mut self.steps[index];
        match error {
            WriteError::Missing if step.exists => step.exists = false,
            WriteError::Exists => step.exists = true,
            // A create that misses its parent: somebody removed the directory under us.
            WriteError::Missing => {
                if let Err(error) = self.connection.ensure_directory(self.dir).await {
                    let text = format!("{} is gone and cannot be made again: {error}", self.dir);
                    step.outcome = Some(SwitchOutcome::NotApplied(text.into()));
                }
            }
            WriteError::Refused(_) | WriteError::Overtaken => {
                step.outcome = Some(SwitchOutcome::Refused(error.to_string().into()));
            }
            WriteError::Unknown(cause) => step.outcome = Some(SwitchOutcome::Unknown(cause.into())),
        }
    }

    /// A refusal has no state of the znode, so only a second look proves what the znode held.
    async fn look_again_at_refused(&mut self) {
        let is_open = |step: &Step<'_>| step.is_refused() && step.known.is_some();
        let refused = (0..self.steps.len()).filter(|&index| is_open(&self.steps[index]));
        let refused: Vec<usize> = refused.collect();
        let looked = self.look(&refused).await.unwrap_or_default();
        for (&index, look) in refused.iter().zip(looked) {
            self.steps[index].learn_after_refusal(look);
        }
    }

    fn settle_all(&mut self, indices: &[usize], outcome: &SwitchOutcome) {
        for &index in indices {
            self.steps[index].outcome = Some(outcome.clone());
        }
    }

    fn into_written(self) -> Vec<Written> {
        self.steps.into_iter().map(Step::into_written).collect()
    }
}

#[cfg(test)]
mod tests;
