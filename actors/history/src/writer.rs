//! Appends changes, and drops the oldest. One transaction for all changes that are handed over together.

use std::{
    collections::{BTreeMap, HashMap},
    ops::RangeInclusive,
    path::Path,
};

use rusqlite::{
    Connection, OptionalExtension, ToSql, params,
    types::{ToSqlOutput, Value},
};

use crate::{
    database::{OpenError, open, switches},
    record::{Change, Old, Origin, Outcome},
    words::{Word, Words, text},
};

/// Switches of a part, for [`Writer::open`]. Its index is made in one go, which takes some tenths of a second.
pub const PART: i64 = 500_000;

/// Requests that are dropped in one transaction.
const DROPPED_AT_ONCE: i64 = 10_000;

/// What is kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Switches are dropped when the newest of their part is older, in milliseconds since 1970.
    pub not_before: i64,
    /// Bytes of the file that are in use.
    pub bytes: u64,
}

/// What the file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Switches.
    pub rows: u64,
    /// Bytes in use.
    pub bytes: u64,
    /// Time of the oldest switch, in milliseconds since 1970.
    pub oldest: Option<i64>,
}

/// The end of the history, where changes are appended.
pub struct Writer {
    db: Connection,
    words: Words,
    part: Part,
    rows_of_a_part: i64,
}

/// The newest part.
struct Part {
    id: i64,
    rows: i64,
    /// Number of its next switch.
    next: i64,
}

/// Counts of one request's changes in a transaction.
struct Counts<'a> {
    origin: &'a Origin,
    time: i64,
    first: i64,
    last: i64,
    outcomes: [i64; 4],
    created: i64,
    coins: BTreeMap<&'a str, i64>,
}

impl Writer {
    /// Opens the file, or creates it. A part has `rows_of_a_part` switches, or a few more.
    ///
    /// # Errors
    /// If SQLite cannot use the file.
    pub fn open(path: &Path, rows_of_a_part: i64) -> Result<Self, OpenError> {
        let db = open(path)?;
        let words = Words::load(&db)?;
        let newest = db
            .query_row("SELECT id, is_full, last FROM parts ORDER BY id DESC LIMIT 1", [], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?, row.get::<_, i64>(2)?))
            })
            .optional()?;
        let mut writer = Self { db, words, part: Part { id: 0, rows: 0, next: 1 }, rows_of_a_part };
        match newest {
            Some((id, false, last)) => {
                let count = format!("SELECT count(*) FROM {}", switches(id));
                let rows = writer.db.query_row(&count, [], |row| row.get(0))?;
                writer.part = Part { id, rows, next: last + 1 };
            }
            Some((id, true, last)) => writer.begin_part(id + 1, last + 1)?,
            None => writer.begin_part(1, 1)?,
        }
        Ok(writer)
    }

    /// Appends changes in one transaction, and returns their numbers. A power cut within a second may lose it unless
    /// [`sync`](Self::sync) follows.
    ///
    /// # Errors
    /// If nothing was appended: the disk is full, for example.
    pub fn append(&mut self, changes: &[Change]) -> rusqlite::Result<RangeInclusive<i64>> {
        let first = self.part.next;
        let last = first + changes.len() as i64 - 1;
        if changes.is_empty() {
            return Ok(first..=last);
        }
        let db = self.db.unchecked_transaction()?;
        let appended = append(&db, &mut self.words, self.part.id, first, changes);
        if let Err(error) = appended.and_then(|()| db.commit()) {
            self.words = Words::load(&self.db)?;
            return Err(error);
        }
        self.part.rows += changes.len() as i64;
        self.part.next = last + 1;
        if self.part.rows >= self.rows_of_a_part {
            self.end_part()?;
        }
        Ok(first..=last)
    }

    /// Waits until all that was appended is on the disk.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn sync(&mut self) -> rusqlite::Result<()> {
        self.db.pragma_update(None, "synchronous", "FULL")?;
        let synced =
            self.db.execute_batch("BEGIN IMMEDIATE; UPDATE parts SET id = id WHERE id = 0; COMMIT");
        self.db.pragma_update(None, "synchronous", "NORMAL")?;
        synced
    }

    /// Drops the oldest part if it exceeds the limits, and a part of the requests that it leaves behind. Returns whether
    /// there may be more to drop.
    ///
    /// # Errors
    /// If SQLite fails; call it again later.
    pub fn expire(&mut self, limits: Limits) -> rusqlite::Result<bool> {
        let oldest = "SELECT id, last, last_time FROM parts WHERE is_full ORDER BY id LIMIT 1";
        let oldest = self.db.query_row(oldest, [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        });
        let Some((id, _, last_time)) = oldest.optional()? else { return Ok(false) };
        if last_time >= limits.not_before && self.size()?.bytes <= limits.bytes {
            return Ok(false);
        }
        let next = "SELECT first FROM parts WHERE id > ? ORDER BY id LIMIT 1";
        let kept_from: i64 =
            self.db.query_row(next, [id], |row| row.get(0)).optional()?.unwrap_or(self.part.next);
        let db = self.db.unchecked_transaction()?;
        let requests = "DELETE FROM requests WHERE id IN
            (SELECT id FROM requests WHERE first + more < ? ORDER BY id LIMIT ?)";
        let dropped = db.execute(requests, [kept_from, DROPPED_AT_ONCE])?;
        if (dropped as i64) < DROPPED_AT_ONCE {
            db.execute_batch(&format!("DROP TABLE {}", switches(id)))?;
            db.execute("DELETE FROM parts WHERE id = ?", [id])?;
        }
        db.commit()?;
        Ok(true)
    }

    /// What the file holds.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn size(&self) -> rusqlite::Result<Size> {
        let number = |name| self.db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let pages = number("page_count")? - number("freelist_count")?;
        let bytes = (pages * number("page_size")?) as u64;
        let parts = "SELECT coalesce(sum(last - first + 1), 0), min(first_time) FROM parts WHERE last >= first";
        let (rows, oldest) =
            self.db.query_row(parts, [], |row| Ok((row.get::<_, i64>(0)? as u64, row.get(1)?)))?;
        Ok(Size { rows, bytes, oldest })
    }

    fn begin_part(&mut self, id: i64, first: i64) -> rusqlite::Result<()> {
        let db = self.db.unchecked_transaction()?;
        db.execute_batch(&format!(
            "CREATE TABLE {}(number INTEGER PRIMARY KEY, request INTEGER NOT NULL, time INTEGER NOT NULL,
                sub_account TEXT NOT NULL, old, new NOT NULL, outcome INTEGER NOT NULL, cause, superseded_by, due INTEGER,
                created INTEGER, version INTEGER)",
            switches(id)
        ))?;
        db.execute(
            "INSERT INTO parts VALUES(?, ?, ?, 9223372036854775807, 0, FALSE)",
            [id, first, first - 1],
        )?;
        db.commit()?;
        self.part = Part { id, rows: 0, next: first };
        Ok(())
    }

    fn end_part(&mut self) -> rusqlite::Result<()> {
        let Part { id, next, .. } = self.part;
        let db = self.db.unchecked_transaction()?;
        let table = switches(id);
        db.execute_batch(&format!("CREATE INDEX {table}_by_name ON {table}(sub_account)"))?;
        db.execute("UPDATE parts SET is_full = TRUE WHERE id = ?", [id])?;
        db.commit()?;
        self.begin_part(id + 1, next)
    }
}

