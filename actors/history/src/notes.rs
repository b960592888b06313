//! Notes: records that last for years, in a chain that shows whether one was edited, removed, inserted or moved.
//!
//! Each has a link: an HMAC-SHA256 over the link before, its number and its text. No note is ever updated: the outcome of
//! an update is a further note, which names the first. All that searches compare and show is in the text.

use std::{net::IpAddr, path::Path};

use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    database::open_to_read,
    error::OpenError,
    key::{ChainKey, Link},
    record::{Coinbase, Origin, Outcome, RequestNumber, Source, Update},
};

/// The text of a note.
#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Note {
    /// An update. Its outcome is `unknown` until the further note.
    Update {
        #[serde(flatten)]
        head: Head,
        coin: String,
        sub_pool: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        old: Option<Coinbase>,
        new: Coinbase,
    },
    Reload {
        #[serde(flatten)]
        head: Head,
        keys: Vec<String>,
    },
    /// The outcome of the update with the number `of`.
    Outcome {
        of: i64,
        time: i64,
        outcome: Outcome,
        #[serde(skip_serializing_if = "Option::is_none")]
        cause: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        old: Option<Coinbase>,
        #[serde(skip_serializing_if = "Option::is_none")]
        new: Option<Coinbase>,
    },
}

/// Common fields of all changes.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Head {
    pub(crate) time: i64,
    pub(crate) origin: OriginText,
    pub(crate) outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<String>,
}

/// An origin; requests are hexadecimal digits, as in answers.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct OriginText {
    request: String,
    source: Source,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_behalf_of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    undo_of: Option<String>,
}

impl From<&Origin> for OriginText {
    fn from(origin: &Origin) -> Self {
        Self {
            request: digits(origin.request),
            source: origin.source,
            client: origin.client,
            actor: origin.actor.clone(),
            on_behalf_of: origin.on_behalf_of.clone(),
            comment: origin.comment.clone(),
            undo_of: origin.undo_of.map(digits),
        }
    }
}

impl OriginText {
    /// `None` if a request is no hexadecimal number.
    pub(crate) fn origin(self) -> Option<Origin> {
        let number = |digits: &str| RequestNumber::from_str_radix(digits, 16).ok();
        Some(Origin {
            request: number(&self.request)?,
            source: self.source,
            client: self.client,
            actor: self.actor,
            on_behalf_of: self.on_behalf_of,
            comment: self.comment,
            undo_of: self.undo_of.map(|undone| number(&undone).ok_or(())).transpose().ok()?,
        })
    }
}

/// A request's 16 hexadecimal digits.
pub(crate) fn digits(request: RequestNumber) -> String {
    format!("{request:016x}")
}

impl Note {
    pub(crate) fn update(head: Head, update: &Update) -> Self {
        let Update { coin, sub_pool, old, new } = update.clone();
        Self::Update { head, coin, sub_pool, old, new }
    }

    pub(crate) fn text(&self) -> rusqlite::Result<String> {
        serde_json::to_string(self)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
    }
}

/// The first fault of a chain.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ChainFault {
    /// The seal of the chain's beginning does not fit the key.
    #[error(
        "the chain's beginning does not fit the key: its first records were removed, or the key file is another"
    )]
    Start,
    /// The link of the note with this number does not fit the note before.
    #[error("record {0} was edited, inserted or moved, or a record before it was removed")]
    Note(i64),
    /// No note has the link that was noted elsewhere.
    #[error(
        "no record has this head: records at the end were cut off, or the file was replaced by another"
    )]
    Head,
}

/// Begins the chain.
pub(crate) fn begin(db: &Connection, key: &ChainKey) -> rusqlite::Result<()> {
    let start = Link::default();
    db.execute("INSERT INTO chain VALUES(?, ?)", params![start.0, key.seal(&start).0]).map(|_| ())
}

