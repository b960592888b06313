//! TLS of the listeners, from the content of files. No file, no socket.
//!
//! * `period`: the time in which a certificate is valid, and the days that are left;
//! * `server`: a listener's side of handshakes; `live`: the one in force, which a reload replaces.

mod live;
mod period;
mod server;

pub use live::LiveTls;
pub use period::{Period, RENEWAL_DAYS, days_until};
pub use server::{ServerFault, ServerTls};
pub use switcher_actors::{certificates, private_key};
/// A certificate and a private key, in DER.
pub use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
