//! The shell of `ZkWriter`: mailbox, session states and timers around the queue and the exchanges.
//!
//! | state | what callers get |
//! | --- | --- |
//! | no session | requests wait for one until their deadline, then [`WriteFailure::NotSent`] or [`ExchangeFailure::NotRead`]; the Poller is told at once |
//! | session up | chunks go out, at most [`CHUNKS_UNDER_WAY`] at a time; each sub-pool has one exchange |
//! | draining | new requests get [`WriteFailure::ShuttingDown`]; accepted ones finish or expire |
//!
//! Natural batching: what arrives while a chunk is under way goes into the next one. There is no
//! batching timer.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture,
    fut::wrap_future,
};
use slog::{Logger, info, o, warn};
use tokio::sync::oneshot;

use super::{
    commit::{Committed, commit},
    journal::{self, Old},
    last_seen::{LastSeen, Seen},
    messages::{
        AskJobmaker, BeginPoll, Drain, Left, PollTurn, SyncBatch, SyncReply, SyncReport,
        WriteBatch, WriteFailure,
    },
    poll_turn,
    queue::{Chunk, Outcome, Queue},
    sub_pools::{Begun, SubPoolSettings, SubPools, ToAckWaiter},
    sync::{Fate, Part, Synced, sync},
};
use crate::{
    ack_waiter::ExchangeFailure,
    domain::{Assignment, SubPool, ZnodeDir},
    zk::{ConnectError, Connection, Established, Session, ZkSettings},
};

/// Chunks on their way at a time, if each is full.
const CHUNKS_UNDER_WAY: usize = 4;

/// Sub-accounts whose last state is remembered, about 100 bytes each; twice as many for a while.
const LAST_SEEN: usize = 100_000;

/// Messages that may lie in the mailbox. A sender that finds it full answers its caller at once.
const MAILBOX: usize = 16 * 1024;

/// Pause between two attempts to reach ZooKeeper.
const RECONNECT_PAUSE: Duration = Duration::from_millis(250);

/// How often deadlines are looked at: callers are answered at most this much late.
const SWEEP: Duration = Duration::from_millis(100);

/// Switches that ZooKeeper is trusted to take in a second, at the least: a request gets this much more
/// time for what waits before it, so that a batch of 500,000 does not fail for its size alone.
const SLOWEST_PACE: u32 = 20_000;

/// For so long after a caller's request more of them are expected.
const CALLERS_EXPECTED: Duration = Duration::from_secs(1);

/// How long the server may take to confirm that the session is closed.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// What an operator decides about writing.
#[derive(Clone, Debug)]
pub struct WriterSettings {
    /// How to reach ZooKeeper.
    pub zookeeper: ZkSettings,
    /// Where the sub-accounts' znodes are (`ZKSwitcherWatchDir`).
    pub watch_dir: ZnodeDir,
    /// After so long a request is answered, whatever ZooKeeper does; larger batches get more, a second
    /// for every 20,000 switches that wait.
    pub request_timeout: Duration,
    /// Switches that may wait; a request that would pass it is refused.
    pub queue_limit: usize,
}

/// Owns the ZooKeeper session and the order of writes.
pub struct ZkWriter {
    settings: WriterSettings,
    log: Logger,
    queue: Queue,
    last_seen: LastSeen,
    /// `None` if the sub-pool API is off.
    sub_pools: Option<SubPools>,
    /// `None` while an attempt to connect has it.
    session: Option<Session>,
    connection: Option<Connection>,
    under_way: usize,
    /// Beginnings of polls and parts of user-coin maps that are under way: the Poller bounds them.
    polls_under_way: usize,
    /// When a caller last sent a request.
    called: Option<Instant>,
    /// Whether a pump is due at the end of this turn of the mailbox.
    pump_due: bool,
    outage: Outage,
    draining: Option<Draining>,
}

/// The end has begun.
struct Draining {
    /// When what is not finished is given up.
    give_up: Instant,
    /// When the session is given up, too.
    until: Instant,
    /// Whom to tell when it is over; taken when the session is being closed.
    done: Option<oneshot::Sender<()>>,
}

/// Since when there is no session, and what was said of it: each cause once an outage.
#[derive(Default)]
struct Outage {
    since: Option<Instant>,
    told: HashSet<String>,
}

