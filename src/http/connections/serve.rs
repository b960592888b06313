//! A connection from its first byte to its end.

use std::{net::SocketAddr, rc::Rc};

use actix_service::Service;
use actix_web::rt::net::TcpStream;

use super::{Connections, HttpConnection};

/// Shakes hands if there is TLS, waits for the first head, lets `http` serve the connection, and lets the client read the
/// last answer. `http` keeps buffers of some kilobytes per connection, so it gets no connection before a head has arrived
/// whole. Until then, `stopping` ends the connection.
pub async fn serve<S>(
    connections: &Connections,
    stream: TcpStream,
    http: Rc<S>,
    stopping: impl Future<Output = ()>,
) -> Result<(), S::Error>
where
    S: Service<(HttpConnection, Option<SocketAddr>), Response = ()>,
{
    let peer = stream.peer_addr().ok();
    let request = async {
        let connection = connections.begin(stream, peer).await?;
        connection.first_head().await.then_some(connection)
    };
    let connection = tokio::select! {
        connection = request => connection,
        () = stopping => None,
    };
    let Some(connection) = connection else { return Ok(()) };
    // Boxed, so that a connection without a head does not reserve the space.
    let served = Box::pin(http.call((connection.clone(), peer))).await;
    connection.linger().await;
    served
}
