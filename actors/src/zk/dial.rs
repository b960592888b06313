//! Connections of our own to a broker, apart from those of the client crate, and without a session.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

use super::tls::{ZkTls, host};
use crate::tls::{TlsFault, speaks_tls};

/// Patience for a handshake, in multiples of that for a connection: the first handshake after a server's start is slow.
const HANDSHAKE_SHARE: u32 = 4;

/// Connection to a broker, with TLS or without.
pub(super) trait BrokerStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> BrokerStream for T {}

/// Reason why there is no connection.
#[derive(Debug)]
pub(super) enum NoConnection {
    /// The broker accepts none.
    Refused(io::Error),
    /// It neither accepted nor refused one in time.
    Slow,
    /// It accepts connections, but no handshake in time: it hangs.
    Silent,
    /// The handshake failed.
    Tls(TlsFault),
}

/// Connects to a broker (`host:port`).
pub(super) async fn dial(
    broker: &str,
    tls: Option<&ZkTls>,
    patience: Duration,
) -> Result<Box<dyn BrokerStream>, NoConnection> {
    let stream = match timeout(patience, TcpStream::connect(broker)).await {
        Ok(stream) => stream.map_err(NoConnection::Refused)?,
        Err(_) => return Err(NoConnection::Slow),
    };
    let Some(tls) = tls else { return Ok(Box::new(stream)) };
    match timeout(patience * HANDSHAKE_SHARE, tls.connect(broker, stream)).await {
        Ok(Ok(stream)) => Ok(Box::new(stream)),
        Ok(Err(fault)) => Err(NoConnection::Tls(fault)),
        Err(_) => Err(NoConnection::Silent),
    }
}

/// Whether a broker expects TLS.
pub(super) async fn expects_tls(broker: &str, patience: Duration) -> bool {
    let asking = async {
        match TcpStream::connect(broker).await {
            Ok(stream) => speaks_tls(host(broker), stream).await,
            Err(_) => false,
        }
    };
    timeout(patience, asking).await.unwrap_or(false)
}

/// Fault of a broker that expects TLS, while we speak none.
pub(super) fn needs_tls() -> TlsFault {
    TlsFault {
        cause: "it expects TLS".to_owned(),
        remedy: "set ZKTLSCAFile, or put the servers' clientPort into ZKBroker".to_owned(),
    }
}

/// Fault of a broker that speaks no TLS, while we expect it.
pub(super) fn has_no_tls() -> TlsFault {
    TlsFault {
        cause: "it speaks no TLS at this port".to_owned(),
        remedy: "put the servers' secureClientPort into ZKBroker, or set no ZKTLSCAFile".to_owned(),
    }
}
