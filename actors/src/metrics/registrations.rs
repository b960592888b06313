//! Metrics of registrations.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use super::{Histogram, labels::label_values, register};

/// Upper bounds in seconds, denser around the usual wait of 10 s and the stratum servers' limit of 15 s.
const SECONDS: &[f64] =
    &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 8.0, 10.0, 11.0, 12.0, 13.0, 15.0, 20.0, 30.0, 60.0];

label_values! {
    /// Result of a registration.
    RegistrationEnd {
        /// The backend has registered the name.
        Registered = "registered",
        /// The backend refused the name.
        Refused = "refused",
        /// The backend did not answer in time.
        TimedOut = "timed_out",
        /// The backend could not be asked, or its answer is unusable.
        Failed = "failed",
        /// No sub-account can have the name; the backend was not asked.
        InvalidName = "invalid_name",
    }
}

impl RegistrationEnd {
    /// The words in the log and among recent changes.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::TimedOut => "timed out",
            Self::InvalidName => "invalid name",
            _ => self.label(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RegistrationLabels {
    outcome: &'static str,
}

pub(super) struct RegistrationMetrics {
    ended: [Counter; RegistrationEnd::ALL.len()],
    seconds: Histogram,
    pub(super) under_way: Gauge,
    pub(super) delayed: Counter,
}

impl RegistrationMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let ended: Family<RegistrationLabels, Counter> =
            register(registry, "registrations", "Registrations of sub-accounts that have ended");
        let seconds = Histogram::new(SECONDS);
        registry.register_with_unit(
            "registration_duration",
            "From the sight of a request for registration to its deletion",
            Unit::Seconds,
            seconds.clone(),
        );
        Self {
            ended: RegistrationEnd::ALL
                .map(|end| ended.get_or_create_owned(&RegistrationLabels { outcome: end.label() })),
            seconds,
            under_way: register(
                registry,
                "registrations_under_way",
                "Requests for registration that were taken up and are not deleted",
            ),
            delayed: register(
                registry,
                "registration_zookeeper_failures",
                "Registrations that ZooKeeper did not confirm, or whose first coin or deletion it did not take, at first",
            ),
        }
    }

    pub(super) fn ended(&self, end: RegistrationEnd, took: Duration) {
        self.ended[end as usize].inc();
        self.seconds.observe(took.as_secs_f64());
    }
}
