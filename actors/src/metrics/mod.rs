//! The daemon's state for observers: metrics, readiness, recent changes.
//!
//! ```text
//! an actor's journal ─┬─▶ log line
//!                     └─▶ Metrics ─┬─▶ switches, zookeeper, exchanges, polls, user_lists, …
//!                                  ├─▶ Readiness
//!                                  └─▶ Recent
//! ```
//!
//! Actors call [`Metrics`] just before they write the log line of the same event, so that a reader of the line finds
//! the event counted. `Metrics` is no actor: it holds counters, flags and one ring, decides nothing, and never blocks.
//!
//! Names follow Prometheus's conventions: base units, `_total` for counters. Label values are few and known from the
//! configuration; no sub-account is a label.
//!
//! * `switches`, `zookeeper`, `exchanges`, `polls`, `held`, `user_lists`, `registrations`, `history`: the metrics of one
//!   subject each: names, labels, counters;
//! * `labels`: enums of label values;
//! * `histogram`: a histogram without a lock;
//! * `readiness`: the conditions for being ready;
//! * `recent`: the recent changes.

mod exchanges;
mod held;
mod histogram;
mod history;
mod labels;
mod polls;
mod readiness;
mod recent;
mod registrations;
mod switches;
mod user_lists;
mod zookeeper;

use std::{sync::Arc, time::Duration};

use prometheus_client::registry::{Metric, Registry};

pub(crate) use exchanges::{Asked, ExchangeEnd};
pub(crate) use held::HeldEnd;
pub use histogram::Histogram;
pub use history::HistoryNow;
pub(crate) use polls::PollEnd;
pub use readiness::Missing;
pub(crate) use recent::Feed;
pub use recent::{Change, ChangeEnd, ChangeKind, Recent, Since};
pub(crate) use registrations::RegistrationEnd;
pub use registrations::{EndedRegistration, RegistrationCount, RegistrationsNow};
pub use switches::SwitchCount;
pub(crate) use user_lists::{EndedPull, PullResult};
pub use user_lists::{LastPull, ListPulls, SkippedEntries};
pub(crate) use zookeeper::Depths;

use crate::domain::{Coin, Coins, OutcomeKind, Source};
use exchanges::ExchangeMetrics;
use held::HeldMetrics;
use history::HistoryMetrics;
use polls::PollMetrics;
use readiness::Readiness;
use registrations::RegistrationMetrics;
use switches::SwitchMetrics;
use user_lists::UserListMetrics;
use zookeeper::ZooKeeperMetrics;

/// The state of all actors for observers. Clones share it.
#[derive(Clone)]
pub struct Metrics(Arc<AllMetrics>);

struct AllMetrics {
    polls: PollMetrics,
    switches: SwitchMetrics,
    zookeeper: ZooKeeperMetrics,
    exchanges: ExchangeMetrics,
    held: HeldMetrics,
    history: HistoryMetrics,
    user_lists: UserListMetrics,
    registrations: RegistrationMetrics,
    readiness: Readiness,
    recent: Recent,
}

impl Metrics {
    /// Adds all metrics to `registry`, with series for each of `coins`. `interval` is the polls' interval, `None`
    /// without polling. `lists` are the coins of the user lists, `pause` is the time between two pulls of a list.
    pub fn new(
        coins: &Coins,
        interval: Option<Duration>,
        (lists, pause): (&[Coin], Duration),
        registry: &mut Registry,
    ) -> Self {
        Self(Arc::new(AllMetrics {
            polls: PollMetrics::new(interval, registry),
            switches: SwitchMetrics::new(coins, interval.is_some(), registry),
            zookeeper: ZooKeeperMetrics::new(registry),
            exchanges: ExchangeMetrics::new(registry),
            held: HeldMetrics::new(registry),
            history: HistoryMetrics::new(registry),
            user_lists: UserListMetrics::new(lists, pause, registry),
            registrations: RegistrationMetrics::new(registry),
            readiness: Readiness::new(interval.is_some()),
            recent: Recent::new(),
        }))
    }

    /// The recent changes.
    pub fn recent(&self) -> &Recent {
        &self.0.recent
    }

    /// The reasons why the daemon is not ready; empty if it is.
    pub fn missing(&self) -> Vec<Missing> {
        self.0.readiness.missing()
    }

    /// Numbers of ended switches by source, coin and result, including zeros.
    pub fn switch_counts(&self) -> Vec<SwitchCount> {
        self.0.switches.counts()
    }

    /// Accepted switches that are not sent to ZooKeeper; at most 0.1 s old.
    pub fn switches_waiting(&self) -> u64 {
        u64::try_from(self.0.zookeeper.switches_waiting.get()).unwrap_or(0)
    }

    /// Seconds from the start of a poll to the start of the next; 0 without polling.
    pub fn poll_interval(&self) -> u64 {
        u64::try_from(self.0.polls.interval.get()).unwrap_or(0)
    }

    /// Time of the last complete poll, in seconds since 1970; `None` before the first.
    pub fn last_complete_poll(&self) -> Option<u64> {
        u64::try_from(self.0.polls.last_success.get()).ok().filter(|&at| at > 0)
    }

