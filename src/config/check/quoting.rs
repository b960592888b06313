//! Likely causes of values that cannot work: the syntax of a shell, of an env file or of JSON inside a value, and
//! line ends of another system.

use switcher_actors::is_invisible;

use crate::config::found::Origin;

/// Quotes, as pairs: programs', and those that word processors make of them.
const QUOTES: &[(char, char)] =
    &[('"', '"'), ('\'', '\''), ('`', '`'), ('“', '”'), ('‘', '’'), ('„', '“'), ('«', '»')];

/// Separators of lists that other formats use.
const SEPARATORS: &[char] = &[',', ';', '|', '，', '、', '；', '､', '﹐', '︐', '｜'];

/// Whether a text begins and ends with quotes that belong together.
fn is_quoted(text: &str) -> bool {
    let inner = |(open, close): &(char, char)| text.strip_prefix(*open)?.strip_suffix(*close);
    QUOTES.iter().any(|pair| inner(pair).is_some())
}

/// Whether a text looks like a list of JSON, like `["btc", "bcc"]`.
fn is_json_list(text: &str) -> bool {
    let inner = text.trim().strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    inner.is_some_and(|inner| inner.trim().is_empty() || inner.contains(['"', '\'', ',']))
}

/// The likely cause of a text that cannot work, as the end of an error: "; …", or empty. Quotes nothing of the text.
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
        "it contains a character that is not seen: type it again"
    } else if text.contains(SEPARATORS) || text.contains(char::is_whitespace) {
        "it looks like several values in one"
    } else {
        return String::new();
    };
    format!("; {cause}")
}

/// The likely cause of a list with an entry that cannot work, and how the list is written where it comes from.
pub fn list_hint<'a>(
    items: impl IntoIterator<Item = &'a str> + Clone,
    origin: Option<Origin>,
    [one, two]: [&str; 2],
) -> String {
    let has = |test: &dyn Fn(&str) -> bool| items.clone().into_iter().any(test);
    // A JSON list that was cut at its commas still begins with a bracket and a quote.
    let is_list =
        |item: &str| is_json_list(item) || item.starts_with("[\"") || item.starts_with("['");
    let has_quote = |item: &str| QUOTES.iter().any(|&(open, close)| item.contains([open, close]));
    let cause = if has(&is_list) {
        "; it looks like a JSON list inside a text"
    } else if has(&has_quote) {
        "; the quotes are part of the value"
    } else if has(&|item| item.contains(SEPARATORS) || item.trim().contains(char::is_whitespace)) {
        "; it looks like several values in one"
    } else if has(&|item| item.trim() != item) {
        "; there are blanks around a value"
    } else {
        ""
    };
    match origin {
        Some(Origin::Environment(name)) => format!("{cause}; write {name}={one},{two}"),
        _ => format!("{cause}; write [\"{one}\", \"{two}\"]"),
    }
}

/// Why a user name or a password cannot work: clients send the value that was meant. Quotes nothing of it.
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

/// Why a user name or a password may not be the one that was meant. Quotes nothing of it.
pub fn credential_doubt(text: &str) -> Option<&'static str> {
    if text.trim() != text {
        Some("begins or ends with a blank, which is part of the value")
    } else if text.contains(is_invisible) {
        Some("contains a character that is not seen, or a blank of another kind")
    } else if QUOTES.iter().any(|(open, close)| text.starts_with(*open) != text.ends_with(*close)) {
        Some("has a quote at one end, which is part of the value")
    } else {
        None
    }
}

/// A line end at the end of a text, and where it is likely to come from.
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
            ("a\u{200b}b", "not seen"),
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
    fn a_list_is_shown_as_it_is_written_where_it_comes_from() {
        let hint = |items: &[&str], origin| list_hint(items.iter().copied(), origin, ["a", "b"]);
        let environment = Some(Origin::Environment("ZKBroker"));
        let told = hint(&["[\"x\"", "\"y\"]"], environment);
        assert!(told.contains("JSON list") && told.ends_with("; write ZKBroker=a,b"), "{told}");
        let told = hint(&["x y"], Some(Origin::File));
        assert!(told.contains("several") && told.ends_with("; write [\"a\", \"b\"]"), "{told}");
        assert!(hint(&["\"x", "y\""], environment).contains("quotes"));
        assert!(hint(&["x "], Some(Origin::File)).contains("blanks around"));
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
