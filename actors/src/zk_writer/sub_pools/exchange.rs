//! One exchange with a jobmaker, on one connection: read the request, watch the ack, write, look at acks.
//!
//! It decides nothing: it tells `AckWaiter` what happens and does what that says. When the time is over, only
//! the wait for an ack ends early; what ZooKeeper was asked is always waited for. When the connection is lost,
//! its work is cut off in the middle, and `ZkWriter` tells of that in its place.

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

/// Where an exchange takes place.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The znode that the jobmaker watches.
    pub(super) request: String,
    /// The znode that it answers in.
    pub(super) ack: String,
}

/// How an exchange's task tells `AckWaiter` what happens.
pub(super) struct Reporter {
    pub(super) id: ExchangeId,
    pub(super) to: Recipient<Report>,
    /// Resolves when `AckWaiter` has settled all.
    pub(super) is_over: oneshot::Receiver<()>,
}

impl Reporter {
    /// Tells of something that calls for nothing new. What is told later arrives later.
    async fn note(&self, event: Event) {
        if let Err(SendError::Full(report)) = self.to.try_send(Report { id: self.id, event }) {
            self.tell(report.event).await;
        }
    }

    async fn tell(&self, event: Event) -> Next {
        // Nobody to tell means that the daemon is ending.
        self.to.send(Report { id: self.id, event }).await.unwrap_or(Next::Over)
    }
}

/// Makes the exchange: of an update, with the `update` to write, or of gets, which write what is there.
pub(super) async fn run(
    connection: Connection,
    place: Place,
    update: Option<Arc<[u8]>>,
    reporter: Reporter,
) {
    let mut exchange = Exchange { connection, place, update, reporter };
    while exchange.attempt().await == Next::ReadAgain {}
}

struct Exchange {
    connection: Connection,
    place: Place,
    update: Option<Arc<[u8]>>,
    reporter: Reporter,
}

impl Exchange {
    /// Goes on until all is settled, or until a get has to begin anew.
    async fn attempt(&mut self) -> Next {
        let (data, mut expected, mut watch) = match self.prepare().await {
            Ok(prepared) => prepared,
            Err(event) => return self.reporter.tell(event).await,
        };
        // The answer is waited for: once callers were told that nothing is written, nothing must be.
        if self.reporter.tell(Event::Sending).await == Next::Over {
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
                    match self.look().await {
                        Ok((sighting, armed)) => {
                            watch = armed;
                            self.reporter.tell(Event::Seen(sighting)).await
                        }
                        Err(event) => return self.reporter.tell(event).await,
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

    /// What to write, which state it is meant for, and the watch on the ack.
    async fn prepare(&self) -> Result<(Arc<[u8]>, Option<Revision>, Watch), Event> {
        let Place { request, ack } = &self.place;
        let Some(update) = &self.update else {
            // What is there is written again, which must not undo what comes in between.
            let (request, ack) =
                join(self.connection.get(request), self.connection.watch(ack)).await;
            let (data, mark) = request.map_err(Event::NotRead)?.ok_or(Event::NoSubPool)?;
            let (_, _, watch) = ack.map_err(Event::NotRead)?.ok_or(Event::NoJobmaker)?;
            return Ok((data.into(), Some(mark.revision), watch));
        };
        // An ack that is still watched from the exchange before is known to be there, and so is the znode
        // above it. An update overwrites whatever there is, so it needs to know no more.
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

    /// Writes the request; the next write is meant for the state that this one made.
    async fn write(&self, data: &[u8], expected: &mut Option<Revision>) -> Next {
        let request = &self.place.request;
        let written = match *expected {
            Some(expected) => self.connection.set(request, data, expected).await,
            None => self.connection.set(request, data, AnyState).await,
        };
        match written {
            Ok(mark) => {
                let read = expected.replace(mark.revision);
                let detect = |read| Overwrite::detect(request, read, mark.revision);
                if let Some(overwrite) = read.and_then(detect) {
                    return self.reporter.tell(Event::Overwrote(overwrite, data.into())).await;
                }
                self.reporter.note(Event::Written(mark)).await;
                Next::Wait
            }
            Err(error) => self.reporter.tell(Event::NotWritten(error)).await,
        }
    }

    /// Reads the ack, and after it the request's state; watches on from then.
    async fn look(&self) -> Result<(Sighting, Watch), Event> {
        // Sent in this order, and ZooKeeper answers one client in order.
        let ack = self.connection.watch(&self.place.ack);
        let request = self.connection.revision(&self.place.request);
        let (ack, request) = join(ack, request).await;
        let (json, mark, watch) = ack.map_err(Event::NotSeen)?.ok_or(Event::AckGone)?;
        let request = request.map_err(Event::NotSeen)?;
        Ok((Sighting { zxid: mark.zxid, ack: Ack::parse(&json), request }, watch))
    }
}
