//! Reads single values, each as the type of its key.

use std::{collections::BTreeMap, time::Duration};

use switcher_actors::Quoted;

use super::{Reader, quoting::hint, shown};
use crate::config::{
    keys::{self, Key, KeyKind},
    value::{
        FILE, Value, ValueKind, as_fields, as_named_texts, as_number, as_text, as_texts, from_text,
        origin, whole, with_origin,
    },
};

impl Reader {
    /// A text that must be set and not be empty.
    pub(super) fn required(&mut self, name: &'static str, expected: &str) -> Option<String> {
        let text = self.text(name);
        if !text.is_empty() {
            return Some(text);
        }
        // A value of the wrong type is a recorded problem already.
        if self.are_sound(&[name]) {
            let found = if self.values.contains_key(name) { "is empty" } else { "is missing" };
            self.problem(name, format!("{found}, expected {expected}"));
        }
        None
    }

    pub(super) fn flag(&mut self, name: &'static str) -> bool {
        let take = |value: &Value| match value.kind {
            ValueKind::Boolean(flag) => Some(flag),
            _ => None,
        };
        self.value(name, "true or false", take).unwrap_or_default()
    }

    pub(super) fn text(&mut self, name: &'static str) -> String {
        let take = |value: &Value| as_text(value).map(str::to_owned);
        self.value(name, "a text in quotes", take).unwrap_or_default()
    }

    /// A text that is checked elsewhere; empty if there is none.
    pub(super) fn peek(&self, name: &str) -> String {
        self.values.get(name).and_then(as_text).unwrap_or_default().to_owned()
    }

    /// An absent list is empty.
    pub(super) fn list(&mut self, name: &'static str) -> Option<Vec<String>> {
        if !self.values.contains_key(name) {
            return Some(Vec::new());
        }
        let example = match name {
            "APIRoles" => r#"["switcher"]"#,
            "TLSListeners" => r#"["api", "admin"]"#,
            "UserListAllow" | "TrustedProxies" => r#"["10.0.0.0/8"]"#,
            "AdminHosts" => r#"["console.example.com"]"#,
            "ZKBroker" => r#"["zk1:2181", "zk2:2181"]"#,
            _ => r#"["btc", "bcc"]"#,
        };
        self.value(name, &format!("a list of texts, like {example}"), as_texts)
    }

    /// An object of texts; an absent one is empty.
    pub(super) fn named_texts(&mut self, name: &'static str) -> BTreeMap<String, String> {
        let expected = match key(name).kind {
            KeyKind::Urls => {
                "an object of coins and URLs, like {\"btc\": \"http://127.0.0.1/list\"}"
            }
            _ => "an object of texts, like {\"sub_name\": \"{sub_name}\"}",
        };
        self.value(name, expected, as_named_texts).unwrap_or_default()
    }

    pub(super) fn seconds(&mut self, name: &'static str) -> Duration {
        Duration::from_secs(self.number(name))
    }

    pub(super) fn size(&mut self, name: &'static str) -> usize {
        usize::try_from(self.number(name)).unwrap_or(usize::MAX)
    }

    pub(super) fn number(&mut self, name: &'static str) -> u64 {
        let KeyKind::Number { min, max } = key(name).kind else { return 0 };
        let expected = format!("a whole number from {min} to {max}");
        let take = |value: &Value| {
            as_number(value).and_then(whole).filter(|number| (min..=max).contains(number))
        };
        self.value(name, &expected, take).unwrap_or_default()
    }

    /// Takes the key's value; one of the wrong type is a problem.
    fn value<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        take: impl Fn(&Value) -> Option<T>,
    ) -> Option<T> {
        let (key, value) = (key(name), self.values.get(name)?);
        let taken = take(value);
        if taken.is_none() {
            let is_bare = matches!(key.kind, KeyKind::Flag | KeyKind::Number { .. });
            let needs_no_quotes = |text| {
                let bare = with_origin(from_text(key, text), FILE);
                is_bare && origin(value) == FILE && take(&bare).is_some()
            };
            let hint = match as_text(value) {
                Some(text) if needs_no_quotes(text) => "; write it without quotes".to_owned(),
                text => text.map(hint).unwrap_or_default(),
            };
            let (found, origin) = (found(key, value), origin(value));
            self.problem(name, format!("{found} ({origin}), expected {expected}{hint}"));
        }
        taken
    }
}

/// What a value is, without a secret.
fn found(key: &Key, value: &Value) -> String {
    if key.kind != KeyKind::SecretTexts {
        return format!("is {}", shown(key, value));
    }
    let kind = |value: &Value| match &value.kind {
        ValueKind::Boolean(_) => "true or false",
        ValueKind::String(_) => "a text",
        ValueKind::Array(_) => "a list",
        _ if as_number(value).is_some() => "a number",
        _ => "an object",
    };
    let fields = as_fields(value).into_iter().flatten();
    match fields.into_iter().find(|(_, field)| as_text(field).is_none()) {
        Some((name, field)) => format!("has {} in its {}", kind(field), Quoted(name)),
        None => format!("is {}", kind(value)),
    }
}

/// The key of a name in this program.
fn key(name: &'static str) -> &'static Key {
    match keys::find(name) {
        Some(key) => key,
        None => unreachable!("{name} is not in the list of keys"),
    }
}
