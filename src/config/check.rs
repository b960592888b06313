//! Turns raw values into [`Settings`], or tells all that is wrong with them at once.

use std::{fmt, str::FromStr, time::Duration};

use config::{ConfigError, Value, ValueKind};
use switcher_actors::{
    Coins, DigestCredentials, ServerVersion, WriterSettings, ZkSettings, ZnodeDir,
};

use super::{
    ApiSettings, Checked, Credentials, Settings,
    keys::{self, KEYS, Key, Kind},
    load::{Raw, parse},
};

/// One thing that is wrong: the key, what was found, what is expected.
#[derive(Debug)]
pub struct Problem {
    key: Option<&'static str>,
    text: String,
}

impl Problem {
    pub(super) fn unreadable(error: &ConfigError) -> Self {
        Self { key: None, text: format!("cannot be read as a JSON object: {error}") }
    }

    fn of(key: &'static str, text: impl Into<String>) -> Self {
        Self { key: Some(key), text: text.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key {
            Some(key) => write!(f, "{key}: {}", self.text),
            None => write!(f, "configuration {}", self.text),
        }
    }
}

pub(super) fn check(raw: Raw) -> Result<Checked, Vec<Problem>> {
    let warnings = raw.unknown.iter().filter_map(|name| {
        let near = keys::nearest(name)?;
        Some(format!("unknown key {name:?} is ignored: did you mean {near}?"))
    });
    let mut warnings: Vec<String> = warnings.collect();
    let mut reader = Reader { raw, problems: Vec::new() };
    let settings = reader.settings();
    let listing = reader.listing();
    match settings {
        Some(settings) if reader.problems.is_empty() => {
            if settings.wants_cron_job {
                warnings.push(
                    "EnableCronJob is true, but this version does not pull the user-coin map: \
                     switches come through the API only"
                        .to_owned(),
                );
            }
            Ok(Checked { settings, warnings, listing })
        }
        _ => Err(reader.problems),
    }
}

/// Takes values out one by one and notes what is wrong with them.
struct Reader {
    raw: Raw,
    problems: Vec<Problem>,
}

impl Reader {
    /// `None` only after a problem was noted. Looks at every key, whatever was wrong with others.
    fn settings(&mut self) -> Option<Settings> {
        let api_enabled = self.flag("EnableAPIServer");
        let wants_cron_job = self.flag("EnableCronJob");
        let coins = self.coins();
        let zookeeper = self.zookeeper();
        let watch_dir = self.dir("ZKSwitcherWatchDir");
        let request_timeout = self.seconds("ZKRequestTimeoutSeconds");
        let queue_limit = self.number("ZKQueueLimit");
        let shutdown_grace = self.seconds("ShutdownGraceSeconds");
        let api = self.api(api_enabled, coins);
        self.cron_job(wants_cron_job);
        self.sub_pools();
        if !api_enabled && !wants_cron_job {
            self.problem(
                "EnableAPIServer",
                "is false and so is EnableCronJob: there is nothing to do; set one of them to true",
            );
        }
        let writer = WriterSettings {
            zookeeper: zookeeper?,
            watch_dir: watch_dir?,
            request_timeout,
            queue_limit,
        };
        Some(Settings { api, writer, wants_cron_job, shutdown_grace })
    }

    fn api(&mut self, enabled: bool, coins: Option<Coins>) -> Option<ApiSettings> {
        let lower_case = self.flag("StratumServerCaseInsensitive");
        let body_limit = self.number("APIBodyLimitBytes");
        let head_timeout = self.seconds("APIHeadTimeoutSeconds");
        let body_timeout = self.seconds("APIBodyTimeoutSeconds");
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
        let password =
            self.required("APIPassword", "a password: with an empty one everybody would be let in");
        let listen = self.required("ListenAddr", "host:port to listen on, like 127.0.0.1:8082");
        let listen = listen.and_then(|listen| match split_host_port(&listen) {
            // Go's spelling for all addresses.
            Some(("", port)) => Some(format!("[::]:{port}")),
            Some(_) => Some(listen),
            None => {
                self.problem(
                    "ListenAddr",
                    format!("is {listen:?}, expected host:port like 127.0.0.1:8082"),
                );
                None
            }
        });
        Some(ApiSettings {
            listen: listen?,
            credentials: Credentials { user: user?, password: password? },
            coins: coins?,
            lower_case,
            body_limit,
            head_timeout,
            body_timeout,
        })
    }

