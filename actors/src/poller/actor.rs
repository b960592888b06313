//! The shell of the Poller: one poll at a time, and when the next begins.

use std::{
    collections::HashSet,
    rc::Rc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Recipient, SpawnHandle,
    fut::wrap_future,
};
use slog::{Logger, debug, info, o, warn};
use tokio::time::Instant;

use super::{
    UpstreamUrl,
    answer::Remark,
    cursor::{Cursor, Settlement},
    fetch::Upstream,
    journal::Journal,
    messages::{NewSettings, StopPolling},
    poll::{Brought, Ended, Poll},
    user_coin_map::Rules,
};
use crate::{
    domain::Coins,
    metrics::Metrics,
    zk_writer::{BeginPoll, PollerLock, SyncBatch},
};

/// Pause before `ZkWriter` is asked again whether there is a session.
const NO_SESSION_PAUSE: Duration = Duration::from_millis(250);

/// What an operator decides about polling.
#[derive(Clone, Debug)]
pub struct PollerSettings {
    /// Where the user-coin map is (`UserCoinMapURL`).
    pub url: UpstreamUrl,
    /// From the beginning of a poll to that of the next (`CronIntervalSeconds`).
    pub interval: Duration,
    /// For all of a fetch: connection, header and body (`CronFetchTimeoutSeconds`).
    pub fetch_timeout: Duration,
    /// Unpacked bytes of the largest answer (`CronBodyLimitBytes`).
    pub body_limit: u64,
    /// Seconds that are subtracted from `last_date`, for upstreams that compare strictly
    /// (`CronOverlapSeconds`).
    pub overlap: i64,
    /// Whether to write what ZooKeeper holds already (`CronRewriteUnchanged`).
    pub rewrite_unchanged: bool,
    /// How daemons choose the one that polls; `None` if each does (`ZKPollerLockPath`).
    pub lock: Option<PollerLock>,
    /// What may be switched to (`AvailableCoins`).
    pub coins: Coins,
    /// Whether names are written in lower case (`StratumServerCaseInsensitive`).
    pub lower_case: bool,
}

/// Whom the Poller needs.
#[derive(Clone)]
pub(crate) struct ToZkWriter {
    /// Says whether and from when on to poll.
    pub(crate) begin: Recipient<BeginPoll>,
    /// Takes a map's entries.
    pub(crate) sync: Recipient<SyncBatch>,
}

/// Owns the cursor (`last_date`), and fetches.
///
/// A poll is made by one set of settings from its beginning to its end. New ones wait for the end of the poll under
/// way. If they name another upstream or other coins, the map is asked for whole again, and at once: the time up
/// to which the other upstream has told is not this one's, and what a coin's entries were skipped for holds no
/// longer.
pub(crate) struct Poller {
    settings: PollerSettings,
    poll: Poll,
    cursor: Cursor,
    stage: Stage,
    /// What the next poll is to be made by, if that is not what this one is.
    new_settings: Option<PollerSettings>,
    /// What was said of the lock last.
    standby: Option<String>,
    remarked: HashSet<Remark>,
    journal: Journal,
    log: Logger,
}

