//! The beginning of a connection: with TLS, its handshake.

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use actix_web::rt::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::{
    Accept, TlsAcceptor,
    rustls::{Error as TlsError, PeerIncompatible},
    server::TlsStream,
};

use super::{
    Connections, HttpConnection,
    tls_stream::{Socket, Stream},
};
use crate::http::{error::RequestError, handshakes::Reason};

/// Bytes of answers that TLS may hold for a client that does not read: one record.
pub const UNSENT_RECORDS: usize = 16 * 1024;

impl Connections {
    /// Begins a connection, with TLS if this listener has it: then the handshake is within the deadline of the first
    /// head, and memory that it holds counts as that of an unfinished head. `None` if there will be no request.
    pub async fn begin(
        &self,
        tcp: TcpStream,
        client: Option<SocketAddr>,
    ) -> Option<HttpConnection> {
        let opened = Instant::now();
        let Some(tls) = &self.tls else { return Some(self.open(Stream::Plain(tcp), opened)) };
        let due = opened + self.deadlines.first_head;
        let mut first = [0];
        // A client that sends nothing costs no more than without TLS.
        match timeout_at(due, tcp.peek(&mut first)).await {
            Ok(Ok(1..)) => {}
            Ok(_) => return None,
            Err(_) => {
                self.count_cut();
                return None;
            }
        }
        if first[0].is_ascii_uppercase() {
            // A method of HTTP; TLS begins with 22.
            tls.failed.note(Reason::PlainHttp, "the client sends HTTP without TLS", client);
            let connection = self.open(Stream::Plain(tcp), opened);
            connection.refuse(RequestError::NoTls);
            return Some(connection);
        }
        let shaken = timeout_at(due, self.shake_hands(&tls.live.acceptor(), tcp)).await;
        match shaken {
            Ok(Ok(stream)) => return Some(self.open(Stream::Tls(stream), opened)),
            Ok(Err(Failed { reason, cause })) => tls.failed.note(reason, &cause, client),
            Err(_) => tls.failed.note(Reason::TooSlow, "the client did not finish in time", client),
        }
        None
    }

    async fn shake_hands(
        &self,
        acceptor: &TlsAcceptor,
        tcp: TcpStream,
    ) -> Result<Box<TlsStream<Socket>>, Failed> {
        // Boxed, so that a connection without TLS does not reserve the space.
        let accept = acceptor.accept_with(Socket::new(tcp), |session| {
            session.set_buffer_limit(Some(UNSENT_RECORDS));
        });
        let mut handshake = Handshake { accept: Box::new(accept), connections: self, held: 0 };
        poll_fn(|cx| handshake.poll(cx)).await
    }
}

/// A handshake under way, and the memory that it holds.
struct Handshake<'a> {
    accept: Box<Accept<Socket>>,
    connections: &'a Connections,
    held: usize,
}

impl Handshake<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<TlsStream<Socket>>, Failed>> {
        match Pin::new(&mut *self.accept).poll(cx) {
            Poll::Ready(shaken) => Poll::Ready(shaken.map(Box::new).map_err(Failed::from)),
            Poll::Pending => {
                let received = self.accept.get_ref().map_or(0, Socket::received);
                let fits = self.connections.hold(self.held, received);
                self.held = received;
                match fits {
                    true => Poll::Pending,
                    false => Poll::Ready(Err(Failed {
                        reason: Reason::NoMemory,
                        cause: "no memory is left for unfinished handshakes".to_owned(),
                    })),
                }
            }
        }
    }
}

impl Drop for Handshake<'_> {
    fn drop(&mut self) {
        self.connections.hold(self.held, 0);
    }
}

/// A handshake without success.
struct Failed {
    reason: Reason,
    cause: String,
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        use PeerIncompatible as Peer;
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref());
        let reason = match tls {
            None => Reason::Closed,
            Some(TlsError::AlertReceived(_)) => Reason::RefusedByClient,
            Some(TlsError::NoCertificatesPresented | TlsError::InvalidCertificate(_)) => {
                Reason::ClientCertificate
            }
            Some(TlsError::PeerIncompatible(
                Peer::Tls12NotOffered
                | Peer::Tls12NotOfferedOrEnabled
                | Peer::SupportedVersionsExtensionRequired
                // Clients that know no version above TLS 1.1 do not send it.
                | Peer::SignatureAlgorithmsExtensionRequired,
            )) => Reason::Version,
            Some(_) => Reason::Protocol,
        };
        Self { reason, cause: tls.map_or_else(|| error.to_string(), ToString::to_string) }
    }
}
