//! The shell of `AckWaiter`: mailbox and deadlines of the pending exchanges.

use std::{collections::HashMap, time::Duration};

use actix::{Actor, AsyncContext, Context, Handler, MessageResult, SpawnHandle};
use slog::Logger;
use tokio::time::Instant;

use super::{
    attribution::Next,
    journal::Journal,
    messages::{Event, ExchangeId, Expect, Report, Settle},
    pending::Pending,
};
use crate::metrics::Metrics;

/// Mailbox size; an exchange has one message at a time.
const MAILBOX: usize = 16 * 1024;

/// Owns the pending exchanges and their deadlines.
pub(crate) struct AckWaiter {
    pending: HashMap<ExchangeId, Waiting>,
    journal: Journal,
}

struct Waiting {
    exchange: Pending,
    /// The limit at the exchange's beginning.
    ack_timeout: Duration,
    deadline: Deadline,
}

#[derive(Clone, Copy)]
struct Deadline {
    at: Instant,
    timer: SpawnHandle,
}

impl AckWaiter {
    pub(crate) fn new(metrics: &Metrics, log: &Logger) -> Self {
        Self { pending: HashMap::new(), journal: Journal::new(log, metrics) }
    }

    fn check_deadline(&mut self, id: ExchangeId) {
        // A timer that was cancelled at the last moment may fire, too.
        let is_over = |waiting: &Waiting| waiting.deadline.at <= Instant::now();
        if self.pending.get(&id).is_some_and(is_over)
            && let Some(mut waiting) = self.pending.remove(&id)
        {
            waiting.exchange.time_out(&self.journal);
        }
    }
}

fn start_timer(id: ExchangeId, time: Duration, ctx: &mut Context<AckWaiter>) -> Deadline {
    let timer = ctx.run_later(time, move |act, _| act.check_deadline(id));
    Deadline { at: Instant::now() + time, timer }
}

impl Actor for AckWaiter {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<Expect> for AckWaiter {
    type Result = ();

    fn handle(&mut self, expect: Expect, ctx: &mut Self::Context) {
        let Expect { id, turn, ack_timeout, over } = expect;
        let deadline = start_timer(id, ack_timeout, ctx);
        let exchange = Pending::new(turn, over);
        self.pending.insert(id, Waiting { exchange, ack_timeout, deadline });
    }
}

impl Handler<Report> for AckWaiter {
    type Result = MessageResult<Report>;

    fn handle(&mut self, Report { id, event }: Report, ctx: &mut Self::Context) -> Self::Result {
        let Some(mut waiting) = self.pending.remove(&id) else {
            return MessageResult(Next::Over);
        };
        // Only for the first write: repeated writes get no further time.
        if matches!(event, Event::Sending) && !waiting.exchange.is_sent() {
            ctx.cancel_future(waiting.deadline.timer);
            waiting.deadline = start_timer(id, waiting.ack_timeout, ctx);
        }
        let next = waiting.exchange.on(event, &self.journal);
        if next == Next::Over {
            ctx.cancel_future(waiting.deadline.timer);
        } else {
            self.pending.insert(id, waiting);
        }
        MessageResult(next)
    }
}

impl Handler<Settle> for AckWaiter {
    type Result = ();

    /// The mailbox keeps the order of messages, so all earlier ones are done.
    fn handle(&mut self, Settle: Settle, _: &mut Self::Context) {}
}

#[cfg(test)]
mod tests;
