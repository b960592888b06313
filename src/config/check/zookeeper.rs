//! ZooKeeper's servers and their version.

use std::str::FromStr;

use switcher_actors::{Quoted, ServerVersion, ZkSettings, is_tls_name};

use super::{Reader, quoting::list_cause};
use crate::config::{
    addresses::{broker, split_host_port},
    tls::ZkTlsFiles,
};

impl Reader {
    pub(super) fn zookeeper(&mut self) -> Option<ZkSettings> {
        let brokers = self.brokers();
        let session_timeout = self.seconds("ZKSessionTimeoutSeconds");
        let credentials = self.digest();
        let version = self.version();
        Some(ZkSettings { brokers: brokers?, session_timeout, credentials, version })
    }

    /// Files for TLS; `None` if `ZKTLSCAFile` is not set.
    pub(super) fn zookeeper_tls(&mut self, brokers: &[String]) -> Option<ZkTlsFiles> {
        const CA: &str = "ZKTLSCAFile";
        const CERTIFICATE: &str = "ZKTLSCertificateFile";
        const KEY: &str = "ZKTLSPrivateKeyFile";
        let [ca, certificate, key] = [CA, CERTIFICATE, KEY].map(|name| self.path(name));
        for (absent, absent_key, given, given_key) in
            [(&certificate, CERTIFICATE, &key, KEY), (&key, KEY, &certificate, CERTIFICATE)]
        {
            if absent.is_none() && given.is_some() {
                let text = format!("is not set, but {given_key} is: set both or neither");
                self.problem(absent_key, text);
            }
        }
        if ca.is_none() && certificate.is_some() {
            let text =
                format!("is not set, but {CERTIFICATE} is: only with it is there TLS to ZooKeeper");
            self.problem(CA, text);
        }
        let ca = ca?;
        for broker in brokers {
            if split_host_port(broker).is_some_and(|(host, _)| !is_tls_name(host)) {
                let text = format!(
                    "contains {}, whose host no certificate can name: with {CA}, give a DNS name or an address",
                    Quoted(broker)
                );
                self.problem("ZKBroker", text);
            }
        }
        Some(ZkTlsFiles { ca, identity: certificate.zip(key) })
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
