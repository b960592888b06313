//! Notes: records that last for years, in a chain that shows whether one was edited, removed, inserted or moved.
//!
//! Each has a link: an HMAC-SHA256 over the link before, its number and its text. Nothing is ever updated: the outcome of
//! a change is a note of its own, which names the first one.

use std::path::Path;

use ring::hmac;
use rusqlite::{Connection, params};
use thiserror::Error;

use crate::database::{OpenError, open_to_read};

/// A link of the chain.
pub type Link = [u8; 32];

/// Key of the chain.
#[derive(Clone, Debug)]
pub struct ChainKey(hmac::Key);

impl ChainKey {
    /// The key with these bytes; 32 random ones are right.
    pub fn new(bytes: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    fn link(&self, before: &Link, number: i64, text: &str) -> Link {
        self.sign(&[b"note", before, &number.to_be_bytes(), text.as_bytes()])
    }

    /// Proves where the chain begins: the link before the first note that is kept.
    fn seal(&self, start: &Link) -> Link {
        self.sign(&[b"start", start])
    }

    fn sign(&self, parts: &[&[u8]]) -> Link {
        let mut context = hmac::Context::with_key(&self.0);
        parts.iter().for_each(|part| context.update(part));
        let mut link = Link::default();
        link.copy_from_slice(context.sign().as_ref());
        link
    }
}

/// The first fault of a chain.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ChainFault {
    /// The notes before this one are missing, or the key is another.
    #[error(
        "the chain's beginning does not fit the key: its first records were removed, or the key file is another"
    )]
    Start,
    /// This note does not fit the one before.
    #[error("record {0} was edited, inserted or moved, or a record before it was removed")]
    Note(i64),
    /// No note has the link that was noted elsewhere.
    #[error("no record has this head: records at the end were cut off")]
    Head,
}

/// Adds the table of the chain's beginning, and the first links.
pub(crate) fn begin(db: &Connection, key: &ChainKey) -> rusqlite::Result<()> {
    let start = Link::default();
    let insert = "INSERT INTO chain SELECT ?, ? WHERE NOT EXISTS (SELECT 1 FROM chain)";
    db.execute(insert, params![start, key.seal(&start)]).map(|_| ())
}

/// The newest link.
pub(crate) fn head(db: &Connection) -> rusqlite::Result<Link> {
    let newest = "SELECT link FROM notes ORDER BY number DESC LIMIT 1";
    let mut newest = db.prepare_cached(newest)?;
    let mut newest = newest.query([])?;
    match newest.next()? {
        Some(row) => row.get(0),
        None => db.query_row("SELECT start FROM chain", [], |row| row.get(0)),
    }
}

/// Appends a note; returns its link.
pub(crate) fn append(
    db: &Connection,
    key: &ChainKey,
    number: i64,
    text: &str,
) -> rusqlite::Result<Link> {
    let link = key.link(&head(db)?, number, text);
    let insert = "INSERT INTO notes VALUES(?, ?, ?)";
    db.prepare_cached(insert)?.execute(params![number, text, link])?;
    Ok(link)
}

/// Drops the notes before this number; the chain then begins at the last of them.
pub(crate) fn drop_before(db: &Connection, key: &ChainKey, number: i64) -> rusqlite::Result<usize> {
    let last = "SELECT link FROM notes WHERE number < ? ORDER BY number DESC LIMIT 1";
    let mut last = db.prepare_cached(last)?;
    let mut last = last.query([number])?;
    let Some(row) = last.next()? else { return Ok(0) };
    let start: Link = row.get(0)?;
    db.execute("UPDATE chain SET start = ?, seal = ?", params![start, key.seal(&start)])?;
    db.execute("DELETE FROM notes WHERE number < ?", [number])
}

