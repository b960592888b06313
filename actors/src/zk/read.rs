//! Reads of many znodes, in windows of a size that bounds memory.

use std::sync::{MutexGuard, PoisonError};

use futures_util::future::{join, join_all};

use super::{
    Connection, Revision, WriteError, ZnodeRead, answers,
    read_window::{OF_A_REQUEST, ReadWindow},
    znode::{Keep, znode_read},
};
use crate::domain::{PreviousValue, ZnodeDir};

/// Bytes that a read of intents keeps of each. No intent has as many.
const INTENT_BYTES: usize = 1024;

impl Connection {
    /// Number of znodes that [`read`](Self::read) asks for before it waits for their answer.
    fn reads_at_once(&self) -> usize {
        self.window().znodes()
    }

    fn window(&self) -> MutexGuard<'_, ReadWindow> {
        self.read_window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads every path's znode, [`reads_at_once`](Self::reads_at_once) at a time. Data is cut by
    /// [`PreviousValue::cut`].
    pub(crate) async fn read(&self, paths: &[&str]) -> Result<Vec<ZnodeRead>, WriteError> {
        self.read_all(paths, PreviousValue::cut).await
    }

    async fn read_all(&self, paths: &[&str], keep: Keep) -> Result<Vec<ZnodeRead>, WriteError> {
        let mut reads = Vec::with_capacity(paths.len());
        while reads.len() < paths.len() {
            let rest = &paths[reads.len()..];
            let window = &rest[..rest.len().min(self.reads_at_once())];
            let (read, largest) = self.read_at_once(window, keep).await?;
            reads.extend(read);
            self.window().note(window.len(), largest);
        }
        Ok(reads)
    }

    /// Reads these paths, and returns the bytes of the largest znode, too.
    async fn read_at_once(
        &self,
        paths: &[&str],
        keep: Keep,
    ) -> Result<(Vec<ZnodeRead>, usize), WriteError> {
        let mut largest = 0;
        if !self.version().reads_many_at_once() {
            let reads = paths.iter().map(|path| self.client.get_data(path));
            let answers = join_all(reads).await.into_iter();
            let reads = answers.map(|answer| znode_read(answer, keep, &mut largest));
            return Ok((reads.collect::<Result<_, _>>()?, largest));
        }
        let limit = self.transaction_limit();
        let (mut requests, mut first, mut bytes) = (Vec::new(), 0, 0);
        for (index, path) in paths.iter().enumerate() {
            // Header, length, path, watch.
            let needed = 9 + 4 + path.len() + 1;
            let is_full = bytes + needed > limit || index - first >= OF_A_REQUEST;
            if is_full && index > first {
                requests.push(self.read_many(&paths[first..index], keep)?);
                (first, bytes) = (index, 0);
            }
            bytes += needed;
        }
        requests.push(self.read_many(&paths[first..], keep)?);
        let mut reads = Vec::with_capacity(paths.len());
        for answer in join_all(requests).await {
            let (read, largest_read) = answer?;
            reads.extend(read);
            largest = largest.max(largest_read);
        }
        Ok((reads, largest))
    }

    fn read_many<'a>(
        &'a self,
        paths: &[&str],
        keep: Keep,
    ) -> Result<
        impl Future<Output = Result<(Vec<ZnodeRead>, usize), WriteError>> + use<'a>,
        WriteError,
    > {
        let mut reader = self.client.new_multi_reader();
        for path in paths {
            reader.add_get_data(path)?;
        }
        let znodes = paths.len();
        Ok(async move { answers::of_read(znodes, reader.commit().await?, keep) })
    }

    /// Like [`read`](Self::read), by a server that has caught up with the leader: it knows all that was committed
    /// before this call.
    pub(crate) async fn read_caught_up(
        &self,
        paths: &[&str],
    ) -> Result<Vec<ZnodeRead>, WriteError> {
        self.read_all_caught_up(paths, PreviousValue::cut).await
    }

    /// Like [`read_caught_up`](Self::read_caught_up). Also returns a directory's path and its state before the reads, as
    /// the guard of a write; `None` without the directory.
    pub(crate) async fn read_guarded<'a>(
        &self,
        dir: &'a ZnodeDir,
        paths: &[&str],
    ) -> Result<(Option<(&'a str, Revision)>, Vec<ZnodeRead>), WriteError> {
        // Requests are served in order. A server that is behind shows an older state, which makes the guard fail.
        let (state, reads) = join(self.revision(dir.node()), self.read_caught_up(paths)).await;
        Ok((state?.map(|revision| (dir.node(), revision)), reads?))
    }

    /// Like [`read_caught_up`](Self::read_caught_up), with data that is long enough for an intent.
    pub(crate) async fn read_intents(
        &self,
        paths: &[String],
    ) -> Result<Vec<ZnodeRead>, WriteError> {
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let keep: Keep = |data| data[..data.len().min(INTENT_BYTES)].to_vec();
        self.read_all_caught_up(&paths, keep).await
    }

    async fn read_all_caught_up(
        &self,
        paths: &[&str],
        keep: Keep,
    ) -> Result<Vec<ZnodeRead>, WriteError> {
        let Some(first) = paths.first() else { return Ok(Vec::new()) };
        // Polled in this order, so the server gets them in this order.
        let (caught_up, reads) = join(self.client.sync(first), self.read_all(paths, keep)).await;
        caught_up?;
        reads
    }
}
