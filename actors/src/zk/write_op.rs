//! Writes and their conditions. All writes of a transaction have the same kind of condition.

use std::fmt;

use super::Revision;

/// Condition under which a znode is replaced.
pub(crate) trait Condition: Copy + fmt::Debug {
    /// The version that the znode must have; `None` for any. ZooKeeper compares nothing else: a znode that was deleted
    /// and created again may pass for an older one of the same version.
    fn version(self) -> Option<i32>;
}

/// No condition: the write replaces any state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnyState;

impl Condition for AnyState {
    fn version(self) -> Option<i32> {
        None
    }
}

/// The znode must be in this state.
impl Condition for Revision {
    fn version(self) -> Option<i32> {
        Some(self.version)
    }
}

/// One write to one znode, given by its absolute path.
#[derive(Clone, Copy, Debug)]
pub(crate) enum WriteOp<'a, C> {
    Set {
        path: &'a str,
        data: &'a [u8],
        condition: C,
    },
    /// Creates a persistent znode.
    Create {
        path: &'a str,
        data: &'a [u8],
    },
    /// Only in a transaction: the znode must be in this state.
    Check {
        path: &'a str,
        condition: C,
    },
    /// Only in a transaction.
    Delete {
        path: &'a str,
        condition: C,
    },
}

impl<C> fmt::Display for WriteOp<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set { path, .. } => write!(f, "a write of {path:?}"),
            Self::Create { path, .. } => write!(f, "the creation of {path:?}"),
            Self::Check { path, .. } => write!(f, "a check of {path:?}"),
            Self::Delete { path, .. } => write!(f, "the deletion of {path:?}"),
        }
    }
}
