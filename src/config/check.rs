//! Turns raw values into [`Settings`], or reports every problem at once.
//!
//! * `read`: single values, each as the type of its key;
//! * `listeners`, `credentials`, `proxies`, `zookeeper`, `directories`, `polls`, `user_lists`, `history`: the sections of
//!   the settings;
//! * `quoting`: likely causes of values that cannot work.

mod credentials;
mod directories;
mod history;
mod listeners;
mod polls;
mod proxies;
mod quoting;
mod read;
mod user_lists;
mod zookeeper;

use std::{fmt::Display, str::FromStr};

use config::Map;
use switcher_actors::{Quoted, UpstreamUrl, UserListSettings, WriterLimits, WriterSettings};

use self::{directories::Directories, quoting::hint};
use super::{
    Checked, Rejected, Settings,
    keys::{self, KEYS, Key, KeyKind},
    load::RawConfig,
    problem::Problem,
    snapshot::Snapshot,
    value::{DEFAULT, Value, ValueKind, as_fields, as_named_texts, as_number, origin},
};
use crate::logging::{LogFormatSetting, LogLevel, LogSettings, Rotation};

pub(super) fn check(raw: RawConfig) -> Result<Checked, Rejected> {
    let RawConfig { values, unknown, list_variables, blank_variables, problems } = raw;
    let misspelt = unknown.iter().filter_map(|name| {
        let near = keys::nearest(name)?;
        Some(format!("unknown key {} is ignored: did you mean {near}?", Quoted(name)))
    });
    let warnings: Vec<_> = misspelt.collect();
    if problems.iter().any(Problem::is_of_all) {
        // Keys of an unreadable file are not missing.
        return Err(Rejected { problems, warnings, values: None });
    }
    let mut reader = Reader { values, problems, warnings };
    let settings = reader.settings();
    reader.warn_of_variables(&list_variables);
    let Reader { values, mut problems, warnings } = reader;
    for problem in &mut problems {
        problem.explain(&blank_variables, |key| {
            format!("; environment variable {key} is blank or 0, which counts as absent")
        });
    }
    let (listing, values) = (listing(&values), Snapshot::new(&values));
    match settings {
        Some(settings) if problems.is_empty() => {
            Ok(Checked { settings, warnings, listing, values })
        }
        _ => Err(Rejected { problems, warnings, values: Some(values) }),
    }
}

