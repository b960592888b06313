//! The operator's settings for polling.

use std::time::Duration;

use crate::{
    domain::SwitchRules,
    upstream::{FetchSettings, UpstreamUrl},
    zk_writer::ElectionLock,
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
    pub lock: Option<ElectionLock>,
    /// Rules for an entry of the map.
    pub rules: SwitchRules,
}

impl PollerSettings {
    pub(super) fn fetch(&self) -> FetchSettings {
        FetchSettings {
            url: self.url.clone(),
            url_key: "UserCoinMapURL",
            timeout: self.fetch_timeout,
            timeout_key: "CronFetchTimeoutSeconds",
            body_limit: self.body_limit,
            body_limit_key: Some("CronBodyLimitBytes"),
        }
    }
}
