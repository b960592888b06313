//! A daemon's turn to poll, and the moment after which other switches are newer than its map.

use crate::{
    domain::ZnodeDir,
    zk::Connection,
    zk_writer::{
        election::{Election, elect},
        messages::{ElectionLock, PollStart, PollTurn},
    },
};

/// Claims the poller's lock, where there is one, and marks the moment by writing the watch directory's own data back to
/// it. That znode is needed anyway, and no client watches its data.
pub(super) async fn take(
    connection: &Connection,
    watch_dir: &ZnodeDir,
    lock: Option<&ElectionLock>,
) -> PollTurn {
    if let Some(lock) = lock {
        match elect(connection, lock).await {
            Election::Ours => {}
            Election::Standby { holder } => return PollTurn::Standby { holder },
            Election::NoSession => return PollTurn::NoSession,
            Election::Refused(cause) => return PollTurn::Refused(cause),
        }
    }
    match connection.touch(watch_dir).await {
        Ok((mark, _)) => {
            PollTurn::Poll(PollStart { mark: mark.zxid, session: connection.session() })
        }
        // Without a connection, the Poller tries again soon.
        Err(_) if connection.is_lost() => PollTurn::NoSession,
        Err(error) => PollTurn::Refused(format!(
            "cannot mark the moment by writing {}: {error}",
            watch_dir.node()
        )),
    }
}
