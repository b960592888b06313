//! The rows of one transaction.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{
    Connection, OptionalExtension, Row, ToSql, params,
    types::{ToSqlOutput, Value},
};

use serde::Serialize;

use super::Part;
use crate::{
    database::switches,
    key::{ChainKey, Link},
    notes::{self, Head, Note},
    record::{Change, Entry, Kind, Old, Origin, Outcome, RequestNumber, Switch},
    words::{Word, Words, text},
};

/// An open transaction, with the writer's state as after its commit.
pub(super) struct Rows<'a> {
    pub(super) db: &'a Connection,
    pub(super) words: &'a mut Words,
    pub(super) key: &'a ChainKey,
    pub(super) head: Link,
    pub(super) part: Part,
}

/// The changes that a transaction adds to a request, counted.
struct Counts<'a> {
    origin: &'a Origin,
    kind: Kind,
    time: i64,
    first: i64,
    last: i64,
    outcomes: [i64; 4],
    created: i64,
    coins: BTreeMap<&'a str, i64>,
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

impl Rows<'_> {
    pub(super) fn append(&mut self, changes: &[Change]) -> rusqlite::Result<()> {
        let mut requests: Vec<_> = count(self.part.next, changes).into_values().collect();
        requests.sort_unstable_by_key(|counts| counts.first);
        let mut ids = HashMap::with_capacity(requests.len());
        for counts in &requests {
            ids.insert((counts.origin.request, counts.kind), self.add_to_request(counts)?);
        }
        let (mut reach, mut from, mut to, mut added) = (i64::MAX, i64::MAX, 0, 0);
        for change in changes {
            match &change.entry {
                Entry::Switch(switch) => {
                    let (request, time) = ids[&(change.origin.request, Kind::Switch)];
                    self.switch(change, switch, self.part.next - request, change.time - time)?;
                    reach = reach.min(request);
                    (from, to, added) = (from.min(change.time), to.max(change.time), added + 1);
                }
                Entry::Update(update) => self.note(&Note::update(head(change), update))?,
                Entry::Reload { keys } => {
                    self.note(&Note::Reload { head: head(change), keys: keys.clone() })?;
                }
            }
            self.part.next += 1;
        }
        self.part.switches += added;
        self.part.first_time = self.part.first_time.min(from);
        self.part.last_time = self.part.last_time.max(to);
        let update = "UPDATE parts SET last = ?, switches = switches + ?, reach = min(reach, ?),
            first_time = ?, last_time = ? WHERE id = ?";
        let mut update = self.db.prepare_cached(update)?;
        let Part { id, next, first_time, last_time, .. } = self.part;
        update.execute([next - 1, added, reach, first_time, last_time, id]).map(|_| ())
    }

    /// Appends the outcome of an update, whose request has this id.
    pub(super) fn end_update(
        &mut self,
        note: &Note,
        request: i64,
        outcome: Outcome,
    ) -> rusqlite::Result<()> {
        self.note(note)?;
        self.part.next += 1;
        self.store_last()?;
        if outcome != Outcome::Unknown {
            let column = outcome.word();
            let update = format!(
                "UPDATE requests SET unknown = unknown - 1, {column} = {column} + 1 WHERE id = ?"
            );
            self.db.execute(&update, [request])?;
        }
        Ok(())
    }

    /// Stores the last number.
    fn store_last(&self) -> rusqlite::Result<()> {
        let update = "UPDATE parts SET last = ? WHERE id = ?";
        let mut update = self.db.prepare_cached(update)?;
        update.execute([self.part.next - 1, self.part.id]).map(|_| ())
    }

    /// Id and time of a request.
    pub(super) fn known_request(
        &self,
        request: RequestNumber,
        kind: Kind,
    ) -> rusqlite::Result<Option<(i64, i64)>> {
        let known = "SELECT id, time FROM requests
            WHERE request & 0x7fffffff = ?1 & 0x7fffffff AND request = ?1 AND kind = ?2";
        let mut known = self.db.prepare_cached(known)?;
        let ids = [request as i64, kind.number()];
        known.query_row(ids, |row| Ok((row.get(0)?, row.get(1)?))).optional()
    }

    fn note(&mut self, note: &Note) -> rusqlite::Result<()> {
        notes::append(self.db, self.key, &mut self.head, self.part.next, &note.text()?)
    }

    /// `back`: distance to the request's first entry; `time`: milliseconds since that.
    fn switch(
        &mut self,
        change: &Change,
        switch: &Switch,
        back: i64,
        time: i64,
    ) -> rusqlite::Result<()> {
        let (db, words) = (self.db, &mut *self.words);
        let old = match &switch.old {
            Old::Value(text) => OldColumn(Some(words.word(db, text)?), false),
            other => OldColumn(None, *other == Old::Absent),
        };
        let new = words.optional(db, switch.new.as_deref())?;
        let cause = words.optional(db, change.cause.as_deref())?;
        let superseded_by = words.optional(db, switch.superseded_by.as_deref())?;
        let table = switches(self.part.id);
        let insert = format!("INSERT INTO {table} VALUES(?,?,?,?,?,?,?,?,?,?,?,?)");
        db.prepare_cached(&insert)?.execute(params![
            self.part.next,
            back,
            time,
            switch.sub_account,
            old,
            new,
            change.outcome.number(),
            cause,
            superseded_by,
            switch.due.map(|due| due as i64),
            switch.state.map(|state| state.created),
            switch.state.map(|state| state.version),
        ])?;
        Ok(())
    }

    /// Adds to the row of a request, or inserts one; returns its id and time.
    fn add_to_request(&mut self, counts: &Counts<'_>) -> rusqlite::Result<(i64, i64)> {
        let Counts { origin, outcomes: [applied, not_applied, unknown, held], .. } = counts;
        if let Some((id, time)) = self.known_request(origin.request, counts.kind)? {
            let mut coins = coins_of(self.db, id)?;
            for (coin, count) in &counts.coins {
                *coins.entry((*coin).to_owned()).or_default() += count;
            }
            let coins = (!coins.is_empty()).then(|| json(&coins)).transpose()?;
            let update = "UPDATE requests SET more = ? - id, applied = applied + ?,
                not_applied = not_applied + ?, unknown = unknown + ?, held = held + ?,
                created = created + ?, coins = ? WHERE id = ?";
            let (last, created) = (counts.last, counts.created);
            self.db.prepare_cached(update)?.execute(params![
                last,
                applied,
                not_applied,
                unknown,
                held,
                created,
                coins,
                id
            ])?;
            return Ok((id, time));
        }
        let (db, words) = (self.db, &mut *self.words);
        let coins = match counts.coins.first_key_value() {
            Some((coin, 1)) if counts.coins.len() == 1 => words.optional(db, Some(coin))?,
            Some(_) => Value::Text(json(&counts.coins)?),
            None => Value::Null,
        };
        let client = origin.client.map(|client| client.to_string());
        let insert = "INSERT INTO requests VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";
        db.prepare_cached(insert)?.execute(params![
            counts.first,
            origin.request as i64,
            counts.kind.number(),
            counts.time,
            origin.source.number(),
            words.optional(db, client.as_deref())?,
            words.optional(db, origin.actor.as_deref())?,
            words.optional(db, origin.on_behalf_of.as_deref())?,
            origin.comment,
            counts.last - counts.first,
            applied,
            not_applied,
            unknown,
            held,
            counts.created,
            coins,
            origin.undo_of.map(|undone| undone as i64),
        ])?;
        Ok((counts.first, counts.time))
    }
}

