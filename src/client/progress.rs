//! How far a batch came: a small file, so that a second run can go on where the first one ended.
//!
//! It is written before each chunk and removed at the end, always whole: beside it first, then in its place. So a
//! run that is killed leaves behind what had been acknowledged and what was under way.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What is in the file.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
struct Record {
    /// Of the batch's content. Another content is another batch.
    sha256: String,
    /// The daemon that acknowledged, `host:port`. Another one knows nothing of it.
    server: String,
    /// Entries that were acknowledged, from the first on.
    acknowledged: usize,
    /// Entries behind those that were sent, and whose outcome nobody knows.
    under_way: usize,
}

/// How far one batch came at one daemon.
#[derive(Debug)]
pub struct Progress {
    /// `None` if nobody wants to know later.
    file: Option<PathBuf>,
    record: Record,
    /// Of the entries behind the acknowledged ones, those that were sent without an answer, by this run or before.
    unknown: usize,
    /// Those that are being sent.
    sending: usize,
}

/// The file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("progress file {}: {cause}; --progress-file chooses another place, or remove it", file.display())]
pub struct ProgressError {
    file: PathBuf,
    cause: io::Error,
}

impl Progress {
    /// Of a batch that begins at its first entry.
    pub fn new(file: Option<PathBuf>, content: &[u8], server: &str) -> Self {
        let record = Record {
            sha256: format!("{:x}", Sha256::digest(content)),
            server: server.to_owned(),
            ..Record::default()
        };
        Self { file, record, unknown: 0, sending: 0 }
    }

    /// Takes over what a run before has left behind, if it is of the same batch and daemon. Tells whether there
    /// is something of another one.
    pub fn resume(&mut self) -> Result<Found, ProgressError> {
        let Some(file) = &self.file else { return Ok(Found::Nothing) };
        let text = match fs::read(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) => return Err(failed(file, error)),
        };
        // Nobody but us should have written it, so what is no record is not ours to replace.
        let found: Record =
            serde_json::from_slice(&text).map_err(|error| failed(file, error.into()))?;
        if found.sha256 != self.record.sha256 || found.server != self.record.server {
            return Ok(Found::AnotherBatch);
        }
        self.unknown = found.under_way;
        self.record = found;
        Ok(Found::ThisBatch)
    }

    /// Entries that were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.record.acknowledged
    }

    /// Entries behind those whose outcome nobody knows.
    pub fn under_way(&self) -> usize {
        self.record.under_way
    }

    /// So many more are about to be sent.
    pub fn send(&mut self, entries: usize) -> Result<(), ProgressError> {
        self.sending = entries;
        self.record.under_way = self.unknown.max(entries);
        self.write()
    }

    /// What was sent is acknowledged. The file learns it with the next [`send`](Self::send), or at the end.
    pub fn acknowledge(&mut self) {
        self.record.acknowledged += self.sending;
        self.unknown = self.unknown.saturating_sub(self.sending);
        self.record.under_way = self.unknown;
    }

    /// Nothing of what was to be sent was written. That says nothing of what was sent before.
    pub fn take_back(&mut self) -> Result<(), ProgressError> {
        self.record.under_way = self.unknown;
        self.write()
    }

    /// All is acknowledged: the file has served.
    pub fn finish(self) -> Result<(), ProgressError> {
        let Some(file) = &self.file else { return Ok(()) };
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(file, error)),
            _ => Ok(()),
        }
    }

    fn write(&self) -> Result<(), ProgressError> {
        let Some(file) = &self.file else { return Ok(()) };
        let write = || {
            let mut beside = file.clone().into_os_string();
            beside.push(".new");
            fs::write(&beside, serde_json::to_vec(&self.record)?)?;
            fs::rename(&beside, file)
        };
        write().map_err(|error| failed(file, error))
    }
}

/// What was in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// There is none.
    Nothing,
    /// How far this batch came.
    ThisBatch,
    /// How far another one came, or this one at another daemon.
    AnotherBatch,
}

fn failed(file: &Path, cause: io::Error) -> ProgressError {
    ProgressError { file: file.to_owned(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(file: &Path, content: &[u8], server: &str) -> Progress {
        Progress::new(Some(file.to_owned()), content, server)
    }

    #[test]
    fn a_second_run_goes_on_where_the_first_one_ended() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("batch.csv.progress");
        let mut first = progress(&file, b"x", "h:1");
        assert_eq!(first.resume().unwrap(), Found::Nothing);
        first.send(3).unwrap();
        first.acknowledge();
        first.send(2).unwrap();

        let mut second = progress(&file, b"x", "h:1");
        assert_eq!(second.resume().unwrap(), Found::ThisBatch);
        assert_eq!((second.acknowledged(), second.under_way()), (3, 2));
        // Another daemon, another content: another batch.
        for (content, server) in [(b"y", "h:1"), (b"x", "h:2")] {
            let mut other = progress(&file, content, server);
            assert_eq!(other.resume().unwrap(), Found::AnotherBatch);
            assert_eq!((other.acknowledged(), other.under_way()), (0, 0));
        }
        let mut third = progress(&file, b"x", "h:1");
        assert_eq!(third.resume().unwrap(), Found::ThisBatch);
        assert_eq!((third.acknowledged(), third.under_way()), (3, 2));
        third.finish().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_was_sent_without_an_answer_is_unknown_until_it_is_acknowledged() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("p");
        progress(&file, b"x", "h:1").send(3).unwrap();
        // A run that cannot reach the daemon learns nothing of what the run before had sent.
        let mut second = progress(&file, b"x", "h:1");
        second.resume().unwrap();
        second.send(2).unwrap();
        second.take_back().unwrap();
        let mut third = progress(&file, b"x", "h:1");
        third.resume().unwrap();
        assert_eq!((third.acknowledged(), third.under_way()), (0, 3));
        third.send(2).unwrap();
        third.acknowledge();
        assert_eq!((third.acknowledged(), third.under_way()), (2, 1));
        third.send(2).unwrap();
        assert_eq!(third.under_way(), 2);
        third.acknowledge();
        assert_eq!((third.acknowledged(), third.under_way()), (4, 0));
    }

    #[test]
    fn what_is_no_record_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("p");
        fs::write(&file, "dear diary").unwrap();
        let told = progress(&file, b"x", "h:1").resume().unwrap_err().to_string();
        assert!(told.contains(&*file.to_string_lossy()), "{told}");
    }
}
