//! Messages to `UserLists`, and its senders.

use actix::{Message, Recipient};
use tokio::sync::oneshot;

use crate::{
    domain::Coin,
    zk_writer::{FirstCoins, ReadMarks, WriteMarks},
};

/// Stop pulling; a pull under way is dropped. Answered at once.
///
/// Sent once, by the drain of the actors, before `ZkWriter` is drained.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct StopPulling;

/// Typed senders to `ZkWriter`.
#[derive(Clone)]
pub(crate) struct ListsToZkWriter {
    pub(crate) first_coins: Recipient<FirstCoins>,
    pub(crate) read_marks: Recipient<ReadMarks>,
    pub(crate) write_marks: Recipient<WriteMarks>,
}

/// The backend has registered a sub-account. The coin's list is pulled at once, and then gets the entry if the answer
/// lacked it: an entry alone could let sserver's cursor pass a smaller puid that was not pulled yet, and sserver would
/// never request that one again. A pull that fails is repeated soon.
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

/// Create the index entry and the first coin of a registered sub-account, if they do not exist.
///
/// Sent by the Registrar. Exactly one answer is sent: `Err` with the cause if it has to be tried again.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Settle {
    pub(crate) coin: Coin,
    /// As the request spells it; its suffix is not cut (user-list contract, section 5).
    pub(crate) name: String,
    pub(crate) reply: oneshot::Sender<Result<(), String>>,
}
