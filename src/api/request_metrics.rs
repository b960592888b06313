//! The figures of the API's requests: how many, by endpoint and by what they were answered, and how long they took.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::{Registry, Unit},
};
use switcher_actors::Histogram;

/// Where a request was sent, whichever alias of the path it used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// One switch.
    Switch,
    /// Many.
    SwitchMany,
    /// What a sub-pool's jobmaker holds.
    GetCoinbase,
    /// What it shall hold.
    UpdateCoinbase,
    /// None: there is no such path, or the request was refused before that mattered.
    None,
}

impl Endpoint {
    const ALL: [Self; 5] =
        [Self::Switch, Self::SwitchMany, Self::GetCoinbase, Self::UpdateCoinbase, Self::None];

    fn label(self) -> &'static str {
        match self {
            Self::Switch => "switch",
            Self::SwitchMany => "switch_multi_user",
            Self::GetCoinbase => "subpool_get_coinbase",
            Self::UpdateCoinbase => "subpool_update_coinbase",
            Self::None => "none",
        }
    }
}

/// The number that an answer carries as `err_no`, where only its maker knows it: kept beside the answer.
#[derive(Clone, Copy, Debug)]
pub struct ErrNo(pub u16);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    endpoint: &'static str,
    err_no: u32,
}

/// Counts requests. Clones share the figures.
#[derive(Clone)]
pub struct Requests {
    /// Those that succeeded, which are nearly all: looked up beforehand, so that one costs no lock.
    successes: [Counter; Endpoint::ALL.len()],
    answers: Family<Answer, Counter>,
    seconds: [Histogram; Endpoint::ALL.len()],
}

impl Requests {
    /// None yet; the figures are added to `registry`.
    pub fn new(registry: &mut Registry) -> Self {
        type OfEndpoint = [(&'static str, &'static str); 1];
        let answers = Family::<Answer, Counter>::default();
        registry.register(
            "http_requests",
            "Requests to the API that were answered, by endpoint and by the answer's err_no; 0 is success",
            answers.clone(),
        );
        let seconds: fn() -> Histogram = || Histogram::new(Histogram::SECONDS);
        let durations = Family::<OfEndpoint, Histogram, _>::new_with_constructor(seconds);
        registry.register_with_unit(
            "http_request_duration",
            "From a request's head to its answer, body and wait for ZooKeeper included",
            Unit::Seconds,
            durations.clone(),
        );
        Self {
            successes: Endpoint::ALL.map(|endpoint| {
                answers.get_or_create_owned(&Answer { endpoint: endpoint.label(), err_no: 0 })
            }),
            answers,
            seconds: Endpoint::ALL
                .map(|endpoint| durations.get_or_create_owned(&[("endpoint", endpoint.label())])),
        }
    }

    /// A request was answered. `err_no` is one of the few that the API has.
    pub fn answered(&self, endpoint: Endpoint, err_no: u16, took: Duration) {
        self.seconds[endpoint as usize].observe(took.as_secs_f64());
        if err_no == 0 {
            self.successes[endpoint as usize].inc();
        } else {
            let answer = Answer { endpoint: endpoint.label(), err_no: err_no.into() };
            self.answers.get_or_create(&answer).inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn a_request_is_counted_by_its_endpoint_and_its_answer() {
        let mut registry = Registry::default();
        let requests = Requests::new(&mut registry);
        for (endpoint, err_no) in
            [(Endpoint::Switch, 0), (Endpoint::Switch, 104), (Endpoint::None, 404)]
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
    fn each_endpoint_has_its_own_place() {
        assert_eq!(Endpoint::ALL.map(|endpoint| endpoint as usize), [0, 1, 2, 3, 4]);
    }
}
