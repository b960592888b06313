//! Entries that are written in one go, and their callers.

use smallvec::SmallVec;

use super::BatchId;
use crate::{
    domain::{Coin, Puname, Source},
    zk_writer::messages::WriteFailure,
};

/// What is to be written in one go.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) entries: Vec<Entry>,
}

/// One znode's new value, and everybody who asked for it or for one that it replaces.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) puname: Puname,
    pub(super) askers: Askers,
}

impl Entry {
    /// The value to write: what was asked for last.
    pub(crate) fn coin(&self) -> &Coin {
        newest(&self.askers)
    }

    /// Each switch that asked for this entry, in the order of asking.
    pub(crate) fn switches(&self) -> impl Iterator<Item = Settled<'_>> {
        let last = self.askers.len() - 1;
        self.askers.iter().enumerate().map(move |(index, asker)| Settled {
            source: asker.source,
            puname: &self.puname,
            coin: &asker.coin,
            superseded_by: (index < last).then(|| self.coin()),
        })
    }
}

/// What became of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// ZooKeeper committed it.
    Applied,
    /// It is known not to have been written; the text says why.
    NotApplied(String),
    /// It may have been written; the text says why nobody knows.
    Unknown(String),
}

impl Outcome {
    pub(super) fn failure(&self) -> Option<WriteFailure> {
        match self {
            Self::Applied => None,
            Self::NotApplied(text) => Some(WriteFailure::Refused(text.clone())),
            Self::Unknown(text) => Some(WriteFailure::Unknown(text.clone())),
        }
    }
}

/// One switch that is settled, for the log.
#[derive(Debug)]
pub(crate) struct Settled<'a> {
    pub(crate) source: Source,
    pub(crate) puname: &'a Puname,
    pub(crate) coin: &'a Coin,
    /// The newer value that was written in its place.
    pub(crate) superseded_by: Option<&'a Coin>,
}

/// One asker nearly always.
pub(super) type Askers = SmallVec<[Asker; 1]>;

#[derive(Debug)]
pub(super) struct Asker {
    pub(super) request: BatchId,
    /// Its place among the request's entries that count.
    pub(super) place: usize,
    pub(super) source: Source,
    pub(super) coin: Coin,
}

pub(super) fn newest(askers: &Askers) -> &Coin {
    // An entry is made with an asker and loses it only by being settled or dropped whole.
    &askers[askers.len() - 1].coin
}
