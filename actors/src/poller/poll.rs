//! One poll: the mark, the fetch, and the entries' way into ZooKeeper.

use std::rc::Rc;

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::sync::oneshot;

use super::{
    actor::ToZkWriter,
    answer::{Answer, Remark},
    fetch::{FetchError, Upstream},
    user_coin_map::{Rules, Settled},
};
use crate::{
    domain::Assignment,
    zk_writer::{BeginPoll, PollStart, PollTurn, PollerLock, SyncBatch, SyncReply, SyncReport},
};

/// Entries of one part.
const PART: usize = 500;

/// The same while callers send requests, who wait behind the parts under way.
const PART_BESIDE_CALLERS: usize = 100;

/// Parts under way at a time: one is read while another is written.
const PARTS_UNDER_WAY: usize = 2;

/// What a poll needs.
#[derive(Clone)]
pub(super) struct Poll {
    pub(super) upstream: Rc<Upstream>,
    pub(super) zk_writer: ToZkWriter,
    pub(super) rules: Rules,
    pub(super) rewrite_unchanged: bool,
    pub(super) lock: Option<PollerLock>,
}

/// How a poll ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// There is no session with ZooKeeper, so nothing was asked.
    NoSession,
    /// Another daemon polls, so nothing was asked.
    Standby {
        /// What it says of itself.
        holder: String,
    },
    /// Nothing was asked; the text says why.
    NotBegun(String),
    /// There was no answer.
    NotFetched(FetchError),
    /// There was one.
    Brought(Box<Brought>),
}

/// What became of an answer's entries.
#[derive(Debug)]
pub(super) struct Brought {
    pub(super) map: Settled,
    /// How many of the map's entries were handed over to `ZkWriter`; the others were not tried.
    pub(super) handed_over: usize,
    pub(super) report: SyncReport,
    pub(super) now_date: Option<i64>,
    pub(super) remark: Option<Remark>,
}

impl Poll {
    /// Asks for what has changed from `last_date` on, and brings it in.
    pub(super) async fn run(self, last_date: i64) -> Ended {
        let (reply, turn) = oneshot::channel();
        let begin = BeginPoll { lock: self.lock.clone(), reply };
        // Only an actor that has ended gives none.
        let turn = match self.zk_writer.begin.send(begin).await {
            Ok(()) => turn.await.unwrap_or(PollTurn::NoSession),
            Err(_) => PollTurn::NoSession,
        };
        let start = match turn {
            PollTurn::Poll(start) => start,
            PollTurn::Standby { holder } => return Ended::Standby { holder },
            PollTurn::NoSession => return Ended::NoSession,
            PollTurn::Refused(cause) => return Ended::NotBegun(cause),
        };
        let answer = match self.upstream.fetch(last_date, &self.rules).await {
            Ok(answer) => answer,
            Err(error) => return Ended::NotFetched(error),
        };
        let Answer { map, now_date, remark } = answer;
        let mut report = SyncReport::default();
        let (mut under_way, mut handed_over, mut size) = (FuturesUnordered::new(), 0, PART);
        loop {
            // One that ZooKeeper did not take means that it is away: the others need not be tried.
            while under_way.len() < PARTS_UNDER_WAY
                && handed_over < map.len()
                && report.not_written == 0
            {
                under_way.push(self.sync(map.part(handed_over, size), start));
                handed_over = map.len().min(handed_over + size);
            }
            let Some(part) = under_way.next().await else { break };
            size = if part.beside_callers { PART_BESIDE_CALLERS } else { PART };
            report += part.report;
        }
        drop(under_way);
        report.not_written += map.len() - report.entries();
        Ended::Brought(Box::new(Brought { map, handed_over, report, now_date, remark }))
    }

    async fn sync(&self, assignments: Vec<Assignment>, start: PollStart) -> SyncReply {
        let entries = assignments.len();
        let (reply, report) = oneshot::channel();
        let rewrite_unchanged = self.rewrite_unchanged;
        let batch = SyncBatch { assignments, start, rewrite_unchanged, reply };
        match self.zk_writer.sync.send(batch).await {
            Ok(()) => report.await.ok(),
            Err(_) => None,
        }
        .unwrap_or_else(|| SyncReply::not_written(entries, "ZkWriter has ended"))
    }
}
