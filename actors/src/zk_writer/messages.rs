//! What `ZkWriter` understands.

use std::time::Instant;

use actix::Message;
use thiserror::Error;
use tokio::sync::oneshot;

use crate::{
    ack_waiter::Caller,
    domain::{Assignment, CoinbaseUpdate, Source, SubPool},
};

/// Write these switches, in this order. A single switch is a batch of one.
///
/// Sent by the HTTP actor. The answer comes through `reply`, not through the mailbox, so that a waiting
/// caller occupies neither; exactly one answer is sent, unless the process ends. A caller that drops
/// its receiver does not call its switches back.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct WriteBatch {
    /// Who asks.
    pub source: Source,
    /// What to write. Of several entries for one sub-account the last one wins.
    pub assignments: Vec<Assignment>,
    /// Where the answer goes.
    pub reply: oneshot::Sender<WriteReply>,
}

/// The answer to a [`WriteBatch`]: `Ok` only once ZooKeeper has committed every entry.
pub type WriteReply = Result<(), WriteFailure>;

/// Why a [`WriteBatch`] was not, or perhaps not, written. The worst of its entries counts.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum WriteFailure {
    /// Nothing was written: too much is waiting already.
    #[error("{waiting} switches are waiting already, and {limit} is the limit (ZKQueueLimit)")]
    QueueFull {
        /// Switches that wait.
        waiting: usize,
        /// How many may.
        limit: usize,
    },
    /// Nothing was written: `ZkWriter`'s mailbox is full, so thousands of requests wait already.
    #[error("too many requests wait already")]
    Overloaded,
    /// Nothing was written: the daemon is ending.
    #[error("the daemon is shutting down")]
    ShuttingDown,
    /// Nothing was written: nothing of it was even sent in the time allowed, for want of a session or
    /// behind writes that ZooKeeper did not answer.
    #[error("not sent to ZooKeeper within the time allowed")]
    NotSent,
    /// Part of the batch was not written in the time allowed; what was under way has been settled.
    #[error("ZooKeeper did not take all of it within the time allowed")]
    Incomplete,
    /// ZooKeeper refused one entry or more; the text tells of the last.
    #[error("{0}")]
    Refused(String),
    /// Nobody can say whether all of it was written. Ask ZooKeeper, or send it again.
    #[error("outcome unknown: {0}")]
    Unknown(String),
}

impl WriteFailure {
    /// Of two failures within one batch, the one to answer: an unknown outcome covers a known one.
    pub(super) fn worse(self, other: Self) -> Self {
        if matches!(other, Self::Unknown(_)) || !matches!(self, Self::Unknown(_)) {
            other
        } else {
            self
        }
    }
}

/// What is asked of a sub-pool's jobmaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// What it holds.
    Get,
    /// To hold these values.
    Update(CoinbaseUpdate),
}

/// Ask a sub-pool's jobmaker, when its turn comes.
///
/// Sent by the HTTP actor. Exactly one answer goes to the caller, unless the process ends. One that has
/// gone before its exchange begins calls it back by that; afterwards the exchange goes on without it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct AskJobmaker {
    /// Whose jobmaker.
    pub sub_pool: SubPool,
    /// What is asked.
    pub ask: Ask,
    /// Who asks.
    pub caller: Caller,
}

/// Take no more requests, finish what is accepted, close the session; answered when that is done.
///
/// Sent once, by the application's shutdown, after the HTTP actor has stopped.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Drain {
    /// Give up then what is not finished, so that it is answered and logged before the process ends.
    pub give_up: Instant,
    /// Until then try to end the session, so that nothing of it can be applied later.
    pub until: Instant,
}