/// Values of [`Old`] in a column: NULL if it is not known, 0 if there was no znode, else a word; words begin at 1.
struct OldColumn<'a>(Option<Word<'a>>, bool);

impl ToSql for OldColumn<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self(Some(word), _) => word.to_sql(),
            Self(None, true) => Ok(ToSqlOutput::Owned(Value::Integer(0))),
            Self(None, false) => Ok(ToSqlOutput::Owned(Value::Null)),
        }
    }
}

fn append(
    db: &Connection,
    words: &mut Words,
    part: i64,
    first: i64,
    changes: &[Change],
) -> rusqlite::Result<()> {
    let requests = count(first, changes);
    let mut rows = HashMap::with_capacity(requests.len());
    let mut requests: Vec<_> = requests.into_values().collect();
    requests.sort_unstable_by_key(|counts| counts.first);
    for counts in &requests {
        rows.insert(counts.origin.request, add_to_request(db, words, counts)?);
    }
    let insert = format!("INSERT INTO {} VALUES(?,?,?,?,?,?,?,?,?,?,?,?)", switches(part));
    let mut insert = db.prepare_cached(&insert)?;
    for (number, change) in (first..).zip(changes) {
        let switch = &change.switch;
        let old = match &switch.old {
            Old::Value(text) => OldColumn(Some(words.word(db, text)?), false),
            other => OldColumn(None, *other == Old::Absent),
        };
        let mut word = |text: &'_ Option<String>| match text {
            Some(text) => words.word(db, text).map(|word| match word {
                Word::Number(number) => Value::Integer(number),
                Word::Text(text) => Value::Text(text.to_owned()),
            }),
            None => Ok(Value::Null),
        };
        let (cause, superseded_by) = (word(&change.cause)?, word(&switch.superseded_by)?);
        let (request, time) = rows[&change.origin.request];
        insert.execute(params![
            number,
            request,
            change.time - time,
            switch.sub_account,
            old,
            words.word(db, &switch.new)?,
            change.outcome.number(),
            cause,
            superseded_by,
            switch.due.map(|due| due as i64),
            switch.state.map(|state| state.created),
            switch.state.map(|state| state.version),
        ])?;
    }
    let last = first + changes.len() as i64 - 1;
    let (from, to) = changes
        .iter()
        .fold((i64::MAX, 0), |(from, to), change| (from.min(change.time), to.max(change.time)));
    db.prepare_cached(
        "UPDATE parts SET last = ?, first_time = min(first_time, ?), last_time = max(last_time, ?) WHERE id = ?",
    )?
    .execute([last, from, to, part])?;
    Ok(())
}

