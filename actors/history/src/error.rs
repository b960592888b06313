//! Errors. None names the database library.

use rusqlite::ErrorCode;
use thiserror::Error;

use crate::database::VERSION;

/// Reason why a history cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another daemon writes it.
    #[error("another process writes it: each daemon needs a history of its own")]
    InUse,
    /// A newer daemon has written it.
    #[error(
        "it has version {0} of the tables, and this daemon knows {VERSION}: use the newer daemon, or another file"
    )]
    Newer(i64),
    /// SQLite reports damage, or the file is no database.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// The file, its lock or its key file cannot be used.
    #[error("{0}")]
    Other(String),
}

/// Reason why an open history could not be written or searched.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Error {
    /// The file is damaged.
    #[error("the history is damaged: {0}")]
    Damaged(String),
    /// The search reached its time limit, in seconds.
    #[error("the search took longer than {0} s and was ended: narrow it by dates")]
    TooLong(u64),
    /// Another failure, such as a full disk.
    #[error("{0}")]
    Other(String),
}

impl Error {
    /// Whether the file is damaged: another try fails, too.
    pub fn is_damaged(&self) -> bool {
        matches!(self, Self::Damaged(_))
    }

    pub(crate) fn of(error: rusqlite::Error) -> Self {
        if is_damage(&error) {
            Self::Damaged(error.to_string())
        } else {
            Self::Other(error.to_string())
        }
    }
}

impl OpenError {
    pub(crate) fn of(error: rusqlite::Error) -> Self {
        if is_damage(&error) {
            Self::Damaged(error.to_string())
        } else {
            Self::Other(error.to_string())
        }
    }
}

/// Whether SQLite reports damage, or found other tables or values than this crate writes.
fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::*;
    match error {
        SqliteFailure(failure, text) => match failure.code {
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => true,
            ErrorCode::Unknown => text.as_ref().is_some_and(|text| text.starts_with("no such")),
            _ => false,
        },
        SqlInputError { msg, .. } => msg.starts_with("no such"),
        FromSqlConversionFailure(..)
        | IntegralValueOutOfRange(..)
        | Utf8Error(..)
        | InvalidColumnType(..)
        | QueryReturnedNoRows => true,
        _ => false,
    }
}
