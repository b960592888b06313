//! The log file: renamed when it is full, reopened after another program (logrotate) has renamed it.
//!
//! `switcher-api-server.log` is the current file, `….log.1` the one before, and so on. Only the log buffer's thread
//! writes. A failed rename or open stops neither the daemon nor the log: it is logged once and counted, and the open
//! file keeps growing.

use std::{
    fs::{self, File, OpenOptions},
    io, mem,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

use prometheus_client::metrics::counter::Counter;
use slog::{Level, b};

use super::{
    format::LogFormat,
    line::note,
    output::{Output, Stream, Unwritten},
};

/// Size and number of log files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Size limit in bytes; 0 for none.
    pub size: u64,
    /// Number of old files, at least 1.
    pub count: usize,
}

pub struct LogFile {
    path: PathBuf,
    rotation: Rotation,
    format: LogFormat,
    stream: Stream<File>,
    /// Size in bytes, if no other program writes to the file.
    size: u64,
    /// Size at which the file is rotated.
    due: u64,
    /// The last rotation failed.
    is_overdue: bool,
    failures: Counter,
}

impl LogFile {
    /// Opens `path` for appending; creates the file and its directory if they are missing. `failures` counts later
    /// failures to rename or open it.
    pub fn open(
        path: PathBuf,
        rotation: Rotation,
        format: LogFormat,
        failures: Counter,
    ) -> io::Result<Self> {
        let (stream, size) = open(&path)?;
        let due = rotation.size;
        Ok(Self { path, rotation, format, stream, size, due, is_overdue: false, failures })
    }

    /// Number of bytes, in whole lines, for which the file has room; 0 if it is full.
    fn fitting(&self, lines: &[u8]) -> usize {
        let room = usize::try_from(self.due.saturating_sub(self.size)).unwrap_or(usize::MAX);
        if self.rotation.size == 0 || lines.len() <= room {
            return lines.len();
        }
        let end = lines[..room].iter().rposition(|&byte| byte == b'\n').map(|last| last + 1);
        // A line longer than the limit gets its own file.
        end.unwrap_or(if self.size == 0 { first_line(lines) } else { 0 })
    }

    fn write(&mut self, lines: &[u8]) -> Result<(), Unwritten> {
        let result = self.stream.write_lines(lines);
        let unwritten = result.as_ref().err().map_or(0, |unwritten| unwritten.bytes);
        self.size += (lines.len() - unwritten) as u64;
        result
    }

    /// Rotates, and logs a failure once.
    fn make_room(&mut self) {
        match self.rotate() {
            Ok(()) if mem::take(&mut self.is_overdue) => {
                self.note(Level::Info, "log file rotation works again", None);
            }
            Ok(()) => {}
            Err(error) => {
                self.failures.inc();
                // Next attempt after the same growth again.
                self.due = self.size.saturating_add(self.rotation.size);
                if !mem::replace(&mut self.is_overdue, true) {
                    self.note(
                        Level::Error,
                        "log file cannot be rotated and keeps growing; check its directory",
                        Some(&error),
                    );
                }
            }
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        let (ours, named) = (self.stream.get().metadata()?, fs::metadata(&self.path));
        if !named.is_ok_and(|named| (named.dev(), named.ino()) == (ours.dev(), ours.ino())) {
            // Another program has renamed the file.
            return self.open_again();
        }
        if ours.len() < self.size {
            // Another program has copied and truncated the file.
            (self.size, self.due) = (ours.len(), self.rotation.size);
            return Ok(());
        }
        if fs::symlink_metadata(&self.path)?.is_symlink() {
            return Err(io::Error::other(
                "it is a symbolic link: set LogFileSize to 0, or -log_dir to the directory of its target",
            ));
        }
        self.shift()?;
        fs::rename(&self.path, self.old(1))?;
        self.open_again().inspect_err(|_| {
            // The open file gets its name back.
            let _ = fs::rename(self.old(1), &self.path);
        })
    }

    /// Renames old files up to the first gap, which makes room for number 1. The oldest is lost.
    fn shift(&self) -> io::Result<()> {
        let is_missing = |number: &usize| fs::symlink_metadata(self.old(*number)).is_err();
        let last = (1..self.rotation.count).find(is_missing).unwrap_or(self.rotation.count);
        (1..last).rev().try_for_each(|number| fs::rename(self.old(number), self.old(number + 1)))
    }

    fn old(&self, number: usize) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(format!(".{number}"));
        path.into()
    }

    fn open_again(&mut self) -> io::Result<()> {
        let (stream, size) = open(&self.path)?;
        (self.stream, self.size, self.due) = (stream, size, self.rotation.size);
        Ok(())
    }