fn count(first: i64, changes: &[Change]) -> HashMap<u64, Counts<'_>> {
    let mut requests = HashMap::new();
    for (number, change) in (first..).zip(changes) {
        let counts = requests.entry(change.origin.request).or_insert_with(|| Counts {
            origin: &change.origin,
            time: change.time,
            first: number,
            last: number,
            outcomes: [0; 4],
            created: 0,
            coins: BTreeMap::new(),
        });
        counts.last = number;
        counts.outcomes[change.outcome.number() as usize] += 1;
        let is_created = change.switch.old == Old::Absent && change.outcome == Outcome::Applied;
        counts.created += i64::from(is_created);
        *counts.coins.entry(&change.switch.new).or_default() += 1;
    }
    requests
}

/// Adds to the row of a request, or inserts it; returns its id.
fn add_to_request(
    db: &Connection,
    words: &mut Words,
    counts: &Counts<'_>,
) -> rusqlite::Result<(i64, i64)> {
    let Counts { origin, outcomes: [applied, not_applied, unknown, held], .. } = counts;
    let request = origin.request as i64;
    let known = "SELECT id, first, time FROM requests WHERE request = ?";
    let known = db.prepare_cached(known)?.query_row([request], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    });
    if let Some((id, first, time)) = known.optional()? {
        let mut coins = coins_of(db, id)?;
        for (coin, count) in &counts.coins {
            *coins.entry((*coin).to_owned()).or_default() += count;
        }
        let update =
            "UPDATE requests SET more = ?, applied = applied + ?, not_applied = not_applied + ?,
            unknown = unknown + ?, held = held + ?, created = created + ?, coins = ? WHERE id = ?";
        db.prepare_cached(update)?.execute(params![
            counts.last - first,
            applied,
            not_applied,
            unknown,
            held,
            counts.created,
            json(&coins),
            id
        ])?;
        return Ok((id, time));
    }
    let mut optional = |text: Option<&str>| match text {
        Some(text) => words.word(db, text).map(|word| match word {
            Word::Number(number) => Value::Integer(number),
            Word::Text(text) => Value::Text(text.to_owned()),
        }),
        None => Ok(Value::Null),
    };
    let client = optional(origin.client.map(|ip| ip.to_string()).as_deref())?;
    let actor = optional(origin.actor.as_deref())?;
    let on_behalf_of = optional(origin.on_behalf_of.as_deref())?;
    let coins = match counts.coins.first_key_value() {
        Some((coin, 1)) if counts.coins.len() == 1 => optional(Some(*coin))?,
        _ => Value::Text(json(&counts.coins)),
    };
    db.prepare_cached("INSERT INTO requests VALUES(NULL,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,NULL)")?
        .execute(params![
            request,
            counts.time,
            origin.source.number(),
            client,
            actor,
            on_behalf_of,
            origin.comment,
            counts.first,
            counts.last - counts.first,
            applied,
            not_applied,
            unknown,
            held,
            counts.created,
            coins,
            origin.undo_of.map(|undone| undone as i64),
        ])?;
    let id = db.last_insert_rowid();
    if let Some(undone) = origin.undo_of {
        db.execute(
            "UPDATE requests SET undone_by = ? WHERE request = ?",
            [request, undone as i64],
        )?;
    }
    Ok((id, counts.time))
}

/// Number of switches to each coin of a request.
pub(crate) fn coins_of(db: &Connection, id: i64) -> rusqlite::Result<BTreeMap<String, i64>> {
    let coins = "SELECT coins FROM requests WHERE id = ?";
    db.prepare_cached(coins)?.query_row([id], |row| {
        let text = text(db, row, 0)?.unwrap_or_default();
        // One switch has its coin alone, which no brace can begin: coins are components of paths.
        Ok(serde_json::from_str(&text).unwrap_or_else(|_| BTreeMap::from([(text, 1)])))
    })
}

/// Numbers by text: always valid JSON.
fn json(counts: &impl serde::Serialize) -> String {
    serde_json::to_string(counts).unwrap_or_default()
}
