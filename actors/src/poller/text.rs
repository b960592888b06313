//! Texts of the upstream, fit for the log: cut, and escaped where they could forge a line.

use crate::domain::{Escaped, Shown};

/// Characters of a text that the log shows.
const SHOWN_CHARS: usize = 200;

/// A text that comes between quotes.
pub(super) fn fit(text: &str) -> String {
    let (start, more) = cut(text);
    format!("{}{more}", Escaped(start))
}

/// A text on its own, in quotes if need be.
pub(super) fn fit_name(text: &str) -> String {
    let (start, more) = cut(text);
    format!("{}{more}", Shown(start))
}

fn cut(text: &str) -> (&str, &'static str) {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => (&text[..end], "…"),
        None => (text, ""),
    }
}