/// Checks the chain of a file, beside the daemon that writes it; returns the number of records. `head` is a link that
/// was noted elsewhere.
///
/// # Errors
/// The inner one is the first fault of the chain; the outer one, that the file cannot be read.
pub fn verify(
    path: &Path,
    key: &ChainKey,
    head: Option<&Link>,
) -> Result<Result<u64, ChainFault>, OpenError> {
    let db = open_to_read(path)?;
    let db = db.unchecked_transaction()?;
    let (start, seal): (Link, Link) =
        db.query_row("SELECT start, seal FROM chain", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if key.seal(&start) != seal {
        return Ok(Err(ChainFault::Start));
    }
    let (mut link, mut count) = (start, 0);
    let mut has_head = head.is_none_or(|head| *head == start);
    let mut notes = db.prepare("SELECT number, text, link FROM notes ORDER BY number")?;
    let mut notes = notes.query([])?;
    while let Some(row) = notes.next()? {
        let (number, text): (i64, String) = (row.get(0)?, row.get(1)?);
        link = key.link(&link, number, &text);
        if row.get::<_, Link>(2)? != link {
            return Ok(Err(ChainFault::Note(number)));
        }
        has_head |= head == Some(&link);
        count += 1;
    }
    Ok(if has_head { Ok(count) } else { Err(ChainFault::Head) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with some notes, and their links.
    fn chain(path: &Path, key: &ChainKey) -> (Connection, Vec<Link>) {
        let db = crate::database::open(path).unwrap();
        begin(&db, key).unwrap();
        let links = (1..=5).map(|n| append(&db, key, n * 10, &format!("{{\"n\":{n}}}")).unwrap());
        let links = links.collect();
        (db, links)
    }

    #[test]
    fn each_kind_of_tampering_is_found() {
        let key = ChainKey::new(b"key");
        for (change, fault) in [
            ("UPDATE notes SET text = '{}' WHERE number = 30", ChainFault::Note(30)),
            ("UPDATE notes SET text = '{}' WHERE number = 50", ChainFault::Note(50)),
            ("DELETE FROM notes WHERE number = 30", ChainFault::Note(40)),
            ("DELETE FROM notes WHERE number = 10", ChainFault::Note(20)),
            ("DELETE FROM notes WHERE number = 50", ChainFault::Head),
            ("DELETE FROM notes", ChainFault::Head),
            ("UPDATE notes SET number = 35 WHERE number = 20", ChainFault::Note(30)),
            (
                "INSERT INTO notes SELECT 25, text, link FROM notes WHERE number = 20",
                ChainFault::Note(25),
            ),
            (
                "UPDATE chain SET start = (SELECT link FROM notes WHERE number = 20); DELETE FROM notes WHERE number <= 20",
                ChainFault::Start,
            ),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("history");
            let (db, links) = chain(&path, &key);
            assert_eq!(verify(&path, &key, links.last()).unwrap(), Ok(5));
            assert_eq!(verify(&path, &key, Some(&links[1])).unwrap(), Ok(5));
            db.execute_batch(change).unwrap();
            assert_eq!(verify(&path, &key, links.last()).unwrap(), Err(fault), "{change}");
        }
    }

    #[test]
    fn a_chain_of_which_the_oldest_were_dropped_is_whole() {
        let (key, dir) = (ChainKey::new(b"key"), tempfile::tempdir().unwrap());
        let path = dir.path().join("history");
        let (db, links) = chain(&path, &key);
        assert_eq!(drop_before(&db, &key, 10).unwrap(), 0);
        assert_eq!(drop_before(&db, &key, 30).unwrap(), 2);
        assert_eq!(verify(&path, &key, links.last()).unwrap(), Ok(3));
        assert_eq!(drop_before(&db, &key, i64::MAX).unwrap(), 3);
        assert_eq!(verify(&path, &key, links.last()).unwrap(), Ok(0));
        append(&db, &key, 60, "{}").unwrap();
        assert_eq!(verify(&path, &key, None).unwrap(), Ok(1));
        let other = ChainKey::new(b"other");
        assert_eq!(verify(&path, &other, None).unwrap(), Err(ChainFault::Start));
    }
}
