//! Every figure: its name, its labels, and what it counts.
//!
//! Names follow Prometheus's conventions: base units, `_total` for what only grows. Labels take few values, all
//! known from the configuration; no sub-account is ever one. What is counted for each switch lies ready in a map
//! from coins, so that a switch costs a look into it, an addition, and no lock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use foldhash::{HashMap, HashMapExt};
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use super::Histogram;
use crate::domain::{Coin, Coins, OutcomeKind, Source};

/// A series' labels.
type Labels = [(&'static str, String); 1];

/// Results that are counted. Those that a caller's switch can have come first.
const RESULTS: [OutcomeKind; 6] = [
    OutcomeKind::Applied,
    OutcomeKind::NotApplied,
    OutcomeKind::Unknown,
    OutcomeKind::Superseded,
    OutcomeKind::Unchanged,
    OutcomeKind::Skipped,
];

/// Number of results that a caller's switch can have.
const RESULTS_OF_CALLERS: usize = 4;

/// What was asked of a jobmaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// What it holds.
    Get,
    /// To hold something else.
    Update,
}

impl Asked {
    const ALL: [Self; 2] = [Self::Get, Self::Update];

    /// Its word in the log, too.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Update => "update",
        }
    }
}

/// How an exchange with a jobmaker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExchangeEnd {
    /// The jobmaker did what was asked.
    Done,
    /// It refused.
    Refused,
    /// Nothing was written.
    NothingWritten,
    /// Nobody can say whether it was done.
    Unknown,
}

impl ExchangeEnd {
    const ALL: [Self; 4] = [Self::Done, Self::Refused, Self::NothingWritten, Self::Unknown];

    fn label(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::NothingWritten => "nothing_written",
            Self::Unknown => "unknown",
        }
    }
}

/// How a poll ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PollEnd {
    /// All of the map is settled.
    Complete,
    /// ZooKeeper did not take all of it.
    Incomplete,
    /// There was no map.
    Failed,
    /// Another daemon polls.
    Standby,
    /// It was given up, since the daemon ends.
    GivenUp,
}

impl PollEnd {
    const ALL: [Self; 5] =
        [Self::Complete, Self::Incomplete, Self::Failed, Self::Standby, Self::GivenUp];

    fn label(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
            Self::Standby => "standby",
            Self::GivenUp => "given_up",
        }
    }
}

/// What waits and what is under way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Depths {
    /// Switches that were accepted and not sent.
    pub(crate) switches: usize,
    /// Requests to jobmakers whose exchange has not begun.
    pub(crate) sub_pool_requests: usize,
    /// Entries of dry runs that are not answered.
    pub(crate) dry_run_entries: usize,
    /// Chunks of callers' switches on their way into ZooKeeper.
    pub(crate) chunks: usize,
    /// Beginnings of polls and parts of their maps on their way.
    pub(crate) polls: usize,
}

/// All figures of the actors.
pub(super) struct Counters {
    switches: Switches,
    chunk_switches: Histogram,
    switches_waiting: Gauge,
    sub_pool_requests_waiting: Gauge,
    dry_run_entries_waiting: Gauge,
    chunks_in_flight: Gauge,
    polls_in_flight: Gauge,
    session_up: Gauge,
    sessions: Counter,
    connections_lost: Counter,
    newer_znodes_overwritten: Counter,
    exchanges: [[Counter; ExchangeEnd::ALL.len()]; Asked::ALL.len()],
    ack_seconds: [Histogram; Asked::ALL.len()],
    polls: [Counter; PollEnd::ALL.len()],
    poll_seconds: Histogram,
    poll_last_success: Gauge,
    poll_standby: Gauge,
    poll_interval: Gauge,
    poll_invalid_entries: Counter,
    /// How the last poll has ended, as its place among all ends and one more; 0 before the first.
    last_poll: AtomicUsize,
}

/// How many switches of a source to a coin have ended in one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchCount {
    /// `api` or `poll`.
    pub source: &'static str,
    /// The coin that was asked for.
    pub coin: Coin,
    /// The label of the figure.
    pub result: &'static str,
    /// Since the start.
    pub count: u64,
}

/// The switches of each coin that may be switched to, or might be since the start: what has been counted stays,
/// and what was accepted while a coin was allowed is still to be counted.
struct Switches {
    family: Family<SwitchLabels, Counter>,
    polls: bool,
    of_coins: ArcSwap<HashMap<Coin, Arc<OfCoin>>>,
}

