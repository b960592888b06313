//! One live connection within a session: reads, transactions, pipelined single writes, watches.
//!
//! A request goes out when its future is first polled, and ZooKeeper serves one client in order: a read
//! that is polled before a write sees what the write replaced, though neither waits for the other.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt, TryFutureExt,
    future::{Either, join, join_all},
};
use tokio::{runtime::Handle, sync::watch, task::JoinHandle, time::timeout};
use zookeeper_client::{
    Acl, Acls, Client, CreateMode, CreateOptions, Error as ClientError, MultiWriter,
    OneshotWatcher, Permission, SessionState, Stat, StateWatcher,
};

use super::{
    ServerVersion, TransactionError, WriteError, answers,
    read_window::{OF_A_REQUEST, ReadWindow},
    request_limit::RequestLimit,
};
use crate::domain::{PreviousValue, ZnodeDir};

/// One write to one znode.
#[derive(Clone, Copy, Debug)]
pub(crate) enum WriteOp<'a> {
    /// Replaces the data of a znode that exists.
    Set {
        /// The znode's absolute path.
        path: &'a str,
        /// Its new data.
        data: &'a [u8],
        /// The state that it must be in, `None` for any. A znode that was deleted and created anew since
        /// may pass for an older one of the same version: ZooKeeper compares nothing else.
        expected: Option<Revision>,
    },
    /// Creates a persistent znode.
    Create {
        /// The znode's absolute path.
        path: &'a str,
        /// Its first data.
        data: &'a [u8],
    },
}

impl fmt::Display for WriteOp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set { path, .. } => write!(f, "a write of {path:?}"),
            Self::Create { path, .. } => write!(f, "the creation of {path:?}"),
        }
    }
}

/// Which state of a znode it was: which of the znodes of that path, and how often it had been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Revision {
    created: i64,
    version: i32,
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version {} of the znode created by 0x{:x}", self.version, self.created)
    }
}

impl Revision {
    /// `None` if the server returned no state, as some do for a znode that was created.
    pub(super) fn of(stat: &Stat) -> Option<Self> {
        (!stat.is_invalid()).then_some(Self { created: stat.czxid, version: stat.version })
    }

    #[cfg(test)]
    pub(crate) fn test(created: i64, version: i32) -> Self {
        Self { created, version }
    }

    /// Whether this state is the next one of the same znode: it was neither written nor deleted and created
    /// again in between.
    pub(crate) fn follows(self, before: Self) -> bool {
        self.created == before.created && self.version == before.version.wrapping_add(1)
    }
}

/// A session's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionNumber(i64);

/// When a znode was written last, in ZooKeeper's own order of all writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Zxid(i64);

impl Zxid {
    #[cfg(test)]
    pub(crate) fn test(zxid: i64) -> Self {
        Self(zxid)
    }
}

/// One write to a znode: which state it made, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Mark {
    /// The state of the znode.
    pub(crate) revision: Revision,
    /// The write's place in the order of all writes.
    pub(crate) zxid: Zxid,
}

impl Mark {
    fn of(stat: &Stat) -> Self {
        let revision = Revision { created: stat.czxid, version: stat.version };
        Self { revision, zxid: Zxid(stat.mzxid) }
    }
}

/// A watch on one znode's data: fires once, at the first change after the read that came with it, maybe
/// at one shortly before.
pub(crate) struct Watch {
    /// Closed when the watch has fired.
    armed: watch::Receiver<()>,
}

impl Watch {
    /// Resolves when the znode was written or deleted, or when the connection has ended.
    pub(crate) async fn fired(mut self) {
        while self.armed.changed().await.is_ok() {}
    }
}

/// The watches that have not fired, by path. One serves all who watch a path, and none is ever given up: the
/// crate would have the server remove it, which servers before 3.5 do not know and end the connection.
#[derive(Clone, Default)]
struct ArmedWatches(Arc<Mutex<HashMap<String, watch::Receiver<()>>>>);

