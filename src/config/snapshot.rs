//! The values of all keys at one time, to find the changes of a reload.

use std::fmt;

use config::Map;

use super::{
    check::shown,
    keys::KEYS,
    value::{Value, as_fields, as_number, whole},
};

/// The value of each key, in the order of [`KEYS`]: as compared, and as shown. Never printed whole.
pub struct Snapshot(Vec<(String, String)>);

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
}

impl fmt::Display for KeyChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, shown, .. } = self;
        match shown {
            Some((from, to)) => write!(f, "{key} from {from} to {to}"),
            None => write!(f, "{key} (not shown)"),
        }
    }
}

impl Snapshot {
    pub(super) fn new(values: &Map<String, Value>) -> Self {
        let entries = KEYS.iter().map(|key| match values.get(key.name) {
            Some(value) => (plain(value), shown(key, value)),
            None => (String::new(), "nothing".to_owned()),
        });
        Self(entries.collect())
    }

    /// Lists the changes in `new`, in the order of the keys. The origin of a value makes no difference.
    pub fn changes_to(&self, new: &Self) -> Vec<KeyChange> {
        let entries = KEYS.iter().zip(self.0.iter().zip(&new.0));
        let changed = entries.filter(|(_, (old, new))| old.0 != new.0);
        changed
            .map(|(key, ((_, old), (_, new)))| {
                // Two URLs may differ in a part that is never shown.
                let is_shown = !key.kind.is_secret() && old != new;
                let shown = is_shown.then(|| (old.clone(), new.clone()));
                KeyChange { key: key.name, is_reloadable: key.is_reloadable, shown }
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
    match as_number(value) {
        Some(number) => whole(number).map_or_else(|| number.to_owned(), |it| it.to_string()),
        None => format!("{:?}", value.kind),
    }
}
