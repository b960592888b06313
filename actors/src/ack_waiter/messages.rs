//! What `AckWaiter` understands, and what those who wait for an exchange are told.

use std::time::Duration;

use actix::Message;
use thiserror::Error;
use tokio::sync::oneshot;

use super::attribution::{Next, Sighting};
use crate::{
    domain::{Coinbase, CoinbaseUpdate, Source, SubPool},
    zk::{Mark, Overwrite, WriteError},
};

/// What a jobmaker answered, certain to be an answer to the request that gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobmakerAnswer {
    /// Whether it did what was asked.
    pub success: bool,
    /// Its own words.
    pub err_msg: String,
    /// The sub-pool's name by its own account.
    pub subpool_name: String,
    /// For a get, what it holds; for an update, what it held before.
    pub old: Coinbase,
    /// What it holds since an update that succeeded.
    pub new: Option<Coinbase>,
}

/// The answer to a get or an update.
pub type ExchangeReply = Result<JobmakerAnswer, ExchangeFailure>;

/// Why there is no answer of a jobmaker.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ExchangeFailure {
    /// Nothing was written: too many requests wait already.
    #[error("too many sub-pool requests are waiting already")]
    QueueFull,
    /// Nothing was written: the daemon is ending.
    #[error("the daemon is shutting down")]
    ShuttingDown,
    /// Nothing was written: the sub-pool's exchanges before took all the time.
    #[error("the exchanges before it took too long")]
    NotServed,
    /// Nothing was written: there is no request znode of a sub-pool with this name.
    #[error("there is no request znode")]
    NoSubPool(String),
    /// Nothing was written: the request znode has no `ack`, which its jobmaker creates.
    #[error("no jobmaker has created the ack znode")]
    NoJobmaker,
    /// Nothing was written: the request znode or `ack` could not be read, or not in time.
    #[error("the request znode cannot be read: {0}")]
    NotRead(String),
    /// Nothing was written: ZooKeeper refused it.
    #[error("the request znode cannot be written: {0}")]
    NotWritten(String),
    /// No ack came in time. The jobmaker may still apply the request.
    #[error("no ack in time")]
    TimedOut,
    /// Somebody else wrote after us, and the jobmaker may never have read our request.
    #[error("somebody else wrote to the sub-pool meanwhile")]
    Overtaken,
    /// The `ack` znode is gone or cannot be read. The jobmaker may have applied the request.
    #[error("the ack znode cannot be read: {0}")]
    AckNotRead(String),
    /// The jobmaker writes acks that cannot be parsed. It may have applied the request.
    #[error("the ack cannot be parsed")]
    AckUnparsable,
    /// Nobody can say whether the request was written, or applied; the text says why.
    #[error("{0}")]
    Unknown(String),
}

/// Somebody who waits for an answer.
#[derive(Debug)]
pub struct Caller {
    /// Who asks, for the log.
    pub source: Source,
    /// Where the answer goes.
    pub reply: oneshot::Sender<ExchangeReply>,
}

impl Caller {
    /// Answers. One that is gone already misses nothing.
    pub(crate) fn answer(self, reply: ExchangeReply) {
        let _ = self.reply.send(reply);
    }
}

/// One exchange with a jobmaker: those for whom the next write to a sub-pool's request znode is made.
#[derive(Debug)]
pub(crate) struct Turn {
    /// Whose jobmaker.
    pub(crate) sub_pool: SubPool,
    /// The update, and who asks for it; without one, the request that is there is written again.
    pub(crate) update: Option<(Caller, CoinbaseUpdate)>,
    /// Who wants to know what the jobmaker holds.
    pub(crate) gets: Vec<Caller>,
}

/// Which exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ExchangeId(pub(crate) u64);

/// An exchange begins: answer and log for it from now on.
///
/// Sent by `ZkWriter`, before anything of the exchange is sent to ZooKeeper.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Expect {
    /// Which exchange it is in later messages.
    pub(crate) id: ExchangeId,
    /// Who waits, and for what.
    pub(crate) turn: Turn,
    /// For the jobmaker, from the moment the request is sent; and for ZooKeeper before that, which hardly ever
    /// needs it.
    pub(crate) ack_timeout: Duration,
    /// `AckWaiter` drops it when the exchange is over, which ends the exchange's task.
    pub(crate) over: oneshot::Sender<()>,
}

/// Something happened in an exchange; the answer says what to do next.
///
/// Sent by the exchange's own task, one after the other, and once by `ZkWriter` if that task was cut off.
#[derive(Debug, Message)]
#[rtype(result = "Next")]
pub(crate) struct Report {
    /// Which exchange.
    pub(crate) id: ExchangeId,
    /// What happened.
    pub(crate) event: Event,
}

/// What can happen in an exchange.
#[derive(Debug)]
pub(crate) enum Event {
    /// There is no request znode.
    NoSubPool,
    /// There is no `ack` znode before anything was written.
    NoJobmaker,
    /// The znodes could not be read before anything was written.
    NotRead(WriteError),
    /// The request is sent now: its time begins.
    Sending,
    /// The request was written.
    Written(Mark),
    /// The request, these bytes, was written over another znode than the one that was read.
    Overwrote(Overwrite, Box<[u8]>),
    /// The request was not written.
    NotWritten(WriteError),
    /// An ack was seen.
    Seen(Sighting),
    /// The `ack` znode is gone.
    AckGone,
    /// The `ack` znode, or the request znode after it, could not be read.
    NotSeen(WriteError),
    /// The connection is gone.
    CutOff(String),
}

/// Answered when all messages before it have been dealt with.
///
/// Sent once, by the application's shutdown, after `ZkWriter` has been drained.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Settle;