fn count(first: i64, changes: &[Change]) -> HashMap<(RequestNumber, Kind), Counts<'_>> {
    let mut requests = HashMap::new();
    for (number, change) in (first..).zip(changes) {
        let kind = change.entry.kind();
        let counts = requests.entry((change.origin.request, kind)).or_insert_with(|| Counts {
            origin: &change.origin,
            kind,
            time: change.time,
            first: number,
            last: number,
            outcomes: [0; 4],
            created: 0,
            coins: BTreeMap::new(),
        });
        counts.last = number;
        counts.outcomes[change.outcome.number() as usize] += 1;
        if let Entry::Switch(switch) = &change.entry {
            let is_created = switch.old == Old::Absent && change.outcome == Outcome::Applied;
            counts.created += i64::from(is_created);
            if let Some(coin) = &switch.new {
                *counts.coins.entry(coin).or_default() += 1;
            }
        }
    }
    requests
}

fn head(change: &Change) -> Head {
    Head {
        time: change.time,
        origin: (&*change.origin).into(),
        outcome: change.outcome,
        cause: change.cause.clone(),
    }
}

/// Number of switches to each coin of a request.
fn coins_of(db: &Connection, id: i64) -> rusqlite::Result<BTreeMap<String, i64>> {
    let of_request = "SELECT coins FROM requests WHERE id = ?";
    db.prepare_cached(of_request)?.query_row([id], |row| coins(db, row, 0))
}

/// The column `coins`: NULL without switches; a coin alone stands for one switch to it.
pub(crate) fn coins(
    db: &Connection,
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<BTreeMap<String, i64>> {
    let text = text(db, row, column)?.unwrap_or_default();
    Ok(match serde_json::from_str(&text) {
        Ok(coins) => coins,
        Err(_) if text.is_empty() => BTreeMap::new(),
        Err(_) => BTreeMap::from([(text, 1)]),
    })
}

fn json(counts: &BTreeMap<impl Serialize + Ord, i64>) -> rusqlite::Result<String> {
    serde_json::to_string(counts)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}
