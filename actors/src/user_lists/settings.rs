//! The operator's settings for user lists.

use std::time::Duration;

use crate::{
    domain::{Coin, ZnodeDir},
    upstream::UpstreamUrl,
};

/// Settings for user lists.
#[derive(Clone, Debug)]
pub struct UserListSettings {
    /// The coin of each list and its address (`UserListAPI`): in the order of `AvailableCoins`, then all others by name.
    pub lists: Vec<(Coin, UpstreamUrl)>,
    /// Pause between two pulls of a list (`IntervalSeconds`); the safety period is half as long again, in whole seconds.
    pub interval: Duration,
    /// Time for a whole pull: connection, head and body (`CronFetchTimeoutSeconds`).
    pub fetch_timeout: Duration,
    /// Bytes of the largest answer, unpacked (`CronBodyLimitBytes`).
    pub body_limit: u64,
    /// Whether sub-accounts' names are written in lower case (`StratumServerCaseInsensitive`).
    pub lower_case: bool,
    /// Root of the held switches' znodes (`ZKHeldSwitchDir`); the lists' marks lie below.
    pub held_dir: ZnodeDir,
    /// Directory of the case-insensitive index (`ZKUserCaseInsensitiveIndex`); `None` if it is off.
    pub index: Option<ZnodeDir>,
}
