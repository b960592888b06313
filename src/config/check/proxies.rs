//! Proxies with a trusted `X-Forwarded-For`.

use super::Reader;
use crate::config::Network;

impl Reader {
    /// The networks of `TrustedProxies`.
    pub(super) fn trusted_proxies(&mut self) -> Vec<Network> {
        const KEY: &str = "TrustedProxies";
        let networks = self.networks(KEY);
        if networks.iter().any(Network::has_all) {
            self.warnings.push(format!(
                "{KEY} has a network of all addresses: each client may then claim any address, in the records, for \
                 UserListAllow, and to escape the slowdown of failed logins; list the proxies alone"
            ));
        }
        networks
    }
}
