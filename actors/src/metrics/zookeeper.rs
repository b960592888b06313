//! Metrics of `ZkWriter`: queues, transactions and sessions.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

use super::{Histogram, register};

/// Upper bounds for the switches of one chunk, up to a chunk's limit.
const CHUNK_SWITCHES: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0];

/// Lengths of `ZkWriter`'s queues.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Depths {
    /// Accepted switches that are not sent yet.
    pub(crate) switches: usize,
    /// Requests to jobmakers whose exchange has not begun.
    pub(crate) sub_pool_requests: usize,
    /// Entries of unanswered dry runs.
    pub(crate) dry_run_entries: usize,
    /// Callers' chunks that are being written.
    pub(crate) chunks: usize,
    /// Beginnings of polls and parts of maps that are being written.
    pub(crate) polls: usize,
}

pub(super) struct ZooKeeperMetrics {
    pub(super) chunk_switches: Histogram,
    pub(super) switches_waiting: Gauge,
    sub_pool_requests_waiting: Gauge,
    dry_run_entries_waiting: Gauge,
    chunks_in_flight: Gauge,
    polls_in_flight: Gauge,
    pub(super) session_up: Gauge,
    pub(super) sessions: Counter,
    pub(super) connections_lost: Counter,
    pub(super) newer_znodes_overwritten: Counter,
}

impl ZooKeeperMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let chunk_switches = Histogram::new(CHUNK_SWITCHES);
        let help = "Sub-accounts that were sent to ZooKeeper together for callers";
        registry.register("zookeeper_chunk_switches", help, chunk_switches.clone());
        let mut gauge = |name, help| register(registry, name, help);
        Self {
            chunk_switches,
            switches_waiting: gauge(
                "switches_waiting",
                "Switches that were accepted and not sent to ZooKeeper yet",
            ),
            sub_pool_requests_waiting: gauge(
                "subpool_requests_waiting",
                "Requests to jobmakers that wait for their turn",
            ),
            dry_run_entries_waiting: gauge(
                "dry_run_entries_waiting",
                "Entries of dry runs that were accepted and are not answered yet",
            ),
            chunks_in_flight: gauge(
                "zookeeper_chunks_in_flight",
                "Chunks of callers' switches on their way into ZooKeeper",
            ),
            polls_in_flight: gauge(
                "zookeeper_poll_parts_in_flight",
                "Parts of a user-coin map on their way into ZooKeeper",
            ),
            session_up: gauge("zookeeper_session_up", "Whether there is a session with ZooKeeper"),
            sessions: register(registry, "zookeeper_sessions", "Sessions with ZooKeeper begun"),
            connections_lost: register(
                registry,
                "zookeeper_connections_lost",
                "Connections to ZooKeeper that broke",
            ),
            newer_znodes_overwritten: register(
                registry,
                "zookeeper_newer_znodes_overwritten",
                "Writes of polls and gets that replaced a znode which was deleted and created again after the read",
            ),
        }
    }

    pub(super) fn set_depths(&self, depths: &Depths) {
        let set = |gauge: &Gauge, depth| gauge.set(i64::try_from(depth).unwrap_or(i64::MAX));
        set(&self.switches_waiting, depths.switches);
        set(&self.sub_pool_requests_waiting, depths.sub_pool_requests);
        set(&self.dry_run_entries_waiting, depths.dry_run_entries);
        set(&self.chunks_in_flight, depths.chunks);
        set(&self.polls_in_flight, depths.polls);
    }
}
