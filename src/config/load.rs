//! Reads the configuration: the file, then environment variables of the same names over it.

use std::{borrow::Cow, collections::BTreeMap, env, ffi::OsString, fs, path::Path};

use config::Map;
use serde::de::IgnoredAny;
use switcher_actors::{Shown, go_json};

use super::{
    keys::{self, GROUP, KEYS},
    problem::Problem,
    value::{
        self, FILE, Layer, Members, Value, ValueKind, add_fields, as_texts, is_empty_list,
        with_origin,
    },
};

/// The configuration before any check.
#[derive(Default)]
pub struct RawConfig {
    /// Values by the exact names of their keys, defaults included.
    pub values: Map<String, Value>,
    /// Keys of the file that this program does not know.
    pub unknown: Vec<String>,
    /// Names of the environment's variables `UserListAPI_…`.
    pub list_variables: Vec<String>,
    /// Keys whose environment variables are set, but count as absent.
    pub blank_variables: Vec<&'static str>,
    /// Values or files that cannot be read.
    pub problems: Vec<Problem>,
}

/// Reads `file` (if any) and lets `environment` override it.
pub fn load(file: Option<&Path>, environment: impl Fn(&str) -> Option<OsString>) -> RawConfig {
    let mut raw = gather(file.map(read), environment);
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    raw.list_variables = names.filter(|name| name.starts_with(LIST_VARIABLE)).collect();
    raw
}

/// As [`load`], for a file with that text.
#[cfg(any(test, fuzzing))]
pub fn load_text(text: &str, environment: impl Fn(&str) -> Option<OsString>) -> RawConfig {
    gather(Some(parse(text.as_bytes(), Path::new("config.json"))), environment)
}

fn gather(
    file: Option<Result<Entries, Problem>>,
    environment: impl Fn(&str) -> Option<OsString>,
) -> RawConfig {
    let mut raw = RawConfig::default();
    let entries = file.unwrap_or_else(|| Ok(Entries::new())).unwrap_or_else(|problem| {
        raw.problems.push(problem);
        Entries::new()
    });
    let file = raw.file_layer(entries);
    let environment = raw.environment_layer(&file, environment);
    match value::merge(file, environment) {
        Ok(values) => raw.values = values,
        Err(error) => raw.problems.push(Problem::of_all(error.to_string())),
    }
    raw
}

fn read(path: &Path) -> Result<Entries, Problem> {
    let bytes =
        fs::read(path).map_err(|error| of_file(path, &format!("cannot be read: {error}")))?;
    parse(&bytes, path)
}

/// Parses the file. The errors do not quote the file: it holds a password.
fn parse(bytes: &[u8], path: &Path) -> Result<Entries, Problem> {
    let text = decode(bytes).map_err(|fault| of_file(path, fault))?;
    serde_json::from_str::<IgnoredAny>(&text)
        .map_err(|error| of_file(path, &format!("is no JSON: {error}")))?;
    let members = serde_json::from_str(&text).ok();
    members.and_then(entries).ok_or_else(|| of_file(path, "is no JSON object of keys and values"))
}

/// Values by the names in the file; those in the object [`GROUP`] by the names of their keys.
fn entries(Members(members): Members<'_>) -> Option<Entries> {
    let mut entries = Entries::new();
    for (name, json) in members {
        let group = if is_group(&name) { value::members(json.get()) } else { None };
        if let Some(Members(fields)) = group {
            for (field, json) in fields {
                entries.insert(format!("{name}_{field}"), value::from_json(json)?);
            }
        } else {
            entries.insert(name, value::from_json(json)?);
        }
    }
    Some(entries)
}

fn is_group(name: &str) -> bool {
    name.eq_ignore_ascii_case(GROUP)
}

/// Decodes a file, with or without a byte order mark. As in Go's decoder, a byte that is not UTF-8 becomes U+FFFD: it
/// may stand in another program's comment.
fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, &'static str> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err("is UTF-16; save it as UTF-8");
    }
    Ok(go_json::utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)))
}

fn of_file(path: &Path, fault: &str) -> Problem {
    Problem::of_all(format!("file {} {fault}", Shown(&path.to_string_lossy())))
}

