//! The shell of `AckWaiter`: mailbox and deadlines around the pending exchanges.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use actix::{Actor, AsyncContext, Context, Handler, MessageResult, SpawnHandle};
use slog::{Logger, o};

use super::{
    attribution::Next,
    messages::{Event, ExchangeId, Expect, Report, Settle},
    pending::Pending,
};

/// Messages that may lie in the mailbox; an exchange has one at a time there.
const MAILBOX: usize = 16 * 1024;

/// Owns the pending acknowledgements and their deadlines.
pub(crate) struct AckWaiter {
    /// From the moment a request is sent (`ZKSubPoolUpdateAckTimeout`).
    ack_timeout: Duration,
    pending: HashMap<ExchangeId, (Pending, SpawnHandle)>,
    log: Logger,
}

impl AckWaiter {
    /// An actor that waits for exchanges.
    pub(crate) fn new(ack_timeout: Duration, log: &Logger) -> Self {
        Self { ack_timeout, pending: HashMap::new(), log: log.new(o!()) }
    }

    fn time_out(&mut self, id: ExchangeId) {
        if let Some((mut pending, _)) = self.pending.remove(&id) {
            pending.time_out(&self.log);
        }
    }
}

impl Actor for AckWaiter {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<Expect> for AckWaiter {
    type Result = ();

    fn handle(&mut self, message: Expect, ctx: &mut Self::Context) {
        let Expect { id, turn, deadline, over } = message;
        let patience = deadline.saturating_duration_since(Instant::now());
        let timer = ctx.run_later(patience, move |act, _| act.time_out(id));
        self.pending.insert(id, (Pending::new(turn, over), timer));
    }
}

impl Handler<Report> for AckWaiter {
    type Result = MessageResult<Report>;

    fn handle(&mut self, Report { id, event }: Report, ctx: &mut Self::Context) -> Self::Result {
        let Some((pending, timer)) = self.pending.get_mut(&id) else {
            return MessageResult(Next::Over);
        };
        // Only the first time: what is written to make sure, or once more, has no time of its own.
        if matches!(event, Event::Sending) && !pending.is_sent() {
            ctx.cancel_future(*timer);
            *timer = ctx.run_later(self.ack_timeout, move |act, _| act.time_out(id));
        }
        let next = pending.on(event, &self.log);
        if next == Next::Over {
            ctx.cancel_future(*timer);
            self.pending.remove(&id);
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