    /// Result of the last poll, as the metric's label; `None` before the first.
    pub fn last_poll(&self) -> Option<&'static str> {
        self.0.polls.last_end()
    }

    /// Pause between two pulls of a list.
    pub fn pull_pause(&self) -> Duration {
        self.0.user_lists.pause()
    }

    /// The pulls of each list; empty without lists.
    pub fn pulls(&self) -> Vec<ListPulls> {
        self.0.user_lists.pulls()
    }

    /// The registrations under way, and the last ended ones.
    pub fn registrations(&self) -> RegistrationsNow {
        self.0.registrations.now()
    }

    /// Marks the daemon as shutting down: not ready from now on.
    pub fn draining(&self) {
        self.0.readiness.draining();
    }

    /// Adds series for these coins. Call it before the coins may be switched to.
    pub fn allow(&self, coins: &Coins) {
        self.0.switches.allow(coins);
    }

    /// Sets the polls' interval.
    pub fn polls_every(&self, interval: Duration) {
        self.0.polls.set_interval(interval);
    }

    /// Counts switches; `coin` is `None` if an undo deleted znodes.
    pub(crate) fn switches(
        &self,
        source: &Source,
        coin: Option<&Coin>,
        end: OutcomeKind,
        count: usize,
    ) {
        self.0.switches.count(source, coin, end, count as u64);
    }

    /// Counts a chunk of so many switches that ZooKeeper has answered.
    pub(crate) fn chunk(&self, switches: usize) {
        self.0.zookeeper.chunk_switches.observe(switches as f64);
    }

    pub(crate) fn depths(&self, depths: &Depths) {
        self.0.zookeeper.set_depths(depths);
    }

    /// Sets the number of held switches, and the seconds by which the oldest is overdue.
    pub(crate) fn held(&self, held: usize, overdue: u64) {
        self.0.held.now.set(i64::try_from(held).unwrap_or(i64::MAX));
        self.0.held.overdue_seconds.set(i64::try_from(overdue).unwrap_or(i64::MAX));
    }

    pub(crate) fn held_ended(&self, end: HeldEnd) {
        self.0.held.ended[end as usize].inc();
    }

    /// Held switches that are known to this daemon; at most a second old.
    pub fn switches_held(&self) -> u64 {
        u64::try_from(self.0.held.now.get()).unwrap_or(0)
    }

    pub(crate) fn session_up(&self) {
        self.0.zookeeper.sessions.inc();
        self.set_session(true);
    }

    pub(crate) fn connection_lost(&self) {
        self.0.zookeeper.connections_lost.inc();
        self.set_session(false);
    }

    /// The session is about to end, for shutdown.
    pub(crate) fn session_given_up(&self) {
        self.set_session(false);
    }

    fn set_session(&self, is_up: bool) {
        self.0.zookeeper.session_up.set(i64::from(is_up));
        self.0.readiness.session(is_up);
    }

    /// Counts an exchange that ended or never began. `ack` is the time to the jobmaker's answer, if any.
    pub(crate) fn exchange(&self, asked: Asked, end: ExchangeEnd, ack: Option<Duration>) {
        let ExchangeMetrics { ended, ack_seconds } = &self.0.exchanges;
        ended[asked as usize][end as usize].inc();
        if let Some(ack) = ack {
            ack_seconds[asked as usize].observe(ack.as_secs_f64());
        }
    }

    /// Counts gets that never became an exchange.
    pub(crate) fn gets_not_begun(&self, gets: usize) {
        let ended = &self.0.exchanges.ended[Asked::Get as usize];
        ended[ExchangeEnd::NothingWritten as usize].inc_by(gets as u64);
    }

    /// Counts a conditional write that replaced a znode created after the read.
    pub(crate) fn overwrote(&self) {
        self.0.zookeeper.newer_znodes_overwritten.inc();
    }

    /// Counts a poll and the map's entries that can never be written.
    pub(crate) fn poll(&self, end: PollEnd, took: Duration, invalid: usize) {
        self.0.polls.ended(end, took, invalid);
    }

    /// Counts a pull of a list.
    pub(crate) fn pull(&self, coin: &Coin, end: EndedPull) {
        self.0.user_lists.pulled(coin, end);
    }

    /// Notes a registration that has begun.
    pub(crate) fn registration_begun(&self, name: String) {
        self.0.registrations.begun(name);
    }

    /// Notes a registration that another daemon has to do.
    pub(crate) fn registration_left(&self, name: &str) {
        self.0.registrations.left(name);
    }

    /// Counts a registration whose request is deleted; `cause` is why the name is not registered.
    pub(crate) fn registration(
        &self,
        name: String,
        end: RegistrationEnd,
        cause: Option<String>,
        took: Duration,
    ) {
        self.0.registrations.ended(name, end, cause, took);
    }

    /// Counts a registration that ZooKeeper holds up.
    pub(crate) fn registration_delayed(&self) {
        self.0.registrations.delayed.inc();
    }

    /// Sets the number of registrations under way.
    pub(crate) fn registrations_under_way(&self, registrations: usize) {
        self.0.registrations.under_way.set(i64::try_from(registrations).unwrap_or(i64::MAX));
    }

    /// The first map is settled as far as it ever will be, or another daemon polls: ready in this respect.
    pub(crate) fn first_poll_done(&self) {
        self.0.readiness.polled();
    }
}

/// Adds a new metric to the registry.
fn register<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

#[cfg(test)]
const NO_LISTS: (&[Coin], Duration) = (&[], Duration::ZERO);

#[cfg(test)]
impl Metrics {
    /// Metrics that no registry keeps.
    pub(crate) fn unwatched() -> Self {
        let coins = Coins::new(&["btc", "bcc"]).unwrap();
        Self::new(&coins, Some(Duration::from_secs(60)), NO_LISTS, &mut Registry::default())
    }
}

#[cfg(test)]
mod tests;
