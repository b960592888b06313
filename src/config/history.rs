//! Settings of the history, and checks of its files' places.

use std::{
    fs, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use switcher_actors::{Quoted, Shown};

use super::files::Findings;

/// Settings of the history (contract of trust, section 1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistorySettings {
    /// The database. A relative path begins at the working directory.
    pub file: PathBuf,
    /// File with the key of the chain over payout changes.
    pub key_file: PathBuf,
    /// Days for which switches are kept.
    pub days: u32,
    /// Limit of the database's used bytes.
    pub max_bytes: u64,
    /// Days for which payout changes and reloads are kept.
    pub payout_days: u32,
    pub sync: HistorySync,
}

/// Changes that are answered only after their records are on the disk: the key `HistorySync`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistorySync {
    /// Coinbase updates alone.
    Updates,
    /// Switches, too.
    All,
}

impl FromStr for HistorySync {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "updates" => Ok(Self::Updates),
            "all" => Ok(Self::All),
            _ => Err(format!("is {}, expected updates or all", Quoted(text))),
        }
    }
}

/// Key file without `HistoryKeyFile`: next to the database.
pub fn usual_key_file(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".key");
    name.into()
}

/// Directory of a file.
pub fn directory(file: &Path) -> &Path {
    file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

impl Findings {
    /// Checks the places of the history's files.
    pub(super) fn look_at_history(&mut self, history: Option<&HistorySettings>) {
        let Some(history) = history else { return };
        for (key, file) in [("HistoryFile", &history.file), ("HistoryKeyFile", &history.key_file)] {
            match place_fault(file) {
                Some(PlaceFault::NotYet(text)) => self.warnings.push(format!("{key} {text}")),
                Some(PlaceFault::Wrong(text)) => self.problem(key, text),
                None => {}
            }
        }
        self.refuse_public("HistoryKeyFile", &history.key_file);
    }
}

enum PlaceFault {
    /// The place may be right when the daemon starts.
    NotYet(String),
    Wrong(String),
}

fn place_fault(file: &Path) -> Option<PlaceFault> {
    let (shown, dir) = (file.to_string_lossy(), directory(file).to_string_lossy());
    let (shown, dir) = (Quoted(&shown), Shown(&dir));
    match fs::metadata(directory(file)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Some(PlaceFault::NotYet(format!(
                "is {shown}, but the directory {dir} does not exist: create it for the daemon's user"
            )));
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Some(PlaceFault::NotYet(format!(
                "is {shown}, in a directory that this user may not read: check that the daemon's user may"
            )));
        }
        Err(error) => {
            let text = format!("is {shown}, but the directory {dir} cannot be used: {error}");
            return Some(PlaceFault::Wrong(text));
        }
        Ok(dir_found) if !dir_found.is_dir() => {
            return Some(PlaceFault::Wrong(format!("is {shown}, but {dir} is no directory")));
        }
        Ok(_) => {}
    }
    let is_other = fs::metadata(file).is_ok_and(|found| !found.is_file());
    is_other.then(|| PlaceFault::Wrong(format!("is {shown}, which is no regular file")))
}