    /// Writes a line about the log file itself.
    fn note(&mut self, level: Level, message: &str, cause: Option<&io::Error>) {
        let (format, file) = (self.format, self.path.display());
        let line = cause.map_or_else(
            || note(format, level, message, b!()),
            |cause| note(format, level, message, b!("file" => %file, "cause" => %cause)),
        );
        // The next line meets the same error, which is reported then.
        let _ = self.write(&line);
    }
}

impl Output for LogFile {
    fn write_lines(&mut self, mut lines: &[u8]) -> Result<(), Unwritten> {
        while !lines.is_empty() {
            let mut fitting = self.fitting(lines);
            if fitting == 0 {
                self.make_room();
                // Lines are written also if the rotation failed.
                fitting = self.fitting(lines).max(first_line(lines));
            }
            let (first, rest) = lines.split_at(fitting);
            self.write(first).map_err(|Unwritten { bytes, cause }| Unwritten {
                bytes: bytes + rest.len(),
                cause,
            })?;
            lines = rest;
        }
        Ok(())
    }

    fn reopen(&mut self) {
        match self.open_again() {
            Ok(()) => {
                self.is_overdue = false;
                self.note(Level::Info, "log file reopened", None);
            }
            Err(error) => {
                self.failures.inc();
                self.note(
                    Level::Error,
                    "log file cannot be reopened; the previous file stays open",
                    Some(&error),
                );
            }
        }
    }
}

fn open(path: &Path) -> io::Result<(Stream<File>, u64)> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let metadata = file.metadata()?;
    let is_torn = metadata.is_file() && metadata.len() > 0 && !ends_a_line(path, metadata.len());
    Ok((Stream::after(file, is_torn), metadata.len()))
}

/// Whether the file ends with a whole line: a full disk or a kill may have cut the last one. An unreadable file counts
/// as whole.
fn ends_a_line(path: &Path, size: u64) -> bool {
    let mut last = [b'\n'];
    let read = File::open(path).and_then(|file| file.read_exact_at(&mut last, size - 1));
    read.is_err() || last == [b'\n']
}

