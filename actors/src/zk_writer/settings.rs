//! Settings of `ZkWriter`.

use std::time::Duration;

use crate::{domain::ZnodeDir, zk::ZkSettings};

/// Settings for writing.
#[derive(Clone, Debug)]
pub struct WriterSettings {
    /// Connection to ZooKeeper.
    pub zookeeper: ZkSettings,
    /// Parent of the sub-accounts' znodes (`ZKSwitcherWatchDir`).
    pub watch_dir: ZnodeDir,
    /// Directory of the case-insensitive index (`ZKUserCaseInsensitiveIndex`); `None` if it is off.
    pub index: Option<ZnodeDir>,
    /// Root of the held switches' znodes (`ZKHeldSwitchDir`).
    pub held_dir: ZnodeDir,
    /// Safety period of user lists, in whole seconds; `None` without lists: nothing is held then, and what is left from
    /// before is carried out.
    pub safety_period: Option<Duration>,
    /// Limits for callers.
    pub limits: WriterLimits,
}

/// Limits for callers; can be changed while the daemon runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriterLimits {
    /// Time after which a request is answered, even if ZooKeeper is not; a second more for every 20,000 switches that wait.
    pub request_timeout: Duration,
    /// Maximum switches that wait; a request that exceeds it is refused.
    pub queue_limit: usize,
}

/// Settings for sub-pools.
#[derive(Clone, Debug)]
pub struct SubPoolSettings {
    /// Root of the sub-pools' znodes (`ZKSubPoolUpdateBaseDir`).
    pub base_dir: ZnodeDir,
    /// Time for a jobmaker's ack, from the sending of the request (`ZKSubPoolUpdateAckTimeout`). A request may wait for
    /// its turn as long before that.
    pub ack_timeout: Duration,
}
