//! Starts the actors, downstream first, and hands out their addresses: the one place that wires them.

use std::time::Instant;

use actix::{Actor, Recipient};
use actix_rt::Arbiter;
use slog::{Logger, error};

use crate::{
    ack_waiter::{AckWaiter, Settle},
    observer::Observer,
    poller::{Poller, PollerSettings, StopPolling, ToZkWriter},
    zk_writer::{
        AskJobmaker, Drain, LookAtBatch, SubPoolSettings, ToAckWaiter, WriteBatch, WriterSettings,
        ZkWriter,
    },
};

/// The running actors. Whoever needs one is given a typed sender out of here, never looks it up.
pub struct System {
    /// Takes switches, from the HTTP actor and any other source alike.
    pub writer: Recipient<WriteBatch>,
    /// Takes dry runs of the same.
    pub looks: Recipient<LookAtBatch>,
    /// Takes requests to sub-pools' jobmakers; `None` if the sub-pool API is off.
    pub jobmakers: Option<Recipient<AskJobmaker>>,
    stop_polling: Option<Recipient<StopPolling>>,
    drain_writer: Recipient<Drain>,
    settle_acks: Option<Recipient<Settle>>,
    arbiters: Vec<Arbiter>,
}

impl System {
    /// Starts each actor on a thread of its own; without `sub_pools` their API is off, without `poller` nothing
    /// is pulled. All tell `observer` what happens. Returns at once: the session is made meanwhile.
    pub fn start(
        settings: WriterSettings,
        sub_pools: Option<SubPoolSettings>,
        poller: Option<PollerSettings>,
        observer: &Observer,
        log: &Logger,
    ) -> Self {
        let mut arbiters = Vec::new();
        let sub_pools = sub_pools.map(|settings| {
            let (arbiter, acks_log, timeout) = (Arbiter::new(), log.clone(), settings.ack_timeout);
            let (handle, observer) = (arbiter.handle(), observer.clone());
            arbiters.push(arbiter);
            let start = move |_: &mut _| AckWaiter::new(timeout, &observer, &acks_log);
            (settings, AckWaiter::start_in_arbiter(&handle, start))
        });
        let settle_acks = sub_pools.as_ref().map(|(_, acks)| acks.clone().recipient());

        let (arbiter, writer_log, watched) = (Arbiter::new(), log.clone(), observer.clone());
        let writer = ZkWriter::start_in_arbiter(&arbiter.handle(), move |_| {
            let sub_pools = sub_pools.map(|(settings, acks)| {
                let report = acks.clone().recipient();
                (settings, ToAckWaiter { expect: acks.recipient(), report })
            });
            ZkWriter::new(settings, sub_pools, &watched, &writer_log)
        });
        arbiters.push(arbiter);

        let stop_polling = poller.map(|settings| {
            let (arbiter, poller_log, observer) = (Arbiter::new(), log.clone(), observer.clone());
            let handle = arbiter.handle();
            arbiters.push(arbiter);
            let zk_writer =
                ToZkWriter { begin: writer.clone().recipient(), sync: writer.clone().recipient() };
            let start = move |_: &mut _| Poller::new(settings, zk_writer, &observer, &poller_log);
            Poller::start_in_arbiter(&handle, start).recipient()
        });
        Self {
            jobmakers: settle_acks.as_ref().map(|_| writer.clone().recipient()),
            stop_polling,
            drain_writer: writer.clone().recipient(),
            looks: writer.clone().recipient(),
            writer: writer.recipient(),
            settle_acks,
            arbiters,
        }
    }

    /// Begins no more polls, and gives up the one under way. What it has handed over is still written.
    pub async fn stop_polling(&self, log: &Logger) {
        if let Some(poller) = &self.stop_polling
            && let Err(cause) = poller.send(StopPolling).await
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
