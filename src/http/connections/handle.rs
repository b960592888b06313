//! A connection as its requests see it: which request was refused, whether the body is wanted, when the answer is made.

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use actix_web::{
    body::{BodySize, BoxBody, MessageBody},
    web::Bytes,
};

use super::connection::{Inner, Phase};
use crate::api::answer::ApiError;

/// Handle of a connection, for the request that it has handed over.
#[derive(Clone)]
pub struct ConnectionHandle(pub(super) Rc<RefCell<Inner>>);

impl ConnectionHandle {
    /// The answer to the request in whose place the library got another one. At most once.
    pub fn take_refusal(&self) -> Option<ApiError> {
        self.0.borrow_mut().refusal.take()
    }

    /// Hands over the body from now on; before that the client is told to continue, if it waits.
    pub fn body_began(&self) {
        let mut inner = self.0.borrow_mut();
        inner.wants_body = true;
        inner.wake();
    }

    /// Hands over no more of the body.
    pub fn body_ended(&self) {
        self.0.borrow_mut().wants_body = false;
    }

    /// The guard of the request's answer. Its end is the end of the answer.
    pub fn answering(&self) -> Answering {
        Answering { tracked: self.clone(), closes: false }
    }
}

/// An answer in the making. Dropped when the library has all of it, or when there will be none.
pub struct Answering {
    tracked: ConnectionHandle,
    closes: bool,
}

impl Answering {
    /// Whether the connection has to end after this answer: the client wants it, or has sent a body that was not read,
    /// whose end is the only place where another request could begin.
    pub fn must_close(&self) -> bool {
        let inner = self.tracked.0.borrow();
        inner.closes || inner.inbound.has_body()
    }

    /// The connection ends after this answer.
    pub fn close(&mut self) {
        self.closes = true;
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut inner = self.tracked.0.borrow_mut();
        inner.closes |= self.closes;
        if inner.phase == Phase::UnderWay {
            inner.phase = Phase::Made;
        }
    }
}

/// An answer's body. The library drops it when it has taken all of it.
pub struct Answered {
    body: BoxBody,
    _answering: Option<Answering>,
}

impl Answered {
    /// The body of the answer that `answering` guards.
    pub fn new(body: BoxBody, answering: Option<Answering>) -> Self {
        Self { body, _answering: answering }
    }
}

impl MessageBody for Answered {
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
