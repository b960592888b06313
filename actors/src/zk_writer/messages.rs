//! What `ZkWriter` understands.

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
        Assignment, Coin, CoinbaseUpdate, Puname, Source, SubPool, SwitchOutcome, Switches,
        ZnodeDir,
    },
    zk::{SessionNumber, Zxid},
};

/// Write these switches, in this order. A single switch is a batch of one.
///
/// Sent by the HTTP actor. The answer comes through `reply`, not through the mailbox, so that a waiting
/// caller occupies neither; exactly one answer is sent, unless the process ends. A caller that drops
/// its receiver does not call its switches back.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct WriteBatch {
    /// Who asks.
    pub source: Source,
    /// What to write. All entries have a coin.
    pub switches: Arc<Switches>,
    /// Whether the answer shall tell of each entry.
    pub wants_results: bool,
    /// Where the answer goes.
    pub reply: oneshot::Sender<WriteReply>,
}

/// Look what the sub-accounts' znodes hold, and say what switches would change: a dry run.
///
/// Sent by the HTTP actors. Nothing is written. Exactly one answer is sent, unless the process ends; a caller
/// that drops its receiver calls back what was not read yet.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct DryRunBatch {
    /// What would be written; an entry without a coin asks only what is there.
    pub switches: Arc<Switches>,
    /// Where the answer goes, with the result of each entry.
    pub reply: oneshot::Sender<WriteReply>,
}

/// The answer to a [`WriteBatch`] or a [`DryRunBatch`].
#[derive(Debug, PartialEq, Eq)]
pub struct WriteReply {
    /// `Ok` only once ZooKeeper has committed every entry; of a dry run, only if every znode was read.
    pub outcome: Result<(), WriteFailure>,
    /// How each entry ended, if that was asked for. `None` also if the batch was refused as a whole.
    pub results: Option<Results>,
}

impl WriteReply {
    /// The answer to a batch that was refused as a whole.
    pub fn refused(failure: WriteFailure) -> Self {
        Self { outcome: Err(failure), results: None }
    }
}

/// Why a [`WriteBatch`] was not, or perhaps not, written, or a [`DryRunBatch`] not answered. The worst of its
/// entries counts.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum WriteFailure {
    /// Nothing was written: too much is waiting already.
    #[error("{waiting} switches are waiting already, and {limit} is the limit (ZKQueueLimit)")]
    QueueFull {
        /// Switches that wait.
        waiting: usize,
        /// How many may.
        limit: usize,
    },
    /// Nothing was written: `ZkWriter`'s mailbox is full, so thousands of requests wait already.
    #[error("too many requests wait already")]
    Overloaded,
    /// Nothing was written: the daemon is ending.
    #[error("the daemon is shutting down")]
    ShuttingDown,
    /// Nothing was written: nothing of it was even sent in the time allowed, for want of a session or
    /// behind writes that ZooKeeper did not answer.
    #[error("not sent to ZooKeeper within the time allowed")]
    NotSent,
    /// Of a [`DryRunBatch`]: one znode or more could not be read; the text tells of the last.
    #[error("not read: {0}")]
    NotRead(String),
    /// Part of the batch was not written in the time allowed; what was under way has been settled.
    #[error("ZooKeeper did not take all of it within the time allowed")]
    Incomplete,
    /// ZooKeeper refused one entry or more; the text tells of the last.
    #[error("{0}")]
    Refused(String),
    /// Nobody can say whether all of it was written. Ask ZooKeeper, or send it again.
    #[error("outcome unknown: {0}")]
    Unknown(String),
}

impl WriteFailure {
    /// The failure of a request because of one entry, if that failed.
    pub(super) fn of(outcome: &SwitchOutcome) -> Option<Self> {
        match outcome {
            SwitchOutcome::Applied
            | SwitchOutcome::ReplacedBy(_)
            | SwitchOutcome::Overwrote { .. } => None,
            SwitchOutcome::Refused(cause) | SwitchOutcome::NotApplied(cause) => {
                Some(Self::Refused(cause.to_string()))
            }
            SwitchOutcome::Unknown(cause) => Some(Self::Unknown(cause.to_string())),
            // No entry that was to be written ends so; if one did, nothing would prove that it was written.
            SwitchOutcome::Superseded
            | SwitchOutcome::Unchanged
            | SwitchOutcome::Skipped
            | SwitchOutcome::WouldCreate
            | SwitchOutcome::WouldChange
            | SwitchOutcome::Seen => Some(Self::Unknown(outcome.kind().label().to_owned())),
        }
    }

    /// Of two failures within one batch, the one to answer: an unknown outcome covers a known one.
    pub(super) fn worse(self, other: Self) -> Self {
        if matches!(other, Self::Unknown(_)) || !matches!(self, Self::Unknown(_)) {
            other
        } else {
            self
        }
    }
}

/// What is asked of a sub-pool's jobmaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoinbaseAction {
    /// What it holds.
    Get,
    /// To hold these values.
    Update(CoinbaseUpdate),
}

/// Ask a sub-pool's jobmaker, when its turn comes.
///
/// Sent by the HTTP actor. Exactly one answer goes to the caller, unless the process ends. One that has
/// gone before its exchange begins calls it back by that; afterwards the exchange goes on without it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct CoinbaseRequest {
    /// Whose jobmaker.
    pub sub_pool: SubPool,
    /// What is asked.
    pub ask: CoinbaseAction,
    /// Who asks.
    pub caller: Caller,
}

