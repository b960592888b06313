//! Drops old changes, and switches beyond the size limit.

use rusqlite::OptionalExtension;

use super::{Rows, Writer};
use crate::{database::switches, error::Error, notes};

/// Maximum number of requests that one transaction drops.
const DROPPED_AT_ONCE: i64 = 10_000;

/// Limits of the contents.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A part is dropped if its newest switch is older, in milliseconds since 1970.
    pub not_before: i64,
    /// Bytes in use, with the log of writes. Beyond it the oldest full part is dropped, never notes.
    pub bytes: u64,
    /// Older notes are dropped, in milliseconds since 1970; an update together with its outcome.
    pub notes_not_before: i64,
}

impl Writer {
    /// Drops old notes, and the oldest part of the switches if the limits demand it. One call drops at most 10,000
    /// requests; returns whether there may be more to drop. Also ends a full part if [`append`](Self::append) could not.
    ///
    /// # Errors
    /// The first failure; the other steps are tried all the same. Call it again later.
    pub fn expire(&mut self, limits: Limits) -> Result<bool, Error> {
        let is_old = self.part.switches > 0 && self.part.last_time < limits.not_before;
        let is_over = is_old || self.is_part_full();
        let ended = if is_over { self.end_part() } else { Ok(()) };
        let open = self.open_updates.first_key_value().map_or(i64::MAX, |(number, _)| *number);
        let notes = self.transaction(|rows| rows.expire_notes(limits.notes_not_before, open));
        let is_large = self.size()?.bytes > limits.bytes;
        let has_more =
            self.transaction(|rows| rows.expire_switches(limits.not_before, is_large))?;
        ended.and(notes).map(|()| has_more)
    }
}

impl Rows<'_> {
    /// `open`: the first update that awaits its outcome.
    fn expire_notes(&mut self, not_before: i64, open: i64) -> rusqlite::Result<()> {
        let kept = "SELECT number FROM notes WHERE text ->> '$.time' >= ? ORDER BY number LIMIT 1";
        let kept = self.db.query_row(kept, [not_before], |row| row.get(0)).optional()?;
        let mut kept_from: i64 = kept.unwrap_or(self.part.next).min(open);
        loop {
            // An update stays as long as its outcome, and so do all newer notes.
            let split = "SELECT min(text ->> '$.of') FROM notes
                WHERE text ->> '$.of' IS NOT NULL AND text ->> '$.of' < ?1 AND number >= ?1";
            match self.db.query_row(split, [kept_from], |row| row.get(0))? {
                Some(update) => kept_from = update,
                None => break,
            }
        }
        let requests = "DELETE FROM requests INDEXED BY requests_of_notes
            WHERE kind <> 0 AND id < ?1 AND id + more < ?1";
        self.db.execute(requests, [kept_from])?;
        notes::drop_before(self.db, self.key, kept_from).map(|_| ())
    }

    fn expire_switches(&mut self, not_before: i64, is_large: bool) -> rusqlite::Result<bool> {
        let oldest = "SELECT id, last, last_time FROM parts WHERE is_full ORDER BY id LIMIT 1";
        let oldest = self.db.query_row(oldest, [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        });
        let Some((id, last, last_time)) = oldest.optional()? else { return Ok(false) };
        if last_time >= not_before && !is_large {
            return Ok(false);
        }
        let requests = "DELETE FROM requests WHERE id IN (SELECT id FROM requests
            WHERE id <= ?1 AND id + more <= ?1 AND kind = 0 ORDER BY id LIMIT ?2)";
        let dropped = self.db.execute(requests, [last, DROPPED_AT_ONCE])? as i64;
        if dropped < DROPPED_AT_ONCE {
            self.db.execute_batch(&format!("DROP TABLE {}", switches(id)))?;
            self.db.execute("DELETE FROM parts WHERE id = ?", [id])?;
        }
        Ok(true)
    }
}
