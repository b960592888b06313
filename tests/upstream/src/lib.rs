//! A pool backend as the Poller sees one: it answers `GET …?last_date=N` with a user-coin map (contract,
//! section 4). [`Backend`] does that by the book; a [`Reply`] is any bytes at any pace, so that a test has
//! whatever a backend, a proxy or the network may do.
//!
//! ```text
//! upstream.rs  the server: listens, notes requests, plays replies
//! reply.rs     answers, step by step
//! identity.rs  certificates for TLS
//! backend.rs   sub-accounts, their coins, and when each changed
//! ```

// A test that unwraps fails where it should.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod backend;
mod identity;
mod reply;
mod upstream;

pub use backend::Backend;
pub use identity::{Draft, Identity};
pub use reply::{Gate, Reply};
pub use upstream::{Request, Upstream};
