//! The command line.
//!
//! * `arguments`: commands and flags, including the one-dash flags of existing supervisor entries;
//! * `manual_pages`: shell completions and manual pages, generated from the definition of the arguments.

mod arguments;
mod manual_pages;

pub use arguments::*;
pub use manual_pages::{completions, manual};