impl ArmedWatches {
    fn all(&self) -> MutexGuard<'_, HashMap<String, watch::Receiver<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a znode holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// Its data, cut by [`PreviousValue::cut`].
    pub(crate) data: Vec<u8>,
    /// The write that made it so.
    pub(crate) mark: Mark,
}

/// What a look at one path found: a znode, none, or that we may not look and why.
pub(crate) type Look = Result<Option<Content>, String>;

/// Tries to write a znode's own data back to it while others do the same.
const TOUCH_TRIES: usize = 10;

/// Tries to make an ephemeral znode that comes and goes; the second finds it nearly always.
const CLAIM_TRIES: usize = 5;

/// Whose an ephemeral znode is.
#[derive(Debug)]
pub(crate) enum Claim {
    /// Our session's.
    Ours,
    /// Another session's; this is its data.
    Theirs(Vec<u8>),
    /// It is not ephemeral.
    Nobodys,
}

/// A connection that was up when it was made. Clones share it.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(super) client: Client,
    /// Changes of the session's state since the client was made.
    states: StateWatcher,
    runtime: Handle,
    version: ServerVersion,
    acls: &'static [Acl],
    watches: ArmedWatches,
    request_limit: RequestLimit,
    read_window: Arc<Mutex<ReadWindow>>,
}

/// Open to everyone, as the contract has it for a ZooKeeper without credentials (section 1).
static ANYONE: &[Acl] = &[Acl::new_const(Permission::ALL, "world", "anyone")];

/// Ours to change, everybody's to read: stratum servers and jobmakers log in nowhere.
static OWNER_AND_READERS: &[Acl] = &[
    Acl::new_const(Permission::ALL, "auth", ""),
    Acl::new_const(Permission::READ, "world", "anyone"),
];

impl Connection {
    pub(super) fn new(
        client: Client,
        runtime: Handle,
        version: ServerVersion,
        authenticated: bool,
        request_limit: RequestLimit,
    ) -> Self {
        Self {
            states: client.state_watcher(),
            client,
            runtime,
            version,
            acls: if authenticated { OWNER_AND_READERS } else { ANYONE },
            watches: ArmedWatches::default(),
            request_limit,
            read_window: Arc::default(),
        }
    }

