//! The history: an SQLite database of all changes, and the only crate that names SQLite.
//!
//! `Writer` appends changes and drops old ones, on one thread. `Reader`s search meanwhile, each with a connection of its
//! own. Nothing here knows actors, HTTP or a clock.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod database;
mod error;
mod key;
mod notes;
mod reader;
mod record;
mod words;
mod writer;

pub use error::{Error, OpenError};
pub use key::Link;
pub use notes::{ChainFault, chain_head, verify};
pub use reader::{ChangeRow, Filter, Order, Page, Reader, RequestRow};
pub use record::{
    Change, Coinbase, Entry, Kind, Old, Origin, Outcome, RequestNumber, Source, State, Switch,
    Update,
};
pub use writer::{Limits, MovedAside, OnDamage, Opened, PART, Size, Writer};

#[cfg(test)]
mod tests;
