//! Begins polls, and writes the maps that they fetch.

use std::{sync::Arc, time::Duration};

use actix::{ActorFutureExt, AsyncContext, Context, fut::wrap_future};

use super::{
    sync::{MapPart, sync},
    turn,
};
use crate::{
    domain::{Assignment, OutcomeKind, SwitchOutcome},
    zk::Connection,
    zk_writer::{
        actor::ZkWriter,
        held::Intent,
        messages::{BeginPoll, PollTurn, SyncBatch, SyncReply, SyncReport},
        progress::EntryEnd,
        session::live,
        switches::LastState,
    },
};

/// Time after a caller's request during which more are expected.
const CALLERS_EXPECTED: Duration = Duration::from_secs(1);

impl ZkWriter {
    pub(crate) fn begin_poll(
        &mut self,
        BeginPoll { lock, reply }: BeginPoll,
        ctx: &mut Context<Self>,
    ) {
        let (None, Some(connection)) = (&self.draining, live(&self.connection)) else {
            let _ = reply.send(PollTurn::NoSession);
            return;
        };
        let taking = connection.spawn({
            let (connection, dir) = (connection.clone(), self.settings.watch_dir.clone());
            async move { turn::take(&connection, &dir, lock.as_ref()).await }
        });
        self.polls_under_way += 1;
        ctx.spawn(wrap_future::<_, Self>(taking).map(move |turn, act, ctx| {
            act.polls_under_way -= 1;
            // A turn that was cut off with its connection has to be taken again.
            let _ = reply.send(turn.unwrap_or(PollTurn::NoSession));
            act.close_if_drained(ctx);
        }));
    }

    /// Brings a part of a user-coin map into ZooKeeper, concurrently with chunks: its conditional writes need no order
    /// with theirs.
    pub(crate) fn begin_sync(&mut self, batch: SyncBatch, ctx: &mut Context<Self>) {
        let SyncBatch { source, assignments, start, rewrite_unchanged, reply } = batch;
        let refusal = match (&self.draining, live(&self.connection)) {
            (None, Some(connection)) if connection.session() == start.session => {
                let parts = self.parts(connection, assignments).into_iter().map(|assignments| {
                    MapPart::new(source.clone(), assignments, start.mark, rewrite_unchanged)
                });
                let parts: Arc<[MapPart]> = parts.collect();
                let syncing = connection.spawn({
                    let (connection, parts) = (connection.clone(), Arc::clone(&parts));
                    let (dirs, period) = (self.held.dirs.clone(), self.held.period.clone());
                    let may_be_held = self.held.may_be();
                    async move {
                        for part in &*parts {
                            sync(&connection, &dirs, &period, may_be_held, part).await;
                        }
                    }
                });
                self.polls_under_way += 1;
                ctx.spawn(wrap_future::<_, Self>(syncing).map(move |_, act, ctx| {
                    act.polls_under_way -= 1;
                    let mut report = SyncReport::default();
                    let beside_callers =
                        act.called.is_some_and(|called| called.elapsed() < CALLERS_EXPECTED);
                    // Logged first: the Poller's own line ends the poll.
                    for part in &*parts {
                        let written = part.take_ends();
                        report += part.report(&written);
                        act.journal.synced(part, &written);
                        act.remember_synced(part, &written);
                    }
                    // The Poller may have been stopped.
                    let _ = reply.send(SyncReply { report, beside_callers });
                    act.close_if_drained(ctx);
                }));
                return;
            }
            (Some(_), _) => "the daemon is shutting down",
            (None, Some(_)) => "the ZooKeeper session in which the poll began has ended",
            (None, None) => "there is no session with ZooKeeper",
        };
        self.journal.not_synced(&source, &assignments);
        let _ = reply.send(SyncReply::not_written(assignments.len(), refusal));
    }

    /// Splits a part of a map so that the servers accept each transaction. Nearly always it is one.
    fn parts(&self, connection: &Connection, mut rest: Vec<Assignment>) -> Vec<Vec<Assignment>> {
        let limit = connection.transaction_limit();
        let operation = connection.operation_bytes(&self.settings.watch_dir);
        let (mut parts, mut bytes) = (Vec::new(), 0);
        for index in (0..rest.len()).rev() {
            let Assignment { puname, coin } = &rest[index];
            let needed = operation + puname.as_str().len() + coin.as_str().len();
            if bytes > 0 && bytes + needed > limit {
                parts.push(rest.split_off(index + 1));
                bytes = 0;
            }
            bytes += needed;
        }
        parts.push(rest);
        parts.reverse();
        parts
    }

    fn remember_synced(&mut self, part: &MapPart, written: &[EntryEnd]) {
        for (entry, EntryEnd { result, revision }) in part.assignments.iter().zip(written) {
            let outcome = &result.outcome;
            match outcome {
                SwitchOutcome::Held { due } => self.held.note(
                    entry.puname.as_str(),
                    Intent {
                        coin: entry.coin.clone(),
                        due: *due,
                        source: part.source.clone(),
                        mark: Some(part.mark),
                    },
                ),
                SwitchOutcome::Applied => self.held.written(entry.puname.as_str()),
                _ => {}
            }
            if !matches!(outcome.kind(), OutcomeKind::Applied | OutcomeKind::Unknown) {
                continue;
            }
            let seen =
                revision.map(|_| LastState { coin: entry.coin.clone(), revision: *revision });
            self.last_seen.refresh(&entry.puname, seen);
        }
    }
}
