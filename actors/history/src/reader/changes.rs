//! Searches for changes.

use rusqlite::{
    Connection, OptionalExtension, Row, params_from_iter,
    types::{Value, ValueRef},
};

use super::{
    ChangeRow, Filter, ORIGIN, Order, Page, Part, Reader, filter::Where, merge, origin, parts,
};
use crate::{
    database::switches,
    error::Error,
    notes::Note,
    record::{Entry, Old, Outcome, State, Switch, Update},
    words::text,
};

impl Reader {
    /// Changes that match, after the one with the number `cursor` in this order.
    ///
    /// # Errors
    /// If SQLite fails, or after 10 s.
    pub fn changes(
        &self,
        filter: &Filter,
        order: Order,
        cursor: Option<i64>,
        limit: usize,
    ) -> Result<Page<ChangeRow>, Error> {
        self.search(|db| {
            let search = Search { db, filter, order, cursor, limit };
            let switches = if filter.has_switches() { search.switches()? } else { Vec::new() };
            let notes = if filter.has_notes() { search.notes(&switches)? } else { Vec::new() };
            Ok(merge(switches, notes, |row| row.number, order, limit))
        })
    }

    /// The newest changes, oldest first.
    ///
    /// # Errors
    /// If SQLite fails, or after 10 s.
    pub fn last(&self, limit: usize) -> Result<Vec<ChangeRow>, Error> {
        let mut rows = self.changes(&Filter::default(), Order::Newest, None, limit)?.rows;
        rows.reverse();
        Ok(rows)
    }
}

/// A search for changes. Its functions return one row more than the limit, if there is one.
struct Search<'a> {
    db: &'a Connection,
    filter: &'a Filter,
    order: Order,
    cursor: Option<i64>,
    limit: usize,
}

impl Search<'_> {
    fn switches(&self) -> rusqlite::Result<Vec<ChangeRow>> {
        let (db, order) = (self.db, self.order);
        let mut rows = Vec::new();
        let Some(range) = self.numbers()? else { return Ok(rows) };
        let (Some(mut conditions), Some(of_request)) =
            (self.filter.of_switch(db)?, self.filter.of_request(db)?)
        else {
            return Ok(rows);
        };
        conditions.and(&of_request.sql(), of_request.values.clone());
        conditions.and("s.number BETWEEN ? AND ?", [range.0, range.1].map(Value::Integer));
        for part in parts(db, self.filter, order)? {
            let is_apart = part.last < range.0 || part.first > range.1 || !part.can_match;
            if is_apart || !self.has_request(&part, &of_request)? {
                continue;
            }
            let table = switches(part.id);
            // Few names have a prefix, but for the order of numbers SQLite would choose to read the whole part.
            let by_name =
                if part.is_full && self.filter.is_prefix && self.filter.sub_account.is_some() {
                    format!("INDEXED BY {table}_by_name")
                } else {
                    String::new()
                };
            let sql = format!(
                "SELECT s.number, s.time + r.time, s.sub_account, s.old, s.new, s.superseded_by,
                    s.due, s.created, s.version, s.outcome, s.cause, {ORIGIN}
                FROM {table} s {by_name} JOIN requests r ON r.id = s.number - s.back WHERE {}
                ORDER BY s.number {} LIMIT {}",
                conditions.sql(),
                order.direction(),
                self.limit + 1 - rows.len()
            );
            let mut found = db.prepare_cached(&sql)?;
            let mut found = found.query(params_from_iter(&conditions.values))?;
            while let Some(row) = found.next()? {
                rows.push(switch(db, row)?);
            }
            if rows.len() > self.limit {
                break;
            }
        }
        Ok(rows)
    }

    /// Notes; none after the last of `switches` if those fill the page.
    fn notes(&self, switches: &[ChangeRow]) -> rusqlite::Result<Vec<ChangeRow>> {
        let mut conditions = self.filter.of_note();
        conditions.and("n.text ->> '$.of' IS NULL", []);
        let (mut first, mut last) = self.order.after(self.cursor);
        if let Some(end) = switches.get(self.limit) {
            match self.order {
                Order::Newest => first = end.number,
                Order::Oldest => last = end.number,
            }
        }
        conditions.and("n.number BETWEEN ? AND ?", [first, last].map(Value::Integer));
        let sql = format!(
            "SELECT n.number, n.text, (SELECT o.text FROM notes o WHERE o.text ->> '$.of' = +n.number)
            FROM notes n WHERE {} ORDER BY n.number {} LIMIT {}",
            conditions.sql(),
            self.order.direction(),
            self.limit + 1
        );
        let mut found = self.db.prepare_cached(&sql)?;
        let found = found.query_map(params_from_iter(&conditions.values), note)?;
        found.collect()
    }

    /// First and last number that a matching switch can have; `None` if none can match.
    fn numbers(&self) -> rusqlite::Result<Option<(i64, i64)>> {
        let (first, last) = self.order.after(self.cursor);
        let Some(request) = self.filter.request else { return Ok(Some((first, last))) };
        let range = "SELECT max(id, ?2), min(id + more, ?3) FROM requests
            WHERE request & 0x7fffffff = ?1 & 0x7fffffff AND request = ?1 AND kind = 0";
        let mut range = self.db.prepare_cached(range)?;
        let values = [request as i64, first, last];
        range.query_row(values, |row| Ok((row.get(0)?, row.get(1)?))).optional()
    }

    /// Whether a request with a switch in this part matches. Saves reading the part: few requests make most changes.
    fn has_request(&self, part: &Part, of_request: &Where) -> rusqlite::Result<bool> {
        if of_request.is_empty() {
            return Ok(true);
        }
        let mut conditions = of_request.clone();
        conditions.and("r.id BETWEEN ? AND ?", [part.reach, part.last].map(Value::Integer));
        let sql = format!("SELECT 1 FROM requests r WHERE {} LIMIT 1", conditions.sql());
        let mut found = self.db.prepare_cached(&sql)?;
        found.exists(params_from_iter(&conditions.values))
    }
}

