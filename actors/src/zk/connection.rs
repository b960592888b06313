//! One live connection within a session: its state, transactions and pipelined single writes.
//!
//! A request goes out when its future is first polled, and ZooKeeper serves one client in order: a read that is polled
//! right after a `sync` needs no wait for the `sync`'s answer.

use std::{
    slice,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{FutureExt, future::join_all};
use tokio::time::timeout;
use zookeeper_client::{
    Acl, Acls, Client, CreateMode, CreateOptions, Error as ClientError, MultiWriter, Permission,
    SessionState, StateWatcher,
};

use super::{
    Condition, Mark, Revision, ServerVersion, TransactionError, WriteError, WriteOp, answers,
    read_window::ReadWindow, request_limit::RequestLimit, tasks::Tasks, watches::ArmedWatches,
};
use crate::domain::ZnodeDir;

/// Id of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionNumber(i64);

/// A connection that was up when it was created. Clones share it.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(super) client: Client,
    /// Changes of the session's state since the client was created.
    states: StateWatcher,
    tasks: Tasks,
    version: ServerVersion,
    pub(super) acls: &'static [Acl],
    pub(super) watches: ArmedWatches,
    request_limit: RequestLimit,
    pub(super) read_window: Arc<Mutex<ReadWindow>>,
}

/// Open to everyone, as the contract has it for a ZooKeeper without credentials (section 1).
static ANYONE: &[Acl] = &[Acl::new_const(Permission::ALL, "world", "anyone")];

/// Writable for us, readable for all: stratum servers and jobmakers do not authenticate.
static OWNER_AND_READERS: &[Acl] = &[
    Acl::new_const(Permission::ALL, "auth", ""),
    Acl::new_const(Permission::READ, "world", "anyone"),
];

impl Connection {
    pub(super) fn new(
        client: Client,
        tasks: Tasks,
        version: ServerVersion,
        authenticated: bool,
        request_limit: RequestLimit,
    ) -> Self {
        Self {
            states: client.state_watcher(),
            client,
            tasks,
            version,
            acls: if authenticated { OWNER_AND_READERS } else { ANYONE },
            watches: ArmedWatches::default(),
            request_limit,
            read_window: Arc::default(),
        }
    }

    /// Starts `work` and returns its result; `None` if the session was disconnected first, which ends the work.
    pub(crate) fn spawn<F>(&self, work: F) -> impl Future<Output = Option<F::Output>> + use<F>
    where
        F: Future<Output: 'static> + 'static,
    {
        self.tasks.spawn(work)
    }

    /// Server version that the choice of operations follows.
    pub(crate) fn version(&self) -> ServerVersion {
        self.version
    }

    /// Maximum bytes of all operations of a transaction.
    pub(crate) fn transaction_limit(&self) -> usize {
        self.request_limit.bytes().saturating_sub(REQUEST_BYTES)
    }

    /// Bytes of an operation of a transaction in `dir`, in addition to the znode's name and data.
    pub(crate) fn operation_bytes(&self, dir: &ZnodeDir) -> usize {
        let acls = self.acls.iter().map(|acl| 12 + acl.scheme().len() + acl.id().len());
        // Header, lengths of path and data, list of ACLs, kind of the znode.
        dir.as_str().len() + 9 + 4 + 4 + 4 + acls.sum::<usize>() + 4
    }

    /// Resolves when the servers' request limit is known: to the limit, if it is small.
    pub(crate) fn small_request_limit(&self) -> impl Future<Output = Option<usize>> + use<> {
        self.request_limit.clone().small()
    }

    /// The session. Each connection has one of its own.
    pub(crate) fn session(&self) -> SessionNumber {
        SessionNumber(self.client.session_id().0)
    }

    /// Resolves when the connection is lost, with the session's new state. The crate would reconnect by itself, but the
    /// old session must be ended first. The future does not keep the connection: [`close`](Self::close) waits for all
    /// that do.
    pub(crate) fn lost(&self) -> impl Future<Output = String> + use<> {
        let (mut states, state) = (self.states.clone(), self.client.state());
        async move {
            // Any change counts: after a reconnect this is another connection.
            let change =
                if state == SessionState::SyncConnected { states.changed().await } else { state };
            change.to_string()
        }
    }

