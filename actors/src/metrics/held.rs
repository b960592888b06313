//! Metrics of held switches.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{labels::label_values, register};

label_values! {
    /// How a held switch ended.
    HeldEnd {
        /// Its coin was written.
        CarriedOut = "carried_out",
        /// Its sub-account's znode was written after it.
        Obsolete = "obsolete",
    }
}

impl HeldEnd {
    /// The words in the log and among recent changes.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::CarriedOut => "carried out",
            Self::Obsolete => "obsolete",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    result: &'static str,
}

pub(super) struct HeldMetrics {
    pub(super) now: Gauge,
    pub(super) overdue_seconds: Gauge,
    pub(super) ended: [Counter; HeldEnd::ALL.len()],
}

impl HeldMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let help = "Held switches that this daemon, as the carrier, has ended, by result";
        let ended: Family<Labels, Counter> = register(registry, "held_switches_ended", help);
        Self {
            now: register(registry, "held_switches", "Held switches that are known to this daemon"),
            overdue_seconds: register(
                registry,
                "held_switches_overdue_seconds",
                "Time by which the oldest held switch is overdue; 0 if none is",
            ),
            ended: HeldEnd::ALL
                .map(|end| ended.get_or_create_owned(&Labels { result: end.label() })),
        }
    }
}
