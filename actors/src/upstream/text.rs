//! Texts of the upstream, fit for the log: cut, and escaped where they could forge a line.

use crate::domain::{Escaped, Shown, clip};

/// Characters of a text that the log shows.
const SHOWN_CHARS: usize = 200;

/// A text that comes between quotes.
pub(crate) fn fit(text: &str) -> String {
    let (start, ellipsis) = clip(text, SHOWN_CHARS);
    format!("{}{ellipsis}", Escaped(start))
}

/// A text on its own, in quotes if need be.
pub(crate) fn fit_name(text: &str) -> String {
    let (start, ellipsis) = clip(text, SHOWN_CHARS);
    format!("{}{ellipsis}", Shown(start))
}
