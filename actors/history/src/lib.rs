//! The history: an SQLite database of all changes, and the only crate that names SQLite.
//!
//! `Writer` appends and drops what is too old, on one thread. `Reader`s search beside it, each with a connection of its
//! own. Nothing here knows actors, HTTP or a clock.

mod database;

mod notes;
mod reader;
mod record;
mod words;
mod writer;

pub use database::OpenError;

pub use notes::{ChainFault, ChainKey, Link, verify};
pub use reader::{ChangeRow, Filter, Order, OriginRow, Page, Reader, RequestRow};
pub use record::{
    Change, Coinbase, Note, Old, Origin, Outcome, RequestNumber, Source, State, Switch,
};
pub use writer::{Limits, PART, Size, Writer};

#[cfg(test)]
mod tests;
