//! The pool's backend over HTTP: how to reach it, and how to read its answers; for the Poller,
//! `UserLists` and the Registrar.
//!
//! * `url`: an address, with credentials that are never printed;
//! * `fetch`: the HTTP request, its redirects and deadlines, and the head of an answer;
//! * `body`: the body of an answer, from the network to the parser: unpacked, counted, checked;
//! * `format`: trait of an answer's parser, and its faults.

mod body;
mod fetch;
mod format;
mod url;

#[cfg(any(test, fuzzing))]
pub(crate) use body::{BadBody, BodyFault, Encoding, FetchLimits, SHOWN_BYTES, read};
pub use fetch::FetchError;
pub(crate) use fetch::{FetchSettings, Upstream};
pub(crate) use format::{AnswerFault, AnswerFormat, Budget, err_no, text, whole};
pub use url::{UpstreamUrl, UpstreamUrlError};
