//! Turns raw values into [`Settings`], or tells all that is wrong with them at once.

use std::{str::FromStr, time::Duration};

use config::{Value, ValueKind};
use switcher_actors::{
    Coins, DigestCredentials, PollerLock, PollerSettings, ServerVersion, SubPoolSettings,
    UpstreamUrl, WriterLimits, WriterSettings, ZkSettings, ZnodeDir,
};

use super::{
    AdminSettings, ApiSettings, CallerSettings, Checked, Credentials, Host, Rejected, Settings,
    keys::{self, KEYS, Key, Kind},
    load::{Raw, parse},
    problem::Problem,
    values::Values,
};
use crate::telemetry::{LogFormat, LogLevel, LogSettings, Rotation};

pub(super) fn check(mut raw: Raw) -> Result<Checked, Rejected> {
    let misspelt = raw.unknown.iter().filter_map(|name| {
        let near = keys::nearest(name)?;
        Some(format!("unknown key {name:?} is ignored: did you mean {near}?"))
    });
    let warnings: Vec<_> = misspelt.collect();
    let problems = std::mem::take(&mut raw.problems);
    if problems.iter().any(Problem::is_of_all) {
        // What the file would have said is not missing.
        return Err(Rejected { problems, warnings, values: None });
    }
    let mut reader = Reader { raw, problems, warnings };
    let settings = reader.settings();
    let (listing, values) = (reader.listing(), reader.values());
    let Reader { problems, warnings, .. } = reader;
    match settings {
        Some(settings) if problems.is_empty() => {
            Ok(Checked { settings, warnings, listing, values })
        }
        _ => Err(Rejected { problems, warnings, values: Some(values) }),
    }
}

/// Takes values out one by one and notes what is wrong with them.
struct Reader {
    raw: Raw,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Reader {
    /// `None` only after a problem was noted. Goes on to the other keys whatever was wrong with one.
    fn settings(&mut self) -> Option<Settings> {
        let api_enabled = self.flag("EnableAPIServer");
        let wants_cron_job = self.flag("EnableCronJob");
        let coins = self.coins();
        let lower_case = self.flag("StratumServerCaseInsensitive");
        let zookeeper = self.zookeeper();
        let watch_dir = self.dir("ZKSwitcherWatchDir");
        let limits = WriterLimits {
            request_timeout: self.seconds("ZKRequestTimeoutSeconds"),
            queue_limit: self.size("ZKQueueLimit"),
        };
        let shutdown_grace = self.seconds("ShutdownGraceSeconds");
        let log = self.log();
        let callers = self.callers(coins.clone(), lower_case);
        let api = self.api(api_enabled);
        let admin = self.admin(api_enabled, callers.as_ref());
        let poller = self.poller(wants_cron_job, coins.clone(), lower_case, watch_dir.as_ref());
        let sub_pools = self.sub_pools();
        if !api_enabled && !wants_cron_job {
            self.problem(
                "EnableAPIServer",
                "is false and so is EnableCronJob: there is nothing to do; set one of them to true",
            );
        }
        let writer = WriterSettings { zookeeper: zookeeper?, watch_dir: watch_dir?, limits };
        let (callers, log) = (callers?, log?);
        Some(Settings { api, admin, callers, writer, sub_pools, poller, shutdown_grace, log })
    }

    /// `None` only after a problem was noted. Credentials that the API needs are checked there.
    fn callers(&mut self, coins: Option<Coins>, lower_case: bool) -> Option<CallerSettings> {
        let coinbase_max = self.size("JobmakerCoinbaseMaxBytes");
        let body_limit = self.size("APIBodyLimitBytes");
        let body_timeout = self.seconds("APIBodyTimeoutSeconds");
        let (user, password) = (self.peek("APIUser"), self.peek("APIPassword"));
        let is_usable = !user.is_empty() && !user.contains(':') && !password.is_empty();
        let credentials = is_usable.then_some(Credentials { user, password });
        let scraper = self.scraper();
        let admin_hosts = self.admin_hosts();
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

    /// `None` only after a problem was noted.
    fn log(&mut self) -> Option<LogSettings> {
        let rotation =
            Rotation { size: self.number("LogFileSize"), count: self.size("LogFileCount") };
        let format = LogFormat::from_str(&self.text("LogFormat"));
        let format = format.map_err(|error| self.problem("LogFormat", error.to_string())).ok();
        let level = LogLevel::from_str(&self.text("LogLevel"));
        let level = level.map_err(|error| self.problem("LogLevel", error.to_string())).ok();
        Some(LogSettings { format: format?, level: level?, rotation })
    }

    /// `None` if the API is off, or after a problem was noted.
    fn api(&mut self, enabled: bool) -> Option<ApiSettings> {
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
    fn admin(
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
                format!("is {listen:?}, and ListenAddr {api:?}; choose another port"),
            );
        }
        // With the API on, that is a problem already.
        if callers.is_some_and(|callers| callers.credentials.is_none()) && !api_enabled {
            let open = match callers.and_then(|callers| callers.scraper.as_ref()) {
                None => "/healthz and /readyz",
                Some(_) => "/healthz, /readyz and /metrics",
            };
            self.warnings.push(format!(
                "{KEY} is {listen:?}, but APIUser and APIPassword are not set: of it only {open} will answer"
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
                        "contains {text:?}, expected a host name as browsers send it, with or without a port, like \
                         console.example.com or console.example.com:8443; no http://, no path, no *, IPv6 in brackets"
                    ),
                ),
            }
        }
        hosts
    }

