//! Brings one part of an undo into ZooKeeper.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    time::Duration,
};

use tokio::time::sleep;

use super::{
    decision::{Decision, decide},
    messages::{PutBackEnd, PutBackEntry, PutBackOutcome},
};
use crate::{
    domain::{PreviousValue, Source, SwitchOutcome, SwitchResult},
    zk::{Connection, Content, Mark, Revision, WriteError, ZnodeRead},
    zk_writer::{
        held::{Before, HeldBefore, HeldDirs, SafetyPeriod},
        progress::{EntryEnd, Progress},
        write::{Step, Target, Writing},
    },
};

/// Tries of a part while other daemons' undos, polls and held switches begin at the same moment.
const TRIES: usize = 20;

/// Maximum pause between two tries, in milliseconds: two undos that disturb each other must not stay in step.
const PAUSE_MILLIS: u64 = 50;

/// Part of an undo, small enough for one transaction.
#[derive(Debug)]
pub(crate) struct PutBackPart {
    pub(crate) source: Source,
    /// Each sub-account is in it once.
    pub(crate) entries: Vec<PutBackEntry>,
    is_dry_run: bool,
    progress: Progress,
}

impl PutBackPart {
    pub(super) fn new(source: Source, entries: Vec<PutBackEntry>, is_dry_run: bool) -> Self {
        Self { source, entries, is_dry_run, progress: Progress::default() }
    }

    /// Results of all entries. Call it when the task of [`put_back`] has ended.
    pub(super) fn take_ends(&self) -> Vec<EntryEnd> {
        self.progress.take(self.entries.len())
    }

    /// Copies the results to `progress`, which outlives the task; `open` is the outcome of entries without an end.
    fn report(&self, ends: &[Option<EntryEnd>], open: SwitchOutcome) {
        let open = EntryEnd::not_written(open);
        let ends = ends.iter().map(|end| end.clone().unwrap_or_else(|| open.clone()));
        self.progress.report(ends.collect());
    }
}

/// The actor's data for the task of a part.
pub(super) struct Surroundings {
    pub(super) connection: Connection,
    pub(super) dirs: HeldDirs,
    pub(super) period: SafetyPeriod,
    /// Whether there may be held switches.
    pub(super) may_be_held: bool,
}

/// Puts the znodes of `part` back; a dry run only reads them.
pub(super) async fn put_back(around: &Surroundings, part: &PutBackPart) {
    let mut ends: Vec<Option<EntryEnd>> = vec![None; part.entries.len()];
    for tries in 0..TRIES {
        let open: Vec<usize> = (0..ends.len()).filter(|&index| ends[index].is_none()).collect();
        if open.is_empty() {
            break;
        }
        if tries > 0 {
            // Known ends must survive the loss of the connection.
            part.report(&ends, SwitchOutcome::Unknown("the connection was lost".into()));
            pause().await;
        }
        match around.try_once(part, &open).await {
            Ok(tried) => open.iter().zip(tried).for_each(|(&index, end)| ends[index] = end),
            // The watch directory was written again and again.
            Err(WriteError::Overtaken) => {}
            Err(error) => {
                let cause = format!("its znode could not be read: {error}").into();
                let unread = EntryEnd::not_written(SwitchOutcome::NotApplied(cause));
                open.iter().for_each(|&index| ends[index] = Some(unread.clone()));
            }
        }
    }
    let cause = "other undos, polls or held switches began again and again at the same moment";
    part.report(&ends, SwitchOutcome::NotApplied(cause.into()));
}

async fn pause() {
    // The standard library's hasher has a random seed.
    let random = RandomState::new().hash_one(());
    sleep(Duration::from_millis(random % PAUSE_MILLIS)).await;
}

/// Data that a try has read.
struct TryReads {
    /// The write of the watch directory before the reads, and its data. `None` in a dry run.
    touch: Option<(Mark, Vec<u8>)>,
    held: Option<HeldBefore>,
    /// By the indices of the entries.
    intents: HashMap<usize, Result<Before, String>>,
    paths: Vec<String>,
    znodes: Vec<ZnodeRead>,
}

