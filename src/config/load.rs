//! Reads the configuration: the file, then environment variables of the same names over it.

use std::{borrow::Cow, collections::BTreeMap, ffi::OsString, fs, path::Path};

use switcher_actors::{Shown, go_json};

use super::{
    found::{Found, Origin, Value, read_file},
    keys::{self, KEYS},
    layers::{Layer, merge},
    problem::Problem,
};

/// The values as found, under the keys' exact names, each knowing where it comes from.
#[derive(Debug, Default)]
pub struct Raw {
    /// By key name.
    pub values: BTreeMap<&'static str, Found>,
    /// Keys of the file that are none of ours.
    pub unknown: Vec<String>,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

/// Reads `file` (if any) and lets `environment` override it.
pub fn load(file: Option<&Path>, environment: impl Fn(&str) -> Option<OsString>) -> Raw {
    gather(file.map(read), environment)
}

/// As [`load`], for a file with that text.
#[cfg(any(test, fuzzing))]
pub fn load_text(text: &str, environment: impl Fn(&str) -> Option<OsString>) -> Raw {
    gather(Some(understand(text.as_bytes(), Path::new("config.json"))), environment)
}

fn gather(
    file: Option<Result<Vec<(String, Value)>, Problem>>,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Raw {
    let mut raw = Raw::default();
    let file = match file {
        Some(Ok(found)) => raw.take_file(found),
        Some(Err(problem)) => {
            raw.problems.push(problem);
            Layer::default()
        }
        None => Layer::default(),
    };
    let environment = raw.take_environment(environment);
    match merge([file, environment]) {
        Ok(values) => raw.values = values,
        Err(error) => raw.problems.push(Problem::of_all(error.to_string())),
    }
    raw
}

fn read(path: &Path) -> Result<Vec<(String, Value)>, Problem> {
    let bytes =
        fs::read(path).map_err(|error| of_file(path, &format!("cannot be read: {error}")))?;
    understand(&bytes, path)
}

/// The file's values under the names that it spells. The errors do not quote the file: it holds a password.
fn understand(bytes: &[u8], path: &Path) -> Result<Vec<(String, Value)>, Problem> {
    let text = decode(bytes).map_err(|fault| of_file(path, fault))?;
    read_file(&text).map_err(|fault| of_file(path, &fault))
}

/// The text of a file that an editor may have put a byte order mark before. As in Go's decoder, a byte that is not
/// UTF-8 becomes U+FFFD: it may stand in a comment of another program's.
fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, &'static str> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err("is UTF-16; save it as UTF-8");
    }
    Ok(go_json::utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)))
}

fn of_file(path: &Path, fault: &str) -> Problem {
    Problem::of_all(format!("file {} {fault}", Shown(&path.to_string_lossy())))
}

impl Raw {
    /// Names match whatever their case, as in the daemon that this one replaces. Of a name that is repeated in the
    /// same spelling the last counts, as there, and `null` changes nothing.
    fn take_file(&mut self, found: Vec<(String, Value)>) -> Layer {
        let mut layer = Layer::default();
        let last: BTreeMap<String, Value> =
            found.into_iter().filter(|(_, value)| *value != Value::Null).collect();
        for (name, value) in last {
            let Some(key) = keys::find(&name) else {
                self.unknown.push(name);
                continue;
            };
            let found = Found { value, origin: Origin::File };
            if layer.0.insert(key.name, found).is_some() {
                let text = "is in the file more than once, in different cases; keep one of them";
                self.problems.push(Problem::of(key.name, text));
            }
        }
        layer
    }

    fn take_environment(&mut self, environment: impl Fn(&str) -> Option<OsString>) -> Layer {
        let mut layer = Layer::default();
        for key in KEYS {
            let Some(value) = environment(key.name) else { continue };
            let origin = Origin::Environment(key.name);
            match value.into_string() {
                Ok(text) => {
                    let value = Value::from_text(key.kind, &text);
                    layer.0.insert(key.name, Found { value, origin });
                }
                Err(_) => {
                    self.problems.push(Problem::of(key.name, format!("{origin} is not UTF-8")));
                }
            }
        }
        layer
    }
}