    fn expect_address(&mut self, key: &'static str, address: &str, like: &str) {
        if split_host_port(address).is_none() {
            self.problem(key, format!("is {address:?}, expected host:port like {like}"));
        }
    }

    fn zookeeper(&mut self) -> Option<ZkSettings> {
        let brokers = self.brokers();
        let session_timeout = self.seconds("ZKSessionTimeoutSeconds");
        let credentials = self.credentials();
        let version = self.version();
        Some(ZkSettings { brokers: brokers?, session_timeout, credentials, version })
    }

    fn brokers(&mut self) -> Option<Vec<String>> {
        let brokers = self.list("ZKBroker")?;
        if brokers.is_empty() {
            self.problem("ZKBroker", "is empty, expected at least one host:port");
        }
        for broker in &brokers {
            if !split_host_port(broker).is_some_and(|(host, port)| !host.is_empty() && port != 0) {
                self.problem(
                    "ZKBroker",
                    format!("contains {broker:?}, expected host:port like 127.0.0.1:2181"),
                );
            }
        }
        Some(brokers)
    }

    fn credentials(&mut self) -> Option<DigestCredentials> {
        let text = self.text("ZKDigestCredentials");
        let credentials = DigestCredentials::parse(&text);
        if credentials.is_none() && !text.is_empty() {
            self.problem("ZKDigestCredentials", "is not of the form user:password");
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
                let problem = format!("is {text:?}; servers before {oldest} are not supported");
                self.problem("ZKServerVersion", problem);
            }
            Err(error) => self.problem("ZKServerVersion", format!("is {text:?}, which {error}")),
        }
        None
    }

    fn coins(&mut self) -> Option<Coins> {
        let names = self.list("AvailableCoins")?;
        let coins = Coins::new(&names);
        if let Err(error) = &coins {
            let expected = "expected the coins that may be switched to, like [\"btc\", \"bcc\"]";
            self.problem("AvailableCoins", format!("{error}; {expected}"));
        }
        coins.ok()
    }

    /// `None` if the map is not pulled, or after a problem was noted.
    fn poller(
        &mut self,
        enabled: bool,
        coins: Option<Coins>,
        lower_case: bool,
        watch_dir: Option<&ZnodeDir>,
    ) -> Option<PollerSettings> {
        let interval = self.seconds("CronIntervalSeconds");
        let fetch_timeout = self.seconds("CronFetchTimeoutSeconds");
        let body_limit = self.number("CronBodyLimitBytes");
        let overlap = i64::try_from(self.number("CronOverlapSeconds")).unwrap_or_default();
        let rewrite_unchanged = self.flag("CronRewriteUnchanged");
        let lock = self.poller_lock(watch_dir);
        if !enabled {
            return None;
        }
        let url = self.required("UserCoinMapURL", "where to pull the user-coin map from");
        let url = url.and_then(|url| {
            let problem = |error| self.problem("UserCoinMapURL", format!("{error}"));
            UpstreamUrl::parse(&url).map_err(problem).ok()
        });
        Some(PollerSettings {
            url: url?,
            interval,
            fetch_timeout,
            body_limit,
            overlap,
            rewrite_unchanged,
            lock,
            coins: coins?,
            lower_case,
        })
    }

    /// `None` if each daemon polls, or after a problem was noted.
    fn poller_lock(&mut self, watch_dir: Option<&ZnodeDir>) -> Option<PollerLock> {
        const KEY: &str = "ZKPollerLockPath";
        if self.text(KEY).is_empty() {
            return None;
        }
        let path = self.dir(KEY)?;
        if path.parent().is_none() {
            self.problem(KEY, "is the root, expected a znode of its own, like /switcher/poller");
        }
        let sub_pools = ZnodeDir::parse(&self.text("ZKSubPoolUpdateBaseDir")).ok();
        if watch_dir.is_some_and(|watch_dir| watch_dir.contains(&path)) {
            let text = "lies in ZKSwitcherWatchDir, where it would be a sub-account; choose \
                another place, like /switcher/poller";
            self.problem(KEY, text);
        } else if sub_pools.is_some_and(|sub_pools| sub_pools.contains(&path)) {
            let text = "lies in ZKSubPoolUpdateBaseDir, which is the jobmakers'; choose another \
                place, like /switcher/poller";
            self.problem(KEY, text);
        } else if watch_dir.is_some_and(|watch_dir| path.contains(watch_dir)) {
            let text = "contains ZKSwitcherWatchDir, but nothing can lie below the lock; choose \
                another place, like /switcher/poller";
            self.problem(KEY, text);
        }
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Some(PollerLock { path, holder: format!("{host}, process {}", std::process::id()) })
    }

    /// `None` if the sub-pool API is off, or after a problem was noted.
    fn sub_pools(&mut self) -> Option<SubPoolSettings> {
        let ack_timeout = self.seconds("ZKSubPoolUpdateAckTimeout");
        if self.text("ZKSubPoolUpdateBaseDir").is_empty() {
            return None;
        }
        Some(SubPoolSettings { base_dir: self.dir("ZKSubPoolUpdateBaseDir")?, ack_timeout })
    }

    fn dir(&mut self, name: &'static str) -> Option<ZnodeDir> {
        let text = self.required(name, "an absolute znode path, like /stratumSwitcher/btcbcc/")?;
        match ZnodeDir::parse(&text) {
            Ok(dir) => Some(dir),
            Err(error) => {
                self.problem(
                    name,
                    format!("is {text:?}, which {error}; expected an absolute znode path"),
                );
                None
            }
        }
    }

    /// A text that must be there and not be empty.
    fn required(&mut self, name: &'static str, expected: &str) -> Option<String> {
        let known = self.problems.len();
        let text = self.text(name);
        if !text.is_empty() {
            return Some(text);
        }
        // A value of the wrong type was complained about already.
        if self.problems.len() == known {
            let found = if self.found(name).is_some() { "is empty" } else { "is missing" };
            self.problem(name, format!("{found}, expected {expected}"));
        }
        None
    }

    fn flag(&mut self, name: &'static str) -> bool {
        self.value(name, "true or false", |kind| match kind {
            ValueKind::Boolean(flag) => Some(*flag),
            _ => None,
        })
        .unwrap_or_default()
    }

    fn text(&mut self, name: &'static str) -> String {
        self.value(name, "a text in quotes", |kind| match kind {
            ValueKind::String(text) => Some(text.clone()),
            _ => None,
        })
        .unwrap_or_default()
    }

    /// A text that is checked elsewhere, or matters nowhere else; empty if there is none.
    fn peek(&self, name: &'static str) -> String {
        match self.found(name).map(|value| &value.kind) {
            Some(ValueKind::String(text)) => text.clone(),
            _ => String::new(),
        }
    }

    /// `None` only after a problem was noted.
    fn list(&mut self, name: &'static str) -> Option<Vec<String>> {
        if self.found(name).is_none() {
            return Some(Vec::new());
        }
        self.value(name, "a list of texts, like [\"btc\", \"bcc\"]", |kind| match kind {
            ValueKind::Array(items) => items
                .iter()
                .map(|item| match &item.kind {
                    ValueKind::String(text) => Some(text.clone()),
                    _ => None,
                })
                .collect(),
            _ => None,
        })
    }

    fn seconds(&mut self, name: &'static str) -> Duration {
        Duration::from_secs(self.number(name))
    }

    fn size(&mut self, name: &'static str) -> usize {
        usize::try_from(self.number(name)).unwrap_or(usize::MAX)
    }

    fn number(&mut self, name: &'static str) -> u64 {
        let Kind::Number { min, max } = key(name).kind else { return 0 };
        let expected = format!("a whole number from {min} to {max}");
        self.value(name, &expected, |kind| {
            let number = match kind {
                ValueKind::I64(number) => u64::try_from(*number).ok()?,
                ValueKind::U64(number) => *number,
                _ => return None,
            };
            (min..=max).contains(&number).then_some(number)
        })
        .unwrap_or_default()
    }

    /// The key's value or its default. Notes a problem if `take` finds the value of the wrong type.
    fn value<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        take: impl Fn(&ValueKind) -> Option<T>,
    ) -> Option<T> {
        let key = key(name);
        // In Go's decoder null leaves a field as it was.
        let Some(value) = self.raw.values.get(name).filter(|value| value.kind != ValueKind::Nil)
        else {
            return take(&parse(key.kind, key.default?));
        };
        let taken = take(&value.kind);
        if taken.is_none() {
            let text = format!("is {}{}, expected {expected}", shown(key, value), origin(value));
            self.problem(name, text);
        }
        taken
    }

    /// The value as found. In Go's decoder null leaves a field as it was, as if it were absent.
    fn found(&self, name: &str) -> Option<&Value> {
        self.raw.values.get(name).filter(|value| value.kind != ValueKind::Nil)
    }

    fn values(&self) -> Values {
        Values::of(|key| match self.found(key.name) {
            Some(value) => Some((value.kind.clone(), shown(key, value))),
            None => {
                let kind = parse(key.kind, key.default?);
                let shown = shown(key, &Value::new(None, kind.clone()));
                Some((kind, shown))
            }
        })
    }

    fn problem(&mut self, key: &'static str, text: impl Into<String>) {
        self.problems.push(Problem::of(key, text));
    }

    fn listing(&self) -> Vec<String> {
        KEYS.iter()
            .map(|key| match self.found(key.name) {
                Some(value) => format!("{} = {}{}", key.name, shown(key, value), origin(value)),
                None => match key.default {
                    Some("") => format!("{} = \"\" (default)", key.name),
                    Some(default) => format!("{} = {default} (default)", key.name),
                    None => format!("{} is not set", key.name),
                },
            })
            .collect()
    }
}

