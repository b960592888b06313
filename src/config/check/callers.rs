//! The listeners, and the credentials of their callers.

use switcher_actors::{Coins, Quoted};

use super::{
    Reader,
    addresses::{is_everywhere, overlap, split_host_port},
    quoting::{credential_doubt, credential_fault, hint},
};
use crate::config::{AdminSettings, ApiSettings, CallerSettings, Credentials, Host};

/// The passwords of the configurations that we ship, which are thus public.
pub(super) const SAMPLE_PASSWORDS: &[&str] = &["admin", "change-me"];

impl Reader {
    /// `None` only after a problem was noted. Credentials that the API needs are checked there.
    pub(super) fn callers(
        &mut self,
        coins: Option<Coins>,
        lower_case: bool,
    ) -> Option<CallerSettings> {
        let coinbase_max = self.size("JobmakerCoinbaseMaxBytes");
        let body_limit = self.size("APIBodyLimitBytes");
        let body_timeout = self.seconds("APIBodyTimeoutSeconds");
        let (user, password) = (self.peek("APIUser"), self.peek("APIPassword"));
        let is_usable = !user.is_empty() && !user.contains(':') && !password.is_empty();
        let credentials = is_usable.then_some(Credentials { user, password });
        let scraper = self.scraper();
        let admin_hosts = self.admin_hosts();
        for key in ["APIUser", "APIPassword", "MetricsUser", "MetricsPassword"] {
            self.expect_credential(key);
        }
        Some(CallerSettings {
            credentials,
            scraper,
            admin_hosts,
            coins: coins?,
            lower_case,
            coinbase_max,
            body_limit,
            body_timeout,
        })
    }

    /// `None` if the API is off, or after a problem was noted.
    pub(super) fn api(&mut self, enabled: bool) -> Option<ApiSettings> {
        let head_timeout = self.seconds("APIHeadTimeoutSeconds");
        if !enabled {
            return None;
        }
        let user =
            self.required("APIUser", "a user name: with an empty one everybody would be let in");
        if user.as_deref().is_some_and(|user| user.contains(':')) {
            self.problem(
                "APIUser",
                "contains a colon, which HTTP Basic authentication cannot carry",
            );
        }
        self.required("APIPassword", "a password: with an empty one everybody would be let in");
        let listen = self.required("ListenAddr", "host:port to listen on, like 127.0.0.1:8082");
        if let Some(listen) = &listen {
            self.expect_address("ListenAddr", listen, "127.0.0.1:8082");
        }
        Some(ApiSettings { listen: listen?, head_timeout })
    }

    /// `None` if the admin listener is off.
    pub(super) fn admin(
        &mut self,
        api_enabled: bool,
        callers: Option<&CallerSettings>,
    ) -> Option<AdminSettings> {
        const KEY: &str = "AdminListenAddr";
        let listen = self.text(KEY);
        if listen.is_empty() {
            return None;
        }
        self.expect_address(KEY, &listen, "127.0.0.1:8083");
        let is_given = self.found(KEY).is_some();
        let api = self.peek("ListenAddr");
        if api_enabled && overlap(&listen, &api) {
            if !is_given {
                self.warnings.push(format!(
                    "there are no admin pages: {listen}, where they are by default, is within ListenAddr \
                     ({api}); give them an address by {KEY}"
                ));
                return None;
            }
            self.problem(
                KEY,
                format!(
                    "is {}, and ListenAddr {}; choose another port",
                    Quoted(&listen),
                    Quoted(&api)
                ),
            );
        }
        // With the API on, that is a problem already.
        if callers.is_some_and(|callers| callers.credentials.is_none()) && !api_enabled {
            let open = match callers.and_then(|callers| callers.scraper.as_ref()) {
                None => "/healthz and /readyz",
                Some(_) => "/healthz, /readyz and /metrics",
            };
            self.warnings.push(format!(
                "{KEY} is {}, but APIUser and APIPassword are not set: of it only {open} will answer",
                Quoted(&listen)
            ));
        }
        Some(AdminSettings { listen, is_given })
    }

    /// Who may see the figures and nothing else; `None` if nobody, or after a problem was noted.
    fn scraper(&mut self) -> Option<Credentials> {
        const USER: &str = "MetricsUser";
        const PASSWORD: &str = "MetricsPassword";
        let (user, password) = (self.text(USER), self.text(PASSWORD));
        if user.is_empty() && password.is_empty() {
            return None;
        }
        for (key, value, other) in [(USER, &user, PASSWORD), (PASSWORD, &password, USER)] {
            if value.is_empty() {
                self.problem(key, format!("is empty, and {other} is not; set both or neither"));
            }
        }
        if user.contains(':') {
            self.problem(USER, "contains a colon, which HTTP Basic authentication cannot carry");
        }
        if !password.is_empty() && password == self.peek("APIPassword") {
            self.problem(
                PASSWORD,
                "is APIPassword's value; choose another, so that who scrapes cannot switch miners",
            );
        }
        Some(Credentials { user, password })
    }

    fn admin_hosts(&mut self) -> Vec<Host> {
        const KEY: &str = "AdminHosts";
        let mut hosts = Vec::new();
        for text in self.list(KEY).unwrap_or_default() {
            match Host::parse(&text) {
                Some(host) => hosts.push(host),
                None => self.problem(
                    KEY,
                    format!(
                        "contains {}, expected a host name as browsers send it, with or without a port, like \
                         console.example.com or console.example.com:8443; no http://, no path, no *, IPv6 in brackets{}",
                        Quoted(&text),
                        hint(&text)
                    ),
                ),
            }
        }
        hosts
    }

    fn expect_address(&mut self, key: &'static str, address: &str, like: &str) {
        if split_host_port(address).is_none() {
            let text =
                format!("is {}, expected host:port like {like}{}", Quoted(address), hint(address));
            self.problem(key, text);
        }
    }

    /// Checks a user name or a password, if there is one. The messages do not quote it.
    fn expect_credential(&mut self, key: &'static str) {
        let text = self.peek(key);
        if let Some(fault) = credential_fault(&text) {
            self.problem(key, fault);
        } else if let Some(doubt) = credential_doubt(&text) {
            self.warnings.push(format!("{key} {doubt}"));
        }
    }

    /// Warns about passwords that are published in our samples.
    pub(super) fn doubt_sample_passwords(
        &mut self,
        callers: &CallerSettings,
        api: Option<&ApiSettings>,
        admin: Option<&AdminSettings>,
    ) {
        let listeners = [
            ("ListenAddr", api.map(|api| &api.listen)),
            ("AdminListenAddr", admin.map(|admin| &admin.listen)),
        ];
        let open: Vec<_> = listeners
            .into_iter()
            .filter_map(|(key, listen)| {
                Some(format!("{key} ({})", listen.filter(|it| is_everywhere(it))?))
            })
            .collect();
        let credentials =
            [("APIPassword", &callers.credentials), ("MetricsPassword", &callers.scraper)];
        for (key, credentials) in credentials {
            let Some(Credentials { password, .. }) = credentials else { continue };
            if !SAMPLE_PASSWORDS.contains(&password.as_str()) {
                continue;
            }
            let open = match &open[..] {
                [] => String::new(),
                open => format!(
                    ", and {} takes connections at every address of this machine",
                    open.join(" and ")
                ),
            };
            self.warnings.push(format!(
                "{key} is the password of the published samples{open}; choose another one"
            ));
        }
    }
}
