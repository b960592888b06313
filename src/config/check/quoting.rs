//! Likely causes of values that cannot work: syntax of a shell, an env file or JSON inside a value, and line ends of
//! another system.

use switcher_actors::{QUOTES, is_invisible, is_quote, is_separator};

use super::Reader;
use crate::config::value::{FILE, origin};

/// Whether a text begins and ends with quotes that belong together.
fn is_quoted(text: &str) -> bool {
    let inner = |(open, close): &(char, char)| text.strip_prefix(*open)?.strip_suffix(*close);
    QUOTES.iter().any(|pair| inner(pair).is_some())
}

fn is_json_list(text: &str) -> bool {
    let inner = text.trim().strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    inner.is_some_and(|inner| inner.trim().is_empty() || inner.contains(['"', '\'', ',']))
}

/// Likely cause of a text that cannot work, as the end of an error: "; …", or empty. Does not quote the text.
pub fn hint(text: &str) -> String {
    let cause = if let Some(fault) = line_end(text) {
        return format!("; it {fault}");
    } else if is_quoted(text) {
        "the quotes are part of the value: remove them"
    } else if is_json_list(text) {
        "it looks like a JSON list inside a text"
    } else if text.trim() != text {
        "remove the blanks around it"
    } else if text.contains(is_invisible) {
        "it contains an invisible character: type it again"
    } else if text.contains(is_separator) || text.contains(char::is_whitespace) {
        "it looks like several values in one"
    } else {
        return String::new();
    };
    format!("; {cause}")
}

/// Likely cause of a list with an entry that cannot work.
pub fn list_cause<S: AsRef<str>>(items: &[S]) -> Option<&'static str> {
    let any = |test: fn(&str) -> bool| items.iter().any(|item| test(item.as_ref()));
    // A JSON list that was split at its commas still begins with a bracket and a quote.
    if any(|item| is_json_list(item) || item.starts_with("[\"") || item.starts_with("['")) {
        Some("it looks like a JSON list inside a text")
    } else if any(|item| item.contains(is_quote)) {
        Some("the quotes are part of the value")
    } else if any(|item| item.contains(is_separator) || item.trim().contains(char::is_whitespace)) {
        Some("it looks like several values in one")
    } else if any(|item| item.trim().is_empty()) {
        Some("an item is empty: remove it")
    } else if any(|item| item.trim() != item) {
        Some("there are blanks around a value")
    } else {
        None
    }
}

impl Reader {
    /// How to write a list where the key's value comes from, as the end of an error.
    pub(super) fn list_form(&self, key: &str, one: &str, two: &str) -> String {
        match self.values.get(key).map(origin) {
            Some(FILE) | None => format!("; write [\"{one}\", \"{two}\"]"),
            Some(_) => format!("; write {key}={one},{two}"),
        }
    }
}

/// Why a user name or a password cannot work: clients send the intended value. Does not quote it.
pub fn credential_fault(text: &str) -> Option<&'static str> {
    if let Some(fault) = line_end(text) {
        Some(fault)
    } else if text.contains(char::is_control) {
        Some("contains a control character, which HTTP Basic authentication cannot carry")
    } else if text.contains(char::REPLACEMENT_CHARACTER) {
        Some("contains bytes that are not UTF-8, or half a surrogate pair: save the file as UTF-8")
    } else if is_quoted(text) {
        Some("begins and ends with a quote, which is part of the value: remove both")
    } else if text.starts_with("[\"") && text.ends_with("\"]") {
        Some("looks like a JSON list inside a text: write the value alone")
    } else {
        None
    }
}

/// Why a user name or a password may differ from the intended one. Does not quote it.
pub fn credential_doubt(text: &str) -> Option<&'static str> {
    if text.trim() != text {
        Some("begins or ends with a blank, which is part of the value")
    } else if text.contains(is_invisible) {
        Some("contains an invisible character, or a blank of another kind")
    } else if QUOTES.iter().any(|(open, close)| text.starts_with(*open) != text.ends_with(*close)) {
        Some("has a quote at one end, which is part of the value")
    } else {
        None
    }
}

/// A line end at the end of a text, and its likely origin.
fn line_end(text: &str) -> Option<&'static str> {
    match text.as_bytes().last()? {
        b'\n' => Some("ends in a line feed (\\n), as a file's content does: remove it"),
        b'\r' => {
            Some("ends in a carriage return (\\r), as lines of files from Windows do: remove it")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likely_cause_is_named() {
        for (text, cause) in [
            ("\"a:1\"", "quotes"),
            ("'a'", "quotes"),
            ("“a”", "quotes"),
            ("[\"a\",\"b\"]", "JSON list"),
            ("a\r", "carriage return (\\r)"),
            ("a\n", "line feed (\\n)"),
            (" a", "blanks around"),
            ("a\u{200b}b", "invisible"),
            ("a:1,b:1", "several values"),
            ("a；b", "several values"),
        ] {
            assert!(hint(text).contains(cause), "{text:?}: {}", hint(text));
        }
        for text in ["", "a", "\"", "[::1]:80", "relative/"] {
            assert_eq!(hint(text), "", "{text}");
        }
    }

    #[test]
    fn the_likely_cause_of_a_bad_list_is_named() {
        let cause = |items: &[&str]| list_cause(items).unwrap_or_default();
        assert!(cause(&["[\"x\"", "\"y\"]"]).contains("JSON list"));
        assert!(cause(&["x y"]).contains("several"));
        assert!(cause(&["\"x", "y\""]).contains("quotes"));
        assert!(cause(&["x "]).contains("blanks around"));
        assert!(cause(&["x", ""]).contains("empty"));
        assert_eq!(cause(&["x", "y"]), "");
    }

    #[test]
    fn a_password_may_hold_quotes_and_blanks_but_not_as_syntax() {
        for good in ["a\"b", "it's", "a b", "[a,b]", "\"", "用户", "a:b,c;d"] {
            assert_eq!(credential_fault(good), None, "{good}");
        }
        for bad in
            ["a\n", "a\r\n", "p\u{fffd}", "a\u{7}b", "a\tb", "\"a\"", "'a'", "\"\"", "[\"a\"]"]
        {
            assert!(credential_fault(bad).is_some(), "{bad:?}");
        }
        for doubtful in ["a ", " a", "a\u{a0}", "\u{feff}a", "\"a", "a'"] {
            assert!(credential_fault(doubtful).is_none(), "{doubtful:?}");
            assert!(credential_doubt(doubtful).is_some(), "{doubtful:?}");
        }
        assert_eq!(credential_doubt("it's \"so\" fine"), None);
    }
}
