//! A fetch over HTTP.
//!
//! * `upstream`: the request, its redirects and deadlines, and the cause of a failure (`error`);
//! * `head`: status, type and packing of an answer.

mod error;
mod head;
mod upstream;

pub use error::FetchError;
pub(crate) use upstream::{FetchSettings, Upstream};