/// Reads values one by one and records problems. A method that returns an `Option` returns `None` for a part that is
/// switched off, or after a recorded problem.
struct Reader {
    values: Map<String, Value>,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Reader {
    /// Reads every key, even after a problem.
    fn settings(&mut self) -> Option<Settings> {
        let api_enabled = self.flag("EnableAPIServer");
        let polls_enabled = self.flag("EnableCronJob");
        let coins = self.coins();
        let lower_case = self.flag("StratumServerCaseInsensitive");
        let zookeeper = self.zookeeper();
        let brokers = zookeeper.as_ref().map(|it| it.brokers.clone()).unwrap_or_default();
        let zookeeper_tls = self.zookeeper_tls(&brokers);
        let has_lists = self.has_lists();
        let registers = self.flag("EnableUserAutoReg");
        let Directories { watch_dir, sub_pools, lock, index, requests, held } =
            self.directories(has_lists || registers, lower_case);
        let limits = self.limits();
        let shutdown_grace = self.seconds("ShutdownGraceSeconds");
        let log = self.log();
        let history = self.history();
        let callers = self.callers(coins.clone(), lower_case);
        let head_timeout = self.seconds("APIHeadTimeoutSeconds");
        let api = self.api(api_enabled, head_timeout);
        let admin = self.admin(api_enabled, callers.as_ref());
        let tls = self.tls();
        let fetch = self.fetch_limits();
        let user_lists = self.user_lists(coins.as_ref(), lower_case, index.clone(), fetch);
        let poller = self.poller(polls_enabled, coins.clone(), lower_case, lock, fetch);
        let sub_pools = self.sub_pools(sub_pools);
        let lists = user_lists.as_ref();
        let registration =
            self.registration(registers, requests, held.as_ref(), coins.as_ref(), lists);
        let list_api = callers.as_ref().and_then(|callers| {
            self.list_api(lists, &callers.list_access, api.as_ref(), head_timeout)
        });
        self.expect_some_work([api_enabled, polls_enabled, has_lists, registers]);
        let writer = WriterSettings {
            zookeeper: zookeeper?,
            watch_dir: watch_dir?,
            index,
            held_dir: held?,
            safety_period: lists.map(UserListSettings::safety_period),
            limits,
        };
        let (callers, log) = (callers?, log?);
        self.doubt_sample_passwords(&callers, api.as_ref(), admin.as_ref());
        Some(Settings {
            api,
            admin,
            list_api,
            tls,
            zookeeper_tls,
            callers,
            writer,
            sub_pools,
            poller,
            user_lists,
            registration,
            history,
            shutdown_grace,
            log,
        })
    }

    fn has_lists(&self) -> bool {
        let lists = self.values.get("UserListAPI").and_then(as_named_texts);
        lists.is_some_and(|it| !it.is_empty())
    }

    fn limits(&mut self) -> WriterLimits {
        let request_timeout = self.seconds("ZKRequestTimeoutSeconds");
        WriterLimits { request_timeout, queue_limit: self.size("ZKQueueLimit") }
    }

    fn expect_some_work(&mut self, parts: [bool; 4]) {
        if parts == [false; 4] {
            self.problem(
                "EnableAPIServer",
                "is false and so is EnableCronJob, and there are no user lists and no registrations: there is \
                 nothing to do; set one of them",
            );
        }
    }

    fn log(&mut self) -> Option<LogSettings> {
        let rotation =
            Rotation { size: self.number("LogFileSize"), count: self.size("LogFileCount") };
        let format = self.parsed::<LogFormatSetting>("LogFormat");
        let level = self.parsed::<LogLevel>("LogLevel");
        Some(LogSettings { format: format?, level: level?, rotation })
    }

    fn parsed<T: FromStr<Err: Display>>(&mut self, key: &'static str) -> Option<T> {
        let text = self.text(key);
        let problem = |error| self.problem(key, format!("{error}{}", hint(&text)));
        T::from_str(&text).map_err(problem).ok()
    }

    /// Whether nothing is known to be wrong with these keys. A warning about a value that was not read would mislead.
    fn are_sound(&self, keys: &[&str]) -> bool {
        !self.problems.iter().any(|problem| problem.is_with(keys))
    }

    fn problem(&mut self, key: &'static str, text: impl Into<String>) {
        self.problems.push(Problem::of(key, text));
    }

    /// Records a problem with a text: the text itself, the fault, the likely cause.
    fn refuse(&mut self, key: &'static str, text: &str, fault: impl Display) {
        self.problem(key, format!("is {}{fault}{}", Quoted(text), hint(text)));
    }
}

fn listing(values: &Map<String, Value>) -> Vec<String> {
    let line = |key: &Key| match (values.get(key.name), key.default) {
        (None, _) => format!("{} is not set", key.name),
        (Some(value), Some(default)) if origin(value) == DEFAULT => {
            let default = if default.is_empty() { "\"\"" } else { default };
            format!("{} = {default} (default)", key.name)
        }
        (Some(value), _) => format!("{} = {} ({})", key.name, shown(key, value), origin(value)),
    };
    KEYS.iter().map(line).collect()
}

/// A value as the log and `--check-config` show it.
pub(super) fn shown(key: &Key, value: &Value) -> String {
    if key.kind.is_secret() {
        return "(secret)".to_owned();
    }
    if key.kind == KeyKind::Urls
        && let Some(fields) = as_fields(value)
    {
        let fields = fields.into_iter();
        let fields: Vec<_> =
            fields.map(|(name, it)| format!("{}: {}", Quoted(name), shown(key, it))).collect();
        return format!("{{{}}}", fields.join(", "));
    }
    match &value.kind {
        ValueKind::Nil => "null".to_owned(),
        ValueKind::Boolean(flag) => flag.to_string(),
        ValueKind::String(text) if matches!(key.kind, KeyKind::Url | KeyKind::Urls) => {
            Quoted(&without_secrets(text)).to_string()
        }
        ValueKind::String(text) => Quoted(text).to_string(),
        ValueKind::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| shown(key, item)).collect();
            format!("[{}]", items.join(", "))
        }
        _ => as_number(value).unwrap_or("an object or a list").to_owned(),
    }
}

/// A URL without its credentials and its query, which may hold tokens. Of a text that is no URL only the scheme is
/// certainly harmless.
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

#[cfg(test)]
mod tests;
