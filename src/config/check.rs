//! Turns raw values into [`Settings`], or tells all that is wrong with them at once.

mod addresses;
mod callers;
mod directories;
mod polls;
mod quoting;
mod read;
mod zookeeper;

use std::{fmt::Display, str::FromStr};

use switcher_actors::{Quoted, UpstreamUrl, WriterLimits, WriterSettings};

use self::{directories::Directories, quoting::hint};
use super::{
    Checked, Rejected, Settings,
    found::{Found, Value},
    keys::{self, KEYS, Key, Kind},
    load::Raw,
    problem::Problem,
    values::Values,
};
use crate::logging::{LogFormatSetting, LogLevel, LogSettings, Rotation};

pub(super) fn check(mut raw: Raw) -> Result<Checked, Rejected> {
    let misspelt = raw.unknown.iter().filter_map(|name| {
        let near = keys::nearest(name)?;
        Some(format!("unknown key {} is ignored: did you mean {near}?", Quoted(name)))
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
        let Directories { watch_dir, sub_pools, lock } = self.directories();
        let limits = WriterLimits {
            request_timeout: self.seconds("ZKRequestTimeoutSeconds"),
            queue_limit: self.size("ZKQueueLimit"),
        };
        let shutdown_grace = self.seconds("ShutdownGraceSeconds");
        let log = self.log();
        let callers = self.callers(coins.clone(), lower_case);
        let api = self.api(api_enabled);
        let admin = self.admin(api_enabled, callers.as_ref());
        let poller = self.poller(wants_cron_job, coins, lower_case, lock);
        let sub_pools = self.sub_pools(sub_pools);
        if !api_enabled && !wants_cron_job {
            self.problem(
                "EnableAPIServer",
                "is false and so is EnableCronJob: there is nothing to do; set one of them to true",
            );
        }
        let writer = WriterSettings { zookeeper: zookeeper?, watch_dir: watch_dir?, limits };
        let (callers, log) = (callers?, log?);
        self.doubt_sample_passwords(&callers, api.as_ref(), admin.as_ref());
        Some(Settings { api, admin, callers, writer, sub_pools, poller, shutdown_grace, log })
    }

    /// `None` only after a problem was noted.
    fn log(&mut self) -> Option<LogSettings> {
        let rotation =
            Rotation { size: self.number("LogFileSize"), count: self.size("LogFileCount") };
        let format = self.parsed::<LogFormatSetting>("LogFormat");
        let level = self.parsed::<LogLevel>("LogLevel");
        Some(LogSettings { format: format?, level: level?, rotation })
    }

    /// `None` only after a problem was noted.
    fn parsed<T: FromStr<Err: Display>>(&mut self, key: &'static str) -> Option<T> {
        let text = self.text(key);
        let problem = |error| self.problem(key, format!("{error}{}", hint(&text)));
        T::from_str(&text).map_err(problem).ok()
    }

    fn values(&self) -> Values {
        Values::of(|key| {
            let value = match self.found(key.name) {
                Some(found) => found.value.clone(),
                None => Value::from_text(key.kind, key.default?),
            };
            let shown = shown(key, &value);
            Some((value, shown))
        })
    }

    fn problem(&mut self, key: &'static str, text: impl Into<String>) {
        self.problems.push(Problem::of(key, text));
    }

    fn listing(&self) -> Vec<String> {
        KEYS.iter()
            .map(|key| match self.found(key.name) {
                Some(Found { value, origin }) => {
                    format!("{} = {} ({origin})", key.name, shown(key, value))
                }
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
    match value {
        Value::Null => "null".to_owned(),
        Value::Flag(flag) => flag.to_string(),
        Value::Number(number) => number.clone(),
        Value::Text(text) if key.kind == Kind::Url => Quoted(&without_secrets(text)).to_string(),
        Value::Text(text) => Quoted(text).to_string(),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(|item| shown(key, item)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Other => "an object or a list of lists".to_owned(),
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

#[cfg(test)]
mod tests;
