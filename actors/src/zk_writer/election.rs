//! Elects one of several daemons by an ephemeral znode, which ends with the session.

use crate::{
    domain::Escaped,
    zk::{Claim, Connection, WriteError},
    zk_writer::messages::ElectionLock,
};

/// Result of an election.
#[derive(Debug)]
pub(crate) enum Election {
    /// This daemon is elected.
    Ours,
    /// Another daemon is.
    Standby {
        /// The data of its lock, fit for the log.
        holder: String,
    },
    NoSession,
    /// ZooKeeper refused. The text has the attempt and the cause.
    Refused(String),
}

/// Claims the lock, unless another session has it.
pub(super) async fn elect(connection: &Connection, lock: &ElectionLock) -> Election {
    match claim(connection, lock).await {
        Ok(Claim::Ours) => Election::Ours,
        Ok(Claim::Theirs(holder)) => {
            let holder = Escaped(&String::from_utf8_lossy(&holder)).to_string();
            Election::Standby { holder }
        }
        Ok(Claim::Persistent) => Election::Refused(format!(
            "{} is there but not ephemeral, so it would never go: delete it",
            lock.path
        )),
        Err(_) if connection.is_lost() => Election::NoSession,
        Err(error) => Election::Refused(format!("cannot claim the lock {}: {error}", lock.path)),
    }
}

async fn claim(connection: &Connection, lock: &ElectionLock) -> Result<Claim, WriteError> {
    let (path, holder) = (lock.path.node(), lock.holder.as_bytes());
    match (connection.claim(path, holder).await, lock.path.parent()) {
        (Err(WriteError::Missing), Some(parent)) => {
            let made = connection.ensure_directory(&parent).await;
            made.map_err(|error| error.when("creating", parent.node()))?;
            connection.claim(path, holder).await
        }
        (claimed, _) => claimed,
    }
}
