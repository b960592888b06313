//! A fetch over HTTP.
//!
//! * `upstream`: the request, its redirects and deadlines, and the cause of a failure (`error`);
//! * `head`: status, type and packing of an answer;
//! * `tls`, `tls_fault`: the trusted certificates; cause and remedy of a failed handshake.

mod error;
mod head;
mod tls;
mod tls_fault;
mod upstream;

pub use error::FetchError;
pub(crate) use upstream::{FetchSettings, Upstream};
