//! The coins of sub-accounts in ZooKeeper, for the commands that show or compare them.

use std::{
    borrow::Cow,
    time::{SystemTime, UNIX_EPOCH},
};

use switcher_actors::{Inspector, Seen, Shown, ZkSettings, ZnodeDir};

use super::report::{CommandFailure, FailureKind};

/// Opens a session with the configured ZooKeeper.
pub async fn open(settings: &ZkSettings) -> Result<Inspector, CommandFailure> {
    let brokers = settings.brokers.join(",");
    Inspector::open(settings.clone()).await.map_err(|error| {
        let text = format!(
            "ZooKeeper ({brokers}) grants no session: {error}; is it running, and is ZKBroker right? `doctor` checks \
             each broker"
        );
        FailureKind::Unavailable.failure(text)
    })
}

/// Coin in a sub-account's znode, with U+FFFD for bytes that are not UTF-8.
pub fn coin(znode: &Seen) -> Option<Cow<'_, str>> {
    match znode {
        Seen::Znode { data, .. } => Some(String::from_utf8_lossy(data)),
        Seen::Nothing | Seen::Forbidden(_) => None,
    }
}

/// Content of a sub-account's znode, for people.
pub fn shown(znode: &Seen) -> String {
    match znode {
        Seen::Znode { data, .. } => Shown(&String::from_utf8_lossy(data)).to_string(),
        Seen::Nothing => "no znode".to_owned(),
        Seen::Forbidden(cause) => format!("not readable ({cause})"),
    }
}

/// Reads the znodes of sub-accounts, in their order.
pub async fn read(
    zookeeper: &Inspector,
    dir: &ZnodeDir,
    names: impl Iterator<Item = &str>,
) -> Result<Vec<Seen>, CommandFailure> {
    let paths: Vec<_> = names.map(|name| dir.child(name)).collect();
    let paths: Vec<_> = paths.iter().map(String::as_str).collect();
    zookeeper.look(&paths).await.map_err(|error| {
        FailureKind::Unavailable.failure(format!("ZooKeeper stopped answering: {error}"))
    })
}

/// Seconds since 1970.
pub fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
