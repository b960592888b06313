//! Messages of `UserLists` to `ZkWriter`.

use actix::Message;
use tokio::sync::oneshot;

use super::marks::ListMarks;
use crate::domain::{Coin, Puname, ZnodeDir};

/// Create the index entries and the znodes of these sub-accounts, unless they exist. Nothing is ever replaced.
///
/// Sent by `UserLists`, a few at a time. Exactly one answer is sent: an end for each entry, in order, or the cause why
/// nothing is known about any.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct FirstCoins {
    pub(crate) coin: Coin,
    pub(crate) entries: Vec<FirstCoin>,
    /// Directory of the case-insensitive index.
    pub(crate) index: Option<ZnodeDir>,
    pub(crate) reply: oneshot::Sender<Result<FirstCoinsEnd, String>>,
}

#[derive(Clone, Debug)]
pub(crate) struct FirstCoin {
    pub(crate) puname: Puname,
    /// Name of the index entry; `None` if there is none for this sub-account.
    pub(crate) index_name: Option<Puname>,
}

/// Why a znode is not known to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotCreated {
    /// ZooKeeper answered, and refused it: an ACL, a quota. Only a change there can help.
    Refused(String),
    /// It is not known whether the znode is there: no answer, or no definite one. Trying again can help.
    Open(String),
}

impl NotCreated {
    pub(crate) fn into_cause(self) -> String {
        match self {
            Self::Refused(cause) | Self::Open(cause) => cause,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct FirstCoinsEnd {
    /// Whether each znode is there; if not, why.
    pub(crate) ends: Vec<Result<(), NotCreated>>,
    /// Znodes that were created.
    pub(crate) created: usize,
    /// Index entries that were created.
    pub(crate) indexed: usize,
    /// Places of the entries whose index entry is not known to be there, rising.
    pub(crate) not_indexed: Vec<usize>,
    /// Cause of the first of them.
    pub(crate) index_fault: Option<String>,
}

/// Create the directory, and read the marks of these coins.
///
/// Sent by `UserLists` until it succeeds once. Exactly one answer is sent; marks that cannot be read count as none.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct ReadMarks {
    /// Parent of the marks.
    pub(crate) dir: ZnodeDir,
    pub(crate) coins: Vec<Coin>,
    pub(crate) reply: oneshot::Sender<Result<Vec<ListMarks>, String>>,
}

/// Write the marks of a list.
///
/// Sent by `UserLists` after a pull that made the list longer. Exactly one answer is sent.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct WriteMarks {
    pub(crate) dir: ZnodeDir,
    pub(crate) coin: Coin,
    pub(crate) marks: ListMarks,
    pub(crate) reply: oneshot::Sender<Result<(), String>>,
}
