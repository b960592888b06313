//! The ZooKeeper session, for as long as one connection lasts.
//!
//! The reconnect loop is ours. The client crate's backoff grows without a bound, and the crate keeps requests of a lost
//! connection to send them later. So a connection's [tasks](super::tasks), the crate's among them, are ended with it:
//! that closes the socket and drops all that was queued.
//!
//! A lost connection may leave a write in a server's buffer, to be applied when that server wakes up. So before
//! anything new is sent, the old session is **ended**, and ZooKeeper has to confirm it: we come back into the session,
//! close it, and try again until the answer is that there is no such session. From then on every server refuses the old
//! session's requests. Coming back into the session and continuing does not suffice: a half-made attempt to reconnect
//! through the sleeping server gives that server the session back when it wakes up, and its old write with it (seen;
//! docs/develop/decisions/0002-end-the-old-session.md).

use std::{
    fmt,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use thiserror::Error;
use tokio::time::{sleep, timeout_at};
use zookeeper_client::{Client, Connector, Error as ClientError, SessionInfo};

use super::{
    Connection, ServerVersion,
    connection::close,
    dial::{expects_tls, needs_tls},
    request_limit::RequestLimit,
    tasks::{Tasks, TasksEnd},
    tls::ZkTls,
    version::{Probe, probe},
};
use crate::domain::Shown;

/// Pause between two attempts to reach ZooKeeper.
pub(crate) const RECONNECT_PAUSE: Duration = Duration::from_millis(250);

/// Time for a broker to report its version; after that we continue without it.
const PROBE_PATIENCE: Duration = Duration::from_millis(500);

/// Tries to close the old session and see it gone. One is enough unless servers come and go meanwhile; the next attempt
/// to connect continues.
const END_TRIES: usize = 3;

/// Time for the server to confirm that the session is closed.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// How to reach ZooKeeper.
#[derive(Clone, Debug)]
pub struct ZkSettings {
    /// The servers, each `host:port`.
    pub brokers: Vec<String>,
    /// Session timeout to ask for; the server may grant another.
    pub session_timeout: Duration,
    /// Identity for ZooKeeper's access control; `None` without one.
    pub credentials: Option<DigestCredentials>,
    /// Replaces the version that the servers report.
    pub version: Option<ServerVersion>,
}

/// `user:password` for ZooKeeper's `digest` scheme. Never printed.
#[derive(Clone)]
pub struct DigestCredentials(String);

impl DigestCredentials {
    /// Takes `user:password`; `None` if there is no colon with a name before it.
    pub fn parse(text: &str) -> Option<Self> {
        let (user, _) = text.split_once(':')?;
        (!user.is_empty()).then(|| Self(text.to_owned()))
    }

    /// The user's name, which is no secret.
    pub fn user(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }
}

impl fmt::Debug for DigestCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestCredentials(…)")
    }
}

/// Failure of an attempt to connect.
#[derive(Debug, Error)]
pub(crate) enum ConnectError {
    /// No broker accepts connections.
    #[error("no broker can be reached ({0})")]
    Unreachable(String),
    /// The previous session did not end, and its requests might still be applied.
    #[error("the session {0} of the connection before could not be ended yet")]
    NotEnded(String),
    /// A broker was reached, but no session came of it.
    #[error("no session with {brokers}: {source}")]
    Refused {
        /// All brokers of the attempt.
        brokers: String,
        /// The client crate's error.
        source: ClientError,
    },
}

/// A new connection.
pub(crate) struct Established {
    pub(crate) connection: Connection,
    pub(crate) session: String,
    /// Whether the oldest version was assumed, since a broker did not report its own.
    pub(crate) version_assumed: bool,
    /// Brokers with which TLS fails, with causes.
    pub(crate) tls_faults: Vec<String>,
}

/// The session, and the end of its connection's tasks.
pub(crate) struct Session {
    settings: ZkSettings,
    /// `None`: connections without TLS.
    tls: Option<ZkTls>,
    /// The last session that we opened, until ZooKeeper confirms its end.
    held: Option<SessionInfo>,
    known_versions: Vec<Option<ServerVersion>>,
    /// Brokers to try first: those that have just reported their versions, hence serve, or else those that answered
    /// anything. Empty if none did, or none was asked since the version is configured.
    awake: Vec<String>,
    /// The last attempt failed at those, so the next one goes to all brokers.
    is_wary: bool,
    /// Brokers with which TLS fails, with causes, as of the last question for versions.
    tls_faults: Vec<String>,
    tasks: Option<TasksEnd>,
}