type SwitchLabels = [(&'static str, String); 3];

/// The switches to one coin, by what became of them.
struct OfCoin {
    api: [Counter; RESULTS_OF_CALLERS],
    poll: [Counter; RESULTS.len()],
}

impl Counters {
    /// All of them at nought, added to `registry`: those of polls only if there is an `interval` between them.
    pub(super) fn new(coins: &Coins, interval: Option<Duration>, registry: &mut Registry) -> Self {
        let mut without_polls = Registry::default();
        let polls = interval.is_some();
        let of_polls = if polls { &mut *registry } else { &mut without_polls };
        let (ends, poll_seconds) = (Family::default(), Histogram::new(POLL_SECONDS));
        let (poll_last_success, poll_invalid_entries) = (Gauge::default(), Counter::default());
        of_polls.register("polls", "Polls of the user-coin map that have ended", ends.clone());
        of_polls.register_with_unit(
            "poll_duration",
            "From the beginning of a poll to its end, where this daemon polled",
            Unit::Seconds,
            poll_seconds.clone(),
        );
        of_polls.register_with_unit(
            "poll_last_success_timestamp",
            "When a poll was complete last, since 1970; 0 before the first",
            Unit::Seconds,
            poll_last_success.clone(),
        );
        let poll_interval = Gauge::default();
        poll_interval.set(whole_seconds(interval.unwrap_or_default()));
        of_polls.register_with_unit(
            "poll_interval",
            "From the beginning of a poll to that of the next, as configured",
            Unit::Seconds,
            poll_interval.clone(),
        );
        let poll_standby =
            gauge(of_polls, "poll_standby", "Whether another daemon polls, and this one stands by");
        of_polls.register(
            "poll_invalid_entries",
            "Entries of the user-coin map that can never be written: bad names, unknown coins",
            poll_invalid_entries.clone(),
        );
        let poll_counters = PollEnd::ALL.map(|end| {
            let labels: Labels = [("outcome", end.label().to_owned())];
            ends.get_or_create_owned(&labels)
        });
        Self {
            switches: Switches::new(coins, polls, registry),
            chunk_switches: histogram(
                registry,
                "zookeeper_chunk_switches",
                "Sub-accounts that were sent to ZooKeeper together for callers",
            ),
            switches_waiting: gauge(
                registry,
                "switches_waiting",
                "Switches that were accepted and not sent to ZooKeeper yet",
            ),
            sub_pool_requests_waiting: gauge(
                registry,
                "subpool_requests_waiting",
                "Requests to jobmakers that wait for their turn",
            ),
            dry_run_entries_waiting: gauge(
                registry,
                "dry_run_entries_waiting",
                "Entries of dry runs that were accepted and are not answered yet",
            ),
            chunks_in_flight: gauge(
                registry,
                "zookeeper_chunks_in_flight",
                "Chunks of callers' switches on their way into ZooKeeper",
            ),
            polls_in_flight: gauge(
                registry,
                "zookeeper_poll_parts_in_flight",
                "Parts of a user-coin map on their way into ZooKeeper",
            ),
            session_up: gauge(
                registry,
                "zookeeper_session_up",
                "Whether there is a session with ZooKeeper",
            ),
            sessions: counter(registry, "zookeeper_sessions", "Sessions with ZooKeeper begun"),
            connections_lost: counter(
                registry,
                "zookeeper_connections_lost",
                "Connections to ZooKeeper that broke",
            ),
            newer_znodes_overwritten: counter(
                registry,
                "zookeeper_newer_znodes_overwritten",
                "Writes of polls and gets that replaced a znode which was deleted and created again after the read",
            ),
            exchanges: exchanges(registry),
            ack_seconds: ack_seconds(registry),
            polls: poll_counters,
            poll_seconds,
            poll_last_success,
            poll_standby,
            poll_interval,
            poll_invalid_entries,
            last_poll: AtomicUsize::new(0),
        }
    }

    pub(super) fn switch(&self, source: Source, coin: &Coin, end: OutcomeKind) {
        self.switches(source, coin, end, 1);
    }

    pub(super) fn switches(&self, source: Source, coin: &Coin, end: OutcomeKind, count: u64) {
        let of_coins = self.switches.of_coins.load();
        let Some(of_coin) = of_coins.get(coin) else { return };
        let counter = match source {
            Source::Api { .. } => of_coin.api.get(end as usize),
            Source::Poll => of_coin.poll.get(end as usize),
        };
        if let Some(counter) = counter {
            counter.inc_by(count);
        }
    }

    pub(super) fn allow(&self, coins: &Coins) {
        self.switches.allow(coins);
    }

    pub(super) fn polls_every(&self, interval: Duration) {
        self.poll_interval.set(whole_seconds(interval));
    }

    /// All of them, nought too.
    pub(super) fn switch_counts(&self) -> Vec<SwitchCount> {
        self.switches.counts()
    }

    pub(super) fn switches_waiting(&self) -> u64 {
        u64::try_from(self.switches_waiting.get()).unwrap_or(0)
    }

    /// Seconds; 0 where nothing is polled.
    pub(super) fn poll_interval(&self) -> u64 {
        u64::try_from(self.poll_interval.get()).unwrap_or(0)
    }

    pub(super) fn last_complete_poll(&self) -> Option<u64> {
        u64::try_from(self.poll_last_success.get()).ok().filter(|&at| at > 0)
    }

    /// The label of how the last poll has ended.
    pub(super) fn last_poll(&self) -> Option<&'static str> {
        let place = self.last_poll.load(Relaxed).checked_sub(1)?;
        PollEnd::ALL.get(place).map(|end| end.label())
    }

    pub(super) fn chunk(&self, switches: usize) {
        self.chunk_switches.observe(switches as f64);
    }

    pub(super) fn depths(&self, depths: &Depths) {
        let set = |gauge: &Gauge, depth| gauge.set(i64::try_from(depth).unwrap_or(i64::MAX));
        set(&self.switches_waiting, depths.switches);
        set(&self.sub_pool_requests_waiting, depths.sub_pool_requests);
        set(&self.dry_run_entries_waiting, depths.dry_run_entries);
        set(&self.chunks_in_flight, depths.chunks);
        set(&self.polls_in_flight, depths.polls);
    }

    pub(super) fn session_up(&self) {
        self.sessions.inc();
        self.session_up.set(1);
    }

    pub(super) fn connection_lost(&self) {
        self.connections_lost.inc();
        self.session_up.set(0);
    }

    pub(super) fn session_given_up(&self) {
        self.session_up.set(0);
    }

    pub(super) fn exchange(&self, asked: Asked, end: ExchangeEnd, ack: Option<Duration>) {
        self.exchanges[asked as usize][end as usize].inc();
        if let Some(ack) = ack {
            self.ack_seconds[asked as usize].observe(ack.as_secs_f64());
        }
    }

    pub(super) fn gets_not_begun(&self, gets: usize) {
        self.exchanges[Asked::Get as usize][ExchangeEnd::NothingWritten as usize]
            .inc_by(gets as u64);
    }

    pub(super) fn overwrote(&self) {
        self.newer_znodes_overwritten.inc();
    }

    pub(super) fn poll(&self, end: PollEnd, took: Duration, invalid: usize) {
        self.polls[end as usize].inc();
        self.last_poll.store(end as usize + 1, Relaxed);
        self.poll_invalid_entries.inc_by(invalid as u64);
        if end != PollEnd::GivenUp {
            self.poll_standby.set(i64::from(end == PollEnd::Standby));
        }
        if !matches!(end, PollEnd::Standby | PollEnd::GivenUp) {
            self.poll_seconds.observe(took.as_secs_f64());
        }
        if end == PollEnd::Complete {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.poll_last_success.set(whole_seconds(now));
        }
    }
}

fn whole_seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

/// Switches that go out together: up to a chunk's limit.
const CHUNK_SWITCHES: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0];

