//! Raw values of keys: of any type, numbers as written, each with its origin.
//!
//! The type is that of the `config` crate, which merges defaults, file and environment. Its own readers guess types and
//! lose the spelling of numbers, so this module makes the values. Encoding: a number is a
//! table with its text, an object one with a table of its fields; a value that no key accepts (an object or a list
//! within another) is an empty table.

pub use config::{Value, ValueKind};

use std::{collections::BTreeMap, fmt};

use config::{Config, ConfigError, Map};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use switcher_actors::go_json::Text;

use super::keys::{KEYS, Key, KeyKind};

/// Origin of a value that is set nowhere.
pub const DEFAULT: &str = "default";
/// Origin of a value from the file.
pub const FILE: &str = "file";

/// Name of a number's text within its table.
const NUMBER: &str = "number";
/// Name of an object's fields within its table.
const OBJECT: &str = "object";

/// Values of one place, by the exact names of their keys.
pub type Layer = Vec<(&'static str, Value)>;

/// Merges the defaults, the file and the environment; the later one wins.
///
/// # Errors
/// The crate refuses a name; the keys' names are valid.
pub fn merge(file: Layer, environment: Layer) -> Result<Map<String, Value>, ConfigError> {
    let default =
        |key: &'static Key| Some((key.name, with_origin(from_text(key, key.default?), DEFAULT)));
    let mut merged = Config::builder();
    for (name, value) in KEYS.iter().filter_map(default).chain(file) {
        merged = merged.set_default(name, value)?;
    }
    for (name, value) in environment {
        merged = merged.set_override(name, value)?;
    }
    merged.build()?.cache.into_table()
}

/// Adds the origin to a value. Merging drops the origin of a table, so what is in it carries the origin, too.
pub fn with_origin(kind: ValueKind, origin: &str) -> Value {
    let kind = match kind {
        ValueKind::Table(fields) => {
            let fields = fields.into_iter().map(|(name, it)| (name, with_origin(it.kind, origin)));
            ValueKind::Table(fields.collect())
        }
        kind => kind,
    };
    Value::new(Some(&origin.to_owned()), kind)
}

/// Origin of a value: [`DEFAULT`], [`FILE`] or an environment variable. Of an object with parts from both file and
/// environment: the first variable.
pub fn origin(value: &Value) -> &str {
    if let Some(fields) = as_fields(value) {
        return fields.into_values().map(origin).find(|it| *it != FILE).unwrap_or(FILE);
    }
    let of_number = || field(value, NUMBER)?.origin();
    // Only the file has empty tables.
    of_number().or(value.origin()).unwrap_or(FILE)
}

/// Text of a number, as written.
pub fn as_number(value: &Value) -> Option<&str> {
    as_text(field(value, NUMBER)?)
}

pub fn as_text(value: &Value) -> Option<&str> {
    match &value.kind {
        ValueKind::String(text) => Some(text),
        _ => None,
    }
}

pub fn as_texts(value: &Value) -> Option<Vec<String>> {
    match &value.kind {
        ValueKind::Array(items) => {
            items.iter().map(|item| as_text(item).map(str::to_owned)).collect()
        }
        _ => None,
    }
}

/// Fields of an object.
pub fn as_fields(value: &Value) -> Option<BTreeMap<&str, &Value>> {
    match &field(value, OBJECT)?.kind {
        ValueKind::Table(fields) => {
            Some(fields.iter().map(|(name, value)| (name.as_str(), value)).collect())
        }
        _ => None,
    }
}

/// Fields of an object of texts, or of `[]`, which PHP also writes for an empty object.
pub fn as_named_texts(value: &Value) -> Option<BTreeMap<String, String>> {
    if is_empty_list(&value.kind) {
        return Some(BTreeMap::new());
    }
    let named = |(name, value): (&str, &Value)| Some((name.to_owned(), as_text(value)?.to_owned()));
    as_fields(value)?.into_iter().map(named).collect()
}

/// Whether a value is an object.
pub fn is_object(kind: &ValueKind) -> bool {
    matches!(kind, ValueKind::Table(fields) if fields.contains_key(OBJECT))
}

/// Whether a value is `[]`, which PHP also writes for an empty object.
pub fn is_empty_list(kind: &ValueKind) -> bool {
    matches!(kind, ValueKind::Array(items) if items.is_empty())
}

fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match &value.kind {
        ValueKind::Table(fields) => fields.get(name),
        _ => None,
    }
}

