//! The state of user lists and registrations, as a part of `/status`.

use std::collections::BTreeMap;

use serde::Serialize;
use switcher_actors::{ListPulls, ListSize, Listings, Metrics, RegistrationsNow, seconds};

use super::{recent::rfc_3339, status::seconds_ago};

/// One list.
#[derive(Serialize)]
pub struct ListStatus {
    coin: String,
    sub_accounts: usize,
    /// 0 in an empty list.
    largest_puid: u32,
    /// Whether clients get the list: its first pull was complete.
    is_served: bool,
    /// `complete`, `incomplete` or `failed`; `null` before the end of the first pull.
    last_outcome: Option<&'static str>,
    /// Why the last pull is not complete.
    last_cause: Option<String>,
    /// Age of the end of the last pull.
    last_seconds_ago: Option<u64>,
    /// Age of the end of the last complete pull.
    last_complete_seconds_ago: Option<u64>,
    /// 0 while a pull is under way; `null` before the end of the first.
    next_in_seconds: Option<u64>,
    /// Entries that can never be listed.
    skipped: usize,
    /// The last of them.
    last_skipped: Option<SkippedEntry>,
}

#[derive(Serialize)]
struct SkippedEntry {
    name: String,
    cause: String,
}

/// Registrations.
#[derive(Serialize)]
pub struct RegistrationStatus {
    under_way: u64,
    /// Those that wait longest, the oldest first.
    waiting: Vec<Waiting>,
    /// The last ended ones, the newest first.
    last: Vec<Ended>,
    /// Ended ones since the start, by outcome.
    ended: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct Waiting {
    sub_account: String,
    /// Since the sight of the request.
    seconds: u64,
}

#[derive(Serialize)]
struct Ended {
    /// RFC 3339, in UTC.
    time: String,
    sub_account: String,
    outcome: &'static str,
    cause: Option<String>,
    /// From the sight of the request to its deletion.
    seconds: f64,
}

/// All lists; `None` without any.
pub fn lists(listings: &Listings, metrics: &Metrics) -> Option<Vec<ListStatus>> {
    let pause = metrics.pull_pause().as_secs();
    let lists = metrics.pulls().into_iter().map(|pulls| {
        let size = listings.size(&pulls.coin);
        list(pulls, size, pause)
    });
    (!listings.is_empty()).then(|| lists.collect())
}

fn list(pulls: ListPulls, size: ListSize, pause: u64) -> ListStatus {
    let ListPulls { coin, last, last_complete, skipped } = pulls;
    let last_seconds_ago = last.as_ref().map(|last| seconds_ago(last.at));
    ListStatus {
        coin: coin.to_string(),
        sub_accounts: size.entries,
        largest_puid: size.largest_puid,
        is_served: size.is_served,
        last_outcome: last.as_ref().map(|last| last.outcome),
        last_cause: last.and_then(|last| last.cause),
        last_seconds_ago,
        last_complete_seconds_ago: last_complete.map(seconds_ago),
        next_in_seconds: last_seconds_ago.map(|ago| pause.saturating_sub(ago)),
        skipped: skipped.count,
        last_skipped: skipped.last.map(|(name, cause)| SkippedEntry { name, cause }),
    }
}

/// The registrations.
pub fn registrations(metrics: &Metrics) -> RegistrationStatus {
    let RegistrationsNow { under_way, waiting, last, counts } = metrics.registrations();
    let waiting = waiting.into_iter();
    let last = last.into_iter().map(|it| Ended {
        time: rfc_3339(it.at),
        sub_account: it.name,
        outcome: it.outcome,
        cause: it.cause,
        seconds: seconds(it.took),
    });
    RegistrationStatus {
        under_way,
        waiting: waiting
            .map(|(sub_account, age)| Waiting { sub_account, seconds: age.as_secs() })
            .collect(),
        last: last.collect(),
        ended: counts.into_iter().map(|it| (it.outcome, it.count)).collect(),
    }
}
