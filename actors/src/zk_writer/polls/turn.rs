//! A daemon's turn to poll, and the moment after which other switches are newer than its map.

use crate::{
    domain::{Escaped, ZnodeDir},
    zk::{Claim, Connection, WriteError, Zxid},
    zk_writer::messages::{PollStart, PollTurn, PollerLock},
};

/// Claims the poller's lock, where there is one, and marks the moment by writing the watch directory's own data back to
/// it. That znode is needed anyway, and no client watches its data.
pub(super) async fn take(
    connection: &Connection,
    watch_dir: &ZnodeDir,
    lock: Option<&PollerLock>,
) -> PollTurn {
    if let Some(lock) = lock {
        match claim(connection, lock).await {
            Ok(Claim::Ours) => {}
            Ok(Claim::Theirs(holder)) => {
                let holder = Escaped(&String::from_utf8_lossy(&holder)).to_string();
                return PollTurn::Standby { holder };
            }
            Ok(Claim::Persistent) => {
                return PollTurn::Refused(format!(
                    "{} is there but not ephemeral, so it would never go: delete it, or choose \
                     another ZKPollerLockPath",
                    lock.path
                ));
            }
            Err(error) => {
                let attempt = format!("cannot claim the poller's lock {}", lock.path);
                return failed(connection, &attempt, &error);
            }
        }
    }
    match mark(connection, watch_dir).await {
        Ok(mark) => PollTurn::Poll(PollStart { mark, session: connection.session() }),
        Err(error) => {
            let attempt = format!("cannot mark the moment by writing {}", watch_dir.node());
            failed(connection, &attempt, &error)
        }
    }
}

/// Answer to a failed attempt. Without a connection, the Poller tries again soon.
fn failed(connection: &Connection, attempt: &str, error: &WriteError) -> PollTurn {
    if connection.is_lost() {
        return PollTurn::NoSession;
    }
    PollTurn::Refused(format!("{attempt}: {error}"))
}

async fn mark(connection: &Connection, watch_dir: &ZnodeDir) -> Result<Zxid, WriteError> {
    match connection.touch(watch_dir.node()).await {
        // Another client has removed the directory, which the map needs as well.
        Err(WriteError::Missing) => {
            ensure(connection, watch_dir).await?;
            connection.touch(watch_dir.node()).await
        }
        marked => marked,
    }
}

async fn claim(connection: &Connection, lock: &PollerLock) -> Result<Claim, WriteError> {
    let (path, holder) = (lock.path.node(), lock.holder.as_bytes());
    match (connection.claim(path, holder).await, lock.path.parent()) {
        (Err(WriteError::Missing), Some(parent)) => {
            ensure(connection, &parent).await?;
            connection.claim(path, holder).await
        }
        (claimed, _) => claimed,
    }
}

async fn ensure(connection: &Connection, dir: &ZnodeDir) -> Result<(), WriteError> {
    let made = connection.ensure_directory(dir).await;
    made.map_err(|error| error.when("creating", dir.node()))
}
