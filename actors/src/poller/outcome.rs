//! Outcome of a poll.

use super::{answer::ShapeWarning, cursor::Settlement, user_coin_map::SettledMap};
use crate::{domain::Source, upstream::FetchError, zk_writer::SyncReport};

#[derive(Debug)]
pub(super) enum PollOutcome {
    /// There is no session with ZooKeeper. Nothing was fetched.
    NoSession,
    /// Another daemon polls; `holder` is its text in the lock. Nothing was fetched.
    Standby {
        holder: String,
    },
    /// ZooKeeper refused the mark or the lock, for this cause. Nothing was fetched.
    NotBegun(String),
    NotFetched(FetchError),
    Synced(Box<SyncedMap>),
}

/// Map that was fetched, and the result of writing it.
#[derive(Debug)]
pub(super) struct SyncedMap {
    /// The poll.
    pub(super) source: Source,
    pub(super) map: SettledMap,
    /// Number of the map's entries that were handed over to `ZkWriter`; the others were not tried.
    pub(super) handed_over: usize,
    pub(super) report: SyncReport,
    pub(super) now_date: Option<i64>,
    pub(super) warning: Option<ShapeWarning>,
}

impl SyncedMap {
    /// The part of the map that needs no further poll.
    pub(super) fn settlement(&self) -> Settlement {
        let report = &self.report;
        if report.not_written > 0 || report.refused > 0 || report.overwrote > 0 {
            Settlement::NotAll
        } else if report.switched_meanwhile > 0 {
            Settlement::AllButFresher
        } else {
            Settlement::All
        }
    }

    /// Cause why the poll is incomplete, if it is.
    pub(super) fn cause(&self) -> Option<&str> {
        let report = &self.report;
        match &report.cause {
            Some(cause) => Some(cause),
            None if report.overwrote > 0 => {
                Some("znodes that were created again were overwritten, see above")
            }
            None if report.refused > 0 => Some("ZooKeeper refused entries, see above"),
            None => None,
        }
    }
}
