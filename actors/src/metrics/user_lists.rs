//! Metrics of user lists.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use super::{labels::label_values, register};
use crate::domain::Coin;

label_values! {
    /// Result of a pull.
    PullResult {
        /// All entries have their first coins.
        Complete = "complete",
        /// The list is complete; ZooKeeper refused first coins.
        Incomplete = "incomplete",
        /// There was no answer, or ZooKeeper was away.
        Failed = "failed",
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PullLabels {
    coin: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListLabels {
    coin: String,
}

/// One list's metrics.
struct OfList {
    ended: [Counter; PullResult::ALL.len()],
    entries: Gauge,
    last_success: Gauge,
    skipped: Gauge,
    last: Mutex<(Option<LastPull>, SkippedEntries)>,
}

/// The last pull of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastPull {
    /// Its end, in seconds since 1970.
    pub at: u64,
    /// `complete`, `incomplete` or `failed`, as in the metrics.
    pub outcome: &'static str,
    /// Why it is not complete, or why an index entry was not written.
    pub cause: Option<String>,
}

/// Entries of a list that can never be listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SkippedEntries {
    /// Number since the start; a lower bound if an answer had many.
    pub count: usize,
    /// Name and fault of the last, fit for a terminal.
    pub last: Option<(String, String)>,
}

/// Pulls of one list.
#[derive(Clone, Debug)]
pub struct ListPulls {
    /// The list's coin.
    pub coin: Coin,
    /// `None` before the end of the first pull.
    pub last: Option<LastPull>,
    /// End of the last complete pull, in seconds since 1970; `None` before the first.
    pub last_complete: Option<u64>,
    /// Entries that can never be listed.
    pub skipped: SkippedEntries,
}

/// The end of a pull.
pub(crate) struct EndedPull {
    pub(crate) result: PullResult,
    pub(crate) cause: Option<String>,
    /// Entries of the list now.
    pub(crate) size: usize,
    pub(crate) skipped: SkippedEntries,
}

/// Without lists, nothing is registered.
pub(super) struct UserListMetrics {
    pause: Duration,
    lists: BTreeMap<Coin, OfList>,
}

impl UserListMetrics {
    pub(super) fn new(lists: &[Coin], pause: Duration, registry: &mut Registry) -> Self {
        let mut unused = Registry::default();
        let registry = if lists.is_empty() { &mut unused } else { registry };
        let ended: Family<PullLabels, Counter> = register(
            registry,
            "user_list_pulls",
            "Pulls of a list of sub-accounts that have ended",
        );
        let entries: Family<ListLabels, Gauge> =
            register(registry, "user_list_entries", "Sub-accounts in a list");
        let skipped: Family<ListLabels, Gauge> = register(
            registry,
            "user_list_skipped_entries",
            "Entries of a list's answers that can never be listed: bad names, bad puids",
        );
        let last_success = Family::<ListLabels, Gauge>::default();
        let interval = Family::<ListLabels, Gauge>::default();
        registry.register_with_unit(
            "user_list_last_success_timestamp",
            "Time of the last complete pull, since 1970; 0 before the first",
            Unit::Seconds,
            last_success.clone(),
        );
        registry.register_with_unit(
            "user_list_interval",
            "Pause between two pulls of a list, as configured",
            Unit::Seconds,
            interval.clone(),
        );
        let of_list = |coin: &Coin| {
            let coin = coin.as_str().to_owned();
            let labels = ListLabels { coin: coin.clone() };
            interval.get_or_create(&labels).set(whole_seconds(pause));
            OfList {
                ended: PullResult::ALL.map(|end| {
                    let labels = PullLabels { coin: coin.clone(), outcome: end.label() };
                    ended.get_or_create_owned(&labels)
                }),
                entries: entries.get_or_create_owned(&labels),
                last_success: last_success.get_or_create_owned(&labels),
                skipped: skipped.get_or_create_owned(&labels),
                last: Mutex::default(),
            }
        };
        Self { pause, lists: lists.iter().map(|coin| (coin.clone(), of_list(coin))).collect() }
    }

    pub(super) fn pause(&self) -> Duration {
        self.pause
    }

    pub(super) fn pulls(&self) -> Vec<ListPulls> {
        let pulls = self.lists.iter().map(|(coin, list)| {
            let (last, skipped) = list.last().clone();
            let last_complete = u64::try_from(list.last_success.get()).ok().filter(|&at| at > 0);
            ListPulls { coin: coin.clone(), last, last_complete, skipped }
        });
        pulls.collect()
    }

    pub(super) fn pulled(&self, coin: &Coin, end: EndedPull) {
        let Some(list) = self.lists.get(coin) else { return };
        let EndedPull { result, cause, size, skipped } = end;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        list.ended[result as usize].inc();
        list.entries.set(i64::try_from(size).unwrap_or(i64::MAX));
        list.skipped.set(i64::try_from(skipped.count).unwrap_or(i64::MAX));
        if result == PullResult::Complete {
            list.last_success.set(whole_seconds(now));
        }
        let last = LastPull { at: now.as_secs(), outcome: result.label(), cause };
        *list.last() = (Some(last), skipped);
    }
}

impl OfList {
    /// A poisoned state is still consistent.
    fn last(&self) -> MutexGuard<'_, (Option<LastPull>, SkippedEntries)> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn whole_seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}
