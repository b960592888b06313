//! The file: settings of a connection, tables, version of the schema, lock.
//!
//! Switches lie in parts, one table each: `switches_1`, `switches_2` and so on. The newest has no index by name, so that
//! insertions need no search; a search reads the whole table. A part ends when it is full or spans a week, and gets its
//! index then. The oldest is dropped as a whole. Notes have a table of their own. Switches and notes share one sequence of
//! numbers.
//!
//! The id of a request is the number of its first entry, and a switch has the distance to it: 0 for single switches,
//! which takes no space.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::ffi::OsStrExt,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::OpenError;

/// Version of the tables below.
pub(crate) const VERSION: i64 = 1;

/// Marks a file as a history: "swhi".
const APPLICATION: i64 = 0x7377_6869;

/// Page cache of a connection, in KiB.
const CACHE: i64 = 8_000;

/// Maximum bytes of the log of writes on the disk after it was copied to the file.
const KEPT_LOG: i64 = 16 << 20;

// `parts.switches` counts switches; `first` to `last` also contain the numbers of notes. `reach` is the oldest request with
// an entry in the part. The index of requests has 31 bits of their numbers: enough to find one, since the numbers count
// from a random one on.
const TABLES: &str = "
CREATE TABLE words(id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE requests(
    id INTEGER PRIMARY KEY, request INTEGER NOT NULL, kind INTEGER NOT NULL, time INTEGER NOT NULL,
    source INTEGER NOT NULL, client, actor, on_behalf_of, comment TEXT, more INTEGER NOT NULL,
    applied INTEGER NOT NULL, not_applied INTEGER NOT NULL, unknown INTEGER NOT NULL, held INTEGER NOT NULL,
    created INTEGER NOT NULL, coins, undo_of INTEGER);
CREATE INDEX requests_by_request ON requests(request & 0x7fffffff);
CREATE INDEX requests_of_notes ON requests(id) WHERE kind <> 0;
CREATE INDEX requests_by_undone ON requests(undo_of) WHERE undo_of IS NOT NULL;
CREATE TABLE parts(
    id INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL, switches INTEGER NOT NULL,
    reach INTEGER NOT NULL, first_time INTEGER NOT NULL, last_time INTEGER NOT NULL, is_full INTEGER NOT NULL);
CREATE TABLE notes(number INTEGER PRIMARY KEY, text TEXT NOT NULL CHECK (json_valid(text)), link BLOB NOT NULL);
CREATE INDEX notes_of ON notes(text ->> '$.of') WHERE text ->> '$.of' IS NOT NULL;
CREATE INDEX notes_by_request ON notes(text ->> '$.origin.request');
CREATE TABLE chain(start BLOB NOT NULL, seal BLOB NOT NULL);
";

/// Locks a history until the returned file is dropped.
pub(crate) fn lock(path: &Path) -> Result<File, OpenError> {
    // A link to the file must not have a lock of its own.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let path = path.with_added_extension("lock");
    let other = |error: io::Error| OpenError::Other(format!("lock '{}': {error}", path.display()));
    let file = File::options().create(true).append(true).open(&path).map_err(other)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse),
        Err(TryLockError::Error(error)) => Err(other(error)),
    }
}

/// Opens the file for writing. A new one gets its tables; its first entry will have the number `first`.
pub(crate) fn open(path: &Path, first: i64) -> Result<Connection, OpenError> {
    // SQLite would create it readable for every user.
    let created = File::options().create(true).append(true).mode(0o640).open(path);
    created.map_err(|error| OpenError::Other(error.to_string()))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags).map_err(OpenError::of)?;
    let is_new = is_new(&db)?;
    settings(&db).map_err(OpenError::of)?;
    if is_new {
        create(&mut db, first).map_err(OpenError::of)?;
    }
    // A later version migrates older tables here, in one transaction with the new `user_version`.
    Ok(db)
}

