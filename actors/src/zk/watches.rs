//! Watches on znodes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;
use zookeeper_client::{Error as ClientError, OneshotWatcher};

use super::{Connection, Mark, WriteError};

/// Watch on one znode's data or children. Fires once, at the first change after the read that came with it, or possibly
/// at one shortly before.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Closed when the watch has fired.
    armed: watch::Receiver<()>,
}

impl Watch {
    /// A watch that fires when the sender is dropped.
    #[cfg(test)]
    pub(crate) fn test() -> (watch::Sender<()>, Self) {
        let (firing, armed) = watch::channel(());
        (firing, Self { armed })
    }

    /// Resolves when the watch has fired, or when the connection has ended.
    pub(crate) async fn fired(mut self) {
        while self.armed.changed().await.is_ok() {}
    }
}

/// Watches that have not fired, by path. One serves all readers of a path, and none is given up: the crate would have
/// the server remove it, a request on which servers before 3.5 end the connection.
#[derive(Clone, Default)]
pub(super) struct ArmedWatches(Arc<Mutex<HashMap<String, watch::Receiver<()>>>>);

impl ArmedWatches {
    fn all(&self) -> MutexGuard<'_, HashMap<String, watch::Receiver<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// The watch on a znode's data that was set before and has not fired: the znode exists and is unchanged.
    pub(crate) fn armed_watch(&self, path: &str) -> Option<Watch> {
        self.watches.all().get(path).map(|armed| Watch { armed: armed.clone() })
    }

    /// Reads a znode and watches its data from then on; `None`, and no watch, if there is none. Must not be dropped
    /// before it is done, see [`ArmedWatches`].
    pub(crate) async fn watch(
        &self,
        path: &str,
    ) -> Result<Option<(Vec<u8>, Mark, Watch)>, WriteError> {
        if let Some(watch) = self.armed_watch(path) {
            // Armed before this read, so any change after the read fires it.
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

    fn keep(&self, path: &str, watcher: OneshotWatcher) -> watch::Receiver<()> {
        let (watches, path) = (self.watches.clone(), path.to_owned());
        let fired = {
            let (watches, path) = (watches.clone(), path.clone());
            move || drop(watches.all().remove(&path))
        };
        let Watch { armed } = self.hold(watcher, fired);
        watches.all().insert(path, armed.clone());
        armed
    }

    /// Holds a watch until it fires, and then calls `fired`.
    pub(super) fn hold(&self, watcher: OneshotWatcher, fired: impl FnOnce() + 'static) -> Watch {
        let (firing, armed) = watch::channel(());
        let waiting = self.spawn(async move {
            watcher.changed().await;
            fired();
            drop(firing);
        });
        drop(waiting);
        Watch { armed }
    }
}
