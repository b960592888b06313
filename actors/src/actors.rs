//! Starts the actors, downstream first, and hands out their addresses: the one place that wires them.

use std::time::{Duration, Instant};

use actix::{Actor, Recipient};
use actix_rt::Arbiter;
use slog::{Logger, error};

use crate::{
    ack_waiter::{AckWaiter, Settle},
    metrics::Metrics,
    poller::{NewSettings, Poller, PollerSettings, StopPolling, ToZkWriter},
    zk_writer::{
        CoinbaseRequest, Drain, DryRunBatch, NewLimits, Ping, SubPoolSettings, ToAckWaiter,
        WriteBatch, WriterLimits, WriterSettings, ZkWriter,
    },
};

/// The running actors. Whoever needs one is given a typed sender out of here, never looks it up.
pub struct Actors {
    /// Takes switches, from the HTTP actor and any other source alike.
    pub writer: Recipient<WriteBatch>,
    /// Takes dry runs of the same.
    pub looks: Recipient<DryRunBatch>,
    /// Takes requests to sub-pools' jobmakers; `None` if the sub-pool API is off.
    pub jobmakers: Option<Recipient<CoinbaseRequest>>,
    poller: Option<ToPoller>,
    limit_writer: Recipient<NewLimits>,
    call_writer: Recipient<Ping>,
    drain_writer: Recipient<Drain>,
    settle_acks: Option<Recipient<Settle>>,
    arbiters: Vec<Arbiter>,
}

/// What the Poller is told.
struct ToPoller {
    stop: Recipient<StopPolling>,
    settings: Recipient<NewSettings>,
}

impl Actors {
    /// Starts each actor on a thread of its own; without `sub_pools` their API is off, without `poller` nothing
    /// is pulled. All tell `metrics` what happens. Returns at once: the session is made meanwhile.
    pub fn start(
        settings: WriterSettings,
        sub_pools: Option<SubPoolSettings>,
        poller: Option<PollerSettings>,
        metrics: &Metrics,
        log: &Logger,
    ) -> Self {
        let mut arbiters = Vec::new();
        let sub_pools = sub_pools.map(|settings| {
            let (arbiter, acks_log) = (Arbiter::new(), log.clone());
            let (handle, metrics) = (arbiter.handle(), metrics.clone());
            arbiters.push(arbiter);
            let start = move |_: &mut _| AckWaiter::new(&metrics, &acks_log);
            (settings, AckWaiter::start_in_arbiter(&handle, start))
        });
        let settle_acks = sub_pools.as_ref().map(|(_, acks)| acks.clone().recipient());

        let (arbiter, writer_log, watched) = (Arbiter::new(), log.clone(), metrics.clone());
        let writer = ZkWriter::start_in_arbiter(&arbiter.handle(), move |_| {
            let sub_pools = sub_pools.map(|(settings, acks)| {
                let report = acks.clone().recipient();
                (settings, ToAckWaiter { expect: acks.recipient(), report })
            });
            ZkWriter::new(settings, sub_pools, &watched, &writer_log)
        });
        arbiters.push(arbiter);

        let poller = poller.map(|settings| {
            let (arbiter, poller_log, metrics) = (Arbiter::new(), log.clone(), metrics.clone());
            let handle = arbiter.handle();
            arbiters.push(arbiter);
            let zk_writer =
                ToZkWriter { begin: writer.clone().recipient(), sync: writer.clone().recipient() };
            let start = move |_: &mut _| Poller::new(settings, zk_writer, &metrics, &poller_log);
            let poller = Poller::start_in_arbiter(&handle, start);
            ToPoller { stop: poller.clone().recipient(), settings: poller.recipient() }
        });
        Self {
            jobmakers: settle_acks.as_ref().map(|_| writer.clone().recipient()),
            poller,
            limit_writer: writer.clone().recipient(),
            call_writer: writer.clone().recipient(),
            drain_writer: writer.clone().recipient(),
            looks: writer.clone().recipient(),
            writer: writer.recipient(),
            settle_acks,
            arbiters,
        }
    }

    /// Has the actors work by these settings from now on: what callers wait for and a poll that is under way end by
    /// those they began with. An `ack_timeout` without sub-pools and a `poller` where none was started change nothing.
    pub async fn adopt(
        &self,
        limits: WriterLimits,
        ack_timeout: Option<Duration>,
        poller: Option<PollerSettings>,
        log: &Logger,
    ) {
        if let Err(cause) = self.limit_writer.send(NewLimits { limits, ack_timeout }).await {
            error!(log, "ZkWriter was gone before its limits could be changed"; "cause" => %cause);
        }
        if let (Some(to_poller), Some(settings)) = (&self.poller, poller)
            && let Err(cause) = to_poller.settings.send(NewSettings(settings)).await
        {
            error!(log, "the Poller was gone before its settings could be changed"; "cause" => %cause);
        }
    }

    /// Waits until `ZkWriter` has handled what was sent to it before. One that hangs never has.
    pub async fn answers(&self) {
        // One that is gone ends the process by itself.
        let _ = self.call_writer.send(Ping).await;
    }

    /// Begins no more polls, and gives up the one under way. What it has handed over is still written.
    pub async fn stop_polling(&self, log: &Logger) {
        if let Some(poller) = &self.poller
            && let Err(cause) = poller.stop.send(StopPolling).await
        {
            error!(log, "the Poller was gone before it could be stopped"; "cause" => %cause);
        }
    }

    /// Drains upstream first: finishes what `ZkWriter` has accepted, as far as it can be before `give_up`, and
    /// ends the session, if it can be ended before `until`. Call it when nothing sends to
    /// [`writer`](Self::writer) and [`jobmakers`](Self::jobmakers) any more; what still does is refused.
    pub async fn drain(self, give_up: Instant, until: Instant, log: &Logger) {
        if let Err(cause) = self.drain_writer.send(Drain { give_up, until }).await {
            error!(log, "ZkWriter was gone before it could be drained"; "cause" => %cause);
        }
        if let Some(settle_acks) = self.settle_acks
            && let Err(cause) = settle_acks.send(Settle).await
        {
            error!(log, "AckWaiter was gone before it could be drained"; "cause" => %cause);
        }
        for arbiter in self.arbiters {
            arbiter.stop();
        }
    }
}
