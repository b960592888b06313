//! ZooKeeper's servers, and the daemon's credentials there.

use std::str::FromStr;

use switcher_actors::{DigestCredentials, Quoted, ServerVersion, ZkSettings};

use super::{
    Reader,
    addresses::broker,
    quoting::{credential_fault, hint, list_hint},
};

impl Reader {
    pub(super) fn zookeeper(&mut self) -> Option<ZkSettings> {
        let brokers = self.brokers();
        let session_timeout = self.seconds("ZKSessionTimeoutSeconds");
        let credentials = self.credentials();
        let version = self.version();
        Some(ZkSettings { brokers: brokers?, session_timeout, credentials, version })
    }

    fn brokers(&mut self) -> Option<Vec<String>> {
        const KEY: &str = "ZKBroker";
        let brokers = self.list(KEY)?;
        if brokers.is_empty() {
            self.problem(KEY, "is empty, expected at least one host:port");
        }
        let origin = self.found(KEY).map(|found| found.origin);
        let mut addresses = Vec::with_capacity(brokers.len());
        for text in &brokers {
            match broker(text) {
                Ok(address) => addresses.push(address),
                Err(expected) => {
                    let hint = list_hint([text.as_str()], origin, ["zk1:2181", "zk2:2181"]);
                    let hint = if hint.starts_with("; write") { String::new() } else { hint };
                    self.problem(KEY, format!("contains {}, {expected}{hint}", Quoted(text)));
                }
            }
        }
        Some(addresses)
    }

    fn credentials(&mut self) -> Option<DigestCredentials> {
        const KEY: &str = "ZKDigestCredentials";
        let text = self.text(KEY);
        let credentials = DigestCredentials::parse(&text);
        let (user, password) = text.split_once(':').unwrap_or((&text, ""));
        let fault = [&*text, user, password].into_iter().find_map(credential_fault);
        if let Some(fault) = fault {
            self.problem(KEY, fault);
        } else if credentials.is_none() && !text.is_empty() {
            self.problem(KEY, "is not of the form user:password");
        }
        credentials
    }

    fn version(&mut self) -> Option<ServerVersion> {
        let text = self.text("ZKServerVersion");
        if text.is_empty() {
            return None;
        }
        let oldest = ServerVersion::OLDEST;
        match ServerVersion::from_str(&text) {
            Ok(version) if version >= oldest => return Some(version),
            Ok(_) => {
                let problem =
                    format!("is {}; servers before {oldest} are not supported", Quoted(&text));
                self.problem("ZKServerVersion", problem);
            }
            Err(error) => {
                let problem = format!("is {}, which {error}{}", Quoted(&text), hint(&text));
                self.problem("ZKServerVersion", problem);
            }
        }
        None
    }
}
