//! Reads the configuration: the file, then environment variables of the same names over it.

use std::{borrow::Cow, collections::BTreeMap, ffi::OsString, fs, path::Path};

use config::Map;
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
};
use switcher_actors::{
    Shown,
    go_json::{self, Text},
};

use super::{
    keys::{self, KEYS},
    problem::Problem,
    value::{self, FILE, Layer, Value, ValueKind, with_origin},
};

/// The configuration before any check.
#[derive(Default)]
pub struct RawConfig {
    /// Values by the exact names of their keys, defaults included.
    pub values: Map<String, Value>,
    /// Keys of the file that this program does not know.
    pub unknown: Vec<String>,
    /// Values or files that cannot be read.
    pub problems: Vec<Problem>,
}

/// Reads `file` (if any) and lets `environment` override it.
pub fn load(file: Option<&Path>, environment: impl Fn(&str) -> Option<OsString>) -> RawConfig {
    gather(file.map(read), environment)
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
    let entries = file.unwrap_or_else(|| Ok(Entries::default())).unwrap_or_else(|problem| {
        raw.problems.push(problem);
        Entries::default()
    });
    let file = raw.file_layer(entries);
    let environment = raw.environment_layer(environment);
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
    serde_json::from_str(&text).map_err(|_| of_file(path, "is no JSON object of keys and values"))
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

/// Values of the file by the names in it. As in Go's decoder, the last of repeated names wins and `null` changes
/// nothing.
#[derive(Default)]
struct Entries(BTreeMap<String, ValueKind>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self::default())
    }
}

impl<'de> Visitor<'de> for Entries {
    type Value = Self;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(mut self, mut map: M) -> Result<Self, M::Error> {
        while let Some(Text(name)) = map.next_key()? {
            let kind = value::from_json(map.next_value()?).ok_or(M::Error::custom(""))?;
            if kind != ValueKind::Nil {
                self.0.insert(name.into_owned(), kind);
            }
        }
        Ok(self)
    }
}

impl RawConfig {
    /// Finds the keys of the file's names in any case, as the daemon that this one replaces does.
    fn file_layer(&mut self, Entries(entries): Entries) -> Layer {
        let mut layer = BTreeMap::new();
        for (name, kind) in entries {
            let Some(key) = keys::find(&name) else {
                self.unknown.push(name);
                continue;
            };
            if layer.insert(key.name, with_origin(kind, FILE)).is_some() {
                let text = "is in the file more than once, in different cases; keep one of them";
                self.problems.push(Problem::of(key.name, text));
            }
        }
        layer.into_iter().collect()
    }

    fn environment_layer(&mut self, environment: impl Fn(&str) -> Option<OsString>) -> Layer {
        let mut layer = Layer::new();
        for key in KEYS {
            let Some(text) = environment(key.name) else { continue };
            let origin = format!("environment variable {}", key.name);
            if let Some(text) = text.to_str() {
                layer.push((key.name, with_origin(value::from_text(key.kind, text), &origin)));
            } else {
                self.problems.push(Problem::of(key.name, format!("{origin} is not UTF-8")));
            }
        }
        layer
    }
}
