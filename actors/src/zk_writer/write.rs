//! The write engine: brings entries into ZooKeeper, in one transaction, corrected and sent again, then one by one.
//!
//! A transaction that fails applies nothing, and the server names the operation that failed. So the engine corrects
//! that entry and sends the others again: nothing can be written twice. An entry that ZooKeeper refuses for another
//! reason (a foreign ACL) is settled, and the others continue one by one, so that many such entries cannot hold up the
//! rest.
//!
//! The engine is generic over the condition of its writes: [`AnyState`](crate::zk::AnyState) for callers' switches,
//! [`Revision`] for a poll's and an undo's, `IfAbsent` for creates that replace nothing. One run, and so one
//! transaction, has one condition; mixing them does not compile.

use std::slice;

use futures_util::future::{join, join_all};

use crate::{
    domain::{PreviousValue, SwitchOutcome, SwitchResult, ZnodeDir},
    zk::{
        Condition, Connection, Overwrite, Revision, TransactionError, WriteError, WriteOp,
        ZnodeRead,
    },
    zk_writer::progress::{EntryEnd, Progress},
};

/// Transactions that may fail before the open entries go one by one. Two are enough unless other clients create and
/// delete the same znodes meanwhile, and those could make every transaction fail.
const TRANSACTIONS: usize = 3;

/// Rounds in all.
const ROUNDS: usize = TRANSACTIONS + 3;

/// Cause for an entry that a guard stopped.
const GUARDED_OFF: &str = "another request was accepted at the same moment";

/// Condition of a write, and the reaction where it does not hold.
pub(super) trait Policy: Condition {
    /// Cause for an entry that is still open after the last round.
    const GIVEN_UP: &'static str;

    /// The write assumed the opposite of `exists`. Returns the next target, or the entry's outcome.
    fn correct(exists: bool) -> Result<Target<Self>, SwitchOutcome>;

    /// Detects a write that replaced another znode than the one that was read.
    fn overwrite(self, path: &str, written: Revision) -> Option<Overwrite>;
}

/// The znode that an entry is written to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target<C> {
    /// It exists, and is replaced under this condition.
    Existing(C),
    Missing,
    /// It exists, and is deleted under this condition.
    ToDelete(C),
}

/// One entry on its way.
pub(super) struct Step<'a, C> {
    path: &'a str,
    data: &'a [u8],
    pub(super) target: Target<C>,
    /// The last known state of the znode, with its value.
    pub(super) known: Option<(Revision, PreviousValue)>,
    /// Whether a later read found the znode in the known state. Used only for entries that were not written.
    pub(super) is_unchanged: bool,
    /// `None` while the entry is open.
    pub(super) outcome: Option<SwitchOutcome>,
    /// Whether a guard stopped the write.
    pub(super) is_guarded_off: bool,
    /// Whether our write created the znode.
    is_created: bool,
    /// State of the znode after our write.
    revision: Option<Revision>,
}

impl<'a, C: Policy> Step<'a, C> {
    /// An open entry.
    pub(super) fn new(
        path: &'a str,
        data: &'a [u8],
        target: Target<C>,
        known: Option<(Revision, PreviousValue)>,
    ) -> Self {
        let (outcome, revision) = (None, None);
        Self {
            path,
            data,
            target,
            known,
            is_unchanged: false,
            outcome,
            is_guarded_off: false,
            is_created: false,
            revision,
        }
    }

    fn op(&self) -> WriteOp<'_, C> {
        let (path, data) = (self.path, self.data);
        match self.target {
            Target::Existing(condition) => WriteOp::Set { path, data, condition },
            Target::Missing => WriteOp::Create { path, data },
            Target::ToDelete(condition) => WriteOp::Delete { path, condition },
        }
    }

    fn is_create(&self) -> bool {
        matches!(self.target, Target::Missing)
    }

    /// Takes in that [`op`](Self::op) was committed.
    pub(super) fn committed(&mut self, revision: Option<Revision>) {
        let overwrite = match (self.target, revision) {
            (Target::Existing(condition), Some(written)) => condition.overwrite(self.path, written),
            _ => None,
        };
        self.outcome = Some(overwrite.map_or(SwitchOutcome::Applied, |overwrite| {
            let cause = overwrite.to_string().into();
            SwitchOutcome::Overwrote { znode: overwrite.path.into(), cause }
        }));
        self.is_created = self.is_create();
        self.revision = revision;
    }

    fn correct(&mut self, exists: bool) {
        match C::correct(exists) {
            Ok(target) => self.target = target,
            Err(outcome) => self.outcome = Some(outcome),
        }
    }

    /// The value before our write: none, if the write created the znode; the known one, if the write deleted that state
    /// or made the next one of the same znode. Anything else is not proven, since another client wrote in between.
    pub(super) fn old(&self) -> PreviousValue {
        let is_deleted = matches!(
            (self.target, &self.outcome),
            (Target::ToDelete(_), Some(SwitchOutcome::Applied))
        );
        match (&self.known, self.revision) {
            _ if self.is_created => PreviousValue::Absent,
            (Some((_, old)), None) if self.is_unchanged || is_deleted => old.clone(),
            (Some((before, old)), Some(after)) if after.follows(*before) => old.clone(),
            _ => PreviousValue::NotKnown,
        }
    }

    pub(super) fn written(&self) -> EntryEnd {
        let given_up = || SwitchOutcome::Refused(C::GIVEN_UP.into());
        let outcome = self.outcome.clone().unwrap_or_else(given_up);
        let known = self.known.as_ref().map(|(revision, _)| *revision);
        let is_held = matches!(outcome, SwitchOutcome::Held { .. });
        let revision = if is_held { known } else { self.revision };
        EntryEnd { result: SwitchResult { old: self.old(), outcome }, revision }
    }
}

