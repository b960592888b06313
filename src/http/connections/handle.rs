//! The view that a request has of its connection: a refusal in its place, its body, the progress of its answer.

use std::{
    cell::RefCell,
    net::IpAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use actix_web::{
    body::{BodySize, BoxBody, MessageBody},
    web::Bytes,
};

use super::connection::{Inner, Phase};
use crate::http::error::RequestError;

/// A connection, for its requests.
#[derive(Clone)]
pub struct ConnectionHandle(pub(super) Rc<RefCell<Inner>>);

impl ConnectionHandle {
    /// The answer to the refused request that the library got a stand-in for. Returned once.
    pub fn take_refusal(&self) -> Option<RequestError> {
        self.0.borrow_mut().refusal.take()
    }

    /// The daemon's own address; `None` if the connection has ended already.
    pub fn local_ip(&self) -> Option<IpAddr> {
        self.0.borrow().stream.tcp().local_addr().ok().map(|local| local.ip())
    }

    /// Whether the daemon itself speaks TLS with the client.
    pub fn is_tls(&self) -> bool {
        self.0.borrow().stream.is_tls()
    }

    /// Hands over the body from now on. A client that waits for it gets `100 Continue` first.
    pub fn begin_body(&self) {
        let mut inner = self.0.borrow_mut();
        inner.wants_body = true;
        inner.wake();
    }

    /// Hands over no more of the body.
    pub fn end_body(&self) {
        self.0.borrow_mut().wants_body = false;
    }

    /// The answer to the request at hand.
    pub fn begin_answer(&self) -> AnswerInProgress {
        AnswerInProgress { connection: self.clone(), closes: false }
    }
}

/// An answer that is being made. Dropped when the library has all of it, or when there will be none.
pub struct AnswerInProgress {
    connection: ConnectionHandle,
    closes: bool,
}

impl AnswerInProgress {
    /// Whether the connection must end after this answer: on the client's request, or because of an unread body, whose
    /// end is the only place where another request could begin.
    pub fn must_close(&self) -> bool {
        let inner = self.connection.0.borrow();
        inner.closes || inner.inbound.has_body()
    }

    /// Ends the connection after this answer.
    pub fn close(&mut self) {
        self.closes = true;
    }
}

impl Drop for AnswerInProgress {
    fn drop(&mut self) {
        let mut inner = self.connection.0.borrow_mut();
        inner.closes |= self.closes;
        if inner.phase == Phase::UnderWay {
            inner.phase = Phase::Made;
        }
    }
}

/// An answer's body. The library drops it when it has taken all bytes.
pub struct TrackedBody {
    body: BoxBody,
    _answer: Option<AnswerInProgress>,
}

impl TrackedBody {
    pub fn new(body: BoxBody, answer: Option<AnswerInProgress>) -> Self {
        Self { body, _answer: answer }
    }
}

impl MessageBody for TrackedBody {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(cx)
    }
}