/// Seconds of a poll: from one that brings nothing to one of a million entries from a slow upstream.
const POLL_SECONDS: &[f64] =
    &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    registry.register(name, help, counter.clone());
    counter
}

fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}

fn histogram(registry: &mut Registry, name: &str, help: &str) -> Histogram {
    let histogram = Histogram::new(CHUNK_SWITCHES);
    registry.register(name, help, histogram.clone());
    histogram
}

impl Switches {
    fn new(coins: &Coins, polls: bool, registry: &mut Registry) -> Self {
        let family = Family::<SwitchLabels, Counter>::default();
        registry.register(
            "switches",
            "Switches that are settled, by who asked, the coin asked for, and what came of it",
            family.clone(),
        );
        let switches = Self { family, polls, of_coins: ArcSwap::from_pointee(HashMap::new()) };
        switches.allow(coins);
        switches
    }

    /// Has these coins counted from now on, too.
    fn allow(&self, coins: &Coins) {
        let mut of_coins = HashMap::clone(&self.of_coins.load());
        for coin in coins.iter() {
            of_coins.entry(coin.clone()).or_insert_with(|| Arc::new(self.of_coin(coin)));
        }
        self.of_coins.store(Arc::new(of_coins));
    }

    fn counts(&self) -> Vec<SwitchCount> {
        let mut counts = Vec::new();
        for (coin, OfCoin { api, poll }) in self.of_coins.load().iter().map(|(c, of)| (c, &**of)) {
            for (source, counters) in [("api", &api[..]), ("poll", &poll[..])] {
                counts.extend(RESULTS.iter().zip(counters).map(|(end, counter)| {
                    let (coin, result, count) = (coin.clone(), end.label(), counter.get());
                    SwitchCount { source, coin, result, count }
                }));
            }
        }
        counts
    }

