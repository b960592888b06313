//! Brings one part of a user-coin map into ZooKeeper, without undoing anybody's switch.
//!
//! A map that was fetched a while ago may be older than what a znode holds now. ZooKeeper's own order
//! decides: the Poller marks a moment before it fetches, each znode is read with its place in that
//! order, and
//!
//! * what holds the coin already is left alone, unless the operator wants it written again;
//! * what was changed after the mark is left alone: somebody was fresher than the map;
//! * all else is written on condition that it is still as it was read. Who came in between wins.
//!
//! ZooKeeper compares the version alone, which starts at 0 again when a znode is deleted and created again. Only
//! the answer to the write shows that: it has the transaction that created the znode. Such a write may have
//! replaced a fresher switch, so it is an error, and the map is asked for again. A create replaces nothing: it
//! succeeds only where no znode is.
//!
//! These writes never share a transaction with unconditional ones (`commit`), so a conflict here fails
//! no caller's switch.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::{
    domain::{Assignment, PreviousValue, SwitchOutcome, SwitchResult, ZnodeDir},
    zk::{
        Connection, Content, Look, Overwrite, Revision, TransactionError, WriteError, WriteOp, Zxid,
    },
    zk_writer::{
        messages::{SkippedEntry, SyncReport},
        write::Written,
    },
};

/// Transactions that may be void before what is left goes one by one: each costs a round trip, and whoever
/// is fast enough to void three may void the next.
const TRANSACTIONS: usize = 3;

/// Rounds in all. Only a missing directory makes more than the transactions and one more necessary.
const ROUNDS: usize = TRANSACTIONS + 3;

/// What is to be brought in, and under which conditions.
#[derive(Debug)]
pub(crate) struct Part {
    /// No sub-account is in it twice.
    pub(crate) assignments: Vec<Assignment>,
    /// What was written after it is fresher than the map.
    pub(crate) mark: Zxid,
    /// Whether to write what is there already (`CronRewriteUnchanged`).
    pub(crate) rewrite_unchanged: bool,
    /// Whether anything was sent that could change a znode. For who has to tell the end of a part that was cut
    /// off with its connection.
    is_sent: AtomicBool,
}

impl Part {
    pub(crate) fn new(assignments: Vec<Assignment>, mark: Zxid, rewrite_unchanged: bool) -> Self {
        Self { assignments, mark, rewrite_unchanged, is_sent: AtomicBool::new(false) }
    }

    /// The end of its entries if its connection was lost before [`sync`] returned.
    pub(crate) fn cut_off(&self) -> Vec<Written> {
        let outcome = if self.is_sent.load(Ordering::SeqCst) {
            SwitchOutcome::Unknown("the connection was lost".into())
        } else {
            SwitchOutcome::NotApplied("the connection was lost before anything was written".into())
        };
        vec![Written::not_written(outcome); self.assignments.len()]
    }

    /// Counts the entries by their outcomes.
    pub(super) fn report(&self, written: &[Written]) -> SyncReport {
        let mut report = SyncReport::default();
        for (entry, Written { result, .. }) in self.assignments.iter().zip(written) {
            let outcome = &result.outcome;
            let count = match outcome {
                SwitchOutcome::Overwrote { .. } => {
                    report.overwrote += 1;
                    &mut report.written
                }
                SwitchOutcome::Unchanged => &mut report.unchanged,
                SwitchOutcome::Skipped => &mut report.switched_meanwhile,
                SwitchOutcome::Refused(_) => &mut report.refused,
                SwitchOutcome::NotApplied(cause) => {
                    report.cause.get_or_insert_with(|| cause.to_string());
                    &mut report.not_written
                }
                SwitchOutcome::Unknown(cause) => {
                    report.cause.get_or_insert_with(|| format!("outcome unknown: {cause}"));
                    &mut report.not_written
                }
                SwitchOutcome::Applied => &mut report.written,
                // No entry of a poll ends so; if one did, nothing would prove that it was written.
                SwitchOutcome::ReplacedBy(_)
                | SwitchOutcome::Superseded
                | SwitchOutcome::WouldCreate
                | SwitchOutcome::WouldChange
                | SwitchOutcome::Seen => &mut report.not_written,
            };
            *count += 1;
            let is_skipped = matches!(outcome, SwitchOutcome::Skipped | SwitchOutcome::Refused(_));
            if is_skipped && report.skipped.len() < SyncReport::SKIPPED_NAMED {
                let (puname, coin) = (entry.puname.clone(), entry.coin.clone());
                let old = result.old.to_string();
                report.skipped.push(SkippedEntry { puname, old, coin, outcome: outcome.clone() });
            }
        }
        report
    }
}

