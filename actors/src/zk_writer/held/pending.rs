//! Held switches of given sub-accounts, for pages and commands that only show them.

use super::{intent::Intent, round::HeldDirs};
use crate::{
    domain::{Coin, Source},
    zk::{Connection, Content, Inspector, NoAnswer, WriteError},
    zk_writer::settings::WriterSettings,
};

/// A held switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldSwitch {
    /// The coin that will be written.
    pub coin: Coin,
    /// Due time, in milliseconds since 1970.
    pub due: u64,
    /// Origin, as far as its intent has it: without the client's address.
    pub source: Source,
}

/// A sub-account's held switch, if there is one, or why its intent cannot be read.
pub type HeldRead = Result<Option<HeldSwitch>, String>;

impl From<Intent> for HeldSwitch {
    fn from(Intent { coin, due, source, .. }: Intent) -> Self {
        Self { coin, due, source }
    }
}

/// Reads the held switches of sub-accounts, by the names of their znodes. Writes nothing, and needs no directory of held
/// switches.
pub async fn held_switches(
    zookeeper: &Inspector,
    settings: &WriterSettings,
    names: &[&str],
) -> Result<Vec<HeldRead>, NoAnswer> {
    let dirs = HeldDirs::new(settings.watch_dir.clone(), settings.held_dir.clone());
    let held = pending(zookeeper.connection(), &dirs, names).await;
    held.map_err(|error| NoAnswer::new("reading", dirs.intents.node(), &error))
}

/// Like [`held_switches`]. An intent that a later write has made obsolete is no held switch.
pub(crate) async fn pending(
    connection: &Connection,
    dirs: &HeldDirs,
    names: &[&str],
) -> Result<Vec<HeldRead>, WriteError> {
    let intents: Vec<String> = names.iter().map(|name| dirs.intents.child(name)).collect();
    let znodes: Vec<String> = names.iter().map(|name| dirs.watch.child(name)).collect();
    let intents = connection.read_intents(&intents).await?;
    let znodes: Vec<&str> = znodes.iter().map(String::as_str).collect();
    // After the intents, as a round reads them.
    let znodes = connection.read_caught_up(&znodes).await?;
    let held = intents.into_iter().zip(znodes).map(|(intent, znode)| {
        let Some(Content { data, mark }) = intent? else { return Ok(None) };
        let intent = Intent::parse(&data).map_err(|cause| format!("it is no intent: {cause}"))?;
        let znode = znode?.map(|znode| znode.mark.zxid);
        Ok(intent.filter(|intent| intent.is_last(mark.zxid, znode)).map(HeldSwitch::from))
    });
    Ok(held.collect())
}