impl Surroundings {
    /// Tries the entries at `open`; `None` for one that has to be tried again. An error means that nothing was written.
    async fn try_once(
        &self,
        part: &PutBackPart,
        open: &[usize],
    ) -> Result<Vec<Option<EntryEnd>>, WriteError> {
        let may_fail_guards = self.may_be_held && !part.is_dry_run;
        // Acceptances of this daemon would make the write fail.
        let _turn = if may_fail_guards { Some(self.dirs.turn.write().await) } else { None };
        let TryReads { touch, held, intents, paths, znodes } = self.read(part, open).await?;
        let (mut ends, mut places, mut steps) = (Vec::new(), Vec::new(), Vec::new());
        for (((place, index), path), znode) in open.iter().enumerate().zip(&paths).zip(znodes) {
            let entry = &part.entries[*index];
            let decision = decide(entry, part.source.undo_of, &znode, intents.get(index));
            ends.push(match decision {
                Decision::Settle(outcome) => Some(settled(znode, outcome)),
                Decision::Write(_) if part.is_dry_run => {
                    Some(settled(znode, SwitchOutcome::WouldChange))
                }
                Decision::Write(target) => {
                    let data = entry.back_to.as_ref().map_or("", |coin| coin.as_str());
                    places.push(place);
                    steps.push(Step::new(path, data.as_bytes(), target, known(znode)));
                    None
                }
            });
        }
        if steps.is_empty() {
            return Ok(ends);
        }
        let replaces_all = steps.iter().all(|step| matches!(step.target, Target::Existing(_)));
        let mut writing = Writing::new(&self.connection, &self.dirs.watch, &part.progress, steps)
            .guarded_by(held.map(|held| held.guard(&self.dirs)));
        if let Some((Mark { revision, .. }, data)) = &touch {
            let directory = self.dirs.watch.node();
            writing = if replaces_all {
                writing.guarded_by([(directory, *revision)])
            } else {
                // Polls, and the carrier of held switches, must not mistake a later znode for a deleted one. The set also
                // shows the states of created znodes.
                writing.announced_by(directory, data, *revision)
            };
        }
        writing.run().await;
        for (place, step) in places.into_iter().zip(&writing.steps) {
            // If another client wrote the znode in between, the next try sees its new value.
            let again = step.is_guarded_off || step.outcome == Some(SwitchOutcome::Skipped);
            ends[place] = (!again).then(|| step.written());
        }
        Ok(ends)
    }

    async fn read(&self, part: &PutBackPart, open: &[usize]) -> Result<TryReads, WriteError> {
        let Self { connection, dirs, period, may_be_held } = self;
        // First of all, so that the guard detects any later deletion by another undo.
        let touch = if part.is_dry_run { None } else { Some(connection.touch(&dirs.watch).await?) };
        let held = match (may_be_held, part.is_dry_run) {
            (false, _) => None,
            (true, true) => HeldBefore::list(connection, dirs).await?,
            (true, false) => HeldBefore::list_or_create(connection, dirs, period).await?,
        };
        let names = open.iter().map(|&index| (index, part.entries[index].puname.as_str()));
        let intents = match &held {
            Some(held) => held.find(connection, dirs, names.clone()).await?,
            None => HashMap::new(),
        };
        let paths: Vec<String> = names.map(|(_, name)| dirs.watch.child(name)).collect();
        let read: Vec<&str> = paths.iter().map(String::as_str).collect();
        let znodes = connection.read_caught_up(&read).await?;
        Ok(TryReads { touch, held, intents, paths, znodes })
    }
}

/// End of an entry that is not written.
fn settled(read: ZnodeRead, outcome: SwitchOutcome) -> EntryEnd {
    let (old, revision) = match read {
        Ok(Some(Content { data, mark })) => (PreviousValue::Data(data), Some(mark.revision)),
        Ok(None) => (PreviousValue::Absent, None),
        Err(_) => (PreviousValue::NotKnown, None),
    };
    EntryEnd { result: SwitchResult { old, outcome }, revision }
}

fn known(read: ZnodeRead) -> Option<(Revision, PreviousValue)> {
    let Content { data, mark } = read.ok().flatten()?;
    Some((mark.revision, PreviousValue::Data(data)))
}

/// The answer for an entry.
pub(super) fn answer(entry: &PutBackEntry, EntryEnd { result, revision }: &EntryEnd) -> PutBackEnd {
    let is_restored = entry.back_to.is_some();
    let outcome = match &result.outcome {
        SwitchOutcome::Applied if is_restored => PutBackOutcome::Restored,
        SwitchOutcome::Applied => PutBackOutcome::Deleted,
        SwitchOutcome::WouldChange if is_restored => PutBackOutcome::WouldRestore,
        SwitchOutcome::WouldChange => PutBackOutcome::WouldDelete,
        SwitchOutcome::Skipped => PutBackOutcome::SwitchedSince,
        SwitchOutcome::Refused(cause) | SwitchOutcome::NotApplied(cause) => {
            PutBackOutcome::NotApplied(cause.clone())
        }
        // Other outcomes do not occur.
        other => PutBackOutcome::Unknown(other.cause().unwrap_or_default().into()),
    };
    PutBackEnd { now: result.old.clone(), state: *revision, outcome }
}
