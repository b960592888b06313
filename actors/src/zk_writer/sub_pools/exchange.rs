//! One exchange with a jobmaker, on one connection: reads the request, watches the ack, writes, reads acks.
//!
//! `AckWaiter` decides: the exchange reports each event and follows the answer. At the deadline only the wait for an ack
//! ends early; ZooKeeper's answers are always awaited. When the connection is lost, the exchange's task is cut off, and
//! `ZkWriter` reports that.

use std::{pin::pin, sync::Arc, time::Duration};

use actix::{Recipient, prelude::SendError};
use futures_util::future::{Either, join, select};
use tokio::{sync::oneshot, time::sleep};

use crate::{
    ack_waiter::{Ack, Event, ExchangeId, Next, Report, Sighting},
    zk::{AnyState, Connection, Overwrite, Revision, Watch},
};

/// Jobmakers date their acks (`created_at`) to the second.
const ACK_DATE_STEP: Duration = Duration::from_secs(1);

/// Znodes of an exchange.
#[derive(Clone, Debug)]
pub(super) struct ExchangePaths {
    /// The znode that the jobmaker watches.
    pub(super) request: String,
    /// The znode that the jobmaker answers in.
    pub(super) ack: String,
}

/// Reports an exchange's events to `AckWaiter`.
pub(super) struct Reporter {
    pub(super) id: ExchangeId,
    pub(super) to: Recipient<Report>,
    /// Resolves when `AckWaiter` has answered all callers.
    pub(super) is_over: oneshot::Receiver<()>,
}

impl Reporter {
    /// Reports an event that needs no answer. Reports arrive in order.
    async fn note(&self, event: Event) {
        if let Err(SendError::Full(report)) = self.to.try_send(Report { id: self.id, event }) {
            self.report(report.event).await;
        }
    }

    async fn report(&self, event: Event) -> Next {
        // Without `AckWaiter` the daemon is ending.
        self.to.send(Report { id: self.id, event }).await.unwrap_or(Next::Over)
    }
}

/// Makes the exchange: of an update, with its text, or of gets, which write the present text again.
pub(super) async fn run(
    connection: Connection,
    paths: ExchangePaths,
    update: Option<Arc<[u8]>>,
    reporter: Reporter,
) {
    let mut exchange = Exchange { connection, paths, update, reporter };
    while exchange.attempt().await == Next::ReadAgain {}
}

struct Exchange {
    connection: Connection,
    paths: ExchangePaths,
    update: Option<Arc<[u8]>>,
    reporter: Reporter,
}

impl Exchange {
    /// Continues until all callers are answered, or a get has to begin again.
    async fn attempt(&mut self) -> Next {
        let (data, mut expected, mut watch) = match self.prepare().await {
            Ok(prepared) => prepared,
            Err(event) => return self.reporter.report(event).await,
        };
        // Waits: if the callers have been answered that nothing was written, nothing may be written.
        if self.reporter.report(Event::Sending).await == Next::Over {
            return Next::Over;
        }
        let mut next = self.write(&data, &mut expected).await;
        loop {
            next = match next {
                Next::Wait => {
                    if let Either::Right(_) =
                        select(pin!(watch.fired()), &mut self.reporter.is_over).await
                    {
                        return Next::Over;
                    }
                    match self.read_ack().await {
                        Ok((sighting, armed)) => {
                            watch = armed;
                            self.reporter.report(Event::Seen(sighting)).await
                        }
                        Err(event) => return self.reporter.report(event).await,
                    }
                }
                Next::Provoke => self.write(&data, &mut expected).await,
                Next::ProvokeLater => {
                    let pause = pin!(sleep(ACK_DATE_STEP));
                    if let Either::Right(_) = select(pause, &mut self.reporter.is_over).await {
                        return Next::Over;
                    }
                    self.write(&data, &mut expected).await
                }
                Next::ReadAgain | Next::Over => return next,
            };
        }
    }

    /// The text to write, its condition, and the watch on the ack.
    async fn prepare(&self) -> Result<(Arc<[u8]>, Option<Revision>, Watch), Event> {
        let ExchangePaths { request, ack } = &self.paths;
        let Some(update) = &self.update else {
            // The present text is written again, which must not undo a write in between.
            let (request, ack) =
                join(self.connection.get(request), self.connection.watch(ack)).await;
            let (data, mark) = request.map_err(Event::NotRead)?.ok_or(Event::NoSubPool)?;
            let (_, _, watch) = ack.map_err(Event::NotRead)?.ok_or(Event::NoJobmaker)?;
            return Ok((data.into(), Some(mark.revision), watch));
        };
        // An ack that is still watched since the previous exchange exists, and so does its parent. An update replaces any
        // text, so it needs to know no more.
        let watch = match self.connection.armed_watch(ack) {
            Some(watch) => watch,
            None => {
                let (request, ack) =
                    join(self.connection.revision(request), self.connection.watch(ack)).await;
                request.map_err(Event::NotRead)?.ok_or(Event::NoSubPool)?;
                ack.map_err(Event::NotRead)?.ok_or(Event::NoJobmaker)?.2
            }
        };
        Ok((Arc::clone(update), None, watch))
    }

    /// Writes the request. The next write is on condition of the state that this one made.
    async fn write(&self, data: &[u8], expected: &mut Option<Revision>) -> Next {
        let request = &self.paths.request;
        let written = match *expected {
            Some(expected) => self.connection.set(request, data, expected).await,
            None => self.connection.set(request, data, AnyState).await,
        };
        match written {
            Ok(mark) => {
                let read = expected.replace(mark.revision);
                let detect = |read| Overwrite::detect(request, read, mark.revision);
                if let Some(overwrite) = read.and_then(detect) {
                    return self.reporter.report(Event::Overwrote(overwrite, data.into())).await;
                }
                self.reporter.note(Event::Written(mark)).await;
                Next::Wait
            }
            Err(error) => self.reporter.report(Event::NotWritten(error)).await,
        }
    }

    /// Reads the ack and then the request's state, and watches from then on.
    async fn read_ack(&self) -> Result<(Sighting, Watch), Event> {
        // Sent in this order, and ZooKeeper answers one client in order.
        let ack = self.connection.watch(&self.paths.ack);
        let request = self.connection.revision(&self.paths.request);
        let (ack, request) = join(ack, request).await;
        let (json, mark, watch) = ack.map_err(Event::NotSeen)?.ok_or(Event::AckGone)?;
        let request = request.map_err(Event::NotSeen)?;
        Ok((Sighting { zxid: mark.zxid, ack: Ack::parse(&json), request }, watch))
    }
}
