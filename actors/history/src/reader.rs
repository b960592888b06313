//! Searches, beside the writer. Each reader has its own connection; a search sees the file as it was when it began.

use std::{collections::BTreeMap, path::Path};

use rusqlite::{Connection, OptionalExtension, Row, params_from_iter, types::Value};

use crate::{
    database::{OpenError, open_to_read, switches},
    record::{Old, Outcome, RequestNumber, Source, State, Switch},
    words::text,
    writer::coins_of,
};

/// Conditions of a search; all must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The sub-account, or the beginning of its name.
    pub sub_account: Option<String>,
    /// Whether `sub_account` is the beginning of a name.
    pub is_prefix: bool,
    /// The coin before or after.
    pub coin: Option<String>,
    /// The user.
    pub actor: Option<String>,
    /// How it came.
    pub source: Option<Source>,
    /// The client's address.
    pub client: Option<String>,
    /// The request.
    pub request: Option<RequestNumber>,
    /// The end.
    pub outcome: Option<Outcome>,
    /// Not before this time, in milliseconds since 1970.
    pub from: Option<i64>,
    /// Before this time.
    pub to: Option<i64>,
}

/// Order of the answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Newest first.
    #[default]
    Newest,
    /// Oldest first.
    Oldest,
}

/// Part of the answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Continue after this number; `None` at the end.
    pub next: Option<i64>,
}

/// Origin of a request as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginRow {
    /// The request.
    pub request: RequestNumber,
    /// How it came.
    pub source: Source,
    /// The client's address.
    pub client: Option<String>,
    /// The user.
    pub actor: Option<String>,
    /// The person for whom a backend acts.
    pub on_behalf_of: Option<String>,
    /// The user's reason.
    pub comment: Option<String>,
    /// The request that it takes back.
    pub undo_of: Option<RequestNumber>,
}

/// A switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeRow {
    /// Rising number.
    pub number: i64,
    /// In milliseconds since 1970.
    pub time: i64,
    /// Its request.
    pub origin: OriginRow,
    /// The switch.
    pub switch: Switch,
    /// Its end.
    pub outcome: Outcome,
    /// Why.
    pub cause: Option<String>,
}

/// A request and the counts of its switches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRow {
    /// Rising number.
    pub id: i64,
    /// Time of its first switch, in milliseconds since 1970.
    pub time: i64,
    /// The request.
    pub origin: OriginRow,
    /// Applied, not applied, unknown, held.
    pub outcomes: [i64; 4],
    /// Znodes that it created.
    pub created: i64,
    /// Switches to each coin.
    pub coins: BTreeMap<String, i64>,
    /// The request that took it back.
    pub undone_by: Option<RequestNumber>,
}

/// A connection for searches.
pub struct Reader(Connection);

/// SQL conditions and their values.
#[derive(Default)]
struct Where {
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl Where {
    /// `condition` has one `?` for each value.
    fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.conditions.push(condition.to_owned());
        self.values.extend(values);
    }

    fn sql(&self) -> String {
        if self.conditions.is_empty() { "TRUE".to_owned() } else { self.conditions.join(" AND ") }
    }
}

const ORIGIN: &str = "r.request, r.source, r.client, r.actor, r.on_behalf_of, r.comment, r.undo_of";