/// An object with these fields.
pub fn object(fields: Map<String, Value>) -> ValueKind {
    let fields = Value::new(None, ValueKind::Table(fields));
    ValueKind::Table(Map::from_iter([(OBJECT.to_owned(), fields)]))
}

/// Adds the fields of `other` to those of `kind`, if both are objects. Returns the name of a field that both have with
/// different values.
pub fn add_fields(kind: &mut ValueKind, other: &ValueKind) -> Option<String> {
    let (ValueKind::Table(one), ValueKind::Table(other)) = (kind, other) else { return None };
    let (ValueKind::Table(one), ValueKind::Table(other)) =
        (&mut one.get_mut(OBJECT)?.kind, &other.get(OBJECT)?.kind)
    else {
        return None;
    };
    let mut clash = None;
    for (name, value) in other {
        let before = one.insert(name.clone(), value.clone());
        if before.is_some_and(|before| before.kind != value.kind) {
            clash = Some(name.clone());
        }
    }
    clash
}

/// A number, as written.
pub fn number(text: &str) -> ValueKind {
    ValueKind::Table(Map::from_iter([(NUMBER.to_owned(), Value::from(text))]))
}

/// Names and values of a JSON object. As in Go's decoder, the last of repeated names wins and `null` changes nothing.
#[derive(Default)]
pub struct Members<'a>(pub BTreeMap<String, &'a RawValue>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self::default())
    }
}

impl<'de> Visitor<'de> for Members<'de> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(mut self, mut map: M) -> Result<Self, M::Error> {
        while let Some(Text(name)) = map.next_key()? {
            let value: &RawValue = map.next_value()?;
            if value.get() != "null" {
                self.0.insert(name.into_owned(), value);
            }
        }
        Ok(self)
    }
}

/// Members of a JSON object; `None` for any other value.
pub fn members(json: &str) -> Option<Members<'_>> {
    json.starts_with('{').then(|| serde_json::from_str(json).ok())?
}

/// Reads a JSON value of the file; `None` for a text, a list or an object that cannot be read.
pub fn from_json(json: &RawValue) -> Option<ValueKind> {
    Some(match json.get().as_bytes().first()? {
        b'{' => {
            let Members(members) = members(json.get())?;
            let fields = members.into_iter();
            let fields = fields.map(|(name, json)| Some((name, Value::new(None, scalar(json)?))));
            object(fields.collect::<Option<_>>()?)
        }
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(json.get()).ok()?;
            let items =
                items.into_iter().map(|item| scalar(item).map(|kind| Value::new(None, kind)));
            ValueKind::Array(items.collect::<Option<_>>()?)
        }
        _ => scalar(json)?,
    })
}

