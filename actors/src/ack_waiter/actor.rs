//! The shell of `AckWaiter`: mailbox and deadlines around the pending exchanges.

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

/// Messages that may lie in the mailbox; an exchange has one at a time there.
const MAILBOX: usize = 16 * 1024;

/// Owns the pending acknowledgements and their deadlines.
pub(crate) struct AckWaiter {
    pending: HashMap<ExchangeId, Waiting>,
    journal: Journal,
}

struct Waiting {
    exchange: Pending,
    /// As the exchange was told at its beginning.
    ack_timeout: Duration,
    clock: Clock,
}

/// When the time is over, and the timer that looks.
#[derive(Clone, Copy)]
struct Clock {
    deadline: Instant,
    timer: SpawnHandle,
}

impl AckWaiter {
    /// An actor that waits for exchanges.
    pub(crate) fn new(metrics: &Metrics, log: &Logger) -> Self {
        Self { pending: HashMap::new(), journal: Journal::new(log, metrics) }
    }

    fn look_at_clock(&mut self, id: ExchangeId) {
        // A timer that was cancelled at the last moment may look, too.
        let is_over = |waiting: &Waiting| waiting.clock.deadline <= Instant::now();
        if self.pending.get(&id).is_some_and(is_over)
            && let Some(mut waiting) = self.pending.remove(&id)
        {
            waiting.exchange.time_out(&self.journal);
        }
    }
}

fn start_clock(id: ExchangeId, time: Duration, ctx: &mut Context<AckWaiter>) -> Clock {
    let timer = ctx.run_later(time, move |act, _| act.look_at_clock(id));
    Clock { deadline: Instant::now() + time, timer }
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
        let clock = start_clock(id, ack_timeout, ctx);
        self.pending.insert(id, Waiting { exchange: Pending::new(turn, over), ack_timeout, clock });
    }
}

impl Handler<Report> for AckWaiter {
    type Result = MessageResult<Report>;

    fn handle(&mut self, Report { id, event }: Report, ctx: &mut Self::Context) -> Self::Result {
        let Some(mut waiting) = self.pending.remove(&id) else {
            return MessageResult(Next::Over);
        };
        // Only the first time: what is written to make sure, or once more, has no time of its own.
        if matches!(event, Event::Sending) && !waiting.exchange.is_sent() {
            ctx.cancel_future(waiting.clock.timer);
            waiting.clock = start_clock(id, waiting.ack_timeout, ctx);
        }
        let next = waiting.exchange.on(event, &self.journal);
        if next == Next::Over {
            ctx.cancel_future(waiting.clock.timer);
        } else {
            self.pending.insert(id, waiting);
        }
        MessageResult(next)
    }
}

impl Handler<Settle> for AckWaiter {
    type Result = ();

    /// The mailbox keeps the order of messages, so everything before is done.
    fn handle(&mut self, Settle: Settle, _: &mut Self::Context) {}
}

#[cfg(test)]
mod tests;
