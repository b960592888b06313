//! Entries that are written in one go, and their callers.

use smallvec::SmallVec;

use super::BatchId;
use crate::domain::{Assignment, Coin, Puname, Source};

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
    pub(crate) fn switches(&self) -> impl Iterator<Item = SettledSwitch<'_>> + Clone {
        let last = self.askers.len() - 1;
        self.askers.iter().enumerate().map(move |(index, asker)| SettledSwitch {
            source: asker.source,
            puname: &self.puname,
            coin: &asker.coin,
            superseded_by: (index < last).then(|| self.coin()),
        })
    }
}

/// One switch that is settled, for the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SettledSwitch<'a> {
    pub(crate) source: Source,
    pub(crate) puname: &'a Puname,
    pub(crate) coin: &'a Coin,
    /// The newer value that was written in its place.
    pub(crate) superseded_by: Option<&'a Coin>,
}

impl<'a> SettledSwitch<'a> {
    /// An entry of a poll's map.
    pub(crate) fn of_poll(Assignment { puname, coin }: &'a Assignment) -> Self {
        Self { source: Source::Poll, puname, coin, superseded_by: None }
    }
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
