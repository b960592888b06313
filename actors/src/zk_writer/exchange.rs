//! One exchange with a jobmaker, on one connection: read the request, watch the ack, write, look at acks.
//!
//! It decides nothing: it tells `AckWaiter` what happens and does what that says. When the time is over, only
//! the wait for an ack ends early; what ZooKeeper was asked is always waited for. When the connection is lost,
//! its work is cut off in the middle, and `ZkWriter` tells of that in its place.

use std::{pin::pin, sync::Arc};

use actix::{Recipient, prelude::SendError};
use futures_util::future::{Either, join, select};
use tokio::sync::oneshot;

use crate::{
    ack_waiter::{Ack, Event, ExchangeId, Next, Report, Sighting},
    zk::{Connection, Revision, Watch},
};

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
        let request = self.connection.get(&self.place.request);
        let ack = self.connection.watch(&self.place.ack);
        let (request, ack) = join(request, ack).await;
        let (there, found) = match request {
            Ok(Some((data, mark))) => (data, mark.revision),
            Ok(None) => return self.reporter.tell(Event::NoSubPool).await,
            Err(error) => return self.reporter.tell(Event::NotRead(error)).await,
        };
        let mut watch = match ack {
            Ok(Some((_, _, watch))) => watch,
            Ok(None) => return self.reporter.tell(Event::NoJobmaker).await,
            Err(error) => return self.reporter.tell(Event::NotRead(error)).await,
        };
        // An update overwrites whatever there is; a get must not undo what came in between.
        let (data, mut expected): (Arc<[u8]>, _) = match &self.update {
            Some(update) => (Arc::clone(update), None),
            None => (there.into(), Some(found)),
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
                Next::ReadAgain | Next::Over => return next,
            };
        }
    }

    /// Writes the request; the next write is meant for the state that this one made.
    async fn write(&self, data: &[u8], expected: &mut Option<Revision>) -> Next {
        match self.connection.set(&self.place.request, data, *expected).await {
            Ok(mark) => {
                *expected = Some(mark.revision);
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
