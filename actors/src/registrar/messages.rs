//! Messages to the Registrar, and its senders.

use actix::{Message, Recipient};
use tokio::sync::oneshot;

use crate::{
    domain::Coin,
    zk_writer::{DeleteRequest, WatchRequests},
};

/// Stop registering. Registrations under way are dropped: their requests stay in ZooKeeper, and the next start takes them
/// up. Answered at once.
///
/// Sent once, by the drain of the actors, before `UserLists` and `ZkWriter` are drained.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct StopRegistering;

/// Typed senders to `ZkWriter`.
#[derive(Clone)]
pub(crate) struct ToZkWriter {
    /// Lists and watches the requests.
    pub(crate) watch: Recipient<WatchRequests>,
    /// Deletes a request.
    pub(crate) delete: Recipient<DeleteRequest>,
}

/// Typed senders to `UserLists`.
#[derive(Clone)]
pub(crate) struct ToUserLists {
    /// Puts a registered name into its list.
    pub(crate) registered: Recipient<Registered>,
    /// Creates index entry and first coin.
    pub(crate) settle: Recipient<Settle>,
}

/// The backend has registered a sub-account: it enters the coin's list at once.
///
/// Sent by the Registrar. Answered when the message is taken.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Registered {
    pub(crate) coin: Coin,
    /// As the request spells it.
    pub(crate) name: String,
    pub(crate) puid: u32,
}

/// Creates the index entry and the first coin of a registered sub-account, if they do not exist.
///
/// Sent by the Registrar, one at a time for each name. Exactly one answer is sent: `Ok` if the znode is there, `Err` with
/// the cause if it has to be tried again.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Settle {
    pub(crate) coin: Coin,
    /// As the request spells it.
    pub(crate) name: String,
    pub(crate) reply: oneshot::Sender<Result<(), String>>,
}
