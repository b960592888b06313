//! Short texts that occur again and again, such as coins and clients: stored once, and then by number. Other texts are
//! stored in full; SQLite's columns take both.

use std::collections::HashMap;

use rusqlite::{
    Connection, Row, ToSql,
    types::{ToSqlOutput, Value, ValueRef},
};

/// Maximum number of words, in memory and in the table; further texts are stored in full.
pub(crate) const MOST: usize = 20_000;

/// Maximum bytes of a word; longer texts are stored in full.
pub(crate) const LONGEST: usize = 64;

/// The words so far.
#[derive(Default)]
pub(crate) struct Words {
    numbers: HashMap<Box<str>, i64>,
    /// Words that the open transaction has added.
    added: Vec<Box<str>>,
}

/// A text in a column: its number, or itself.
#[derive(Clone, Copy)]
pub(crate) enum Word<'a> {
    Number(i64),
    Text(&'a str),
}

impl ToSql for Word<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Number(number) => ToSqlOutput::Owned(Value::Integer(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

impl Words {
    pub(crate) fn load(db: &Connection) -> rusqlite::Result<Self> {
        let mut all = db.prepare("SELECT text, id FROM words")?;
        let pairs = all.query_map([], |row| Ok((row.get::<_, Box<str>>(0)?, row.get(1)?)))?;
        Ok(Self { numbers: pairs.collect::<Result<_, _>>()?, added: Vec::new() })
    }

    /// The word of a text; adds a new one while there is room.
    pub(crate) fn word<'a>(
        &mut self,
        db: &Connection,
        text: &'a str,
    ) -> rusqlite::Result<Word<'a>> {
        if let Some(number) = self.numbers.get(text) {
            return Ok(Word::Number(*number));
        }
        if text.len() > LONGEST || self.numbers.len() >= MOST {
            return Ok(Word::Text(text));
        }
        db.prepare_cached("INSERT INTO words(text) VALUES(?)")?.execute([text])?;
        let number = db.last_insert_rowid();
        self.numbers.insert(text.into(), number);
        self.added.push(text.into());
        Ok(Word::Number(number))
    }

    /// The column's value for an optional text.
    pub(crate) fn optional(
        &mut self,
        db: &Connection,
        text: Option<&str>,
    ) -> rusqlite::Result<Value> {
        Ok(match text.map(|text| self.word(db, text)).transpose()? {
            Some(Word::Number(number)) => Value::Integer(number),
            Some(Word::Text(text)) => Value::Text(text.to_owned()),
            None => Value::Null,
        })
    }

    /// Ends the transaction. A failed one has not added its words to the table, which will give their numbers to others.
    pub(crate) fn end(&mut self, is_committed: bool) {
        for added in self.added.drain(..) {
            if !is_committed {
                self.numbers.remove(&added);
            }
        }
    }
}

/// The text of a column that holds a word; `None` if it is NULL.
pub(crate) fn text(
    db: &Connection,
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<String>> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        ValueRef::Integer(number) => {
            let mut word = db.prepare_cached("SELECT text FROM words WHERE id = ?")?;
            word.query_row([number], |row| row.get(0)).map(Some)
        }
        _ => row.get(column).map(Some),
    }
}
