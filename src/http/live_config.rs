//! The configuration that requests are judged by. A reload replaces it while the daemon runs.
//!
//! The middleware loads it once per request, when the head has arrived, and leaves it with the request for the
//! endpoint ([`LoadedConfig`](super::LoadedConfig)). So no request sees the coins of one configuration and the
//! credentials of another.

use std::sync::Arc;

use arc_swap::ArcSwap;
use switcher_actors::SwitchRules;

use super::{
    access::{Actor, Means},
    basic_auth::BasicAuth,
    body::BodyLimits,
    sessions::Sessions,
};
use crate::{
    config::{CallerSettings, Host, Network},
    users::{Secret, User, UserChanges, Users},
};

/// The configuration of one request.
pub struct RequestConfig {
    /// `APIUser`, and the users of `UsersFile`.
    pub users: Arc<Users>,
    /// Whether `UsersFile` is set: only then does the console ask browsers to sign in.
    pub has_users_file: bool,
    /// `TrustedProxies`.
    pub trusted_proxies: Vec<Network>,
    /// `MetricsUser` and `MetricsPassword`.
    pub metrics_auth: BasicAuth,
    /// `UserListAllow`; empty admits all.
    pub list_networks: Vec<Network>,
    /// `UserListUser` and `UserListPassword`; `None` if the lists need no credentials.
    pub list_auth: Option<BasicAuth>,
    /// `AdminHosts`.
    pub admin_hosts: Vec<Host>,
    pub switch_rules: SwitchRules,
    /// Bytes of a coinbase text that jobmakers keep.
    pub coinbase_max: usize,
    pub body_limits: BodyLimits,
}

impl RequestConfig {
    fn new(settings: CallerSettings, users: Vec<User>) -> Self {
        let CallerSettings {
            credentials,
            api_roles,
            users_file,
            trusted_proxies,
            scraper,
            list_access,
            admin_hosts,
            coins,
            lower_case,
            coinbase_max,
            body_limit,
            body_timeout,
        } = settings;
        Self {
            has_users_file: users_file.is_some(),
            users: Arc::new(Users::new(
                credentials
                    .map(|it| User {
                        name: it.user.into(),
                        secret: Secret::of_password(&it.password),
                        roles: api_roles,
                    })
                    .into_iter()
                    .chain(users),
            )),
            trusted_proxies,
            metrics_auth: BasicAuth::new(scraper.as_ref()),
            list_networks: list_access.allow,
            list_auth: list_access.credentials.as_ref().map(|it| BasicAuth::new(Some(it))),
            admin_hosts,
            switch_rules: SwitchRules { coins, lower_case },
            coinbase_max,
            body_limits: BodyLimits { size: body_limit, time: body_timeout },
        }
    }
}

/// The configuration for requests that begin now, and the sessions of its users. Clones share both, as the listeners do.
#[derive(Clone)]
pub struct LiveConfig {
    config: Arc<ArcSwap<RequestConfig>>,
    sessions: Sessions,
}

impl LiveConfig {
    pub fn new(settings: CallerSettings, users: Vec<User>) -> Self {
        let config = Arc::new(ArcSwap::from_pointee(RequestConfig::new(settings, users)));
        Self { config, sessions: Sessions::default() }
    }

    /// Takes no lock.
    pub fn load(&self) -> Arc<RequestConfig> {
        self.config.load_full()
    }

    /// Changes the configuration for requests that begin from now on. Ends the sessions of changed and removed users.
    /// Returns the names of added, changed and removed ones.
    pub fn replace(&self, settings: CallerSettings, users: Vec<User>) -> UserChanges {
        let config = Arc::new(RequestConfig::new(settings, users));
        let old = self.config.swap(Arc::clone(&config));
        self.sessions.retain_users(&config.users);
        old.users.changes_to(&config.users)
    }

    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Whether the user of an earlier request is still the same, and its session has not ended.
    pub fn still_admits(&self, actor: &Actor) -> bool {
        let users = &self.config.load().users;
        match actor.means {
            Means::Session(key) => self.sessions.user(key, users).is_some(),
            _ => users.still_has(&actor.user),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use switcher_actors::Coins;

    use super::*;

    pub fn settings(coin: &str, body_limit: usize) -> CallerSettings {
        CallerSettings {
            credentials: None,
            api_roles: Default::default(),
            users_file: None,
            trusted_proxies: Vec::new(),
            scraper: None,
            list_access: Default::default(),
            admin_hosts: Vec::new(),
            coins: Coins::new(&[coin]).unwrap(),
            lower_case: false,
            coinbase_max: 30,
            body_limit,
            body_timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn a_request_keeps_the_configuration_that_it_began_under() {
        let live = LiveConfig::new(settings("btc", 1), Vec::new());
        let (clone, begun) = (live.clone(), live.load());
        live.replace(settings("ltc", 2), Vec::new());
        assert!(begun.switch_rules.coins.get("btc").is_some() && begun.body_limits.size == 1);
        let later = clone.load();
        assert!(later.switch_rules.coins.get("btc").is_none() && later.body_limits.size == 2);
    }
}
