//! Values as they are found in the file or in the environment.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use switcher_actors::go_json::Text;

use super::keys::Kind;

/// A value and where it comes from.
#[derive(Clone, Debug)]
pub struct Found {
    /// The value.
    pub value: Value,
    /// Its place.
    pub origin: Origin,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The file.
    File,
    /// The environment variable of that name.
    Environment(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("file"),
            Self::Environment(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// A value of any type. Numbers keep the spelling that they were found in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `null`, which leaves a key as if it were absent, as in Go's decoder.
    Null,
    /// `true` or `false`.
    Flag(bool),
    /// A number of any kind.
    Number(String),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// An object, or a list within a list: no key has such a value.
    Other,
}

/// The names and values of a file, in its order, repeated names included.
pub fn read_file(json: &str) -> Result<Vec<(String, Value)>, String> {
    serde_json::from_str::<IgnoredAny>(json).map_err(|error| format!("is no JSON: {error}"))?;
    // A parser's error would quote the file, which holds a password.
    let entries = serde_json::from_str::<Entries>(json);
    let Entries(entries) = entries.map_err(|_| "is no JSON object of keys and values")?;
    Ok(entries)
}

struct Entries(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self(Vec::new()))
    }
}

impl<'de> Visitor<'de> for Entries {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(mut self, mut map: M) -> Result<Self, M::Error> {
        while let Some(Text(name)) = map.next_key()? {
            let value = Value::from_json(map.next_value()?, true).ok_or(M::Error::custom(""))?;
            self.0.push((name.into_owned(), value));
        }
        Ok(self)
    }
}

impl Value {
    fn from_json(json: &RawValue, may_be_list: bool) -> Option<Self> {
        let json = json.get();
        Some(match json.as_bytes().first()? {
            b'n' => Self::Null,
            b't' => Self::Flag(true),
            b'f' => Self::Flag(false),
            b'"' => Self::Text(serde_json::from_str::<Text<'_>>(json).ok()?.0.into_owned()),
            b'[' if may_be_list => {
                let items: Vec<&RawValue> = serde_json::from_str(json).ok()?;
                let items = items.into_iter().map(|item| Self::from_json(item, false));
                Self::List(items.collect::<Option<_>>()?)
            }
            b'[' | b'{' => Self::Other,
            _ => Self::Number(json.to_owned()),
        })
    }

    /// Gives a text from the environment the type of its key. A text that does not fit stays a text, for the checks
    /// to complain about.
    pub fn from_text(kind: Kind, text: &str) -> Self {
        let trimmed = text.trim();
        let typed = match kind {
            Kind::Flag => match trimmed.to_ascii_lowercase().as_str() {
                "true" | "1" => Some(Self::Flag(true)),
                "false" | "0" => Some(Self::Flag(false)),
                _ => None,
            },
            Kind::Number { .. } => whole(trimmed).map(|_| Self::Number(trimmed.to_owned())),
            Kind::List => {
                let items = trimmed.split(',').map(str::trim).filter(|item| !item.is_empty());
                Some(Self::List(items.map(|item| Self::Text(item.to_owned())).collect()))
            }
            Kind::Text | Kind::Url | Kind::Secret => None,
        };
        typed.unwrap_or_else(|| Self::Text(text.to_owned()))
    }
}

/// The whole number that a decimal number is, however it is written: `60`, `60.0`, `1.048576e+08`. `None` if it is no
/// whole number, is negative, or has more than 64 bits. The value is exact.
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
    // How many zeros follow the last digit that is none.
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
    fn a_file_keeps_its_numbers_as_written_and_its_order() {
        let json = r#"{"b":1.50e1,"a":["x",[1]],"b":null,"c":{"d":1e999},"\ud800":"\ud800"}"#;
        let text = |text: &str| Value::Text(text.to_owned());
        let expected = [
            ("b", Value::Number("1.50e1".to_owned())),
            ("a", Value::List(vec![text("x"), Value::Other])),
            ("b", Value::Null),
            ("c", Value::Other),
            ("\u{fffd}", text("\u{fffd}")),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value));
        assert_eq!(read_file(json), Ok(expected.to_vec()));
        assert!(read_file("\"hunter2\"").is_err_and(|error| !error.contains("hunter2")));
    }
}
