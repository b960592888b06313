//! How a switch ended: the one source of the words in answers, metrics, the log and recent changes.

use std::sync::Arc;

use super::{Coin, PreviousValue};

/// Outcome of one switch, or, in a dry run, the outcome that it would have.
///
/// Entries that failed together share the text of their cause.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SwitchOutcome {
    /// ZooKeeper committed the switch.
    Applied,
    /// ZooKeeper committed the switch as held: its coin is written at the due time, unless a later switch replaces it.
    Held {
        /// Due time, in milliseconds since 1970.
        due: u64,
    },
    /// ZooKeeper committed a newer coin of another request, which took the place of this one in the same moment.
    ReplacedBy(Coin),
    /// ZooKeeper committed the switch of a poll, but to another znode than the one that was read.
    Overwrote {
        /// The znode's absolute path.
        znode: Arc<str>,
        /// Text for the operator.
        cause: Arc<str>,
    },
    /// Not written: ZooKeeper refused the switch, and is expected to refuse it again. The text is the cause.
    Refused(Arc<str>),
    /// Not written, for a temporary reason. The text is the cause.
    NotApplied(Arc<str>),
    /// It is not known whether the switch was written, or, in a dry run, what its znode holds. The text is the cause.
    Unknown(Arc<str>),
    /// A later entry of the same batch is for the same sub-account and counts instead.
    Superseded,
    /// The znode already holds the coin. A poll does not write it, a batch writes it again so that watches fire.
    Unchanged,
    /// Not written: the znode has changed since the poll began.
    Skipped,
    /// Dry run: the switch would create the znode.
    WouldCreate,
    /// Dry run: the switch would replace another value.
    WouldChange,
    /// Dry run: the switch would be held until about this time, in milliseconds since 1970.
    WouldBeHeld {
        /// Due time, in milliseconds since 1970.
        due: u64,
    },
    /// Dry run without a coin: the znode was read, or found missing.
    Seen,
}

/// A [`SwitchOutcome`] without its details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutcomeKind {
    /// Committed by ZooKeeper.
    Applied,
    /// Known not to have been written.
    NotApplied,
    /// Written or not: it is not known.
    Unknown,
    /// A newer switch of the same sub-account counts instead.
    Superseded,
    /// Committed by ZooKeeper as held until a due time.
    Held,
    /// The znode holds the coin already.
    Unchanged,
    /// A poll found a newer value and left it.
    Skipped,
    /// Dry run: would create the znode.
    WouldCreate,
    /// Dry run: would replace another value.
    WouldChange,
    /// Dry run: would be held.
    WouldBeHeld,
}

impl SwitchOutcome {
    /// The outcome without its details. [`Seen`](Self::Seen), which no batch has, counts as unchanged.
    pub fn kind(&self) -> OutcomeKind {
        match self {
            Self::Applied | Self::ReplacedBy(_) | Self::Overwrote { .. } => OutcomeKind::Applied,
            Self::Refused(_) | Self::NotApplied(_) => OutcomeKind::NotApplied,
            Self::Unknown(_) => OutcomeKind::Unknown,
            Self::Held { .. } => OutcomeKind::Held,
            Self::Superseded => OutcomeKind::Superseded,
            Self::Unchanged | Self::Seen => OutcomeKind::Unchanged,
            Self::Skipped => OutcomeKind::Skipped,
            Self::WouldCreate => OutcomeKind::WouldCreate,
            Self::WouldChange => OutcomeKind::WouldChange,
            Self::WouldBeHeld { .. } => OutcomeKind::WouldBeHeld,
        }
    }

    /// Due time of a held switch, in milliseconds since 1970.
    pub fn due(&self) -> Option<u64> {
        match self {
            Self::Held { due } | Self::WouldBeHeld { due } => Some(*due),
            _ => None,
        }
    }

    /// Why the switch was not written, or why its outcome needs attention.
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::Overwrote { cause, .. }
            | Self::Refused(cause)
            | Self::NotApplied(cause)
            | Self::Unknown(cause) => Some(cause),
            Self::Skipped => Some("switched since the poll began"),
            _ => None,
        }
    }
}

impl OutcomeKind {
    /// The word in JSON answers and in the label `result` of metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::NotApplied => "not_applied",
            Self::Unknown => "unknown",
            Self::Superseded => "superseded",
            Self::Held => "held",
            Self::Unchanged => "unchanged",
            Self::Skipped => "skipped",
            Self::WouldCreate => "would_create",
            Self::WouldChange => "would_change",
            Self::WouldBeHeld => "would_be_held",
        }
    }

    /// The words in the log and among recent changes.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::NotApplied => "not applied",
            Self::Unknown => "outcome unknown",
            kind => kind.label(),
        }
    }
}

/// Outcome of one switch, with the value that its znode held before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SwitchResult {
    /// The value before the switch, as far as it is proven and shown.
    pub old: PreviousValue,
    /// How the switch ended.
    pub outcome: SwitchOutcome,
}

impl SwitchResult {
    /// Result of an entry that a later one of its batch supersedes.
    pub const SUPERSEDED: Self =
        Self { old: PreviousValue::NotKnown, outcome: SwitchOutcome::Superseded };

    /// An outcome whose previous value is not proven.
    pub(crate) fn without_old(outcome: SwitchOutcome) -> Self {
        Self { old: PreviousValue::NotKnown, outcome }
    }

    /// The result of a switch in whose place `newer`, where there is one, was written. Where `newer` is held, so is this
    /// one: until the due time, neither is written.
    pub(crate) fn replaced_by(&self, newer: Option<&Coin>) -> Self {
        let outcome = match (&self.outcome, newer) {
            (SwitchOutcome::Applied, Some(newer)) => SwitchOutcome::ReplacedBy(newer.clone()),
            (outcome, _) => outcome.clone(),
        };
        Self { old: self.old.clone(), outcome }
    }
}
