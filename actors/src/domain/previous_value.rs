//! A znode's data before a write.

use std::{borrow::Cow, fmt};

use slog::{Key, Record, Serializer, Value};

use super::{Coin, Shown};

/// Bytes of a znode's old data that are shown. Stratum servers read no more of a coin's name.
const SHOWN_BYTES: usize = 64;

/// A znode's data before a write.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PreviousValue {
    /// Not read, or the read failed.
    NotKnown,
    /// There was no znode.
    Absent,
    /// The coin of our own last write.
    Coin(Coin),
    /// The data as read, from any writer.
    Data(Vec<u8>),
}

impl PreviousValue {
    /// As many bytes as are shown, and one more as the sign of a longer value. The result is a copy: a shortened
    /// vector would keep its whole allocation.
    pub(crate) fn cut(data: &[u8]) -> Vec<u8> {
        data[..data.len().min(SHOWN_BYTES + 1)].to_vec()
    }

    /// The value as a text of at most 64 bytes and an ellipsis, not escaped; `None` if absent or not known.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::NotKnown | Self::Absent => None,
            Self::Coin(coin) => Some(coin.as_str().into()),
            Self::Data(data) => Some(match clip_bytes(data) {
                (text, "") => text,
                (text, ellipsis) => text + ellipsis,
            }),
        }
    }
}

impl fmt::Display for PreviousValue {
    /// For the log: escaped, and cut to 64 bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotKnown => f.write_str("?"),
            Self::Absent => f.write_str("-"),
            Self::Coin(coin) => coin.fmt(f),
            Self::Data(data) => {
                let (text, ellipsis) = clip_bytes(data);
                write!(f, "{}{ellipsis}", Shown(&text))
            }
        }
    }
}

/// The same text as by [`fmt::Display`].
impl Value for PreviousValue {
    fn serialize(&self, _: &Record<'_>, key: Key, serializer: &mut dyn Serializer) -> slog::Result {
        match self {
            Self::Coin(coin) => serializer.emit_str(key, coin.as_str()),
            _ => serializer.emit_arguments(key, &format_args!("{self}")),
        }
    }
}

/// The bytes that are shown, and an ellipsis if there are more.
fn clip_bytes(data: &[u8]) -> (Cow<'_, str>, &'static str) {
    let shown = &data[..data.len().min(SHOWN_BYTES)];
    let ellipsis = if shown.len() < data.len() { "…" } else { "" };
    (String::from_utf8_lossy(shown), ellipsis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_data_cannot_forge_a_line_nor_flood_it() {
        assert_eq!(PreviousValue::Data(b"btc".to_vec()).to_string(), "btc");
        assert_eq!(PreviousValue::Data(b"a\nb\x1b[2J".to_vec()).to_string(), r#""a\nb\u{1b}[2J""#);
        assert_eq!(PreviousValue::Data(b"x, new: y".to_vec()).to_string(), r#""x, new: y""#);
        assert_eq!(PreviousValue::Data(vec![b'x'; 65]).to_string(), format!("{}…", "x".repeat(64)));
        assert_eq!(
            (PreviousValue::Absent.to_string(), PreviousValue::NotKnown.to_string()),
            ("-".into(), "?".into())
        );
    }

    #[test]
    fn its_text_is_cut_and_absence_is_no_text() {
        assert_eq!(PreviousValue::Data(b"a\nb".to_vec()).text().as_deref(), Some("a\nb"));
        assert_eq!(
            PreviousValue::Data(vec![b'x'; 65]).text(),
            Some(format!("{}…", "x".repeat(64)).into())
        );
        assert_eq!((PreviousValue::Absent.text(), PreviousValue::NotKnown.text()), (None, None));
    }

    #[test]
    fn of_a_megabyte_only_the_shown_bytes_are_kept() {
        let (data, cut) = (vec![b'x'; 1 << 20], PreviousValue::cut(&vec![b'x'; 1 << 20]));
        assert_eq!(cut, vec![b'x'; 65]);
        assert_eq!(PreviousValue::Data(cut).text(), PreviousValue::Data(data).text());
        assert_eq!(PreviousValue::cut(b"btc"), b"btc");
    }
}