    fn zookeeper(&mut self) -> Option<ZkSettings> {
        let brokers = self.list("ZKBroker");
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
        let session_timeout = self.seconds("ZKSessionTimeoutSeconds");
        let credentials = match self.text("ZKDigestCredentials").as_str() {
            "" => None,
            text => {
                let credentials = DigestCredentials::parse(text);
                if credentials.is_none() {
                    self.problem("ZKDigestCredentials", "is not of the form user:password");
                }
                credentials
            }
        };
        let version = match self.text("ZKServerVersion").as_str() {
            "" => None,
            text => match ServerVersion::from_str(text) {
                Ok(version) if version >= ServerVersion::OLDEST => Some(version),
                Ok(_) => {
                    let oldest = ServerVersion::OLDEST;
                    self.problem(
                        "ZKServerVersion",
                        format!("is {text:?}; servers before {oldest} are not supported"),
                    );
                    None
                }
                Err(error) => {
                    self.problem("ZKServerVersion", format!("is {text:?}, which {error}"));
                    None
                }
            },
        };
        Some(ZkSettings { brokers, session_timeout, credentials, version })
    }

    fn coins(&mut self) -> Option<Coins> {
        let names = self.list("AvailableCoins");
        match Coins::new(&names) {
            Ok(coins) => Some(coins),
            Err(error) => {
                self.problem(
                    "AvailableCoins",
                    format!("{error}; expected the coins that may be switched to, like [\"btc\", \"bcc\"]"),
                );
                None
            }
        }
    }

    /// Nothing runs on these yet; what is wrong with them is told all the same.
    fn cron_job(&mut self, enabled: bool) {
        self.seconds("CronIntervalSeconds");
        if !enabled {
            return;
        }
        let url = self.required("UserCoinMapURL", "where to pull the user-coin map from");
        if url.is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
            self.problem("UserCoinMapURL", "does not begin with http:// or https://");
        }
    }

    fn sub_pools(&mut self) {
        self.seconds("ZKSubPoolUpdateAckTimeout");
        if !self.text("ZKSubPoolUpdateBaseDir").is_empty() {
            self.dir("ZKSubPoolUpdateBaseDir");
        }
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

    fn list(&mut self, name: &'static str) -> Vec<String> {
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
        .unwrap_or_default()
    }

    fn seconds(&mut self, name: &'static str) -> Duration {
        Duration::from_secs(self.number(name) as u64)
    }

    fn number(&mut self, name: &'static str) -> usize {
        let Kind::Number { min, max } = key(name).kind else { return 0 };
        let expected = format!("a whole number from {min} to {max}");
        self.value(name, &expected, |kind| {
            let number = match kind {
                ValueKind::I64(number) => u64::try_from(*number).ok()?,
                ValueKind::U64(number) => *number,
                _ => return None,
            };
            (min..=max).contains(&number).then(|| usize::try_from(number).ok()).flatten()
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
        ValueKind::String(text) => format!("{text:?}"),
        ValueKind::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| shown(key, item)).collect();
            format!("[{}]", items.join(", "))
        }
        ValueKind::Table(_) => "an object".to_owned(),
        other => other.to_string(),
    }
}

fn origin(value: &Value) -> String {
    value.origin().map(|origin| format!(" ({origin})")).unwrap_or_default()
}

/// Splits at the last colon; an IPv6 address keeps its brackets. `None` without a port.
fn split_host_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if bare.is_none() && host.contains([':', '[', ']', '/', ' ', ',']) {
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
