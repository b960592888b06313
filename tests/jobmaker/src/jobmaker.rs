//! Handle of a running jobmaker.

use std::{
    collections::BTreeSet,
    io,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use thiserror::Error;
use tokio::{
    sync::{oneshot, watch},
    time::timeout,
};

use crate::{
    Knobs,
    orders::{Interrupts, Orders},
    process::Process,
};

/// How long ZooKeeper may take to come before a start has failed.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// A sub-pool and its configured coinbase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubPool {
    /// The request node's absolute path. Its last component is the sub-pool's name.
    pub path: String,
    /// The coinbase text held at a start.
    pub coinbase_info: String,
    /// The payout address held at a start; taken as it is.
    pub payout_addr: String,
}

impl SubPool {
    /// As the fields say.
    pub fn new(path: &str, coinbase_info: &str, payout_addr: &str) -> Self {
        Self {
            path: path.to_owned(),
            coinbase_info: coinbase_info.to_owned(),
            payout_addr: payout_addr.to_owned(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    fn is_valid(&self) -> bool {
        let mut components = self.path.split('/');
        components.next() == Some("")
            && !self.path.contains('\0')
            && components.all(|component| !["", ".", ".."].contains(&component))
    }
}

/// The text does not say `/PATH=COINBASE_INFO,PAYOUT_ADDR`.
#[derive(Debug, Error)]
#[error("expected /PATH=COINBASE_INFO,PAYOUT_ADDR")]
pub struct NotASubPool;

impl FromStr for SubPool {
    type Err = NotASubPool;

    /// Reads `/PATH=COINBASE_INFO,PAYOUT_ADDR`. The path ends at the first `=`, and the address begins
    /// after the last comma.
    fn from_str(text: &str) -> Result<Self, NotASubPool> {
        let (path, value) = text.split_once('=').ok_or(NotASubPool)?;
        let (coinbase_info, payout_addr) = value.rsplit_once(',').ok_or(NotASubPool)?;
        Some(Self::new(path, coinbase_info, payout_addr)).filter(Self::is_valid).ok_or(NotASubPool)
    }
}

/// Why a jobmaker did not start.
#[derive(Debug, Error)]
pub enum Error {
    /// The path is no absolute znode path, or two sub-pools have it.
    #[error("'{0}' cannot be a sub-pool's path, or is twice in the list")]
    Path(String),
    /// The operating system gave no thread.
    #[error("cannot start the jobmaker's thread: {0}")]
    Thread(#[source] io::Error),
    /// ZooKeeper did not come, or refuses to be written.
    #[error("no sub-pool could be read and acked at {0} within {START_PATIENCE:?}")]
    NotReady(String),
}

/// A value that a sub-pool held from a moment on, until the next one of the same path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// When it was applied: after the read of the request node and before the ack.
    pub at: Instant,
    /// The sub-pool's request node.
    pub path: String,
    /// The coinbase text as it was cut; where the cut left half a character, with U+FFFD for it.
    pub coinbase_info: String,
    /// The address in the jobmaker's spelling.
    pub payout_addr: String,
    /// Whether it is the configured value of a process that has just started.
    pub restart: bool,
}

/// Counters of a jobmaker so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Reads of request nodes.
    pub reads: u64,
    /// Acks written and confirmed by ZooKeeper, without garbage; one that was written twice counts twice.
    pub acks: u64,
    /// Starts, the first included. An ordered crash counts once the jobmaker has started again.
    pub lives: u64,
}

/// State that the thread shares with its callers.
#[derive(Default)]
pub(crate) struct Shared {
    history: Mutex<Vec<Applied>>,
    counters: Mutex<Counters>,
}

impl Shared {
    pub(crate) fn record(&self, applied: Applied) {
        locked(&self.history).push(applied);
    }

    pub(crate) fn count_read(&self) {
        locked(&self.counters).reads += 1;
    }

    pub(crate) fn count_ack(&self) {
        locked(&self.counters).acks += 1;
    }

    pub(crate) fn count_life(&self) {
        locked(&self.counters).lives += 1;
    }
}

/// A jobmaker that runs, on a thread of its own: tests may block theirs. It goes on whatever ZooKeeper
/// does, and ends with [`stop`](Self::stop) or, without waiting, when it is dropped.
pub struct Jobmaker {
    orders: watch::Sender<Orders>,
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
    ended: oneshot::Receiver<()>,
}

impl Jobmaker {
    /// Starts a jobmaker at `zookeeper` (`host:port`, or several with commas between). Returns when the
    /// nodes exist and each sub-pool has been read and, unless its content is never acked, acked.
    ///
    /// Fails if a path cannot be a znode's, or if ZooKeeper does not let it get so far within a minute.
    pub async fn start(
        zookeeper: &str,
        sub_pools: Vec<SubPool>,
        knobs: Knobs,
    ) -> Result<Self, Error> {
        let mut paths = BTreeSet::new();
        for sub_pool in &sub_pools {
            if !sub_pool.is_valid() || !paths.insert(&sub_pool.path) {
                return Err(Error::Path(sub_pool.path.clone()));
            }
        }
        let (orders, interrupts) = watch::channel(Orders::default());
        let (ready, begun) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let shared = Arc::new(Shared::default());
        let interrupts = Interrupts::new(interrupts);
        let process =
            Process::new(zookeeper, sub_pools, knobs, interrupts, Arc::clone(&shared), ready);
        let run = move || {
            process.run();
            drop(end);
        };
        let thread = thread::Builder::new().name("jobmaker".to_owned()).spawn(run);
        let thread = thread.map_err(Error::Thread)?;
        let jobmaker = Self { orders, shared, thread, ended };
        match timeout(START_PATIENCE, begun).await {
            Ok(Ok(())) => Ok(jobmaker),
            _ => Err(Error::NotReady(zookeeper.to_owned())),
        }
    }

    /// Makes it stand still: it neither reads nor writes until [`resume`](Self::resume), but its session
    /// lives on and its delays run out. A read or write that is under way is finished.
    pub fn pause(&self) {
        self.orders.send_modify(|orders| orders.paused = true);
    }

    /// Lets it go on after [`pause`](Self::pause).
    pub fn resume(&self) {
        self.orders.send_modify(|orders| orders.paused = false);
    }

    /// Crashes it wherever it is, paused or not, except in the middle of a write. Then it starts again: it
    /// holds its configured values, reads every request node unasked and acks. This returns at once;
    /// [`Counters::lives`] and the history show when.
    pub fn crash(&self) {
        self.orders.send_modify(|orders| orders.crashes += 1);
    }

    /// Stops the jobmaker and closes its session. No ack comes later.
    pub async fn stop(self) {
        self.orders.send_modify(|orders| orders.stopped = true);
        // It is dropped, not sent.
        let _ = self.ended.await;
        let _ = self.thread.join();
    }

    /// Every value held so far, in order, those of starts included.
    pub fn applied(&self) -> Vec<Applied> {
        locked(&self.shared.history).clone()
    }

    /// Counters so far.
    pub fn counters(&self) -> Counters {
        *locked(&self.shared.counters)
    }
}

/// A panic while the lock was held leaves nothing half done.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::SubPool;

    #[test]
    fn a_sub_pool_is_read_from_one_word() {
        let sub_pool: SubPool = "/subpool/btc/pool3=a=b,c,34wo".parse().unwrap();
        assert_eq!(sub_pool, SubPool::new("/subpool/btc/pool3", "a=b,c", "34wo"));
        assert_eq!(sub_pool.name(), "pool3");
    }

    #[test]
    fn other_words_are_no_sub_pools() {
        for text in ["", "/a", "/a=b", "a=b,c", "/=b,c", "/a/=b,c", "/a//b=c,d", "/a/../b=c,d"] {
            assert!(text.parse::<SubPool>().is_err(), "{text:?}");
        }
    }
}
