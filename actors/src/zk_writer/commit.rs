//! Brings one chunk into ZooKeeper, whatever exists there already.
//!
//! A transaction needs to know beforehand which znodes exist: setting a missing one or creating an
//! existing one voids it whole. A small chunk is sent at once as sets, with a look at the znodes beside
//! it, because nearly all sub-accounts exist and a round trip is all that its callers wait for. A large
//! one is looked at first. Either way a wrong guess is mended from what the server named, and sent again;
//! nothing of a void transaction was applied, so sending again cannot repeat anything.
//!
//! An entry that ZooKeeper refuses for another reason (an ACL that is not ours) is settled alone, and
//! the rest goes on one by one, each for itself, so that many of its kind cannot hold up the others.

use futures_util::future::join;

use super::{
    journal::Old,
    queue::{Chunk, Outcome},
};
use crate::{
    domain::ZnodeDir,
    zk::{Connection, TransactionError, WriteError, WriteOp},
};

/// Chunks of more entries are looked at before they are written.
const LOOK_FIRST_ABOVE: usize = 16;

/// Tries for one chunk. Two are enough unless somebody creates and deletes the same znodes meanwhile;
/// the last tries go one by one.
const ROUNDS: usize = 5;

/// What became of each entry, in the chunk's order, and what its znode held before.
pub(super) struct Committed {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) old: Vec<Old>,
}

/// Writes `chunk` into `dir`. Never fails as a whole: each entry has its own outcome.
pub(super) async fn commit(connection: &Connection, dir: &ZnodeDir, chunk: &Chunk) -> Committed {
    let paths: Vec<String> =
        chunk.entries.iter().map(|entry| dir.child(entry.puname.as_str())).collect();
    let mut attempt = Attempt::new(connection, dir, chunk, &paths);
    if paths.len() > LOOK_FIRST_ABOVE {
        attempt.learn(connection.read(&paths).await);
        attempt.round(false).await;
    } else {
        let (look, tried) = join(connection.read(&paths), attempt.send(false)).await;
        attempt.apply(tried).await;
        attempt.learn(look);
    }
    for round in 1..ROUNDS {
        if attempt.is_settled() {
            break;
        }
        attempt.round(round + 2 >= ROUNDS).await;
    }
    attempt.into_committed()
}

/// A chunk on its way.
struct Attempt<'a> {
    connection: &'a Connection,
    dir: &'a ZnodeDir,
    chunk: &'a Chunk,
    paths: &'a [String],
    /// Whether the znode is believed to exist.
    exists: Vec<bool>,
    old: Vec<Old>,
    outcomes: Vec<Option<Outcome>>,
    one_by_one: bool,
}

/// What one round brought: the answers to the entries by index, in a transaction or each for itself.
struct Tried {
    together: Vec<usize>,
    transaction: Result<(), TransactionError>,
    singles: Vec<(usize, Result<(), WriteError>)>,
}

impl<'a> Attempt<'a> {
    fn new(
        connection: &'a Connection,
        dir: &'a ZnodeDir,
        chunk: &'a Chunk,
        paths: &'a [String],
    ) -> Self {
        let count = paths.len();
        Self {
            connection,
            dir,
            chunk,
            paths,
            exists: vec![true; count],
            old: vec![Old::NotKnown; count],
            outcomes: vec![None; count],
            one_by_one: false,
        }
    }

    fn is_settled(&self) -> bool {
        self.outcomes.iter().all(Option::is_some)
    }

    /// Takes a look's answer in. A failed look is no failure: the write finds out for itself.
    fn learn(&mut self, look: Result<Vec<Option<Vec<u8>>>, WriteError>) {
        for (index, data) in look.unwrap_or_default().into_iter().enumerate() {
            self.exists[index] = data.is_some();
            self.old[index] = data.map_or(Old::None, Old::Data);
        }
    }

    async fn round(&mut self, one_by_one: bool) {
        let tried = self.send(one_by_one).await;
        self.apply(tried).await;
    }

    /// Sends what is not settled, as far as it may be in one transaction.
    async fn send(&self, one_by_one: bool) -> Tried {
        let one_by_one = one_by_one || self.one_by_one;
        let creates_together = self.connection.version().creates_in_transactions();
        let open = (0..self.paths.len()).filter(|&index| self.outcomes[index].is_none());
        let (together, singles): (Vec<usize>, Vec<usize>) =
            open.partition(|&index| !one_by_one && (self.exists[index] || creates_together));
        let ops =
            |indices: &[usize]| indices.iter().map(|&index| self.op(index)).collect::<Vec<_>>();
        let (together_ops, single_ops) = (ops(&together), ops(&singles));
        let (transaction, answers) = join(
            async {
                if together_ops.is_empty() {
                    Ok(())
                } else {
                    self.connection.transact(&together_ops).await
                }
            },
            self.connection.write_each(&single_ops),
        )
        .await;
        Tried { together, transaction, singles: singles.into_iter().zip(answers).collect() }
    }

    fn op(&self, index: usize) -> WriteOp<'_> {
        let (path, data) =
            (&*self.paths[index], self.chunk.entries[index].coin().as_str().as_bytes());
        if self.exists[index] {
            WriteOp::Set { path, data }
        } else {
            WriteOp::Create { path, data }
        }
    }

    async fn apply(&mut self, tried: Tried) {
        let Tried { together, transaction, singles } = tried;
        match transaction {
            Ok(()) => {
                for index in together {
                    self.outcomes[index] = Some(Outcome::Applied);
                }
            }
            Err(TransactionError::Operation { index, error }) => {
                self.one_by_one |= matches!(error, WriteError::Refused(_));
                match together.get(index) {
                    Some(&entry) => self.judge(entry, error).await,
                    None => self.settle_unknown(&together, &format!("no operation {index}")),
                }
            }
            Err(TransactionError::Whole(WriteError::Unknown(cause))) => {
                self.settle_unknown(&together, &cause);
            }
            Err(TransactionError::Whole(error)) => {
                for index in together {
                    self.outcomes[index] = Some(Outcome::NotApplied(error.to_string()));
                }
            }
        }
        for (index, answer) in singles {
            match answer {
                Ok(()) => self.outcomes[index] = Some(Outcome::Applied),
                Err(error) => self.judge(index, error).await,
            }
        }
    }

    /// Takes in what the server said of one entry; leaves it open if another try can succeed.
    async fn judge(&mut self, index: usize, error: WriteError) {
        match error {
            WriteError::Missing if self.exists[index] => self.exists[index] = false,
            WriteError::Exists => self.exists[index] = true,
            // A create that misses its parent: somebody removed the directory under us.
            WriteError::Missing => {
                if let Err(error) = self.connection.ensure_directory(self.dir).await {
                    let text = format!("{} is gone and cannot be made again: {error}", self.dir);
                    self.outcomes[index] = Some(Outcome::NotApplied(text));
                }
            }
            WriteError::Refused(_) => {
                self.outcomes[index] = Some(Outcome::NotApplied(error.to_string()));
            }
            WriteError::Unknown(cause) => self.outcomes[index] = Some(Outcome::Unknown(cause)),
        }
    }

    fn settle_unknown(&mut self, indices: &[usize], cause: &str) {
        for &index in indices {
            self.outcomes[index] = Some(Outcome::Unknown(cause.to_owned()));
        }
    }

    fn into_committed(self) -> Committed {
        let given_up = || Outcome::NotApplied("its znode keeps coming and going".to_owned());
        let outcomes = self.outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(given_up));
        Committed { outcomes: outcomes.collect(), old: self.old }
    }
}
