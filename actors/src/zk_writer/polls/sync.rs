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
//! there is no znode. Undos delete znodes, too, but each such transaction also writes the watch directory, and a poll's
//! transactions check the directory's state. So only a foreign program can cause that error.
//!
//! A held switch is as new as its intent. Each transaction checks that no switch was accepted as held since the intents
//! were listed: otherwise its write would make an intent obsolete that is newer than the map.

use std::{collections::HashMap, mem};

use crate::{
    domain::{Assignment, Coin, PreviousValue, Source, SwitchOutcome},
    zk::{Connection, Content, Revision, WriteError, ZnodeRead, Zxid},
    zk_writer::{
        held::{Before, HeldBefore, HeldDirs, Intent, SafetyPeriod, announce, now},
        messages::{SkippedEntry, SyncReport},
        progress::{EntryEnd, Progress},
        write::{Step, Target, Writing},
    },
};

/// Part of a user-coin map, small enough for one transaction, and the conditions of its writes.
#[derive(Debug)]
pub(crate) struct MapPart {
    pub(crate) source: Source,
    /// Each sub-account is in it once.
    pub(crate) assignments: Vec<Assignment>,
    /// Znodes that were written after it are newer than the map.
    pub(crate) mark: Zxid,
    /// Whether to write znodes that hold the coin already (`CronRewriteUnchanged`).
    pub(crate) rewrite_unchanged: bool,
    progress: Progress,
}

impl MapPart {
    pub(crate) fn new(
        source: Source,
        assignments: Vec<Assignment>,
        mark: Zxid,
        rewrite_unchanged: bool,
    ) -> Self {
        Self { source, assignments, mark, rewrite_unchanged, progress: Progress::default() }
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
                SwitchOutcome::Applied | SwitchOutcome::Held { .. } => &mut report.written,
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

/// Tries of a part while other daemons accept held switches, mark polls or delete znodes at the same moment.
const TRIES: usize = 20;

/// Writes `part`. With `may_be_held`, held switches count like written ones: those that are newer than the mark stay,
/// older ones are replaced, and entries that the safety period demands are held.
pub(crate) async fn sync(
    connection: &Connection,
    dirs: &HeldDirs,
    period: &SafetyPeriod,
    may_be_held: bool,
    part: &MapPart,
) {
    let names = part.assignments.iter().map(|entry| entry.puname.as_str());
    let paths: Vec<String> = names.map(|name| dirs.watch.child(name)).collect();
    let mut ends: Vec<Option<EntryEnd>> = vec![None; part.assignments.len()];
    let unread = |error: &WriteError| {
        let cause = format!("its znode could not be read: {error}").into();
        Some(EntryEnd::not_written(SwitchOutcome::NotApplied(cause)))
    };
    let syncing = Syncing { connection, dirs, period, part, paths };
    for _ in 0..TRIES {
        let open: Vec<usize> = (0..ends.len()).filter(|&index| ends[index].is_none()).collect();
        if open.is_empty() {
            break;
        }
        match syncing.try_once(&open, may_be_held).await {
            Ok(tried) => open.iter().zip(tried).for_each(|(&index, end)| ends[index] = end),
            Err(error) => open.iter().for_each(|&index| ends[index] = unread(&error)),
        }
    }
    let cause = "switches were accepted as held, or undone, again and again at the same moment";
    let open = || EntryEnd::not_written(SwitchOutcome::NotApplied(cause.into()));
    part.progress.report(ends.into_iter().map(|end| end.unwrap_or_else(open)).collect());
}

/// A part of the map under way.
struct Syncing<'a> {
    connection: &'a Connection,
    dirs: &'a HeldDirs,
    period: &'a SafetyPeriod,
    part: &'a MapPart,
    /// The entries' znodes.
    paths: Vec<String>,
}

/// Paths and states of znodes that each write has to check.
type Guards<'a> = Vec<(&'a str, Revision)>;

