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
        let looking = async {
            self.client.set_data(MARK, b"", None).await.ok()?;
            let mut found = Vec::with_capacity(paths.len());
            for chunk in paths.chunks(500) {
                // The client sends when it is asked, not when it is awaited.
                let asked: Vec<_> = chunk.iter().map(|path| self.client.get_data(path)).collect();
                for answer in asked {
                    found.push(match answer.await {
                        Ok((data, _)) => Some(String::from_utf8_lossy(&data).into_owned()),
                        Err(Error::NoNode) => None,
                        Err(_) => return None,
                    });
                }
            }
            Some(found)
        };
        timeout(PATIENCE * 5, looking).await.ok().flatten()
    }
}
