//! Whether this daemon polls now, and from which moment on other people's switches are fresher.

use crate::{
    domain::{Escaped, ZnodeDir},
    zk::{Claim, Connection, WriteError, Zxid},
    zk_writer::messages::{PollStart, PollTurn, PollerLock},
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

/// What to answer when an attempt came to nothing: without a connection it is made again soon.
fn failed(connection: &Connection, attempt: &str, error: &WriteError) -> PollTurn {
    if connection.is_lost() {
        return PollTurn::NoSession;
    }
    PollTurn::Refused(format!("{attempt}: {error}"))
}

async fn mark(connection: &Connection, watch_dir: &ZnodeDir) -> Result<Zxid, WriteError> {
    match connection.touch(watch_dir.node()).await {
        // Somebody has removed it: what the map brings needs it as well.
        Err(WriteError::Missing) => {
            make(connection, watch_dir).await?;
            connection.touch(watch_dir.node()).await
        }
        marked => marked,
    }
}

async fn claim(connection: &Connection, lock: &PollerLock) -> Result<Claim, WriteError> {
    let (path, holder) = (lock.path.node(), lock.holder.as_bytes());
    match (connection.claim(path, holder).await, lock.path.parent()) {
        (Err(WriteError::Missing), Some(parent)) => {
            make(connection, &parent).await?;
            connection.claim(path, holder).await
        }
        (claimed, _) => claimed,
    }
}

async fn make(connection: &Connection, dir: &ZnodeDir) -> Result<(), WriteError> {
    let made = connection.ensure_directory(dir).await;
    made.map_err(|error| error.when("creating", dir.node()))
}
