//! Metrics of the history.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

use super::{Metrics, register};

pub(super) struct HistoryMetrics {
    records: Gauge,
    bytes: Gauge,
    oldest: Gauge,
    waiting: Gauge,
    lag_seconds: Gauge,
    failing: Gauge,
    dropped: Counter,
    /// Time at which the oldest unrecorded change began to wait.
    waits_since: Mutex<Option<Instant>>,
    chain_head: Mutex<Option<String>>,
}

/// Figures of the history, for the status page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryNow {
    /// Records of all kinds.
    pub records: u64,
    /// Bytes of the database in use, with its log of writes.
    pub bytes: u64,
    /// Time of the oldest switch.
    pub oldest: Option<SystemTime>,
    /// Changes that are not recorded yet.
    pub waiting: u64,
    /// Time for which the oldest of them has waited, in seconds.
    pub lag_seconds: u64,
    /// Changes that were dropped since the start.
    pub dropped: u64,
    /// Whether the last attempt to record failed.
    pub is_failing: bool,
    /// The newest link of the chain of payout changes, 64 hexadecimal digits.
    pub chain_head: String,
}

impl HistoryMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let mut gauge = |name, help| register(registry, name, help);
        Self {
            records: gauge("history_records", "Records in the history; 0 without one"),
            bytes: gauge("history_bytes", "Bytes of the history in use, with its log of writes"),
            oldest: gauge(
                "history_oldest_timestamp_seconds",
                "Time of the history's oldest switch; 0 if it has none",
            ),
            waiting: gauge("history_waiting", "Changes that the history has not recorded yet"),
            lag_seconds: gauge(
                "history_lag_seconds",
                "Time for which the oldest unrecorded change has waited; 0 if none waits",
            ),
            failing: gauge(
                "history_failing",
                "1 if the last attempt to record changes failed, for example on a full disk",
            ),
            dropped: register(
                registry,
                "history_dropped",
                "Changes that were not recorded, since the queue was full",
            ),
            waits_since: Mutex::default(),
            chain_head: Mutex::default(),
        }
    }
}

/// A poisoned value is still consistent.
fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The value for a gauge, at most `i64::MAX`.
fn amount(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

impl Metrics {
    /// Sets the number of changes that wait to be recorded, and the time at which the oldest began to wait.
    pub(crate) fn history_waits(&self, changes: usize, since: Option<Instant>) {
        let history = &self.0.history;
        history.waiting.set(amount(changes));
        *lock(&history.waits_since) = since;
    }

    /// Sets the metrics that grow with time. Call it before the metrics are read.
    pub fn refresh(&self) {
        let history = &self.0.history;
        let lag = lock(&history.waits_since).map(|since| since.elapsed()).unwrap_or_default();
        history.lag_seconds.set(amount(lag.as_secs()));
    }

    /// Counts changes that were dropped.
    pub(crate) fn history_dropped(&self, changes: usize) {
        self.0.history.dropped.inc_by(changes as u64);
    }

    /// Sets whether the last attempt to record failed.
    pub(crate) fn history_fails(&self, fails: bool) {
        self.0.history.failing.set(fails.into());
    }

    /// The newest link of the chain.
    pub(crate) fn history_chain_head(&self, chain_head: String) {
        *lock(&self.0.history.chain_head) = Some(chain_head);
    }

    /// Sets the contents of the database; `oldest` is in milliseconds since 1970.
    pub(crate) fn history_size(
        &self,
        records: u64,
        bytes: u64,
        oldest: Option<i64>,
        chain_head: String,
    ) {
        let history = &self.0.history;
        history.records.set(amount(records));
        history.bytes.set(amount(bytes));
        history.oldest.set(oldest.unwrap_or(0) / 1000);
        self.history_chain_head(chain_head);
    }

    /// Figures of the history; `None` without one.
    pub fn history(&self) -> Option<HistoryNow> {
        let history = &self.0.history;
        self.refresh();
        let chain_head = lock(&history.chain_head).clone();
        let count = |gauge: &Gauge| u64::try_from(gauge.get()).unwrap_or(0);
        let oldest = Some(count(&history.oldest)).filter(|&seconds| seconds > 0);
        Some(HistoryNow {
            records: count(&history.records),
            bytes: count(&history.bytes),
            oldest: oldest.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds)),
            waiting: count(&history.waiting),
            lag_seconds: count(&history.lag_seconds),
            dropped: history.dropped.get(),
            is_failing: history.failing.get() != 0,
            chain_head: chain_head?,
        })
    }
}
