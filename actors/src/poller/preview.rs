//! The user-coin map as a poll would fetch it, for commands that only read it.

use std::time::SystemTime;

use slog::{Discard, Logger, o};

use super::{
    PollerSettings,
    answer::{FetchedMap, MapFormat, ShapeWarning},
    cursor::{NowDate, PollCursor, since_1970},
    poll::LAST_DATE,
    user_coin_map::SettledMap,
};
use crate::{
    domain::Assignment,
    upstream::{FetchError, Upstream},
};

/// The whole map, as the upstream answers to `last_date=0`.
#[derive(Debug)]
pub struct MapPreview {
    map: SettledMap,
    now_date: Option<i64>,
    warning: Option<ShapeWarning>,
}

/// Fetches the whole map by the rules of a poll, and writes nothing.
pub async fn preview_map(settings: &PollerSettings) -> Result<MapPreview, FetchError> {
    let upstream = Upstream::new(settings.fetch(), &Logger::root(Discard, o!()));
    let fetched = upstream.fetch(LAST_DATE, 0, MapFormat(settings.rules.clone()));
    let FetchedMap { map, now_date, warning } = fetched.await?;
    Ok(MapPreview { map, now_date, warning })
}

impl MapPreview {
    /// Number of sub-accounts that a poll would write.
    pub fn sub_accounts(&self) -> usize {
        self.map.len()
    }

    /// At most `size` entries from the one at `from` on.
    pub fn part(&self, from: usize, size: usize) -> Vec<Assignment> {
        self.map.part(from, size)
    }

    /// Number of entries that a poll would skip, since they can never be written.
    pub fn invalid(&self) -> usize {
        self.map.bad().count
    }

    /// Name and fault of the first invalid entries, fit for a terminal.
    pub fn first_invalid(&self) -> &[(String, String)] {
        &self.map.bad().shown
    }

    /// Deviation of the answer from the documented shape, though it is understood.
    pub fn warning(&self) -> Option<String> {
        self.warning.map(|warning| warning.to_string())
    }

    /// `now_date`, in seconds since 1970; `None` if the answer has none.
    pub fn now_date(&self) -> Option<i64> {
        self.now_date
    }

    /// Whether a poll at that moment would adopt `now_date` as the next `last_date`.
    pub fn is_followed(&self, at: SystemTime) -> bool {
        let now_date = PollCursor::default().judge(self.now_date, since_1970(at));
        matches!(now_date, NowDate::Good(_))
    }
}
