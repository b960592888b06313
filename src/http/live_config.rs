//! The terms of service: who is let in, and what may be asked for. They can be replaced while the daemon runs.
//!
//! A request is judged and answered by one set of terms: `guard` loads them when the head has arrived and leaves
//! them with the request, where its endpoint finds them ([`RequestConfigData`]). So no request sees the coins of one
//! configuration and the credentials of another, and no answer changes its mind half-way.

use std::sync::Arc;

use actix_web::web::ReqData;
use arc_swap::ArcSwap;
use switcher_actors::SwitchRules;

use super::{basic_auth::BasicAuth, body::BodyLimits};
use crate::config::{CallerSettings, Credentials, Host};

/// What holds for a request.
pub struct RequestConfig {
    /// Whom to let in.
    pub gate: BasicAuth,
    /// Whom to let in where the figures are, and nowhere else.
    pub scraper: BasicAuth,
    /// Hosts under which the admin listener answers, apart from its own.
    pub admin_hosts: Vec<Host>,
    /// Which switches are valid.
    pub rules: SwitchRules,
    /// Bytes of a coinbase text that jobmakers keep.
    pub coinbase_max: usize,
    /// How much a client may send.
    pub body: BodyLimits,
}

/// The terms of a request, for its endpoint.
pub type RequestConfigData = ReqData<Arc<RequestConfig>>;

impl RequestConfig {
    fn new(settings: CallerSettings) -> Self {
        let CallerSettings {
            credentials,
            scraper,
            admin_hosts,
            coins,
            lower_case,
            coinbase_max,
            body_limit,
            body_timeout,
        } = settings;
        Self {
            gate: gate(credentials.as_ref()),
            scraper: gate(scraper.as_ref()),
            admin_hosts,
            rules: SwitchRules { coins, lower_case },
            coinbase_max,
            body: BodyLimits { size: body_limit, time: body_timeout },
        }
    }
}

fn gate(credentials: Option<&Credentials>) -> BasicAuth {
    credentials.map_or_else(BasicAuth::closed, BasicAuth::new)
}

/// The terms that are in force. Clones share them: the API's listener and that of the admin pages have the same.
#[derive(Clone)]
pub struct LiveConfig(Arc<ArcSwap<RequestConfig>>);

impl LiveConfig {
    /// These, until others are put in force.
    pub fn new(settings: CallerSettings) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(RequestConfig::new(settings))))
    }

    /// Those for a request that begins. No lock is taken.
    pub fn load(&self) -> Arc<RequestConfig> {
        self.0.load_full()
    }

    /// Puts other terms in force for requests that begin from now on.
    pub fn replace(&self, settings: CallerSettings) {
        self.0.store(Arc::new(RequestConfig::new(settings)));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use switcher_actors::Coins;

    use super::*;

    fn terms(coin: &str, body_limit: usize) -> CallerSettings {
        CallerSettings {
            credentials: None,
            scraper: None,
            admin_hosts: Vec::new(),
            coins: Coins::new(&[coin]).unwrap(),
            lower_case: false,
            coinbase_max: 30,
            body_limit,
            body_timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn a_request_keeps_the_terms_that_it_began_under() {
        let in_force = LiveConfig::new(terms("btc", 1));
        let (elsewhere, begun) = (in_force.clone(), in_force.load());
        in_force.replace(terms("ltc", 2));
        assert!(begun.rules.coins.get("btc").is_some() && begun.body.size == 1);
        let later = elsewhere.load();
        assert!(later.rules.coins.get("btc").is_none() && later.body.size == 2);
    }
}