impl ZkWriter {
    /// An actor that connects as soon as it is started. What it needs for sub-pools comes with whom to
    /// tell of their exchanges.
    pub(crate) fn new(
        settings: WriterSettings,
        sub_pools: Option<(SubPoolSettings, ToAckWaiter)>,
        log: &Logger,
    ) -> Self {
        let session = Session::new(settings.zookeeper.clone());
        Self {
            sub_pools: sub_pools.map(|(settings, acks)| SubPools::new(settings, acks, log)),
            queue: Queue::new(settings.queue_limit),
            last_seen: LastSeen::new(LAST_SEEN),
            session: Some(session),
            settings,
            log: log.new(o!()),
            connection: None,
            under_way: 0,
            polls_under_way: 0,
            called: None,
            pump_due: false,
            outage: Outage { since: Some(Instant::now()), ..Outage::default() },
            draining: None,
        }
    }

    fn connect(&mut self, ctx: &mut Context<Self>) {
        let Some(mut session) = self.session.take() else { return };
        let dir = self.settings.watch_dir.clone();
        let attempt = async move {
            let mut result = session.connect().await;
            let mut directory = Ok(());
            if let Ok(established) = &mut result {
                directory = established.connection.ensure_directory(&dir).await;
            }
            (session, result, directory)
        };
        ctx.spawn(wrap_future::<_, Self>(attempt).map(|(session, result, directory), act, ctx| {
            act.session = Some(session);
            match result {
                Ok(established) => {
                    if let Err(error) = directory {
                        warn!(act.log, "cannot create the watch directory; switches will fail until \
                            it exists: check its parents and their ACLs";
                            "directory" => %act.settings.watch_dir, "cause" => %error);
                    }
                    act.connected(established, ctx);
                }
                Err(error) => act.not_connected(&error, ctx),
            }
            act.close_if_drained(ctx);
        }));
    }

    fn connected(&mut self, established: Established, ctx: &mut Context<Self>) {
        let Established { connection, session, version_assumed } = established;
        let away = self.outage.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        self.outage.told.clear();
        info!(self.log, "ZooKeeper session is up"; "session" => session,
            "server_version" => %connection.version(),
            "seconds_without" => format!("{:.3}", away.as_secs_f64()));
        if version_assumed {
            warn!(self.log, "a broker does not tell its version (four-letter word srvr), so only what \
                the oldest supported one knows is used until the next connection, which is slower: \
                allow srvr or set ZKServerVersion";
                "assumed" => %connection.version());
        }
        ctx.spawn(connection.lost().into_actor(self).map(|state, act, ctx| act.lost(&state, ctx)));
        self.connection = Some(connection);
        self.pump(ctx);
        for sub_pool in self.sub_pools.as_ref().map(SubPools::idle).unwrap_or_default() {
            self.begin_exchange(&sub_pool, ctx);
        }
    }

    fn not_connected(&mut self, error: &ConnectError, ctx: &mut Context<Self>) {
        if self.outage.told.insert(error.to_string()) {
            warn!(self.log, "ZooKeeper is away; trying again until it is back";
                "cause" => %error, "requests_get" => "105, those to sub-pools 500, at their deadline");
        }
        ctx.run_later(RECONNECT_PAUSE, Self::connect);
    }

    fn lost(&mut self, state: &str, ctx: &mut Context<Self>) {
        if self.connection.take().is_none() {
            return;
        }
        warn!(self.log, "ZooKeeper connection lost; reconnecting"; "session_state" => state,
            "transactions_under_way" => self.under_way, "polls_under_way" => self.polls_under_way);
        self.outage.since = Some(Instant::now());
        // Ends what is under way, too: its outcome is unknown, and it must not be sent later.
        if let Some(session) = &mut self.session {
            session.disconnect();
        }
        self.connect(ctx);
    }

    /// Has [`pump`](Self::pump) run once the messages that are in the mailbox now have been taken in,
    /// so that they share a chunk.
    fn pump_soon(&mut self, ctx: &mut Context<Self>) {
        if !self.pump_due {
            self.pump_due = true;
            ctx.spawn(async {}.into_actor(self).map(|(), act, ctx| {
                act.pump_due = false;
                act.pump(ctx);
            }));
        }
    }

