//! JSON as Go's decoder reads it, so that every program that the daemon before this one understood is
//! understood: names of fields match whatever their case, each byte that is not UTF-8 becomes U+FFFD, and so does
//! each escaped half of a surrogate pair (`unquoteBytes` in Go's `encoding/json/decode.go`).

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};

/// Levels of brackets that a text may have. The documented ones have four.
const DEPTH_LIMIT: usize = 64;

/// Whether a field's name is `field`, as Go folds case: ASCII, and the two letters beyond it whose
/// other case is ASCII.
pub fn is_field(name: &str, field: &str) -> bool {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    name.chars().map(fold).eq(field.chars())
}

/// A string, borrowed from the text where it needs no unescaping.
#[derive(Debug)]
pub struct Text<'a>(pub Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As bytes, since as a str the parser would refuse what is not UTF-8 or half a surrogate pair.
        deserializer.deserialize_bytes(TextVisitor(PhantomData))
    }
}

struct TextVisitor<'a>(PhantomData<&'a ()>);

impl<'de> Visitor<'de> for TextVisitor<'de> {
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

/// A string's bytes as text. The parser writes an escaped half of a surrogate pair as three bytes (WTF-8); together
/// they are one U+FFFD. Surrogates that were not escaped do not come here: [`utf8`] has replaced their bytes.
fn unescaped(bytes: &[u8]) -> Cow<'_, str> {
    let is_half = |bytes: &[u8]| matches!(bytes, [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..]);
    replace_bad(bytes, |bad| if is_half(bad) { 3 } else { 1 })
}

/// The text with each byte that is not UTF-8 replaced by U+FFFD.
pub fn utf8(text: &[u8]) -> Cow<'_, str> {
    replace_bad(text, |_| 1)
}

/// Replaces by U+FFFD as many bytes as `width` says, wherever the text is not UTF-8.
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

/// Looks for what the parser does not look at in what it skips: how deep it is nested, that strings
/// contain no bare control characters, and that none is longer than there is room for.
#[derive(Debug)]
pub struct DepthCheck {
    string_limit: usize,
    depth: usize,
    /// Bytes of the string that we are in.
    string: Option<usize>,
    escaped: bool,
}

impl DepthCheck {
    /// A guard for one text, whose strings may have as many bytes.
    pub fn new(string_limit: usize) -> Self {
        Self { string_limit, depth: 0, string: None, escaped: false }
    }

    /// Looks at the next part of the text; tells what is wrong with it.
    pub fn look_at(&mut self, part: &[u8]) -> Result<(), String> {
        for &byte in part {
            let Some(length) = &mut self.string else {
                match byte {
                    b'"' => self.string = Some(0),
                    b'[' | b'{' => {
                        self.depth += 1;
                        if self.depth > DEPTH_LIMIT {
                            return Err(format!(
                                "it is nested more than {DEPTH_LIMIT} levels deep"
                            ));
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
                    let text = "a string contains a control character that is not escaped";
                    return Err(text.to_owned());
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
        ] {
            assert_eq!(read(json), text, "{json}");
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
    fn it_does_not_matter_where_a_text_is_cut() {
        let text = br#"{"a\"[[b":["\\",{"c":"d"}]}"#;
        for cut in 0..text.len() {
            let mut guard = DepthCheck::new(10);
            assert_eq!(guard.look_at(&text[..cut]), Ok(()));
            assert_eq!(guard.look_at(&text[cut..]), Ok(()));
        }
    }

    #[test]
    fn strings_have_a_length() {
        let look = |text: &str| DepthCheck::new(3).look_at(text.as_bytes());
        assert!(look(r#"["abc","abc",   123456]"#).is_ok());
        assert!(look(r#"["abcd"]"#).is_err());
    }

    #[test]
    fn deep_nesting_is_found_outside_of_strings_only() {
        let look = |text: &str| DepthCheck::new(usize::MAX).look_at(text.as_bytes());
        assert!(look(&"[".repeat(64)).is_ok());
        assert!(look(&"[".repeat(65)).is_err());
        assert!(look(&format!("\"{}\"", "[".repeat(65))).is_ok());
        assert!(look(&"[]".repeat(65)).is_ok());
        assert!(look("\"a\nb\"").is_err());
    }
}
