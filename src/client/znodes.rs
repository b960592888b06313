//! The coins of sub-accounts in ZooKeeper, for the commands that show or compare them.

use std::time::{SystemTime, UNIX_EPOCH};

use switcher_actors::{Inspector, NoAnswer, Seen, Shown, ZkSettings, ZnodeDir};

use super::report::{CommandFailure, FailureKind};

/// Opens a session with the configured ZooKeeper.
pub async fn open(settings: &ZkSettings) -> Result<Inspector, CommandFailure> {
    let brokers = settings.brokers.join(",");
    Inspector::open(settings.clone()).await.map_err(|error| {
        let text = format!(
            "ZooKeeper ({brokers}) grants no session: {error}; is it running, and is ZKBroker right? `doctor` checks \
             each broker"
        );
        CommandFailure::new(FailureKind::Unavailable, text)
    })
}

/// Content of a sub-account's znode.
#[derive(Debug, PartialEq, Eq)]
pub enum Mined {
    Coin {
        /// Name of the coin, with U+FFFD for bytes that are not UTF-8.
        name: String,
        /// Time of the write by ZooKeeper's clock, in seconds since 1970.
        since: u64,
    },
    NoZnode,
    /// The ACL forbids reading; ZooKeeper's error.
    Forbidden(String),
}

impl Mined {
    /// Name of the coin, if there is one.
    pub fn coin(&self) -> Option<&str> {
        match self {
            Self::Coin { name, .. } => Some(name),
            Self::NoZnode | Self::Forbidden(_) => None,
        }
    }

    /// Text for people.
    pub fn shown(&self) -> String {
        match self {
            Self::Coin { name, .. } => Shown(name).to_string(),
            Self::NoZnode => "no znode".to_owned(),
            Self::Forbidden(cause) => format!("not readable ({cause})"),
        }
    }
}

/// Reads the znodes of sub-accounts, in their order.
pub async fn mined(
    zookeeper: &Inspector,
    dir: &ZnodeDir,
    names: impl Iterator<Item = &str>,
) -> Result<Vec<Mined>, CommandFailure> {
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

/// Failure for a ZooKeeper that is gone after the session began.
fn away(error: NoAnswer) -> CommandFailure {
    CommandFailure::new(FailureKind::Unavailable, format!("ZooKeeper stopped answering: {error}"))
}

/// Seconds since 1970.
pub fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
