//! Commits intents of callers' switches.
//!
//! The engine sets each intent, whatever it holds: the last one counts. Then the directory's own znode is written, the
//! *announcement*, and a read confirms that no znode was written after its intent. A poll's writes are guarded by the
//! announcements: a poll that has not seen an intent either wrote before the announcement, and the read shows it, or
//! its transaction fails. Only then is the caller answered.

use std::collections::HashMap;

use super::{
    intent::Intent,
    round::HeldDirs,
    safety_period::{SafetyPeriod, now},
};
use crate::{
    domain::{PreviousValue, SwitchOutcome, SwitchResult},
    zk::{AnyState, Connection, Content, Mark, WriteError, ZnodeRead},
    zk_writer::{
        if_absent::IfAbsent,
        progress::{EntryEnd, Progress},
        switches::Chunk,
        write::{Step, Target, Writing},
    },
};

/// Tries while other clients write the same znodes.
const TRIES: usize = 5;

/// Bytes of an intent's data in addition to the coin: field names, numbers.
const INTENT_BYTES: usize = 120;

/// Entries of a chunk that are to be held, with their due times.
#[derive(Debug)]
pub(crate) struct HeldChunk {
    pub(crate) chunk: Chunk,
    dues: Vec<u64>,
}

impl HeldChunk {
    /// Takes the entries that are to be held out of a chunk.
    pub(crate) fn take_from(chunk: &mut Chunk, period: &SafetyPeriod) -> Option<Self> {
        if !period.is_on() {
            return None;
        }
        let now = now();
        let due = chunk.entries.iter().map(|it| period.due(it.coin(), it.puname.as_str(), now));
        let due: Vec<Option<u64>> = due.collect();
        if due.iter().all(Option::is_none) {
            return None;
        }
        let entries = std::mem::take(&mut chunk.entries).into_iter().zip(due);
        let (mut held, mut dues) = (Vec::new(), Vec::new());
        for (entry, due) in entries {
            match due {
                Some(due) => {
                    held.push(entry);
                    dues.push(due);
                }
                None => chunk.entries.push(entry),
            }
        }
        Some(Self { chunk: Chunk { entries: held }, dues })
    }

    /// The intent of an entry, with the due time that it got.
    pub(crate) fn intent(&self, index: usize, due: u64) -> Option<Intent> {
        let entry = self.chunk.entries.get(index)?;
        let source = entry.switches().last()?.source.clone();
        Some(Intent { coin: entry.coin().clone(), due, source, mark: None })
    }
}

/// Makes acceptances known to polls: their guarded writes fail from now on, until they have listed the intents.
pub(crate) async fn announce(connection: &Connection, dirs: &HeldDirs) -> Result<(), WriteError> {
    connection.set(dirs.intents.node(), b"", AnyState).await.map(drop)
}

/// Holds the entries of `held`; one without a znode is created at once. The end of each goes to `progress`.
pub(super) async fn accept(
    connection: &Connection,
    dirs: &HeldDirs,
    held: &HeldChunk,
    progress: &Progress,
) {
    let mut acceptance = Acceptance::new(connection, dirs, held, progress);
    for _ in 0..TRIES {
        let open = acceptance.open();
        if open.is_empty() {
            break;
        }
        if let Err(error) = acceptance.try_once(&open).await {
            let outcome = if acceptance.is_sent {
                SwitchOutcome::Unknown(error.to_string().into())
            } else {
                SwitchOutcome::NotApplied(error.to_string().into())
            };
            acceptance.settle(&acceptance.open(), &outcome);
        }
    }
    acceptance.report();
}

struct Acceptance<'a> {
    connection: &'a Connection,
    dirs: &'a HeldDirs,
    held: &'a HeldChunk,
    progress: &'a Progress,
    znodes: Vec<String>,
    intents: Vec<String>,
    ends: Vec<Option<EntryEnd>>,
    /// Whether anything was sent that could change a znode.
    is_sent: bool,
}

/// An entry's intent as it is sent.
struct Sent {
    index: usize,
    intent: Intent,
    data: Vec<u8>,
    /// Whether the intent's znode exists.
    exists: bool,
}

