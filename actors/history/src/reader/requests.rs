//! Searches for requests.

use rusqlite::{Connection, Row, params_from_iter, types::Value};

use super::{
    Filter, ORIGIN, Order, Page, Part, Reader, RequestRow, filter::Where, merge, origin, parts,
};
use crate::{
    database::switches,
    error::Error,
    record::{Kind, RequestNumber},
    writer::coins,
};

/// Maximum depth of undos of undos that [`undone_by`] follows.
const DEPTH: u32 = 100;

/// Columns of a row.
const COLUMNS: &str =
    "r.id, r.time, r.kind, r.applied, r.not_applied, r.unknown, r.held, r.created, r.coins";

impl Reader {
    /// Requests that have a matching change, with the counts of all their changes, after the one with the id `cursor` in
    /// this order.
    ///
    /// # Errors
    /// If SQLite fails, or after 10 s.
    pub fn requests(
        &self,
        filter: &Filter,
        order: Order,
        cursor: Option<i64>,
        limit: usize,
    ) -> Result<Page<RequestRow>, Error> {
        self.search(|db| {
            let Some(of_request) = filter.of_request(db)? else {
                return Ok(Page { rows: Vec::new(), next: None });
            };
            let search = Search { db, filter, order, cursor, limit, of_request };
            let switches = if filter.has_switches() { search.of_switches()? } else { Vec::new() };
            let notes = if filter.has_notes() { search.of_notes()? } else { Vec::new() };
            let mut page = merge(switches, notes, |row| row.id, order, limit);
            for row in &mut page.rows {
                row.undone_by = undone_by(db, row.origin.request as i64, row.id, DEPTH)?;
            }
            Ok(page)
        })
    }

    /// A request; `None` if the history has none of its changes.
    ///
    /// # Errors
    /// If SQLite fails, or after 10 s.
    pub fn request(&self, request: RequestNumber) -> Result<Option<RequestRow>, Error> {
        let filter = Filter { request: Some(request), ..Filter::default() };
        Ok(self.requests(&filter, Order::Oldest, None, 1)?.rows.pop())
    }
}

/// A search for requests. Its functions return one row more than the limit, if there is one.
struct Search<'a> {
    db: &'a Connection,
    filter: &'a Filter,
    order: Order,
    cursor: Option<i64>,
    limit: usize,
    of_request: Where,
}

