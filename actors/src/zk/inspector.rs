//! Read-only view of ZooKeeper for an operator's commands, in a session of its own.

use std::{
    fmt,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures_util::future::join_all;
use thiserror::Error;
use zookeeper_client::{Acl, Error as ClientError, Permission, Stat};

use super::{
    Connection, Session, ZkSettings, ZkTls,
    version::{Probe, ServerVersion, probe},
};
use crate::{
    domain::{PreviousValue, Shown},
    tls::TlsFault,
};

/// Time for a broker to accept a connection, and as long again to report its version.
const PROBE_PATIENCE: Duration = Duration::from_secs(2);

/// Time to end the session. One that is left behind expires by itself.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// Znodes to read at a time: each may hold a megabyte that another client wrote.
const PART: usize = 50;

/// A session that only reads.
pub struct Inspector {
    session: Session,
    connection: Connection,
}

/// ZooKeeper does not answer. The text has the attempt and its failure.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct NoAnswer(String);

impl NoAnswer {
    pub(crate) fn new(doing: &str, path: &str, error: &impl fmt::Display) -> Self {
        Self(format!("{doing} {path}: {error}"))
    }
}

/// State of one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A znode.
    Znode {
        /// Its data, cut after the byte that makes it longer than any coin.
        data: Vec<u8>,
        /// Time of the last write, by the clock of ZooKeeper's leader.
        written: SystemTime,
    },
    /// No znode.
    Nothing,
    /// A znode that may not be read. The text is ZooKeeper's.
    Forbidden(String),
}

/// One rule of a znode's access control list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRule {
    /// The clients that it is for: `world`, or a scheme with a name. Never a password's hash.
    pub who: String,
    /// Whether those are all clients.
    pub is_everybody: bool,
    /// Right to replace the data.
    pub write: bool,
    /// Right to create children.
    pub create: bool,
    /// Right to delete children.
    pub delete: bool,
}

/// Answer of one broker to the question for its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrokerState {
    /// It answered.
    Version(ServerVersion),
    /// It accepts connections, but does not report its version.
    Silent,
    /// It accepts no connections. The text is the operating system's.
    Unreachable(String),
    /// It accepts connections, and TLS fails.
    Tls(TlsFault),
}

/// Asks all brokers for their versions at once, by TLS with `tls`; the answers come in the same order.
pub async fn probe_brokers(brokers: &[String], tls: Option<&ZkTls>) -> Vec<BrokerState> {
    let unknown = vec![false; brokers.len()];
    let answers = probe(brokers, tls, PROBE_PATIENCE, &unknown).await.into_iter();
    let states = answers.map(|answer| match answer {
        Probe::Version(version) => BrokerState::Version(version),
        Probe::Evasive | Probe::Silent => BrokerState::Silent,
        Probe::Unreachable(error) => BrokerState::Unreachable(error.to_string()),
        Probe::Tls(fault) => BrokerState::Tls(fault),
        Probe::Foreign(answer) => BrokerState::Unreachable(format!(
            "it is no ZooKeeper server: it answers {}",
            Shown(&answer)
        )),
        Probe::Slow => {
            BrokerState::Unreachable(format!("no connection within {} s", PROBE_PATIENCE.as_secs()))
        }
    });
    states.collect()
}

impl Inspector {
    /// Opens a session, by TLS with `tls`. Makes one attempt, which takes a few session timeouts at most.
    pub async fn open(settings: ZkSettings, tls: Option<ZkTls>) -> Result<Self, NoAnswer> {
        let mut session = Session::new(settings, tls);
        let established = session.connect().await.map_err(|error| NoAnswer(error.to_string()))?;
        Ok(Self { session, connection: established.connection })
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Reads these paths and returns their states in the same order. The server has caught up with the leader: it knows
    /// all that was committed before this call.
    pub async fn look(&self, paths: &[&str]) -> Result<Vec<Seen>, NoAnswer> {
        let Some(first) = paths.first() else { return Ok(Vec::new()) };
        let client = &self.connection.client;
        let mut seen = Vec::with_capacity(paths.len());
        client.sync(first).await.map_err(|error| NoAnswer::new("reading", first, &error))?;
        for part in paths.chunks(PART) {
            let answers = join_all(part.iter().map(|path| client.get_data(path))).await;
            for (path, answer) in part.iter().zip(answers) {
                seen.push(match answer {
                    Ok((data, stat)) => {
                        Seen::Znode { data: PreviousValue::cut(&data), written: written(&stat) }
                    }
                    Err(ClientError::NoNode) => Seen::Nothing,
                    Err(error @ ClientError::NoAuth) => Seen::Forbidden(error.to_string()),
                    Err(error) => return Err(NoAnswer::new("reading", path, &error)),
                });
            }
        }
        Ok(seen)
    }

    /// Names of a znode's children; none if there is no such znode. Not for a watch directory, whose list may be larger
    /// than an answer can be.
    pub async fn children(&self, path: &str) -> Result<Vec<String>, NoAnswer> {
        match self.connection.client.list_children(path).await {
            Ok(names) => Ok(names),
            Err(ClientError::NoNode) => Ok(Vec::new()),
            Err(error) => Err(NoAnswer::new("listing", path, &error)),
        }
    }

    /// A znode's access control list; `None` if there is no znode, or its list may not be read.
    pub async fn access(&self, path: &str) -> Result<Option<Vec<AccessRule>>, NoAnswer> {
        match self.connection.client.get_acl(path).await {
            Ok((acls, _)) => Ok(Some(acls.iter().map(rule).collect())),
            Err(ClientError::NoNode | ClientError::NoAuth) => Ok(None),
            Err(error) => Err(NoAnswer::new("reading the ACL of", path, &error)),
        }
    }

    /// Ends the session.
    pub async fn close(self) {
        self.session.end(Some(self.connection), Instant::now() + CLOSE_PATIENCE).await;
    }
}

fn rule(acl: &Acl) -> AccessRule {
    let is_everybody = acl.scheme() == "world";
    let may = |right| acl.permission().has(right);
    // The second half of a digest's id is a hash of the password.
    let name = acl.id().split(':').next().unwrap_or_default();
    AccessRule {
        who: if is_everybody { "world".to_owned() } else { format!("{}:{name}", acl.scheme()) },
        is_everybody,
        write: may(Permission::WRITE),
        create: may(Permission::CREATE),
        delete: may(Permission::DELETE),
    }
}

fn written(stat: &Stat) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(stat.mtime).unwrap_or_default())
}
