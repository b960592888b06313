//! JSON by the rules of Go's decoder, for every program that the previous daemon understood: field names match in any
//! case; each byte that is not UTF-8 becomes U+FFFD, as does each escaped half of a surrogate pair (`unquoteBytes` in
//! Go's `encoding/json/decode.go`).

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};

/// Whether `name` is `field` by Go's case folding: ASCII, and the two other letters with an ASCII counterpart.
pub fn is_field(name: &str, field: &str) -> bool {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    name.chars().map(fold).eq(field.chars())
}

/// A string, borrowed if it needs no unescaping.
#[derive(Debug)]
pub struct Text<'a>(pub Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As bytes: for a str, the parser would refuse invalid UTF-8 and halves of surrogate pairs.
        deserializer.deserialize_bytes(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_bytes<E: Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
        Ok(Text(unescaped(bytes)))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(unescaped(bytes).into_owned())))
    }
}

/// A string's bytes as text. The parser writes an escaped half of a surrogate pair as three bytes (WTF-8), which
/// become one U+FFFD. Unescaped surrogates do not occur here: [`utf8`] has replaced their bytes.
fn unescaped(bytes: &[u8]) -> Cow<'_, str> {
    let is_half = |bytes: &[u8]| matches!(bytes, [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..]);
    replace_bad(bytes, |bad| if is_half(bad) { 3 } else { 1 })
}

/// Replaces each byte that is not UTF-8 by U+FFFD.
pub fn utf8(text: &[u8]) -> Cow<'_, str> {
    replace_bad(text, |_| 1)
}

/// Replaces invalid UTF-8 by U+FFFD, `width` bytes at a time.
fn replace_bad(bytes: &[u8], width: impl Fn(&[u8]) -> usize) -> Cow<'_, str> {
    let mut rest = match str::from_utf8(bytes) {
        Ok(text) => return Cow::Borrowed(text),
        Err(_) => bytes,
    };
    let mut text = String::with_capacity(bytes.len());
    loop {
        match str::from_utf8(rest) {
            Ok(end) => {
                text.push_str(end);
                return Cow::Owned(text);
            }
            Err(error) => {
                let (good, bad) = rest.split_at(error.valid_up_to());
                text.push_str(str::from_utf8(good).unwrap_or_default());
                text.push(char::REPLACEMENT_CHARACTER);
                rest = &bad[width(bad).min(bad.len())..];
            }
        }
    }
}

/// Replaces each escaped half of a surrogate pair by `\ufffd`, for parsers that refuse halves.
pub fn without_half_pairs(json: &[u8]) -> Cow<'_, [u8]> {
    let mut fixed = Cow::Borrowed(json);
    let mut at = 0;
    let next = |at: usize| json.get(at..)?.iter().position(|byte| *byte == b'\\').map(|it| at + it);
    while let Some(escape) = next(at) {
        at = escape + 2;
        let Some(unit) = escaped_unit(json, escape) else { continue };
        at = escape + 6;
        match (unit, escaped_unit(json, at)) {
            (0xd800..=0xdbff, Some(0xdc00..=0xdfff)) => at += 6,
            (0xd800..=0xdfff, _) => fixed.to_mut()[escape + 2..at].copy_from_slice(b"fffd"),
            _ => {}
        }
    }
    fixed
}