    /// Sends what waits: at once if nothing is under way, beside other chunks only if it fills one. So
    /// an idle service does not wait, and a busy one sends few large transactions, not many small ones.
    fn pump(&mut self, ctx: &mut Context<Self>) {
        let Some(connection) = live(&self.connection) else { return };
        while self.under_way == 0
            || (self.under_way < CHUNKS_UNDER_WAY && self.queue.fills_a_chunk())
        {
            let Some(chunk) = self.queue.take().map(Arc::new) else { return };
            self.under_way += 1;
            let seen = chunk.entries.iter().map(|entry| self.last_seen.get(&entry.puname).cloned());
            let seen: Vec<_> = seen.collect();
            let writing = connection.spawn({
                let (connection, chunk) = (connection.clone(), Arc::clone(&chunk));
                let dir = self.settings.watch_dir.clone();
                async move { commit(&connection, &dir, &chunk, seen).await }
            });
            ctx.spawn(wrap_future::<_, Self>(writing).map(move |committed, act, ctx| {
                // Cut off with its connection, it can tell us nothing of what the server did.
                let committed =
                    committed.unwrap_or_else(|_| vec![Committed::unknown(); chunk.entries.len()]);
                act.under_way -= 1;
                // Nobody waits for a log line: callers are answered and ZooKeeper is kept busy first.
                act.queue.finish(&chunk, committed.iter().map(|committed| &committed.outcome));
                act.remember(&chunk, &committed);
                act.pump(ctx);
                act.log_switches(&chunk, &committed);
                act.close_if_drained(ctx);
            }));
        }
    }

    /// Begins the next exchange with a sub-pool's jobmaker, if it has none and somebody waits.
    fn begin_exchange(&mut self, sub_pool: &SubPool, ctx: &mut Context<Self>) {
        let Some(connection) = live(&self.connection) else { return };
        let sub_pools = self.sub_pools.as_mut();
        let Some(Begun { id, task }) = sub_pools.and_then(|it| it.begin(sub_pool, connection))
        else {
            return;
        };
        let sub_pool = sub_pool.clone();
        ctx.spawn(wrap_future::<_, Self>(task).map(move |ended, act, ctx| {
            if let Some(sub_pools) = &mut act.sub_pools {
                sub_pools.finish(&sub_pool);
                if ended.is_err() {
                    let cause = match act.draining {
                        None => "the connection to ZooKeeper was lost",
                        Some(_) => "the daemon is shutting down",
                    };
                    ctx.spawn(sub_pools.cut_off(id, cause).into_actor(act));
                }
            }
            act.begin_exchange(&sub_pool, ctx);
            act.close_if_drained(ctx);
        }));
    }

    /// Brings a part of a user-coin map in; beside the chunks, since its writes are conditional and keep no
    /// order with theirs.
    fn begin_sync(&mut self, batch: SyncBatch, ctx: &mut Context<Self>) {
        let SyncBatch { assignments, start, rewrite_unchanged, reply } = batch;
        let refusal = match (&self.draining, live(&self.connection)) {
            (None, Some(connection)) if connection.session() == start.session => {
                let part = Arc::new(Part::new(assignments, start.mark, rewrite_unchanged));
                let syncing = connection.spawn({
                    let (connection, part) = (connection.clone(), Arc::clone(&part));
                    let dir = self.settings.watch_dir.clone();
                    async move { sync(&connection, &dir, &part).await }
                });
                self.polls_under_way += 1;
                ctx.spawn(wrap_future::<_, Self>(syncing).map(move |synced, act, ctx| {
                    act.polls_under_way -= 1;
                    let synced = synced.unwrap_or_else(|_| part.cut_off());
                    let report = report(&part, &synced);
                    let beside_callers =
                        act.called.is_some_and(|called| called.elapsed() < CALLERS_EXPECTED);
                    // Logged first: the Poller's own line ends the poll.
                    for (entry, synced) in part.assignments.iter().zip(synced) {
                        act.record_synced(entry, synced);
                    }
                    // A Poller that was stopped has no use for it.
                    let _ = reply.send(SyncReply { report, beside_callers });
                    act.close_if_drained(ctx);
                }));
                return;
            }
            (Some(_), _) => "the daemon is shutting down",
            (None, Some(_)) => "the ZooKeeper session in which the poll began has ended",
            (None, None) => "there is no session with ZooKeeper",
        };
        let _ = reply.send(SyncReply::not_written(assignments.len(), refusal));
    }

