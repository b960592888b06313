//! Directories as a whole: their state and children.

use futures_util::future::join;

use super::{Connection, Mark, Revision, WriteError};

/// State of a directory's own znode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DirectoryState {
    /// Rises with each write of the directory's own data.
    pub(crate) revision: Revision,
    /// Rises with each child that is created or deleted.
    pub(crate) children: i32,
}

impl Connection {
    /// The directory's state, by a server that has caught up with the leader; `None` if there is none.
    pub(crate) async fn directory_state(
        &self,
        path: &str,
    ) -> Result<Option<DirectoryState>, WriteError> {
        let (caught_up, stat) = join(self.client.sync(path), self.client.check_stat(path)).await;
        caught_up?;
        Ok(stat?.map(|stat| DirectoryState {
            revision: Mark::of(&stat).revision,
            children: stat.cversion,
        }))
    }

    /// The directory's children with the state that has them; `None` if there is none. ZooKeeper sends them in one
    /// answer.
    pub(crate) async fn children(
        &self,
        path: &str,
    ) -> Result<Option<(Vec<String>, DirectoryState)>, WriteError> {
        let (caught_up, children) =
            join(self.client.sync(path), self.client.get_children(path)).await;
        caught_up?;
        match children {
            Ok((names, stat)) => {
                let revision = Mark::of(&stat).revision;
                Ok(Some((names, DirectoryState { revision, children: stat.cversion })))
            }
            Err(zookeeper_client::Error::NoNode) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
