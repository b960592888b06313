//! Foreign text, made fit for log lines, error texts and terminals: escaping and cutting.

use std::{
    borrow::Cow,
    fmt::{self, Write},
};

use slog::{Key, Record, Serializer, Value};

use super::is_invisible;

/// A foreign text for the log: unchanged where it is unmistakable, else quoted and escaped.
///
/// The result can neither forge a line or a field, nor reorder a terminal's text, nor pass for another text.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a>(pub &'a str);

impl Shown<'_> {
    fn is_plain(&self) -> bool {
        !self.0.is_empty() && self.0.chars().all(is_plain)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_plain() { f.write_str(self.0) } else { Quoted(self.0).fmt(f) }
    }
}

/// The same text as by [`fmt::Display`], without the detour over a formatter for nearly all names.
impl Value for Shown<'_> {
    fn serialize(&self, _: &Record<'_>, key: Key, serializer: &mut dyn Serializer) -> slog::Result {
        if self.is_plain() {
            serializer.emit_str(key, self.0)
        } else {
            serializer.emit_arguments(key, &format_args!("{self}"))
        }
    }
}

/// Like [`Shown`], but always quoted.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", Escaped(self.0))
    }
}

/// Like [`Quoted`], without the quotes.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut from = 0;
        let is_odd = |c: char| !c.is_ascii() && is_invisible(c);
        for (at, c) in self.0.char_indices().filter(|(_, c)| is_odd(*c)) {
            write!(f, "{}{}", self.0[from..at].escape_debug(), c.escape_unicode())?;
            from = at + c.len_utf8();
        }
        // `escape_debug` also escapes unassigned characters.
        write!(f, "{}", self.0[from..].escape_debug())
    }
}

/// Whether a character is visible and ends no field.
fn is_plain(c: char) -> bool {
    match c {
        ',' | '"' | '\'' | '\\' => false,
        c if c.is_ascii() => c.is_ascii_graphic(),
        c => c.is_alphanumeric() && !is_invisible(c) && c.escape_debug().eq([c]),
    }
}

/// The first `characters` of a text, and an ellipsis if there are more.
pub fn clip(text: &str, characters: usize) -> (&str, &'static str) {
    // A text of so few bytes has no more characters: no need to count.
    if text.len() <= characters {
        return (text, "");
    }
    match text.char_indices().nth(characters) {
        Some((end, _)) => (&text[..end], "…"),
        None => (text, ""),
    }
}

/// The first `bytes` of a text at most, whole characters; `None` if it is empty.
pub fn cut(text: &str, bytes: usize) -> Option<Box<str>> {
    let text = &text[..text.floor_char_boundary(bytes)];
    (!text.is_empty()).then(|| text.into())
}

/// Appends `text` to `out`. `escape` appends the characters that need it.
pub fn push_escaped(
    out: &mut String,
    text: &str,
    needs_escape: impl Fn(char) -> bool,
    escape: impl Fn(&mut String, char),
) {
    let mut from = 0;
    for (at, c) in text.char_indices().filter(|(_, c)| needs_escape(*c)) {
        out.push_str(&text[from..at]);
        escape(out, c);
        from = at + c.len_utf8();
    }
    out.push_str(&text[from..]);
}

/// The same JSON value, its invisible characters as `\u` escapes, for terminals. `json` must be valid: without
/// control characters in its strings.
pub fn escape_json(json: &str) -> Cow<'_, str> {
    let is_odd = |c: char| c == '\u{7f}' || (!c.is_ascii() && is_invisible(c));
    if !json.contains(is_odd) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    push_escaped(&mut escaped, json, is_odd, push_json_escape);
    Cow::Owned(escaped)
}

/// Appends a character as JSON escapes: one, or two outside the basic multilingual plane.
pub fn push_json_escape(json: &mut String, c: char) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        // Writing to a string never fails.
        let _ = write!(json, "\\u{unit:04x}");
    }
}

/// Characters of a text of another program that the log shows.
const SHOWN_CHARS: usize = 200;

/// A text of another program, cut, to come between quotes.
pub(crate) fn fit(text: &str) -> String {
    let (start, ellipsis) = clip(text, SHOWN_CHARS);
    format!("{}{ellipsis}", Escaped(start))
}

/// A text of another program, cut, on its own: in quotes if need be.
pub(crate) fn fit_name(text: &str) -> String {
    let (start, ellipsis) = clip(text, SHOWN_CHARS);
    format!("{}{ellipsis}", Shown(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_mistaken_is_in_quotes() {
        for plain in ["alice", "a.b-c_d@e:f/1", "用户", "Ünï", "-"] {
            assert_eq!(Shown(plain).to_string(), plain);
        }
        for (text, shown) in [
            ("", r#""""#),
            ("a b", r#""a b""#),
            ("alice, outcome: applied", r#""alice, outcome: applied""#),
            ("a\"b", r#""a\"b""#),
            ("a\u{2028}Nov 25 INFO switch", r#""a\u{2028}Nov 25 INFO switch""#),
            ("a\u{202e}b\u{200b}", r#""a\u{202e}b\u{200b}""#),
            ("\u{1b}[2J\n", r#""\u{1b}[2J\n""#),
            ("alice\u{3164}", r#""alice\u{3164}""#),
            ("\u{115f}\u{1160}\u{ffa0}", r#""\u{115f}\u{1160}\u{ffa0}""#),
            ("❤\u{fe0f}", r#""❤\u{fe0f}""#),
            ("a b\u{34f}\u{17b4}\u{180b}\u{2800}", r#""a b\u{34f}\u{17b4}\u{180b}\u{2800}""#),
            ("e\u{301}\u{e0041}", "\"e\u{301}\\u{e0041}\""),
        ] {
            assert_eq!(Shown(text).to_string(), shown);
        }
    }

    #[test]
    fn escaped_json_has_the_same_value() {
        let text = "a\u{202e}b\u{7f}\u{3164}\u{e0041}用\u{1f419}\n";
        let json = serde_json::to_string(text).unwrap();
        let escaped = escape_json(&json);
        let expected = r#""a\u202eb\u007f\u3164\udb40\udc41用🐙\n""#;
        assert_eq!(escaped, expected);
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
        assert!(matches!(escape_json("{\"a\":\"用\"}\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn only_a_longer_text_is_clipped() {
        assert_eq!(clip("用户ab", 4), ("用户ab", ""));
        assert_eq!(clip("用户ab", 3), ("用户a", "…"));
        assert_eq!((clip("", 0), clip("a", 0)), (("", ""), ("", "…")));
    }

    #[test]
    fn a_text_is_cut_at_a_character() {
        for (text, cut_at_4) in
            [("", None), ("é", Some("é")), ("ééé", Some("éé")), ("用户", Some("用"))]
        {
            assert_eq!(cut(text, 4).as_deref(), cut_at_4);
        }
        assert_eq!(cut("用", 2), None);
    }
}
