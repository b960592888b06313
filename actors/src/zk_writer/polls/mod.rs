//! Polls.
//!
//! * `turn`: whether this daemon polls, and the mark before a fetch;
//! * `sync`: brings a part of a user-coin map in, on conditions;
//! * `pump`: how polls begin, and how what they fetched goes out.

mod pump;
mod sync;
mod turn;

pub(super) use sync::Part;
