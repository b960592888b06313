//! One poll: the mark, the fetch, and writing the entries.

use std::rc::Rc;

use actix::Recipient;
use futures_util::{StreamExt, stream::FuturesUnordered};
use slog::Logger;
use tokio::sync::oneshot;

use super::{
    PollerSettings,
    answer::{FetchedMap, MapFormat},
    outcome::{PollOutcome, SyncedMap},
};
use crate::{
    domain::{Assignment, RequestIds, Source},
    upstream::Upstream,
    zk_writer::{BeginPoll, PollStart, PollTurn, SyncBatch, SyncReply, SyncReport},
};

/// Parts in progress: while ZooKeeper writes one, others are read, compared and logged.
#[derive(Clone, Copy)]
struct Pace {
    parts: usize,
    /// Entries of one part.
    entries: usize,
}

/// Parameter of the moment from which on an answer has changes.
pub(super) const LAST_DATE: &str = "last_date";

const ALONE: Pace = Pace { parts: 4, entries: 500 };

/// Pace while callers send requests, which wait behind the parts in progress.
const BESIDE_CALLERS: Pace = Pace { parts: 2, entries: 100 };

/// Typed senders to `ZkWriter`.
#[derive(Clone)]
pub(crate) struct ToZkWriter {
    /// Decides whether and from which moment on to poll.
    pub(crate) begin: Recipient<BeginPoll>,
    /// Writes the entries of a map.
    pub(crate) sync: Recipient<SyncBatch>,
}

/// Everything that a poll needs.
#[derive(Clone)]
pub(super) struct Poll {
    settings: Rc<PollerSettings>,
    upstream: Rc<Upstream>,
    pub(super) zk_writer: ToZkWriter,
    ids: Rc<RequestIds>,
}

impl Poll {
    pub(super) fn new(settings: PollerSettings, zk_writer: ToZkWriter, log: &Logger) -> Self {
        let upstream = Rc::new(Upstream::new(settings.fetch(), log));
        let ids = Rc::new(RequestIds::random());
        Self { settings: Rc::new(settings), upstream, zk_writer, ids }
    }

    pub(super) fn settings(&self) -> &PollerSettings {
        &self.settings
    }

    /// Fetches the changes since `last_date`, and writes them.
    pub(super) async fn run(self, last_date: i64) -> PollOutcome {
        let (reply, turn) = oneshot::channel();
        let begin = BeginPoll { lock: self.settings().lock.clone(), reply };
        // Only an actor that has ended does not reply.
        let turn = match self.zk_writer.begin.send(begin).await {
            Ok(()) => turn.await.unwrap_or(PollTurn::NoSession),
            Err(_) => PollTurn::NoSession,
        };
        let start = match turn {
            PollTurn::Poll(start) => start,
            PollTurn::Standby { holder } => return PollOutcome::Standby { holder },
            PollTurn::NoSession => return PollOutcome::NoSession,
            PollTurn::Refused(cause) => return PollOutcome::NotBegun(cause),
        };
        let format = MapFormat(self.settings().rules.clone());
        match self.upstream.fetch(LAST_DATE, last_date, format).await {
            Ok(fetched) => PollOutcome::Synced(Box::new(self.sync(fetched, start).await)),
            Err(error) => PollOutcome::NotFetched(error),
        }
    }

    async fn sync(&self, fetched: FetchedMap, start: PollStart) -> SyncedMap {
        let FetchedMap { map, now_date, warning } = fetched;
        let source = Source::poll(self.ids.next_id());
        let mut report = SyncReport::default();
        let (mut in_progress, mut handed_over, mut pace) = (FuturesUnordered::new(), 0, ALONE);
        loop {
            // An entry without a result means that ZooKeeper is away: the rest need not be tried.
            while in_progress.len() < pace.parts
                && handed_over < map.len()
                && report.not_written == 0
            {
                let part = map.part(handed_over, pace.entries);
                in_progress.push(self.sync_part(source.clone(), part, start));
                handed_over = map.len().min(handed_over + pace.entries);
            }
            let Some(part) = in_progress.next().await else { break };
            pace = if part.beside_callers { BESIDE_CALLERS } else { ALONE };
            report += part.report;
        }
        drop(in_progress);
        report.not_written += map.len() - report.entries();
        SyncedMap { source, map, handed_over, report, now_date, warning }
    }

    async fn sync_part(
        &self,
        source: Source,
        assignments: Vec<Assignment>,
        start: PollStart,
    ) -> SyncReply {
        let entries = assignments.len();
        let (reply, report) = oneshot::channel();
        let rewrite_unchanged = self.settings().rewrite_unchanged;
        let batch = SyncBatch { source, assignments, start, rewrite_unchanged, reply };
        let report = match self.zk_writer.sync.send(batch).await {
            Ok(()) => report.await.ok(),
            Err(_) => None,
        };
        report.unwrap_or_else(|| SyncReply::not_written(entries, "ZkWriter has ended"))
    }
}