impl<'a> Acceptance<'a> {
    fn new(
        connection: &'a Connection,
        dirs: &'a HeldDirs,
        held: &'a HeldChunk,
        progress: &'a Progress,
    ) -> Self {
        let names = || held.chunk.entries.iter().map(|entry| entry.puname.as_str());
        let znodes = names().map(|name| dirs.watch.child(name)).collect();
        let intents = names().map(|name| dirs.intents.child(name)).collect();
        let ends = vec![None; held.chunk.entries.len()];
        Self { connection, dirs, held, progress, znodes, intents, ends, is_sent: false }
    }

    fn open(&self) -> Vec<usize> {
        (0..self.ends.len()).filter(|&index| self.ends[index].is_none()).collect()
    }

    fn settle(&mut self, indices: &[usize], outcome: &SwitchOutcome) {
        for &index in indices {
            self.ends[index] = Some(EntryEnd::not_written(outcome.clone()));
        }
    }

    fn report(self) {
        let cause = "its znode was written by other clients again and again";
        let open = || EntryEnd::not_written(SwitchOutcome::Unknown(cause.into()));
        self.progress.report(self.ends.into_iter().map(|end| end.unwrap_or_else(open)).collect());
    }

    async fn try_once(&mut self, open: &[usize]) -> Result<(), WriteError> {
        let (znodes, intents) = self.read(open).await?;
        let (mut missing, mut sent) = (Vec::new(), Vec::new());
        for ((&index, znode), intent) in open.iter().zip(znodes).zip(intents) {
            match (znode, intent) {
                (Err(cause), _) | (_, Err(cause)) => {
                    let cause = format!("it may not be read: {cause}").into();
                    self.settle(&[index], &SwitchOutcome::Refused(cause));
                }
                (Ok(None), _) => missing.push(index),
                (Ok(Some(znode)), Ok(found)) => {
                    let exists = found.is_some();
                    let Some(intent) = self.intent(index, found, znode.mark) else { continue };
                    let data = intent.to_json();
                    sent.push(Sent { index, intent, data, exists });
                }
            }
        }
        self.create(&missing).await;
        if sent.is_empty() {
            return Ok(());
        }
        let turn = self.dirs.turn.read().await;
        self.send(&mut sent).await;
        announce(self.connection, self.dirs).await?;
        drop(turn);
        self.confirm(sent).await
    }

    /// Reads the sub-accounts' znodes, and the intents.
    async fn read(&self, open: &[usize]) -> Result<(Vec<ZnodeRead>, Vec<ZnodeRead>), WriteError> {
        let intents: Vec<String> = open.iter().map(|&index| self.intents[index].clone()).collect();
        let znodes: Vec<&str> = open.iter().map(|&index| self.znodes[index].as_str()).collect();
        let intents = self.connection.read_intents(&intents).await?;
        Ok((self.connection.read_caught_up(&znodes).await?, intents))
    }

    /// The intent to send. One for the same coin keeps its due time: a caller that repeats its switch must not postpone
    /// it for ever.
    fn intent(&self, index: usize, found: Option<Content>, znode: Mark) -> Option<Intent> {
        let mut intent = self.held.intent(index, *self.held.dues.get(index)?)?;
        if let Some(Content { data, mark }) = found
            && let Ok(Some(before)) = Intent::parse(&data)
            && before.coin == intent.coin
            && before.is_last(mark.zxid, Some(znode.zxid))
        {
            intent.due = intent.due.min(before.due);
        }
        Some(intent)
    }

    /// Creates znodes that are missing; where another client was faster, the entry stays open.
    async fn create(&mut self, missing: &[usize]) {
        if missing.is_empty() {
            return;
        }
        self.is_sent = true;
        let entries = &self.held.chunk.entries;
        let steps = missing.iter().map(|&index| {
            let data = entries[index].coin().as_str().as_bytes();
            Step::new(&self.znodes[index], data, Target::Missing, None)
        });
        let (connection, dir) = (self.connection, &self.dirs.watch);
        let mut writing: Writing<'_, IfAbsent> =
            Writing::new(connection, dir, self.progress, steps.collect());
        writing.run().await;
        let ends: Vec<EntryEnd> = writing.steps.iter().map(Step::written).collect();
        for (&index, end) in missing.iter().zip(ends) {
            // There is a znode now: the switch is to be held.
            let exists = end.result.outcome == SwitchOutcome::Unchanged;
            self.ends[index] = (!exists).then_some(end);
        }
    }

