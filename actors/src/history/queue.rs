//! Changes that wait to be recorded, and requests that wait for it.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Instant, SystemTime},
};

use actix::{Message, Recipient};
use tokio::sync::oneshot;

use super::{handle::NotRecorded, settings::HistorySync};
use crate::{
    domain::{CoinbaseUpdate, Source, SubPool},
    metrics::{Change, Feed, Metrics},
};

/// Changes that may wait, in memory; about 300 bytes each.
const WAITING: usize = 100_000;

/// Take what waits in the queue.
///
/// Sent by the queue when something begins to wait.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Wake;

/// One entry of the queue.
#[derive(Debug)]
pub(crate) enum Item {
    /// Simultaneous changes.
    Changes(Vec<Change>),
    /// A coinbase update that is about to begin.
    Intent(Intent),
    /// A reload gave these keys new values.
    Reload { at: SystemTime, keys: Vec<String> },
}

/// A coinbase update that may begin when it is on the disk.
#[derive(Debug)]
pub(crate) struct Intent {
    pub(crate) at: SystemTime,
    pub(crate) source: Source,
    pub(crate) sub_pool: SubPool,
    pub(crate) update: CoinbaseUpdate,
    pub(crate) reply: oneshot::Sender<Result<(), NotRecorded>>,
}

/// A request that waits until all earlier items are recorded.
#[derive(Debug)]
pub(crate) struct Waiter {
    /// Whether it waits for the disk, too.
    pub(crate) wants_sync: bool,
    pub(crate) reply: oneshot::Sender<Result<(), NotRecorded>>,
}

/// All that waited at one moment.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) items: Vec<Item>,
    pub(crate) waiters: Vec<Waiter>,
    /// Changes that were dropped since the last call.
    pub(crate) dropped: u64,
}

/// The queue. It never waits for the Historian.
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    sync: HistorySync,
    metrics: Metrics,
    historian: OnceLock<Recipient<Wake>>,
}

#[derive(Debug, Default)]
struct Waiting {
    taken: Taken,
    /// Changes here and with the Historian that are not recorded.
    changes: usize,
    /// Since when the oldest of them waits.
    since: Option<Instant>,
    is_woken: bool,
    /// Why the last attempt to record failed.
    fault: Option<Arc<str>>,
}

impl Queue {
    pub(crate) fn new(sync: HistorySync, metrics: &Metrics) -> Arc<Self> {
        let (waiting, historian) = (Mutex::default(), OnceLock::new());
        Arc::new(Self { waiting, sync, metrics: metrics.clone(), historian })
    }

    /// Wakes `historian` from now on. Call it once.
    pub(crate) fn serve(&self, historian: Recipient<Wake>) {
        let _ = self.historian.set(historian);
        self.wake(&mut self.waiting());
    }

    /// Whether answers wait for the disk.
    pub(crate) fn syncs_all(&self) -> bool {
        self.sync == HistorySync::All
    }

    /// Whether further changes can be recorded, as far as it is known.
    pub(crate) fn is_open(&self) -> Result<(), NotRecorded> {
        let waiting = self.waiting();
        match &waiting.fault {
            Some(fault) => Err(NotRecorded(Arc::clone(fault))),
            None if waiting.changes >= WAITING => {
                Err(NotRecorded(format!("{WAITING} records wait for the disk already").into()))
            }
            None => Ok(()),
        }
    }

    pub(crate) fn push(&self, item: Item) {
        let mut waiting = self.waiting();
        if let Item::Reload { .. } = &item {
            waiting.changes += 1;
            waiting.since.get_or_insert_with(Instant::now);
        }
        waiting.taken.items.push(item);
        self.wake(&mut waiting);
    }

    pub(crate) fn wait(&self, waiter: Waiter) {
        let mut waiting = self.waiting();
        waiting.taken.waiters.push(waiter);
        self.wake(&mut waiting);
    }

    /// Takes all that waits. The changes still count as waiting, until [`recorded`](Self::recorded).
    pub(crate) fn take(&self) -> Taken {
        let mut waiting = self.waiting();
        waiting.is_woken = false;
        mem::take(&mut waiting.taken)
    }

    /// So many changes do not wait any more.
    pub(crate) fn recorded(&self, changes: usize) {
        let mut waiting = self.waiting();
        waiting.changes -= changes.min(waiting.changes);
        waiting.since = (waiting.changes > 0).then(Instant::now);
        self.report(&waiting);
    }

    /// The last attempt to record failed, or succeeded.
    pub(crate) fn set_fault(&self, fault: Option<Arc<str>>) {
        let mut waiting = self.waiting();
        waiting.fault = fault;
        self.report(&waiting);
    }

    /// Sets the metrics of the queue.
    fn report(&self, waiting: &Waiting) {
        let lag = waiting.since.map(|since| since.elapsed()).unwrap_or_default();
        self.metrics.history_waits(waiting.changes, lag);
    }

    fn wake(&self, waiting: &mut Waiting) {
        if !waiting.is_woken
            && let Some(historian) = self.historian.get()
        {
            waiting.is_woken = true;
            historian.do_send(Wake);
        }
    }

    /// A poisoned queue is still consistent.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Feed for Queue {
    fn comes_first(&self) -> bool {
        self.syncs_all()
    }

    /// A full queue drops the changes. With [`HistorySync::All`] it drops those of polls alone: requests are refused
    /// before they are written, and so few that the limit of waiting switches bounds them.
    fn take(&self, changes: Vec<Change>) {
        let must_keep = self.syncs_all() && changes.iter().any(|change| !change.source.is_poll());
        let mut waiting = self.waiting();
        if waiting.changes + changes.len() > WAITING.max(changes.len()) && !must_keep {
            waiting.taken.dropped += changes.len() as u64;
            self.metrics.history_dropped(changes.len());
        } else {
            waiting.changes += changes.len();
            waiting.since.get_or_insert_with(Instant::now);
            waiting.taken.items.push(Item::Changes(changes));
        }
        self.report(&waiting);
        self.wake(&mut waiting);
    }
}
