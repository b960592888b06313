//! Brings one part of a user-coin map into ZooKeeper without undoing newer switches.
//!
//! A map that was fetched a while ago may be older than a znode's value. ZooKeeper's order of writes decides: the
//! Poller marks a moment before it fetches, each znode is read with its place in that order, and
//!
//! * a znode that holds the coin already is left, unless the operator wants it rewritten;
//! * a znode that was changed after the mark is left: its value is newer than the map;
//! * any other is written on condition that it is still in the state that was read. A write in between wins.
//!
//! ZooKeeper compares the version alone, which starts at 0 again when a znode is deleted and created again. Only the
//! answer to the write shows that: it names the transaction that created the znode. Such a write may have replaced a
//! newer switch, so it is an error, and the map is fetched again. A create replaces nothing: it succeeds only where
//! there is no znode.

use crate::{
    domain::{Assignment, PreviousValue, SwitchOutcome, ZnodeDir},
    zk::{Connection, Content, Overwrite, Revision, ZnodeRead, Zxid},
    zk_writer::{
        messages::{SkippedEntry, SyncReport},
        write::{EntryEnd, Policy, Progress, Step, Target, Writing},
    },
};

impl Policy for Revision {
    const GIVEN_UP: &'static str = "the watch directory keeps coming and going";

    /// Another client wrote, created or deleted the znode after the read.
    fn correct(_: bool) -> Result<Target<Self>, SwitchOutcome> {
        Err(SwitchOutcome::Skipped)
    }

    fn overwrite(self, path: &str, written: Revision) -> Option<Overwrite> {
        Overwrite::detect(path, self, written)
    }
}

/// Part of a user-coin map, small enough for one transaction, and the conditions of its writes.
#[derive(Debug)]
pub(crate) struct MapPart {
    /// Each sub-account is in it once.
    pub(crate) assignments: Vec<Assignment>,
    /// Znodes that were written after it are newer than the map.
    pub(crate) mark: Zxid,
    /// Whether to write znodes that hold the coin already (`CronRewriteUnchanged`).
    pub(crate) rewrite_unchanged: bool,
    progress: Progress,
}

impl MapPart {
    pub(crate) fn new(assignments: Vec<Assignment>, mark: Zxid, rewrite_unchanged: bool) -> Self {
        Self { assignments, mark, rewrite_unchanged, progress: Progress::default() }
    }

    /// Results of all entries. Call it when the task of [`sync`] has ended.
    pub(crate) fn take_ends(&self) -> Vec<EntryEnd> {
        self.progress.take(self.assignments.len())
    }