    fn record_synced(&mut self, entry: &Assignment, synced: Synced) {
        let seen = match synced.fate {
            Fate::Written => {
                journal::record_polled(&self.log, entry, &synced.old, None);
                synced.revision.map(|revision| Seen { coin: entry.coin.clone(), revision })
            }
            Fate::Unknown(cause) => {
                journal::record_polled(&self.log, entry, &synced.old, Some(&cause));
                None
            }
            // The Poller tells of those, as far as they are told of.
            Fate::Unchanged | Fate::SwitchedMeanwhile | Fate::Refused(_) | Fate::NotWritten(_) => {
                return;
            }
        };
        self.last_seen.refresh(&entry.puname, seen);
    }

    fn remember(&mut self, chunk: &Chunk, committed: &[Committed]) {
        for (entry, committed) in chunk.entries.iter().zip(committed) {
            let seen =
                committed.revision.map(|revision| Seen { coin: entry.coin().clone(), revision });
            self.last_seen.note(&entry.puname, seen);
        }
    }

    fn log_switches(&self, chunk: &Chunk, committed: &[Committed]) {
        for (entry, committed) in chunk.entries.iter().zip(committed) {
            journal::record(&self.log, entry, &committed.old, &committed.outcome);
        }
    }

    fn sweep(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        let is_connected = self.connection.is_some();
        let withdrawn = if self.draining.as_ref().is_some_and(|draining| draining.give_up <= now) {
            // What is under way comes back as unknown when its connection is gone.
            self.connection = None;
            if let Some(session) = &mut self.session {
                session.disconnect();
            }
            if let Some(sub_pools) = &mut self.sub_pools {
                sub_pools.expire_all();
            }
            self.queue.expire_all()
        } else {
            if let Some(sub_pools) = &mut self.sub_pools {
                sub_pools.expire(is_connected);
            }
            self.queue.expire(now)
        };
        let outcome = Outcome::NotApplied("not sent within the time allowed".to_owned());
        for entry in withdrawn {
            journal::record(&self.log, &entry, &Old::NotKnown, &outcome);
        }
        self.close_if_drained(ctx);
    }

    fn deadline(&self, entries: usize) -> Instant {
        let before = u32::try_from(self.queue.waiting() + entries).unwrap_or(u32::MAX);
        Instant::now()
            + self.settings.request_timeout
            + Duration::from_secs(1) * before / SLOWEST_PACE
    }

    /// Ends the session once nothing is waiting or under way, and then the actor.
    fn close_if_drained(&mut self, ctx: &mut Context<Self>) {
        // An attempt to connect that has the session brings it back here.
        let exchanges = self.sub_pools.as_ref().is_some_and(|sub_pools| !sub_pools.is_empty());
        let under_way = self.under_way + self.polls_under_way;
        if !self.queue.is_empty() || under_way > 0 || exchanges || self.session.is_none() {
            return;
        }
        let Some(draining) = &mut self.draining else { return };
        let (Some(done), Some(session)) = (draining.done.take(), self.session.take()) else {
            return;
        };
        let had_one = session.held().is_some();
        let ending = end(session, self.connection.take(), draining.until);
        ctx.spawn(ending.into_actor(self).map(move |left, act, ctx| {
            match left {
                None if !had_one => {}
                None => info!(act.log, "ZooKeeper session closed"),
                Some(session) => {
                    warn!(act.log, "the ZooKeeper session could not be ended: a switch of \
                    unknown outcome may still be applied until ZooKeeper expires it";
                    "session" => session,
                    "seconds" => act.settings.zookeeper.session_timeout.as_secs())
                }
            }
            let _ = done.send(());
            ctx.stop();
        }));
    }
}

/// The connection, if what is sent on it goes out now or never.
fn live(connection: &Option<Connection>) -> Option<&Connection> {
    connection.as_ref().filter(|connection| !connection.is_lost())
}

