//! A lock that ends with the session, and a mark in ZooKeeper's order of writes.

use zookeeper_client::{Acls, CreateMode, Error as ClientError};

use super::{Connection, Mark, WriteError};
use crate::domain::ZnodeDir;

/// Tries to write a znode's own data back to it while other clients do the same.
const TOUCH_TRIES: usize = 10;

/// Tries to create an ephemeral znode that comes and goes. The second nearly always finds it.
const CLAIM_TRIES: usize = 5;

/// Owner of an ephemeral znode.
#[derive(Debug)]
pub(crate) enum Claim {
    Ours,
    /// Another session. The bytes are the znode's data.
    Theirs(Vec<u8>),
    /// None: the znode is not ephemeral.
    Persistent,
}

impl Connection {
    /// Writes a directory's own data back to it. All writes that were committed before this call come before that one in
    /// ZooKeeper's order. A missing directory is created. Returns the write's mark, and the data.
    pub(crate) async fn touch(&self, dir: &ZnodeDir) -> Result<(Mark, Vec<u8>), WriteError> {
        match self.write_back(dir.node()).await {
            // Another client has removed the directory, which later writes need.
            Err(WriteError::Missing) => {
                let made = self.ensure_directory(dir).await;
                made.map_err(|error| error.when("creating", dir.node()))?;
                self.write_back(dir.node()).await
            }
            touched => touched,
        }
    }

    async fn write_back(&self, path: &str) -> Result<(Mark, Vec<u8>), WriteError> {
        for _ in 0..TOUCH_TRIES {
            let read = self.get(path).await.map_err(|error| error.when("reading", path))?;
            let (data, mark) = read.ok_or(WriteError::Missing)?;
            match self.set(path, &data, mark.revision).await {
                Ok(written) if written.revision.follows(mark.revision) => {
                    return Ok((written, data));
                }
                // Our server was behind, or another client was faster, maybe with another znode of the same path and
                // version. The next read sees that write.
                Ok(_) | Err(WriteError::Overtaken) => {}
                Err(error) => return Err(error.when("writing", path)),
            }
        }
        Err(WriteError::Overtaken)
    }

    /// Creates the ephemeral znode at `path` with this data, or finds its owner. It ends with our session.
    pub(crate) async fn claim(&self, path: &str, data: &[u8]) -> Result<Claim, WriteError> {
        for _ in 0..CLAIM_TRIES {
            match self.client.get_data(path).await {
                Ok((_, stat)) if stat.ephemeral_owner == self.client.session_id().0 => {
                    return Ok(Claim::Ours);
                }
                Ok((_, stat)) if stat.ephemeral_owner == 0 => return Ok(Claim::Persistent),
                Ok((data, _)) => return Ok(Claim::Theirs(data)),
                Err(ClientError::NoNode) => {}
                Err(error) => return Err(WriteError::from(error).when("reading", path)),
            }
            let ephemeral = CreateMode::Ephemeral.with_acls(Acls::new(self.acls));
            match self.client.create(path, data, &ephemeral).await {
                Ok(_) => return Ok(Claim::Ours),
                Err(ClientError::NodeExists) => {}
                Err(error) => return Err(WriteError::from(error).when("creating", path)),
            }
        }
        Err(WriteError::Refused("the znode keeps coming and going".to_owned()))
    }
}
