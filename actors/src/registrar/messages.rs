//! Messages to the Registrar, and its senders.

use actix::{Message, Recipient};

use crate::{
    user_lists::{Registered, Settle},
    zk_writer::{ConfirmElection, DeleteRequest, WatchRequests},
};

/// Stop registering. Registrations under way are dropped: their requests stay in ZooKeeper, and the next start takes
/// them up. Answered at once.
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
    /// Confirms that this daemon registers.
    pub(crate) confirm: Recipient<ConfirmElection>,
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
