//! The listeners of the API and of the admin pages.

use std::time::Duration;

use switcher_actors::Quoted;

use super::{Reader, quoting::hint};
use crate::config::{
    AdminSettings, ApiSettings, CallerSettings, Host, TlsSettings,
    addresses::{overlap, split_host_port},
    value::{DEFAULT, origin},
};

impl Reader {
    pub(super) fn api(&mut self, enabled: bool, head_timeout: Duration) -> Option<ApiSettings> {
        if !enabled {
            return None;
        }
        // Users of a file need no user besides them.
        let is_empty = |key| self.peek(key).is_empty();
        if is_empty("UsersFile") || !is_empty("APIUser") || !is_empty("APIPassword") {
            self.required("APIUser", "a user name: an empty one would let every request in");
            self.refuse_colon("APIUser");
            self.required("APIPassword", "a password: an empty one would let every request in");
        }
        let listen = self.required("ListenAddr", "host:port to listen on, like 127.0.0.1:8082");
        if let Some(listen) = &listen {
            self.expect_address("ListenAddr", listen, "127.0.0.1:8082");
        }
        Some(ApiSettings { listen: listen?, head_timeout })
    }

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
        let is_given = self.values.get(KEY).is_some_and(|value| origin(value) != DEFAULT);
        let api = self.peek("ListenAddr");
        if api_enabled && overlap(&listen, &api) {
            if !is_given {
                self.warnings.push(format!(
                    "there are no admin pages: their default address {listen} overlaps ListenAddr ({api}); set {KEY}"
                ));
                return None;
            }
            let api = Quoted(&api);
            self.refuse(
                KEY,
                &listen,
                format!(", which overlaps ListenAddr ({api}); choose another port"),
            );
        }
        let has_no_user = |callers: &CallerSettings| {
            callers.credentials.is_none() && callers.users_file.is_none()
        };
        // With the API on, missing credentials are a problem already.
        if callers.is_some_and(has_no_user) && !api_enabled {
            let open = match callers.and_then(|callers| callers.scraper.as_ref()) {
                None => "/healthz and /readyz",
                Some(_) => "/healthz, /readyz and /metrics",
            };
            self.warnings.push(format!(
                "{KEY} is {}, but APIUser and APIPassword are not set: only {open} will answer",
                Quoted(&listen)
            ));
        }
        Some(AdminSettings { listen, is_given })
    }

    /// TLS of the listeners; `None` if `TLSCertificateFile` is not set.
    pub(super) fn tls(&mut self) -> Option<TlsSettings> {
        let certificate = self.path("TLSCertificateFile");
        let key = self.path("TLSPrivateKeyFile");
        let client_ca = self.path("TLSClientCAFile");
        let listeners = self.list("TLSListeners").unwrap_or_default();
        let has = |name: &str| listeners.iter().any(|it| it == name);
        let (api, admin) = (has("api"), has("admin"));
        Some(TlsSettings { certificate: certificate?, key: key?, client_ca, api, admin })
    }

    pub(super) fn admin_hosts(&mut self) -> Vec<Host> {
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

    pub(super) fn expect_address(&mut self, key: &'static str, address: &str, like: &str) {
        if split_host_port(address).is_none() {
            self.refuse(key, address, format!(", expected host:port like {like}"));
        }
    }
}
