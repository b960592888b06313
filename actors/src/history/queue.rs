//! Changes that wait to be recorded, and requests that wait for their records.

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

/// Maximum number of waiting changes, in memory, of about 300 bytes each.
const WAITING: usize = 100_000;

/// Maximum number of requests that wait for the Historian, which a disk that hangs holds up.
const REQUESTS: usize = 10_000;

/// Changes that are worth a transaction of their own.
const ENOUGH: usize = 5_000;

/// Takes all waiting changes from the queue.
///
/// Sent by the queue when it is no longer empty, and again when it becomes urgent.
#[derive(Clone, Copy, Debug, Message, PartialEq, Eq, PartialOrd, Ord)]
#[rtype(result = "()")]
pub(crate) enum Wake {
    /// After some milliseconds, so that many changes share a transaction.
    Soon,
    /// At once: a request waits, or there are enough changes.
    Now,
}

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
    /// Time at which the oldest of them began to wait.
    since: Option<Instant>,
    /// Intents and waiters here.
    requests: usize,
    /// The most urgent message on its way.
    woken: Option<Wake>,
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
        self.wake(&mut self.waiting(), Wake::Now);
    }

    /// Whether answers wait for the disk.
    pub(crate) fn syncs_all(&self) -> bool {
        self.sync == HistorySync::All
    }

    /// Whether further changes can be recorded, as far as known.
    pub(crate) fn admits(&self) -> Result<(), NotRecorded> {
        let waiting = self.waiting();
        match &waiting.fault {
            Some(fault) => Err(NotRecorded(Arc::clone(fault))),
            None if waiting.changes >= WAITING => {
                Err(NotRecorded(format!("{WAITING} records wait for the disk already").into()))
            }
            None => Ok(()),
        }
    }

    /// Adds an item. An intent is refused at once if too many requests wait.
    pub(crate) fn push(&self, item: Item) {
        let mut waiting = self.waiting();
        match item {
            Item::Intent(intent) if waiting.requests >= REQUESTS => {
                // The request may be gone.
                let _ = intent.reply.send(Err(too_many()));
                return;
            }
            Item::Intent(_) => waiting.requests += 1,
            Item::Reload { .. } => {
                waiting.changes += 1;
                waiting.since.get_or_insert_with(Instant::now);
            }
            Item::Changes(_) => {}
        }
        waiting.taken.items.push(item);
        self.wake(&mut waiting, Wake::Now);
    }

    /// Adds a waiter, or refuses it at once if too many requests wait.
    pub(crate) fn wait(&self, waiter: Waiter) {
        let mut waiting = self.waiting();
        if waiting.requests >= REQUESTS {
            // The request may be gone.
            let _ = waiter.reply.send(Err(too_many()));
            return;
        }
        waiting.requests += 1;
        waiting.taken.waiters.push(waiter);
        self.wake(&mut waiting, Wake::Now);
    }

    /// Takes everything in the queue. The changes count as waiting until [`recorded`](Self::recorded).
    pub(crate) fn take(&self) -> Taken {
        let mut waiting = self.waiting();
        (waiting.woken, waiting.requests) = (None, 0);
        mem::take(&mut waiting.taken)
    }

    /// Counts `changes` as recorded.
    pub(crate) fn recorded(&self, changes: usize) {
        let mut waiting = self.waiting();
        waiting.changes -= changes.min(waiting.changes);
        waiting.since = (waiting.changes > 0).then(Instant::now);
        self.report(&waiting);
    }

    /// Sets the result of the last attempt to record: its failure, or `None`.
    pub(crate) fn set_fault(&self, fault: Option<Arc<str>>) {
        let mut waiting = self.waiting();
        waiting.fault = fault;
        self.report(&waiting);
    }

    /// Whether the last attempt to record failed.
    pub(crate) fn has_fault(&self) -> bool {
        self.waiting().fault.is_some()
    }

    /// Sets the metrics of the queue.
    fn report(&self, waiting: &Waiting) {
        self.metrics.history_waits(waiting.changes, waiting.since);
    }

    fn wake(&self, waiting: &mut Waiting, wake: Wake) {
        if waiting.woken < Some(wake)
            && let Some(historian) = self.historian.get()
            && historian.try_send(wake).is_ok()
        {
            // At most two are on their way. If the mailbox refuses one, the next tick takes the changes.
            waiting.woken = Some(wake);
        }
    }

    /// A poisoned queue is still consistent.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_many() -> NotRecorded {
    NotRecorded(format!("{REQUESTS} requests wait for the disk already; try again later").into())
}

