//! The seam to ZooKeeper: the only files that name the client crate.
//!
//! ```text
//! Session ── connect() ──▶ Connection ── read / write / watch ──▶ ZooKeeper
//!    │                         │
//!    │ ends its tasks          └─ lost(): resolves once, when the connection is gone
//!    └ ends the previous session, confirmed by ZooKeeper, before it opens a new one
//! ```
//!
//! The rest of the crate sees paths, bytes and three outcomes: done, refused for a known reason, or unknown. An error
//! that is no definite refusal is unknown, because the server may have applied the request before the connection broke.
//!
//! * `session`, `tasks`, `version`, `request_limit`: a new connection; `thread`: the thread that it runs on;
//! * `tls`, `dial`: certificates, and connections apart from those of the client crate;
//! * `connection`: its state and its writes; `read`, `watches`, `children`, `claim`, `directory`: its other operations;
//! * `znode`, `write_op`, `error`: the vocabulary;
//! * `answers`, `overwrite`: checks of ZooKeeper's answers;
//! * `read_window`: bounds the memory of reads;
//! * `inspector`: read-only view for an operator's commands.

mod answers;
mod children;
mod claim;
mod connection;
mod dial;
mod directory;
mod error;
mod inspector;
mod overwrite;
mod read;
mod read_window;
mod request_limit;
mod session;
mod tasks;
mod thread;
mod tls;
mod version;
mod watches;
mod write_op;
mod znode;

pub(crate) use claim::Claim;
pub(crate) use connection::{Connection, SessionNumber};
pub(crate) use directory::DirectoryState;
pub(crate) use error::{TransactionError, WriteError};
pub use inspector::{AccessRule, BrokerState, Inspector, NoAnswer, Seen, probe_brokers};
pub(crate) use overwrite::Overwrite;
pub(crate) use session::{ConnectError, Established, RECONNECT_PAUSE, Session};
pub use session::{DigestCredentials, ZkSettings};
pub(crate) use thread::run;
pub use tls::{ZkTls, ZkTlsFault};
pub use version::ServerVersion;
pub(crate) use watches::Watch;
pub(crate) use write_op::{AnyState, Condition, WriteOp};
pub use znode::Revision;
pub(crate) use znode::{Content, Mark, ZnodeRead, Zxid};
