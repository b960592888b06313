//! Runs the parts of undos.

use std::sync::Arc;

use actix::{ActorFutureExt, AsyncContext, Context, Handler, fut::wrap_future};

use super::{
    messages::{PutBack, PutBackEntry},
    part::{PutBackPart, Surroundings, answer, put_back},
};
use crate::{
    domain::{OutcomeKind, SwitchOutcome},
    zk::Connection,
    zk_writer::{actor::ZkWriter, progress::EntryEnd, session::live, switches::LastState},
};

/// Maximum entries of a part.
const PART: usize = 500;

impl Handler<PutBack> for ZkWriter {
    type Result = ();

    fn handle(&mut self, message: PutBack, ctx: &mut Context<Self>) {
        let PutBack { source, entries, dry_run, reply } = message;
        let refusal = match (&self.draining, live(&self.connection)) {
            (None, Some(connection)) => {
                let parts = self
                    .undo_parts(connection, &entries)
                    .map(|entries| PutBackPart::new(source.clone(), entries.to_vec(), dry_run));
                let parts: Arc<[PutBackPart]> = parts.collect();
                let around = Surroundings {
                    connection: connection.clone(),
                    dirs: self.held.dirs.clone(),
                    period: self.held.period.clone(),
                    may_be_held: self.held.may_be(),
                };
                let writing = connection.spawn({
                    let parts = Arc::clone(&parts);
                    async move {
                        for part in &*parts {
                            put_back(&around, part).await;
                        }
                    }
                });
                self.undos_under_way += 1;
                ctx.spawn(wrap_future::<_, Self>(writing).map(move |_, act, ctx| {
                    act.undos_under_way -= 1;
                    let mut answers = Vec::new();
                    for part in &*parts {
                        let ends = part.take_ends();
                        let entries = part.entries.iter().zip(&ends);
                        answers.extend(entries.map(|(entry, end)| answer(entry, end)));
                        if !dry_run {
                            act.remember_put_back(part, &ends);
                            act.journal.put_back(part, &ends);
                        }
                    }
                    // Recorded first: the answer may wait for the records.
                    let _ = reply.send(answers);
                    act.close_if_drained(ctx);
                }));
                return;
            }
            (Some(_), _) => "the daemon is shutting down",
            (None, None) => "there is no session with ZooKeeper",
        };
        let end = EntryEnd::not_written(SwitchOutcome::NotApplied(refusal.into()));
        let ends = vec![end; entries.len()];
        let part = PutBackPart::new(source, entries, dry_run);
        if !dry_run {
            self.journal.put_back(&part, &ends);
        }
        let answers = part.entries.iter().zip(&ends).map(|(entry, end)| answer(entry, end));
        let _ = reply.send(answers.collect());
    }
}

impl ZkWriter {
    /// Splits an undo so that the servers accept each transaction.
    fn undo_parts<'a>(
        &self,
        connection: &Connection,
        entries: &'a [PutBackEntry],
    ) -> impl Iterator<Item = &'a [PutBackEntry]> {
        let operation = connection.operation_bytes(&self.settings.watch_dir);
        let guards = operation + connection.operation_bytes(&self.held.dirs.intents);
        let bytes = |it: &PutBackEntry| {
            let coin = it.back_to.as_ref().map_or(0, |coin| coin.as_str().len());
            operation + it.puname.as_str().len() + coin
        };
        let most = entries.iter().map(bytes).max().unwrap_or(1);
        let room = connection.transaction_limit().saturating_sub(guards);
        entries.chunks((room / most).clamp(1, PART))
    }

    fn remember_put_back(&mut self, part: &PutBackPart, ends: &[EntryEnd]) {
        for (entry, EntryEnd { result, revision }) in part.entries.iter().zip(ends) {
            let kind = result.outcome.kind();
            if kind == OutcomeKind::Applied {
                self.held.written(entry.puname.as_str());
            }
            if matches!(kind, OutcomeKind::Applied | OutcomeKind::Unknown) {
                let coin = entry.back_to.clone().filter(|_| kind == OutcomeKind::Applied);
                let seen = coin.map(|coin| LastState { coin, revision: *revision });
                self.last_seen.refresh(&entry.puname, seen);
            }
        }
    }
}
