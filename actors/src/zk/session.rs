//! The session: who we are to ZooKeeper, for as long as one connection lasts.
//!
//! The reconnect loop is ours, not the client crate's, whose backoff grows without a bound and which
//! keeps requests of a lost connection to send them later. Each connection therefore lives on a
//! runtime of its own: dropping the runtime ends the connection's socket and whatever was queued in it.
//!
//! A lost connection may leave a write behind in a server's buffer, to be applied whenever that server wakes
//! up. So before anything new is sent, the old session is **ended**, and ended by ZooKeeper's own word: we
//! come back into it, close it, and try again until the answer is that there is no such session. From
//! then on every server refuses what the old session had sent. Coming back into the session and going on
//! with it would not do: a half-made attempt to reconnect through the sleeping server gives that server
//! the session back when it wakes up, and its old write with it (seen; docs/develop/decisions/0002-end-the-old-session.md).

use std::{
    fmt,
    time::{Duration, Instant},
};

use thiserror::Error;
use tokio::{
    runtime::{Builder, Handle, Runtime},
    time::{sleep, timeout_at},
};
use zookeeper_client::{Client, Connector, Error as ClientError, SessionInfo};

use super::{
    Connection, ServerVersion,
    connection::close,
    request_limit::RequestLimit,
    version::{Probe, probe},
};
use crate::domain::Shown;

/// Pause between two attempts to reach ZooKeeper.
pub(crate) const RECONNECT_PAUSE: Duration = Duration::from_millis(250);

/// How long a broker may take to tell its version before we go on without it.
const PROBE_PATIENCE: Duration = Duration::from_millis(500);

/// How often to close the old session and see whether it is gone. Once is enough unless servers come and
/// go meanwhile; the next attempt to connect goes on with it.
const END_TRIES: usize = 3;

/// How long the server may take to confirm that the session is closed.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// How to reach ZooKeeper.
#[derive(Clone, Debug)]
pub struct ZkSettings {
    /// The servers, each `host:port`.
    pub brokers: Vec<String>,
    /// What we ask for; the server may grant another.
    pub session_timeout: Duration,
    /// Who we are to ZooKeeper's access control, if the operator uses it.
    pub credentials: Option<DigestCredentials>,
    /// Takes the place of the version that the servers tell.
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

    /// The name, which is no secret.
    pub fn user(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }
}

impl fmt::Debug for DigestCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestCredentials(…)")
    }
}

/// Why there is no connection.
#[derive(Debug, Error)]
pub(crate) enum ConnectError {
    /// No broker takes connections.
    #[error("no broker can be reached ({0})")]
    Unreachable(String),
    /// The session before would not end, and what it had sent might still be applied.
    #[error("the session {0} of the connection before could not be ended yet")]
    NotEnded(String),
    /// A broker was reached, but no session came of it.
    #[error("no session with {brokers}: {source}")]
    Refused {
        /// Who was asked.
        brokers: String,
        /// What the client crate says.
        source: ClientError,
    },
    /// The operating system gave us no thread.
    #[error("cannot start the connection's thread: {0}")]
    Thread(#[source] std::io::Error),
}

/// A live connection, and how it came about.
pub(crate) struct Established {
    /// What to send requests on.
    pub(crate) connection: Connection,
    /// The session's id, for the log.
    pub(crate) session: String,
    /// Whether no broker told its version, so that the oldest was assumed.
    pub(crate) version_assumed: bool,
}

/// The session and the runtime of its current connection.
pub(crate) struct Session {
    settings: ZkSettings,
    /// The last session that we opened, until ZooKeeper says that it is gone.
    held: Option<SessionInfo>,
    known_versions: Vec<Option<ServerVersion>>,
    /// The brokers to try first: those that have just told their versions, hence serve, or else those that have
    /// answered anything; empty if nobody has, or nobody was asked since the version is configured.
    awake: Vec<String>,
    /// The last attempt failed at those, so that the next goes to all brokers, whatever they tell.
    is_wary: bool,
    runtime: Option<Runtime>,
}

impl Session {
    pub(crate) fn new(settings: ZkSettings) -> Self {
        let known_versions = vec![None; settings.brokers.len()];
        let awake = Vec::new();
        Self { settings, held: None, known_versions, awake, is_wary: false, runtime: None }
    }

    /// One attempt to connect with a new session; ends the connection and the session before. Takes at
    /// most a few session timeouts.
    pub(crate) async fn connect(&mut self) -> Result<Established, ConnectError> {
        let attempt = self.try_to_connect().await;
        self.learn(attempt)
    }

    async fn try_to_connect(&mut self) -> Result<Established, ConnectError> {
        let (handle, told) = self.prepare().await?;
        let version = told.unwrap_or(ServerVersion::OLDEST);
        self.end_session(&handle, version).await?;
        let client = self.open(&handle, version).await.map_err(|source| self.refused(source))?;
        self.held = Some(client.session().clone());
        let (request_limit, finding) = RequestLimit::of(self.settings.brokers.clone());
        handle.spawn(finding);
        Ok(Established {
            session: client.session_id().to_string(),
            connection: Connection::new(
                client,
                handle,
                version,
                self.settings.credentials.is_some(),
                request_limit,
            ),
            version_assumed: told.is_none(),
        })
    }

