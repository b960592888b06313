//! Checks the keys of the history.

use std::path::PathBuf;

use switcher_actors::{is_invisible, is_quote};

use super::Reader;
use crate::config::{HistorySettings, HistorySync, history::usual_key_file};

const FILE: &str = "HistoryFile";
const KEY_FILE: &str = "HistoryKeyFile";
const SYNC: &str = "HistorySync";

/// Suffixes of the database's own files, which the key file must not be.
const OWN_FILES: [&str; 5] = ["", "-wal", "-shm", "-journal", ".lock"];

impl Reader {
    /// Settings of the history; `None` without a file.
    pub(super) fn history(&mut self) -> Option<HistorySettings> {
        let (file, key_file) = (self.path(FILE), self.path(KEY_FILE));
        let days = self.days("HistoryDays");
        let max_bytes = self.number("HistoryMaxBytes");
        let payout_days = self.days("HistoryPayoutDays");
        let sync = self.parsed::<HistorySync>(SYNC);
        let Some(file) = file else {
            let is_all = sync == Some(HistorySync::All);
            let unused = [(KEY_FILE, key_file.is_some()), (SYNC, is_all)].into_iter();
            let unused = unused.filter(|(_, is_set)| *is_set && self.are_sound(&[FILE]));
            let unused: Vec<_> =
                unused.map(|(key, _)| format!("{key} has no effect: {FILE} is not set")).collect();
            self.warnings.extend(unused);
            return None;
        };
        let key_file = key_file.unwrap_or_else(|| usual_key_file(&file));
        let is_own = |end: &str| key_file.as_os_str() == &*format!("{}{end}", file.display());
        if OWN_FILES.iter().any(|end| is_own(end)) {
            let text = key_file.to_string_lossy();
            self.refuse(KEY_FILE, &text, format!(", a file of {FILE} itself; choose another"));
        }
        Some(HistorySettings { file, key_file, days, max_bytes, payout_days, sync: sync? })
    }

    fn days(&mut self, name: &'static str) -> u32 {
        u32::try_from(self.number(name)).unwrap_or(u32::MAX)
    }

    /// Path of a file; `None` if it is not set, or after a recorded problem.
    pub(super) fn path(&mut self, name: &'static str) -> Option<PathBuf> {
        let text = self.text(name);
        if text.is_empty() {
            return None;
        }
        let is_odd_end = |end: Option<char>| end.is_some_and(|c| is_quote(c) || c.is_whitespace());
        if text.contains(is_invisible)
            || is_odd_end(text.chars().next())
            || is_odd_end(text.chars().last())
            || text.ends_with('/')
        {
            let like = "/var/lib/switcher-api-server/history.db";
            self.refuse(name, &text, format!(", expected the path of a file, like {like}"));
            return None;
        }
        Some(text.into())
    }
}