/// Entries on their way, all under the same kind of condition.
pub(super) struct Writing<'a, C> {
    connection: &'a Connection,
    dir: &'a ZnodeDir,
    progress: &'a Progress,
    pub(super) steps: Vec<Step<'a, C>>,
    /// Checks and conditional writes of other znodes, which are part of each transaction.
    guards: Vec<WriteOp<'a, C>>,
    rounds: usize,
    is_one_by_one: bool,
}

/// Answers of one round, by the entries' indices.
struct Tried {
    together: Vec<usize>,
    transaction: Result<Vec<Option<Revision>>, TransactionError>,
    singles: Vec<(usize, Result<Option<Revision>, TransactionError>)>,
}

impl<'a, C: Policy> Writing<'a, C> {
    pub(super) fn new(
        connection: &'a Connection,
        dir: &'a ZnodeDir,
        progress: &'a Progress,
        steps: Vec<Step<'a, C>>,
    ) -> Self {
        let guards = Vec::new();
        Self { connection, dir, progress, steps, guards, rounds: 0, is_one_by_one: false }
    }

    /// Writes only while these znodes are in these states: each write shares a transaction with the checks. Creates by
    /// a server without creates in transactions are not guarded.
    pub(super) fn guarded_by(mut self, guards: impl IntoIterator<Item = (&'a str, C)>) -> Self {
        let checks = guards.into_iter().map(|(path, condition)| WriteOp::Check { path, condition });
        self.guards.extend(checks);
        self
    }

    /// Like [`guarded_by`](Self::guarded_by), but writes the znode at `path`, so that other writers' guards of it fail.
    pub(super) fn announced_by(mut self, path: &'a str, data: &'a [u8], condition: C) -> Self {
        self.guards.push(WriteOp::Set { path, data, condition });
        self
    }

    /// Indices of the entries for which `is_it` holds.
    pub(super) fn indices(&self, is_it: impl Fn(&Step<'a, C>) -> bool) -> Vec<usize> {
        (0..self.steps.len()).filter(|&index| is_it(&self.steps[index])).collect()
    }

    /// Reads the znodes of some entries.
    pub(super) async fn read(&self, indices: &[usize]) -> Result<Vec<ZnodeRead>, WriteError> {
        if indices.is_empty() {
            return Ok(Vec::new());
        }
        let paths: Vec<&str> = indices.iter().map(|&index| self.steps[index].path).collect();
        self.connection.read(&paths).await
    }

    /// Writes the open entries until all are settled or the rounds are used up.
    pub(super) async fn run(&mut self) {
        while self.rounds < ROUNDS && self.steps.iter().any(|step| step.outcome.is_none()) {
            self.round().await;
        }
    }

    /// Sends the open entries once, and takes the answers in.
    pub(super) async fn round(&mut self) {
        let tried = self.send().await;
        self.apply(tried).await;
    }

    /// Copies the results to `progress`, which outlives the task.
    pub(super) fn report(&self) {
        self.progress.report(self.steps.iter().map(Step::written).collect());
    }

    /// Sends the open entries, as many as possible in one transaction.
    async fn send(&self) -> Tried {
        self.progress.sent();
        let creates_together = self.connection.version().creates_in_transactions();
        let open = self.indices(|step| step.outcome.is_none()).into_iter();
        let (together, singles): (Vec<usize>, Vec<usize>) = open.partition(|&index| {
            !self.is_one_by_one && (creates_together || !self.steps[index].is_create())
        });
        let ops = |indices: &[usize]| {
            indices.iter().map(|&index| self.steps[index].op()).collect::<Vec<_>>()
        };
        let (together_ops, single_ops) = (ops(&together), ops(&singles));
        let (transaction, answers) =
            join(self.transact(&together_ops), self.write_each(&single_ops)).await;
        Tried { together, transaction, singles: singles.into_iter().zip(answers).collect() }
    }

    /// Sends `ops` as one transaction, with the guards.
    async fn transact(
        &self,
        ops: &[WriteOp<'a, C>],
    ) -> Result<Vec<Option<Revision>>, TransactionError> {
        if ops.is_empty() {
            return Ok(Vec::new());
        }
        let guards = self.guards.len();
        if guards == 0 {
            return self.connection.transact(ops).await;
        }
        let guarded: Vec<_> = self.guards.iter().chain(ops).copied().collect();
        match self.connection.transact(&guarded).await {
            Ok(revisions) => Ok(revisions.into_iter().skip(guards).collect()),
            Err(TransactionError::Operation { index, error }) => match index.checked_sub(guards) {
                Some(index) => Err(TransactionError::Operation { index, error }),
                None => Err(TransactionError::Guard),
            },
            Err(error) => Err(error),
        }
    }

    /// Sends each of `ops` alone, with the guards.
    async fn write_each(
        &self,
        ops: &[WriteOp<'a, C>],
    ) -> Vec<Result<Option<Revision>, TransactionError>> {
        let creates_together = self.connection.version().creates_in_transactions();
        let is_guarded =
            |op: &WriteOp<'_, C>| creates_together || !matches!(op, WriteOp::Create { .. });
        if self.guards.is_empty() {
            let answers = self.connection.write_each(ops).await.into_iter();
            return answers.map(|answer| answer.map_err(TransactionError::Whole)).collect();
        }
        join_all(ops.iter().map(|op| async move {
            let op = slice::from_ref(op);
            let answers = if is_guarded(&op[0]) {
                self.transact(op).await?
            } else {
                let answers = self.connection.write_each(op).await.into_iter();
                answers.collect::<Result<_, _>>().map_err(TransactionError::Whole)?
            };
            Ok(answers.into_iter().next().flatten())
        }))
        .await
    }

    /// Takes the answers of a round in.
    async fn apply(&mut self, tried: Tried) {
        self.rounds += 1;
        self.is_one_by_one |= self.rounds >= TRANSACTIONS;
        let Tried { together, transaction, singles } = tried;
        match transaction {
            Ok(revisions) => {
                for (index, revision) in together.into_iter().zip(revisions) {
                    self.steps[index].committed(revision);
                }
            }
            Err(TransactionError::Operation { index, error }) => {
                self.is_one_by_one |= matches!(error, WriteError::Refused(_));
                match together.get(index) {
                    Some(&index) => self.failed(index, error).await,
                    None => {
                        self.settle(&together, SwitchOutcome::Unknown(error.to_string().into()))
                    }
                }
            }
            Err(TransactionError::Guard) => self.guard_off(&together),
            Err(TransactionError::Whole(WriteError::Unknown(cause))) => {
                self.settle(&together, SwitchOutcome::Unknown(cause.into()));
            }
            Err(TransactionError::Whole(error)) => {
                self.settle(&together, SwitchOutcome::NotApplied(error.to_string().into()));
            }
        }
        for (index, answer) in singles {
            match answer {
                Ok(revision) => self.steps[index].committed(revision),
                Err(TransactionError::Guard) => self.guard_off(&[index]),
                Err(TransactionError::Operation { error, .. } | TransactionError::Whole(error)) => {
                    self.failed(index, error).await
                }
            }
        }
    }

    fn guard_off(&mut self, indices: &[usize]) {
        for &index in indices {
            let step = &mut self.steps[index];
            step.is_guarded_off = true;
            step.outcome = Some(SwitchOutcome::NotApplied(GUARDED_OFF.into()));
        }
    }

    /// Takes in why one entry was not written; leaves it open if another try can succeed.
    async fn failed(&mut self, index: usize, error: WriteError) {
        let step = &mut self.steps[index];
        match error {
            // The parent is missing, since another client removed the directory.
            WriteError::Missing if step.is_create() => {
                if let Err(error) = self.connection.ensure_directory(self.dir).await {
                    let cause = format!("{} is gone and cannot be made again: {error}", self.dir);
                    step.outcome = Some(SwitchOutcome::NotApplied(cause.into()));
                }
            }
            WriteError::Missing => step.correct(false),
            WriteError::Exists | WriteError::Overtaken => step.correct(true),
            WriteError::Refused(_) => {
                step.outcome = Some(SwitchOutcome::Refused(error.to_string().into()));
            }
            WriteError::Unknown(cause) => step.outcome = Some(SwitchOutcome::Unknown(cause.into())),
        }
    }

    fn settle(&mut self, indices: &[usize], outcome: SwitchOutcome) {
        for &index in indices {
            self.steps[index].outcome = Some(outcome.clone());
        }
    }
}
