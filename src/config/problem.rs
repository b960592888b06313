//! A problem of a configuration, in the operator's words.

use std::fmt;

/// A problem with one key, or with the whole configuration. The text says what was found and what is expected.
#[derive(Debug)]
pub struct Problem {
    key: Option<&'static str>,
    text: String,
}

impl Problem {
    /// A problem with the whole: "configuration …".
    pub(super) fn of_all(text: impl Into<String>) -> Self {
        Self { key: None, text: text.into() }
    }

    pub(super) fn is_of_all(&self) -> bool {
        self.key.is_none()
    }

    /// Whether it is with one of these keys.
    pub(super) fn is_with(&self, keys: &[&str]) -> bool {
        self.key.is_some_and(|key| keys.contains(&key))
    }

    /// A problem with one key's value: "APIUser: …".
    pub(super) fn of(key: &'static str, text: impl Into<String>) -> Self {
        Self { key: Some(key), text: text.into() }
    }
}

impl Problem {
    /// Adds to the text if the problem is with one of these keys.
    pub(super) fn explain(&mut self, keys: &[&str], note: impl FnOnce(&str) -> String) {
        if let Some(key) = self.key.filter(|key| keys.contains(key)) {
            self.text.push_str(&note(key));
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key {
            Some(key) => write!(f, "{key}: {}", self.text),
            None => write!(f, "configuration {}", self.text),
        }
    }
}
