//! Characters that quote and separate values in a shell, an env file or a list. In a value they are usually leftovers.

/// Quotes in pairs: those of programs, and those of word processors.
pub const QUOTES: &[(char, char)] =
    &[('"', '"'), ('\'', '\''), ('`', '`'), ('“', '”'), ('‘', '’'), ('„', '“'), ('«', '»')];

/// Whether a character opens or closes a quotation.
pub fn is_quote(c: char) -> bool {
    QUOTES.iter().any(|&(open, close)| c == open || c == close)
}

/// Whether a character separates the values of a list in some format.
pub fn is_separator(c: char) -> bool {
    matches!(c, ',' | ';' | '|' | '，' | '、' | '；' | '､' | '﹐' | '︐' | '｜')
}
