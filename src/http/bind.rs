//! Takes an address to listen on, before anything else is started.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
};

use rustix::io::Errno;
use socket2::SockRef;

use super::handshakes::ListenerTls;

/// Connections that wait to be accepted. The kernel caps the number (`net.core.somaxconn`), as for Go's listener; with
/// the standard library's 128, clients of a burst wait a second before they connect again.
const BACKLOG: i32 = 4096;

/// A listener that is bound and does not accept yet.
pub struct BoundListener {
    pub(super) listener: TcpListener,
    /// `None` without TLS.
    pub(super) tls: Option<ListenerTls>,
    address: SocketAddr,
}

impl BoundListener {
    /// Binds to `listen`, a host or an address with a port.
    pub fn new(listen: &str) -> io::Result<Self> {
        let listener = bind(listen)?;
        listener.set_nonblocking(true)?;
        // A second `listen` changes only the backlog.
        SockRef::from(&listener).listen(BACKLOG)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, tls: None, address })
    }

    /// With TLS on each connection.
    pub fn with_tls(self, tls: Option<ListenerTls>) -> Self {
        Self { tls, ..self }
    }

    /// The address with its real port, where port 0 was configured.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// `:8082` is Go's spelling for all addresses of both families, or of IPv4 where IPv6 is disabled.
fn bind(listen: &str) -> io::Result<TcpListener> {
    let Some(port) = listen.strip_prefix(':').and_then(|port| port.parse().ok()) else {
        return TcpListener::bind(listen);
    };
    let no_ipv6 = |error: &io::Error| {
        let missing = [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL].map(Errno::raw_os_error);
        error.raw_os_error().is_some_and(|code| missing.contains(&code))
    };
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)) {
        Err(error) if no_ipv6(&error) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)),
        bound => bound,
    }
}
