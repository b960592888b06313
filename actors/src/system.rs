//! Starts the actors, downstream first, and hands out their addresses: the one place that wires them.

use std::time::Instant;

use actix::{Actor, Recipient};
use actix_rt::Arbiter;
use slog::{Logger, error};

use crate::zk_writer::{Drain, WriteBatch, WriterSettings, ZkWriter};

/// The running actors. Whoever needs one is given a typed sender out of here, never looks it up.
pub struct System {
    /// Takes switches, from the HTTP actor and any other source alike.
    pub writer: Recipient<WriteBatch>,
    drain_writer: Recipient<Drain>,
    arbiter: Arbiter,
}

impl System {
    /// Starts `ZkWriter` on a thread of its own. Returns at once: the session is made meanwhile.
    pub fn start(settings: WriterSettings, log: &Logger) -> Self {
        let arbiter = Arbiter::new();
        let log = log.clone();
        let writer =
            ZkWriter::start_in_arbiter(&arbiter.handle(), move |_| ZkWriter::new(settings, &log));
        Self { drain_writer: writer.clone().recipient(), writer: writer.recipient(), arbiter }
    }

    /// Drains upstream first: finishes what `ZkWriter` has accepted, as far as it can be before `give_up`, and
    /// ends the session, if it can be ended before `until`. Call it when nothing sends to [`writer`](Self::writer) any more; what still
    /// does is refused.
    pub async fn drain(self, give_up: Instant, until: Instant, log: &Logger) {
        if let Err(cause) = self.drain_writer.send(Drain { give_up, until }).await {
            error!(log, "ZkWriter was gone before it could be drained"; "cause" => %cause);
        }
        self.arbiter.stop();
    }
}
