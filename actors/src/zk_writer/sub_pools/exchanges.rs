//! Begins exchanges with jobmakers, one at a time for each sub-pool, and answers those that none begins for.

use std::time::{Duration, Instant};

use actix::{Recipient, prelude::SendError};
use slog::Logger;
use tokio::{sync::oneshot, task::JoinHandle};

use super::{
    exchange::{self, Place, Reporter},
    lanes::{Expired, Lanes, Withdrawn},
};
use crate::{
    ack_waiter::{Event, ExchangeFailure, ExchangeId, Expect, Journal, Report, Turn},
    domain::SubPool,
    metrics::Metrics,
    zk::Connection,
    zk_writer::{
        messages::{CoinbaseAction, CoinbaseRequest},
        settings::SubPoolSettings,
    },
};

/// Requests that may wait for an exchange, of all sub-pools together.
const WAITING: usize = 10_000;

/// How `AckWaiter` is told of exchanges.
pub(crate) struct ToAckWaiter {
    /// That one begins.
    pub(crate) expect: Recipient<Expect>,
    /// What happens in it.
    pub(crate) report: Recipient<Report>,
}

/// The exchanges: who waits for one, and where they take place.
pub(crate) struct SubPools {
    settings: SubPoolSettings,
    lanes: Lanes,
    acks: ToAckWaiter,
    exchanges: u64,
    journal: Journal,
}

/// An exchange that has begun.
pub(crate) struct Begun {
    pub(crate) id: ExchangeId,
    /// Ends when the exchange is over or its connection is gone.
    pub(crate) task: JoinHandle<()>,
}

impl SubPools {
    pub(crate) fn new(
        settings: SubPoolSettings,
        acks: ToAckWaiter,
        metrics: &Metrics,
        log: &Logger,
    ) -> Self {
        let journal = Journal::new(log, metrics);
        Self { settings, lanes: Lanes::new(WAITING), acks, exchanges: 0, journal }
    }

    /// Those who ask from now on, and exchanges that begin from now on, have so long.
    pub(crate) fn set_ack_timeout(&mut self, ack_timeout: Duration) {
        self.settings.ack_timeout = ack_timeout;
    }

    /// Requests that wait for an exchange.
    pub(crate) fn waiting(&self) -> usize {
        self.lanes.waiting()
    }

    /// Takes a request in, or answers it at once.
    pub(crate) fn accept(&mut self, ask: CoinbaseRequest) {
        if self.lanes.is_full() {
            self.refuse(ask, ExchangeFailure::QueueFull);
        } else {
            self.lanes.accept(ask, Instant::now() + self.settings.ack_timeout);
        }
    }

    /// Answers a request that nothing was written for.
    pub(crate) fn refuse(&self, ask: CoinbaseRequest, failure: ExchangeFailure) {
        let CoinbaseRequest { sub_pool, ask, caller } = ask;
        match ask {
            CoinbaseAction::Get => {
                self.journal.get_refused();
                caller.answer(Err(failure));
            }
            CoinbaseAction::Update(update) => {
                self.withdraw(Withdrawn { sub_pool, caller, update }, failure);
            }
        }
    }

    /// Begins the next exchange with this sub-pool's jobmaker, if it has none and somebody waits.
    pub(crate) fn begin(&mut self, sub_pool: &SubPool, connection: &Connection) -> Option<Begun> {
        loop {
            let (turn, gone) = self.lanes.begin(sub_pool);
            for Withdrawn { sub_pool, caller, update } in gone {
                let cause = "the client has gone";
                self.journal.update_not_begun(&sub_pool, caller.source, &update, cause);
            }
            let turn = turn?;
            self.exchanges += 1;
            let id = ExchangeId(self.exchanges);
            let update = turn.update.as_ref().map(|(_, update)| update.request());
            let (over, is_over) = oneshot::channel();
            let ack_timeout = self.settings.ack_timeout;
            match self.acks.expect.try_send(Expect { id, turn, ack_timeout, over }) {
                Ok(()) => {
                    let reporter = Reporter { id, to: self.acks.report.clone(), is_over };
                    let (place, connection_used) = (self.place(sub_pool), connection.clone());
                    let task =
                        connection.spawn(exchange::run(connection_used, place, update, reporter));
                    return Some(Begun { id, task });
                }
                Err(SendError::Full(expect)) => {
                    self.give_up(expect.turn, &ExchangeFailure::QueueFull);
                }
                Err(SendError::Closed(expect)) => {
                    self.give_up(expect.turn, &ExchangeFailure::ShuttingDown);
                }
            }
            self.lanes.finish(sub_pool);
        }
    }

    /// The exchange with this sub-pool's jobmaker is over.
    pub(crate) fn finish(&mut self, sub_pool: &SubPool) {
        self.lanes.finish(sub_pool);
    }

    /// Tells `AckWaiter`, in its place, that an exchange was cut off with its connection.
    pub(crate) fn cut_off(&self, id: ExchangeId, cause: &str) -> impl Future<Output = ()> + use<> {
        let event = Event::CutOff(cause.to_owned());
        let told = self.acks.report.send(Report { id, event });
        async move {
            // Nobody to tell means that the daemon is ending.
            let _ = told.await;
        }
    }

    /// Sub-pools that have no exchange.
    pub(crate) fn idle(&self) -> Vec<SubPool> {
        self.lanes.idle()
    }

    /// Whether nobody waits and no exchange is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Answers those whose time to wait is over.
    pub(crate) fn expire(&mut self, is_connected: bool) {
        let failure = if is_connected {
            ExchangeFailure::NotServed
        } else {
            ExchangeFailure::NotRead("there is no session with ZooKeeper".to_owned())
        };
        let expired = self.lanes.expire(Some(Instant::now()));
        self.answer(expired, &failure);
    }

    /// Answers all who wait, since the daemon ends.
    pub(crate) fn expire_all(&mut self) {
        let expired = self.lanes.expire(None);
        self.answer(expired, &ExchangeFailure::ShuttingDown);
    }

    fn answer(&self, expired: Expired, failure: &ExchangeFailure) {
        self.journal.gets_not_begun(&expired.gets, failure);
        for caller in expired.gets {
            caller.answer(Err(failure.clone()));
        }
        for withdrawn in expired.updates {
            self.withdraw(withdrawn, failure.clone());
        }
    }

    fn give_up(&self, turn: Turn, failure: &ExchangeFailure) {
        let Turn { sub_pool, update, gets } = turn;
        let updates = update.map(|(caller, update)| Withdrawn { sub_pool, caller, update });
        self.answer(Expired { updates: updates.into_iter().collect(), gets }, failure);
    }

    fn withdraw(&self, withdrawn: Withdrawn, failure: ExchangeFailure) {
        let Withdrawn { sub_pool, caller, update } = withdrawn;
        self.journal.update_not_begun(&sub_pool, caller.source, &update, &failure.to_string());
        caller.answer(Err(failure));
    }

    fn place(&self, sub_pool: &SubPool) -> Place {
        let coin = self.settings.base_dir.child(sub_pool.coin());
        let request = format!("{coin}/{}", sub_pool.name());
        Place { ack: format!("{request}/ack"), request }
    }
}
