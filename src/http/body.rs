//! Reads a request's body whole, within a size and a time, and parses it without blocking a worker for long.

use std::{future::poll_fn, task::Poll, time::Duration};

use actix_web::{
    HttpRequest,
    http::header::CONTENT_LENGTH,
    web::{self, Bytes, BytesMut, Payload},
};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::{connections::ConnectionHandle, error::RequestError};

/// Larger bodies, in bytes, are parsed on a blocking thread, so that the worker can serve others.
const PARSE_ASIDE_ABOVE: usize = 64 * 1024;

/// Limits of a body.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// Bytes.
    pub size: usize,
    /// From the request's head to the last byte.
    pub time: Duration,
}

/// Reads the body. A body that announces too many bytes is refused before it is read.
pub async fn read(
    request: &HttpRequest,
    payload: Payload,
    limits: BodyLimits,
) -> Result<Bytes, RequestError> {
    let announced = request.headers().get(CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limits.size) {
        return Err(RequestError::BodyTooLarge(limits.size));
    }
    let connection = request.conn_data::<ConnectionHandle>();
    connection.inspect(|connection| connection.begin_body());
    let body = timeout(limits.time, collect(connection, payload, limits.size)).await;
    connection.inspect(|connection| connection.end_body());
    body.unwrap_or(Err(RequestError::BodyTooSlow(limits.time.as_secs())))
}

async fn collect(
    connection: Option<&ConnectionHandle>,
    mut payload: Payload,
    limit: usize,
) -> Result<Bytes, RequestError> {
    let mut body = BytesMut::new();
    let mut next = poll_fn(|cx| match connection.and_then(ConnectionHandle::take_refusal) {
        Some(error) => Poll::Ready(Some(Err(error))),
        None => payload.poll_next_unpin(cx).map_err(RequestError::body_broken),
    });
    while let Some(chunk) = (&mut next).await {
        let chunk = chunk?;
        if body.len() + chunk.len() > limit {
            return Err(RequestError::BodyTooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Parses a body, a large one on a blocking thread.
pub async fn parse<T: Send + 'static, E: From<RequestError> + Send + 'static>(
    body: Bytes,
    parse: impl FnOnce(Bytes) -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    if body.len() <= PARSE_ASIDE_ABOVE {
        return parse(body);
    }
    let parsed = web::block(move || parse(body)).await;
    parsed.unwrap_or_else(|error| Err(RequestError::body_broken(error).into()))
}