    /// Ends the session for good: by closing its `connection` or, where that is not confirmed, as before a new
    /// one; tries `until` then. Returns the id of one that may live on.
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
        // What is left in time is told by the session itself.
        let _ = timeout_at(until.into(), ended).await;
        self.held()
    }

    /// One attempt to end the session, if there is one that may still live. Nothing of it can be
    /// applied after a success.
    async fn try_to_end(&mut self) -> Result<(), ConnectError> {
        if self.held.is_none() {
            return Ok(());
        }
        let (handle, told) = self.prepare().await?;
        self.end_session(&handle, told.unwrap_or(ServerVersion::OLDEST)).await
    }

    /// The id of the session that may still live, if there is one.
    pub(crate) fn held(&self) -> Option<String> {
        self.held.as_ref().map(|session| session.id().to_string())
    }

    /// Ends the connection before, makes the next one's runtime, and learns the servers' version.
    async fn prepare(&mut self) -> Result<(Handle, Option<ServerVersion>), ConnectError> {
        self.disconnect();
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("zookeeper")
            .enable_all()
            .build()
            .map_err(ConnectError::Thread)?;
        let handle = runtime.handle().clone();
        self.runtime = Some(runtime);

        let told = match self.settings.version {
            Some(version) => Some(version),
            None => self.ask_version(&handle).await?,
        };
        Ok((handle, told))
    }

    /// Ends the session of the connection before, so that nothing it had sent can be applied from now on.
    async fn end_session(
        &mut self,
        handle: &Handle,
        version: ServerVersion,
    ) -> Result<(), ConnectError> {
        for _ in 0..END_TRIES {
            if self.held.is_none() {
                return Ok(());
            }
            match self.open(handle, version).await {
                Ok(client) => {
                    close(client, self.settings.session_timeout).await;
                }
                // The server's own word, on which alone we rely.
                Err(ClientError::SessionExpired) => self.held = None,
                Err(source) => return Err(self.refused(source)),
            }
        }
        match &self.held {
            None => Ok(()),
            Some(session) => Err(ConnectError::NotEnded(session.id().to_string())),
        }
    }

    /// Opens a session, or comes back into the one that is held.
    async fn open(&self, handle: &Handle, version: ServerVersion) -> Result<Client, ClientError> {
        let is_narrow = !self.awake.is_empty() && !self.is_wary;
        let brokers = if is_narrow { &self.awake } else { &self.settings.brokers }.join(",");
        let connector = self.connector(version);
        let opened = handle.spawn(async move { connector.connect(&brokers).await }).await;
        opened.unwrap_or_else(|error| Err(ClientError::UnexpectedError(error.to_string())))
    }

    /// Takes in how an attempt ended, for the next.
    fn learn<T>(&mut self, attempt: Result<T, ConnectError>) -> Result<T, ConnectError> {
        self.is_wary = attempt.is_err() && !self.is_wary;
        attempt
    }

    /// Ends the current connection and drops whatever it had not sent. The session lives on at the
    /// server, for [`connect`](Self::connect) to end.
    pub(crate) fn disconnect(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Asks the brokers for their versions; the oldest known counts, and nothing is known if one that can
    /// be reached keeps silent. Fails if nobody can be reached.
    async fn ask_version(
        &mut self,
        handle: &Handle,
    ) -> Result<Option<ServerVersion>, ConnectError> {
        let brokers = self.settings.brokers.clone();
        let known: Vec<_> = self.known_versions.iter().map(Option::is_some).collect();
        let probes = async move { probe(&brokers, PROBE_PATIENCE, &known).await };
        let probes = handle.spawn(probes).await;
        let mut causes = Vec::new();
        let (mut reached, mut told) = (false, true);
        let (mut serving, mut evasive) = (Vec::new(), Vec::new());
        for (index, probe) in probes.unwrap_or_default().into_iter().enumerate() {
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
                    told &= self.known_versions[index].is_some();
                }
                Probe::Slow => reached = true,
                Probe::Unreachable(error) => {
                    causes.push(format!("{}: {error}", self.settings.brokers[index]));
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
            return Err(ConnectError::Unreachable(causes.join("; ")));
        }
        // One that keeps silent may be of any version.
        Ok(self.known_versions.iter().flatten().min().copied().filter(|_| told))
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
        connector
    }

    fn refused(&self, source: ClientError) -> ConnectError {
        ConnectError::Refused { brokers: self.settings.brokers.join(","), source }
    }
}

impl Drop for Session {
    /// A runtime must not be dropped by waiting for it in an asynchronous context.
    fn drop(&mut self) {
        self.disconnect();
    }
}