    fn of_coin(&self, coin: &Coin) -> OfCoin {
        let series = |source: &str, end: OutcomeKind| {
            let labels: SwitchLabels = [
                ("source", source.to_owned()),
                ("coin", coin.as_str().to_owned()),
                ("result", end.label().to_owned()),
            ];
            self.family.get_or_create_owned(&labels)
        };
        OfCoin {
            api: std::array::from_fn(|end| series("api", RESULTS[end])),
            poll: RESULTS
                .map(|end| if self.polls { series("poll", end) } else { Counter::default() }),
        }
    }
}

fn exchanges(registry: &mut Registry) -> [[Counter; ExchangeEnd::ALL.len()]; Asked::ALL.len()] {
    type Labels = [(&'static str, String); 2];
    let family = Family::<Labels, Counter>::default();
    registry.register(
        "subpool_exchanges",
        "Exchanges with jobmakers, and requests that never became one, by what was asked and what came of it",
        family.clone(),
    );
    Asked::ALL.map(|asked| {
        ExchangeEnd::ALL.map(|end| {
            let labels: Labels =
                [("kind", asked.label().to_owned()), ("result", end.label().to_owned())];
            family.get_or_create_owned(&labels)
        })
    })
}

fn ack_seconds(registry: &mut Registry) -> [Histogram; Asked::ALL.len()] {
    let seconds: fn() -> Histogram = || Histogram::new(Histogram::SECONDS);
    let family = Family::<Labels, Histogram, _>::new_with_constructor(seconds);
    registry.register_with_unit(
        "subpool_ack_duration",
        "From a request's sending to the jobmaker's answer, where it gave one",
        Unit::Seconds,
        family.clone(),
    );
    Asked::ALL.map(|asked| {
        let labels: Labels = [("kind", asked.label().to_owned())];
        family.get_or_create_owned(&labels)
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use prometheus_client::encoding::text::encode;

    use super::*;
    use crate::domain::RequestId;

    const EVERY_MINUTE: Option<Duration> = Some(Duration::from_secs(60));

    fn text(registry: &Registry) -> String {
        let mut text = String::new();
        encode(&mut text, registry).unwrap();
        text
    }

    #[test]
    fn a_switch_is_counted_by_source_coin_and_end() {
        let (coins, mut registry) = (Coins::new(&["btc", "bcc"]).unwrap(), Registry::default());
        let counters = Counters::new(&coins, EVERY_MINUTE, &mut registry);
        let series = text(&registry).lines().count();
        let (api, bcc) = (
            Source::Api { client: Some(Ipv4Addr::LOCALHOST.into()), request: RequestId(1) },
            coins.get("bcc").unwrap(),
        );
        counters.switch(api, bcc, OutcomeKind::Unknown);
        counters.switch(Source::Poll, bcc, OutcomeKind::Skipped);
        // A caller's switch has no such end, and the coin is none of these.
        counters.switch(api, bcc, OutcomeKind::Skipped);
        let foreign = Coins::new(&["ltc"]).unwrap();
        counters.switch(api, foreign.get("ltc").unwrap(), OutcomeKind::Applied);
        let counts = counters.switch_counts();
        let counted = counts.iter().filter(|it| it.count > 0);
        let counted = counted.map(|it| (it.source, it.coin.as_str(), it.result, it.count));
        let expected = [("api", "bcc", "unknown", 1), ("poll", "bcc", "skipped", 1)];
        assert_eq!(counted.collect::<Vec<_>>(), expected);
        let text = text(&registry);
        for line in [
            r#"switches_total{source="api",coin="bcc",result="unknown"} 1"#,
            r#"switches_total{source="poll",coin="bcc",result="skipped"} 1"#,
            r#"switches_total{source="api",coin="btc",result="unknown"} 0"#,
        ] {
            assert!(text.lines().any(|it| it == line), "no {line} in {text}");
        }
        assert_eq!(text.lines().count(), series, "new series have come");
    }

    #[test]
    fn a_coin_that_comes_later_is_counted_and_one_that_goes_keeps_its_count() {
        let (coins, mut registry) = (Coins::new(&["btc", "bcc"]).unwrap(), Registry::default());
        let counters = Counters::new(&coins, EVERY_MINUTE, &mut registry);
        let api = Source::Api { client: None, request: RequestId(1) };
        counters.switch(api, coins.get("bcc").unwrap(), OutcomeKind::Applied);
        let later = Coins::new(&["ltc", "btc"]).unwrap();
        counters.allow(&later);
        counters.switch(api, later.get("ltc").unwrap(), OutcomeKind::Applied);
        // It was accepted before.
        counters.switch(api, coins.get("bcc").unwrap(), OutcomeKind::Applied);
        let text = text(&registry);
        for line in [
            r#"switches_total{source="api",coin="bcc",result="applied"} 2"#,
            r#"switches_total{source="api",coin="ltc",result="applied"} 1"#,
            r#"switches_total{source="api",coin="btc",result="applied"} 0"#,
        ] {
            assert!(text.lines().any(|it| it == line), "no {line} in {text}");
        }
    }

    #[test]
    fn each_end_has_its_own_place() {
        let is_in_order =
            |places: &mut dyn Iterator<Item = usize>| places.eq(0..places.size_hint().0);
        assert!(is_in_order(&mut RESULTS.map(|end| end as usize).into_iter()));
        assert!(is_in_order(&mut ExchangeEnd::ALL.map(|end| end as usize).into_iter()));
        assert!(is_in_order(&mut PollEnd::ALL.map(|end| end as usize).into_iter()));
        assert!(is_in_order(&mut Asked::ALL.map(|asked| asked as usize).into_iter()));
    }

    #[test]
    fn a_daemon_that_does_not_poll_shows_nothing_of_polls() {
        let (coins, mut registry) = (Coins::new(&["btc"]).unwrap(), Registry::default());
        Counters::new(&coins, None, &mut registry);
        let text = text(&registry);
        assert!(!text.contains("poll_duration") && !text.contains(r#"source="poll""#), "{text}");
    }

    #[test]
    fn who_stands_by_is_told_by_the_last_poll() {
        let (coins, mut registry) = (Coins::new(&["btc"]).unwrap(), Registry::default());
        let counters = Counters::new(&coins, EVERY_MINUTE, &mut registry);
        // One that is given up says nothing of whose turn it is.
        for (end, expected) in [
            (PollEnd::Standby, 1),
            (PollEnd::GivenUp, 1),
            (PollEnd::Failed, 0),
            (PollEnd::Standby, 1),
            (PollEnd::Complete, 0),
        ] {
            counters.poll(end, Duration::ZERO, 0);
            assert_eq!(counters.poll_standby.get(), expected, "{end:?}");
        }
    }

    #[test]
    fn only_a_complete_poll_moves_the_time_of_success() {
        let (coins, mut registry) = (Coins::new(&["btc"]).unwrap(), Registry::default());
        let counters = Counters::new(&coins, EVERY_MINUTE, &mut registry);
        for end in [PollEnd::Failed, PollEnd::Incomplete, PollEnd::Standby] {
            counters.poll(end, Duration::from_secs(1), 1);
            assert_eq!(counters.last_complete_poll(), None, "{end:?}");
            assert_eq!(counters.last_poll(), Some(end.label()));
        }
        counters.poll(PollEnd::Complete, Duration::from_secs(1), 0);
        assert!(counters.last_complete_poll().unwrap() > 1_600_000_000);
        let text = text(&registry);
        assert!(text.contains("poll_interval_seconds 60"), "{text}");
        assert!(text.contains("poll_invalid_entries_total 3"), "{text}");
        assert!(
            text.contains("poll_duration_seconds_count 3"),
            "standing by takes no time: {text}"
        );
    }
}