/// The beginning of the chain and its seal; `None` if it has not begun.
pub(crate) fn start(db: &Connection) -> rusqlite::Result<Option<(Link, Link)>> {
    let mut start = db.prepare("SELECT start, seal FROM chain")?;
    // A value that is no link becomes one that fits no key.
    let link = |row: &Row<'_>, column| Link(row.get(column).unwrap_or_default());
    let mut start = start.query_map([], |row| Ok((link(row, 0), link(row, 1))))?;
    start.next().transpose()
}

/// The newest link.
pub(crate) fn head(db: &Connection) -> rusqlite::Result<Link> {
    let newest =
        "SELECT coalesce((SELECT link FROM notes ORDER BY number DESC LIMIT 1), start) FROM chain";
    db.query_row(newest, [], |row| row.get(0)).map(Link)
}

/// Appends a note after `head`, which becomes its link.
pub(crate) fn append(
    db: &Connection,
    key: &ChainKey,
    head: &mut Link,
    number: i64,
    text: &str,
) -> rusqlite::Result<()> {
    *head = key.link(head, number, text.as_bytes());
    let insert = "INSERT INTO notes VALUES(?, ?, ?)";
    db.prepare_cached(insert)?.execute(params![number, text, head.0]).map(|_| ())
}

/// Drops the notes before this number; the chain then begins at the last of them.
pub(crate) fn drop_before(db: &Connection, key: &ChainKey, number: i64) -> rusqlite::Result<usize> {
    let last = "SELECT link FROM notes WHERE number < ? ORDER BY number DESC LIMIT 1";
    let mut last = db.prepare_cached(last)?;
    let mut last = last.query([number])?;
    let Some(row) = last.next()? else { return Ok(0) };
    let start = Link(row.get(0)?);
    db.execute("UPDATE chain SET start = ?, seal = ?", params![start.0, key.seal(&start).0])?;
    db.execute("DELETE FROM notes WHERE number < ?", [number])
}

/// The newest link of a file, also while a daemon writes it.
///
/// # Errors
/// If the file cannot be read.
pub fn chain_head(path: &Path) -> Result<Link, OpenError> {
    head(&open_to_read(path)?).map_err(OpenError::of)
}

/// Checks the chain of a file, also while a daemon writes it; returns the number of notes, of which an update has two.
/// `head` is a link that was noted elsewhere and must be in the chain.
///
/// # Errors
/// Outer: the file or the key file cannot be read. Inner: the first fault of the chain.
pub fn verify(
    path: &Path,
    key_file: &Path,
    head: Option<&Link>,
) -> Result<Result<u64, ChainFault>, OpenError> {
    let key = ChainKey::read(key_file)?;
    let db = open_to_read(path)?;
    check(&db, &key, head).map_err(OpenError::of)
}

fn check(
    db: &Connection,
    key: &ChainKey,
    head: Option<&Link>,
) -> rusqlite::Result<Result<u64, ChainFault>> {
    let db = db.unchecked_transaction()?;
    let Some((start, seal)) = start(&db)? else { return Ok(Err(ChainFault::Start)) };
    if key.seal(&start) != seal {
        return Ok(Err(ChainFault::Start));
    }
    let (mut link, mut count) = (start, 0);
    let mut has_head = head.is_none_or(|head| *head == start);
    let mut notes = db.prepare("SELECT number, text, link FROM notes ORDER BY number")?;
    let mut notes = notes.query([])?;
    while let Some(row) = notes.next()? {
        let number = row.get(0)?;
        let bytes = |column| row.get_ref(column).map(|value| value.as_bytes().unwrap_or_default());
        link = key.link(&link, number, bytes(1)?);
        if bytes(2)? != link.0 {
            return Ok(Err(ChainFault::Note(number)));
        }
        has_head |= head == Some(&link);
        count += 1;
    }
    Ok(if has_head { Ok(count) } else { Err(ChainFault::Head) })
}
