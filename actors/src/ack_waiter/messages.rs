//! Messages to `AckWaiter`, and callers' answers.

use std::time::Duration;

use actix::Message;
use thiserror::Error;
use tokio::sync::oneshot;

use super::attribution::{Next, Sighting};
use crate::{
    domain::{Coinbase, CoinbaseUpdate, Source, SubPool},
    history::NotRecorded,
    zk::{Mark, Overwrite, WriteError},
};

/// A jobmaker's answer, certain to answer the caller's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobmakerAnswer {
    /// Whether the jobmaker did as requested.
    pub success: bool,
    /// The jobmaker's message.
    pub err_msg: String,
    /// The sub-pool's name as the jobmaker reports it.
    pub subpool_name: String,
    /// For a get, the current coinbase; for an update, the coinbase before.
    pub old: Coinbase,
    /// The coinbase since a successful update.
    pub new: Option<Coinbase>,
}

/// The answer to a get or an update.
pub type ExchangeReply = Result<JobmakerAnswer, ExchangeFailure>;

/// Why there is no answer from the jobmaker.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ExchangeFailure {
    /// Nothing was written: too many requests wait already.
    #[error("too many sub-pool requests are waiting already")]
    QueueFull,
    /// Nothing was written: the daemon is shutting down.
    #[error("the daemon is shutting down")]
    ShuttingDown,
    /// Nothing was written: the history could not record the update.
    #[error("the change cannot be recorded: {0}")]
    NotRecorded(NotRecorded),
    /// Nothing was written: the sub-pool's earlier exchanges took all the time.
    #[error("the sub-pool's earlier exchanges took too long")]
    NotServed,
    /// Nothing was written: the sub-pool of this name has no request znode.
    #[error("there is no request znode")]
    NoSubPool(String),
    /// Nothing was written: the request znode has no `ack` child, which a jobmaker creates.
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
    /// Another writer came after us: the jobmaker may never have read our request.
    #[error("another program wrote to the sub-pool meanwhile")]
    Overtaken,
    /// The `ack` znode is deleted or cannot be read. The jobmaker may have applied the request.
    #[error("the ack znode cannot be read: {0}")]
    AckNotRead(String),
    /// The acks cannot be parsed. The jobmaker may have applied the request.
    #[error("the ack cannot be parsed")]
    AckUnparsable,
    /// Written or not, applied or not; with the reason.
    #[error("{0}")]
    Unknown(String),
}

impl ExchangeFailure {
    /// Whether it left the request znode unchanged for certain.
    pub fn wrote_nothing(&self) -> bool {
        match self {
            Self::QueueFull
            | Self::ShuttingDown
            | Self::NotRecorded(_)
            | Self::NotServed
            | Self::NoSubPool(_)
            | Self::NoJobmaker
            | Self::NotRead(_)
            | Self::NotWritten(_) => true,
            Self::TimedOut
            | Self::Overtaken
            | Self::AckNotRead(_)
            | Self::AckUnparsable
            | Self::Unknown(_) => false,
        }
    }
}

/// A client that waits for an answer.
#[derive(Debug)]
pub(crate) struct Caller {
    /// The origin, for the log.
    pub(crate) source: Source,
    /// Receives the answer.
    pub(crate) reply: oneshot::Sender<ExchangeReply>,
}

impl Caller {
    /// Sends the answer. A client that has disconnected gets none.
    pub(crate) fn answer(self, reply: ExchangeReply) {
        let _ = self.reply.send(reply);
    }
}

/// One exchange with a jobmaker: the callers of the next write to a sub-pool's request znode.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) sub_pool: SubPool,
    /// The update and its caller; without an update, the znode's present request is written again.
    pub(crate) update: Option<(Caller, CoinbaseUpdate)>,
    /// Callers that read the coinbase.
    pub(crate) gets: Vec<Caller>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ExchangeId(pub(crate) u64);

/// Begins an exchange: from now on `AckWaiter` answers and logs it.
///
/// Sent by `ZkWriter`, before the exchange's first request to ZooKeeper.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Expect {
    /// The exchange's number in later messages.
    pub(crate) id: ExchangeId,
    pub(crate) turn: Turn,
    /// Limit for the jobmaker, from the moment the request is sent; and for ZooKeeper before that.
    pub(crate) ack_timeout: Duration,
    /// Dropped at the end of the exchange, which ends the exchange's task.
    pub(crate) over: oneshot::Sender<()>,
}

/// Reports an event of an exchange; the reply is the next action.
///
/// Sent by the exchange's task, one at a time, and once by `ZkWriter` if that task was cut off.
#[derive(Debug, Message)]
#[rtype(result = "Next")]
pub(crate) struct Report {
    pub(crate) id: ExchangeId,
    pub(crate) event: Event,
}

/// An event of an exchange.
#[derive(Debug)]
pub(crate) enum Event {
    NoSubPool,
    /// There is no `ack` znode before anything was written.
    NoJobmaker,
    /// The znodes could not be read before anything was written.
    NotRead(WriteError),
    /// The request is being sent: the jobmaker's time begins.
    Sending,
    Written(Mark),
    /// The request, these bytes, replaced another znode than the one read.
    Overwrote(Overwrite, Box<[u8]>),
    NotWritten(WriteError),
    Seen(Sighting),
    AckGone,
    /// The `ack` znode, or then the request znode, could not be read.
    NotSeen(WriteError),
    CutOff(String),
}

/// Answered when all earlier messages are handled.
///
/// Sent once, at shutdown, after `ZkWriter` has been drained.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Settle;
