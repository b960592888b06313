//! The operator's settings for user lists.

use std::time::Duration;

use crate::{
    domain::{Coin, ZnodeDir},
    upstream::{FetchSettings, UpstreamUrl},
};

/// Settings for user lists.
#[derive(Clone, Debug)]
pub struct UserListSettings {
    /// The coin of each list and its address (`UserListAPI`): in the order of `AvailableCoins`, then all others by
    /// name.
    pub lists: Vec<(Coin, UpstreamUrl)>,
    /// Pause between two pulls of a list (`IntervalSeconds`).
    pub interval: Duration,
    /// Time for a whole pull: connection, head and body (`CronFetchTimeoutSeconds`).
    pub fetch_timeout: Duration,
    /// Bytes of the largest answer, unpacked (`CronBodyLimitBytes`).
    pub body_limit: u64,
    /// Whether sub-accounts' names are written in lower case (`StratumServerCaseInsensitive`).
    pub lower_case: bool,
    /// Directory of the case-insensitive index (`ZKUserCaseInsensitiveIndex`); `None` if it is off.
    pub index: Option<ZnodeDir>,
}

impl UserListSettings {
    /// Safety period: 1.5 times the interval, in whole seconds. A switch to a list's coin is held until the name has
    /// been in the list for this long (user-list contract, section 7).
    pub fn safety_period(&self) -> Duration {
        Duration::from_secs(self.interval.as_secs() * 15 / 10)
    }

    pub(super) fn fetch(&self, url: UpstreamUrl) -> FetchSettings {
        FetchSettings {
            url,
            url_key: "UserListAPI",
            timeout: self.fetch_timeout,
            timeout_key: "CronFetchTimeoutSeconds",
            body_limit: self.body_limit,
            body_limit_key: Some("CronBodyLimitBytes"),
        }
    }
}
