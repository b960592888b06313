//! Whether this daemon polls now, and from which moment on other people's switches are fresher.

use super::messages::{PollTurn, PollerLock};
use crate::{
    domain::ZnodeDir,
    zk::{Claim, Connection},
};

/// Claims the poller's lock, where there is one, and marks the moment: by writing the watch directory's own
/// data back to it, a znode that we need anyway and that nobody watches for its data.
pub(super) async fn take(
    connection: &Connection,
    watch_dir: &ZnodeDir,
    lock: Option<&PollerLock>,
) -> PollTurn {
    if let Some(lock) = lock {
        match claim(connection, lock).await {
            Ok(Claim::Ours) => {}
            Ok(Claim::Theirs(holder)) => {
                let holder = String::from_utf8_lossy(&holder).escape_debug().to_string();
                return PollTurn::Standby { holder };
            }
            Ok(Claim::Nobodys) => {
                return PollTurn::Refused(format!(
                    "{} is there but not ephemeral, so it would never go: delete it, or choose \
                     another ZKPollerLockPath",
                    lock.path
                ));
            }
            Err(cause) => return PollTurn::Refused(cause),
        }
    }
    match connection.touch(watch_dir.node()).await {
        Ok(mark) => PollTurn::Poll(mark),
        Err(error) => PollTurn::Refused(format!(
            "cannot mark the moment by writing {}: {error}; it needs the right to write",
            watch_dir.node()
        )),
    }
}

async fn claim(connection: &Connection, lock: &PollerLock) -> Result<Claim, String> {
    let told = |error: &dyn std::fmt::Display| {
        format!("cannot claim the poller's lock {}: {error}", lock.path)
    };
    if let Some(parent) = lock.path.parent() {
        connection.ensure_directory(&parent).await.map_err(|error| told(&error))?;
    }
    connection.claim(lock.path.node(), lock.holder.as_bytes()).await.map_err(|error| told(&error))
}