/// Values of the file by the names in it.
type Entries = BTreeMap<String, ValueKind>;

impl RawConfig {
    /// Finds the keys of the file's names in any case, and merges objects whose names differ in case, as the daemon
    /// that this one replaces does.
    fn file_layer(&mut self, entries: Entries) -> Layer {
        let mut layer = BTreeMap::<&str, ValueKind>::new();
        for (name, mut kind) in entries {
            let Some(key) = keys::find(&name) else {
                if !is_group(&name) {
                    self.unknown.push(name);
                } else if !is_empty_list(&kind) {
                    self.problems.push(Problem::of(GROUP, "is no object with fields like \"URL\""));
                }
                continue;
            };
            let repeated = match layer.get(key.name) {
                None => false,
                Some(before) if value::is_object(before) && value::is_object(&kind) => {
                    add_fields(&mut kind, before).is_some()
                }
                Some(_) => true,
            };
            layer.insert(key.name, kind);
            if repeated {
                let text = "is in the file more than once, in different cases; keep one of them";
                self.problems.push(Problem::of(key.name, text));
            }
        }
        layer.into_iter().map(|(name, kind)| (name, with_origin(kind, FILE))).collect()
    }

    fn environment_layer(
        &mut self,
        file: &Layer,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Layer {
        let mut layer = Layer::new();
        for key in KEYS {
            let Some((text, origin)) = self.variable(key.name, key.name, &environment) else {
                continue;
            };
            if key.is_docker_rules && ["", "0"].contains(&text.trim()) {
                self.blank_variables.push(key.name);
                continue;
            }
            layer.push((key.name, with_origin(value::from_text(key, &text), &origin)));
        }
        let has = |layer: &Layer, name| layer.iter().any(|(it, _)| *it == name);
        if has(&layer, URL) && !has(&layer, WAIT) && !has(file, WAIT) {
            let wait =
                with_origin(value::number(DOCKER_WAIT), "default with a URL from the environment");
            layer.push((WAIT, wait));
        }
        let coins = layer.iter().chain(file).find(|(name, _)| *name == "AvailableCoins");
        let coins = coins.and_then(|(_, coins)| as_texts(coins)).unwrap_or_default();
        if let Some(lists) = self.list_variables(&coins, environment) {
            match layer.iter_mut().find(|(name, _)| *name == LISTS) {
                Some((_, whole)) => {
                    add_fields(&mut whole.kind, &lists);
                }
                None => layer.push((LISTS, Value::new(None, lists))),
            }
        }
        layer
    }

    /// The object of the variables `UserListAPI_COIN`; `None` without any.
    fn list_variables(
        &mut self,
        coins: &[String],
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Option<ValueKind> {
        let mut lists = Map::new();
        // As in the daemon that this one replaces, `auto` has no list.
        for coin in coins.iter().filter(|coin| *coin != "auto") {
            let name = format!("{LIST_VARIABLE}{coin}");
            if let Some((text, origin)) = self.variable(LISTS, &name, &environment) {
                lists.insert(coin.clone(), with_origin(text.into(), &origin));
            }
        }
        (!lists.is_empty()).then(|| value::object(lists))
    }

    /// Text and origin of an environment variable, for `key`.
    fn variable(
        &mut self,
        key: &'static str,
        name: &str,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Option<(String, String)> {
        let text = environment(name)?;
        let origin = format!("environment variable {name}");
        if text.to_str().is_none() {
            self.problems.push(Problem::of(key, format!("{origin} is not UTF-8")));
        }
        Some((text.into_string().ok()?, origin))
    }
}

/// Key of the backend that registers.
const URL: &str = "UserAutoRegAPI_URL";
/// Key of a registration's wait.
const WAIT: &str = "UserAutoRegAPI_IntervalSeconds";
/// Seconds of the wait in the Docker image of the daemon that this one replaces; without the image 0.
const DOCKER_WAIT: &str = "10";

/// Key whose environment variables are named after coins.
const LISTS: &str = "UserListAPI";

/// Beginning of their names.
pub const LIST_VARIABLE: &str = "UserListAPI_";
