//! The operator's settings for registrations.

use std::{collections::BTreeMap, fmt, time::Duration};

use crate::{
    domain::{Coin, ZnodeDir},
    upstream::UpstreamUrl,
    zk_writer::ElectionLock,
};

/// Settings for registrations.
#[derive(Clone)]
pub struct RegistrationSettings {
    /// Directory of the stratum servers' requests (`ZKAutoRegWatchDir`).
    pub dir: ZnodeDir,
    /// Lock by which one of several daemons registers; not below `dir`, where it would be a request.
    pub lock: ElectionLock,
    /// Address of the backend (`UserAutoRegAPI.URL`); without one every registration fails.
    pub url: Option<UpstreamUrl>,
    /// User and password of HTTP Basic authentication (`UserAutoRegAPI.User`, `.Password`); `None` if the user is
    /// empty.
    pub credentials: Option<(String, String)>,
    /// Fields of the request's body (`UserAutoRegAPI.PostData`); `{sub_name}` in a value stands for the name.
    pub post_data: BTreeMap<String, String>,
    /// First coin of a registered sub-account (`UserAutoRegAPI.DefaultCoin`); `None` if it has no list: then no znode
    /// is created.
    pub default_coin: Option<Coin>,
    /// Time from the backend's success to the first coin (`UserAutoRegAPI.IntervalSeconds`).
    pub wait: Duration,
    /// Time for a request to the backend (`UserAutoRegTimeoutSeconds`).
    pub timeout: Duration,
    /// Maximum requests to the backend at a time (`UserAutoRegParallelRequests`).
    pub parallel: usize,
}

impl fmt::Debug for RegistrationSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RegistrationSettings(…)")
    }
}