/// Counts what became of the entries.
fn report(part: &Part, synced: &[Synced]) -> SyncReport {
    let mut report = SyncReport::default();
    for (entry, synced) in part.assignments.iter().zip(synced) {
        let (count, refusal) = match &synced.fate {
            Fate::Written => (&mut report.written, None),
            Fate::Unchanged => (&mut report.unchanged, None),
            Fate::SwitchedMeanwhile => (&mut report.switched_meanwhile, Some(None)),
            Fate::Refused(cause) => (&mut report.refused, Some(Some(cause.clone()))),
            Fate::NotWritten(cause) => {
                report.cause.get_or_insert_with(|| cause.clone());
                (&mut report.not_written, None)
            }
            Fate::Unknown(cause) => {
                report.cause.get_or_insert_with(|| format!("outcome unknown: {cause}"));
                (&mut report.not_written, None)
            }
        };
        *count += 1;
        if let Some(refusal) = refusal
            && report.left.len() < SyncReport::LEFT_TOLD
        {
            let (puname, coin) = (entry.puname.clone(), entry.coin.clone());
            report.left.push(Left { puname, old: synced.old.to_string(), coin, refusal });
        }
    }
    report
}

/// Ends the session, by closing it or, where that is not confirmed, as before a new connection; tries
/// `until` then. Returns the id of one that may live on.
async fn end(
    mut session: Session,
    connection: Option<Connection>,
    until: Instant,
) -> Option<String> {
    if let Some(connection) = connection
        && connection.close(CLOSE_PATIENCE).await
    {
        session.forget();
    }
    let ended = async {
        while session.end().await.is_err() {
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    };
    // What is left in time is told by the session itself.
    let _ = tokio::time::timeout_at(until.into(), ended).await;
    session.held()
}

impl Actor for ZkWriter {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        ctx.run_interval(SWEEP, Self::sweep);
        self.connect(ctx);
    }
}

impl Handler<WriteBatch> for ZkWriter {
    type Result = ();

    fn handle(&mut self, batch: WriteBatch, ctx: &mut Self::Context) {
        if self.draining.is_some() {
            let _ = batch.reply.send(Err(WriteFailure::ShuttingDown));
            return;
        }
        self.called = Some(Instant::now());
        let deadline = self.deadline(batch.assignments.len());
        self.queue.accept(batch, deadline);
        self.pump_soon(ctx);
    }
}

impl Handler<SyncBatch> for ZkWriter {
    type Result = ();

    fn handle(&mut self, batch: SyncBatch, ctx: &mut Self::Context) {
        self.begin_sync(batch, ctx);
    }
}

impl Handler<BeginPoll> for ZkWriter {
    type Result = ();

    fn handle(&mut self, BeginPoll { lock, reply }: BeginPoll, ctx: &mut Self::Context) {
        let (None, Some(connection)) = (&self.draining, live(&self.connection)) else {
            let _ = reply.send(PollTurn::NoSession);
            return;
        };
        let taking = connection.spawn({
            let (connection, dir) = (connection.clone(), self.settings.watch_dir.clone());
            async move { poll_turn::take(&connection, &dir, lock.as_ref()).await }
        });
        self.polls_under_way += 1;
        ctx.spawn(wrap_future::<_, Self>(taking).map(move |turn, act, ctx| {
            act.polls_under_way -= 1;
            // Cut off with its connection, it is to be taken again.
            let _ = reply.send(turn.unwrap_or(PollTurn::NoSession));
            act.close_if_drained(ctx);
        }));
    }
}

impl Handler<AskJobmaker> for ZkWriter {
    type Result = ();

    fn handle(&mut self, ask: AskJobmaker, ctx: &mut Self::Context) {
        let Some(sub_pools) = &mut self.sub_pools else { return };
        if self.draining.is_some() {
            sub_pools.refuse(ask, ExchangeFailure::ShuttingDown);
            return;
        }
        self.called = Some(Instant::now());
        let sub_pool = ask.sub_pool.clone();
        sub_pools.accept(ask);
        self.begin_exchange(&sub_pool, ctx);
    }
}

impl Handler<Drain> for ZkWriter {
    type Result = actix::ResponseFuture<()>;

    fn handle(&mut self, Drain { give_up, until }: Drain, ctx: &mut Self::Context) -> Self::Result {
        let (done, is_done) = oneshot::channel();
        self.draining = Some(Draining { give_up, until, done: Some(done) });
        self.close_if_drained(ctx);
        Box::pin(async move {
            let _ = is_done.await;
        })
    }
}