/// Whether the file has no tables yet. If it has, they are ours and not newer.
fn is_new(db: &Connection) -> Result<bool, OpenError> {
    let number = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let application = number("application_id").map_err(OpenError::of)?;
    let version = number("user_version").map_err(OpenError::of)?;
    if version > VERSION && application == APPLICATION {
        return Err(OpenError::Newer(version));
    }
    let tables = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0));
    let is_new = tables.map_err(OpenError::of)? == 0;
    if !is_new && (application, version) != (APPLICATION, VERSION) {
        let error = "it is a database of another program: use another file, or move this one";
        return Err(OpenError::Other(error.to_owned()));
    }
    Ok(is_new)
}

fn settings(db: &Connection) -> rusqlite::Result<()> {
    db.pragma_update(None, "page_size", 8192)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "journal_size_limit", KEPT_LOG)?;
    db.pragma_update(None, "synchronous", "NORMAL")?;
    // Indexes are sorted in memory: the daemon may have no directory for temporary files.
    db.pragma_update(None, "temp_store", "MEMORY")?;
    db.pragma_update(None, "cache_size", -CACHE)
}

fn create(db: &mut Connection, first: i64) -> rusqlite::Result<()> {
    let tables = db.transaction()?;
    tables.execute_batch(TABLES)?;
    create_part(&tables, 1, first)?;
    tables.pragma_update(None, "application_id", APPLICATION)?;
    tables.pragma_update(None, "user_version", VERSION)?;
    tables.commit()
}

/// Adds a part, in which the switches from the number `first` on will lie.
pub(crate) fn create_part(db: &Connection, id: i64, first: i64) -> rusqlite::Result<()> {
    db.execute_batch(&format!(
        "CREATE TABLE {}(number INTEGER PRIMARY KEY, back INTEGER NOT NULL, time INTEGER NOT NULL,
            sub_account TEXT NOT NULL, old, new, outcome INTEGER NOT NULL, cause, superseded_by,
            due INTEGER, created INTEGER, version INTEGER)",
        switches(id)
    ))?;
    let (last, never) = (first - 1, i64::MAX);
    let insert = "INSERT INTO parts VALUES(?, ?, ?, 0, ?, ?, 0, FALSE)";
    db.execute(insert, [id, first, last, never, never]).map(|_| ())
}

/// Opens a file for searches, also while a daemon writes it. Readers need write access to the log's index.
pub(crate) fn open_to_read(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags).map_err(OpenError::of)?;
    let version = db.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
    let code = version.err().and_then(|error| error.sqlite_error_code());
    let [log, _] = companions(path);
    if matches!(code, Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly)) && !log.exists() {
        // A copy in a read-only place, which no program writes.
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        db = Connection::open_with_flags(immutable(path), flags).map_err(OpenError::of)?;
    }
    if is_new(&db)? {
        return Err(OpenError::Other("it is empty".to_owned()));
    }
    db.pragma_update(None, "query_only", true).map_err(OpenError::of)?;
    db.pragma_update(None, "cache_size", -CACHE).map_err(OpenError::of)?;
    Ok(db)
}

/// SQLite's address of a file that no program writes.
fn immutable(path: &Path) -> String {
    let mut address = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                address.push(char::from(*byte));
            }
            _ => address.push_str(&format!("%{byte:02x}")),
        }
    }
    address + "?immutable=1"
}

/// Files next to the database: the log of writes, and its index in shared memory.
pub(crate) fn companions(path: &Path) -> [PathBuf; 2] {
    ["-wal", "-shm"].map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        name.into()
    })
}

/// Moves the file and its companions aside. The file goes first: SQLite drops a companion without a file, but would replay
/// an old log of writes into a new file.
pub(crate) fn move_aside(path: &Path, now: i64) -> io::Result<PathBuf> {
    let to = path.with_added_extension(format!("damaged-{now}"));
    let [log, index] = companions(path);
    let [log_to, index_to] = companions(&to);
    for (from, to) in [(path, &to), (&log, &log_to), (&index, &index_to)] {
        // An earlier attempt may have moved it.
        match fs::rename(from, to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(to)
}

/// The table of a part.
pub(crate) fn switches(part: i64) -> String {
    format!("switches_{part}")
}
