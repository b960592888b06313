//! The resume file of a batch: the entries done so far, so that a second run continues where the first one ended.
//!
//! The file is written before each chunk and removed at the end. Each write goes to `FILE.new`, is synced, and
//! replaces the file in one step, so a run that is killed leaves a whole record of the acknowledged entries and of
//! those in flight. During a run it holds a lock on `FILE.lock`.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Largest resume file, in bytes. A record has about 200.
const SIZE_LIMIT: usize = 4096;

/// Permissions of a new resume file, less the umask. It holds no secrets.
const MODE: u32 = 0o644;

/// Content of the file.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
struct ResumeRecord {
    /// Digest of the batch's content. Other content is another batch.
    sha256: String,
    /// The daemon that acknowledged, `host:port`. A record says nothing about another daemon.
    server: String,
    /// Acknowledged entries, from the first on.
    acknowledged: usize,
    /// Entries after the acknowledged ones that were sent without a known outcome.
    under_way: usize,
}

/// Progress of one batch at one daemon, kept in a file.
#[derive(Debug)]
pub struct ResumeFile {
    /// `None` keeps no file.
    file: Option<PathBuf>,
    /// Entries of the batch.
    entries: usize,
    record: ResumeRecord,
    /// Entries after the acknowledged ones that were sent without an answer, by this run or an earlier one.
    unknown: usize,
    /// Entries of the chunk in flight.
    sending: usize,
    lock: Option<Lock>,
}

/// The file cannot be read, is no record of this batch, cannot be written or removed, or is in use.
#[derive(Debug, thiserror::Error)]
#[error("resume file {}: {fault}; --progress-file chooses another place", file.display())]
pub struct ResumeFileError {
    file: PathBuf,
    fault: String,
    /// Whether another run uses the file now: its content is then about to change.
    pub is_in_use: bool,
}

impl ResumeFile {
    /// A batch that starts at its first entry.
    pub fn new(file: Option<PathBuf>, content: &[u8], entries: usize, server: &str) -> Self {
        let record = ResumeRecord {
            sha256: format!("{:x}", Sha256::digest(content)),
            server: server.to_owned(),
            ..ResumeRecord::default()
        };
        Self { file, entries, record, unknown: 0, sending: 0, lock: None }
    }

    /// Adopts the record of an earlier run, if it belongs to the same batch and daemon. Changes nothing after an error.
    pub fn resume(&mut self) -> Result<Resumption, ResumeFileError> {
        let Some(file) = &self.file else { return Ok(Resumption::NoFile) };
        let Some(text) = read(file).map_err(|error| failed(file, error))? else {
            return Ok(Resumption::NoFile);
        };
        let wrong = |fault: String| {
            let fault = fault + "; --restart replaces it and starts at the first entry";
            failed(file, io::Error::other(fault))
        };
        let found = ResumeRecord::parse(&text).map_err(wrong)?;
        if found.sha256 != self.record.sha256 || found.server != self.record.server {
            return Ok(Resumption::AnotherBatch);
        }
        found.check(self.entries).map_err(wrong)?;
        self.unknown = found.under_way;
        self.record = found;
        Ok(Resumption::ThisBatch)
    }

    /// Reserves the file for this run.
    pub fn lock(&mut self) -> Result<(), ResumeFileError> {
        if let Some(file) = &self.file {
            self.lock = Some(Lock::take(file).map_err(|error| failed(file, error))?);
        }
        Ok(())
    }

    pub fn acknowledged(&self) -> usize {
        self.record.acknowledged
    }

    /// Entries of unknown outcome, after the acknowledged ones.
    pub fn under_way(&self) -> usize {
        self.record.under_way
    }

    /// Records that the next `entries` are about to be sent. After an error the record is unchanged, and nothing may
    /// be sent.
    pub fn send(&mut self, entries: usize) -> Result<(), ResumeFileError> {
        let before = self.record.under_way;
        self.record.under_way = self.unknown.max(entries);
        self.write().inspect_err(|_| self.record.under_way = before)?;
        self.sending = entries;
        Ok(())
    }

    /// Records that the chunk is acknowledged. The next [`send`](Self::send) writes that to the file.
    pub fn acknowledge(&mut self) {
        self.record.acknowledged += self.sending;
        self.unknown = self.unknown.saturating_sub(self.sending);
        self.record.under_way = self.unknown;
    }

    /// Records that nothing of the chunk was written. Entries that were sent before stay unknown.
    pub fn take_back(&mut self) -> Result<(), ResumeFileError> {
        self.record.under_way = self.unknown;
        self.write()
    }

    /// Removes the file, since all entries are acknowledged.
    pub fn finish(self) -> Result<(), ResumeFileError> {
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

    fn write(&self) -> Result<(), ResumeFileError> {
        let Some(file) = &self.file else { return Ok(()) };
        replace(file, &self.record).map_err(|error| failed(file, error))
    }
}

impl ResumeRecord {
    /// Parses a record. The fault does not quote the file, which may be one that holds secrets.
    fn parse(text: &[u8]) -> Result<Self, String> {
        if text.is_empty() {
            return Err("it is empty".to_owned());
        }
        if text.len() > SIZE_LIMIT {
            return Err(format!("it is larger than {SIZE_LIMIT} bytes"));
        }
        let record: Self = serde_json::from_slice(text).map_err(|error| {
            format!("it is not a resume file (line {}, column {})", error.line(), error.column())
        })?;
        let is_digest = record.sha256.len() == 64
            && record.sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_digest { Ok(record) } else { Err("its sha256 is not a SHA-256 digest".to_owned()) }
    }

    /// Checks a record against the batch's number of entries. A finished batch has no file, so at least one entry is
    /// left.
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

/// Reads the file, at most one byte past the limit; `None` if there is no file. Follows a symbolic link.
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

/// Replaces the file by a record: written and synced before the rename, the directory synced afterwards. Replaces a
/// symbolic link itself, never its target.
fn replace(file: &Path, record: &ResumeRecord) -> io::Result<()> {
    // Opened before the rename: a record must not be in place if this run reports that it could not be written.
    let folder = open_folder(file)?;
    let new = suffixed(file, ".new");
    let create = || OpenOptions::new().write(true).create_new(true).mode(MODE).open(&new);
    let mut created = match create() {
        // Left by a run that was killed: the lock excludes a live one.
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

/// Opens the directory of the file, to sync it.
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
    /// Locks, unless the resume file is something that must not be replaced, like a device.
    fn take(resume_file: &Path) -> io::Result<Self> {
        if fs::metadata(resume_file).is_ok_and(|there| !there.is_file()) {
            return Err(not_regular());
        }
        let file = suffixed(resume_file, ".lock");
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        loop {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false).mode(MODE).custom_flags(flags);
            let held = options.open(&file)?;
            held.try_lock().map_err(|error| match error {
                TryLockError::WouldBlock => io::Error::new(
                    ErrorKind::WouldBlock,
                    "another run uses it; wait until that run has ended",
                ),
                TryLockError::Error(error) => error,
            })?;
            // An earlier run may have removed the file between these two steps, and a third run may lock a new one.
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

/// Result of [`ResumeFile::resume`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumption {
    NoFile,
    /// The record belongs to this batch.
    ThisBatch,
    /// The record belongs to another batch, or to this one at another daemon.
    AnotherBatch,
}

fn failed(file: &Path, error: io::Error) -> ResumeFileError {
    let is_in_use = error.kind() == ErrorKind::WouldBlock;
    ResumeFileError { file: file.to_owned(), fault: error.to_string(), is_in_use }
}

#[cfg(test)]
mod tests;
