//! Appends changes and drops the oldest.

mod expiry;
mod rows;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    ops::RangeInclusive,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::{
    database::{self, companions, create_part, lock, move_aside, switches},
    error::{Error, OpenError},
    key::{ChainKey, Link},
    notes::{self, Note},
    record::{Change, Coinbase, Entry, Kind, Origin, Outcome, Update},
    words::Words,
};

pub use expiry::Limits;
use rows::Rows;
pub(crate) use rows::coins;

/// Usual number of switches of a part, for [`Writer::open`]: few enough to make its index at once, and in memory.
pub const PART: i64 = 250_000;

/// Milliseconds from the first to the last switch after which a part ends, since parts are dropped as a whole.
const SPAN: i64 = 7 * 24 * 60 * 60 * 1000;

/// Growth of the log of writes, in bytes, after which the writer waits for the searches that read from it.
const LOG: u64 = 64 << 20;

/// Treatment of a damaged file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDamage {
    /// The file stays, and opening fails.
    Refuse,
    /// The file is renamed to `FILE.damaged-NOW`, and a new one begins.
    MoveAside {
        /// The time, in milliseconds since 1970.
        now: i64,
    },
}

/// A damaged file that was moved aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedAside {
    /// The file's new name.
    pub to: PathBuf,
    /// The damage.
    pub why: String,
}

/// An opened history.
pub struct Opened {
    /// The writer.
    pub writer: Writer,
    /// The damaged file that was there before, with its notes and its chain.
    pub moved_aside: Option<MovedAside>,
}

/// Contents of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Number of changes of all kinds.
    pub rows: u64,
    /// Bytes in use, with the log of writes.
    pub bytes: u64,
    /// Time of the oldest switch, in milliseconds since 1970. Notes may be older.
    pub oldest: Option<i64>,
}

/// The only connection that writes.
pub struct Writer {
    db: Connection,
    path: PathBuf,
    key_file: PathBuf,
    key: ChainKey,
    /// The newest link.
    head: Link,
    words: Words,
    part: Part,
    rows_of_a_part: i64,
    /// Number of switches at which `append` tries again to end the newest part, after a failure.
    end_part_at: i64,
    /// Bytes of the log of writes at which the writer waits for searches.
    wait_at: u64,
    /// Updates without outcome: their numbers, and the ids of their requests.
    open_updates: BTreeMap<i64, i64>,
    lock: File,
    /// Device and number of the file when it was opened; `None` while no file is open.
    inode: Option<(u64, u64)>,
}

/// The newest part.
#[derive(Clone, Copy)]
struct Part {
    id: i64,
    switches: i64,
    /// Number of the next entry.
    next: i64,
    first_time: i64,
    last_time: i64,
}

impl Part {
    fn new(id: i64, next: i64) -> Self {
        Self { id, switches: 0, next, first_time: i64::MAX, last_time: 0 }
    }
}

impl Writer {
    /// Opens the file, or creates it, and locks `FILE.lock`. A new chain creates the key file if that is absent. A part
    /// ends at `rows_of_a_part` switches, or a few more, or after a week.
    ///
    /// After damage, the new file has a new chain, without the heads that were noted before, and its numbers begin at 1.
    ///
    /// # Errors
    /// If another process has locked the file, a newer daemon has written it, it is damaged, or it or its key file cannot
    /// be used. Opening notices only the damage that it reads; other damage is an error of appending.
    pub fn open(
        path: &Path,
        key_file: &Path,
        rows_of_a_part: i64,
        on_damage: OnDamage,
    ) -> Result<Opened, OpenError> {
        let lock = lock(path)?;
        let open = || Self::load(&lock, path, key_file, rows_of_a_part, 1);
        match (open(), on_damage) {
            (Err(OpenError::Damaged(why)), OnDamage::MoveAside { now }) => {
                let moved_aside = Some(MovedAside { to: aside(path, now)?, why });
                Ok(Opened { writer: open()?, moved_aside })
            }
            (writer, _) => Ok(Opened { writer: writer?, moved_aside: None }),
        }
    }

    /// Moves the damaged file aside, and begins a new one with a new chain. Numbers go on rising; updates without outcome
    /// keep none. Readers of the old file keep reading it. Returns the damaged file's new name.
    ///
    /// # Errors
    /// If the file cannot be moved, or the new one not opened; call it again.
    pub fn start_over(&mut self, now: i64) -> Result<PathBuf, OpenError> {
        // Closes the file. If the next steps fail, each append fails too, as damage.
        self.db = Connection::open_in_memory().map_err(OpenError::of)?;
        self.inode = None;
        let to = aside(&self.path, now)?;
        let (path, key_file) = (&self.path, &self.key_file);
        *self = Self::load(&self.lock, path, key_file, self.rows_of_a_part, self.part.next)?;
        Ok(to)
    }