impl Syncing<'_> {
    /// Tries the entries at `open`; `None` for one that has to be tried again.
    async fn try_once(
        &self,
        open: &[usize],
        may_be_held: bool,
    ) -> Result<Vec<Option<EntryEnd>>, WriteError> {
        let _turn = if may_be_held { Some(self.dirs.turn.write().await) } else { None };
        let held = if may_be_held {
            HeldBefore::list_or_create(self.connection, self.dirs, self.period).await?
        } else {
            None
        };
        let mut found = self.find(held.as_ref(), open).await?;
        // Newer switches must be seen, though a server may be behind the leader. A write after this read wins, since it
        // breaks our write's condition or guard.
        let paths: Vec<&str> = open.iter().map(|&index| self.paths[index].as_str()).collect();
        let (undone, mut reads) = self.connection.read_guarded(&self.dirs.watch, &paths).await?;
        let (now, mark) = (now(), self.part.mark);
        let mut holds = Vec::new();
        let steps = open.iter().enumerate().map(|(place, &index)| {
            let (entry, path) = (&self.part.assignments[index], &self.paths[index]);
            let read = mem::replace(&mut reads[place], Ok(None));
            let znode = read.as_ref().ok().and_then(|found| found.as_ref().map(|it| it.mark.zxid));
            let mut step = step(entry, path, read, self.part);
            let due = self.period.due(&entry.coin, entry.puname.as_str(), now);
            let before = found.remove(&index).and_then(Result::ok);
            match decide(step.outcome.take(), znode, before.as_ref(), &entry.coin, due, mark) {
                Decision::Settle(outcome) => step.outcome = Some(outcome),
                Decision::Write => {}
                Decision::Hold(due) => {
                    let coin = entry.coin.clone();
                    let intent =
                        Intent { coin, due, source: self.part.source.clone(), mark: Some(mark) };
                    let intent_path = self.dirs.intents.child(entry.puname.as_str());
                    let target = before
                        .map_or(Target::Missing, |before| Target::Existing(before.set.revision));
                    let data = intent.to_json();
                    holds.push(Hold { place, znode: path, path: intent_path, data, target });
                    step.outcome = Some(SwitchOutcome::Held { due });
                }
            }
            step.is_unchanged = step.outcome.is_some();
            step
        });
        let steps: Vec<_> = steps.collect();
        let guards = held.map(|held| held.guard(self.dirs)).into_iter();
        let guards: Guards<'_> = guards.chain(undone).collect();
        let mut writing =
            Writing::new(self.connection, &self.dirs.watch, &self.part.progress, steps)
                .guarded_by(guards.iter().copied());
        writing.run().await;
        for (place, outcome) in self.hold(&holds, &guards).await {
            writing.steps[place].is_guarded_off = outcome.is_none();
            writing.steps[place].outcome = outcome.or(Some(SwitchOutcome::Skipped));
        }
        let ends = writing.steps.iter().map(|step| (!step.is_guarded_off).then(|| step.written()));
        Ok(ends.collect())
    }

    /// The intents of the entries at `open`, by the entries' indices.
    async fn find(
        &self,
        held: Option<&HeldBefore>,
        open: &[usize],
    ) -> Result<HashMap<usize, Result<Before, String>>, WriteError> {
        let Some(held) = held else { return Ok(HashMap::new()) };
        let name = |index: usize| self.part.assignments[index].puname.as_str();
        let names = open.iter().map(|&index| (index, name(index)));
        held.find(self.connection, self.dirs, names).await
    }

    /// Sets intents, each only in the state that was read. Returns the place and outcome of each entry that is not held;
    /// without an outcome if the guard stopped the write.
    async fn hold(
        &self,
        holds: &[Hold<'_>],
        guards: &Guards<'_>,
    ) -> Vec<(usize, Option<SwitchOutcome>)> {
        let connection = self.connection;
        let intents = &self.dirs.intents;
        let bytes =
            |it: &Hold<'_>| connection.operation_bytes(intents) + it.path.len() + it.data.len();
        let most = holds.iter().map(bytes).max().unwrap_or(1);
        let (mut failed, mut set) = (Vec::new(), Vec::new());
        for part in holds.chunks((connection.transaction_limit() / most).max(1)) {
            let steps = part.iter().map(|it| Step::new(&it.path, &it.data, it.target, None));
            let mut writing =
                Writing::new(connection, intents, &self.part.progress, steps.collect())
                    .guarded_by(guards.iter().copied());
            writing.run().await;
            for (it, step) in part.iter().zip(&writing.steps) {
                match step.written().result.outcome {
                    _ if step.is_guarded_off => failed.push((it.place, None)),
                    SwitchOutcome::Applied => set.push(it),
                    outcome => failed.push((it.place, Some(outcome))),
                }
            }
        }
        failed.extend(self.confirm(&set).await);
        failed
    }

    /// Announces intents that were set. Returns the outcomes of those that the carrier would never carry out.
    async fn confirm(&self, set: &[&Hold<'_>]) -> Vec<(usize, Option<SwitchOutcome>)> {
        if set.is_empty() {
            return Vec::new();
        }
        // Before its effect is reported: later polls must see the intents. After all writes of this try, which the
        // announcement would stop.
        let announced = announce(self.connection, self.dirs).await;
        let znodes: Vec<&str> = set.iter().map(|it| it.znode).collect();
        let read = match announced {
            Ok(()) => self.connection.read_caught_up(&znodes).await,
            Err(error) => Err(error),
        };
        match read {
            Err(error) => {
                let unknown = SwitchOutcome::Unknown(error.to_string().into());
                set.iter().map(|it| (it.place, Some(unknown.clone()))).collect()
            }
            // The carrier may have written an older intent after the mark: then this one would never be carried out,
            // and the entry has to be requested again.
            Ok(read) => {
                let is_newer = |read: &ZnodeRead| matches!(read, Ok(Some(znode)) if znode.mark.zxid > self.part.mark);
                let newer = set.iter().zip(&read).filter(|(_, read)| is_newer(read));
                newer.map(|(it, _)| (it.place, Some(SwitchOutcome::Skipped))).collect()
            }
        }
    }
}

/// Decision on an entry of a map.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    Settle(SwitchOutcome),
    Write,
    /// Until this time.
    Hold(u64),
}

