//! `ZkWriter`'s mailbox, deadlines and drain.
//!
//! | state | effect on requests |
//! | --- | --- |
//! | no session | they wait until their deadline, then get [`WriteFailure::NotSent`] or [`ExchangeFailure::NotRead`]; the Poller is answered at once |
//! | session up | chunks go out, at most `CHUNKS_UNDER_WAY` at a time; each sub-pool has one exchange |
//! | draining | new requests get [`WriteFailure::ShuttingDown`]; accepted ones finish or expire |

use std::time::{Duration, Instant};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use slog::{Logger, o};
use tokio::sync::oneshot;

use super::{
    dry_runs::DryRuns,
    held::Held,
    journal::Journal,
    messages::{
        BeginPoll, CoinbaseRequest, Drain, DryRunBatch, NewLimits, Ping, SyncBatch, WriteBatch,
        WriteBatches, WriteFailure, WriteReply,
    },
    session::Outage,
    settings::{SubPoolSettings, WriterSettings},
    sub_pools::{SubPools, ToAckWaiter},
    switches::{LastSeen, NOT_SENT, Newcomers, Queue},
};
use crate::{
    ack_waiter::ExchangeFailure,
    metrics::{Depths, Metrics},
    user_lists::Listings,
    zk::{Connection, Session, ZkTls},
};

/// Capacity of the mailbox. A sender that finds it full answers its caller at once.
const MAILBOX: usize = 16 * 1024;

/// Interval between checks of deadlines: answers are at most this late.
pub(super) const SWEEP: Duration = Duration::from_millis(100);

/// Switches per second that ZooKeeper is expected to commit at least. A request gets more time accordingly for the
/// switches before it, so that a batch of 500,000 does not fail for its size alone.
const SLOWEST_PACE: u32 = 20_000;

/// Owns the ZooKeeper session and the order of writes.
pub(crate) struct ZkWriter {
    pub(super) settings: WriterSettings,
    pub(super) log: Logger,
    pub(super) journal: Journal,
    pub(super) metrics: Metrics,
    pub(super) queue: Queue,
    pub(super) dry_runs: DryRuns,
    pub(super) last_seen: LastSeen,
    pub(super) newcomers: Newcomers,
    pub(super) held: Held,
    /// `None` if the sub-pool API is off.
    pub(super) sub_pools: Option<SubPools>,
    /// `None` while an attempt to connect has it.
    pub(super) session: Option<Session>,
    pub(super) connection: Option<Connection>,
    pub(super) chunks_under_way: usize,
    /// Beginnings of polls and parts of user-coin maps that are under way. The Poller limits them.
    pub(super) polls_under_way: usize,
    /// Lists and deletions of requests for registration that are under way. The Registrar limits them.
    pub(super) registrations_under_way: usize,
    /// Parts of undos that are under way. The admin pages limit them.
    pub(super) undos_under_way: usize,
    /// Messages of `UserLists` and look-ups that are under way. `UserLists` and the admin pages limit them.
    pub(super) replies_under_way: usize,
    /// Time of the last request of a caller.
    pub(super) called: Option<Instant>,
    /// Whether `pump_switches` is due after the messages that are in the mailbox now.
    pub(super) pump_due: bool,
    pub(super) outage: Outage,
    /// The request limit that the last log warning named.
    pub(super) small_request_limit: Option<usize>,
    pub(super) draining: Option<Draining>,
}

pub(super) struct Draining {
    /// When unfinished requests are given up.
    pub(super) give_up: Instant,
    /// When the session is given up, too.
    pub(super) until: Instant,
    /// Reports the end of the drain; taken when the session is being closed.
    pub(super) done: Option<oneshot::Sender<()>>,
}

impl ZkWriter {
    /// An actor that connects as soon as it is started. `sub_pools` is `None` if the sub-pool API is off. `listings`
    /// decide which switches are held.
    pub(crate) fn new(
        settings: WriterSettings,
        tls: Option<ZkTls>,
        sub_pools: Option<(SubPoolSettings, ToAckWaiter)>,
        listings: Listings,
        metrics: &Metrics,
        log: &Logger,
    ) -> Self {
        let session = Session::new(settings.zookeeper.clone(), tls);
        Self {
            sub_pools: sub_pools
                .map(|(settings, acks)| SubPools::new(settings, acks, metrics, log)),
            queue: Queue::new(settings.limits.queue_limit),
            dry_runs: DryRuns::new(settings.limits.queue_limit),
            last_seen: LastSeen::new(),
            newcomers: Newcomers::default(),
            held: Held::new(
                settings.watch_dir.clone(),
                settings.held_dir.clone(),
                listings,
                settings.safety_period,
            ),
            session: Some(session),
            settings,
            journal: Journal::new(log, metrics),
            metrics: metrics.clone(),
            log: log.new(o!()),
            connection: None,
            chunks_under_way: 0,
            polls_under_way: 0,
            registrations_under_way: 0,
            undos_under_way: 0,
            replies_under_way: 0,
            called: None,
            pump_due: false,
            outage: Outage::at_start(),
            small_request_limit: None,
            draining: None,
        }
    }

