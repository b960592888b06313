//! The operator's settings for polling.

use std::time::Duration;

use super::UpstreamUrl;
use crate::{
    domain::{Coins, SwitchRules},
    zk_writer::PollerLock,
};

/// Settings for polling.
#[derive(Clone, Debug)]
pub struct PollerSettings {
    /// Address of the user-coin map (`UserCoinMapURL`).
    pub url: UpstreamUrl,
    /// Time from the beginning of a poll to that of the next (`CronIntervalSeconds`).
    pub interval: Duration,
    /// Time for a whole fetch: connection, head and body (`CronFetchTimeoutSeconds`).
    pub fetch_timeout: Duration,
    /// Bytes of the largest answer, unpacked (`CronBodyLimitBytes`).
    pub body_limit: u64,
    /// Seconds that are subtracted from `last_date`, for upstreams that compare strictly
    /// (`CronOverlapSeconds`).
    pub overlap: i64,
    /// Whether to write a coin that ZooKeeper holds already (`CronRewriteUnchanged`).
    pub rewrite_unchanged: bool,
    /// Lock by which one of several daemons polls; `None` if each does (`ZKPollerLockPath`).
    pub lock: Option<PollerLock>,
    /// Coins that may be switched to (`AvailableCoins`).
    pub coins: Coins,
    /// Whether names are written in lower case (`StratumServerCaseInsensitive`).
    pub lower_case: bool,
}

impl PollerSettings {
    pub(super) fn rules(&self) -> SwitchRules {
        SwitchRules { coins: self.coins.clone(), lower_case: self.lower_case }
    }
}
