//! Metrics of switches: by source, coin and result.

use std::sync::Arc;

use arc_swap::ArcSwap;
use foldhash::HashMap;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::register;
use crate::domain::{Coin, Coins, OutcomeKind, Source, SourceKind};

/// The counted results, each at its own index `as usize`. Callers' switches have the first five only, undos the first
/// three.
pub(super) const RESULTS: [OutcomeKind; 7] = [
    OutcomeKind::Applied,
    OutcomeKind::NotApplied,
    OutcomeKind::Unknown,
    OutcomeKind::Superseded,
    OutcomeKind::Held,
    OutcomeKind::Unchanged,
    OutcomeKind::Skipped,
];
const CALLERS_RESULTS: usize = 5;
const UNDO_RESULTS: usize = 3;

/// Label of deletions, which have no coin.
const NO_COIN: &str = "-";

/// Number of switches of the API or of polls with these labels since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchCount {
    /// `api` or `poll`.
    pub source: &'static str,
    /// The requested coin.
    pub coin: Coin,
    /// The metric's label.
    pub result: &'static str,
    /// Since the start.
    pub count: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SwitchLabels {
    source: &'static str,
    coin: String,
    result: &'static str,
}

/// Counters of switches, looked up by coin without a lock.
///
/// A coin that is removed from the configuration keeps its counters: switches accepted before still end.
pub(super) struct SwitchMetrics {
    family: Family<SwitchLabels, Counter>,
    polls: bool,
    /// Znodes that undos delete.
    deletions: [Counter; UNDO_RESULTS],
    by_coin: ArcSwap<HashMap<Coin, Arc<CoinCounters>>>,
}

/// The switches to one coin, by result.
struct CoinCounters {
    api: [Counter; CALLERS_RESULTS],
    poll: [Counter; RESULTS.len()],
    undo: [Counter; UNDO_RESULTS],
}

impl SwitchMetrics {
    pub(super) fn new(coins: &Coins, polls: bool, registry: &mut Registry) -> Self {
        let help =
            "Switches that are settled, by who asked, the coin asked for, and what came of it";
        let family = register(registry, "switches", help);
        let deletions = std::array::from_fn(|end| series(&family, "undo", NO_COIN, RESULTS[end]));
        let switches = Self { family, polls, deletions, by_coin: ArcSwap::default() };
        switches.allow(coins);
        switches
    }

    /// Adds counters for these coins.
    pub(super) fn allow(&self, coins: &Coins) {
        let mut by_coin = HashMap::clone(&self.by_coin.load());
        for coin in coins.iter() {
            by_coin.entry(coin.clone()).or_insert_with(|| Arc::new(self.counters(coin)));
        }
        self.by_coin.store(Arc::new(by_coin));
    }

    /// Counts switches of `source`; `coin` is `None` if an undo deletes znodes.
    pub(super) fn count(&self, source: &Source, coin: Option<&Coin>, end: OutcomeKind, count: u64) {
        let by_coin = self.by_coin.load();
        let counters = match (coin.map(|coin| by_coin.get(coin)), source.kind) {
            (None, _) => &self.deletions[..],
            (Some(None), _) => return,
            (Some(Some(counters)), SourceKind::Poll) => &counters.poll[..],
            (Some(Some(counters)), SourceKind::Undo) => &counters.undo[..],
            (Some(Some(counters)), _) => &counters.api[..],
        };
        if let Some(counter) = counters.get(end as usize) {
            counter.inc_by(count);
        }
    }

    /// All counts of the API and of polls, including zeros.
    pub(super) fn counts(&self) -> Vec<SwitchCount> {
        let mut counts = Vec::new();
        for (coin, counters) in self.by_coin.load().iter() {
            for (source, counters) in [("api", &counters.api[..]), ("poll", &counters.poll[..])] {
                counts.extend(RESULTS.iter().zip(counters).map(|(end, counter)| {
                    let (coin, result, count) = (coin.clone(), end.label(), counter.get());
                    SwitchCount { source, coin, result, count }
                }));
            }
        }
        counts
    }

    fn counters(&self, coin: &Coin) -> CoinCounters {
        let series = |source, end| series(&self.family, source, coin.as_str(), end);
        CoinCounters {
            api: std::array::from_fn(|end| series("api", RESULTS[end])),
            undo: std::array::from_fn(|end| series("undo", RESULTS[end])),
            poll: RESULTS
                .map(|end| if self.polls { series("poll", end) } else { Counter::default() }),
        }
    }
}

fn series(
    family: &Family<SwitchLabels, Counter>,
    source: &'static str,
    coin: &str,
    end: OutcomeKind,
) -> Counter {
    family.get_or_create_owned(&SwitchLabels { source, coin: coin.to_owned(), result: end.label() })
}
