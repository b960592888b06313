//! Credentials of the API's callers, of the scraper, and the daemon's own at ZooKeeper.

use switcher_actors::{Coins, DigestCredentials, Quoted};

use super::{
    Reader,
    quoting::{credential_doubt, credential_fault},
};
use crate::{
    config::{AdminSettings, ApiSettings, CallerSettings, Credentials, addresses::is_everywhere},
    users::{Role, Roles},
};

/// Passwords of the configurations that we ship, and so public.
pub(super) const SAMPLE_PASSWORDS: &[&str] = &["admin", "change-me"];

impl Reader {
    /// The API's section checks that its credentials are set.
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
        let api_roles = self.api_roles();
        let users_file = self.path("UsersFile");
        let trusted_proxies = self.trusted_proxies();
        let scraper = self.pair("MetricsUser", "MetricsPassword");
        let list_access = self.list_access();
        let admin_hosts = self.admin_hosts();
        for key in [
            "APIUser",
            "APIPassword",
            "MetricsUser",
            "MetricsPassword",
            "UserListUser",
            "UserListPassword",
        ] {
            self.expect_credential(key, &[&self.peek(key)]);
        }
        Some(CallerSettings {
            credentials,
            api_roles,
            users_file,
            trusted_proxies,
            scraper,
            list_access,
            admin_hosts,
            coins: coins?,
            lower_case,
            coinbase_max,
            body_limit,
            body_timeout,
        })
    }

    /// Roles of `APIUser`.
    fn api_roles(&mut self) -> Roles {
        const KEY: &str = "APIRoles";
        let mut roles = Vec::new();
        let texts = self.list(KEY);
        if texts.as_ref().is_some_and(Vec::is_empty) && !self.peek("APIUser").is_empty() {
            self.problem(
                KEY,
                "is empty, so APIUser could do nothing; add viewer, switcher, payout or admin",
            );
        }
        for text in texts.unwrap_or_default() {
            match text.parse::<Role>() {
                Ok(role) => roles.push(role),
                Err(()) => self.problem(
                    KEY,
                    format!(
                        "contains {}, expected viewer, switcher, payout or admin",
                        Quoted(&text)
                    ),
                ),
            }
        }
        roles.into_iter().collect()
    }

    /// Credentials for the metrics or the lists alone; `None` if neither key is set.
    pub(super) fn pair(
        &mut self,
        user_key: &'static str,
        password_key: &'static str,
    ) -> Option<Credentials> {
        let (user, password) = (self.text(user_key), self.text(password_key));
        if user.is_empty() && password.is_empty() {
            return None;
        }
        for (key, value, other) in
            [(user_key, &user, password_key), (password_key, &password, user_key)]
        {
            if value.is_empty() {
                self.problem(key, format!("is empty, and {other} is not; set both or neither"));
            }
        }
        self.refuse_colon(user_key);
        if !password.is_empty() && password == self.peek("APIPassword") {
            self.problem(
                password_key,
                "equals APIPassword; choose another, so that its user cannot switch sub-accounts",
            );
        }
        Some(Credentials { user, password })
    }

    /// The daemon's credentials at ZooKeeper.
    pub(super) fn digest(&mut self) -> Option<DigestCredentials> {
        const KEY: &str = "ZKDigestCredentials";
        let text = self.text(KEY);
        let credentials = DigestCredentials::parse(&text);
        let (user, password) = text.split_once(':').unwrap_or((&text, ""));
        let is_possible = self.expect_credential(KEY, &[&text, user, password]);
        if is_possible && credentials.is_none() && !text.is_empty() {
            self.problem(KEY, "is not of the form user:password");
        }
        credentials
    }

    pub(super) fn refuse_colon(&mut self, key: &'static str) {
        if self.peek(key).contains(':') {
            self.problem(key, "contains a colon, which HTTP Basic authentication cannot carry");
        }
    }

    /// Checks a user name, a password, or both in one. The messages do not quote them.
    pub(super) fn expect_credential(&mut self, key: &'static str, parts: &[&str]) -> bool {
        let fault = parts.iter().find_map(|part| credential_fault(part));
        if let Some(fault) = fault {
            self.problem(key, fault);
        } else if let Some(doubt) = parts.iter().find_map(|part| credential_doubt(part)) {
            self.warnings.push(format!("{key} {doubt}"));
        }
        fault.is_none()
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
        let open = listeners.into_iter().filter_map(|(key, listen)| {
            Some(format!("{key} ({})", listen.filter(|it| is_everywhere(it))?))
        });
        let open = match &open.collect::<Vec<_>>()[..] {
            [] => String::new(),
            open => format!(
                ", and {} accepts connections on every address of this machine",
                open.join(" and ")
            ),
        };
        let credentials = [
            ("APIPassword", &callers.credentials),
            ("MetricsPassword", &callers.scraper),
            ("UserListPassword", &callers.list_access.credentials),
        ];
        for (key, credentials) in credentials {
            let password = credentials.as_ref().map(|it| it.password.as_str());
            if password.is_some_and(|password| SAMPLE_PASSWORDS.contains(&password)) {
                self.warnings.push(format!(
                    "{key} is the password of the published samples{open}; choose another one"
                ));
            }
        }
    }
}