impl Reader {
    /// Opens the file beside the daemon that writes it.
    ///
    /// # Errors
    /// If SQLite cannot use the file.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        open_to_read(path).map(Self)
    }

    /// Switches that match, after the one with the number `cursor` in this order.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn changes(
        &self,
        filter: &Filter,
        order: Order,
        cursor: Option<i64>,
        limit: usize,
    ) -> rusqlite::Result<Page<ChangeRow>> {
        let db = self.0.unchecked_transaction()?;
        let Some(range) = self.numbers(filter)? else {
            return Ok(Page { rows: vec![], next: None });
        };
        let mut conditions = self.of_switch(filter)?;
        self.of_request(filter, &mut conditions)?;
        let (comparison, direction) = match order {
            Order::Newest => ("<", "DESC"),
            Order::Oldest => (">", "ASC"),
        };
        if filter.request.is_some() {
            let range = [range.0, range.1].map(Value::Integer);
            conditions.and("s.number BETWEEN ? AND ?", range);
        }
        if let Some(cursor) = cursor {
            conditions.and(&format!("s.number {comparison} ?"), [Value::Integer(cursor)]);
        }
        let mut rows = Vec::new();
        for part in self.parts(filter, range, order, cursor)? {
            let sql = format!(
                "SELECT s.number, s.time + r.time, s.sub_account, s.old, s.new, s.superseded_by, s.due, s.created,
                    s.version, s.outcome, s.cause, {ORIGIN}
                FROM {} s JOIN requests r ON r.id = s.request WHERE {}
                ORDER BY s.number {direction} LIMIT {}",
                switches(part),
                conditions.sql(),
                limit + 1 - rows.len()
            );
            let mut found = db.prepare_cached(&sql)?;
            let mut found = found.query(params_from_iter(&conditions.values))?;
            while let Some(row) = found.next()? {
                rows.push(change(&db, row)?);
            }
            if rows.len() > limit {
                break;
            }
        }
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().map(|row| row.number).filter(|_| has_more);
        Ok(Page { rows, next })
    }

    /// Requests that have a switch which matches, with the counts of all their switches, after the one with the id
    /// `cursor` in this order.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn requests(
        &self,
        filter: &Filter,
        order: Order,
        cursor: Option<i64>,
        limit: usize,
    ) -> rusqlite::Result<Page<RequestRow>> {
        let db = self.0.unchecked_transaction()?;
        let Some(range) = self.numbers(filter)? else {
            return Ok(Page { rows: vec![], next: None });
        };
        let mut conditions = Where::default();
        self.of_request(filter, &mut conditions)?;
        let (comparison, direction) = match order {
            Order::Newest => ("<", "DESC"),
            Order::Oldest => (">", "ASC"),
        };
        if let Some(cursor) = cursor {
            conditions.and(&format!("r.id {comparison} ?"), [Value::Integer(cursor)]);
        }
        let of_switch = self.of_switch(filter)?;
        let parts = self.parts(filter, range, order, None)?;
        if filter.sub_account.is_some() {
            // The index by name has few switches; each request is found by its id.
            let of_parts = parts.iter().map(|part| {
                format!(
                    "SELECT s.request FROM {} s JOIN requests r ON r.id = s.request WHERE {}",
                    switches(*part),
                    of_switch.sql()
                )
            });
            let of_parts: Vec<_> = of_parts.collect();
            let values = parts.iter().flat_map(|_| of_switch.values.clone());
            if parts.is_empty() {
                return Ok(Page { rows: vec![], next: None });
            }
            conditions.and(&format!("r.id IN ({})", of_parts.join(" UNION ")), values);
        } else if !of_switch.conditions.is_empty() {
            let of_parts = parts.iter().map(|part| {
                format!(
                    "EXISTS (SELECT 1 FROM {} s WHERE s.number BETWEEN r.first AND r.first + r.more
                        AND s.request = r.id AND {})",
                    switches(*part),
                    of_switch.sql()
                )
            });
            let of_parts: Vec<_> = of_parts.collect();
            let values = parts.iter().flat_map(|_| of_switch.values.clone());
            if parts.is_empty() {
                return Ok(Page { rows: vec![], next: None });
            }
            conditions.and(&format!("({})", of_parts.join(" OR ")), values);
        }
        let sql = format!(
            "SELECT r.id, r.time, r.applied, r.not_applied, r.unknown, r.held, r.created, r.undone_by, {ORIGIN}
            FROM requests r WHERE {} ORDER BY r.id {direction} LIMIT {}",
            conditions.sql(),
            limit + 1
        );
        let mut found = db.prepare_cached(&sql)?;
        let mut found = found.query(params_from_iter(&conditions.values))?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            rows.push(request(&db, row)?);
        }
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().map(|row| row.id).filter(|_| has_more);
        Ok(Page { rows, next })
    }

    /// Numbers among which all matches are: those of the request; `None` if it does not exist.
    fn numbers(&self, filter: &Filter) -> rusqlite::Result<Option<(i64, i64)>> {
        let Some(request) = filter.request else { return Ok(Some((0, i64::MAX))) };
        let range = "SELECT first, first + more FROM requests WHERE request = ?";
        let mut range = self.0.prepare_cached(range)?;
        range.query_row([request as i64], |row| Ok((row.get(0)?, row.get(1)?))).optional()
    }

    /// Parts that may have matches, in this order.
    fn parts(
        &self,
        filter: &Filter,
        (first, last): (i64, i64),
        order: Order,
        cursor: Option<i64>,
    ) -> rusqlite::Result<Vec<i64>> {
        let (first, last) = match (cursor, order) {
            (None, _) => (first, last),
            (Some(cursor), Order::Newest) => (first, last.min(cursor - 1)),
            (Some(cursor), Order::Oldest) => (first.max(cursor + 1), last),
        };
        let direction = if order == Order::Newest { "DESC" } else { "ASC" };
        let sql = format!(
            "SELECT id FROM parts WHERE last >= ? AND first <= ? AND last_time >= ? AND first_time < ?
                ORDER BY id {direction}"
        );
        let mut parts = self.0.prepare_cached(&sql)?;
        let (from, to) = (filter.from.unwrap_or(i64::MIN), filter.to.unwrap_or(i64::MAX));
        parts.query_map([first, last, from, to], |row| row.get(0))?.collect()
    }

    fn of_switch(&self, filter: &Filter) -> rusqlite::Result<Where> {
        let mut conditions = Where::default();
        if let Some(name) = &filter.sub_account {
            if filter.is_prefix {
                let end = Value::Text(format!("{name}{}", char::MAX));
                let values = [Value::Text(name.clone()), end];
                conditions.and("s.sub_account >= ? AND s.sub_account < ?", values);
            } else {
                conditions.and("s.sub_account = ?", [Value::Text(name.clone())]);
            }
        }
        if let Some(coin) = &filter.coin {
            let [number, text] = self.word(coin)?;
            let values = [number.clone(), text.clone(), number, text];
            conditions.and("(s.new IN (?, ?) OR s.old IN (?, ?))", values);
        }
        if let Some(outcome) = filter.outcome {
            conditions.and("s.outcome = ?", [Value::Integer(outcome.number())]);
        }
        if let Some(from) = filter.from {
            conditions.and("s.time + r.time >= ?", [Value::Integer(from)]);
        }
        if let Some(to) = filter.to {
            conditions.and("s.time + r.time < ?", [Value::Integer(to)]);
        }
        Ok(conditions)
    }

    fn of_request(&self, filter: &Filter, conditions: &mut Where) -> rusqlite::Result<()> {
        for (column, text) in [("r.actor", &filter.actor), ("r.client", &filter.client)] {
            if let Some(text) = text {
                conditions.and(&format!("{column} IN (?, ?)"), self.word(text)?);
            }
        }
        if let Some(source) = filter.source {
            conditions.and("r.source = ?", [Value::Integer(source.number())]);
        }
        if let Some(request) = filter.request {
            conditions.and("r.request = ?", [Value::Integer(request as i64)]);
        }
        if let Some(outcome) = filter.outcome {
            // Of a request, only that it has such a switch; its column has the outcome's name.
            conditions.and(&format!("r.{} > 0", outcome.word()), []);
        }
        Ok(())
    }

    /// A text as a column may have it: its number, if it is a word, and itself.
    fn word(&self, text: &str) -> rusqlite::Result<[Value; 2]> {
        let mut number = self.0.prepare_cached("SELECT id FROM words WHERE text = ?")?;
        let number = number.query_row([text], |row| row.get(0)).optional()?;
        Ok([number.map_or(Value::Null, Value::Integer), Value::Text(text.to_owned())])
    }
}