    fn sweep(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        let is_connected = self.connection.is_some();
        let withdrawn = if self.draining.as_ref().is_some_and(|draining| draining.give_up <= now) {
            // Writes under way come back as unknown when their connection is gone.
            self.connection = None;
            self.metrics.session_given_up();
            if let Some(session) = &mut self.session {
                session.disconnect();
            }
            if let Some(sub_pools) = &mut self.sub_pools {
                sub_pools.expire_all();
            }
            self.dry_runs.expire_all();
            self.queue.expire_all()
        } else {
            if let Some(sub_pools) = &mut self.sub_pools {
                sub_pools.expire(is_connected);
            }
            self.dry_runs.expire(now);
            self.queue.expire(now)
        };
        self.journal.withdrawn(&withdrawn, NOT_SENT);
        self.observe_depths();
        self.tend_held(ctx);
        if !withdrawn.is_empty() {
            // There may be more. Other messages come first.
            ctx.spawn(async {}.into_actor(self).map(|(), act, ctx| act.sweep(ctx)));
        }
        self.close_if_drained(ctx);
    }

    /// Ten times a second is enough for scrapers, and costs a switch nothing.
    fn observe_depths(&self) {
        self.metrics.depths(&Depths {
            switches: self.queue.admission.waiting,
            sub_pool_requests: self.sub_pools.as_ref().map_or(0, |it| it.lanes.waiting()),
            dry_run_entries: self.dry_runs.admission.waiting,
            chunks: self.chunks_under_way,
            polls: self.polls_under_way,
        });
    }

    fn accept(&mut self, batch: WriteBatch) {
        if self.draining.is_some() {
            let _ = batch.reply.send(WriteReply::refused(WriteFailure::ShuttingDown));
            return;
        }
        self.called = Some(Instant::now());
        let deadline = self.deadline(self.queue.admission.waiting + batch.switches.len());
        let (source, switches) = (batch.source.clone(), batch.switches.clone());
        if self.queue.accept(batch, deadline) {
            self.journal.superseded(&source, &switches);
        }
    }

    /// Deadline of a request; `waiting` counts all waiting entries, including its own.
    fn deadline(&self, waiting: usize) -> Instant {
        let before = u32::try_from(waiting).unwrap_or(u32::MAX);
        Instant::now()
            + self.settings.limits.request_timeout
            + Duration::from_secs(1) * before / SLOWEST_PACE
    }
}

impl Actor for ZkWriter {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        ctx.run_interval(SWEEP, Self::sweep);
        self.connect(ctx);
    }
}

impl Handler<WriteBatches> for ZkWriter {
    type Result = ();

    fn handle(&mut self, WriteBatches(batches): WriteBatches, ctx: &mut Self::Context) {
        for batch in batches {
            self.accept(batch);
        }
        self.pump_soon(ctx);
    }
}

impl Handler<DryRunBatch> for ZkWriter {
    type Result = ();

    fn handle(&mut self, batch: DryRunBatch, ctx: &mut Self::Context) {
        if self.draining.is_some() {
            let _ = batch.reply.send(WriteReply::refused(WriteFailure::ShuttingDown));
            return;
        }
        self.called = Some(Instant::now());
        let deadline = self.deadline(self.dry_runs.admission.waiting + batch.switches.len());
        self.dry_runs.accept(batch, deadline);
        self.pump_dry_runs(ctx);
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

    fn handle(&mut self, begin: BeginPoll, ctx: &mut Self::Context) {
        self.begin_poll(begin, ctx);
    }
}

impl Handler<CoinbaseRequest> for ZkWriter {
    type Result = ();

    fn handle(&mut self, request: CoinbaseRequest, ctx: &mut Self::Context) {
        let Some(sub_pools) = &mut self.sub_pools else { return };
        if self.draining.is_some() {
            sub_pools.refuse(request, ExchangeFailure::ShuttingDown);
            return;
        }
        self.called = Some(Instant::now());
        let sub_pool = request.sub_pool.clone();
        sub_pools.accept(request);
        self.begin_exchange(&sub_pool, ctx);
    }
}

impl Handler<NewLimits> for ZkWriter {
    type Result = ();

    fn handle(&mut self, new: NewLimits, _: &mut Self::Context) {
        let NewLimits { limits, ack_timeout } = new;
        self.settings.limits = limits;
        self.queue.admission.limit = limits.queue_limit;
        self.dry_runs.admission.limit = limits.queue_limit;
        if let (Some(sub_pools), Some(ack_timeout)) = (&mut self.sub_pools, ack_timeout) {
            sub_pools.set_ack_timeout(ack_timeout);
        }
    }
}

impl Handler<Ping> for ZkWriter {
    type Result = ();

    fn handle(&mut self, Ping: Ping, _: &mut Self::Context) {}
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
