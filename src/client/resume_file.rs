//! The progress file of a batch: how far it came, so that a second run continues where the first one ended.
//!
//! The file is written before each chunk and removed at the end. Each write goes to `FILE.new`, is synced, and
//! replaces the file in one step, so a run that is killed leaves a whole record of the acknowledged entries and of
//! those under way. While a run goes on it holds a lock on `FILE.lock`.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Largest progress file that is read, in bytes. A record has about 200.
const SIZE_LIMIT: usize = 4096;

/// Permissions of a new progress file, less the umask. It holds no secrets.
const MODE: u32 = 0o644;

/// Content of the file.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
struct Record {
    /// Digest of the batch's content. Another content is another batch.
    sha256: String,
    /// The daemon that acknowledged, `host:port`. Another one knows nothing of it.
    server: String,
    /// Entries that were acknowledged, from the first on.
    acknowledged: usize,
    /// Entries after the acknowledged ones that were sent and whose outcome is unknown.
    under_way: usize,
}

/// How far one batch came at one daemon.
#[derive(Debug)]
pub struct Progress {
    /// `None` keeps no file.
    file: Option<PathBuf>,
    /// Entries of the batch.
    entries: usize,
    record: Record,
    /// Entries after the acknowledged ones that were sent without an answer, by this run or an earlier one.
    unknown: usize,
    /// Entries of the chunk that is being sent.
    sending: usize,
    lock: Option<Lock>,
}

/// The file cannot be read, or is no record of this batch. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[error("progress file {}: {fault}; --progress-file chooses another place", file.display())]
pub struct UnusableProgress {
    file: PathBuf,
    fault: String,
}

/// The file cannot be written or removed.
#[derive(Debug, thiserror::Error)]
#[error("progress file {}: {cause}; --progress-file chooses another place", file.display())]
pub struct ProgressError {
    file: PathBuf,
    cause: io::Error,
}

impl Progress {
    /// Progress of a batch that begins at its first entry.
    pub fn new(file: Option<PathBuf>, content: &[u8], entries: usize, server: &str) -> Self {
        let record = Record {
            sha256: format!("{:x}", Sha256::digest(content)),
            server: server.to_owned(),
            ..Record::default()
        };
        Self { file, entries, record, unknown: 0, sending: 0, lock: None }
    }

    /// Takes over the record of an earlier run, if it is of the same batch and daemon.
    pub fn resume(&mut self) -> Result<Found, UnusableProgress> {
        let Some(file) = &self.file else { return Ok(Found::Nothing) };
        let unusable = |fault: String| UnusableProgress { file: file.clone(), fault };
        let Some(text) = read(file).map_err(|error| unusable(error.to_string()))? else {
            return Ok(Found::Nothing);
        };
        let wrong = |fault: String| {
            unusable(fault + "; --restart replaces it and begins at the first entry")
        };
        let found = Record::parse(&text).map_err(wrong)?;
        if found.sha256 != self.record.sha256 || found.server != self.record.server {
            return Ok(Found::AnotherBatch);
        }
        found.check(self.entries).map_err(wrong)?;
        self.unknown = found.under_way;
        self.record = found;
        Ok(Found::ThisBatch)
    }

    /// Reserves the file for this run. Another run that uses it at the same time is an error.
    pub fn lock(&mut self) -> Result<(), ProgressError> {
        if let Some(file) = &self.file {
            self.lock = Some(Lock::take(file).map_err(|error| failed(file, error))?);
        }
        Ok(())
    }

    /// Entries that were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.record.acknowledged
    }

    /// Entries after the acknowledged ones whose outcome is unknown.
    pub fn under_way(&self) -> usize {
        self.record.under_way
    }

    /// Records that so many more are about to be sent. After an error nothing may be sent, and the progress is what
    /// it was.
    pub fn send(&mut self, entries: usize) -> Result<(), ProgressError> {
        let before = self.record.under_way;
        self.record.under_way = self.unknown.max(entries);
        self.write().inspect_err(|_| self.record.under_way = before)?;
        self.sending = entries;
        Ok(())
    }

    /// Records that the chunk is acknowledged. The file holds that from the next [`send`](Self::send) on.
    pub fn acknowledge(&mut self) {
        self.record.acknowledged += self.sending;
        self.unknown = self.unknown.saturating_sub(self.sending);
        self.record.under_way = self.unknown;
    }

    /// Records that nothing of the chunk was written. That says nothing of what was sent before.
    pub fn take_back(&mut self) -> Result<(), ProgressError> {
        self.record.under_way = self.unknown;
        self.write()
    }

    /// Removes the file, since all entries are acknowledged.
    pub fn finish(self) -> Result<(), ProgressError> {
        let Some(file) = &self.file else { return Ok(()) };
        let remove = || {
            let folder = open_folder(file)?;
            match fs::remove_file(file) {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                removed => removed.and_then(|()| sync(&folder)),
            }
        };
        remove().map_err(|error| failed(file, error))
    }

    fn write(&self) -> Result<(), ProgressError> {
        let Some(file) = &self.file else { return Ok(()) };
        replace(file, &self.record).map_err(|error| failed(file, error))
    }
}

