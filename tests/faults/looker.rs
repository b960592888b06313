//! Reads znodes without the daemons, and gets the value that ZooKeeper holds at that moment.
//!
//! A server may be behind the others, or be a former leader that has not noticed its loss. So each look writes
//! first: reads that follow on the same connection are no older than that write, which a majority has accepted.

use std::time::Duration;

use tokio::time::timeout;
use zookeeper_client::{Acls, Client, CreateMode, Error};

use crate::support::zookeeper::DIGEST_CREDENTIALS;

/// The znode that looks write to.
const MARK: &str = "/looker";

/// After so long a look is given up.
const PATIENCE: Duration = Duration::from_secs(3);

/// A client of the servers.
pub struct Looker {
    client: Client,
}

/// A znode that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Znode {
    pub data: String,
    /// Number of writes after its creation.
    pub version: i32,
    /// Place of the last write in ZooKeeper's order.
    pub zxid: i64,
    /// Time of the last write by the server's clock, in milliseconds since 1970.
    pub written: i64,
}

impl Looker {
    /// `None` if it cannot be now.
    pub async fn connect(brokers: &str) -> Option<Self> {
        let connecting = async {
            let client = Client::connector()
                .with_auth("digest", DIGEST_CREDENTIALS.as_bytes())
                .with_session_timeout(Duration::from_secs(10))
                .with_connection_timeout(Duration::from_secs(1))
                .with_fail_eagerly()
                .connect(brokers)
                .await
                .ok()?;
            let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
            match client.create(MARK, b"", &options).await {
                Ok(_) | Err(Error::NodeExists) => Some(Self { client }),
                Err(_) => None,
            }
        };
        timeout(PATIENCE, connecting).await.ok().flatten()
    }

    /// A znode's data, `Some(None)` if it does not exist; `None` if no server answers.
    pub async fn look(&self, path: &str) -> Option<Option<String>> {
        timeout(PATIENCE, self.look_at_all(&[path.to_owned()])).await.ok()??.pop()
    }

    /// Two znodes, the first of which is read first; `None` if no server answers.
    pub async fn look_at_two(&self, paths: [String; 2]) -> Option<[Option<Znode>; 2]> {
        timeout(PATIENCE, self.znodes(&paths)).await.ok()??.try_into().ok()
    }

    /// Deletes those of the znodes that exist.
    pub async fn delete_all(&self, paths: &[String]) {
        for chunk in paths.chunks(500) {
            let asked: Vec<_> = chunk.iter().map(|path| self.client.delete(path, None)).collect();
            for answer in asked {
                let _ = answer.await;
            }
        }
    }

    /// The same for many.
    pub async fn look_at_all(&self, paths: &[String]) -> Option<Vec<Option<String>>> {
        let found = self.znodes(paths).await?;
        Some(found.into_iter().map(|znode| znode.map(|znode| znode.data)).collect())
    }

    /// The znodes, `None` for each that does not exist, read one after the other; `None` if no server answers.
    pub async fn znodes(&self, paths: &[String]) -> Option<Vec<Option<Znode>>> {
        let looking = async {
            self.client.set_data(MARK, b"", None).await.ok()?;
            let mut found = Vec::with_capacity(paths.len());
            for chunk in paths.chunks(500) {
                // The client sends when it is asked, not when it is awaited.
                let asked: Vec<_> = chunk.iter().map(|path| self.client.get_data(path)).collect();
                for answer in asked {
                    found.push(match answer.await {
                        Ok((data, stat)) => Some(Znode {
                            data: String::from_utf8_lossy(&data).into_owned(),
                            version: stat.version,
                            zxid: stat.mzxid,
                            written: stat.mtime,
                        }),
                        Err(Error::NoNode) => None,
                        Err(_) => return None,
                    });
                }
            }
            Some(found)
        };
        timeout(PATIENCE * 5, looking).await.ok().flatten()
    }

    /// The names of a znode's children, none if it does not exist; `None` if no server answers.
    pub async fn children(&self, path: &str) -> Option<Vec<String>> {
        let looking = async {
            self.client.set_data(MARK, b"", None).await.ok()?;
            match self.client.list_children(path).await {
                Ok(names) => Some(names),
                Err(Error::NoNode) => Some(Vec::new()),
                Err(_) => None,
            }
        };
        timeout(PATIENCE, looking).await.ok().flatten()
    }

    /// Creates a znode that anyone may change; whether it did, and `None` if that is not known.
    pub async fn create(&self, path: &str, data: &str) -> Option<bool> {
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        match timeout(PATIENCE, self.client.create(path, data.as_bytes(), &options)).await {
            Ok(Ok(_)) => Some(true),
            Ok(Err(Error::NodeExists | Error::NoNode)) => Some(false),
            _ => None,
        }
    }

    /// Writes a znode, if that is possible now.
    pub async fn write(&self, path: &str, data: &str) {
        let _ = timeout(PATIENCE, self.client.set_data(path, data.as_bytes(), None)).await;
    }

    /// Waits until a znode does not exist, and then reads another at once, as the same server has it; `None` if no
    /// server answers.
    pub async fn read_once_gone(&self, path: &str, other: &str) -> Option<Option<String>> {
        while let (Some(_), watcher) = self.client.check_and_watch_stat(path).await.ok()? {
            watcher.changed().await;
        }
        match self.client.get_data(other).await {
            Ok((data, _)) => Some(Some(String::from_utf8_lossy(&data).into_owned())),
            Err(Error::NoNode) => Some(None),
            Err(_) => None,
        }
    }
}
