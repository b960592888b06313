//! Sends switches from the queue into ZooKeeper, chunk by chunk.
//!
//! Natural batching: switches that arrive while a chunk is under way go into the next one. There is no batching timer.

use std::sync::Arc;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture, fut::wrap_future};

use super::{
    commit::commit,
    last_seen::{Id, LastState},
    queue::{Chunk, ChunkRoom},
};
use crate::{
    domain::{Coin, OutcomeKind, PreviousValue, SwitchOutcome},
    zk_writer::{
        actor::ZkWriter,
        held::{HeldChunk, now},
        progress::{EntryEnd, Progress},
        session::live,
    },
};

/// Maximum chunks under way, if each is full.
const CHUNKS_UNDER_WAY: usize = 4;

impl ZkWriter {
    /// Runs [`pump_switches`](Self::pump_switches) after the messages that are in the mailbox now, so that they share a
    /// chunk.
    pub(crate) fn pump_soon(&mut self, ctx: &mut Context<Self>) {
        if !self.pump_due {
            self.pump_due = true;
            ctx.spawn(async {}.into_actor(self).map(|(), act, ctx| {
                act.pump_due = false;
                act.pump_switches(ctx);
            }));
        }
    }

    /// Sends what waits: at once if no chunk is under way, beside other chunks only if it fills one. So an idle service
    /// does not wait, and a busy one sends few large transactions instead of many small ones.
    pub(crate) fn pump_switches(&mut self, ctx: &mut Context<Self>) {
        let Some(connection) = live(&self.connection).cloned() else { return };
        self.queue.set_room(ChunkRoom {
            bytes: connection.transaction_limit(),
            per_entry: connection.operation_bytes(&self.settings.watch_dir),
        });
        while self.chunks_under_way == 0
            || (self.chunks_under_way < CHUNKS_UNDER_WAY && self.queue.fills_a_chunk())
        {
            let (period, now) = (&self.held.period, now());
            let is_held = |coin: &Coin, name: &str| period.due(coin, name, now).is_some();
            let Some(mut chunk) = self.queue.take(is_held) else { return };
            if let Some(held) = HeldChunk::take_from(&mut chunk, &self.held.period) {
                self.hold(connection.clone(), held, ctx);
            }
            if chunk.entries.is_empty() {
                continue;
            }
            let chunk = Arc::new(chunk);
            self.chunks_under_way += 1;
            let known = chunk.entries.iter().map(|entry| self.last_seen.find(&entry.puname));
            let known: Vec<Option<Id>> = known.collect();
            let seen = known.iter().map(|id| self.last_seen.state((*id)?)).collect();
            let newcomers = self.newcomers.are_expected();
            let progress = Arc::new(Progress::default());
            let writing = connection.spawn({
                let (connection, chunk) = (connection.clone(), Arc::clone(&chunk));
                let (dir, progress) = (self.settings.watch_dir.clone(), Arc::clone(&progress));
                async move { commit(&connection, &dir, &chunk, seen, newcomers, &progress).await }
            });
            ctx.spawn(wrap_future::<_, Self>(writing).map(move |_, act, ctx| {
                let written = progress.take(chunk.entries.len());
                act.chunks_under_way -= 1;
                // Log lines come last: first callers are answered and ZooKeeper is kept busy.
                let comes_first = act.metrics.recent().comes_first();
                if comes_first {
                    act.journal.committed(&chunk, &written);
                }
                act.queue.finish(&chunk, written.iter().map(|written| &written.result));
                act.remember(&chunk, &known, &written);
                act.pump_switches(ctx);
                if !comes_first {
                    act.journal.committed(&chunk, &written);
                }
                act.close_if_drained(ctx);
            }));
        }
    }

    /// Remembers the new states; `known` has the entries that were remembered before.
    fn remember(&mut self, chunk: &Chunk, known: &[Option<Id>], written: &[EntryEnd]) {
        for ((entry, known), written) in chunk.entries.iter().zip(known).zip(written) {
            let outcome = written.result.outcome.kind();
            let seen = matches!(outcome, OutcomeKind::Applied)
                .then(|| LastState { coin: entry.coin().clone(), revision: written.revision });
            if known.is_none() && !outcome_is_open(&written.result.outcome) {
                self.newcomers.note(matches!(written.result.old, PreviousValue::Absent));
            }
            if seen.is_some() {
                self.held.written(entry.puname.as_str());
            }
            match (known, seen) {
                (Some(id), Some(seen)) => self.last_seen.update(*id, &seen),
                (_, seen) => self.last_seen.note(&entry.puname, seen),
            }
        }
    }
}

/// Whether the outcome shows nothing about the znode: without a connection, nothing was tried.
fn outcome_is_open(outcome: &SwitchOutcome) -> bool {
    matches!(outcome, SwitchOutcome::Unknown(_) | SwitchOutcome::NotApplied(_))
}
