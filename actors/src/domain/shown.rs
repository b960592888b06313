//! Texts from outside, on their way into the log.

use std::fmt::{self, Write};

/// A text from outside, for the log: as it is where nobody can mistake it, else in quotes and escaped. It can
/// forge neither a line nor a field of one, nor turn a terminal's text around.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a>(pub &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.is_empty() && self.0.chars().all(is_plain) {
            return f.write_str(self.0);
        }
        f.write_char('"')?;
        write!(f, "{}", self.0.escape_debug())?;
        f.write_char('"')
    }
}

/// Whether a character neither ends a field nor is one that a reader does not see.
fn is_plain(c: char) -> bool {
    match c {
        ',' | '"' | '\'' | '\\' => false,
        c if c.is_ascii() => c.is_ascii_graphic(),
        c => c.is_alphanumeric() && c.escape_debug().eq([c]),
    }
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
        ] {
            assert_eq!(Shown(text).to_string(), shown);
        }
    }
}
