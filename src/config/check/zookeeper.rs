//! ZooKeeper's servers and their version.

use std::str::FromStr;

use switcher_actors::{Quoted, ServerVersion, ZkSettings};

use super::{Reader, quoting::list_cause};
use crate::config::addresses::broker;

impl Reader {
    pub(super) fn zookeeper(&mut self) -> Option<ZkSettings> {
        let brokers = self.brokers();
        let session_timeout = self.seconds("ZKSessionTimeoutSeconds");
        let credentials = self.digest();
        let version = self.version();
        Some(ZkSettings { brokers: brokers?, session_timeout, credentials, version })
    }

    fn brokers(&mut self) -> Option<Vec<String>> {
        const KEY: &str = "ZKBroker";
        let brokers = self.list(KEY)?;
        if brokers.is_empty() {
            self.problem(KEY, "is empty, expected at least one host:port");
        }
        let mut addresses = Vec::with_capacity(brokers.len());
        for text in &brokers {
            match broker(text) {
                Ok(address) => addresses.push(address),
                Err(expected) => {
                    let hint = match list_cause(&[text]) {
                        Some(cause) => {
                            format!("; {cause}{}", self.list_form(KEY, "zk1:2181", "zk2:2181"))
                        }
                        None => String::new(),
                    };
                    self.problem(KEY, format!("contains {}, {expected}{hint}", Quoted(text)));
                }
            }
        }
        Some(addresses)
    }

    fn version(&mut self) -> Option<ServerVersion> {
        const KEY: &str = "ZKServerVersion";
        let text = self.text(KEY);
        if text.is_empty() {
            return None;
        }
        let oldest = ServerVersion::OLDEST;
        match ServerVersion::from_str(&text) {
            Ok(version) if version >= oldest => return Some(version),
            Ok(_) => {
                self.refuse(KEY, &text, format!("; servers before {oldest} are not supported"))
            }
            Err(error) => self.refuse(KEY, &text, format!(", which {error}")),
        }
        None
    }
}
