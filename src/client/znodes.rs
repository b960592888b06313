//! The coins of sub-accounts in ZooKeeper, for the commands that show or compare them.

use std::{
    borrow::Cow,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use switcher_actors::{
    HeldRead, Inspector, NoAnswer, Seen, Shown, WriterSettings, ZkSettings, ZkTls, ZnodeDir,
    held_switches, rfc_3339_millis,
};

use super::report::{CommandFailure, FailureKind};

/// Opens a session with the configured ZooKeeper.
pub async fn open(settings: &ZkSettings, tls: Option<ZkTls>) -> Result<Inspector, CommandFailure> {
    let brokers = settings.brokers.join(",");
    Inspector::open(settings.clone(), tls).await.map_err(|error| {
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
    zookeeper.look(&paths).await.map_err(stopped_answering)
}

/// Reads the held switches of sub-accounts, in their order.
pub async fn read_held(
    zookeeper: &Inspector,
    settings: &WriterSettings,
    names: &[&str],
) -> Result<Vec<HeldRead>, CommandFailure> {
    held_switches(zookeeper, settings, names).await.map_err(stopped_answering)
}

fn stopped_answering(error: NoAnswer) -> CommandFailure {
    FailureKind::Unavailable.failure(format!("ZooKeeper stopped answering: {error}"))
}

/// A held switch, for people: the end of a line, or empty.
pub fn shown_held(held: &HeldRead, now: u64) -> String {
    match held {
        Ok(None) => String::new(),
        Ok(Some(held)) => {
            let (coin, due) = (Shown(held.coin.as_str()), rfc_3339_millis(held.due));
            let at = held.due / 1_000;
            let left = match at.checked_sub(now) {
                Some(left) => format!("in {left} s"),
                None => format!("{} s ago; `doctor` finds the reason", now - at),
            };
            format!("; held switch to {coin}, due {due} ({left})")
        }
        Err(cause) => format!("; held switch not readable ({})", Shown(cause)),
    }
}

/// A held switch, for scripts; `null` if there is none, or it cannot be read.
pub fn held_field(held: &HeldRead) -> Value {
    match held {
        Ok(Some(held)) => {
            json!({"coin": held.coin.as_str(), "due": held.due, "source": held.source.label()})
        }
        Ok(None) | Err(_) => Value::Null,
    }
}

/// Seconds since 1970.
pub fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
