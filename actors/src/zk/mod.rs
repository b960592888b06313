//! The seam to ZooKeeper: the only files that name the client crate.
//!
//! ```text
//! Session ── connect() ──▶ Connection ── read / write / watch ──▶ ZooKeeper
//!    │                         │
//!    │ owns the runtime        └─ lost(): resolves once, when the connection is gone
//!    └ ends the session before, by ZooKeeper's own word, ahead of each new one
//! ```
//!
//! What the rest of the crate sees is paths, bytes and three outcomes: done, refused for a known
//! reason, or unknown. Unknown is what every error is that is not a definite refusal, because the
//! server may have applied the request before the connection broke.

mod answers;
mod connection;
mod error;
mod inspector;
mod overwrite;
mod read_window;
mod request_limit;
mod session;
mod version;

pub(crate) use connection::{
    Claim, Connection, Content, Look, Mark, Revision, SessionNumber, Watch, WriteOp, Zxid,
};
pub(crate) use error::{TransactionError, WriteError};
pub use inspector::{AccessRule, BrokerState, Inspector, NoAnswer, Seen, probe_brokers};
pub(crate) use overwrite::Overwrite;
pub(crate) use session::{ConnectError, Established, RECONNECT_PAUSE, Session};
pub use session::{DigestCredentials, ZkSettings};
pub use version::ServerVersion;
