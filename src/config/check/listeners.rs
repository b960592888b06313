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
        // With a file of users, APIUser is optional.
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

    /// TLS of the listeners; `None` if `TLSCertificateFile` is not set, or after a recorded problem.
    pub(super) fn tls(&mut self) -> Option<TlsSettings> {
        const CERTIFICATE: &str = "TLSCertificateFile";
        const KEY: &str = "TLSPrivateKeyFile";
        let [certificate, key, client_ca] = [CERTIFICATE, KEY, "TLSClientCAFile"].map(|name| {
            let is_set = !self.peek(name).is_empty();
            is_set.then(|| self.path(name))
        });
        let [api, admin] = self.tls_listeners(certificate.is_some());
        match (&certificate, &key) {
            (Some(_), None) => self.problem(
                KEY,
                format!("is empty, but {CERTIFICATE} is set: name the file with its private key"),
            ),
            (None, Some(_)) => self.problem(
                CERTIFICATE,
                format!("is empty, but {KEY} is set: name the file with the key's certificate"),
            ),
            (None, None) if client_ca.is_some() => self.problem(
                CERTIFICATE,
                "is empty, but TLSClientCAFile is set: without TLS no client shows a certificate",
            ),
            _ => {}
        }
        let (certificate, key) = (certificate??, key??);
        Some(TlsSettings { certificate, key, client_ca: client_ca.flatten(), api, admin })
    }

    /// Whether the API's listener and the admin listener are in `TLSListeners`.
    fn tls_listeners(&mut self, has_tls: bool) -> [bool; 2] {
        const KEY: &str = "TLSListeners";
        const NAMES: [&str; 2] = ["api", "admin"];
        let Some(listed) = self.list(KEY) else { return [false; 2] };
        for other in listed.iter().filter(|name| !NAMES.contains(&name.as_str())) {
            let (name, hint) = (Quoted(other), hint(other));
            self.problem(KEY, format!("contains {name}, expected api or admin{hint}"));
        }
        if has_tls && listed.is_empty() {
            let text =
                "is empty, expected api, admin or both; without TLSCertificateFile there is no TLS";
            self.problem(KEY, text);
        }
        NAMES.map(|name| listed.iter().any(|it| it == name))
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