    /// Runs `work` beside the connection's own, on its thread. It ends when the connection is dropped.
    pub(crate) fn spawn<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.runtime.spawn(work)
    }

    /// The version that operations are chosen for.
    pub(crate) fn version(&self) -> ServerVersion {
        self.version
    }

    /// Bytes of all operations of a transaction at the most.
    pub(crate) fn transaction_limit(&self) -> usize {
        self.request_limit.bytes().saturating_sub(REQUEST_BYTES)
    }

    /// Bytes that an operation of a transaction in `dir` has besides the znode's name and data.
    pub(crate) fn operation_bytes(&self, dir: &ZnodeDir) -> usize {
        let acls = self.acls.iter().map(|acl| 12 + acl.scheme().len() + acl.id().len());
        // Header, lengths of path and data, list of ACLs, kind of the znode.
        dir.as_str().len() + 9 + 4 + 4 + 4 + acls.sum::<usize>() + 4
    }

    /// Resolves when the size of the requests that the servers take is known: to it, if it is small.
    pub(crate) fn small_request_limit(&self) -> impl Future<Output = Option<usize>> + use<> {
        self.request_limit.clone().small()
    }

    /// Which session this is the connection of: each has one of its own.
    pub(crate) fn session(&self) -> SessionNumber {
        SessionNumber(self.client.session_id().0)
    }

    /// Resolves when the connection is gone, with the state that the session is in then: the crate would
    /// reconnect by itself, but the old session must be ended first. The future does not keep the
    /// connection: [`close`](Self::close) waits for all that do.
    pub(crate) fn lost(&self) -> impl Future<Output = String> + use<> {
        let (mut states, state) = (self.states.clone(), self.client.state());
        async move {
            // Any change counts: back again already, the connection is another one.
            let change =
                if state == SessionState::SyncConnected { states.changed().await } else { state };
            change.to_string()
        }
    }

    /// Whether the connection was ever lost since it was made. What is sent on a lost one may go out
    /// when the crate is back in the old session, which must be ended first.
    pub(crate) fn is_lost(&self) -> bool {
        self.states.clone().changed().now_or_never().is_some()
    }

    /// Closes the session; see [`close`].
    pub(crate) async fn close(self, patience: Duration) -> bool {
        close(self.client, patience).await
    }

    /// How many znodes [`read`](Self::read) asks for before it waits for their answer.
    pub(crate) fn reads_at_once(&self) -> usize {
        self.window().znodes()
    }

    fn window(&self) -> MutexGuard<'_, ReadWindow> {
        self.read_window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at every path's znode, [`reads_at_once`](Self::reads_at_once) at a time.
    pub(crate) async fn read(&self, paths: &[&str]) -> Result<Vec<Look>, WriteError> {
        let mut looks = Vec::with_capacity(paths.len());
        while looks.len() < paths.len() {
            let rest = &paths[looks.len()..];
            let window = &rest[..rest.len().min(self.reads_at_once())];
            let (read, largest) = self.read_at_once(window).await?;
            looks.extend(read);
            self.window().note(window.len(), largest);
        }
        Ok(looks)
    }

    /// Looks at these paths, and returns the bytes of the largest znode, too.
    async fn read_at_once(&self, paths: &[&str]) -> Result<(Vec<Look>, usize), WriteError> {
        let mut largest = 0;
        if !self.version.reads_many_at_once() {
            let reads = paths.iter().map(|path| self.client.get_data(path));
            let answers = join_all(reads).await.into_iter();
            let looks = answers.map(|answer| look(answer, &mut largest)).collect::<Result<_, _>>();
            return Ok((looks?, largest));
        }
        let limit = self.transaction_limit();
        let (mut requests, mut first, mut bytes) = (Vec::new(), 0, 0);
        for (index, path) in paths.iter().enumerate() {
            // Header, length, path, watch.
            let needed = 9 + 4 + path.len() + 1;
            let is_full = bytes + needed > limit || index - first >= OF_A_REQUEST;
            if is_full && index > first {
                requests.push(self.read_many(&paths[first..index])?);
                (first, bytes) = (index, 0);
            }
            bytes += needed;
        }
        requests.push(self.read_many(&paths[first..])?);
        let mut looks = Vec::with_capacity(paths.len());
        for answer in join_all(requests).await {
            let (read, largest_of_it) = answer?;
            looks.extend(read);
            largest = largest.max(largest_of_it);
        }
        Ok((looks, largest))
    }

    /// One request for many znodes.
    fn read_many<'a>(
        &'a self,
        paths: &[&str],
    ) -> Result<impl Future<Output = Result<(Vec<Look>, usize), WriteError>> + use<'a>, WriteError>
    {
        let mut reader = self.client.new_multi_reader();
        for path in paths {
            reader.add_get_data(path)?;
        }
        let znodes = paths.len();
        Ok(async move { answers::of_read(znodes, reader.commit().await?) })
    }

    /// As [`read`](Self::read), by a server that has caught up with the leader: it knows of all that was
    /// committed before this call.
    pub(crate) async fn read_caught_up(&self, paths: &[&str]) -> Result<Vec<Look>, WriteError> {
        let Some(first) = paths.first() else { return Ok(Vec::new()) };
        // Polled in this order, so the server gets them in this order.
        let (caught_up, contents) = join(self.client.sync(first), self.read(paths)).await;
        caught_up?;
        contents
    }

    /// Reads a znode, `None` if there is none.
    pub(crate) async fn get(&self, path: &str) -> Result<Option<(Vec<u8>, Mark)>, WriteError> {
        match self.client.get_data(path).await {
            Ok((data, stat)) => Ok(Some((data, Mark::of(&stat)))),
            Err(ClientError::NoNode) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The watch on a znode's data that was set before and has not fired: the znode is there, and as it was.
    pub(crate) fn armed_watch(&self, path: &str) -> Option<Watch> {
        self.watches.all().get(path).map(|armed| Watch { armed: armed.clone() })
    }

    /// Reads a znode and watches its data from then on; `None`, and no watch, if there is none. Not to be
    /// dropped before it is done, see [`ArmedWatches`].
    pub(crate) async fn watch(
        &self,
        path: &str,
    ) -> Result<Option<(Vec<u8>, Mark, Watch)>, WriteError> {
        if let Some(watch) = self.armed_watch(path) {
            // Armed before this read, so whatever changes after the read fires it.
            return Ok(self.get(path).await?.map(|(data, mark)| (data, mark, watch)));
        }
        match self.client.get_and_watch_data(path).await {
            Ok((data, stat, watcher)) => {
                let watch = Watch { armed: self.keep(path, watcher) };
                Ok(Some((data, Mark::of(&stat), watch)))
            }
            Err(ClientError::NoNode) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps a watch until it fires, whoever still waits for that.
    fn keep(&self, path: &str, watcher: OneshotWatcher) -> watch::Receiver<()> {
        let (firing, armed) = watch::channel(());
        let (watches, path) = (self.watches.clone(), path.to_owned());
        watches.all().insert(path.clone(), armed.clone());
        self.runtime.spawn(async move {
            watcher.changed().await;
            watches.all().remove(&path);
            drop(firing);
        });
        armed
    }

    /// Looks which state a znode is in; `None` if there is none.
    pub(crate) async fn revision(&self, path: &str) -> Result<Option<Revision>, WriteError> {
        Ok(self.client.check_stat(path).await?.map(|stat| Mark::of(&stat).revision))
    }

    /// Replaces a znode's data, if it is in the `expected` state, where one is given.
    pub(crate) async fn set(
        &self,
        path: &str,
        data: &[u8],
        expected: Option<Revision>,
    ) -> Result<Mark, WriteError> {
        let op = WriteOp::Set { path, data, expected };
        let version = expected.map(|revision| revision.version);
        match self.client.set_data(path, data, version).await {
            Ok(stat) => answers::of_write(&op, &stat).map(|_| Mark::of(&stat)),
            Err(error) => Err(answers::of_failed_write(&op, error.into())),
        }
    }

    /// Writes a znode's own data back to it, to learn a moment in ZooKeeper's order of all writes: what
    /// was committed before this call has a lower place than the one returned.
    pub(crate) async fn touch(&self, path: &str) -> Result<Zxid, WriteError> {
        for _ in 0..TOUCH_TRIES {
            let read = self.get(path).await.map_err(|error| error.when("reading", path))?;
            let (data, mark) = read.ok_or(WriteError::Missing)?;
            match self.set(path, &data, Some(mark.revision)).await {
                Ok(written) if written.revision.follows(mark.revision) => return Ok(written.zxid),
                // Our server was behind, or somebody was faster, maybe with another znode of the same
                // path and version. The next read knows of that write.
                Ok(_) | Err(WriteError::Overtaken) => {}
                Err(error) => return Err(error.when("writing", path)),
            }
        }
        Err(WriteError::Overtaken)
    }

    /// Makes the ephemeral znode at `path` with this data, or sees whose it is. It goes with our session.
    pub(crate) async fn claim(&self, path: &str, data: &[u8]) -> Result<Claim, WriteError> {
        for _ in 0..CLAIM_TRIES {
            match self.client.get_data(path).await {
                Ok((_, stat)) if stat.ephemeral_owner == self.client.session_id().0 => {
                    return Ok(Claim::Ours);
                }
                Ok((_, stat)) if stat.ephemeral_owner == 0 => return Ok(Claim::Nobodys),
                Ok((data, _)) => return Ok(Claim::Theirs(data)),
                Err(ClientError::NoNode) => {}
                Err(error) => return Err(WriteError::from(error).when("reading", path)),
            }
            let ephemeral = CreateMode::Ephemeral.with_acls(Acls::new(self.acls));
            match self.client.create(path, data, &ephemeral).await {
                Ok(_) => return Ok(Claim::Ours),
                Err(ClientError::NodeExists) => {}
                Err(error) => return Err(WriteError::from(error).when("creating", path)),
            }
        }
        Err(WriteError::Refused("the znode keeps coming and going".to_owned()))
    }

    /// Applies all of `ops` or none; returns the znodes' new states. Only creates that the server's
    /// version can take may be in it ([`ServerVersion::creates_in_transactions`]).
    pub(crate) async fn transact(
        &self,
        ops: &[WriteOp<'_>],
    ) -> Result<Vec<Option<Revision>>, TransactionError> {
        let mut writer = self.client.new_multi_writer();
        self.add_all(&mut writer, ops)?;
        match writer.commit().await {
            Ok(results) => answers::of_transaction(ops, &results),
            Err(error) => Err(answers::of_failed_transaction(ops, error)),
        }
    }

    fn add_all(
        &self,
        writer: &mut MultiWriter<'_>,
        ops: &[WriteOp<'_>],
    ) -> Result<(), TransactionError> {
        for (index, op) in ops.iter().enumerate() {
            let added = match *op {
                WriteOp::Set { path, data, expected } => {
                    writer.add_set_data(path, data, expected.map(|revision| revision.version))
                }
                WriteOp::Create { path, data } => writer.add_create(path, data, &self.persistent()),
            };
            added.map_err(|error| TransactionError::Operation { index, error: error.into() })?;
        }
        Ok(())
    }

    /// Applies each of `ops` for itself, all of them under way at once; the answers come in their order.
    pub(crate) async fn write_each(
        &self,
        ops: &[WriteOp<'_>],
    ) -> Vec<Result<Option<Revision>, WriteError>> {
        let answers = join_all(ops.iter().map(|op| match *op {
            WriteOp::Set { path, data, expected } => {
                let expected = expected.map(|revision| revision.version);
                Either::Left(self.client.set_data(path, data, expected))
            }
            WriteOp::Create { path, data } => {
                let create = self.client.create(path, data, &self.persistent());
                Either::Right(create.map_ok(|(stat, _)| stat))
            }
        }))
        .await;
        let answers = ops.iter().zip(answers);
        answers
            .map(|(op, answer)| match answer {
                Ok(stat) => answers::of_write(op, &stat),
                Err(error) => Err(answers::of_failed_write(op, error.into())),
            })
            .collect()
    }

    /// Creates the directory and its parents. Existing ones, also those that somebody else creates at
    /// this moment, are no error.
    pub(crate) async fn ensure_directory(&self, dir: &ZnodeDir) -> Result<(), WriteError> {
        match self.client.mkdir(dir.node(), &self.persistent()).await {
            Ok(()) => Ok(()),
            // Without the right to create, ZooKeeper says so even of a directory that exists.
            Err(error @ ClientError::NoAuth) => match self.client.check_stat(dir.node()).await {
                Ok(Some(_)) => Ok(()),
                _ => Err(error.into()),
            },
            // The crate refuses to create the root, which is always there.
            Err(ClientError::BadArguments(_)) if dir.node() == "/" => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn persistent(&self) -> CreateOptions<'static> {
        CreateMode::Persistent.with_acls(Acls::new(self.acls))
    }
}

/// Closes a client's session and waits for the end of it, at most for `patience`; tells whether it came.
/// Every clone of the client must be gone by then.
pub(super) async fn close(client: Client, patience: Duration) -> bool {
    let mut states = client.state_watcher();
    drop(client);
    let ended = async { while !states.changed().await.is_terminated() {} };
    timeout(patience, ended).await.is_ok()
}

/// Bytes of a request besides its operations: header and end.
const REQUEST_BYTES: usize = 32;

/// That a znode is missing, or not ours to see, is an answer, not an error. `largest` grows to the size of its data.
pub(super) fn look(
    answer: Result<(Vec<u8>, Stat), ClientError>,
    largest: &mut usize,
) -> Result<Look, WriteError> {
    match answer.map_err(WriteError::from) {
        Ok((data, stat)) => {
            *largest = data.len().max(*largest);
            Ok(Ok(Some(Content { data: PreviousValue::cut(&data), mark: Mark::of(&stat) })))
        }
        Err(WriteError::Missing) => Ok(Ok(None)),
        Err(WriteError::Refused(cause)) => Ok(Err(cause)),
        Err(error) => Err(error),
    }
}
