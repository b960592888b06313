//! A connection from its first byte to its end.

use std::{net::SocketAddr, rc::Rc};

use actix_service::Service;

use super::HttpConnection;

/// Waits for the first head, lets `http` serve the connection, and lets the client read the last answer. `http` keeps
/// buffers of some kilobytes per connection, so it gets none before a head has arrived whole. Until then, `stopping`
/// ends the connection.
pub async fn serve<S>(
    connection: HttpConnection,
    peer: Option<SocketAddr>,
    http: Rc<S>,
    stopping: impl Future<Output = ()>,
) -> Result<(), S::Error>
where
    S: Service<(HttpConnection, Option<SocketAddr>), Response = ()>,
{
    let has_request = tokio::select! {
        has_request = connection.first_head() => has_request,
        () = stopping => false,
    };
    if !has_request {
        return Ok(());
    }
    // Boxed, so that a connection without a head does not reserve the space.
    let served = Box::pin(http.call((connection.clone(), peer))).await;
    connection.linger().await;
    served
}
