//! The shell of the Poller: one poll at a time, and the time of the next.

use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, SpawnHandle,
    fut::wrap_future,
};
use slog::{Logger, debug, o};
use tokio::time::Instant;

use super::{
    PollerSettings,
    answer::ShapeWarning,
    cursor::{PollCursor, since_1970},
    journal::Journal,
    messages::{NewSettings, StopPolling},
    outcome::{PollOutcome, SyncedMap},
    poll::{Poll, ToZkWriter},
};
use crate::metrics::Metrics;

/// Pause before `ZkWriter` is asked again for a session.
const NO_SESSION_PAUSE: Duration = Duration::from_millis(250);

/// Polls, and owns the cursor (`last_date`).
///
/// New settings wait for the end of the poll in progress. If they name another upstream or other coins, the next poll
/// begins at once and fetches the whole map: the other upstream's `now_date` does not apply here, and entries that were
/// skipped because of their coin may now be valid.
pub(crate) struct Poller {
    poll: Poll,
    cursor: PollCursor,
    state: PollerState,
    new_settings: Option<PollerSettings>,
    /// The holder of the lock according to the last poll; `None` if this daemon polls.
    standby: Option<String>,
    /// Warnings that were logged already.
    warned: HashSet<ShapeWarning>,
    journal: Journal,
    log: Logger,
}

enum PollerState {
    Polling,
    /// No session with ZooKeeper; a short pause.
    NoSession,
    /// Waits for the end of the interval since `began`.
    Idle {
        began: Instant,
        timer: SpawnHandle,
    },
}

impl Poller {
    /// An actor that polls as soon as it is started and ZooKeeper can be reached.
    pub(crate) fn new(
        settings: PollerSettings,
        zk_writer: ToZkWriter,
        metrics: &Metrics,
        log: &Logger,
    ) -> Self {
        Self {
            poll: Poll::new(settings, zk_writer, log),
            cursor: PollCursor::default(),
            state: PollerState::NoSession,
            new_settings: None,
            standby: None,
            warned: HashSet::new(),
            journal: Journal::new(log, metrics),
            log: log.new(o!()),
        }
    }

    fn poll(&mut self, ctx: &mut Context<Self>) {
        let began = Instant::now();
        self.state = PollerState::Polling;
        debug!(self.log, "poll begins"; "last_date" => self.last_date());
        let poll = self.poll.clone().run(self.last_date());
        ctx.spawn(wrap_future::<_, Self>(poll).map(move |outcome, act, ctx| {
            let had_session = !matches!(outcome, PollOutcome::NoSession);
            act.ended(outcome, began.elapsed());
            let starts_over = act.new_settings.take().is_some_and(|settings| act.adopt(settings));
            if !had_session {
                act.state = PollerState::NoSession;
                ctx.run_later(NO_SESSION_PAUSE, Self::poll);
            } else if starts_over {
                act.poll(ctx);
            } else {
                act.wait(began, ctx);
            }
        }));
    }

    /// Polls at the end of the interval since `began`. A poll that took longer delays the next, which is not made up for.
    fn wait(&mut self, began: Instant, ctx: &mut Context<Self>) {
        let pause = self.poll.settings().interval.saturating_sub(began.elapsed());
        self.state = PollerState::Idle { began, timer: ctx.run_later(pause, Self::poll) };
    }

    /// Adopts settings between two polls. Returns whether the next poll has to begin at once, for the whole map.
    fn adopt(&mut self, settings: PollerSettings) -> bool {
        let old = self.poll.settings();
        let has_other_url = settings.url != old.url;
        let starts_over = has_other_url || settings.rules.coins != old.rules.coins;
        if starts_over {
            self.cursor = PollCursor::default();
        }
        if has_other_url {
            self.warned.clear();
        }
        self.poll = Poll::new(settings, self.poll.zk_writer.clone(), &self.log);
        starts_over
    }

    /// The `last_date` of the next poll.
    fn last_date(&self) -> i64 {
        self.cursor.last_date().saturating_sub(self.poll.settings().overlap).max(0)
    }

    fn ended(&mut self, outcome: PollOutcome, took: Duration) {
        match outcome {
            // ZkWriter logs that.
            PollOutcome::NoSession => {}
            PollOutcome::Standby { holder } => {
                self.set_standby(Some(holder));
                self.journal.standby(took);
            }
            PollOutcome::NotBegun(cause) => self.journal.failed(&cause, took, self.last_date()),
            PollOutcome::NotFetched(error) => {
                self.set_standby(None);
                self.journal.failed(&error.to_string(), took, self.last_date());
            }
            PollOutcome::Synced(synced) => {
                self.set_standby(None);
                self.synced(&synced, took);
            }
        }
    }

    fn synced(&mut self, synced: &SyncedMap, took: Duration) {
        if let Some(warning) = synced.warning
            && self.warned.insert(warning)
        {
            self.journal.shape(warning);
        }
        let now_date = self.cursor.judge(synced.now_date, since_1970(SystemTime::now()));
        self.journal.now_date(now_date);
        self.journal.bad_entries(synced.map.bad());
        self.journal.skipped(&synced.source, &synced.report);
        self.cursor.answered(synced.settlement(), now_date);
        self.journal.synced(synced, took, self.last_date());
    }

    fn set_standby(&mut self, standby: Option<String>) {
        if standby != self.standby {
            self.journal.turn(standby.as_deref());
            self.standby = standby;
        }
    }
}

impl Actor for Poller {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.poll(ctx);
    }
}

impl Handler<StopPolling> for Poller {
    type Result = ();

    fn handle(&mut self, _: StopPolling, ctx: &mut Self::Context) {
        if matches!(self.state, PollerState::Polling) {
            self.journal.abandoned();
        }
        ctx.stop();
    }
}

impl Handler<NewSettings> for Poller {
    type Result = ();

    fn handle(&mut self, NewSettings(settings): NewSettings, ctx: &mut Self::Context) {
        match self.state {
            PollerState::Polling => self.new_settings = Some(settings),
            PollerState::NoSession => {
                self.adopt(settings);
            }
            PollerState::Idle { began, timer } => {
                ctx.cancel_future(timer);
                if self.adopt(settings) {
                    self.poll(ctx);
                } else {
                    self.wait(began, ctx);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
