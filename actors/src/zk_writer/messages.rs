//! Messages to `ZkWriter`, and their answers.

use std::{
    ops::AddAssign,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::Message;
use thiserror::Error;
use tokio::sync::oneshot;

use super::{results::Results, settings::WriterLimits};
use crate::{
    ack_waiter::Caller,
    domain::{
        Assignment, Coin, CoinbaseUpdate, OutcomeKind, Puname, Source, SubPool, SwitchOutcome,
        Switches, ZnodeDir,
    },
    history::NotRecorded,
    zk::{SessionNumber, Zxid},
};

/// Writes these batches, in this order.
///
/// Sent by the HTTP actors: one message for all requests that a worker reads in one turn of its event loop, since each
/// message may wake `ZkWriter`'s thread.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct WriteBatches(pub Vec<WriteBatch>);

/// Writes these switches, in this order. A single switch is a batch of one.
///
/// The answer comes through `reply`, not through the mailbox, so that a waiting caller occupies neither. Exactly one
/// answer is sent, unless the process ends. Dropping the receiver does not cancel the switches.
#[derive(Debug)]
pub struct WriteBatch {
    /// Origin of the request.
    pub source: Source,
    /// The switches. All entries have a coin.
    pub switches: Arc<Switches>,
    /// Whether the answer has a result for each entry.
    pub wants_results: bool,
    /// Channel for the answer.
    pub reply: oneshot::Sender<WriteReply>,
}

/// Reads the sub-accounts' znodes and compares them with switches: a dry run, which writes nothing.
///
/// Sent by the HTTP actors. Exactly one answer is sent, unless the process ends. Dropping the receiver cancels what was
/// not read yet.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct DryRunBatch {
    /// The switches to compare. An entry without a coin asks for the znode's value alone.
    pub switches: Arc<Switches>,
    /// Channel for the answer, with the result of each entry.
    pub reply: oneshot::Sender<WriteReply>,
}

/// The answer to a [`WriteBatch`] or a [`DryRunBatch`].
#[derive(Debug, PartialEq, Eq)]
pub struct WriteReply {
    /// `Ok` only after ZooKeeper has committed every entry; for a dry run, only if every znode was read.
    pub outcome: Result<(), WriteFailure>,
    /// Result of each entry, if requested. `None` also if the batch was refused as a whole.
    pub results: Option<Results>,
}

impl WriteReply {
    /// The answer to a batch that was refused as a whole.
    pub fn refused(failure: WriteFailure) -> Self {
        Self { outcome: Err(failure), results: None }
    }
}

/// Failure of a [`WriteBatch`] or a [`DryRunBatch`]. The worst of its entries counts.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum WriteFailure {
    /// Nothing was written: too many switches wait already.
    #[error("{waiting} switches are waiting already, and {limit} is the limit (ZKQueueLimit)")]
    QueueFull {
        /// Switches that wait.
        waiting: usize,
        /// Maximum of switches that wait.
        limit: usize,
    },
    /// Nothing was written: `ZkWriter`'s mailbox is full, so thousands of requests wait already.
    #[error("too many requests wait already")]
    Overloaded,
    /// Nothing was written: the daemon is shutting down.
    #[error("the daemon is shutting down")]
    ShuttingDown,
    /// Nothing was written: the history could not record the switches (`HistorySync`).
    #[error("the switches cannot be recorded: {0}")]
    NotAdmitted(NotRecorded),
    /// Written, but the record is not on the disk (`HistorySync`).
    #[error("written to ZooKeeper, but not recorded: {0}")]
    NotRecorded(NotRecorded),
    /// Nothing was written: no entry was sent within the time allowed, without a session or behind writes that
    /// ZooKeeper did not answer.
    #[error("not sent to ZooKeeper within the time allowed")]
    NotSent,
    /// Of a [`DryRunBatch`]: at least one znode could not be read. The text is the cause of the last.
    #[error("not read: {0}")]
    NotRead(String),
    /// Part of the batch was not written within the time allowed; entries under way are settled.
    #[error("ZooKeeper did not take all of it within the time allowed")]
    Incomplete,
    /// At least one entry was not written. The text is the cause of the last.
    #[error("{0}")]
    Refused(String),
    /// It is not known whether all entries were written. Ask ZooKeeper, or send the batch again.
    #[error("outcome unknown: {0}")]
    Unknown(String),
}

impl WriteFailure {
    /// Failure of a batch because of one entry, if that failed.
    pub(super) fn of(outcome: &SwitchOutcome) -> Option<Self> {
        let cause = || outcome.cause().unwrap_or(outcome.kind().label()).to_owned();
        match outcome.kind() {
            OutcomeKind::Applied | OutcomeKind::Held => None,
            OutcomeKind::NotApplied => Some(Self::Refused(cause())),
            // Unknown. A write has no other outcomes, and none of them would prove that it happened.
            _ => Some(Self::Unknown(cause())),
        }
    }

    /// The one to answer of two failures within a batch: an unknown outcome hides a known one.
    pub(super) fn worse(self, other: Self) -> Self {
        if matches!(other, Self::Unknown(_)) || !matches!(self, Self::Unknown(_)) {
            other
        } else {
            self
        }
    }
}

/// Action of a sub-pool's jobmaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoinbaseAction {
    /// Report the current values.
    Get,
    /// Take these values.
    Update(CoinbaseUpdate),
}

