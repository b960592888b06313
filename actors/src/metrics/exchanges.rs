//! Metrics of exchanges with jobmakers.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::{Registry, Unit},
};

use super::{Histogram, labels::label_values, register};

label_values! {
    /// Kind of a request to a jobmaker.
    Asked {
        /// Read the coinbase.
        Get = "get",
        /// Change the coinbase.
        Update = "update",
    }
}

label_values! {
    /// Result of an exchange with a jobmaker.
    ExchangeEnd {
        /// The jobmaker did as requested.
        Done = "done",
        /// The jobmaker refused.
        Refused = "refused",
        /// Nothing was written.
        NothingWritten = "nothing_written",
        /// Done or not.
        Unknown = "unknown",
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ExchangeLabels {
    kind: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AckLabels {
    kind: &'static str,
}

pub(super) struct ExchangeMetrics {
    pub(super) ended: [[Counter; ExchangeEnd::ALL.len()]; Asked::ALL.len()],
    pub(super) ack_seconds: [Histogram; Asked::ALL.len()],
}

impl ExchangeMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let ended: Family<ExchangeLabels, Counter> = register(
            registry,
            "subpool_exchanges",
            "Exchanges with jobmakers, and requests that never became one, by what was asked and what came of it",
        );
        let seconds: fn() -> Histogram = || Histogram::new(Histogram::SECONDS);
        let ack_seconds = Family::<AckLabels, Histogram, _>::new_with_constructor(seconds);
        registry.register_with_unit(
            "subpool_ack_duration",
            "From a request's sending to the jobmaker's answer, where it gave one",
            Unit::Seconds,
            ack_seconds.clone(),
        );
        Self {
            ended: Asked::ALL.map(|asked| {
                ExchangeEnd::ALL.map(|end| {
                    let labels = ExchangeLabels { kind: asked.label(), result: end.label() };
                    ended.get_or_create_owned(&labels)
                })
            }),
            ack_seconds: Asked::ALL
                .map(|asked| ack_seconds.get_or_create_owned(&AckLabels { kind: asked.label() })),
        }
    }
}