    /// Counts the entries by their outcomes.
    pub(crate) fn report(&self, written: &[EntryEnd]) -> SyncReport {
        let mut report = SyncReport::default();
        for (entry, EntryEnd { result, .. }) in self.assignments.iter().zip(written) {
            let outcome = &result.outcome;
            let count = match outcome {
                SwitchOutcome::Overwrote { .. } => {
                    report.overwrote += 1;
                    &mut report.written
                }
                SwitchOutcome::Unchanged => &mut report.unchanged,
                SwitchOutcome::Skipped => &mut report.switched_meanwhile,
                SwitchOutcome::Refused(_) => &mut report.refused,
                SwitchOutcome::Applied => &mut report.written,
                SwitchOutcome::NotApplied(cause) => {
                    report.cause.get_or_insert_with(|| cause.to_string());
                    &mut report.not_written
                }
                // Unknown. Other outcomes do not occur in a poll.
                _ => {
                    let cause = outcome.cause().unwrap_or_default();
                    report.cause.get_or_insert_with(|| format!("outcome unknown: {cause}"));
                    &mut report.not_written
                }
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

/// Writes `part` into `dir`.
pub(crate) async fn sync(connection: &Connection, dir: &ZnodeDir, part: &MapPart) {
    let paths: Vec<String> =
        part.assignments.iter().map(|entry| dir.child(entry.puname.as_str())).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    // Newer switches must be seen, though a server may be behind the leader.
    let steps = match connection.read_caught_up(&paths).await {
        Ok(reads) => part.assignments.iter().zip(paths).zip(reads),
        Err(error) => {
            let cause = format!("its znode could not be read: {error}").into();
            let unread = EntryEnd::not_written(SwitchOutcome::NotApplied(cause));
            return part.progress.report(vec![unread; part.assignments.len()]);
        }
    };
    let steps = steps.map(|((entry, path), read)| step(entry, path, read, part)).collect();
    let mut writing = Writing::new(connection, dir, &part.progress, steps);
    writing.run().await;
    writing.report();
}

fn step<'a>(
    entry: &'a Assignment,
    path: &'a str,
    read: ZnodeRead,
    part: &MapPart,
) -> Step<'a, Revision> {
    let data = entry.coin.as_str().as_bytes();
    let (found, outcome) = match read {
        Ok(found) => {
            let outcome = found.as_ref().and_then(|content| judge(content, data, part));
            (found, outcome)
        }
        Err(cause) => {
            (None, Some(SwitchOutcome::Refused(format!("it may not be read: {cause}").into())))
        }
    };
    let known = found.map(|content| (content.mark.revision, PreviousValue::Data(content.data)));
    let target = known.as_ref().map_or(Target::Missing, |(read, _)| Target::Existing(*read));
    let mut step = Step::new(path, data, target, known);
    step.is_unchanged = outcome.is_some();
    step.outcome = outcome;
    step
}

/// Decides on an entry whose znode exists; `None` if it is to be written.
fn judge(found: &Content, data: &[u8], part: &MapPart) -> Option<SwitchOutcome> {
    let is_newer = found.mark.zxid > part.mark;
    if found.data == data && (is_newer || !part.rewrite_unchanged) {
        return Some(SwitchOutcome::Unchanged);
    }
    is_newer.then_some(SwitchOutcome::Skipped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{Coins, Puname, SwitchResult},
        zk::Mark,
    };

    fn part(mark: i64, rewrite_unchanged: bool) -> MapPart {
        MapPart::new(Vec::new(), Zxid::test(mark), rewrite_unchanged)
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
    fn ended(found: Option<i32>, written: Option<Revision>) -> EntryEnd {
        let (entry, part) = (assignment(), part(10, false));
        let look = found.map(|version| {
            let mark = Mark { revision: Revision::test(1, version), zxid: Zxid::test(9) };
            Content { data: b"btc".to_vec(), mark }
        });
        let mut step = step(&entry, "/dir/alice", Ok(look), &part);
        step.committed(written);
        step.written()
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
        let EntryEnd { result, revision } = ended(Some(0), Some(Revision::test(2, 1)));
        assert!(matches!(result.outcome, SwitchOutcome::Overwrote { .. }), "{result:?}");
        assert_eq!((result.old, revision), (PreviousValue::NotKnown, Some(Revision::test(2, 1))));
        let part = MapPart::new(vec![assignment()], Zxid::test(10), false);
        let report = part.report(&[ended(Some(0), Some(Revision::test(2, 1)))]);
        assert_eq!((report.written, report.overwrote, report.entries()), (1, 1, 1));
    }

    #[test]
    fn what_was_not_written_has_no_old_value_unless_the_read_decided() {
        let (entry, part) = (assignment(), part(10, false));
        let read = |zxid| step(&entry, "/dir/alice", Ok(Some(content("btc", zxid))), &part);
        assert_eq!(read(11).written().result.old, PreviousValue::Data(b"btc".to_vec()), "fresher");
        for fate in [SwitchOutcome::Refused("".into()), SwitchOutcome::Unknown("".into())] {
            let mut step = read(9);
            step.outcome = Some(fate);
            assert_eq!(step.written().result.old, PreviousValue::NotKnown);
        }
    }
}