impl Record {
    /// Reads a record. The fault quotes nothing of the file, which may be one that holds secrets.
    fn parse(text: &[u8]) -> Result<Self, String> {
        if text.is_empty() {
            return Err("it is empty".to_owned());
        }
        if text.len() > SIZE_LIMIT {
            return Err(format!("it is larger than {SIZE_LIMIT} bytes"));
        }
        let record: Self = serde_json::from_slice(text).map_err(|error| {
            format!("it is not a progress file (line {}, column {})", error.line(), error.column())
        })?;
        let is_digest = record.sha256.len() == 64
            && record.sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_digest { Ok(record) } else { Err("its sha256 is no SHA-256 digest".to_owned()) }
    }

    /// Checks a record of this batch against its number of entries. A finished batch has no file, so at least one
    /// entry is left.
    fn check(&self, entries: usize) -> Result<(), String> {
        let Self { acknowledged, under_way, .. } = self;
        let left = entries.saturating_sub(*acknowledged);
        if left == 0 {
            return Err(format!(
                "it says that {acknowledged} entries are acknowledged; an unfinished batch of {entries} has fewer"
            ));
        }
        if *under_way > left {
            return Err(format!(
                "it says that {under_way} entries are under way, of {left} that are not acknowledged"
            ));
        }
        Ok(())
    }
}

/// Content of the progress file, or as much as shows that it is too large; `None` if there is none. A symbolic link is
/// followed.
fn read(file: &Path) -> io::Result<Option<Vec<u8>>> {
    // A FIFO without a writer would block.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let opened = match OpenOptions::new().read(true).custom_flags(flags).open(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    if !opened.metadata()?.is_file() {
        return Err(not_regular());
    }
    let mut text = Vec::new();
    opened.take(SIZE_LIMIT as u64 + 1).read_to_end(&mut text)?;
    Ok(Some(text))
}

/// Replaces the file by a record: written and synced before the rename, the directory synced afterwards. A symbolic
/// link is replaced itself, never the file that it points to.
fn replace(file: &Path, record: &Record) -> io::Result<()> {
    // Opened before the rename: a record must not be in place if this run reports that it could not be written.
    let folder = open_folder(file)?;
    let new = suffixed(file, ".new");
    let create = || OpenOptions::new().write(true).create_new(true).mode(MODE).open(&new);
    let mut created = match create() {
        // Left by a run that was killed: the lock excludes a run that still writes it.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            fs::remove_file(&new)?;
            create()?
        }
        created => created?,
    };
    let written = created
        .write_all(&serde_json::to_vec(record)?)
        .and_then(|()| created.sync_all())
        .and_then(|()| fs::rename(&new, file));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written?;
    sync(&folder)
}

/// The directory of the file, to sync it.
fn open_folder(file: &Path) -> io::Result<File> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))
}

/// Makes a rename or removal in the directory durable.
fn sync(folder: &File) -> io::Result<()> {
    match folder.sync_all() {
        // Some network file systems cannot sync a directory.
        Err(error) if [ErrorKind::InvalidInput, ErrorKind::Unsupported].contains(&error.kind()) => {
            Ok(())
        }
        synced => synced,
    }
}

fn suffixed(file: &Path, suffix: &str) -> PathBuf {
    let mut suffixed = file.to_owned().into_os_string();
    suffixed.push(suffix);
    suffixed.into()
}

fn not_regular() -> io::Error {
    io::Error::other("it is not a regular file")
}

/// A lock on `FILE.lock`, which the operating system releases when the process ends; the file is removed with it.
#[derive(Debug)]
struct Lock {
    file: PathBuf,
    _held: File,
}

impl Lock {
    /// Locks, unless the progress file is something that must not be replaced, like a device.
    fn take(progress_file: &Path) -> io::Result<Self> {
        if fs::metadata(progress_file).is_ok_and(|there| !there.is_file()) {
            return Err(not_regular());
        }
        let file = suffixed(progress_file, ".lock");
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        loop {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false).mode(MODE).custom_flags(flags);
            let held = options.open(&file)?;
            held.try_lock().map_err(|error| match error {
                TryLockError::WouldBlock => {
                    io::Error::other("another run uses it; wait until that run has ended")
                }
                TryLockError::Error(error) => error,
            })?;
            // The run before may have removed the file between our two steps, and a third run may lock another.
            let (ours, there) = (held.metadata()?, fs::symlink_metadata(&file));
            if there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
                return Ok(Self { file, _held: held });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

/// Result of a look at the progress file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// There is no file.
    Nothing,
    /// Progress of this batch.
    ThisBatch,
    /// Progress of another batch, or of this one at another daemon.
    AnotherBatch,
}

fn failed(file: &Path, cause: io::Error) -> ProgressError {
    ProgressError { file: file.to_owned(), cause }
}

#[cfg(test)]
mod tests;
