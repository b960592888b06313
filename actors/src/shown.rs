//! Texts from outside on their way into the log, where they must forge neither a line nor a field of one.

use std::fmt;

/// A text in quotes, escaped, and cut after so many characters.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

/// Characters of a [`Quoted`] text that are shown.
const QUOTED_CHARS: usize = 120;

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.char_indices().nth(QUOTED_CHARS).map_or(self.0.len(), |(end, _)| end);
        write!(f, "\"{}\"", self.0[..end].escape_debug())?;
        if end < self.0.len() { f.write_str("…") } else { Ok(()) }
    }
}

/// A name as it is, if a reader sees where it ends and what it consists of; else in quotes and escaped, all of it.
pub(crate) struct Name<'a>(pub(crate) &'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = |c: char| c.is_alphanumeric() || "-_.@+#$%&*()[]{}<>/|~!?;^`'".contains(c);
        if !self.0.is_empty() && self.0.chars().all(is_plain) {
            f.write_str(self.0)
        } else {
            write!(f, "\"{}\"", self.0.escape_debug())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_pass_for_more_is_quoted() {
        for plain in ["alice", "a.b-c_d@e", "用户"] {
            assert_eq!(Name(plain).to_string(), plain);
        }
        for (name, shown) in [
            ("", "\"\""),
            ("c d, source: api", "\"c d, source: api\""),
            ("a\"b", "\"a\\\"b\""),
            ("a\u{2028}b", "\"a\\u{2028}b\""),
            ("a\u{202e}b", "\"a\\u{202e}b\""),
            ("a:b", "\"a:b\""),
        ] {
            assert_eq!(Name(name).to_string(), shown);
        }
    }
}
