//! Merges the places that values come from; of two values for a key, the later place's counts.
//!
//! The `config` crate merges. It has no kind for a number as written, so each number travels as a table that holds
//! its text; a JSON object, which no key takes, travels as a table, too.

use std::{collections::BTreeMap, fmt};

use config::{Config, ConfigError, Map, Source, Value as Merged, ValueKind};

use super::{
    found::{Found, Origin, Value},
    keys::KEYS,
};

/// Name of a number's text within its table.
const NUMBER: &str = "number";

/// The values of one place, by the name of their key.
#[derive(Clone, Default)]
pub struct Layer(pub BTreeMap<&'static str, Found>);

impl fmt::Debug for Layer {
    /// Without the values: passwords are among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Merged>, ConfigError> {
        let values = self.0.iter();
        Ok(values.map(|(name, found)| ((*name).to_owned(), packed(&found.value))).collect())
    }
}

/// Merges the layers, the most important one last.
///
/// # Errors
/// The crate refuses a name; the names of keys are none of those.
pub fn merge(layers: [Layer; 2]) -> Result<BTreeMap<&'static str, Found>, ConfigError> {
    let [below, above] = layers;
    let is_above = |name: &str| above.0.contains_key(name);
    let origin_of = |name| if is_above(name) { Origin::Environment(name) } else { Origin::File };
    let merged = Config::builder().add_source(below).add_source(above.clone()).build()?;
    let mut merged = merged.cache.into_table()?;
    let taken = KEYS.iter().filter_map(|key| {
        let value = unpacked(merged.remove(key.name)?.kind);
        Some((key.name, Found { value, origin: origin_of(key.name) }))
    });
    Ok(taken.collect())
}

fn packed(value: &Value) -> Merged {
    match value {
        Value::Null => ValueKind::Nil.into(),
        Value::Flag(flag) => (*flag).into(),
        Value::Number(text) => {
            Map::from_iter([(NUMBER.to_owned(), Merged::from(text.clone()))]).into()
        }
        Value::Text(text) => text.clone().into(),
        Value::List(items) => items.iter().map(packed).collect::<Vec<_>>().into(),
        Value::Other => Map::<String, Merged>::new().into(),
    }
}

fn unpacked(kind: ValueKind) -> Value {
    match kind {
        ValueKind::Nil => Value::Null,
        ValueKind::Boolean(flag) => Value::Flag(flag),
        ValueKind::String(text) => Value::Text(text),
        ValueKind::Array(items) => {
            Value::List(items.into_iter().map(|item| unpacked(item.kind)).collect())
        }
        ValueKind::Table(mut table) => match table.remove(NUMBER).map(|number| number.kind) {
            Some(ValueKind::String(text)) => Value::Number(text),
            _ => Value::Other,
        },
        _ => Value::Other,
    }
}