/// Asks a sub-pool's jobmaker, when the request's turn comes.
///
/// Sent by `Jobmakers`. Exactly one answer goes to the caller, unless the process ends. A caller that disconnects before
/// its exchange begins cancels the request; later the exchange continues without it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct CoinbaseRequest {
    pub(crate) sub_pool: SubPool,
    pub(crate) action: CoinbaseAction,
    /// Origin of the request, and the channel for the answer.
    pub(crate) caller: Caller,
}

/// Ephemeral znode by which daemons elect the one that polls, or the one that registers.
#[derive(Clone, Debug)]
pub struct ElectionLock {
    /// Its path.
    pub path: ZnodeDir,
    /// Its data while it is ours, for the operator to read.
    pub holder: String,
}

/// Claims the turn to poll, and marks the moment after which other switches are newer.
///
/// Sent by the Poller before each fetch. Answered when ZooKeeper has answered, or at once without a session.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct BeginPoll {
    /// `None` if daemons poll without an election.
    pub(crate) lock: Option<ElectionLock>,
    pub(crate) reply: oneshot::Sender<PollTurn>,
}

/// The answer to [`BeginPoll`].
#[derive(Debug)]
pub(crate) enum PollTurn {
    Poll(PollStart),
    Standby {
        /// The data of its lock.
        holder: String,
    },
    NoSession,
    /// ZooKeeper refused. The text has the attempt and the cause.
    Refused(String),
}

/// Beginning of a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PollStart {
    /// Switches written after this moment are newer than the poll's map.
    pub(crate) mark: Zxid,
    /// The session in which the poll has to end. The lock ends with the session; then another daemon may have polled,
    /// and found entries unchanged that an older map would change.
    pub(crate) session: SessionNumber,
}

/// Writes this part of a user-coin map, except for sub-accounts that were switched since its poll began.
///
/// Sent by the Poller, a few at a time. Exactly one answer is sent, unless the process ends.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct SyncBatch {
    /// The poll.
    pub(crate) source: Source,
    /// Each sub-account at most once.
    pub(crate) assignments: Vec<Assignment>,
    /// From [`PollTurn::Poll`].
    pub(crate) start: PollStart,
    /// Whether to write znodes that hold the coin already.
    pub(crate) rewrite_unchanged: bool,
    /// Channel for the answer.
    pub(crate) reply: oneshot::Sender<SyncReply>,
}

/// The answer to a [`SyncBatch`].
#[derive(Clone, Debug)]
pub(crate) struct SyncReply {
    pub(crate) report: SyncReport,
    /// Whether callers have just sent requests, too: further ones would wait behind a large part.
    pub(crate) beside_callers: bool,
}

impl SyncReply {
    /// The answer for entries of which none was written.
    pub(crate) fn not_written(entries: usize, cause: &str) -> Self {
        let cause = Some(cause.to_owned());
        let report = SyncReport { not_written: entries, cause, ..SyncReport::default() };
        Self { report, beside_callers: false }
    }
}

/// Outcomes of a map's entries, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SyncReport {
    pub(crate) written: usize,
    /// Written entries that replaced a znode which was created after the read.
    pub(crate) overwrote: usize,
    pub(crate) unchanged: usize,
    /// Not written, since their znodes have changed after the mark.
    pub(crate) switched_meanwhile: usize,
    pub(crate) refused: usize,
    /// Not written, or unknown: there was no session, or its connection was lost.
    pub(crate) not_written: usize,
    pub(crate) skipped: Vec<SkippedEntry>,
    /// Cause of the first entry that is not known to be written.
    pub(crate) cause: Option<String>,
}

/// An entry of the map that was not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SkippedEntry {
    pub(crate) puname: Puname,
    /// The znode's value, fit for the log; `?` if it was written after the read.
    pub(crate) old: String,
    pub(crate) coin: Coin,
    /// [`SwitchOutcome::Skipped`] or [`SwitchOutcome::Refused`].
    pub(crate) outcome: SwitchOutcome,
}

impl SyncReport {
    /// Maximum of [`SkippedEntry`]s in a report.
    pub(crate) const SKIPPED_NAMED: usize = 20;

    pub(crate) fn entries(&self) -> usize {
        self.written + self.unchanged + self.switched_meanwhile + self.refused + self.not_written
    }
}

impl AddAssign for SyncReport {
    fn add_assign(&mut self, other: Self) {
        self.written += other.written;
        self.overwrote += other.overwrote;
        self.unchanged += other.unchanged;
        self.switched_meanwhile += other.switched_meanwhile;
        self.refused += other.refused;
        self.not_written += other.not_written;
        let room = Self::SKIPPED_NAMED.saturating_sub(self.skipped.len());
        self.skipped.extend(other.skipped.into_iter().take(room));
        self.cause = self.cause.take().or(other.cause);
    }
}

/// Applies limits to requests from now on. Accepted requests keep their deadlines and places, even in a shorter queue.
///
/// Sent by the application after a reload; answered when the limits apply.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct NewLimits {
    pub(crate) limits: WriterLimits,
    /// Time for a jobmaker's ack (`ZKSubPoolUpdateAckTimeout`); `None` if the sub-pool API is off.
    pub(crate) ack_timeout: Option<Duration>,
}

/// Proves by its answer that messages are handled.
///
/// Sent by the application for a supervisor's watchdog.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Ping;

/// Refuses new requests, finishes accepted ones and closes the session; answered after that.
///
/// Sent once, by the application's shutdown, after the HTTP actor has stopped.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Drain {
    /// Time to give up unfinished requests, so that they are answered and logged before the process ends.
    pub(crate) give_up: Instant,
    /// Time until which to try to end the session, so that none of its requests can be applied later.
    pub(crate) until: Instant,
}