impl Search<'_> {
    /// Requests of switches, by the parts of their first switches.
    fn of_switches(&self) -> rusqlite::Result<Vec<RequestRow>> {
        let mut rows = Vec::new();
        let Some(of_switch) = self.filter.of_switch(self.db)? else { return Ok(rows) };
        let (from, to) = self.order.after(self.cursor);
        let parts = parts(self.db, self.filter, self.order)?;
        let oldest = parts.iter().map(|part| part.id).min();
        for part in &parts {
            // Some requests began in parts that were dropped.
            let first = if Some(part.id) == oldest { 0 } else { part.first };
            let (first, last) = (first.max(from), part.last.min(to));
            let Some(has_match) = self.has_match(part, &parts, &of_switch) else { continue };
            if first > last {
                continue;
            }
            let mut conditions = self.of_request.clone();
            conditions.and("r.kind = 0", []);
            conditions.and("r.id BETWEEN ? AND ?", [first, last].map(Value::Integer));
            conditions.and(&has_match.sql(), has_match.values);
            rows.extend(self.rows("requests r", &conditions, self.limit + 1 - rows.len())?);
            if rows.len() > self.limit {
                break;
            }
        }
        Ok(rows)
    }

    /// Condition on a request with its first switch in `part`: one of its switches matches, there or in a later part.
    /// `None` if none can match.
    fn has_match(&self, part: &Part, parts: &[Part], of_switch: &Where) -> Option<Where> {
        let mut all = Where::default();
        if of_switch.is_empty() {
            return Some(all);
        }
        let in_part = |part: &Part| {
            let (table, conditions) = (switches(part.id), of_switch.sql());
            if self.filter.sub_account.is_some() {
                // A name has few switches, which lead to their requests.
                format!(
                    "r.id IN (SELECT r.id FROM {table} s JOIN requests r ON r.id = s.number - s.back
                    WHERE {conditions})"
                )
            } else {
                format!(
                    "EXISTS (SELECT 1 FROM {table} s WHERE s.number BETWEEN r.id AND r.id + r.more
                    AND s.number - s.back = r.id AND {conditions})"
                )
            }
        };
        let later = parts.iter().filter(|later| later.id > part.id && later.reach <= part.last);
        let later: Vec<_> = later.filter(|later| later.can_match).map(in_part).collect();
        let mut either = Vec::new();
        if part.can_match {
            either.push(in_part(part));
        }
        if !later.is_empty() {
            either.push(format!("r.id + r.more > {} AND ({})", part.last, later.join(" OR ")));
        }
        let count = later.len() + usize::from(part.can_match);
        let values = (0..count).flat_map(|_| of_switch.values.clone());
        all.and(&format!("({})", either.join(" OR ")), values);
        (count > 0).then_some(all)
    }

    /// Requests of notes. There are few.
    fn of_notes(&self) -> rusqlite::Result<Vec<RequestRow>> {
        let mut conditions = self.of_request.clone();
        conditions.and("r.kind <> 0", []);
        let (first, last) = self.order.after(self.cursor);
        conditions.and("r.id BETWEEN ? AND ?", [first, last].map(Value::Integer));
        let of_note = self.filter.of_note();
        if !of_note.is_empty() {
            let exists = format!(
                "EXISTS (SELECT 1 FROM notes n WHERE n.text ->> '$.origin.request' = printf('%016x', r.request)
                AND n.text ->> '$.kind' = CASE r.kind WHEN {} THEN 'update' ELSE 'reload' END AND {})",
                Kind::Update.number(),
                of_note.sql()
            );
            conditions.and(&exists, of_note.values);
        }
        self.rows("requests r INDEXED BY requests_of_notes", &conditions, self.limit + 1)
    }

    fn rows(
        &self,
        table: &str,
        conditions: &Where,
        limit: usize,
    ) -> rusqlite::Result<Vec<RequestRow>> {
        let sql = format!(
            "SELECT {COLUMNS}, {ORIGIN} FROM {table} WHERE {} ORDER BY r.id {} LIMIT {limit}",
            conditions.sql(),
            self.order.direction(),
        );
        let mut found = self.db.prepare_cached(&sql)?;
        let values = params_from_iter(&conditions.values);
        found.query_map(values, |row| request(self.db, row))?.collect()
    }
}

/// The columns of [`COLUMNS`] and [`ORIGIN`].
fn request(db: &Connection, row: &Row<'_>) -> rusqlite::Result<RequestRow> {
    let kind = row.get(2)?;
    Ok(RequestRow {
        id: row.get(0)?,
        time: row.get(1)?,
        kind: Kind::of_number(kind).ok_or(rusqlite::Error::IntegralValueOutOfRange(2, kind))?,
        outcomes: [row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?],
        created: row.get(7)?,
        coins: coins(db, row, 8)?,
        origin: origin(db, row, 9)?,
        undone_by: None,
    })
}

/// The newest undo of a request that had an effect, or may have had one, and was not undone itself. `id`: the request's.
fn undone_by(
    db: &Connection,
    request: i64,
    id: i64,
    depth: u32,
) -> rusqlite::Result<Option<RequestNumber>> {
    let undos = "SELECT request, id FROM requests
        WHERE undo_of = ? AND id > ? AND applied + unknown + held > 0 ORDER BY id DESC";
    let mut undos = db.prepare_cached(undos)?;
    let undos = undos.query_map([request, id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for (undo, id) in undos.collect::<rusqlite::Result<Vec<_>>>()? {
        if depth == 0 || undone_by(db, undo, id, depth - 1)?.is_none() {
            return Ok(Some(undo as u64));
        }
    }
    Ok(None)
}
