//! Takes single values out, each as the type of its key.

use std::time::Duration;

use super::{Reader, key, quoting::hint, shown};
use crate::config::{
    found::{Found, Origin, Value, whole},
    keys::Kind,
};

impl Reader {
    /// A text that must be there and not be empty.
    pub(super) fn required(&mut self, name: &'static str, expected: &str) -> Option<String> {
        let known = self.problems.len();
        let text = self.text(name);
        if !text.is_empty() {
            return Some(text);
        }
        // A value of the wrong type was complained about already.
        if self.problems.len() == known {
            let found = if self.found(name).is_some() { "is empty" } else { "is missing" };
            self.problem(name, format!("{found}, expected {expected}"));
        }
        None
    }

    pub(super) fn flag(&mut self, name: &'static str) -> bool {
        self.value(name, "true or false", |value| match value {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        })
        .unwrap_or_default()
    }

    pub(super) fn text(&mut self, name: &'static str) -> String {
        self.value(name, "a text in quotes", |value| match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        })
        .unwrap_or_default()
    }

    /// A text that is checked elsewhere, or matters nowhere else; empty if there is none.
    pub(super) fn peek(&self, name: &'static str) -> String {
        match self.found(name).map(|found| &found.value) {
            Some(Value::Text(text)) => text.clone(),
            _ => String::new(),
        }
    }

    /// `None` only after a problem was noted.
    pub(super) fn list(&mut self, name: &'static str) -> Option<Vec<String>> {
        if self.found(name).is_none() {
            return Some(Vec::new());
        }
        self.value(name, "a list of texts, like [\"btc\", \"bcc\"]", |value| match value {
            Value::List(items) => items
                .iter()
                .map(|item| match item {
                    Value::Text(text) => Some(text.clone()),
                    _ => None,
                })
                .collect(),
            _ => None,
        })
    }

    pub(super) fn seconds(&mut self, name: &'static str) -> Duration {
        Duration::from_secs(self.number(name))
    }

    pub(super) fn size(&mut self, name: &'static str) -> usize {
        usize::try_from(self.number(name)).unwrap_or(usize::MAX)
    }

    pub(super) fn number(&mut self, name: &'static str) -> u64 {
        let Kind::Number { min, max } = key(name).kind else { return 0 };
        let expected = format!("a whole number from {min} to {max}");
        self.value(name, &expected, |value| match value {
            Value::Number(number) => whole(number).filter(|number| (min..=max).contains(number)),
            _ => None,
        })
        .unwrap_or_default()
    }

    /// The key's value or its default. Notes a problem if `take` finds the value of the wrong type.
    fn value<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        take: impl Fn(&Value) -> Option<T>,
    ) -> Option<T> {
        let key = key(name);
        let Some(Found { value, origin }) = self.found(name) else {
            return take(&Value::from_text(key.kind, key.default?));
        };
        let taken = take(value);
        if taken.is_none() {
            let hint = match value {
                Value::Text(text) if *origin == Origin::File && key.kind.is_bare() => {
                    let bare = take(&Value::from_text(key.kind, text));
                    bare.map_or_else(|| hint(text), |_| "; write it without quotes".to_owned())
                }
                Value::Text(text) => hint(text),
                _ => String::new(),
            };
            let text = format!("is {} ({origin}), expected {expected}{hint}", shown(key, value));
            self.problem(name, text);
        }
        taken
    }

    /// The value as found. In Go's decoder null leaves a field as it was, as if it were absent.
    pub(super) fn found(&self, name: &str) -> Option<&Found> {
        self.raw.values.get(name).filter(|found| found.value != Value::Null)
    }
}