fn switch(db: &Connection, row: &Row<'_>) -> rusqlite::Result<ChangeRow> {
    let old = match row.get_ref(3)? {
        ValueRef::Null => Old::NotKnown,
        ValueRef::Integer(0) => Old::Absent,
        _ => text(db, row, 3)?.map_or(Old::NotKnown, Old::Value),
    };
    let (created, version): (Option<i64>, Option<i32>) = (row.get(7)?, row.get(8)?);
    let switch = Switch {
        sub_account: row.get(2)?,
        old,
        new: text(db, row, 4)?,
        superseded_by: text(db, row, 5)?,
        due: row.get::<_, Option<i64>>(6)?.map(|due| due as u64),
        state: created.zip(version).map(|(created, version)| State { created, version }),
    };
    Ok(ChangeRow {
        number: row.get(0)?,
        time: row.get(1)?,
        entry: Entry::Switch(switch),
        outcome: Outcome::of_number(row.get(9)?).unwrap_or(Outcome::Unknown),
        cause: text(db, row, 10)?,
        origin: origin(db, row, 11)?,
    })
}

/// A note, with the outcome of the further note.
fn note(row: &Row<'_>) -> rusqlite::Result<ChangeRow> {
    let number = row.get(0)?;
    let (head, mut entry) = match parse(row, 1)? {
        Some(Note::Update { head, coin, sub_pool, old, new }) => {
            (head, Entry::Update(Update { coin, sub_pool, old, new }))
        }
        Some(Note::Reload { head, keys }) => (head, Entry::Reload { keys }),
        _ => return Err(unreadable(1, "a note of a change")),
    };
    let (mut outcome, mut cause) = (head.outcome, head.cause);
    if let Some(Note::Outcome { outcome: end, cause: why, old, new, .. }) = parse(row, 2)? {
        (outcome, cause) = (end, why);
        if let Entry::Update(update) = &mut entry {
            update.old = old.or(update.old.take());
            update.new = new.unwrap_or(std::mem::take(&mut update.new));
        }
    }
    let origin = head.origin.origin().ok_or_else(|| unreadable(1, "a request's number"))?;
    Ok(ChangeRow { number, time: head.time, origin, entry, outcome, cause })
}

fn parse(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Note>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|error| unreadable(column, error))
}

fn unreadable(
    column: usize,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error.into())
}