impl Feed for Queue {
    fn comes_first(&self) -> bool {
        self.syncs_all()
    }

    /// A full queue drops the changes. With [`HistorySync::All`] it drops only those of polls: new requests are refused
    /// before they are written, and the limit of waiting switches bounds the admitted ones.
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
        let is_enough = waiting.changes >= ENOUGH;
        self.wake(&mut waiting, if is_enough { Wake::Now } else { Wake::Soon });
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;
    use crate::{
        domain::{PreviousValue, Puname, RequestId},
        metrics::{ChangeEnd, ChangeKind},
    };

    fn queue(sync: HistorySync) -> Arc<Queue> {
        Queue::new(sync, &Metrics::unwatched())
    }

    fn changes(source: &Source, count: usize) -> Vec<Change> {
        let what = ChangeKind::Switch {
            puname: Puname::parse("alice").unwrap(),
            old: PreviousValue::NotKnown,
            new: None,
            superseded_by: None,
            due: None,
            revision: None,
        };
        let end = (ChangeEnd::Applied, "applied");
        iter::repeat_with(|| Change::new(source.clone(), what.clone(), end, None))
            .take(count)
            .collect()
    }

    #[test]
    fn a_full_queue_drops_changes_and_counts_them_until_some_are_recorded() {
        let (queue, api) = (queue(HistorySync::Updates), Source::api(None, RequestId(1)));
        Feed::take(&*queue, changes(&api, WAITING));
        Feed::take(&*queue, changes(&api, 3));
        let taken = queue.take();
        assert_eq!((taken.items.len(), taken.dropped), (1, 3));
        Feed::take(&*queue, changes(&api, 1));
        assert_eq!(queue.take().dropped, 1, "taken, but not recorded");
        queue.recorded(1);
        Feed::take(&*queue, changes(&api, 1));
        let taken = queue.take();
        assert_eq!((taken.items.len(), taken.dropped), (1, 0));
        assert_eq!(queue.metrics.history().map(|it| it.dropped), None, "nothing is recorded yet");
    }

    #[test]
    fn with_all_a_full_queue_refuses_requests_and_drops_those_of_polls_alone() {
        let queue = queue(HistorySync::All);
        let (api, poll) = (Source::api(None, RequestId(1)), Source::poll(RequestId(2)));
        assert_eq!(queue.admits(), Ok(()));
        Feed::take(&*queue, changes(&api, WAITING));
        assert!(queue.admits().is_err());
        // Admitted before.
        Feed::take(&*queue, changes(&api, 3));
        Feed::take(&*queue, changes(&poll, 4));
        let taken = queue.take();
        assert_eq!((taken.items.len(), taken.dropped), (2, 4));
        queue.recorded(WAITING);
        assert_eq!(queue.admits(), Ok(()));
    }

    #[test]
    fn too_many_requests_are_refused_until_the_others_are_taken() {
        let queue = queue(HistorySync::Updates);
        let wait = || {
            let (reply, recorded) = oneshot::channel();
            queue.wait(Waiter { wants_sync: false, reply });
            recorded
        };
        let mut waiters: Vec<_> = (0..REQUESTS).map(|_| wait()).collect();
        assert!(waiters.iter_mut().all(|waiter| waiter.try_recv().is_err()));
        assert_eq!(wait().try_recv(), Ok(Err(too_many())));
        assert_eq!(queue.take().waiters.len(), REQUESTS);
        assert!(wait().try_recv().is_err(), "it waits");
    }

    #[test]
    fn with_all_nothing_is_admitted_while_the_disk_refuses() {
        let queue = queue(HistorySync::All);
        queue.set_fault(Some("disk full".into()));
        assert_eq!(queue.admits(), Err(NotRecorded("disk full".into())));
        queue.recorded(1);
        assert!(queue.admits().is_err(), "something else was recorded");
        queue.set_fault(None);
        assert_eq!(queue.admits(), Ok(()));
    }
}
