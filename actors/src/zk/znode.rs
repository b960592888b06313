//! State of a znode: what a read found, and which write made it so.

use std::fmt;

use zookeeper_client::{Error as ClientError, Stat};

use super::WriteError;

/// State of a znode: the transaction that created it, and its version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Revision {
    /// The transaction that created the znode (`czxid`). No two znodes of the same path share it.
    pub created: i64,
    /// Number of writes since.
    pub version: i32,
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version {} of the znode created by 0x{:x}", self.version, self.created)
    }
}

impl Revision {
    /// `None` if the server returned no state, as some do for a znode that was created.
    pub(super) fn of(stat: &Stat) -> Option<Self> {
        (!stat.is_invalid()).then_some(Self { created: stat.czxid, version: stat.version })
    }

    /// State of a znode that this transaction created.
    pub(super) fn created_by(zxid: i64) -> Self {
        Self { created: zxid, version: 0 }
    }

    #[cfg(test)]
    pub(crate) fn test(created: i64, version: i32) -> Self {
        Self { created, version }
    }

    /// Whether this is the next state of the same znode: in between there was no other write, and the znode was not
    /// deleted and created again.
    pub(crate) fn follows(self, before: Self) -> bool {
        self.created == before.created && self.version == before.version.wrapping_add(1)
    }
}

/// Place of a write in ZooKeeper's order of all writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Zxid(i64);

impl Zxid {
    /// ZooKeeper's number, for the data of an intent.
    pub(crate) fn to_i64(self) -> i64 {
        self.0
    }

    pub(crate) fn from_i64(zxid: i64) -> Self {
        Self(zxid)
    }

    #[cfg(test)]
    pub(crate) fn test(zxid: i64) -> Self {
        Self(zxid)
    }
}

/// One write to a znode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Mark {
    pub(crate) revision: Revision,
    pub(crate) zxid: Zxid,
}

impl Mark {
    pub(super) fn of(stat: &Stat) -> Self {
        let revision = Revision { created: stat.czxid, version: stat.version };
        Self { revision, zxid: Zxid(stat.mzxid) }
    }
}

/// A znode's data, and the write that made it so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// As far as the read kept it.
    pub(crate) data: Vec<u8>,
    pub(crate) mark: Mark,
}

/// Result of reading one path: a znode, none, or why it may not be read.
pub(crate) type ZnodeRead = Result<Option<Content>, String>;

/// The part of a znode's data that a read keeps.
pub(super) type Keep = fn(&[u8]) -> Vec<u8>;

/// Sorts the answer to a read. A znode that is missing, or may not be read, is a result, not an error. `largest` grows
/// to the size of its data.
pub(super) fn znode_read(
    answer: Result<(Vec<u8>, Stat), ClientError>,
    keep: Keep,
    largest: &mut usize,
) -> Result<ZnodeRead, WriteError> {
    match answer.map_err(WriteError::from) {
        Ok((data, stat)) => {
            *largest = data.len().max(*largest);
            Ok(Ok(Some(Content { data: keep(&data), mark: Mark::of(&stat) })))
        }
        Err(WriteError::Missing) => Ok(Ok(None)),
        Err(WriteError::Refused(cause)) => Ok(Err(cause)),
        Err(error) => Err(error),
    }
}