/// The znode by which daemons choose the one that polls.
#[derive(Clone, Debug)]
pub struct PollerLock {
    /// Where it is (`ZKPollerLockPath`).
    pub path: ZnodeDir,
    /// What it holds while it is ours, for the operator to read.
    pub holder: String,
}

/// May this daemon poll, and from which moment on is everybody else fresher?
///
/// Sent by the Poller before each fetch; answered when ZooKeeper has answered, or at once without a
/// session.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct BeginPoll {
    /// `None` if whoever wants to polls.
    pub(crate) lock: Option<PollerLock>,
    /// Where the answer goes. [`PollTurn::NoSession`] if the connection is lost meanwhile.
    pub(crate) reply: oneshot::Sender<PollTurn>,
}

/// The answer to [`BeginPoll`].
#[derive(Debug)]
pub(crate) enum PollTurn {
    /// Fetch now.
    Poll(PollStart),
    /// Another daemon polls.
    Standby {
        /// What it says of itself.
        holder: String,
    },
    /// There is no session now.
    NoSession,
    /// ZooKeeper did not let us; the text says what.
    Refused(String),
}

/// Where a poll begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PollStart {
    /// What is written after this moment is fresher than what comes of the poll.
    pub(crate) mark: Zxid,
    /// The session that the poll has to end in: the lock goes with it, and then another daemon may have
    /// polled since, and found unchanged what an older map would change.
    pub(crate) session: SessionNumber,
}

/// Bring this part of a user-coin map into ZooKeeper, where nobody has switched since its poll began.
///
/// Sent by the Poller, a few at a time. Exactly one answer is sent, unless the process ends.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct SyncBatch {
    /// No sub-account may be in it twice.
    pub(crate) assignments: Vec<Assignment>,
    /// From [`PollTurn::Poll`].
    pub(crate) start: PollStart,
    /// Whether to write what is there already.
    pub(crate) rewrite_unchanged: bool,
    /// Where the answer goes.
    pub(crate) reply: oneshot::Sender<SyncReply>,
}

/// The answer to a [`SyncBatch`].
#[derive(Clone, Debug)]
pub(crate) struct SyncReply {
    /// How its entries ended.
    pub(crate) report: SyncReport,
    /// Whether callers have sent requests just now, too: more of them would wait behind a large part.
    pub(crate) beside_callers: bool,
}

impl SyncReply {
    /// A reply for entries of which none was written.
    pub(crate) fn not_written(entries: usize, cause: &str) -> Self {
        let cause = Some(cause.to_owned());
        let report = SyncReport { not_written: entries, cause, ..SyncReport::default() };
        Self { report, beside_callers: false }
    }
}

/// How many of a map's entries ended how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SyncReport {
    /// Committed by ZooKeeper.
    pub(crate) written: usize,
    /// Those of the written that replaced a znode which was created after ours was read.
    pub(crate) overwrote: usize,
    /// There already.
    pub(crate) unchanged: usize,
    /// Not written, since their znodes were changed after the mark.
    pub(crate) switched_meanwhile: usize,
    /// Not written, since ZooKeeper refused them.
    pub(crate) refused: usize,
    /// Not written, or perhaps not: there was no session, or it broke.
    pub(crate) not_written: usize,
    /// The first entries that were skipped or refused.
    pub(crate) skipped: Vec<SkippedEntry>,
    /// Why the first of those that were not written were not.
    pub(crate) cause: Option<String>,
}

/// An entry of the map that was not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SkippedEntry {
    /// Whose.
    pub(crate) puname: Puname,
    /// What its znode holds, fit for the log; `?` if it was written after we had read it.
    pub(crate) old: String,
    /// What the map says.
    pub(crate) coin: Coin,
    /// [`SwitchOutcome::Skipped`] or [`SwitchOutcome::Refused`].
    pub(crate) outcome: SwitchOutcome,
}

impl SyncReport {
    /// So many [`SkippedEntry`] are told of at most.
    pub(crate) const SKIPPED_NAMED: usize = 20;

    /// How many entries it tells of.
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

/// These limits hold for requests from now on. What was accepted keeps its deadline and its place, be the queue
/// shorter now.
///
/// Sent by the application when its configuration is read again; answered when they hold.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct NewLimits {
    /// Of switches.
    pub(crate) limits: WriterLimits,
    /// Of requests to jobmakers (`ZKSubPoolUpdateAckTimeout`); `None` if their API is off.
    pub(crate) ack_timeout: Option<Duration>,
}

/// Say that messages are handled. The answer is all of it.
///
/// Sent by the application on behalf of a supervisor who wants to know whether the daemon hangs.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Ping;

/// Take no more requests, finish what is accepted, close the session; answered when that is done.
///
/// Sent once, by the application's shutdown, after the HTTP actor has stopped.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Drain {
    /// Give up then what is not finished, so that it is answered and logged before the process ends.
    pub(crate) give_up: Instant,
    /// Until then try to end the session, so that nothing of it can be applied later.
    pub(crate) until: Instant,
}
