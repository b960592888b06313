//! The values of all keys, to find out what has changed since the configuration was read last.

use std::fmt;

use super::{
    found::{Value, whole},
    keys::{KEYS, Key, Kind},
};

/// The value of each key, given or by default, as it is compared and as it may be shown. Never printed whole.
pub struct Values(Vec<Entry>);

struct Entry {
    plain: String,
    shown: String,
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Values(…)")
    }
}

/// A key that has another value than before. Its text is fit for the log: `AvailableCoins from ["btc"] to ["bcc"]`.
pub struct Change {
    /// The key.
    pub key: &'static str,
    /// Whether a running daemon can take the other value over.
    pub is_reloadable: bool,
    shown: Option<(String, String)>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, shown, .. } = self;
        match shown {
            Some((from, to)) => write!(f, "{key} from {from} to {to}"),
            None => write!(f, "{key} (not shown)"),
        }
    }
}

impl Values {
    /// Asks for the value of each key and how it may be shown; `None` where there is neither a value nor a default.
    pub(super) fn of(mut find: impl FnMut(&'static Key) -> Option<(Value, String)>) -> Self {
        let entries = KEYS.iter().map(|key| match find(key) {
            Some((value, shown)) => Entry { plain: plain(&value), shown },
            None => Entry { plain: String::new(), shown: "nothing".to_owned() },
        });
        Self(entries.collect())
    }

    /// What is different in `new`, in the order of the keys. Where a value comes from makes no difference.
    pub fn changes_to(&self, new: &Self) -> Vec<Change> {
        let entries = KEYS.iter().zip(self.0.iter().zip(&new.0));
        let changed = entries.filter(|(_, (old, new))| old.plain != new.plain);
        changed
            .map(|(key, (old, new))| {
                // Of a URL, what has changed may be what is never shown.
                let is_shown = key.kind != Kind::Secret && old.shown != new.shown;
                let shown = is_shown.then(|| (old.shown.clone(), new.shown.clone()));
                Change { key: key.name, is_reloadable: key.is_reloadable, shown }
            })
            .collect()
    }
}

/// A text that only the same value has.
fn plain(value: &Value) -> String {
    match value {
        // The same number in two spellings is no change.
        Value::Number(number) => {
            whole(number).map_or_else(|| number.clone(), |whole| whole.to_string())
        }
        other => format!("{other:?}"),
    }
}
