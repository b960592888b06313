//! The file: settings of a connection, tables, version of the schema.
//!
//! Switches lie in parts, tables of their own: `switches_1`, `switches_2` and so on. The newest is not indexed by name, so
//! that it costs an insertion no search; a search reads all of it. A full part gets its index. The oldest is dropped as
//! a whole.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use thiserror::Error;

/// Version of the tables below.
const VERSION: i64 = 1;

/// Bytes of pages that a connection keeps: one writes, few read.
const CACHE_KIB: i64 = 8_000;

const TABLES: &str = "
CREATE TABLE words(id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE requests(
    id INTEGER PRIMARY KEY, request INTEGER NOT NULL, time INTEGER NOT NULL, source INTEGER NOT NULL,
    client, actor, on_behalf_of, comment,
    first INTEGER NOT NULL, more INTEGER NOT NULL,
    applied INTEGER NOT NULL, not_applied INTEGER NOT NULL, unknown INTEGER NOT NULL, held INTEGER NOT NULL,
    created INTEGER NOT NULL, coins NOT NULL, undo_of INTEGER, undone_by INTEGER);
CREATE INDEX requests_by_request ON requests(request);
CREATE TABLE parts(
    id INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL,
    first_time INTEGER NOT NULL, last_time INTEGER NOT NULL, is_full INTEGER NOT NULL);
CREATE TABLE notes(number INTEGER PRIMARY KEY, text TEXT NOT NULL, link BLOB NOT NULL);
CREATE TABLE chain(start BLOB NOT NULL, seal BLOB NOT NULL);
";

/// Why a history cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// A newer daemon has written it.
    #[error(
        "it has version {0} of the tables, and this daemon knows {VERSION}: use the newer daemon, or another file"
    )]
    Newer(i64),
    /// SQLite finds it damaged, or it is another kind of file.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// It cannot be read or written.
    #[error("{0}")]
    Other(String),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged(error.to_string())
            }
            _ => Self::Other(error.to_string()),
        }
    }
}

/// Opens the file for writing. A new one gets its tables.
pub(crate) fn open(path: &Path) -> Result<Connection, OpenError> {
    let mut db = Connection::open(path)?;
    db.pragma_update(None, "page_size", 8192)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "NORMAL")?;
    db.pragma_update(None, "cache_size", -CACHE_KIB)?;
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > VERSION {
        return Err(OpenError::Newer(version));
    }
    if version == 0 {
        let tables = db.transaction()?;
        tables.execute_batch(TABLES)?;
        tables.pragma_update(None, "user_version", VERSION)?;
        tables.commit()?;
    }
    Ok(db)
}

/// Opens it for reading, beside the daemon that writes.
pub(crate) fn open_to_read(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.pragma_update(None, "query_only", true)?;
    db.pragma_update(None, "cache_size", -CACHE_KIB)?;
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > VERSION { Err(OpenError::Newer(version)) } else { Ok(db) }
}

/// The table of a part.
pub(crate) fn switches(part: i64) -> String {
    format!("switches_{part}")
}
