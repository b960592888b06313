//! What can be watched from outside: figures, readiness, and the last changes.
//!
//! ```text
//! ZkWriter, AckWaiter, Poller ── journal ─┬─▶ log line
//!                                         └─▶ Metrics ─┬─▶ Counters    what has happened, in figures
//!                                                       ├─▶ Readiness  what is missing to serve
//!                                                       └─▶ Recent     the last changes
//! ```
//!
//! Actors are given an [`Metrics`] and call it where they write the log line of the same effect, ahead of the
//! line: who has read that something happened finds it counted. It is no actor:
//! what it holds are counters, flags and one ring, nothing is decided by them, and nobody waits for them.
//!
//! * `registry`: every figure, its name and its labels; with `histogram` the only files that name the metrics crate;
//! * `histogram`: a distribution that takes no lock;
//! * `readiness`: what is missing to serve;
//! * `recent`: the last changes.

mod histogram;
mod readiness;
mod recent;
mod registry;

use std::{sync::Arc, time::Duration};

use prometheus_client::registry::Registry;

pub use histogram::Histogram;
pub use readiness::Missing;
pub use recent::{Change, ChangeKind, Recent, Since};
pub use registry::SwitchCount;
pub(crate) use registry::{Asked, Depths, ExchangeEnd, PollEnd};

use crate::domain::{Coin, Coins, OutcomeKind, Source};
use readiness::Readiness;
use registry::Counters;

/// What the actors tell, for whoever watches. Clones share all of it.
#[derive(Clone)]
pub struct Metrics(Arc<Parts>);

struct Parts {
    counters: Counters,
    readiness: Readiness,
    recent: Recent,
}

impl Metrics {
    /// Nothing has happened yet. The figures, a series for each of `coins`, are added to `registry`. `interval` is
    /// that of the polls; `None` if the user-coin map is not pulled.
    pub fn new(coins: &Coins, interval: Option<Duration>, registry: &mut Registry) -> Self {
        Self(Arc::new(Parts {
            counters: Counters::new(coins, interval, registry),
            readiness: Readiness::new(interval.is_some()),
            recent: Recent::new(),
        }))
    }

    /// The last changes.
    pub fn recent(&self) -> &Recent {
        &self.0.recent
    }

    /// What is missing for this daemon to serve; empty if nothing is.
    pub fn missing(&self) -> Vec<Missing> {
        self.0.readiness.missing()
    }

    /// How many switches have ended, of each source, coin and result, since the start.
    pub fn switch_counts(&self) -> Vec<SwitchCount> {
        self.0.counters.switch_counts()
    }

    /// Switches that were accepted and not sent to ZooKeeper, a tenth of a second ago at most.
    pub fn switches_waiting(&self) -> u64 {
        self.0.counters.switches_waiting()
    }

    /// From the beginning of a poll to that of the next, in seconds; 0 where nothing is pulled.
    pub fn poll_interval(&self) -> u64 {
        self.0.counters.poll_interval()
    }

    /// When a poll was complete last, in seconds since 1970; `None` before the first.
    pub fn last_complete_poll(&self) -> Option<u64> {
        self.0.counters.last_complete_poll()
    }

    /// How the last poll has ended, in the words of the figure; `None` before the first.
    pub fn last_poll(&self) -> Option<&'static str> {
        self.0.counters.last_poll()
    }

    /// The daemon has begun to end: from now on it is not ready.
    pub fn draining(&self) {
        self.0.readiness.draining();
    }

    /// Switches to these coins come, too, from now on. Call it before anybody is let switch to them.
    pub fn allow(&self, coins: &Coins) {
        self.0.counters.allow(coins);
    }

    /// Polls begin at this distance, if the user-coin map is pulled.
    pub fn polls_every(&self, interval: Duration) {
        self.0.counters.polls_every(interval);
    }

    /// A switch is settled.
    pub(crate) fn switch(&self, source: Source, coin: &Coin, end: OutcomeKind) {
        self.0.counters.switch(source, coin, end);
    }

    /// So many entries of one request were superseded by later ones of the same request.
    pub(crate) fn superseded(&self, source: Source, coin: &Coin, count: usize) {
        self.0.counters.switches(source, coin, OutcomeKind::Superseded, count as u64);
    }

    /// So many switches came back from ZooKeeper together.
    pub(crate) fn chunk(&self, switches: usize) {
        self.0.counters.chunk(switches);
    }

    /// What waits and what is under way now.
    pub(crate) fn depths(&self, depths: &Depths) {
        self.0.counters.depths(depths);
    }

    /// A session with ZooKeeper is up.
    pub(crate) fn session_up(&self) {
        self.0.counters.session_up();
        self.0.readiness.session(true);
    }

    /// The connection to ZooKeeper is lost.
    pub(crate) fn connection_lost(&self) {
        self.0.counters.connection_lost();
        self.0.readiness.session(false);
    }

    /// The session is used no more and about to be ended, since the daemon ends.
    pub(crate) fn session_given_up(&self) {
        self.0.counters.session_given_up();
        self.0.readiness.session(false);
    }

    /// An exchange with a jobmaker is over, or was never begun. `ack` is what its answer took, if it gave one.
    pub(crate) fn exchange(&self, asked: Asked, end: ExchangeEnd, ack: Option<Duration>) {
        self.0.counters.exchange(asked, end, ack);
    }

    /// So many requests to read a sub-pool never became an exchange.
    pub(crate) fn gets_not_begun(&self, gets: usize) {
        self.0.counters.gets_not_begun(gets);
    }

    /// A write on condition replaced a znode that was created after the read.
    pub(crate) fn overwrote(&self) {
        self.0.counters.overwrote();
    }

    /// A poll has ended, which took so long; so many entries of its map can never be written.
    pub(crate) fn poll(&self, end: PollEnd, took: Duration, invalid: usize) {
        self.0.counters.poll(end, took, invalid);
    }

    /// ZooKeeper holds all of a map that it will ever take, or another daemon is known to poll.
    pub(crate) fn first_poll_done(&self) {
        self.0.readiness.polled();
    }
}

#[cfg(test)]
impl Metrics {
    /// One that nobody looks at.
    pub(crate) fn unwatched() -> Self {
        let coins = Coins::new(&["btc", "bcc"]).unwrap();
        Self::new(&coins, Some(Duration::from_secs(60)), &mut Registry::default())
    }
}
