//! Metrics of user lists.

use std::{
    collections::BTreeMap,
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
}

/// Without lists, nothing is registered.
pub(super) struct UserListMetrics(BTreeMap<Coin, OfList>);

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
            }
        };
        Self(lists.iter().map(|coin| (coin.clone(), of_list(coin))).collect())
    }

    pub(super) fn pulled(&self, coin: &Coin, end: PullResult, size: usize) {
        let Some(list) = self.0.get(coin) else { return };
        list.ended[end as usize].inc();
        list.entries.set(i64::try_from(size).unwrap_or(i64::MAX));
        if end == PullResult::Complete {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            list.last_success.set(whole_seconds(now));
        }
    }
}

fn whole_seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}
