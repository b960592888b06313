//! Searches. Each reader has its own connection; a search sees the file as it was when the search began.

mod changes;
mod filter;
mod requests;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rusqlite::{Connection, Row};

use crate::{
    database::open_to_read,
    error::{Error, OpenError},
    record::{Entry, Kind, Origin, Outcome, RequestNumber, Source},
    words::text,
};

pub use filter::Filter;

/// Time limit of a search: the log of writes cannot be shortened while it runs.
const LIMIT: Duration = Duration::from_secs(10);

/// SQLite's steps between two checks of the time limit.
const STEPS: i32 = 10_000;

/// Order of the answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Newest first.
    #[default]
    Newest,
    /// Oldest first.
    Oldest,
}

impl Order {
    fn direction(self) -> &'static str {
        match self {
            Self::Newest => "DESC",
            Self::Oldest => "ASC",
        }
    }

    /// First and last number after `cursor`.
    fn after(self, cursor: Option<i64>) -> (i64, i64) {
        match (self, cursor) {
            (_, None) => (0, i64::MAX),
            (Self::Newest, Some(cursor)) => (0, cursor.saturating_sub(1)),
            (Self::Oldest, Some(cursor)) => (cursor.saturating_add(1), i64::MAX),
        }
    }
}

/// A page of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Cursor of the next page: the number of the last row; `None` at the end.
    pub next: Option<i64>,
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeRow {
    /// Rising number, over all kinds. The outcome of an update takes a number too, so there are gaps.
    pub number: i64,
    /// Time of the outcome, of an update of its beginning, in milliseconds since 1970.
    pub time: i64,
    /// Origin of the request.
    pub origin: Origin,
    /// The change. An update has the last known values before and after.
    pub entry: Entry,
    /// The outcome; `unknown` for an update without a recorded one.
    pub outcome: Outcome,
    /// Reason why it was not applied, or why the outcome is unknown.
    pub cause: Option<String>,
}

/// A request and the counts of its changes of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRow {
    /// Number of the first change.
    pub id: i64,
    /// Time of the first change, in milliseconds since 1970.
    pub time: i64,
    /// Kind of the changes.
    pub kind: Kind,
    /// Origin of the request.
    pub origin: Origin,
    /// Number of changes by outcome: applied, not applied, unknown, held.
    pub outcomes: [i64; 4],
    /// Number of created znodes.
    pub created: i64,
    /// Number of switches by new coin.
    pub coins: BTreeMap<String, i64>,
    /// The newest undo of the request that had an effect, or may have had one, and was not undone itself.
    pub undone_by: Option<RequestNumber>,
}

impl RequestRow {
    /// Number of changes.
    pub fn entries(&self) -> i64 {
        self.outcomes.iter().sum()
    }
}

/// A connection for searches. It keeps reading the opened file, even after the writer moves that aside.
pub struct Reader {
    db: Connection,
    limit: Duration,
    /// Time at which the running search is ended.
    end: Arc<Mutex<Instant>>,
}

impl Reader {
    /// Opens a history or a copy, also while a daemon writes it.
    ///
    /// # Errors
    /// If SQLite cannot use the file, or a newer daemon has written it.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let mut db = open_to_read(path)?;
        let end = Arc::new(Mutex::new(Instant::now()));
        let shared = Arc::clone(&end);
        let is_over =
            move || Instant::now() >= *shared.lock().unwrap_or_else(PoisonError::into_inner);
        db.progress_handler(STEPS, Some(is_over)).map_err(OpenError::of)?;
        Ok(Self { db, limit: LIMIT, end })
    }

    #[cfg(test)]
    pub(crate) fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Does `work` within the time limit and on one state of the file.
    fn search<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + self.limit;
        let done = self.db.unchecked_transaction().and_then(|db| work(&db));
        done.map_err(|error| match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::OperationInterrupted) => Error::TooLong(self.limit.as_secs()),
            _ => Error::of(error),
        })
    }
}

/// Columns of a request's origin.
const ORIGIN: &str = "r.request, r.source, r.client, r.actor, r.on_behalf_of, r.comment, r.undo_of";

/// The columns of [`ORIGIN`], from `at` on.
fn origin(db: &Connection, row: &Row<'_>, at: usize) -> rusqlite::Result<Origin> {
    let source = row.get(at + 1)?;
    Ok(Origin {
        request: row.get::<_, i64>(at)? as u64,
        source: Source::of_number(source)
            .ok_or(rusqlite::Error::IntegralValueOutOfRange(at + 1, source))?,
        client: text(db, row, at + 2)?.and_then(|client| client.parse().ok()),
        actor: text(db, row, at + 3)?,
        on_behalf_of: text(db, row, at + 4)?,
        comment: row.get(at + 5)?,
        undo_of: row.get::<_, Option<i64>>(at + 6)?.map(|undone| undone as u64),
    })
}

/// A part of the switches.
struct Part {
    id: i64,
    first: i64,
    last: i64,
    /// Id of the oldest request with a switch in the part.
    reach: i64,
    is_full: bool,
    /// Whether the filter's times overlap with the part's.
    can_match: bool,
}

fn parts(db: &Connection, filter: &Filter, order: Order) -> rusqlite::Result<Vec<Part>> {
    let sql = format!(
        "SELECT id, first, last, reach, is_full, last_time >= ? AND first_time < ? FROM parts
        ORDER BY id {}",
        order.direction()
    );
    let (from, to) = filter.times();
    let mut parts = db.prepare_cached(&sql)?;
    let parts = parts.query_map([from, to], |row| {
        Ok(Part {
            id: row.get(0)?,
            first: row.get(1)?,
            last: row.get(2)?,
            reach: row.get(3)?,
            is_full: row.get(4)?,
            can_match: row.get(5)?,
        })
    })?;
    parts.collect()
}

/// Merges the rows of two searches into a page. Each search has found one row more than `limit`, if there is one.
fn merge<T>(
    mut rows: Vec<T>,
    more: Vec<T>,
    number: impl Fn(&T) -> i64,
    order: Order,
    limit: usize,
) -> Page<T> {
    rows.extend(more);
    rows.sort_by_key(&number);
    if order == Order::Newest {
        rows.reverse();
    }
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().map(number).filter(|_| has_more);
    Page { rows, next }
}
