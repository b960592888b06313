//! Requests about sub-pools: each begins an exchange, one at a time for each sub-pool, or is answered without one.

use std::time::{Duration, Instant};

use actix::{Recipient, prelude::SendError};
use slog::Logger;
use tokio::sync::oneshot;

use super::{
    exchange::{self, ExchangePaths, Reporter},
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

/// Addresses of `AckWaiter`.
pub(crate) struct ToAckWaiter {
    /// Receives the beginnings of exchanges.
    pub(crate) expect: Recipient<Expect>,
    /// Receives the events of exchanges.
    pub(crate) report: Recipient<Report>,
}

/// Requests that wait, and exchanges under way.
pub(crate) struct SubPools {
    settings: SubPoolSettings,
    pub(in crate::zk_writer) lanes: Lanes,
    acks: ToAckWaiter,
    exchanges: u64,
    journal: Journal,
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

    /// Applies to requests and exchanges from now on.
    pub(crate) fn set_ack_timeout(&mut self, ack_timeout: Duration) {
        self.settings.ack_timeout = ack_timeout;
    }

    /// Accepts a request, or answers it at once.
    pub(crate) fn accept(&mut self, request: CoinbaseRequest) {
        if self.lanes.is_full() {
            self.refuse(request, ExchangeFailure::QueueFull);
        } else {
            self.lanes.accept(request, Instant::now() + self.settings.ack_timeout);
        }
    }

    /// Answers a request without an exchange.
    pub(crate) fn refuse(&self, request: CoinbaseRequest, failure: ExchangeFailure) {
        let CoinbaseRequest { sub_pool, action, caller } = request;
        match action {
            CoinbaseAction::Get => {
                self.journal.get_refused();
                caller.answer(Err(failure));
            }
            CoinbaseAction::Update(update) => {
                self.withdraw(Withdrawn { sub_pool, caller, update }, failure);
            }
        }
    }

    /// Begins the next exchange with this sub-pool's jobmaker, if none is under way and a request waits. The task ends
    /// when the exchange is over or its connection is gone.
    pub(crate) fn begin(
        &mut self,
        sub_pool: &SubPool,
        connection: &Connection,
    ) -> Option<(ExchangeId, impl Future<Output = Option<()>> + use<>)> {
        loop {
            let (turn, gone) = self.lanes.begin(sub_pool);
            for Withdrawn { sub_pool, caller, update } in gone {
                let cause = "the client has gone";
                self.journal.update_not_begun(&sub_pool, &caller.source, &update, cause);
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
                    let (paths, connection_used) = (self.paths(sub_pool), connection.clone());
                    let task =
                        connection.spawn(exchange::run(connection_used, paths, update, reporter));
                    return Some((id, task));
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

    /// Reports to `AckWaiter` that an exchange was cut off with its connection.
    pub(crate) fn cut_off(&self, id: ExchangeId, cause: &str) -> impl Future<Output = ()> + use<> {
        let event = Event::CutOff(cause.to_owned());
        let reported = self.acks.report.send(Report { id, event });
        async move {
            // Without `AckWaiter` the daemon is ending.
            let _ = reported.await;
        }
    }

    /// Answers the requests whose deadline has passed.
    pub(crate) fn expire(&mut self, is_connected: bool) {
        let failure = if is_connected {
            ExchangeFailure::NotServed
        } else {
            ExchangeFailure::NotRead("there is no session with ZooKeeper".to_owned())
        };
        let expired = self.lanes.expire(Some(Instant::now()));
        self.answer(expired, &failure);
    }

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
        self.journal.update_not_begun(&sub_pool, &caller.source, &update, &failure.to_string());
        caller.answer(Err(failure));
    }

    fn paths(&self, sub_pool: &SubPool) -> ExchangePaths {
        let coin = self.settings.base_dir.child(sub_pool.coin());
        let request = format!("{coin}/{}", sub_pool.name());
        ExchangePaths { ack: format!("{request}/ack"), request }
    }
}
