//! The daemon's state for the console, with counters whose differences are rates.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Instant, SystemTime},
};

use actix_web::{HttpResponse, web::Data};
use serde::Serialize;
use switcher_actors::{HistoryNow, Metrics, Missing, ZnodeDir};

use super::{
    Admin,
    answer::json_page,
    recent::rfc_3339,
    user_lists::{ListStatus, RegistrationStatus, lists, registrations},
};
use crate::{config::Settings, http::LoadedConfig};

/// Facts that do not change while the daemon runs.
#[derive(Clone, Debug)]
pub struct StaticInfo {
    started: Instant,
    polls: bool,
    /// Address of the API; `None` if it is off.
    pub api: Option<SocketAddr>,
    /// Whether the sub-pool API is on.
    pub sub_pools: bool,
    /// Whether the API serves user lists.
    pub user_lists: bool,
    registers: bool,
    /// Directory of the index; `None` if it is off.
    pub(super) index: Option<ZnodeDir>,
}

impl StaticInfo {
    pub fn of(settings: &Settings, api: Option<SocketAddr>) -> Self {
        Self {
            started: Instant::now(),
            polls: settings.poller.is_some(),
            api,
            sub_pools: api.is_some() && settings.sub_pools.is_some(),
            user_lists: settings.list_api.is_none() && settings.user_lists.is_some(),
            registers: settings.registration.is_some(),
            index: settings.user_lists.as_ref().and_then(|lists| lists.index.clone()),
        }
    }
}

#[derive(Serialize)]
struct StatusAnswer<'a> {
    version: &'static str,
    commit: &'static str,
    uptime_seconds: u64,
    /// Whether a ZooKeeper session is up.
    session: bool,
    draining: bool,
    /// As in `/readyz`.
    missing: Vec<String>,
    /// `null` without polling.
    polls: Option<Polls>,
    /// Whether the API is on.
    api: bool,
    /// Whether the sub-pool API is on.
    sub_pools: bool,
    /// Limit of a coinbase text in bytes; `null` without the API.
    coinbase_max_bytes: Option<usize>,
    /// `AvailableCoins`.
    coins: Vec<&'a str>,
    /// Switches that wait for ZooKeeper.
    switches_waiting: u64,
    /// Held switches that are known to this daemon.
    switches_held: u64,
    /// `null` without lists.
    lists: Option<Vec<ListStatus>>,
    /// `null` if sub-accounts are not registered.
    registrations: Option<RegistrationStatus>,
    /// `null` without a history.
    history: Option<HistoryStatus>,
    /// Since the start: by coin, then source (`api`, `poll`), then result.
    switches: Counts,
}

#[derive(Serialize)]
struct Polls {
    interval_seconds: u64,
    /// `complete`, `incomplete`, `failed`, `standby` (another daemon polls) or `given_up`; `null` before the first result.
    last_outcome: Option<&'static str>,
    /// Age of the last complete poll; `null` before the first.
    last_complete_seconds_ago: Option<u64>,
}

/// State of the history, as in `/metrics`.
#[derive(Serialize)]
struct HistoryStatus {
    records: u64,
    bytes: u64,
    /// Time of the oldest switch, RFC 3339; `null` without one.
    oldest: Option<String>,
    waiting: u64,
    lag_seconds: u64,
    dropped: u64,
    /// Whether the last attempt to record failed.
    failing: bool,
    /// The newest link of the chain of payout changes.
    chain_head: String,
}

impl From<HistoryNow> for HistoryStatus {
    fn from(now: HistoryNow) -> Self {
        let HistoryNow { records, bytes, oldest, waiting, lag_seconds, dropped, .. } = now;
        Self {
            records,
            bytes,
            oldest: oldest.map(rfc_3339),
            waiting,
            lag_seconds,
            dropped,
            failing: now.is_failing,
            chain_head: now.chain_head,
        }
    }
}

type Counts = BTreeMap<String, BTreeMap<&'static str, BTreeMap<&'static str, u64>>>;

/// `GET /status`.
pub async fn status(LoadedConfig(config): LoadedConfig, admin: Data<Admin>) -> HttpResponse {
    let (static_info, metrics) = (&admin.static_info, &admin.metrics);
    let missing = metrics.missing();
    let body = StatusAnswer {
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
        coinbase_max_bytes: static_info.api.map(|_| config.coinbase_max),
        coins: config.switch_rules.coins.iter().map(|coin| coin.as_str()).collect(),
        switches_waiting: metrics.switches_waiting(),
        switches_held: metrics.switches_held(),
        lists: lists(&admin.views.listings, metrics),
        registrations: static_info.registers.then(|| registrations(metrics)),
        history: metrics.history().map(HistoryStatus::from),
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

/// Seconds since a time that is in seconds since 1970; 0 if it lies ahead.
pub fn seconds_ago(at: u64) -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.as_secs().saturating_sub(at)
}