fn change(db: &Connection, row: &Row<'_>) -> rusqlite::Result<ChangeRow> {
    let old = match row.get_ref(3)? {
        rusqlite::types::ValueRef::Null => Old::NotKnown,
        rusqlite::types::ValueRef::Integer(0) => Old::Absent,
        _ => text(db, row, 3)?.map_or(Old::NotKnown, Old::Value),
    };
    let (created, version): (Option<i64>, Option<i32>) = (row.get(7)?, row.get(8)?);
    let switch = Switch {
        sub_account: row.get(2)?,
        old,
        new: text(db, row, 4)?.unwrap_or_default(),
        superseded_by: text(db, row, 5)?,
        due: row.get::<_, Option<i64>>(6)?.map(|due| due as u64),
        state: created.zip(version).map(|(created, version)| State { created, version }),
    };
    Ok(ChangeRow {
        number: row.get(0)?,
        time: row.get(1)?,
        switch,
        outcome: Outcome::of_number(row.get(9)?).unwrap_or(Outcome::Unknown),
        cause: text(db, row, 10)?,
        origin: origin(db, row, 11)?,
    })
}

fn request(db: &Connection, row: &Row<'_>) -> rusqlite::Result<RequestRow> {
    let id = row.get(0)?;
    Ok(RequestRow {
        id,
        time: row.get(1)?,
        outcomes: [row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?],
        created: row.get(6)?,
        undone_by: row.get::<_, Option<i64>>(7)?.map(|undone| undone as u64),
        origin: origin(db, row, 8)?,
        coins: coins_of(db, id)?,
    })
}

/// The columns of [`ORIGIN`], from `at` on.
fn origin(db: &Connection, row: &Row<'_>, at: usize) -> rusqlite::Result<OriginRow> {
    Ok(OriginRow {
        request: row.get::<_, i64>(at)? as u64,
        source: Source::of_number(row.get(at + 1)?).unwrap_or(Source::Api),
        client: text(db, row, at + 2)?,
        actor: text(db, row, at + 3)?,
        on_behalf_of: text(db, row, at + 4)?,
        comment: row.get(at + 5)?,
        undo_of: row.get::<_, Option<i64>>(at + 6)?.map(|undone| undone as u64),
    })
}