/// Decides on an entry: `outcome` is that without held switches, `None` if it is to be written.
fn decide(
    outcome: Option<SwitchOutcome>,
    znode: Option<Zxid>,
    before: Option<&Before>,
    coin: &Coin,
    due: Option<u64>,
    mark: Zxid,
) -> Decision {
    let waiting = before.and_then(|before| {
        let intent = before.intent.as_ref()?;
        intent.is_last(before.set.zxid, znode).then_some((intent, before.set.zxid))
    });
    let is_same = waiting.is_some_and(|(intent, _)| intent.coin == *coin);
    if waiting.is_some_and(|(intent, set)| intent.position(set) > mark) {
        let newer = if is_same { SwitchOutcome::Unchanged } else { SwitchOutcome::Skipped };
        return Decision::Settle(newer);
    }
    match (outcome, due) {
        // The map is newer than the intent, which must not be carried out. A write makes it obsolete.
        (Some(SwitchOutcome::Unchanged), _) if waiting.is_some() && !is_same => Decision::Write,
        (Some(outcome), _) => Decision::Settle(outcome),
        // It keeps its due time: the map repeats it at each poll.
        (None, Some(_)) if is_same => Decision::Settle(SwitchOutcome::Unchanged),
        (None, Some(due)) if znode.is_some() => Decision::Hold(due),
        (None, _) => Decision::Write,
    }
}

/// An intent to set.
struct Hold<'a> {
    /// Place of its entry among those of the try.
    place: usize,
    znode: &'a str,
    path: String,
    data: Vec<u8>,
    target: Target<Revision>,
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
        domain::{Coins, Puname, RequestId, SwitchResult},
        zk::Mark,
    };

    fn part(mark: i64, rewrite_unchanged: bool) -> MapPart {
        MapPart::new(Source::poll(RequestId(1)), Vec::new(), Zxid::test(mark), rewrite_unchanged)
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
        let part =
            MapPart::new(Source::poll(RequestId(1)), vec![assignment()], Zxid::test(10), false);
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