/// The UTF-16 unit of the escape at this offset, if there is one.
fn escaped_unit(json: &[u8], at: usize) -> Option<u16> {
    let digits = json.get(at..)?.strip_prefix(b"\\u")?.get(..4)?;
    u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

/// Checks that the parser omits in skipped values: depth of nesting, unescaped control characters, length of strings.
#[derive(Debug)]
pub struct DepthCheck {
    depth_limit: usize,
    string_limit: usize,
    depth: usize,
    /// Length so far of the current string, in bytes.
    string: Option<usize>,
    escaped: bool,
}

impl DepthCheck {
    /// A check of one text with at most `depth_limit` nested brackets, and strings of at most `string_limit` bytes.
    pub fn new(depth_limit: usize, string_limit: usize) -> Self {
        Self { depth_limit, string_limit, depth: 0, string: None, escaped: false }
    }

    /// Checks the next part of the text; an error is the fault.
    pub fn look_at(&mut self, part: &[u8]) -> Result<(), String> {
        for &byte in part {
            let Some(length) = &mut self.string else {
                match byte {
                    b'"' => self.string = Some(0),
                    b'[' | b'{' => {
                        self.depth += 1;
                        if self.depth > self.depth_limit {
                            let limit = self.depth_limit;
                            return Err(format!("it is nested more than {limit} levels deep"));
                        }
                    }
                    b']' | b'}' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
                continue;
            };
            *length += 1;
            if *length > self.string_limit.saturating_add(1) {
                return Err(format!("a string is longer than {} bytes", self.string_limit));
            }
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.string = None,
                0..=0x1f => {
                    return Err(
                        "a string contains a control character that is not escaped".to_owned()
                    );
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_escaped_half_of_a_pair_is_one_replacement() {
        let read = |json: &str| {
            let Text(text) = serde_json::from_str(json).expect(json);
            let fixed = without_half_pairs(json.as_bytes());
            assert_eq!(serde_json::from_slice::<String>(&fixed).expect(json), text);
            text.replace('\u{fffd}', "?")
        };
        for (json, text) in [
            (r#""\ud83d""#, "?"),
            (r#""\uDC00""#, "?"),
            (r#""a\udfffb""#, "a?b"),
            (r#""\ud83d\ud83d\ude00""#, "?\u{1f600}"),
            (r#""\ud83d\u0041""#, "?A"),
            (r#""\ud83d\n""#, "?\n"),
            (r#""\ud83dx\ude00""#, "?x?"),
            (r#""\ude00\ud83d""#, "??"),
            (r#""\ud83d\ud83d\ud83d""#, "???"),
            (r#""\ud83d\ufffd""#, "??"),
            (r#""\ud83d\ude00\ude00""#, "\u{1f600}?"),
            (r#""é\ud800用""#, "é?用"),
            (r#""\\ud800\\\ud800""#, r"\ud800\?"),
        ] {
            assert_eq!(read(json), text, "{json}");
        }
    }

    #[test]
    fn texts_without_halves_stay_as_they_are() {
        for json in [r#""\ud83d\ude00""#, r#""\\ud800""#, r#""\ud80""#, r#""\"#, "", r#""\u00e9""#]
        {
            assert!(matches!(without_half_pairs(json.as_bytes()), Cow::Borrowed(_)), "{json}");
        }
    }

    #[test]
    fn each_byte_that_is_not_utf8_is_one_replacement() {
        for (bytes, text) in [
            (&b"a\xffb"[..], "a?b"),
            (b"\xe4\xbd", "??"),
            (b"\xe4\xbdA", "??A"),
            (b"\xf0\x9f\x98", "???"),
            (b"\xed\xa0\xbd", "???"),
            (b"\xc0\xaf", "??"),
            (b"\xf5\x80\x80\x80", "????"),
            ("用户".as_bytes(), "用户"),
        ] {
            assert_eq!(utf8(bytes).replace('\u{fffd}', "?"), text, "{bytes:x?}");
        }
    }

    #[test]
    fn parts_may_be_cut_anywhere() {
        let text = br#"{"a\"[[b":["\\",{"c":"d"}]}"#;
        for cut in 0..text.len() {
            let mut check = DepthCheck::new(4, 10);
            assert_eq!(check.look_at(&text[..cut]), Ok(()));
            assert_eq!(check.look_at(&text[cut..]), Ok(()));
        }
    }

    #[test]
    fn strings_have_a_length() {
        let look = |text: &str| DepthCheck::new(1, 3).look_at(text.as_bytes());
        assert!(look(r#"["abc","abc",   123456]"#).is_ok());
        assert!(look(r#"["abcd"]"#).is_err());
    }

    #[test]
    fn deep_nesting_is_found_outside_of_strings_only() {
        let look = |text: &str| DepthCheck::new(64, usize::MAX).look_at(text.as_bytes());
        assert!(look(&"[".repeat(64)).is_ok());
        assert!(look(&"[".repeat(65)).is_err());
        assert!(look(&format!("\"{}\"", "[".repeat(65))).is_ok());
        assert!(look(&"[]".repeat(65)).is_ok());
        assert!(look("\"a\nb\"").is_err());
    }
}
