//! Starts, connects and drains the actors: downstream is started first, upstream drained first.

use std::{
    io,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use actix::{Actor, Addr, Context, Recipient};
use actix_rt::Arbiter;
use slog::{Logger, error};
use tokio::sync::oneshot;

use crate::{
    ack_waiter::{self, AckWaiter, Settle},
    domain::ZnodeDir,
    history::{CloseHistory, Historian, History, HistorySettings, Queue, recent_change},
    jobmakers::Jobmakers,
    metrics::{Feed, Metrics},
    poller::{NewSettings, Poller, PollerSettings, StopPolling, ToZkWriter},
    registrar::{self, Registrar, RegistrationSettings, StopRegistering, ToUserLists},
    user_lists::{Listings, ListsToZkWriter, StopPulling, UserListSettings, UserLists},
    zk::{self, ZkTls},
    zk_writer::{
        Drain, DryRunBatch, ListHeld, LookUp, NewLimits, Ping, PutBack, SubPoolSettings,
        ToAckWaiter, WriteBatches, WriterLimits, WriterSettings, ZkWriter,
    },
};

/// Settings of all actors.
pub struct ActorSettings {
    /// Settings of `ZkWriter`.
    pub writer: WriterSettings,
    /// TLS to ZooKeeper; `None`: connections without.
    pub zk_tls: Option<ZkTls>,
    /// `None`: the sub-pool API is off.
    pub sub_pools: Option<SubPoolSettings>,
    /// `None`: nothing is polled.
    pub poller: Option<PollerSettings>,
    /// `None`: no list is pulled.
    pub user_lists: Option<UserListSettings>,
    /// `None`: nothing is registered.
    pub registration: Option<RegistrationSettings>,
    /// `None`: changes are not recorded.
    pub history: Option<HistorySettings>,
}

/// The running actors, and typed senders for their users.
pub struct Actors {
    /// Takes switches.
    pub writer: Recipient<WriteBatches>,
    /// Takes dry runs.
    pub dry_runs: Recipient<DryRunBatch>,
    /// Takes requests to jobmakers; `None` if the sub-pool API is off.
    pub jobmakers: Option<Jobmakers>,
    /// Records changes, and waits for records.
    pub history: History,
    /// The user lists; empty if none is configured.
    pub listings: Listings,
    zk_writer: Addr<ZkWriter>,
    zk_tls: Option<ZkTls>,
    ack_waiter: Option<Addr<AckWaiter>>,
    poller: Option<Addr<Poller>>,
    user_lists: Option<Addr<UserLists>>,
    registrar: Option<Addr<Registrar>>,
    historian: Option<Addr<Historian>>,
    /// Dropped, it ends `ZkWriter`'s thread.
    _writer_thread: oneshot::Sender<()>,
    arbiters: Vec<Arbiter>,
}

impl Actors {
    /// Starts each actor on its own thread. Returns at once, before there is a session with ZooKeeper. Fails if the
    /// operating system refuses a thread.
    pub fn start(settings: ActorSettings, metrics: &Metrics, log: &Logger) -> io::Result<Self> {
        let ActorSettings { writer, zk_tls, sub_pools, poller, user_lists, registration, history } =
            settings;
        let listings = user_lists.as_ref().map_or_else(Listings::default, empty_listings);
        let marks = writer.held_dir.subdirectory("lists");
        let mut threads = Threads(Vec::new());

        let recording = history.map(|settings| new_historian(settings, metrics, log));
        let (queue, historian) = recording.unzip();
        let historian = threads.start(historian)?;
        let history = queue.map_or_else(History::default, History::of);

        let ack_waiter = threads.start(sub_pools.as_ref().map(|_| {
            let (metrics, log) = (metrics.clone(), log.clone());
            move |_: &mut _| AckWaiter::new(&metrics, &log)
        }))?;
        let sub_pools = sub_pools.zip(ack_waiter.clone()).map(|(settings, acks)| {
            let expect = acks.clone().recipient();
            (settings, ToAckWaiter { expect, report: acks.recipient() })
        });

        let (zk_writer, writer_thread) = {
            let (listings, metrics, log) = (listings.clone(), metrics.clone(), log.clone());
            let tls = zk_tls.clone();
            start_writer(move || ZkWriter::new(writer, tls, sub_pools, listings, &metrics, &log))?
        };

        let poller = poller.map(|settings| new_poller(settings, &zk_writer, metrics, log));
        let poller = threads.start(poller)?;
        let user_lists = user_lists
            .map(|settings| new_user_lists(settings, marks, &listings, &zk_writer, metrics, log));
        let user_lists = threads.start(user_lists)?;
        let registrar = registration
            .map(|settings| new_registrar(settings, &zk_writer, user_lists.as_ref(), metrics, log));
        let registrar = threads.start(registrar)?;
        Ok(Self {
            writer: zk_writer.clone().recipient(),
            dry_runs: zk_writer.clone().recipient(),
            jobmakers: ack_waiter.as_ref().map(|_| {
                let journal = ack_waiter::Journal::new(log, metrics);
                Jobmakers::new(zk_writer.clone().recipient(), history.clone(), journal)
            }),
            history,
            listings,
            zk_writer,
            zk_tls,
            ack_waiter,
            poller,
            user_lists,
            registrar,
            historian,
            _writer_thread: writer_thread,
            arbiters: threads.0,
        })
    }

    /// Lists held switches.
    pub fn held(&self) -> Recipient<ListHeld> {
        self.zk_writer.clone().recipient()
    }

    /// Takes undos.
    pub fn undos(&self) -> Recipient<PutBack> {
        self.zk_writer.clone().recipient()
    }

    /// Looks one sub-account up.
    pub fn look_up(&self) -> Recipient<LookUp> {
        self.zk_writer.clone().recipient()
    }

    /// Replaces the settings. Requests and polls in progress end by the old ones. An `ack_timeout` without sub-pools
    /// has no effect, nor has `poller` without a running Poller, nor have certificates without TLS to ZooKeeper. Those
    /// serve from the next connection on.
    pub async fn adopt(
        &self,
        limits: WriterLimits,
        ack_timeout: Option<Duration>,
        poller: Option<PollerSettings>,
        zk_tls: Option<ZkTls>,
        log: &Logger,
    ) {
        if let (Some(running), Some(new)) = (&self.zk_tls, zk_tls) {
            running.replace(&new);
        }
        if let Err(cause) = self.zk_writer.send(NewLimits { limits, ack_timeout }).await {
            error!(log, "internal error: the ZooKeeper writer did not take the new settings; restart the daemon"; "cause" => %cause);
        }
        if let (Some(running), Some(settings)) = (&self.poller, poller)
            && let Err(cause) = running.send(NewSettings(settings)).await
        {
            error!(log, "internal error: the Poller did not take the new settings; restart the daemon"; "cause" => %cause);
        }
    }

    /// Waits until `ZkWriter` has handled all earlier messages: forever if it hangs.
    pub async fn answers(&self) {
        // A dead actor ends the process by itself.
        let _ = self.zk_writer.send(Ping).await;
    }

    /// Stops polling and cancels the poll in progress. Parts that `ZkWriter` has got are still written.
    pub async fn stop_polling(&self, log: &Logger) {
        if let Some(poller) = &self.poller
            && let Err(cause) = poller.send(StopPolling).await
        {
            error!(log, "internal error: the Poller had ended before the daemon stopped"; "cause" => %cause);
        }
    }

    /// Stops registering and drops the registrations under way, whose requests stay in ZooKeeper.
    pub async fn stop_registering(&self, log: &Logger) {
        if let Some(registrar) = &self.registrar
            && let Err(cause) = registrar.send(StopRegistering).await
        {
            error!(log, "internal error: the Registrar had ended before the daemon stopped"; "cause" => %cause);
        }
    }

    /// Stops the pulls of lists, and drops those under way: their entries were in no list yet.
    async fn stop_pulling(&self, log: &Logger) {
        if let Some(user_lists) = &self.user_lists
            && let Err(cause) = user_lists.send(StopPulling).await
        {
            error!(log, "internal error: the actor of the user lists had ended before the daemon stopped"; "cause" => %cause);
        }
    }

    /// Drains the actors: `ZkWriter` finishes accepted requests until `give_up`, and ends the session until `until`.
    /// Call it after the last use of [`writer`](Self::writer) and [`jobmakers`](Self::jobmakers); later requests are
    /// refused.
    pub async fn drain(self, give_up: Instant, until: Instant, log: &Logger) {
        self.stop_pulling(log).await;
        if let Err(cause) = self.zk_writer.send(Drain { give_up, until }).await {
            error!(log, "internal error: the ZooKeeper writer had ended before the daemon stopped; accepted switches may be \
                unwritten"; "cause" => %cause);
        }
        if let Some(ack_waiter) = self.ack_waiter
            && let Err(cause) = ack_waiter.send(Settle).await
        {
            error!(log, "internal error: the actor that waits for acks had ended before the daemon stopped"; "cause" => %cause);
        }
        if let Some(historian) = self.historian
            && let Err(cause) = historian.send(CloseHistory).await
        {
            error!(log, "internal error: the actor of the history had ended before the daemon stopped; changes may be \
                unrecorded"; "cause" => %cause);
        }
        for arbiter in self.arbiters {
            arbiter.stop();
        }
    }
}

/// Threads of actors.
struct Threads(Vec<Arbiter>);

impl Threads {
    /// Starts an actor on a thread of its own; none if `actor` is `None`.
    fn start<A: Actor<Context = Context<A>>>(
        &mut self,
        actor: Option<impl FnOnce(&mut Context<A>) -> A + Send + 'static>,
    ) -> io::Result<Option<Addr<A>>> {
        let Some(actor) = actor else { return Ok(None) };
        let arbiter = Arbiter::try_new()?;
        let address = A::start_in_arbiter(&arbiter.handle(), actor);
        self.0.push(arbiter);
        Ok(Some(address))
    }
}

fn empty_listings(settings: &UserListSettings) -> Listings {
    Listings::of(settings.lists.iter().map(|list| list.0.clone()), settings.lower_case)
}

/// Restores the recent changes, and feeds all later ones to a queue. Returns the queue and the start of its Historian.
fn new_historian(
    mut settings: HistorySettings,
    metrics: &Metrics,
    log: &Logger,
) -> (Arc<Queue>, impl FnOnce(&mut Context<Historian>) -> Historian + Send + use<>) {
    let queue = Queue::new(settings.sync, metrics);
    metrics.recent().restore(settings.recent.drain(..).filter_map(recent_change));
    metrics.recent().feed(Arc::clone(&queue) as Arc<dyn Feed>);
    let (feed, log, own_metrics) = (Arc::clone(&queue), log.clone(), metrics.clone());
    let start = move |_: &mut _| Historian::new(settings, feed, &own_metrics, &log);
    (queue, start)
}

fn new_poller(
    settings: PollerSettings,
    zk_writer: &Addr<ZkWriter>,
    metrics: &Metrics,
    log: &Logger,
) -> impl FnOnce(&mut Context<Poller>) -> Poller + Send + use<> {
    let (metrics, log) = (metrics.clone(), log.clone());
    let (begin, sync) = (zk_writer.clone().recipient(), zk_writer.clone().recipient());
    let to_writer = ToZkWriter { begin, sync };
    move |_| Poller::new(settings, to_writer, &metrics, &log)
}

fn new_user_lists(
    settings: UserListSettings,
    marks: ZnodeDir,
    listings: &Listings,
    zk_writer: &Addr<ZkWriter>,
    metrics: &Metrics,
    log: &Logger,
) -> impl FnOnce(&mut Context<UserLists>) -> UserLists + Send + use<> {
    let (listings, metrics, log) = (listings.clone(), metrics.clone(), log.clone());
    let to_writer = ListsToZkWriter {
        first_coins: zk_writer.clone().recipient(),
        read_marks: zk_writer.clone().recipient(),
        write_marks: zk_writer.clone().recipient(),
    };
    move |_| UserLists::new(settings, marks, listings, to_writer, &metrics, &log)
}

fn new_registrar(
    settings: RegistrationSettings,
    zk_writer: &Addr<ZkWriter>,
    user_lists: Option<&Addr<UserLists>>,
    metrics: &Metrics,
    log: &Logger,
) -> impl FnOnce(&mut Context<Registrar>) -> Registrar + Send + use<> {
    let (metrics, log) = (metrics.clone(), log.clone());
    let to_writer = registrar::ToZkWriter {
        watch: zk_writer.clone().recipient(),
        confirm: zk_writer.clone().recipient(),
        delete: zk_writer.clone().recipient(),
    };
    let to_lists = user_lists.map(|lists| ToUserLists {
        registered: lists.clone().recipient(),
        settle: lists.clone().recipient(),
    });
    move |_| Registrar::new(settings, to_writer, to_lists, &metrics, &log)
}

/// Starts `ZkWriter` on a [thread](zk::run) of its own, which ends when the returned sender is dropped.
fn start_writer(
    writer: impl FnOnce() -> ZkWriter + Send + 'static,
) -> io::Result<(Addr<ZkWriter>, oneshot::Sender<()>)> {
    let (started, start) = mpsc::channel();
    let (stop, stopped) = oneshot::channel();
    let run = move || {
        let ended = zk::run(async {
            let _ = started.send(Ok(writer().start()));
            let _ = stopped.await;
        });
        if let Err(error) = ended {
            let _ = started.send(Err(error));
        }
    };
    thread::Builder::new().name("zk-writer".to_owned()).spawn(run)?;
    let writer = start.recv().map_err(io::Error::other)??;
    Ok((writer, stop))
}
