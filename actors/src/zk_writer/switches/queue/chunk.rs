//! Entries that are written together, and their requesters.

use smallvec::SmallVec;

use super::BatchId;
use crate::{
    domain::{Assignment, Coin, Puname, Source},
    zk_writer::put_back::PutBackEntry,
};

/// Entries to write together, in one transaction if possible.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) entries: Vec<ChunkEntry>,
}

/// One znode's new value, with the requesters of this value and of those that it replaces.
#[derive(Debug)]
pub(crate) struct ChunkEntry {
    pub(crate) puname: Puname,
    pub(super) askers: Askers,
}

impl ChunkEntry {
    /// The value to write: the newest.
    pub(crate) fn coin(&self) -> &Coin {
        newest(&self.askers)
    }

    /// Each switch behind this entry, the oldest first.
    pub(crate) fn switches(&self) -> impl Iterator<Item = SettledSwitch<'_>> + Clone {
        let last = self.askers.len() - 1;
        self.askers.iter().enumerate().map(move |(index, asker)| SettledSwitch {
            source: &asker.source,
            puname: &self.puname,
            coin: Some(&asker.coin),
            superseded_by: (index < last).then(|| self.coin()),
        })
    }
}

/// One settled switch, for the journal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SettledSwitch<'a> {
    pub(crate) source: &'a Source,
    pub(crate) puname: &'a Puname,
    /// `None` if an undo deletes the znode.
    pub(crate) coin: Option<&'a Coin>,
    /// The newer value that was written in its place.
    pub(crate) superseded_by: Option<&'a Coin>,
}

impl<'a> SettledSwitch<'a> {
    pub(crate) fn of_poll(source: &'a Source, Assignment { puname, coin }: &'a Assignment) -> Self {
        Self { source, puname, coin: Some(coin), superseded_by: None }
    }

    pub(crate) fn of_undo(source: &'a Source, entry: &'a PutBackEntry) -> Self {
        Self { source, puname: &entry.puname, coin: entry.back_to.as_ref(), superseded_by: None }
    }
}

/// Requesters of an entry, the oldest first; nearly always one.
pub(super) type Askers = SmallVec<[Asker; 1]>;

/// One entry of a batch.
#[derive(Debug)]
pub(super) struct Asker {
    pub(super) batch: BatchId,
    /// Place among the batch's entries that count.
    pub(super) place: usize,
    pub(super) source: Source,
    pub(super) coin: Coin,
}

/// Number of the oldest requesters that one write satisfies: all, unless the newest are to be held and an older one is
/// not. Until the due time the znode holds what the older one wants.
pub(super) fn written_together(askers: &Askers, is_held: impl Fn(&Coin) -> bool) -> usize {
    let at_once = |asker: &Asker| !is_held(&asker.coin);
    match askers.len() {
        1 => 1,
        all => askers.iter().rposition(at_once).map_or(all, |newest| newest + 1),
    }
}

fn newest(askers: &Askers) -> &Coin {
    // An entry has one requester at least until it is settled or dropped whole.
    &askers[askers.len() - 1].coin
}
