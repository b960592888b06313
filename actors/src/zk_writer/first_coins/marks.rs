//! Marks of user lists: how far a list was complete, and when. A restart reads them, so that it makes no sub-account
//! new.

use serde::{Deserialize, Serialize};

use crate::{
    domain::{Coin, ZnodeDir},
    zk::{AnyState, Connection, WriteError, WriteOp},
};

/// How far a list was complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ListMark {
    /// All puids up to this one were in the list.
    pub(crate) last_id: u32,
    /// Since when, in seconds since 1970.
    pub(crate) at: u64,
}

/// The marks of one list, by rising puid and time: those that are younger than the safety period, and the newest older
/// one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ListMarks(Vec<ListMark>);

impl ListMarks {
    /// Since when the list has had this puid, in seconds since 1970; `None` if no mark covers it.
    pub(crate) fn since(&self, puid: u32) -> Option<u64> {
        self.0.iter().filter(|mark| puid <= mark.last_id).map(|mark| mark.at).min()
    }

    /// Adds a mark, unless another one covers it, and drops those that a safety period of so many seconds does not
    /// need. Returns whether the mark was added.
    pub(crate) fn add(&mut self, mark: ListMark, period: u64) -> bool {
        if self.since(mark.last_id).is_some() {
            return false;
        }
        // One for each second. Later ones are of a clock that was set back.
        self.0.retain(|before| before.at < mark.at);
        self.0.push(mark);
        let is_old = |it: &&ListMark| it.at.saturating_add(period) <= mark.at;
        let old = self.0.iter().take_while(is_old).count();
        self.0.drain(..old.saturating_sub(1));
        true
    }
}

/// Reads the marks of `coin`. Other data counts as none.
pub(super) async fn read(
    connection: &Connection,
    dir: &ZnodeDir,
    coin: &Coin,
) -> Result<ListMarks, WriteError> {
    match connection.get(&dir.child(coin.as_str())).await {
        Ok(found) => {
            Ok(found.and_then(|(data, _)| serde_json::from_slice(&data).ok()).unwrap_or_default())
        }
        Err(WriteError::Refused(_)) => Ok(ListMarks::default()),
        Err(error) => Err(error),
    }
}

/// Writes the marks of `coin`. Replaces another daemon's: both are true, and the later ones cover more.
pub(super) async fn write(
    connection: &Connection,
    dir: &ZnodeDir,
    coin: &Coin,
    marks: &ListMarks,
) -> Result<(), WriteError> {
    let path = dir.child(coin.as_str());
    let data = serde_json::to_vec(marks).unwrap_or_default();
    match connection.set(&path, &data, AnyState).await {
        Err(WriteError::Missing) => {
            connection.ensure_directory(dir).await?;
            let create: [WriteOp<'_, AnyState>; 1] = [WriteOp::Create { path: &path, data: &data }];
            connection.write_each(&create).await.into_iter().try_for_each(|end| end.map(|_| ()))
        }
        written => written.map(|_| ()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark((last_id, at): (u32, u64)) -> ListMark {
        ListMark { last_id, at }
    }

    fn after(marks: &[(u32, u64)]) -> Vec<(u32, u64)> {
        let mut kept = ListMarks::default();
        for &it in marks {
            kept.add(mark(it), 10);
        }
        kept.0.iter().map(|it| (it.last_id, it.at)).collect()
    }

    #[test]
    fn young_marks_and_one_older_one_are_kept() {
        assert_eq!(after(&[(1, 100), (2, 109)]), [(1, 100), (2, 109)]);
        assert_eq!(after(&[(1, 90), (2, 95), (3, 100), (4, 105)]), [(2, 95), (3, 100), (4, 105)]);
        assert_eq!(after(&[(1, 90), (2, 95), (3, 205)]), [(2, 95), (3, 205)]);
        assert_eq!(after(&[(5, 90), (4, 200), (5, 200)]), [(5, 90)], "covered");
        assert_eq!(after(&[(1, 90), (2, 95), (3, 95)]), [(1, 90), (3, 95)], "the same second");
        assert_eq!(after(&[(1, 90), (2, 500), (3, 95)]), [(1, 90), (3, 95)], "a clock set back");
    }

    #[test]
    fn a_puid_is_as_old_as_the_first_mark_that_covers_it() {
        let marks = ListMarks([(3, 90), (7, 100)].map(mark).to_vec());
        let since = [1, 3, 4, 7, 8].map(|puid| marks.since(puid));
        assert_eq!(since, [Some(90), Some(90), Some(100), Some(100), None]);
        let data = serde_json::to_vec(&marks).unwrap();
        assert_eq!(serde_json::from_slice::<ListMarks>(&data).unwrap(), marks);
    }
}