/// Brings `part` into `dir`. Returns what became of each entry, in order.
pub(crate) async fn sync(connection: &Connection, dir: &ZnodeDir, part: &Part) -> Vec<Written> {
    let paths: Vec<String> =
        part.assignments.iter().map(|entry| dir.child(entry.puname.as_str())).collect();
    let asked: Vec<&str> = paths.iter().map(String::as_str).collect();
    // Who was fresher than the map must be seen, though a server may be behind the leader.
    let contents = match connection.read_caught_up(&asked).await {
        Ok(contents) => contents,
        Err(error) => {
            let cause = format!("its znode could not be read: {error}").into();
            let unread = Written::not_written(SwitchOutcome::NotApplied(cause));
            return vec![unread; part.assignments.len()];
        }
    };
    let steps = part.assignments.iter().zip(paths).zip(contents);
    let steps = steps.map(|((entry, path), look)| Step::new(entry, path, look, part));
    let mut attempt = Attempt { connection, dir, steps: steps.collect(), one_by_one: false };
    for round in 0..ROUNDS {
        let open = attempt.open();
        if open.is_empty() {
            break;
        }
        attempt.one_by_one |= round >= TRANSACTIONS;
        part.is_sent.store(true, Ordering::SeqCst);
        attempt.write(&open).await;
    }
    attempt.steps.into_iter().map(Step::into_written).collect()
}

/// An entry on its way.
struct Step<'a> {
    path: String,
    data: &'a [u8],
    /// What was read, `None` if there was no znode.
    found: Option<Content>,
    /// `None` as long as it is to be written.
    fate: Option<SwitchOutcome>,
    /// Whether the znode was written, created or deleted after it was read.
    is_unseen: bool,
    revision: Option<Revision>,
}

impl<'a> Step<'a> {
    fn new(entry: &'a Assignment, path: String, look: Look, part: &Part) -> Self {
        let data = entry.coin.as_str().as_bytes();
        let (found, fate) = match look {
            Ok(found) => {
                let fate = found.as_ref().and_then(|content| judge(content, data, part));
                (found, fate)
            }
            Err(cause) => {
                (None, Some(SwitchOutcome::Refused(format!("it may not be read: {cause}").into())))
            }
        };
        Self { path, data, found, fate, is_unseen: false, revision: None }
    }

    fn op(&self) -> WriteOp<'_> {
        let (path, data) = (&*self.path, self.data);
        match &self.found {
            Some(content) => WriteOp::Set { path, data, expected: Some(content.mark.revision) },
            None => WriteOp::Create { path, data },
        }
    }

    fn written(&mut self, revision: Option<Revision>) {
        let overwrite = match (&self.found, revision) {
            (Some(read), Some(written)) => {
                Overwrite::detect(&self.path, read.mark.revision, written)
            }
            _ => None,
        };
        self.fate =
            Some(overwrite.map_or(SwitchOutcome::Applied, |overwrite| SwitchOutcome::Overwrote {
                cause: overwrite.to_string().into(),
                znode: overwrite.path.into(),
            }));
        self.revision = revision;
    }

    fn into_written(self) -> Written {
        let given_up =
            || SwitchOutcome::Refused("the watch directory keeps coming and going".into());
        let fate = self.fate.unwrap_or_else(given_up);
        let old = match (&fate, self.found) {
            (SwitchOutcome::Applied, None) => PreviousValue::Absent,
            (
                SwitchOutcome::Applied | SwitchOutcome::Unchanged | SwitchOutcome::Skipped,
                Some(content),
            ) if !self.is_unseen => PreviousValue::Data(content.data),
            _ => PreviousValue::NotKnown,
        };
        Written { result: SwitchResult { old, outcome: fate }, revision: self.revision }
    }
}

