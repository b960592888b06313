//! Metrics of polls.

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use super::{Histogram, labels::label_values, register};

/// Upper bounds in seconds: from a poll without news to a million entries from a slow upstream.
const POLL_SECONDS: &[f64] =
    &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

label_values! {
    /// Result of a poll.
    PollEnd {
        /// The whole map is settled.
        Complete = "complete",
        /// A part of the map was not written.
        Incomplete = "incomplete",
        /// There was no map.
        Failed = "failed",
        /// Another daemon polls.
        Standby = "standby",
        /// Cancelled by the daemon's shutdown.
        GivenUp = "given_up",
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PollLabels {
    outcome: &'static str,
}

pub(super) struct PollMetrics {
    ended: [Counter; PollEnd::ALL.len()],
    seconds: Histogram,
    pub(super) last_success: Gauge,
    pub(super) interval: Gauge,
    pub(super) standby: Gauge,
    invalid_entries: Counter,
    /// The last poll's result: its index in [`PollEnd::ALL`] plus one; 0 before the first poll.
    last_end: AtomicUsize,
}

impl PollMetrics {
    /// Without an `interval` nothing is polled, and nothing registered.
    pub(super) fn new(interval: Option<Duration>, registry: &mut Registry) -> Self {
        let mut unused = Registry::default();
        let registry = if interval.is_some() { registry } else { &mut unused };
        let ended: Family<PollLabels, Counter> =
            register(registry, "polls", "Polls of the user-coin map that have ended");
        let (seconds, last_success, configured) =
            (Histogram::new(POLL_SECONDS), Gauge::default(), Gauge::default());
        registry.register_with_unit(
            "poll_duration",
            "From the beginning of a poll to its end, where this daemon polled",
            Unit::Seconds,
            seconds.clone(),
        );
        registry.register_with_unit(
            "poll_last_success_timestamp",
            "When a poll was complete last, since 1970; 0 before the first",
            Unit::Seconds,
            last_success.clone(),
        );
        registry.register_with_unit(
            "poll_interval",
            "From the beginning of a poll to that of the next, as configured",
            Unit::Seconds,
            configured.clone(),
        );
        let metrics = Self {
            ended: PollEnd::ALL
                .map(|end| ended.get_or_create_owned(&PollLabels { outcome: end.label() })),
            seconds,
            last_success,
            interval: configured,
            standby: register(
                registry,
                "poll_standby",
                "Whether another daemon polls, and this one stands by",
            ),
            invalid_entries: register(
                registry,
                "poll_invalid_entries",
                "Entries of the user-coin map that can never be written: bad names, unknown coins",
            ),
            last_end: AtomicUsize::new(0),
        };
        metrics.set_interval(interval.unwrap_or_default());
        metrics
    }

    pub(super) fn set_interval(&self, interval: Duration) {
        self.interval.set(whole_seconds(interval));
    }

    pub(super) fn last_end(&self) -> Option<&'static str> {
        let index = self.last_end.load(Relaxed).checked_sub(1)?;
        PollEnd::ALL.get(index).map(|end| end.label())
    }

    pub(super) fn ended(&self, end: PollEnd, took: Duration, invalid: usize) {
        self.ended[end as usize].inc();
        self.last_end.store(end as usize + 1, Relaxed);
        self.invalid_entries.inc_by(invalid as u64);
        // A cancelled poll does not know which daemon polls.
        if end != PollEnd::GivenUp {
            self.standby.set(i64::from(end == PollEnd::Standby));
        }
        if !matches!(end, PollEnd::Standby | PollEnd::GivenUp) {
            self.seconds.observe(took.as_secs_f64());
        }
        if end == PollEnd::Complete {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.last_success.set(whole_seconds(now));
        }
    }
}

fn whole_seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}
