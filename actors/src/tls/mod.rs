//! TLS as a client: towards the pool's backend, ZooKeeper and, for the client commands, the daemon.
//!
//! * `client`: trusted certificates, and the handshake;
//! * `trust`: the rule for a server's certificate;
//! * `pem`: certificates and keys as operators' files have them;
//! * `fault`: cause and remedy of a failed handshake.

mod client;
mod fault;
mod pem;
mod trust;

pub(crate) use client::speaks_tls;
pub use client::{TlsClient, TlsStream, TlsTrust, is_tls_name, system_authorities};
pub use fault::{TlsFault, TlsRemedies};
pub(crate) use pem::damage;
pub use pem::{Identity, PemFault, certificates, private_key, roots};
