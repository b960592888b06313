//! The message of an undo, and its answer.

use std::sync::Arc;

use actix::Message;
use tokio::sync::oneshot;

use crate::{
    domain::{Coin, PreviousValue, Puname, Source},
    zk::Revision,
};

/// Puts back the sub-accounts that are exactly as a request left them (trust contract, section 2).
///
/// Sent by the admin pages, one after the other, since two would make each other's guards fail. Exactly one answer is
/// sent, unless the process ends. Dropping the receiver cancels nothing.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct PutBack {
    /// Origin of the undo, with the undone request in `undo_of`.
    pub source: Source,
    /// The sub-accounts, each once; about 1,000 at most.
    pub entries: Vec<PutBackEntry>,
    /// Whether to read only.
    pub dry_run: bool,
    /// Channel for the answer: the end of each entry, in the same order.
    pub reply: oneshot::Sender<Vec<PutBackEnd>>,
}

/// A sub-account to put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutBackEntry {
    /// The sub-account.
    pub puname: Puname,
    /// State in which the undone request left its znode.
    pub left: LeftState,
    /// The coin to write; `None`: delete the znode.
    pub back_to: Option<Coin>,
}

/// State in which a request left a znode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeftState {
    /// It deleted the znode.
    Missing,
    /// The znode is there. A held switch leaves its old coin.
    Written {
        /// State of the znode.
        revision: Revision,
        /// Its value.
        coin: Coin,
    },
}

/// End of a [`PutBackEntry`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutBackEnd {
    /// The znode's value before the undo, if known.
    pub now: PreviousValue,
    /// State of the znode after the undo, or of one that was left alone, as read. `None` if not known, or without a
    /// znode.
    pub state: Option<Revision>,
    /// The outcome.
    pub outcome: PutBackOutcome,
}

/// Outcome of a [`PutBackEntry`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutBackOutcome {
    /// Dry run: the coin would be written.
    WouldRestore,
    /// Dry run: the znode would be deleted.
    WouldDelete,
    /// ZooKeeper committed the coin.
    Restored,
    /// ZooKeeper committed the deletion.
    Deleted,
    /// Left alone: the znode is in another state, or a newer held switch waits.
    SwitchedSince,
    /// Not written, or, in a dry run, not read. The text is the cause.
    NotApplied(Arc<str>),
    /// It is not known whether it was written, or whether it replaced a newer value. The text is the cause.
    Unknown(Arc<str>),
}