/// Length of the first line, including its end.
fn first_line(lines: &[u8]) -> usize {
    lines.iter().position(|&byte| byte == b'\n').map_or(lines.len(), |end| end + 1)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    struct Fixture {
        folder: TempDir,
        file: LogFile,
        failures: Counter,
    }

    impl Fixture {
        fn new(size: u64, count: usize) -> Self {
            let (folder, failures) = (tempfile::tempdir().unwrap(), Counter::default());
            let rotation = Rotation { size, count };
            let path = folder.path().join("below").join("x.log");
            let file = LogFile::open(path, rotation, LogFormat::Human, failures.clone()).unwrap();
            Self { folder, file, failures }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join("below").join(name)
        }

        fn read(&self, name: &str) -> Option<String> {
            fs::read_to_string(self.path(name)).ok()
        }

        fn write(&mut self, lines: &str) {
            self.file.write_lines(lines.as_bytes()).unwrap();
        }
    }

    #[test]
    fn a_file_that_is_full_is_kept_with_the_last_ones() {
        let mut it = Fixture::new(10, 2);
        it.write("1234\n6789\n");
        assert_eq!((it.read("x.log").as_deref(), it.read("x.log.1")), (Some("1234\n6789\n"), None));
        // More than a file's worth at once, cut where lines end; and a line that is larger than a file.
        it.write("a234\nb789\nc23\nd67\n0123456789ab\ne\n");
        let files = ["x.log", "x.log.1", "x.log.2", "x.log.3"].map(|name| it.read(name));
        let expected = [Some("e\n"), Some("0123456789ab\n"), Some("c23\nd67\n"), None];
        assert_eq!(files, expected.map(|text| text.map(str::to_owned)));
        assert_eq!(it.failures.get(), 0);
    }

    #[test]
    fn after_a_line_that_was_cut_the_next_begins_a_line_of_its_own() {
        let mut it = Fixture::new(0, 1);
        it.write("whole\n");
        fs::write(it.path("x.log"), "whole\ncut").unwrap();
        it.file.open_again().unwrap();
        it.write("next\n");
        assert_eq!(it.read("x.log").as_deref(), Some("whole\ncut\nnext\n"));
        it.file.open_again().unwrap();
        it.write("last\n");
        assert_eq!(it.read("x.log").as_deref(), Some("whole\ncut\nnext\nlast\n"));
    }

    #[test]
    fn a_link_stays_and_what_it_leads_to_grows() {
        let mut it = Fixture::new(10, 2);
        fs::rename(it.path("x.log"), it.path("elsewhere")).unwrap();
        std::os::unix::fs::symlink(it.path("elsewhere"), it.path("x.log")).unwrap();
        it.write("1234\n6789\n");
        it.write("more\n");
        assert!(fs::symlink_metadata(it.path("x.log")).unwrap().is_symlink());
        assert_eq!((it.read("x.log.1"), it.failures.get()), (None, 1));
        let text = it.read("elsewhere").unwrap();
        assert!(text.starts_with("1234\n6789\n") && text.ends_with("\nmore\n"), "{text}");
        assert!(text.contains("it is a symbolic link"), "{text}");
    }

    #[test]
    fn without_a_limit_it_grows() {
        let mut it = Fixture::new(0, 1);
        it.write(&"line\n".repeat(1000));
        assert_eq!(it.read("x.log").unwrap().len(), 5000);
    }

    #[test]
    fn what_was_there_before_counts() {
        let mut it = Fixture::new(10, 2);
        it.write("1234\n67\n");
        let rotation = it.file.rotation;
        it.file = LogFile::open(it.path("x.log"), rotation, LogFormat::Human, Counter::default())
            .unwrap();
        it.write("next\n");
        assert_eq!(it.read("x.log.1").as_deref(), Some("1234\n67\n"));
        assert_eq!(it.read("x.log").as_deref(), Some("next\n"));
    }

    #[test]
    fn an_obstacle_is_logged_once_and_costs_no_line() {
        let mut it = Fixture::new(10, 2);
        // No file can replace a directory.
        fs::create_dir(it.path("x.log.2")).unwrap();
        it.write("1234\n6789\n");
        it.write("first\n");
        assert_eq!(it.read("x.log.1").as_deref(), Some("1234\n6789\n"), "there was a gap");
        for line in ["a\n", "b\n", "c\n"] {
            it.write(line);
        }
        it.write(&"23456789\n".repeat(20));
        let text = it.read("x.log").unwrap();
        assert!(text.starts_with("first\na\nb\n"), "{text}");
        assert_eq!(text.matches("23456789\n").count(), 20);
        assert_eq!(text.matches("ERRO log file cannot be rotated").count(), 1, "{text}");
        assert!(text.contains("x.log, cause: ") && it.failures.get() > 1, "{text}");

        fs::remove_dir(it.path("x.log.2")).unwrap();
        it.write(&"23456789\n".repeat(20));
        let again = "INFO log file rotation works again\n";
        let files = ["x.log", "x.log.1", "x.log.2"].map(|name| it.read(name).unwrap());
        assert!(files.iter().all(|text| text.len() < 20 || text.contains(again)), "{files:?}");
    }

    #[test]
    fn a_file_that_another_program_renames_gets_a_successor() {
        let mut it = Fixture::new(100, 2);
        it.write("before\n");
        fs::rename(it.path("x.log"), it.path("moved")).unwrap();
        it.write("late\n");
        it.file.reopen();
        it.write("after\n");
        assert_eq!(it.read("moved").as_deref(), Some("before\nlate\n"));
        let text = it.read("x.log").unwrap();
        assert!(text.ends_with("INFO log file reopened\nafter\n"), "{text}");

        // Without a signal, the rename is noticed when the file is full.
        fs::rename(it.path("x.log"), it.path("moved")).unwrap();
        let [late, next] = ["x", "z"].map(|letter| letter.repeat(29) + "\n");
        it.write(&late);
        it.write(&next);
        assert!(it.read("moved").unwrap().ends_with(&late));
        assert_eq!((it.read("x.log"), it.read("x.log.1")), (Some(next), None));
    }

    #[test]
    fn a_failure_to_reopen_is_logged_to_the_open_file() {
        let mut it = Fixture::new(0, 1);
        fs::rename(it.path("x.log"), it.path("moved")).unwrap();
        fs::create_dir(it.path("x.log")).unwrap();
        it.file.reopen();
        it.write("after\n");
        let text = it.read("moved").unwrap();
        assert!(text.contains("ERRO log file cannot be reopened"), "{text}");
        assert!(text.ends_with("\nafter\n"), "{text}");
        assert_eq!(it.failures.get(), 1);
    }

    #[test]
    fn a_truncated_file_counts_from_zero() {
        let mut it = Fixture::new(10, 2);
        it.write("1234\n678\n");
        fs::write(it.path("x.log"), "").unwrap();
        it.write("next\n");
        assert_eq!((it.read("x.log").as_deref(), it.read("x.log.1")), (Some("next\n"), None));
    }
}
