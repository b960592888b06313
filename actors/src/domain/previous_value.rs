//! What a znode held before a write.

use std::{borrow::Cow, fmt};

use super::{Coin, Shown};

/// As much of a znode's old data is shown; the stratum side reads no more of a coin's name.
const SHOWN_BYTES: usize = 64;

/// What a znode held before a write.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PreviousValue {
    /// It was not looked at, or the look failed.
    NotKnown,
    /// There was no znode.
    Absent,
    /// The coin that we had written before.
    Coin(Coin),
    /// Its data, which anybody may have written.
    Data(Vec<u8>),
}

impl PreviousValue {
    /// A znode's data, to be kept: as much of it as is shown, and one byte more where there is more.
    pub(crate) fn kept(data: &[u8]) -> Self {
        Self::Data(Self::cut(data))
    }

    /// The part of a znode's data that [`kept`](Self::kept) keeps. No coin's name is longer. It is a copy:
    /// shortening the data would keep its whole allocation.
    pub(crate) fn cut(data: &[u8]) -> Vec<u8> {
        data[..data.len().min(SHOWN_BYTES + 1)].to_vec()
    }

    /// The same, to be kept.
    pub(crate) fn to_kept(&self) -> Self {
        match self {
            Self::Data(data) => Self::kept(data),
            old => old.clone(),
        }
    }

    /// What it held as a text of at most 64 bytes and an ellipsis, with whatever anybody may have written;
    /// `None` if there was nothing, or nobody looked.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        let data = match self {
            Self::NotKnown | Self::Absent => return None,
            Self::Coin(coin) => return Some(coin.as_str().into()),
            Self::Data(data) => data,
        };
        let shown = &data[..data.len().min(SHOWN_BYTES)];
        let text = String::from_utf8_lossy(shown);
        Some(if shown.len() < data.len() { format!("{text}…").into() } else { text })
    }
}

impl fmt::Display for PreviousValue {
    /// For the log: escapes what could forge a line, and cuts what is too long for a coin.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = match self {
            Self::NotKnown => return f.write_str("?"),
            Self::Absent => return f.write_str("-"),
            Self::Coin(coin) => return coin.fmt(f),
            Self::Data(data) => data,
        };
        let shown = &data[..data.len().min(SHOWN_BYTES)];
        write!(f, "{}", Shown(&String::from_utf8_lossy(shown)))?;
        if shown.len() < data.len() { f.write_str("…") } else { Ok(()) }
    }
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
    fn as_a_text_it_is_cut_and_nothing_is_no_text() {
        assert_eq!(PreviousValue::Data(b"a\nb".to_vec()).text().as_deref(), Some("a\nb"));
        assert_eq!(
            PreviousValue::Data(vec![b'x'; 65]).text(),
            Some(format!("{}…", "x".repeat(64)).into())
        );
        assert_eq!((PreviousValue::Absent.text(), PreviousValue::NotKnown.text()), (None, None));
    }

    #[test]
    fn what_is_kept_of_a_megabyte_is_what_is_shown_of_it() {
        let old = PreviousValue::Data(vec![b'x'; 1 << 20]);
        assert_eq!(old.to_kept(), PreviousValue::Data(vec![b'x'; 65]));
        assert_eq!(old.to_kept().text(), old.text());
        assert_eq!(
            PreviousValue::Data(b"btc".to_vec()).to_kept(),
            PreviousValue::Data(b"btc".to_vec())
        );
    }
}
