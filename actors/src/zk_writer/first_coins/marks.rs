//! Marks of user lists: how far a list was complete, and when. A restart reads them, so that it makes no sub-account
//! new.

use super::messages::ListMark;
use crate::{
    domain::{Coin, ZnodeDir},
    zk::{AnyState, Connection, WriteError, WriteOp},
};

/// Reads the mark of `coin`. Data that is no mark counts as none.
pub(super) async fn read(
    connection: &Connection,
    dir: &ZnodeDir,
    coin: &Coin,
) -> Result<Option<ListMark>, WriteError> {
    match connection.get(&dir.child(coin.as_str())).await {
        Ok(found) => Ok(found.and_then(|(data, _)| serde_json::from_slice(&data).ok())),
        Err(WriteError::Refused(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes the mark of `coin`. Replaces another daemon's mark: both are true, and the later one covers more.
pub(super) async fn write(
    connection: &Connection,
    dir: &ZnodeDir,
    coin: &Coin,
    mark: ListMark,
) -> Result<(), WriteError> {
    let path = dir.child(coin.as_str());
    let data = serde_json::to_vec(&mark).unwrap_or_default();
    match connection.set(&path, &data, AnyState).await {
        Err(WriteError::Missing) => {
            connection.ensure_directory(dir).await?;
            let create: [WriteOp<'_, AnyState>; 1] = [WriteOp::Create { path: &path, data: &data }];
            connection.write_each(&create).await.into_iter().try_for_each(|end| end.map(|_| ()))
        }
        written => written.map(|_| ()),
    }
}