fn scalar(json: &RawValue) -> Option<ValueKind> {
    let json = json.get();
    Some(match json.as_bytes().first()? {
        b'n' => ValueKind::Nil,
        b't' => ValueKind::Boolean(true),
        b'f' => ValueKind::Boolean(false),
        b'"' => ValueKind::String(serde_json::from_str::<Text<'_>>(json).ok()?.0.into_owned()),
        b'[' | b'{' => ValueKind::Table(Map::new()),
        _ => number(json),
    })
}

/// Spellings of `false` in the environment, in any case, as in the Docker image of the daemon that this one replaces.
pub const FALSE: &[&str] = &["false", "0", "", "null", "nil", "undefined"];

/// Gives a text from the environment the type of its key. A text of the wrong form stays a text, for the checks to
/// report.
pub fn from_text(key: &Key, text: &str) -> ValueKind {
    let trimmed = text.trim();
    match key.kind {
        KeyKind::Flag if ["true", "1"].iter().any(|it| trimmed.eq_ignore_ascii_case(it)) => {
            true.into()
        }
        KeyKind::Flag if FALSE.iter().any(|it| trimmed.eq_ignore_ascii_case(it)) => false.into(),
        KeyKind::Number { .. } if whole(trimmed).is_some() => number(trimmed),
        KeyKind::List => {
            let items = trimmed.split(',').map(str::trim);
            let items = items.filter(|item| key.is_docker_rules || !item.is_empty());
            items.collect::<Vec<_>>().into()
        }
        KeyKind::Urls | KeyKind::SecretTexts => {
            let json = serde_json::from_str::<&RawValue>(trimmed).ok();
            // PHP writes an empty object as a list.
            let json = json.filter(|json| json.get().starts_with('{') || is_empty(json));
            json.and_then(from_json).unwrap_or_else(|| text.into())
        }
        _ => text.into(),
    }
}

/// Whether JSON is an empty list.
fn is_empty(json: &RawValue) -> bool {
    from_json(json).is_some_and(|kind| is_empty_list(&kind))
}

/// Reads a whole number in any decimal spelling, exactly: `60`, `60.0`, `1.048576e+08`. `None` if it is no whole number,
/// is negative, or has more than 64 bits.
pub fn whole(number: &str) -> Option<u64> {
    let unsigned = number.strip_prefix('+').unwrap_or(number);
    let (unsigned, is_negative) = match unsigned.strip_prefix('-') {
        Some(unsigned) => (unsigned, true),
        None => (unsigned, false),
    };
    let (digits, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i64>().ok()?),
        None => (unsigned, 0),
    };
    let (before, after) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number =
        |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    if !is_number(before) || !is_number(after) {
        return None;
    }
    let digits = [before, after].concat();
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    // Number of zeros after the last digit that is not zero.
    let zeros = i64::try_from(before.len()).ok()?.checked_add(exponent)?;
    let zeros = u32::try_from(zeros.checked_sub(i64::try_from(significant.len()).ok()?)?).ok()?;
    let value = significant.parse::<u64>().ok()?.checked_mul(10u64.checked_pow(zeros)?)?;
    (!is_negative).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read_in_every_spelling() {
        for (text, number) in [
            ("60", 60),
            ("60.0", 60),
            ("60.000", 60),
            ("6e1", 60),
            ("0.6E+2", 60),
            ("6000e-2", 60),
            ("1.048576e+08", 104_857_600),
            ("1.048576e8", 104_857_600),
            ("0", 0),
            ("-0.0", 0),
            ("0e400", 0),
            ("007", 7),
            ("+5", 5),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(whole(text), Some(number), "{text}");
        }
        for text in [
            "",
            "60.5",
            "1e400",
            "1e-1",
            "-1",
            "18446744073709551616",
            "1e20",
            "0x10",
            "1_000",
            ".5",
            "5.",
            "e5",
            "1e",
            "1e99999999999999999999",
            "+-5",
            "٣",
            "60s",
            "inf",
            "NaN",
        ] {
            assert_eq!(whole(text), None, "{text}");
        }
    }

    #[test]
    fn a_file_keeps_its_numbers_as_written() {
        let read = |json: &str| from_json(&serde_json::from_str::<Box<RawValue>>(json).unwrap());
        let other = ValueKind::Table(Map::new());
        let list = vec![Value::from("x"), Value::new(None, other)];
        for (json, kind) in [
            ("1.50e1", number("1.50e1")),
            ("[\"x\",[1]]", ValueKind::Array(list)),
            ("null", ValueKind::Nil),
            (
                "{\"d\":1e999}",
                object(Map::from_iter([("d".to_owned(), Value::new(None, number("1e999")))])),
            ),
            ("\"\\ud800\"", "\u{fffd}".into()),
        ] {
            assert_eq!(read(json), Some(kind), "{json}");
        }
    }

    #[test]
    fn the_last_place_wins_with_its_origin() {
        let layer = |kind, origin| vec![("ZKQueueLimit", with_origin(kind, origin))];
        let other = || ValueKind::Table(Map::new());
        for (file, environment, expected) in [
            (vec![], vec![], (Some("1000000"), DEFAULT)),
            (layer(number("5"), FILE), vec![], (Some("5"), FILE)),
            (layer(other(), FILE), vec![], (None, FILE)),
            (layer(number("5"), FILE), layer(number("7"), "variable"), (Some("7"), "variable")),
            (layer(other(), FILE), layer(number("7"), "variable"), (Some("7"), "variable")),
            (layer("5".into(), FILE), layer(number("7"), "variable"), (Some("7"), "variable")),
            (vec![], layer("x".into(), "variable"), (None, "variable")),
        ] {
            let merged = merge(file, environment).unwrap();
            let value = &merged["ZKQueueLimit"];
            assert_eq!((as_number(value), origin(value)), expected);
        }
    }
}