    fn load(
        lock: &File,
        path: &Path,
        key_file: &Path,
        rows_of_a_part: i64,
        first: i64,
    ) -> Result<Self, OpenError> {
        let lock = lock.try_clone().map_err(|error| OpenError::Other(error.to_string()))?;
        let db = database::open(path, first)?;
        let key = match notes::start(&db).map_err(OpenError::of)? {
            None => {
                let key = ChainKey::read_or_create(key_file)?;
                notes::begin(&db, &key).map_err(OpenError::of)?;
                key
            }
            Some((start, seal)) => {
                let key = ChainKey::read(key_file).map_err(|error| {
                    OpenError::Other(format!("{error}: restore it, or use another file"))
                })?;
                if key.seal(&start) != seal {
                    return Err(OpenError::Other(format!(
                        "key file '{}' is not the one that it was written with: restore that, or use another file",
                        key_file.display()
                    )));
                }
                key
            }
        };
        let newest = "SELECT id, switches, last + 1, first_time, last_time FROM parts
            ORDER BY id DESC LIMIT 1";
        let part = db.query_row(newest, [], |row| {
            Ok(Part {
                id: row.get(0)?,
                switches: row.get(1)?,
                next: row.get(2)?,
                first_time: row.get(3)?,
                last_time: row.get(4)?,
            })
        });
        Ok(Self {
            part: part.map_err(OpenError::of)?,
            words: Words::load(&db).map_err(OpenError::of)?,
            head: notes::head(&db).map_err(OpenError::of)?,
            db,
            path: path.to_owned(),
            key_file: key_file.to_owned(),
            key,
            rows_of_a_part,
            end_part_at: 0,
            wait_at: LOG,
            open_updates: BTreeMap::new(),
            lock,
            inode: Some(inode(path).map_err(|error| OpenError::Other(error.to_string()))?),
        })
    }

    /// Appends changes of any kinds in one transaction, and returns their numbers. They survive the end of the process, but
    /// a power cut before [`sync`](Self::sync) may lose them. Updates with an exchange go through `begin_update` instead.
    ///
    /// # Errors
    /// If nothing was appended: the disk is full, for example.
    pub fn append(&mut self, changes: &[Change]) -> Result<RangeInclusive<i64>, Error> {
        let first = self.part.next;
        if !changes.is_empty() {
            self.transaction(|rows| rows.append(changes))?;
        }
        if self.is_part_full() && self.part.switches >= self.end_part_at {
            // The changes are in the file all the same. `expire` tries again, and reports the error.
            let _ = self.end_part();
        }
        self.bound_log();
        Ok(first..=self.part.next - 1)
    }

    /// Appends an update before its exchange begins, and returns its number once it is on the disk. Its outcome is
    /// unknown until [`end_update`](Self::end_update).
    ///
    /// # Errors
    /// If it is not on the disk: the exchange must not begin.
    pub fn begin_update(
        &mut self,
        time: i64,
        origin: &Origin,
        update: &Update,
    ) -> Result<i64, Error> {
        let (number, request) = (self.part.next, origin.request);
        let change = Change {
            time,
            origin: Arc::new(origin.clone()),
            entry: Entry::Update(update.clone()),
            outcome: Outcome::Unknown,
            cause: None,
        };
        let id = self.synced(|writer| {
            writer.transaction(|rows| {
                rows.append(&[change])?;
                rows.known_request(request, Kind::Update)
            })
        })?;
        self.open_updates.extend(id.map(|(id, _)| (number, id)));
        Ok(number)
    }

    /// Appends the outcome of an update, with the values before and after if the jobmaker has reported them, and returns
    /// the chain's newest link. Not synced.
    ///
    /// # Errors
    /// If nothing was appended, so that the outcome stays unknown, or if no update with this number awaits its outcome.
    pub fn end_update(
        &mut self,
        number: i64,
        time: i64,
        outcome: Outcome,
        cause: Option<&str>,
        old: Option<&Coinbase>,
        new: Option<&Coinbase>,
    ) -> Result<Link, Error> {
        let Some(&request) = self.open_updates.get(&number) else {
            return Err(Error::Other(format!(
                "no update with the number {number} awaits its outcome"
            )));
        };
        let note = Note::Outcome {
            of: number,
            time,
            outcome,
            cause: cause.map(str::to_owned),
            old: old.cloned(),
            new: new.cloned(),
        };
        self.transaction(|rows| rows.end_update(&note, request, outcome))?;
        self.open_updates.remove(&number);
        Ok(self.head)
    }

