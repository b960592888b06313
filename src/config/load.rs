//! Reads the configuration: the file, then environment variables of the same names over it.
//!
//! The environment has a source of its own here, because the `config` crate's folds the names' case
//! (`APIUser` would not override `APIUser`) and guesses types (the password `007` would become 7).

use std::path::Path;

use config::{Config, ConfigError, File, FileFormat, Map, Source, Value, ValueKind};

use super::keys::{self, KEYS, Kind};

/// The values as found, under the keys' exact names, each knowing where it comes from.
#[derive(Debug)]
pub struct Raw {
    /// By key name.
    pub values: Map<String, Value>,
    /// Keys of the file that are none of ours.
    pub unknown: Vec<String>,
}

/// Reads `file` (if any) and lets `environment` override it.
pub fn load(
    file: Option<&Path>,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Raw, ConfigError> {
    let mut unknown = Vec::new();
    let mut named = Map::new();
    if let Some(path) = file {
        let source = File::from(path).format(FileFormat::Json);
        for (name, value) in source.collect()? {
            match keys::find(&name) {
                Some(key) => {
                    named.insert(key.name.to_owned(), value);
                }
                None => unknown.push(name),
            }
        }
    }
    unknown.sort();
    let merged = Config::builder()
        .add_source(Table(named))
        .add_source(Table(from_environment(environment)))
        .build()?;
    Ok(Raw { values: merged.cache.into_table()?, unknown })
}

fn from_environment(environment: impl Fn(&str) -> Option<String>) -> Map<String, Value> {
    let mut table = Map::new();
    for key in KEYS {
        if let Some(text) = environment(key.name) {
            let origin = format!("environment variable {}", key.name);
            table.insert(key.name.to_owned(), Value::new(Some(&origin), parse(key.kind, &text)));
        }
    }
    table
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
        Kind::Text | Kind::Secret => None,
    };
    typed.unwrap_or_else(|| ValueKind::String(text.to_owned()))
}

/// Values that are read already.
#[derive(Clone, Debug)]
struct Table(Map<String, Value>);

impl Source for Table {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}
