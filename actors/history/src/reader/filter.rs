//! Conditions of a search, and their SQL.

use rusqlite::{Connection, OptionalExtension, types::Value};

use crate::{
    notes::digits,
    record::{Kind, Outcome, RequestNumber, Source},
    words::{LONGEST, MOST},
};

/// Conditions of a search; all must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The sub-account of a switch, or the beginning of its name.
    pub sub_account: Option<String>,
    /// Whether `sub_account` is the beginning of a name.
    pub is_prefix: bool,
    /// The coin before or after a switch, or the coin of an update.
    pub coin: Option<String>,
    /// The sub-pool of an update.
    pub sub_pool: Option<String>,
    /// The user of the origin.
    pub actor: Option<String>,
    /// The way to the daemon.
    pub source: Option<Source>,
    /// The client's address, as text.
    pub client: Option<String>,
    /// The request.
    pub request: Option<RequestNumber>,
    /// The kind.
    pub kind: Option<Kind>,
    /// The outcome.
    pub outcome: Option<Outcome>,
    /// Not before this time, in milliseconds since 1970.
    pub from: Option<i64>,
    /// Before this time, in milliseconds since 1970.
    pub to: Option<i64>,
}

/// SQL conditions and their values.
#[derive(Clone, Default)]
pub(super) struct Where {
    conditions: Vec<String>,
    pub(super) values: Vec<Value>,
}

impl Where {
    /// `condition` has one `?` for each value.
    pub(super) fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.conditions.push(condition.to_owned());
        self.values.extend(values);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }

    pub(super) fn sql(&self) -> String {
        if self.conditions.is_empty() { "TRUE".to_owned() } else { self.conditions.join(" AND ") }
    }
}

/// The outcome of a note `n`: that of its further note, if there is one.
pub(super) const OUTCOME: &str = "coalesce((SELECT o.text ->> '$.outcome' FROM notes o
    WHERE o.text ->> '$.of' = +n.number), n.text ->> '$.outcome')";

impl Filter {
    /// Whether switches can match.
    pub(super) fn has_switches(&self) -> bool {
        self.kind.is_none_or(|kind| kind == Kind::Switch) && self.sub_pool.is_none()
    }

    /// The times `from` and `to`, in milliseconds since 1970.
    pub(super) fn times(&self) -> (i64, i64) {
        (self.from.unwrap_or(i64::MIN), self.to.unwrap_or(i64::MAX))
    }

    /// Whether notes can match.
    pub(super) fn has_notes(&self) -> bool {
        self.kind != Some(Kind::Switch) && self.sub_account.is_none()
    }

    /// Conditions on a switch `s` of a request `r`; `None` if none can match.
    pub(super) fn of_switch(&self, db: &Connection) -> rusqlite::Result<Option<Where>> {
        let mut conditions = Where::default();
        if let Some(name) = &self.sub_account {
            if self.is_prefix {
                let end = Value::Text(format!("{name}{}", char::MAX));
                let values = [Value::Text(name.clone()), end];
                conditions.and("s.sub_account >= ? AND s.sub_account < ?", values);
            } else {
                conditions.and("s.sub_account = ?", [Value::Text(name.clone())]);
            }
        }
        if let Some(coin) = &self.coin {
            let Some([number, text]) = word(db, coin)? else { return Ok(None) };
            let values = [number.clone(), text.clone(), number, text];
            conditions.and("(s.new IN (?, ?) OR s.old IN (?, ?))", values);
        }
        if let Some(outcome) = self.outcome {
            conditions.and("s.outcome = ?", [Value::Integer(outcome.number())]);
        }
        if let Some(from) = self.from {
            conditions.and("s.time + r.time >= ?", [Value::Integer(from)]);
        }
        if let Some(to) = self.to {
            conditions.and("s.time + r.time < ?", [Value::Integer(to)]);
        }
        Ok(Some(conditions))
    }

    /// Conditions on a request `r`; `None` if none can match.
    pub(super) fn of_request(&self, db: &Connection) -> rusqlite::Result<Option<Where>> {
        let mut conditions = Where::default();
        for (column, text) in [("r.actor", &self.actor), ("r.client", &self.client)] {
            if let Some(text) = text {
                let Some(word) = word(db, text)? else { return Ok(None) };
                conditions.and(&format!("{column} IN (?, ?)"), word);
            }
        }
        if let Some(source) = self.source {
            conditions.and("r.source = ?", [Value::Integer(source.number())]);
        }
        if let Some(request) = self.request {
            let condition = "r.request & 0x7fffffff = ? AND r.request = ?";
            let request = request as i64;
            conditions.and(condition, [request & 0x7fff_ffff, request].map(Value::Integer));
        }
        if let Some(kind) = self.kind {
            conditions.and("r.kind = ?", [Value::Integer(kind.number())]);
        }
        if let Some(outcome) = self.outcome {
            // The request has such a change. The columns of counts have the outcomes' names.
            conditions.and(&format!("r.{} > 0", outcome.word()), []);
        }
        Ok(Some(conditions))
    }

    /// Conditions on a note `n`.
    pub(super) fn of_note(&self) -> Where {
        let mut conditions = Where::default();
        let text = |text: &Option<String>| text.clone().map(Value::Text);
        let word = |word: Option<&str>| word.map(|word| Value::Text(word.to_owned()));
        for (path, value) in [
            ("coin", text(&self.coin)),
            ("sub_pool", text(&self.sub_pool)),
            ("origin.actor", text(&self.actor)),
            ("origin.client", text(&self.client)),
            ("origin.source", word(self.source.map(Source::word))),
            ("origin.request", self.request.map(digits).map(Value::Text)),
            ("kind", word(self.kind.map(Kind::word))),
        ] {
            if let Some(value) = value {
                conditions.and(&format!("n.text ->> '$.{path}' = ?"), [value]);
            }
        }
        if let Some(outcome) = word(self.outcome.map(Outcome::word)) {
            conditions.and(&format!("{OUTCOME} = ?"), [outcome]);
        }
        if let Some(from) = self.from {
            conditions.and("n.text ->> '$.time' >= ?", [Value::Integer(from)]);
        }
        if let Some(to) = self.to {
            conditions.and("n.text ->> '$.time' < ?", [Value::Integer(to)]);
        }
        conditions
    }
}

/// The two forms of a text in a column: the number of its word (or NULL), and the text. `None` if no column has it.
fn word(db: &Connection, text: &str) -> rusqlite::Result<Option<[Value; 2]>> {
    let mut number = db.prepare_cached("SELECT id FROM words WHERE text = ?")?;
    let number = number.query_row([text], |row| row.get(0)).optional()?;
    if number.is_none() && text.len() <= LONGEST {
        let mut words = db.prepare_cached("SELECT count(*) FROM words")?;
        if words.query_row([], |row| row.get::<_, i64>(0))? < MOST as i64 {
            return Ok(None);
        }
    }
    Ok(Some([number.map_or(Value::Null, Value::Integer), Value::Text(text.to_owned())]))
}
