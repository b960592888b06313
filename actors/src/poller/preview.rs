//! The user-coin map as a poll would get it, for who only wants to look at it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use slog::{Discard, Logger, o};

use super::{
    PollerSettings,
    answer::{Answer, Remark},
    cursor::{Cursor, NowDate},
    fetch::{FetchError, Upstream},
    user_coin_map::{Rules, Settled},
};
use crate::domain::Assignment;

/// The whole map, as the upstream answers to `last_date=0`.
#[derive(Debug)]
pub struct MapPreview {
    map: Settled,
    now_date: Option<i64>,
    remark: Option<Remark>,
}

/// Asks the upstream for its whole map, by the rules of a poll; nothing is written anywhere.
pub async fn preview_map(settings: &PollerSettings) -> Result<MapPreview, FetchError> {
    let PollerSettings { url, fetch_timeout, body_limit, coins, lower_case, .. } = settings.clone();
    let log = Logger::root(Discard, o!());
    let upstream = Upstream::new(url, fetch_timeout, body_limit, &log);
    let Answer { map, now_date, remark } = upstream.fetch(0, &Rules { coins, lower_case }).await?;
    Ok(MapPreview { map, now_date, remark })
}

impl MapPreview {
    /// How many sub-accounts it has that a poll would write.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// At most `size` of them from the one at `from` on.
    pub fn part(&self, from: usize, size: usize) -> Vec<Assignment> {
        self.map.part(from, size)
    }

    /// How many entries a poll would skip, since they can never be written.
    pub fn invalid(&self) -> usize {
        self.map.bad().count
    }

    /// The first of those, each with its fault; both are fit for a terminal.
    pub fn first_invalid(&self) -> &[(String, String)] {
        &self.map.bad().told
    }

    /// What the operator should mend about the answer's shape, though it works.
    pub fn remark(&self) -> Option<String> {
        self.remark.map(|remark| remark.to_string())
    }

    /// `now_date`, in seconds since 1970; `None` if the answer has none.
    pub fn now_date(&self) -> Option<i64> {
        self.now_date
    }

    /// Whether a poll at that moment would ask from `now_date` on the next time.
    pub fn is_followed(&self, at: SystemTime) -> bool {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let clock = i64::try_from(since).unwrap_or(i64::MAX);
        matches!(Cursor::default().judge(self.now_date, clock), NowDate::Good(_))
    }
}
