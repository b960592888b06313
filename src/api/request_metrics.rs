//! Metrics of the API's requests: their number, by endpoint and `err_no`, and their duration.

use std::time::Duration;

use actix_web::{HttpMessage, HttpRequest};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::{Registry, Unit},
};
use switcher_actors::Histogram;

use super::routes::Endpoint;

/// Labels of the endpoints, and of requests without one: to an unknown path, or refused before the path matters.
const LABELS: [&str; 6] = [
    "switch",
    "switch_multi_user",
    "subpool_get_coinbase",
    "subpool_update_coinbase",
    "user_list",
    "none",
];

fn index(endpoint: Option<Endpoint>) -> usize {
    match endpoint {
        Some(Endpoint::Switch) => 0,
        Some(Endpoint::SwitchMany) => 1,
        Some(Endpoint::GetCoinbase) => 2,
        Some(Endpoint::UpdateCoinbase) => 3,
        Some(Endpoint::UserList) => 4,
        None => 5,
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    endpoint: &'static str,
    err_no: u32,
}

/// Clones share the metrics.
#[derive(Clone)]
pub struct RequestMetrics {
    /// Successful requests, which are nearly all: looked up in advance, so that one takes no lock.
    successes: [Counter; LABELS.len()],
    answers: Family<AnswerLabels, Counter>,
    seconds: [Histogram; LABELS.len()],
}

impl RequestMetrics {
    pub fn new(registry: &mut Registry) -> Self {
        let answers = Family::<AnswerLabels, Counter>::default();
        registry.register(
            "http_requests",
            "Requests to the API that were answered, by endpoint and by the answer's err_no; 0 is success",
            answers.clone(),
        );
        let seconds: fn() -> Histogram = || Histogram::new(Histogram::SECONDS);
        let durations =
            Family::<[(&'static str, &'static str); 1], Histogram, _>::new_with_constructor(
                seconds,
            );
        registry.register_with_unit(
            "http_request_duration",
            "From a request's head to its answer, body and wait for ZooKeeper included",
            Unit::Seconds,
            durations.clone(),
        );
        Self {
            successes: LABELS
                .map(|endpoint| answers.get_or_create_owned(&AnswerLabels { endpoint, err_no: 0 })),
            answers,
            seconds: LABELS
                .map(|endpoint| durations.get_or_create_owned(&[("endpoint", endpoint)])),
        }
    }

    /// Counts an answer of the API's own listener. The list API answers requests that reach no endpoint.
    pub fn count(&self, request: &HttpRequest, err_no: u16, took: Duration) {
        let endpoint = request.app_data().copied();
        let endpoint = endpoint.or_else(|| request.extensions().get().copied());
        self.answered(endpoint, err_no, took);
    }

    /// Counts an answer of another listener, if the request was for an endpoint.
    pub fn count_at_endpoint(&self, request: &HttpRequest, err_no: u16, took: Duration) {
        if let Some(endpoint) = request.app_data().copied() {
            self.answered(Some(endpoint), err_no, took);
        }
    }

    fn answered(&self, endpoint: Option<Endpoint>, err_no: u16, took: Duration) {
        let index = index(endpoint);
        self.seconds[index].observe(took.as_secs_f64());
        if err_no == 0 {
            self.successes[index].inc();
        } else {
            let labels = AnswerLabels { endpoint: LABELS[index], err_no: err_no.into() };
            self.answers.get_or_create(&labels).inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::{
        super::routes::{Row, TABLE},
        *,
    };

    #[test]
    fn a_request_is_counted_by_its_endpoint_and_its_answer() {
        let mut registry = Registry::default();
        let requests = RequestMetrics::new(&mut registry);
        for (endpoint, err_no) in
            [(Some(Endpoint::Switch), 0), (Some(Endpoint::Switch), 104), (None, 404)]
        {
            requests.answered(endpoint, err_no, Duration::from_millis(2));
        }
        let mut text = String::new();
        encode(&mut text, &registry).expect("a text");
        for line in [
            r#"http_requests_total{endpoint="switch",err_no="0"} 1"#,
            r#"http_requests_total{endpoint="switch",err_no="104"} 1"#,
            r#"http_requests_total{endpoint="none",err_no="404"} 1"#,
            r#"http_requests_total{endpoint="subpool_get_coinbase",err_no="0"} 0"#,
            r#"http_request_duration_seconds_count{endpoint="switch"} 2"#,
            r#"http_request_duration_seconds_bucket{le="0.0025",endpoint="switch"} 2"#,
        ] {
            assert!(text.lines().any(|it| it == line), "no {line} in {text}");
        }
    }

    #[test]
    fn each_endpoint_has_its_own_label() {
        let label = |row: &Row| (row.endpoint, LABELS[index(Some(row.endpoint))]);
        let expected = [
            (Endpoint::Switch, "switch"),
            (Endpoint::SwitchMany, "switch_multi_user"),
            (Endpoint::GetCoinbase, "subpool_get_coinbase"),
            (Endpoint::UpdateCoinbase, "subpool_update_coinbase"),
        ];
        assert_eq!(TABLE.each_ref().map(label), expected);
        assert_eq!(LABELS[index(None)], "none");
    }
}
