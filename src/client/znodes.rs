//! What ZooKeeper holds for sub-accounts, for the commands that compare or show it.

use std::time::{SystemTime, UNIX_EPOCH};

use switcher_actors::{Inspector, NoAnswer, Seen, Shown, ZkSettings, ZnodeDir};

use super::report::{Failure, Kind};

/// A session with the configured ZooKeeper.
pub async fn open(settings: &ZkSettings) -> Result<Inspector, Failure> {
    let brokers = settings.brokers.join(",");
    Inspector::open(settings.clone()).await.map_err(|error| {
        let text = format!(
            "ZooKeeper ({brokers}) gives no session: {error}; is it up, and is \
            ZKBroker right? `doctor` looks closer"
        );
        Failure::new(Kind::Unavailable, text)
    })
}

/// What a sub-account's znode holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Mined {
    /// A coin, since then.
    Coin {
        /// Its name; what is not UTF-8 has become U+FFFD.
        name: String,
        /// When it was written, in seconds since 1970, by ZooKeeper's clock.
        since: u64,
    },
    /// There is no znode.
    NoZnode,
    /// It may not be read.
    Forbidden(String),
}

impl Mined {
    /// The coin's name, if there is one.
    pub fn coin(&self) -> Option<&str> {
        match self {
            Self::Coin { name, .. } => Some(name),
            Self::NoZnode | Self::Forbidden(_) => None,
        }
    }

    /// For people.
    pub fn shown(&self) -> String {
        match self {
            Self::Coin { name, .. } => Shown(name).to_string(),
            Self::NoZnode => "no znode".to_owned(),
            Self::Forbidden(cause) => format!("not readable ({cause})"),
        }
    }
}

/// Looks at the znodes of these sub-accounts, in their order.
pub async fn mined(
    zookeeper: &Inspector,
    dir: &ZnodeDir,
    names: impl Iterator<Item = &str>,
) -> Result<Vec<Mined>, Failure> {
    let paths: Vec<_> = names.map(|name| dir.child(name)).collect();
    let paths: Vec<_> = paths.iter().map(String::as_str).collect();
    let seen = zookeeper.look(&paths).await.map_err(away)?;
    let mined = seen.into_iter().map(|seen| match seen {
        Seen::Znode { data, written } => Mined::Coin {
            name: String::from_utf8_lossy(&data).into_owned(),
            since: seconds(written),
        },
        Seen::Nothing => Mined::NoZnode,
        Seen::Forbidden(cause) => Mined::Forbidden(cause),
    });
    Ok(mined.collect())
}

/// ZooKeeper was there, and is gone.
pub fn away(error: NoAnswer) -> Failure {
    Failure::new(Kind::Unavailable, format!("ZooKeeper gives no answer any more: {error}"))
}

/// Since 1970.
pub fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