impl Session {
    pub(crate) fn new(settings: ZkSettings, tls: Option<ZkTls>) -> Self {
        let known_versions = vec![None; settings.brokers.len()];
        let awake = Vec::new();
        let (held, is_wary, tls_faults, tasks) = (None, false, Vec::new(), None);
        Self { settings, tls, held, known_versions, awake, is_wary, tls_faults, tasks }
    }

    /// Makes one attempt to connect with a new session, after it has ended the previous connection and session. Takes a
    /// few session timeouts at most.
    pub(crate) async fn connect(&mut self) -> Result<Established, ConnectError> {
        let attempt = self.try_to_connect().await;
        self.learn(attempt)
    }

    async fn try_to_connect(&mut self) -> Result<Established, ConnectError> {
        let (tasks, reported) = self.prepare().await?;
        let version = reported.unwrap_or(ServerVersion::OLDEST);
        self.end_session(&tasks, version).await?;
        let client = match self.open(&tasks, version).await {
            Ok(client) => client,
            Err(source) => return Err(self.refused(source).await),
        };
        self.held = Some(client.session().clone());
        let brokers = self.settings.brokers.clone();
        let (request_limit, finding) = RequestLimit::of(brokers, self.tls.clone());
        drop(tasks.spawn(finding));
        Ok(Established {
            session: client.session_id().to_string(),
            connection: Connection::new(
                client,
                tasks,
                version,
                self.settings.credentials.is_some(),
                request_limit,
            ),
            version_assumed: reported.is_none(),
            tls_faults: self.tls_faults.clone(),
        })
    }

    /// Ends the session for good: by closing its `connection` or, without a confirmation, as before a new session;
    /// tries `until` then. Returns the id of a session that may live on.
    pub(crate) async fn end(
        mut self,
        connection: Option<Connection>,
        until: Instant,
    ) -> Option<String> {
        if let Some(connection) = connection
            && connection.close(CLOSE_PATIENCE).await
        {
            self.held = None;
        }
        let ended = async {
            loop {
                let attempt = self.try_to_end().await;
                if self.learn(attempt).is_ok() {
                    break;
                }
                sleep(RECONNECT_PAUSE).await;
            }
        };
        // The session itself knows whether it has ended.
        let _ = timeout_at(until.into(), ended).await;
        self.held()
    }

    /// Makes one attempt to end the session, if one may still live. After a success none of its requests can be
    /// applied.
    async fn try_to_end(&mut self) -> Result<(), ConnectError> {
        if self.held.is_none() {
            return Ok(());
        }
        let (tasks, reported) = self.prepare().await?;
        self.end_session(&tasks, reported.unwrap_or(ServerVersion::OLDEST)).await
    }

    /// Id of the session that may still live.
    pub(crate) fn held(&self) -> Option<String> {
        self.held.as_ref().map(|session| session.id().to_string())
    }

    /// Ends the previous connection, prepares the tasks of the next, and asks the servers' version.
    async fn prepare(&mut self) -> Result<(Tasks, Option<ServerVersion>), ConnectError> {
        self.disconnect();
        let (tasks, end) = Tasks::new();
        self.tasks = Some(end);

        let reported = match self.settings.version {
            Some(version) if self.tls.is_none() => Some(version),
            // Even if it is known: the client crate keeps the cause to itself if TLS fails.
            configured => {
                let reported = self.ask_version().await?;
                configured.or(reported)
            }
        };
        Ok((tasks, reported))
    }

    /// Ends the previous connection's session, so that none of its requests can be applied from now on.
    async fn end_session(
        &mut self,
        tasks: &Tasks,
        version: ServerVersion,
    ) -> Result<(), ConnectError> {
        for _ in 0..END_TRIES {
            if self.held.is_none() {
                return Ok(());
            }
            match self.open(tasks, version).await {
                Ok(client) => {
                    close(client, self.settings.session_timeout).await;
                }
                // The server's confirmation, the only one that counts.
                Err(ClientError::SessionExpired) => self.held = None,
                Err(source) => return Err(self.refused(source).await),
            }
        }
        match &self.held {
            None => Ok(()),
            Some(session) => Err(ConnectError::NotEnded(session.id().to_string())),
        }
    }

