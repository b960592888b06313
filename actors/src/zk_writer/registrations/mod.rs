//! Requests for registration, for the Registrar.
//!
//! * `messages`: lists and watches the requests, deletes one;
//! * `pump`: connects both with the session.

mod messages;
mod pump;

pub(crate) use messages::{ConfirmElection, DeleteRequest, RequestsSeen, WatchRequests};
