//! Settings of `ZkWriter`.

use std::time::Duration;

use crate::{domain::ZnodeDir, zk::ZkSettings};

/// What an operator decides about writing.
#[derive(Clone, Debug)]
pub struct WriterSettings {
    /// How to reach ZooKeeper.
    pub zookeeper: ZkSettings,
    /// Where the sub-accounts' znodes are (`ZKSwitcherWatchDir`).
    pub watch_dir: ZnodeDir,
    /// How long and how many callers may wait.
    pub limits: WriterLimits,
}

/// How long and how many callers may wait; can be changed while the daemon runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriterLimits {
    /// After so long a request is answered, whatever ZooKeeper does; larger batches get more, a second
    /// for every 20,000 switches that wait.
    pub request_timeout: Duration,
    /// Switches that may wait; a request that would pass it is refused.
    pub queue_limit: usize,
}

/// What an operator decides about sub-pools.
#[derive(Clone, Debug)]
pub struct SubPoolSettings {
    /// Where the sub-pools' znodes are (`ZKSubPoolUpdateBaseDir`).
    pub base_dir: ZnodeDir,
    /// For a jobmaker's ack, from the moment that the request is sent (`ZKSubPoolUpdateAckTimeout`). A
    /// request may wait for its turn as long before that.
    pub ack_timeout: Duration,
}
