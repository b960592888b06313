//! Raw values of keys: of any type, numbers as written, each with its origin.
//!
//! The type is that of the `config` crate, which merges defaults, file and environment. Its own readers guess types and
//! lose the spelling of numbers, so this module makes the values. Encoding: a number is a
//! table with its text; a value that no key accepts (an object, a list within a list) is an empty table.

pub use config::{Value, ValueKind};

use config::{Config, ConfigError, Map};
use serde_json::value::RawValue;
use switcher_actors::go_json::Text;

use super::keys::{KEYS, KeyKind};

/// Origin of a value that is set nowhere.
pub const DEFAULT: &str = "default";
/// Origin of a value from the file.
pub const FILE: &str = "file";

/// Name of a number's text within its table.
const NUMBER: &str = "number";

/// Values of one place, by the exact names of their keys.
pub type Layer = Vec<(&'static str, Value)>;

/// Merges the defaults, the file and the environment; the later one wins.
///
/// # Errors
/// The crate refuses a name; the keys' names are valid.
pub fn merge(file: Layer, environment: Layer) -> Result<Map<String, Value>, ConfigError> {
    let default = |key: &'static super::keys::Key| {
        Some((key.name, with_origin(from_text(key.kind, key.default?), DEFAULT)))
    };
    let mut merged = Config::builder();
    for (name, value) in KEYS.iter().filter_map(default).chain(file) {
        merged = merged.set_default(name, value)?;
    }
    for (name, value) in environment {
        merged = merged.set_override(name, value)?;
    }
    merged.build()?.cache.into_table()
}

/// Adds the origin to a value. Merging drops the origin of a table, so a number's text carries it, too.
pub fn with_origin(kind: ValueKind, origin: &str) -> Value {
    let origin = Some(&origin.to_owned());
    match kind {
        ValueKind::Table(fields) => {
            let fields = fields.into_iter().map(|(name, it)| (name, Value::new(origin, it.kind)));
            Value::new(origin, ValueKind::Table(fields.collect()))
        }
        kind => Value::new(origin, kind),
    }
}

/// Origin of a value: [`DEFAULT`], [`FILE`] or an environment variable.
pub fn origin(value: &Value) -> &str {
    let of_number = || number_field(value)?.origin();
    // Only the file has empty tables.
    of_number().or(value.origin()).unwrap_or(FILE)
}

/// Text of a number, as written.
pub fn as_number(value: &Value) -> Option<&str> {
    as_text(number_field(value)?)
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

fn number_field(value: &Value) -> Option<&Value> {
    match &value.kind {
        ValueKind::Table(fields) => fields.get(NUMBER),
        _ => None,
    }
}

fn number(text: &str) -> ValueKind {
    ValueKind::Table(Map::from_iter([(NUMBER.to_owned(), Value::from(text))]))
}

/// Reads a JSON value of the file; `None` for a text or a list that cannot be read.
pub fn from_json(json: &RawValue) -> Option<ValueKind> {
    Some(match json.get().as_bytes().first()? {
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

/// Gives a text from the environment the type of its key. A text of the wrong form stays a text, for the checks to
/// report.
pub fn from_text(kind: KeyKind, text: &str) -> ValueKind {
    let trimmed = text.trim();
    match kind {
        KeyKind::Flag if ["true", "1"].iter().any(|it| trimmed.eq_ignore_ascii_case(it)) => {
            true.into()
        }
        KeyKind::Flag if ["false", "0"].iter().any(|it| trimmed.eq_ignore_ascii_case(it)) => {
            false.into()
        }
        KeyKind::Number { .. } if whole(trimmed).is_some() => number(trimmed),
        KeyKind::List => {
            let items = trimmed.split(',').map(str::trim).filter(|item| !item.is_empty());
            items.collect::<Vec<_>>().into()
        }
        _ => text.into(),
    }
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
        let list = vec![Value::from("x"), Value::new(None, other.clone())];
        for (json, kind) in [
            ("1.50e1", number("1.50e1")),
            ("[\"x\",[1]]", ValueKind::Array(list)),
            ("null", ValueKind::Nil),
            ("{\"d\":1e999}", other),
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
