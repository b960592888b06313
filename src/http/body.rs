//! Reads a request's body: whole, within a size and a time; and has it parsed where that holds nobody up.

use std::{future::poll_fn, task::Poll, time::Duration};

use actix_web::{
    HttpRequest,
    http::header::CONTENT_LENGTH,
    web::{self, Bytes, BytesMut, Payload},
};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::connections::ConnectionHandle;
use crate::api::answer::ApiError;

/// How much a client may send, and in what time.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// Bytes.
    pub size: usize,
    /// From the request's head to the last byte.
    pub time: Duration,
}

/// Reads the body whole. A body that announces too much is refused before it is read.
pub async fn read(
    request: &HttpRequest,
    payload: Payload,
    limits: BodyLimits,
) -> Result<Bytes, ApiError> {
    let announced = request.headers().get(CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limits.size) {
        return Err(ApiError::BodyTooLarge(limits.size));
    }
    let tracked = request.conn_data::<ConnectionHandle>();
    tracked.inspect(|tracked| tracked.body_began());
    let body = timeout(limits.time, collect(tracked, payload, limits.size)).await;
    tracked.inspect(|tracked| tracked.body_ended());
    body.unwrap_or(Err(ApiError::BodyTooSlow(limits.time.as_secs())))
}

/// Larger bodies, in bytes, are parsed on a blocking thread, so that the worker goes on serving others.
const PARSE_ASIDE_ABOVE: usize = 64 * 1024;

/// Makes of a body what `parse` does.
pub async fn parse<T: Send + 'static>(
    body: Bytes,
    parse: impl FnOnce(Bytes) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    if body.len() <= PARSE_ASIDE_ABOVE {
        return parse(body);
    }
    let parsed = web::block(move || parse(body)).await;
    parsed.unwrap_or_else(|error| Err(ApiError::body_broken(error)))
}

async fn collect(
    tracked: Option<&ConnectionHandle>,
    mut payload: Payload,
    limit: usize,
) -> Result<Bytes, ApiError> {
    let mut body = BytesMut::new();
    let mut next = poll_fn(|cx| match tracked.and_then(ConnectionHandle::take_refusal) {
        Some(error) => Poll::Ready(Some(Err(error))),
        None => payload.poll_next_unpin(cx).map_err(ApiError::body_broken),
    });
    while let Some(chunk) = (&mut next).await {
        let chunk = chunk?;
        if body.len() + chunk.len() > limit {
            return Err(ApiError::BodyTooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