    /// Opens a session, or comes back into the held one.
    async fn open(&self, tasks: &Tasks, version: ServerVersion) -> Result<Client, ClientError> {
        let is_narrow = !self.awake.is_empty() && !self.is_wary;
        let brokers = if is_narrow { &self.awake } else { &self.settings.brokers };
        let scheme = if self.tls.is_some() { "tcp+tls" } else { "tcp" };
        let brokers: Vec<_> = brokers.iter().map(|it| format!("{scheme}://{it}")).collect();
        let brokers = brokers.join(",");
        let connector = self.connector(version);
        tasks.adopt_from(connector.connect(&brokers)).await
    }

    /// Adapts the next attempt to the end of this one.
    fn learn<T>(&mut self, attempt: Result<T, ConnectError>) -> Result<T, ConnectError> {
        self.is_wary = attempt.is_err() && !self.is_wary;
        attempt
    }

    /// Ends the current connection and drops its unsent requests. The session lives on at the server, until
    /// [`connect`](Self::connect) ends it.
    pub(crate) fn disconnect(&mut self) {
        self.tasks = None;
    }

    /// Asks the brokers for their versions. The oldest known counts; none is known if a broker that can be reached does
    /// not report its own. Fails if no broker can be reached.
    async fn ask_version(&mut self) -> Result<Option<ServerVersion>, ConnectError> {
        let known: Vec<_> = self.known_versions.iter().map(Option::is_some).collect();
        let brokers = &self.settings.brokers;
        let probes = probe(brokers, self.tls.as_ref(), PROBE_PATIENCE, &known).await;
        let mut causes = Vec::new();
        let (mut reached, mut reported) = (false, true);
        let (mut serving, mut evasive) = (Vec::new(), Vec::new());
        self.tls_faults.clear();
        for (index, probe) in probes.into_iter().enumerate() {
            match probe {
                Probe::Version(version) => {
                    self.known_versions[index] = Some(version);
                    serving.push(self.settings.brokers[index].clone());
                    reached = true;
                }
                probe @ (Probe::Evasive | Probe::Silent) => {
                    if matches!(probe, Probe::Evasive) {
                        evasive.push(self.settings.brokers[index].clone());
                    }
                    reached = true;
                    reported &= self.known_versions[index].is_some();
                }
                Probe::Slow => reached = true,
                Probe::Unreachable(error) => {
                    causes.push(format!("{}: {error}", self.settings.brokers[index]));
                }
                Probe::Tls(fault) => {
                    self.tls_faults.push(format!("{}: {fault}", self.settings.brokers[index]));
                }
                Probe::Foreign(answer) => causes.push(format!(
                    "{}: no ZooKeeper server, it answers {}",
                    self.settings.brokers[index],
                    Shown(&answer)
                )),
            }
        }
        self.awake = if serving.is_empty() { evasive } else { serving };
        if !reached {
            causes.extend(self.tls_faults.iter().cloned());
            return Err(ConnectError::Unreachable(causes.join("; ")));
        }
        // A silent broker may be of any version.
        Ok(self.known_versions.iter().flatten().min().copied().filter(|_| reported))
    }

    fn connector(&self, version: ServerVersion) -> Connector {
        let mut connector = Client::connector()
            .with_session_timeout(self.settings.session_timeout)
            .with_connection_timeout(self.settings.session_timeout * 2 / 5)
            .with_server_version(version.major, version.minor, version.patch)
            .with_fail_eagerly();
        if let Some(DigestCredentials(credentials)) = &self.settings.credentials {
            connector = connector.with_auth("digest", credentials.as_bytes());
        }
        if let Some(session) = &self.held {
            connector = connector.with_session(session.clone());
        }
        if let Some(tls) = &self.tls {
            connector = connector.with_tls(tls.options());
        }
        connector
    }

    async fn refused(&self, source: ClientError) -> ConnectError {
        let ZkSettings { brokers, version, .. } = &self.settings;
        // Else the question for the versions has found it.
        if self.tls.is_none() && version.is_some() {
            let asked = brokers.iter().map(|it| expects_tls(it, PROBE_PATIENCE));
            let expecting =
                brokers.iter().zip(join_all(asked).await).filter(|(_, expects)| *expects);
            let causes: Vec<_> =
                expecting.map(|(broker, _)| format!("{broker}: {}", needs_tls())).collect();
            if !causes.is_empty() {
                return ConnectError::Unreachable(causes.join("; "));
            }
        }
        ConnectError::Refused { brokers: brokers.join(","), source }
    }
}
