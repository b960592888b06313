//! Texts from outside, on their way into the log.

use std::fmt::{self, Write};

use super::is_invisible;

/// A text from outside, for the log: as it is where nobody can mistake it, else in quotes and escaped. It can
/// forge neither a line nor a field of one, nor turn a terminal's text around, nor pass for another text.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a>(pub &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.is_empty() && self.0.chars().all(is_plain) {
            return f.write_str(self.0);
        }
        write!(f, "{}", Quoted(self.0))
    }
}

/// Like [`Shown`], but always in quotes.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        write!(f, "{}", Escaped(self.0))?;
        f.write_char('"')
    }
}

/// Like [`Quoted`], but without the quotes.
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
        // The standard library also escapes unassigned characters.
        write!(f, "{}", self.0[from..].escape_debug())
    }
}

/// Whether a character neither ends a field nor is one that a reader does not see.
fn is_plain(c: char) -> bool {
    match c {
        ',' | '"' | '\'' | '\\' => false,
        c if c.is_ascii() => c.is_ascii_graphic(),
        c => c.is_alphanumeric() && !is_invisible(c) && c.escape_debug().eq([c]),
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
            ("alice\u{3164}", r#""alice\u{3164}""#),
            ("\u{115f}\u{1160}\u{ffa0}", r#""\u{115f}\u{1160}\u{ffa0}""#),
            ("❤\u{fe0f}", r#""❤\u{fe0f}""#),
            ("a b\u{34f}\u{17b4}\u{180b}\u{2800}", r#""a b\u{34f}\u{17b4}\u{180b}\u{2800}""#),
            ("e\u{301}\u{e0041}", "\"e\u{301}\\u{e0041}\""),
        ] {
            assert_eq!(Shown(text).to_string(), shown);
        }
    }
}
