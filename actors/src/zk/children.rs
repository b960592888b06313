//! A znode's children: listed and watched, and removed together with the znode.

use futures_util::future::join_all;
use zookeeper_client::Error as ClientError;

use super::{Connection, Watch, WriteError};

/// Operations of one [`removal`](Connection::remove), so that a client that goes on creating children cannot keep it
/// busy.
const OPERATIONS: usize = 1_000;

/// Deletions that are sent before their answers are awaited.
const AT_ONCE: usize = 100;

impl Connection {
    /// Lists a znode's children, however many, with a watch that fires at their first change. Without the znode the
    /// list is `None`, and the watch fires when the znode is created. Must not be dropped before it is done, see
    /// `ArmedWatches`.
    pub(crate) async fn watch_children(
        &self,
        path: &str,
    ) -> Result<(Option<Vec<String>>, Watch), WriteError> {
        loop {
            match self.client.list_and_watch_children(path).await {
                Ok((names, watcher)) => return Ok((Some(names), self.hold(watcher, || {}))),
                Err(ClientError::NoNode) => {}
                Err(error) => return Err(error.into()),
            }
            let (stat, watcher) = self.client.check_and_watch_stat(path).await?;
            let watch = self.hold(watcher, || {});
            if stat.is_none() {
                return Ok((None, watch));
            }
            // Created in between. A watch that is never waited for costs nothing.
        }
    }

    /// Deletes a znode whatever its version, and all below it first. Returns whether it is gone: a call makes a bounded
    /// number of deletions, and the next one continues.
    pub(crate) async fn remove(&self, path: &str) -> Result<bool, WriteError> {
        let (mut open, mut left) = (vec![path.to_owned()], OPERATIONS);
        while let Some(path) = open.last().cloned() {
            if left == 0 {
                return Ok(false);
            }
            left -= 1;
            if self.delete(&path).await? {
                open.pop();
                continue;
            }
            let mut children = match self.client.list_children(&path).await {
                Ok(names) => names,
                Err(ClientError::NoNode) => continue,
                Err(error) => return Err(error.into()),
            };
            children.truncate(left);
            left -= children.len();
            for names in children.chunks(AT_ONCE) {
                let paths: Vec<_> = names.iter().map(|name| format!("{path}/{name}")).collect();
                let deletions = join_all(paths.iter().map(|path| self.delete(path))).await;
                for (path, is_gone) in paths.into_iter().zip(deletions) {
                    if !is_gone? {
                        open.push(path);
                    }
                }
            }
        }
        Ok(true)
    }

    /// Returns whether the znode is gone; one with children stays.
    async fn delete(&self, path: &str) -> Result<bool, WriteError> {
        match self.client.delete(path, None).await {
            Ok(()) | Err(ClientError::NoNode) => Ok(true),
            Err(ClientError::NotEmpty) => Ok(false),
            Err(error) => Err(WriteError::from(error).when("deleting", path)),
        }
    }
}
