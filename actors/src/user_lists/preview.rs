//! A list as the first pull would fetch it, for commands that only read it.

use slog::{Discard, Logger, o};

use super::{
    UserListSettings,
    answer::{ListFormat, PulledList, znode_name},
};
use crate::{
    domain::Puname,
    upstream::{FetchError, Upstream, UpstreamUrl},
};

/// A whole list, as its upstream answers to `last_id=0`.
#[derive(Debug)]
pub struct ListPreview {
    list: PulledList,
    lower_case: bool,
}

/// Fetches the whole list at `url` by the rules of a pull, and writes nothing.
pub async fn preview_list(
    settings: &UserListSettings,
    url: &UpstreamUrl,
) -> Result<ListPreview, FetchError> {
    let UserListSettings { lower_case, .. } = *settings;
    let upstream = Upstream::new(settings.fetch(url.clone()), &Logger::root(Discard, o!()));
    let list = upstream.fetch("last_id", 0, ListFormat { lower_case }).await?;
    Ok(ListPreview { list, lower_case })
}

impl ListPreview {
    /// Names of the znodes that a pull creates if they are missing, by rising puid.
    pub fn punames(&self) -> Vec<Puname> {
        let names = self.list.entries.iter();
        names.filter_map(|entry| znode_name(&entry.name, self.lower_case).ok()).collect()
    }

    /// The smallest puid of exactly this name.
    pub fn puid(&self, name: &str) -> Option<u32> {
        self.list.entries.iter().find(|entry| &*entry.name == name).map(|entry| entry.puid)
    }

    /// Number of entries that a pull skips, since they can never be listed.
    pub fn invalid(&self) -> usize {
        self.list.bad.count
    }

    /// Name and fault of the first invalid entries, fit for a terminal.
    pub fn first_invalid(&self) -> &[(String, String)] {
        &self.list.bad.shown
    }
}