    /// Waits until all appended changes are on the disk.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn sync(&mut self) -> Result<(), Error> {
        // The log of writes has them, unless they were copied from there to the file, which SQLite syncs.
        let [log, _] = companions(&self.path);
        let synced = File::open(&log).and_then(|file| file.sync_data());
        synced.map_err(|error| Error::Other(format!("cannot sync '{}': {error}", log.display())))
    }

    /// The newest link of the chain.
    pub fn chain_head(&self) -> Link {
        self.head
    }

    /// Contents of the file.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn size(&self) -> Result<Size, Error> {
        let number = |name| self.db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let pages =
            || Ok((number("page_count")? - number("freelist_count")?) * number("page_size")?);
        let bytes = pages().map_err(Error::of)? as u64 + self.log_bytes();
        let rows = "SELECT sum(switches) + (SELECT count(*) FROM notes) - (SELECT count(*) FROM notes WHERE text ->> '$.of' IS NOT NULL),
            min(first_time) FILTER (WHERE switches > 0) FROM parts";
        let rows = self.db.query_row(rows, [], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)));
        let (rows, oldest) = rows.map_err(Error::of)?;
        Ok(Size { rows: rows as u64, bytes, oldest })
    }

    #[cfg(test)]
    pub(crate) fn db(&self) -> &Connection {
        &self.db
    }

    #[cfg(test)]
    pub(crate) fn set_wait(&mut self, bytes: u64) {
        self.wait_at = bytes;
    }

    /// Does `work` in one transaction.
    fn transaction<T>(
        &mut self,
        work: impl FnOnce(&mut Rows<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        if self.inode.is_some() && inode(&self.path).ok() != self.inode {
            let error = "its file was moved, replaced or deleted: put it back, or restart the daemon to begin a new one";
            return Err(Error::Other(error.to_owned()));
        }
        // Another program's lock is waited for only at the beginning of a transaction.
        let db = Transaction::new_unchecked(&self.db, TransactionBehavior::Immediate);
        let db = db.map_err(Error::of)?;
        let (words, key) = (&mut self.words, &self.key);
        let mut rows = Rows { db: &db, words, key, head: self.head, part: self.part };
        let done = work(&mut rows);
        let (head, part) = (rows.head, rows.part);
        let done = done.and_then(|done| db.commit().map(|()| done));
        self.words.end(done.is_ok());
        if done.is_ok() {
            (self.head, self.part) = (head, part);
        }
        done.map_err(Error::of)
    }

    /// Does `work` with each commit synced.
    fn synced<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        self.db.pragma_update(None, "synchronous", "FULL").map_err(Error::of)?;
        let done = work(self);
        // A failure makes later commits slower, not wrong.
        let _ = self.db.pragma_update(None, "synchronous", "NORMAL");
        done
    }

    fn is_part_full(&self) -> bool {
        let Part { switches, first_time, last_time, .. } = self.part;
        switches >= self.rows_of_a_part || last_time.saturating_sub(first_time) >= SPAN
    }

    /// Makes the index of the newest part, and begins the next: both, or nothing.
    fn end_part(&mut self) -> Result<(), Error> {
        let Part { id, next, switches: count, .. } = self.part;
        let table = switches(id);
        let ended = self.transaction(|rows| {
            rows.db.execute_batch(&format!(
                "CREATE INDEX {table}_by_name ON {table}(sub_account);
                UPDATE parts SET is_full = TRUE WHERE id = {id}"
            ))?;
            rows.part = Part::new(id + 1, next);
            create_part(rows.db, id + 1, next)
        });
        // An attempt is expensive: the next one comes only after a tenth of a part.
        self.end_part_at = if ended.is_ok() { 0 } else { count + self.rows_of_a_part / 10 + 1 };
        ended
    }

    /// Bytes of the log of writes.
    fn log_bytes(&self) -> u64 {
        let [log, _] = companions(&self.path);
        fs::metadata(log).map_or(0, |log| log.len())
    }

    /// Shortens a large log of writes. SQLite copies the log to the file after some commits and then reuses it, unless a
    /// search always reads from it. So the writer waits for the running searches, some seconds at most; new ones read from
    /// the file.
    fn bound_log(&mut self) {
        if self.log_bytes() >= self.wait_at {
            let _ = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            self.wait_at = self.log_bytes() + LOG;
        }
    }
}

fn aside(path: &Path, now: i64) -> Result<PathBuf, OpenError> {
    move_aside(path, now)
        .map_err(|error| OpenError::Other(format!("it is damaged, and cannot be moved: {error}")))
}

/// Device and number of a file.
fn inode(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|file| (file.dev(), file.ino()))
}
