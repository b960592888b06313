//! Messages of the Registrar to `ZkWriter`.

use actix::Message;
use tokio::sync::oneshot;

use crate::{
    domain::ZnodeDir,
    zk::Watch,
    zk_writer::{Election, ElectionLock},
};

/// Lists the requests for registration, with a watch that fires at the first change, if this daemon is elected.
///
/// Sent by the Registrar, one at a time. Answered when ZooKeeper has answered, or at once without a session.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct WatchRequests {
    /// Their directory.
    pub(crate) dir: ZnodeDir,
    pub(crate) lock: ElectionLock,
    /// Whether to create the directory first.
    pub(crate) creates_dir: bool,
    pub(crate) reply: oneshot::Sender<RequestsSeen>,
}

/// The answer to [`WatchRequests`].
#[derive(Debug)]
pub(crate) enum RequestsSeen {
    Requests {
        /// Names of all requests, in any order.
        names: Vec<String>,
        /// Fires when one comes or goes, and when the session ends.
        changed: Watch,
    },
    NoDirectory {
        /// Fires when the directory is created, and when the session ends.
        created: Watch,
    },
    /// Another daemon registers.
    Standby {
        /// The data of its lock.
        holder: String,
    },
    NoSession,
    /// ZooKeeper refused. The text has the attempt and the cause.
    Refused(String),
}

/// Confirms right before a request to the backend that this daemon is still elected: its session may have ended since the
/// list.
///
/// Sent by the Registrar, one at a time for each request. Answered when ZooKeeper has answered, or at once without a session.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct ConfirmElection {
    pub(crate) lock: ElectionLock,
    pub(crate) reply: oneshot::Sender<Election>,
}

/// Deletes a request, whatever its version, and all below it.
///
/// Sent by the Registrar, one at a time for each request. Answered when ZooKeeper has answered, or at once without a
/// session: `Err` with the cause if the request may still be there, and has to be deleted again.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct DeleteRequest {
    /// Path of the request.
    pub(crate) path: String,
    pub(crate) reply: oneshot::Sender<Result<(), String>>,
}