/// What the Poller does.
enum Stage {
    /// It asks `ZkWriter`, fetches, or brings in.
    Polling,
    /// It waits for a session.
    NoSession,
    /// It waits for the end of the interval since that moment.
    Idle { began: Instant, timer: SpawnHandle },
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
            poll: poll_by(&settings, zk_writer, log),
            settings,
            cursor: Cursor::default(),
            stage: Stage::NoSession,
            new_settings: None,
            standby: None,
            remarked: HashSet::new(),
            journal: Journal::new(log, metrics),
            log: log.new(o!()),
        }
    }

    fn poll(&mut self, ctx: &mut Context<Self>) {
        let began = Instant::now();
        self.stage = Stage::Polling;
        debug!(self.log, "poll begins"; "last_date" => self.asked_from());
        let poll = self.poll.clone().run(self.asked_from());
        ctx.spawn(wrap_future::<_, Self>(poll).map(move |ended, act, ctx| {
            let had_session = !matches!(ended, Ended::NoSession);
            act.ended(ended, began.elapsed());
            let begins_anew = act.new_settings.take().is_some_and(|settings| act.adopt(settings));
            if !had_session {
                act.stage = Stage::NoSession;
                ctx.run_later(NO_SESSION_PAUSE, Self::poll);
            } else if begins_anew {
                act.poll(ctx);
            } else {
                act.wait(began, ctx);
            }
        }));
    }

    /// Polls when the interval since then is over. A poll that took longer delays the next, and is not made up for.
    fn wait(&mut self, began: Instant, ctx: &mut Context<Self>) {
        let pause = self.settings.interval.saturating_sub(began.elapsed());
        self.stage = Stage::Idle { began, timer: ctx.run_later(pause, Self::poll) };
    }

    /// Takes new settings over between two polls, and tells whether the next has to ask for all and begin at once.
    fn adopt(&mut self, settings: PollerSettings) -> bool {
        let has_other_url = settings.url != self.settings.url;
        let begins_anew = has_other_url || settings.coins != self.settings.coins;
        if begins_anew {
            self.cursor = Cursor::default();
        }
        if has_other_url {
            self.remarked.clear();
        }
        self.poll = poll_by(&settings, self.poll.zk_writer.clone(), &self.log);
        self.settings = settings;
        begins_anew
    }

    /// What the next poll asks from.
    fn asked_from(&self) -> i64 {
        self.cursor.last_date().saturating_sub(self.settings.overlap).max(0)
    }

    fn ended(&mut self, ended: Ended, took: Duration) {
        if !matches!(ended, Ended::NoSession | Ended::NotBegun(_)) {
            self.tell_of_lock(&ended);
        }
        match ended {
            // ZkWriter tells of that.
            Ended::NoSession => {}
            Ended::Standby { .. } => self.journal.standby(took),
            Ended::NotBegun(cause) => {
                self.journal.failed(&cause, took, self.asked_from());
            }
            Ended::NotFetched(error) => {
                self.journal.failed(&error.to_string(), took, self.asked_from());
            }
            Ended::Brought(brought) => self.brought(&brought, took),
        }
    }

    fn brought(&mut self, brought: &Brought, took: Duration) {
        if let Some(remark) = brought.remark
            && self.remarked.insert(remark)
        {
            warn!(self.log, "the upstream's {}", remark);
        }
        let now_date = self.cursor.judge(brought.now_date, clock());
        self.journal.now_date(now_date);
        self.journal.bad_entries(brought.map.bad());
        self.journal.left(&brought.report);
        let report = &brought.report;
        let settlement = if report.not_written > 0 || report.refused > 0 || report.overwrote > 0 {
            Settlement::NotAll
        } else if report.switched_meanwhile > 0 {
            Settlement::AllButFresher
        } else {
            Settlement::All
        };
        self.cursor.answered(settlement, now_date);
        self.journal.brought(brought, took, self.asked_from());
    }

    /// Tells when it becomes another daemon's turn to poll, and ours.
    fn tell_of_lock(&mut self, ended: &Ended) {
        let standby = match ended {
            Ended::Standby { holder } => Some(holder.clone()),
            _ => None,
        };
        if standby == self.standby {
            return;
        }
        match &standby {
            Some(holder) => {
                info!(self.log, "standing by: another daemon polls"; "holder" => holder);
            }
            None => info!(self.log, "taking over: this daemon polls now"),
        }
        self.standby = standby;
    }
}

/// What a poll by these settings needs.
fn poll_by(settings: &PollerSettings, zk_writer: ToZkWriter, log: &Logger) -> Poll {
    let PollerSettings { url, fetch_timeout, body_limit, coins, lower_case, .. } = settings.clone();
    Poll {
        upstream: Rc::new(Upstream::new(url, fetch_timeout, body_limit, log)),
        zk_writer,
        rules: Rules { coins, lower_case },
        rewrite_unchanged: settings.rewrite_unchanged,
        lock: settings.lock.clone(),
    }
}

/// This machine's clock, in seconds since 1970.
fn clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
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
        if matches!(self.stage, Stage::Polling) {
            self.journal.given_up();
        }
        ctx.stop();
    }
}

impl Handler<NewSettings> for Poller {
    type Result = ();

    fn handle(&mut self, NewSettings(settings): NewSettings, ctx: &mut Self::Context) {
        match self.stage {
            Stage::Polling => self.new_settings = Some(settings),
            Stage::NoSession => {
                self.adopt(settings);
            }
            Stage::Idle { began, timer } => {
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