    /// Whether the connection was ever lost. A request on a lost one may go out when the crate is back in the old
    /// session, which must be ended first.
    pub(crate) fn is_lost(&self) -> bool {
        self.states.clone().changed().now_or_never().is_some()
    }

    pub(crate) async fn close(self, patience: Duration) -> bool {
        close(self.client, patience).await
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Option<(Vec<u8>, Mark)>, WriteError> {
        match self.client.get_data(path).await {
            Ok((data, stat)) => Ok(Some((data, Mark::of(&stat)))),
            Err(ClientError::NoNode) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn revision(&self, path: &str) -> Result<Option<Revision>, WriteError> {
        Ok(self.client.check_stat(path).await?.map(|stat| Mark::of(&stat).revision))
    }

    pub(crate) async fn set(
        &self,
        path: &str,
        data: &[u8],
        condition: impl Condition,
    ) -> Result<Mark, WriteError> {
        let op = WriteOp::Set { path, data, condition };
        match self.client.set_data(path, data, condition.version()).await {
            Ok(stat) => answers::of_write(&op, &stat).map(|_| Mark::of(&stat)),
            Err(error) => Err(answers::of_failed_write(&op, error.into())),
        }
    }

    /// Applies all of `ops` or none; returns the znodes' new states. Creates need a server that supports them in
    /// transactions ([`ServerVersion::creates_in_transactions`]).
    pub(crate) async fn transact(
        &self,
        ops: &[WriteOp<'_, impl Condition>],
    ) -> Result<Vec<Option<Revision>>, TransactionError> {
        if let [op @ WriteOp::Create { path, data }] = ops {
            // The answer to a create without a transaction has the state.
            return match self.create(op, path, data).await {
                Ok(revision) => Ok(vec![revision]),
                Err(error @ WriteError::Unknown(_)) => Err(TransactionError::Whole(error)),
                Err(error) => Err(TransactionError::Operation { index: 0, error }),
            };
        }
        let mut writer = self.client.new_multi_writer();
        self.add_all(&mut writer, ops)?;
        match writer.commit().await {
            Ok(results) => {
                let states = answers::of_transaction(ops, &results)?;
                Ok(self.find_created(ops, states).await)
            }
            Err(error) => Err(answers::of_failed_transaction(ops, error)),
        }
    }

    /// Completes the states of znodes that a transaction created, which share its zxid. Reads two of them: if both have the
    /// same creation zxid, it is the transaction's, unless another transaction has deleted and created both. A single znode
    /// proves less.
    async fn find_created(
        &self,
        ops: &[WriteOp<'_, impl Condition>],
        mut states: Vec<Option<Revision>>,
    ) -> Vec<Option<Revision>> {
        let created = ops.iter().zip(&states).filter_map(|(op, state)| match (op, state) {
            (WriteOp::Create { path, .. }, None) => Some(*path),
            _ => None,
        });
        let two: Vec<&str> = created.take(2).collect();
        if two.len() < 2 {
            return states;
        }
        let read = self.read(&two).await.unwrap_or_default();
        let read = read.into_iter().map(|read| Some(read.ok()??.mark.revision.created));
        if let [Some(created), Some(other)] = read.collect::<Vec<_>>()[..]
            && created == other
        {
            let open = ops
                .iter()
                .zip(&mut states)
                .filter(|(op, state)| matches!(op, WriteOp::Create { .. }) && state.is_none());
            open.for_each(|(_, state)| *state = Some(Revision::created_by(created)));
        }
        states
    }

    async fn create(
        &self,
        op: &WriteOp<'_, impl Condition>,
        path: &str,
        data: &[u8],
    ) -> Result<Option<Revision>, WriteError> {
        match self.client.create(path, data, &self.persistent()).await {
            Ok((stat, _)) => answers::of_write(op, &stat),
            Err(error) => Err(answers::of_failed_write(op, error.into())),
        }
    }

    fn add_all(
        &self,
        writer: &mut MultiWriter<'_>,
        ops: &[WriteOp<'_, impl Condition>],
    ) -> Result<(), TransactionError> {
        for (index, op) in ops.iter().enumerate() {
            let added = match *op {
                WriteOp::Set { path, data, condition } => {
                    writer.add_set_data(path, data, condition.version())
                }
                WriteOp::Create { path, data } => writer.add_create(path, data, &self.persistent()),
                WriteOp::Check { path, condition } => {
                    writer.add_check_version(path, condition.version().unwrap_or(-1))
                }
                WriteOp::Delete { path, condition } => writer.add_delete(path, condition.version()),
            };
            added.map_err(|error| TransactionError::Operation { index, error: error.into() })?;
        }
        Ok(())
    }

    /// Applies each of `ops` separately, all concurrently; the answers come in the same order.
    pub(crate) async fn write_each(
        &self,
        ops: &[WriteOp<'_, impl Condition>],
    ) -> Vec<Result<Option<Revision>, WriteError>> {
        join_all(ops.iter().map(|op| self.write_one(op))).await
    }

    async fn write_one(
        &self,
        op: &WriteOp<'_, impl Condition>,
    ) -> Result<Option<Revision>, WriteError> {
        let answer = match *op {
            WriteOp::Set { path, data, condition } => {
                self.client.set_data(path, data, condition.version()).await
            }
            WriteOp::Create { path, data } => return self.create(op, path, data).await,
            WriteOp::Check { .. } | WriteOp::Delete { .. } => {
                let alone = self.transact(slice::from_ref(op)).await;
                return alone.map(|revisions| revisions.into_iter().next().flatten()).map_err(
                    |error| match error {
                        TransactionError::Operation { error, .. }
                        | TransactionError::Whole(error) => error,
                        TransactionError::Guard => WriteError::Overtaken,
                    },
                );
            }
        };
        match answer {
            Ok(stat) => answers::of_write(op, &stat),
            Err(error) => Err(answers::of_failed_write(op, error.into())),
        }
    }

    /// Creates the directory and its parents. Existing ones, even if created at this moment, are no error.
    pub(crate) async fn ensure_directory(&self, dir: &ZnodeDir) -> Result<(), WriteError> {
        self.make_directory(dir, &self.persistent()).await
    }

    /// The same for a directory in which programs without credentials create and delete children.
    pub(crate) async fn ensure_shared_directory(&self, dir: &ZnodeDir) -> Result<(), WriteError> {
        if let Some(parent) = dir.parent() {
            self.ensure_directory(&parent).await?;
        }
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        self.make_directory(dir, &options).await
    }

    async fn make_directory(
        &self,
        dir: &ZnodeDir,
        options: &CreateOptions<'_>,
    ) -> Result<(), WriteError> {
        match self.client.mkdir(dir.node(), options).await {
            Ok(()) => Ok(()),
            // Without the right to create, ZooKeeper refuses even a directory that exists.
            Err(error @ ClientError::NoAuth) => match self.client.check_stat(dir.node()).await {
                Ok(Some(_)) => Ok(()),
                _ => Err(error.into()),
            },
            // The crate refuses to create the root, which always exists.
            Err(ClientError::BadArguments(_)) if dir.node() == "/" => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn persistent(&self) -> CreateOptions<'static> {
        CreateMode::Persistent.with_acls(Acls::new(self.acls))
    }
}

/// Closes a client's session and waits for the end, at most for `patience`; returns whether it came. Every clone of the
/// client must be dropped by then.
pub(super) async fn close(client: Client, patience: Duration) -> bool {
    let mut states = client.state_watcher();
    drop(client);
    let ended = async { while !states.changed().await.is_terminated() {} };
    timeout(patience, ended).await.is_ok()
}

/// Bytes of a request in addition to its operations: header and end.
const REQUEST_BYTES: usize = 32;