/// Decides on an entry whose znode is there; `None` if it is to be written.
fn judge(found: &Content, data: &[u8], part: &Part) -> Option<SwitchOutcome> {
    let is_fresher = found.mark.zxid > part.mark;
    if found.data == data && (is_fresher || !part.rewrite_unchanged) {
        return Some(SwitchOutcome::Unchanged);
    }
    is_fresher.then_some(SwitchOutcome::Skipped)
}

struct Attempt<'a> {
    connection: &'a Connection,
    dir: &'a ZnodeDir,
    steps: Vec<Step<'a>>,
    /// Whether what is open goes each for itself from now on.
    one_by_one: bool,
}

impl Attempt<'_> {
    fn open(&self) -> Vec<usize> {
        (0..self.steps.len()).filter(|&index| self.steps[index].fate.is_none()).collect()
    }

    /// Sends what is open, as far as it may be in one transaction.
    async fn write(&mut self, open: &[usize]) {
        let creates_together = self.connection.version().creates_in_transactions();
        let (together, singles): (Vec<usize>, Vec<usize>) =
            open.iter().copied().partition(|&index| {
                !self.one_by_one && (self.steps[index].found.is_some() || creates_together)
            });
        if !together.is_empty() {
            let ops: Vec<_> = together.iter().map(|&index| self.steps[index].op()).collect();
            let answer = self.connection.transact(&ops).await;
            self.apply(&together, answer).await;
        }
        if !singles.is_empty() {
            let ops: Vec<_> = singles.iter().map(|&index| self.steps[index].op()).collect();
            let answers = self.connection.write_each(&ops).await;
            for (index, answer) in singles.into_iter().zip(answers) {
                match answer {
                    Ok(revision) => self.steps[index].written(revision),
                    Err(error) => self.learn(index, error).await,
                }
            }
        }
    }

    async fn apply(
        &mut self,
        together: &[usize],
        answer: Result<Vec<Option<Revision>>, TransactionError>,
    ) {
        let fate = match answer {
            Ok(revisions) => {
                for (&index, revision) in together.iter().zip(revisions) {
                    self.steps[index].written(revision);
                }
                return;
            }
            Err(TransactionError::Operation { index, error }) => {
                self.one_by_one |= matches!(error, WriteError::Refused(_));
                if let Some(&index) = together.get(index) {
                    self.learn(index, error).await;
                    return;
                }
                SwitchOutcome::Unknown(error.to_string().into())
            }
            Err(TransactionError::Whole(WriteError::Unknown(cause))) => {
                SwitchOutcome::Unknown(cause.into())
            }
            Err(TransactionError::Whole(error)) => {
                SwitchOutcome::NotApplied(error.to_string().into())
            }
        };
        for &index in together {
            self.steps[index].fate = Some(fate.clone());
        }
    }

    /// Takes in what the server said of one entry that it did not write.
    async fn learn(&mut self, index: usize, error: WriteError) {
        let step = &mut self.steps[index];
        step.fate = match error {
            // A create that misses its parent: somebody removed the directory under us.
            WriteError::Missing if step.found.is_none() => {
                match self.connection.ensure_directory(self.dir).await {
                    Ok(()) => None,
                    Err(error) => Some(SwitchOutcome::NotApplied(
                        format!("{} is gone and cannot be made again: {error}", self.dir).into(),
                    )),
                }
            }
            WriteError::Missing | WriteError::Exists | WriteError::Overtaken => {
                step.is_unseen = true;
                Some(SwitchOutcome::Skipped)
            }
            WriteError::Refused(_) => Some(SwitchOutcome::Refused(error.to_string().into())),
            WriteError::Unknown(cause) => Some(SwitchOutcome::Unknown(cause.into())),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{Coins, Puname},
        zk::Mark,
    };

    fn part(mark: i64, rewrite_unchanged: bool) -> Part {
        Part::new(Vec::new(), Zxid::test(mark), rewrite_unchanged)
    }

    fn content(data: &str, zxid: i64) -> Content {
        let mark = Mark { revision: Revision::test(1, 0), zxid: Zxid::test(zxid) };
        Content { data: data.into(), mark }
    }

    #[test]
    fn what_was_written_after_the_mark_is_left_alone() {
        let part = part(10, false);
        assert_eq!(judge(&content("btc", 11), b"bcc", &part), Some(SwitchOutcome::Skipped));
        assert_eq!(judge(&content("btc", 10), b"bcc", &part), None);
        assert_eq!(judge(&content("btc", 9), b"bcc", &part), None);
    }

    #[test]
    fn what_is_there_already_is_written_again_only_if_that_is_wanted() {
        for zxid in [9, 11] {
            assert_eq!(
                judge(&content("bcc", zxid), b"bcc", &part(10, false)),
                Some(SwitchOutcome::Unchanged)
            );
        }
        assert_eq!(judge(&content("bcc", 9), b"bcc", &part(10, true)), None);
        assert_eq!(
            judge(&content("bcc", 11), b"bcc", &part(10, true)),
            Some(SwitchOutcome::Unchanged)
        );
    }

    fn assignment() -> Assignment {
        let coin = Coins::new(&["bcc"]).unwrap().get("bcc").unwrap().clone();
        Assignment { puname: Puname::parse("alice").unwrap(), coin }
    }

    /// How an entry ends that was read in this state of znode 1, and written in that one.
    fn ended(found: Option<i32>, written: Option<Revision>) -> Written {
        let (entry, part) = (assignment(), part(10, false));
        let look = found.map(|version| {
            let mark = Mark { revision: Revision::test(1, version), zxid: Zxid::test(9) };
            Content { data: b"btc".to_vec(), mark }
        });
        let mut step = Step::new(&entry, "/dir/alice".to_owned(), Ok(look), &part);
        step.written(written);
        step.into_written()
    }

    #[test]
    fn a_write_that_made_the_next_state_replaced_what_was_read() {
        let SwitchResult { outcome: fate, old } = ended(Some(0), Some(Revision::test(1, 1))).result;
        assert_eq!((fate, old), (SwitchOutcome::Applied, PreviousValue::Data(b"btc".to_vec())));
        let SwitchResult { outcome: fate, old } = ended(None, None).result;
        assert_eq!((fate, old), (SwitchOutcome::Applied, PreviousValue::Absent), "it was created");
    }

    #[test]
    fn a_znode_that_was_created_again_after_the_read_was_overwritten() {
        let Written { result, revision } = ended(Some(0), Some(Revision::test(2, 1)));
        assert!(matches!(result.outcome, SwitchOutcome::Overwrote { .. }), "{result:?}");
        assert_eq!((result.old, revision), (PreviousValue::NotKnown, Some(Revision::test(2, 1))));
        let part = Part::new(vec![assignment()], Zxid::test(10), false);
        let report = part.report(&[ended(Some(0), Some(Revision::test(2, 1)))]);
        assert_eq!((report.written, report.overwrote, report.entries()), (1, 1, 1));
    }

    #[test]
    fn what_was_not_written_has_no_old_value_unless_the_read_decided() {
        let (entry, part) = (assignment(), part(10, false));
        let step = |zxid| {
            Step::new(&entry, "/dir/alice".to_owned(), Ok(Some(content("btc", zxid))), &part)
        };
        assert_eq!(
            step(11).into_written().result.old,
            PreviousValue::Data(b"btc".to_vec()),
            "fresher"
        );
        for fate in [SwitchOutcome::Refused("".into()), SwitchOutcome::Unknown("".into())] {
            let mut step = step(9);
            step.fate = Some(fate);
            assert_eq!(step.into_written().result.old, PreviousValue::NotKnown);
        }
    }
}