    /// Sets the intents. Those that are not set are settled, and leave `sent`.
    async fn send(&mut self, sent: &mut Vec<Sent>) {
        let (connection, dir) = (self.connection, &self.dirs.intents);
        let room = connection.transaction_limit();
        let operation = connection.operation_bytes(dir) + INTENT_BYTES;
        let bytes = |it: &Sent| {
            let entry = &self.held.chunk.entries[it.index];
            operation + entry.puname.as_str().len() + entry.coin().as_str().len()
        };
        let most = sent.iter().map(bytes).max().unwrap_or(1);
        let mut failed = HashMap::new();
        for part in sent.chunks((room / most).max(1)) {
            self.is_sent = true;
            let steps = part.iter().map(|it| {
                let target = if it.exists { Target::Existing(AnyState) } else { Target::Missing };
                Step::new(&self.intents[it.index], &it.data, target, None)
            });
            let mut writing: Writing<'_, AnyState> =
                Writing::new(connection, dir, self.progress, steps.collect());
            writing.run().await;
            for (it, step) in part.iter().zip(&writing.steps) {
                let end = step.written();
                if end.result.outcome != SwitchOutcome::Applied {
                    failed.insert(it.index, end.result.outcome);
                }
            }
        }
        sent.retain(|it| !failed.contains_key(&it.index));
        for (index, outcome) in failed {
            self.settle(&[index], &outcome);
        }
    }

    /// Settles the entries whose intents are the last writes; leaves the others open.
    async fn confirm(&mut self, sent: Vec<Sent>) -> Result<(), WriteError> {
        let indices: Vec<usize> = sent.iter().map(|it| it.index).collect();
        let (znodes, intents) = self.read(&indices).await?;
        for ((it, znode), found) in sent.into_iter().zip(znodes).zip(intents) {
            let znode = match znode {
                Ok(znode) => znode,
                Err(cause) => {
                    let cause = format!("its znode may not be read: {cause}").into();
                    self.settle(&[it.index], &SwitchOutcome::Unknown(cause));
                    continue;
                }
            };
            let zxid = znode.as_ref().map(|it| it.mark.zxid);
            let mut is_unchanged = false;
            let is_last = match found {
                // Another caller's switch may have replaced it at the same time, and must then be the last itself: its
                // daemon may have ended. A poll's intent must not replace it, since its map is older.
                Ok(Some(Content { data, mark })) => {
                    let found = Intent::parse(&data).ok().flatten();
                    let found = found.filter(|it| it.mark.is_none() && it.is_last(mark.zxid, zxid));
                    let request = it.intent.source.request;
                    is_unchanged = found.as_ref().is_some_and(|it| it.source.request == request);
                    found.is_some()
                }
                // Carried out already, or removed because of another write.
                Ok(None) => {
                    let coin = it.intent.coin.as_str().as_bytes();
                    znode.as_ref().is_some_and(|znode| znode.data == coin)
                }
                Err(_) => false,
            };
            if is_last {
                // The value of the first read may have been replaced before the intent was set. The present one was there
                // then, if the intent is still the last write.
                let (old, revision) = match znode {
                    _ if !is_unchanged => (PreviousValue::NotKnown, None),
                    None => (PreviousValue::Absent, None),
                    Some(Content { data, mark }) => {
                        (PreviousValue::Data(data), Some(mark.revision))
                    }
                };
                let outcome = SwitchOutcome::Held { due: it.intent.due };
                let result = SwitchResult { old, outcome };
                self.ends[it.index] = Some(EntryEnd { result, revision });
            }
        }
        Ok(())
    }
}