/// The key of a name that this file spells itself.
fn key(name: &'static str) -> &'static Key {
    match keys::find(name) {
        Some(key) => key,
        None => unreachable!("{name} is not in the list of keys"),
    }
}

fn shown(key: &Key, value: &Value) -> String {
    if key.kind == Kind::Secret {
        return "(secret)".to_owned();
    }
    match &value.kind {
        ValueKind::String(text) if key.kind == Kind::Url => format!("{:?}", without_secrets(text)),
        ValueKind::String(text) => format!("{text:?}"),
        ValueKind::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| shown(key, item)).collect();
            format!("[{}]", items.join(", "))
        }
        ValueKind::Table(_) => "an object".to_owned(),
        other => other.to_string(),
    }
}

/// A URL without its credentials and its query, where tokens are. Of what is no URL we cannot tell where they
/// are: only its beginning is shown then.
fn without_secrets(url: &str) -> String {
    match UpstreamUrl::parse(url) {
        Ok(url) => url.to_string(),
        Err(_) if url.contains(['@', '?']) => {
            let scheme = url.split_once("://").map(|(scheme, _)| scheme);
            scheme.map_or("…".to_owned(), |scheme| format!("{scheme}://…"))
        }
        Err(_) => url.to_owned(),
    }
}

fn origin(value: &Value) -> String {
    value.origin().map(|origin| format!(" ({origin})")).unwrap_or_default()
}

/// Whether two addresses to listen on cannot both be had, as far as their texts tell.
fn overlap(one: &str, other: &str) -> bool {
    let is_every = |host: &str| ["", "0.0.0.0", "::", "[::]"].contains(&host);
    match (split_host_port(one), split_host_port(other)) {
        (Some((host, port)), Some((other_host, other_port))) => {
            port != 0
                && port == other_port
                && (host == other_host || is_every(host) || is_every(other_host))
        }
        _ => false,
    }
}

/// Splits at the last colon; an IPv6 address keeps its brackets. `None` without a port.
fn split_host_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if bare.is_none()
        && host.contains(|c: char| ":[]/,".contains(c) || c.is_whitespace() || c.is_control())
    {
        return None;
    }
    port.chars()
        .all(|c| c.is_ascii_digit())
        .then(|| port.parse().ok())
        .flatten()
        .map(|port| (host, port))
}

#[cfg(test)]
mod tests;
