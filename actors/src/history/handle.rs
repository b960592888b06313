//! [`History`]: records changes for others, and waits for records.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use thiserror::Error;
use tokio::{sync::oneshot, time::timeout};

use super::queue::{Intent, Item, Queue, Waiter};
use crate::domain::{CoinbaseUpdate, Source, SubPool};

/// Maximum wait of [`History::flush`].
const FLUSH: Duration = Duration::from_secs(1);

/// Reason why a change could not be recorded.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct NotRecorded(pub Arc<str>);

/// Handle of the history. Clones share it; the default records nothing and never waits.
#[derive(Clone, Default)]
pub struct History(Option<Arc<Queue>>);

impl History {
    pub(crate) fn of(queue: Arc<Queue>) -> Self {
        Self(Some(queue))
    }

    /// Whether a switch may be written. Call it before the switch.
    ///
    /// # Errors
    /// With [`HistorySync::All`](super::HistorySync::All), if its record could not be written: refuse the switch.
    pub fn admits(&self) -> Result<(), NotRecorded> {
        match &self.0 {
            Some(queue) if queue.syncs_all() => queue.admits(),
            _ => Ok(()),
        }
    }

    /// Waits, with [`HistorySync::All`](super::HistorySync::All), until all settled changes are on the disk. Call it before
    /// the success of a switch is answered.
    ///
    /// # Errors
    /// If they are not on the disk.
    pub async fn synced(&self) -> Result<(), NotRecorded> {
        match &self.0 {
            Some(queue) if queue.syncs_all() => wait(queue, true).await,
            _ => Ok(()),
        }
    }

    /// Waits until searches find all settled changes; at most a second, so that searches work with a slow disk, too.
    pub async fn flush(&self) {
        if let Some(queue) = &self.0 {
            // A fault is in the log.
            let _ = timeout(FLUSH, wait(queue, false)).await;
        }
    }

    /// Waits until the intent of an update is on the disk. Call it before the update; the journal records the outcome.
    ///
    /// # Errors
    /// If it is not on the disk: the update must not begin.
    pub(crate) async fn begin_update(
        &self,
        source: &Source,
        sub_pool: &SubPool,
        update: &CoinbaseUpdate,
    ) -> Result<(), NotRecorded> {
        let Some(queue) = &self.0 else { return Ok(()) };
        let (reply, recorded) = oneshot::channel();
        queue.push(Item::Intent(Intent {
            at: SystemTime::now(),
            source: source.clone(),
            sub_pool: sub_pool.clone(),
            update: update.clone(),
            reply,
        }));
        recorded.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Records that a reload gave these keys new values.
    pub fn reloaded(&self, keys: Vec<String>) {
        if let Some(queue) = &self.0 {
            queue.push(Item::Reload { at: SystemTime::now(), keys });
        }
    }
}

async fn wait(queue: &Queue, wants_sync: bool) -> Result<(), NotRecorded> {
    let (reply, recorded) = oneshot::channel();
    queue.wait(Waiter { wants_sync, reply });
    recorded.await.unwrap_or_else(|_| Err(ended()))
}

fn ended() -> NotRecorded {
    NotRecorded("the history is closed".into())
}
