//! The values of all keys at one time, to find the changes of a reload.

use std::{collections::BTreeMap, fmt};

use config::Map;
use sha2::{Digest, Sha256};

use super::{
    check::shown,
    keys::KEYS,
    value::{Value, as_fields, as_number, as_text, whole},
};

/// The values of all keys, and the contents of the files that they name. Never printed whole.
pub struct Snapshot {
    /// The value of each key, in the order of [`KEYS`].
    values: Vec<Entry>,
    /// Digests of files by their keys.
    contents: BTreeMap<&'static str, [u8; 32]>,
}

/// The value of a key.
struct Entry {
    compared: String,
    shown: String,
    is_empty: bool,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Snapshot(…)")
    }
}

/// Another value of a key. Its text is fit for the log: `AvailableCoins from ["btc"] to ["bcc"]`.
pub struct KeyChange {
    /// Name of the key.
    pub key: &'static str,
    /// Whether a running daemon can apply it.
    pub is_reloadable: bool,
    shown: Option<(String, String)>,
    /// The same file has another content.
    is_content: bool,
}

impl fmt::Display for KeyChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, shown, .. } = self;
        match shown {
            Some((from, to)) => write!(f, "{key} from {from} to {to}"),
            None if self.is_content => write!(f, "{key} (content of the file)"),
            None => write!(f, "{key} (not shown)"),
        }
    }
}

impl Snapshot {
    pub(super) fn new(values: &Map<String, Value>) -> Self {
        let entries = KEYS.iter().map(|key| match values.get(key.name) {
            Some(value) => Entry {
                compared: plain(value),
                shown: shown(key, value),
                is_empty: as_text(value).is_some_and(str::is_empty),
            },
            None => Entry { compared: String::new(), shown: "nothing".to_owned(), is_empty: true },
        });
        Self { values: entries.collect(), contents: BTreeMap::new() }
    }

    /// Notes the content of the file that `key` names.
    pub(super) fn note_content(&mut self, key: &'static str, bytes: &[u8]) {
        self.contents.insert(key, Sha256::digest(bytes).into());
    }

    /// Lists the changes in `new`, in the order of the keys. The origin of a value makes no difference.
    pub fn changes_to(&self, new: &Self) -> Vec<KeyChange> {
        let entries = KEYS.iter().zip(self.values.iter().zip(&new.values));
        entries
            .filter_map(|(key, (before, now))| {
                let is_same = before.compared == now.compared;
                if is_same && self.contents.get(key.name) == new.contents.get(key.name) {
                    return None;
                }
                // Two URLs may differ in a part that is never shown.
                let is_shown = !key.kind.is_secret() && before.shown != now.shown;
                let shown = is_shown.then(|| (before.shown.clone(), now.shown.clone()));
                let switches = key.is_switch && before.is_empty != now.is_empty;
                let is_reloadable = key.is_reloadable && !switches;
                Some(KeyChange { key: key.name, is_reloadable, shown, is_content: is_same })
            })
            .collect()
    }
}

/// A text that equal values share. The same number in two spellings is no change.
fn plain(value: &Value) -> String {
    if let Some(fields) = as_fields(value) {
        let fields = fields.into_iter().map(|(name, value)| (name, plain(value)));
        return format!("{:?}", fields.collect::<Vec<_>>());
    }
    // An empty text counts as absent.
    if as_text(value).is_some_and(str::is_empty) {
        return String::new();
    }
    match as_number(value) {
        Some(number) => whole(number).map_or_else(|| number.to_owned(), |it| it.to_string()),
        None => format!("{:?}", value.kind),
    }
}
