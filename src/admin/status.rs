//! What the console shows of the daemon: its states, and counters whose differences are rates.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Instant, SystemTime},
};

use actix_web::{HttpResponse, web::Data};
use serde::Serialize;
use switcher_actors::{Metrics, Missing};

use super::{Admin, pages::json_page};
use crate::{config::Settings, http::RequestConfigData};

/// What does not change while the daemon runs.
#[derive(Clone, Debug)]
pub struct StaticInfo {
    started: Instant,
    polls: bool,
    /// Where the API listens; `None` if it is off.
    pub api: Option<SocketAddr>,
    /// Whether the sub-pool API is on.
    pub sub_pools: bool,
}

impl StaticInfo {
    /// Those of a daemon that starts with these settings, and whose API has that address, if it is on.
    pub fn of(settings: &Settings, api: Option<SocketAddr>) -> Self {
        Self {
            started: Instant::now(),
            polls: settings.poller.is_some(),
            api,
            sub_pools: api.is_some() && settings.sub_pools.is_some(),
        }
    }
}

/// The answer.
#[derive(Serialize)]
struct Body<'a> {
    version: &'static str,
    commit: &'static str,
    uptime_seconds: u64,
    /// Whether there is a session with ZooKeeper.
    session: bool,
    draining: bool,
    /// What `/readyz` says is missing.
    missing: Vec<String>,
    /// `null` where nothing is pulled.
    polls: Option<Polls>,
    /// Whether the API is on.
    api: bool,
    /// Whether the sub-pool API is.
    sub_pools: bool,
    /// Bytes of a coinbase text that jobmakers keep; `null` without the API.
    coinbase_max_bytes: Option<usize>,
    /// `AvailableCoins`.
    coins: Vec<&'a str>,
    /// Switches that wait for ZooKeeper.
    switches_waiting: u64,
    /// Since the start: by coin, then source (`api`, `poll`), then result.
    switches: Counts,
}

#[derive(Serialize)]
struct Polls {
    interval_seconds: u64,
    /// `complete`, `incomplete`, `failed`, `standby` (another daemon pulls) or `given_up`; `null` before the first end.
    last_outcome: Option<&'static str>,
    /// Since a poll was complete last; `null` before the first.
    last_complete_seconds_ago: Option<u64>,
}

type Counts = BTreeMap<String, BTreeMap<&'static str, BTreeMap<&'static str, u64>>>;

/// `GET /status`.
pub async fn status(terms: RequestConfigData, admin: Data<Admin>) -> HttpResponse {
    let (static_info, metrics) = (&admin.static_info, &admin.metrics);
    let missing = metrics.missing();
    let body = Body {
        version: env!("CARGO_PKG_VERSION"),
        commit: env!("SWITCHER_COMMIT"),
        uptime_seconds: static_info.started.elapsed().as_secs(),
        session: !missing.contains(&Missing::Session),
        draining: missing.contains(&Missing::Draining),
        missing: missing.iter().map(ToString::to_string).collect(),
        polls: static_info.polls.then(|| Polls {
            interval_seconds: metrics.poll_interval(),
            last_outcome: metrics.last_poll(),
            last_complete_seconds_ago: metrics.last_complete_poll().map(seconds_ago),
        }),
        api: static_info.api.is_some(),
        sub_pools: static_info.sub_pools,
        coinbase_max_bytes: static_info.api.map(|_| terms.coinbase_max),
        coins: terms.rules.coins.iter().map(|coin| coin.as_str()).collect(),
        switches_waiting: metrics.switches_waiting(),
        switches: counts(metrics),
    };
    json_page(&body)
}

fn counts(metrics: &Metrics) -> Counts {
    let mut counts = Counts::new();
    for it in metrics.switch_counts() {
        let of_source =
            counts.entry(it.coin.to_string()).or_default().entry(it.source).or_default();
        of_source.insert(it.result, it.count);
    }
    counts
}

/// A clock that was set back makes it none.
fn seconds_ago(at: u64) -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.as_secs().saturating_sub(at)
}
