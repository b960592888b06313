//! Reads the configuration: the file, then environment variables of the same names over it.
//!
//! The environment is read here and not by the `config` crate, which folds the names' case (`APIUser`
//! would not override `APIUser`) and guesses types (the password `007` would become 7).

use std::{ffi::OsString, fs, path::Path};

use config::{File, FileFormat, Map, Source, Value, ValueKind};

use super::{
    keys::{self, KEYS, Kind},
    problem::Problem,
};

/// The values as found, under the keys' exact names, each knowing where it comes from.
#[derive(Debug, Default)]
pub struct Raw {
    /// By key name.
    pub values: Map<String, Value>,
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
    gather(Some(understand(text, Path::new("config.json"))), environment)
}

fn gather(
    file: Option<Result<Map<String, Value>, Problem>>,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Raw {
    let mut raw = Raw::default();
    match file {
        Some(Ok(found)) => raw.take_file(found),
        Some(Err(problem)) => raw.problems.push(problem),
        None => {}
    }
    raw.take_environment(environment);
    raw
}

fn read(path: &Path) -> Result<Map<String, Value>, Problem> {
    let text = fs::read_to_string(path).map_err(|error| {
        Problem::of_all(format!("file {} cannot be read: {error}", path.display()))
    })?;
    understand(&text, path)
}

/// The file's values under the names that it spells. What is wrong with it is told without quoting it:
/// it holds a password.
fn understand(text: &str, path: &Path) -> Result<Map<String, Value>, Problem> {
    let shown = path.display();
    let is_object = serde_json::from_str::<serde_json::Value>(text)
        .map_err(|error| Problem::of_all(format!("file {shown} is no JSON: {error}")))?
        .is_object();
    let source = File::from_str(text, FileFormat::Json);
    match source.collect() {
        Ok(values) if is_object => Ok(values),
        _ => Err(Problem::of_all(format!("file {shown} is no JSON object of keys and values"))),
    }
}

impl Raw {
    /// Names match whatever their case, as in the daemon that this one replaces.
    fn take_file(&mut self, found: Map<String, Value>) {
        let mut found: Vec<(String, Value)> = found.into_iter().collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, value) in found {
            let Some(key) = keys::find(&name) else {
                self.unknown.push(name);
                continue;
            };
            let value = Value::new(Some(&"file".to_owned()), value.kind);
            if self.values.insert(key.name.to_owned(), value).is_some() {
                let text = "is in the file more than once, in different cases; keep one of them";
                self.problems.push(Problem::of(key.name, text));
            }
        }
    }

    fn take_environment(&mut self, environment: impl Fn(&str) -> Option<OsString>) {
        for key in KEYS {
            let Some(value) = environment(key.name) else { continue };
            let origin = format!("environment variable {}", key.name);
            match value.into_string() {
                Ok(text) => {
                    let value = Value::new(Some(&origin), parse(key.kind, &text));
                    self.values.insert(key.name.to_owned(), value);
                }
                Err(_) => {
                    self.problems.push(Problem::of(key.name, format!("{origin} is not UTF-8")));
                }
            }
        }
    }
}

/// Gives a text the type that its key asks for. What does not parse stays a text, for the checks to
/// complain about.
pub fn parse(kind: Kind, text: &str) -> ValueKind {
    let trimmed = text.trim();
    let typed = match kind {
        Kind::Flag => match trimmed.to_ascii_lowercase().as_str() {
            "true" | "1" => Some(ValueKind::Boolean(true)),
            "false" | "0" => Some(ValueKind::Boolean(false)),
            _ => None,
        },
        Kind::Number { .. } => trimmed.parse().ok().map(ValueKind::I64),
        Kind::List => {
            let items = trimmed.split(',').map(str::trim).filter(|item| !item.is_empty());
            Some(ValueKind::Array(items.map(Value::from).collect()))
        }
        Kind::Text | Kind::Url | Kind::Secret => None,
    };
    typed.unwrap_or_else(|| ValueKind::String(text.to_owned()))
}
