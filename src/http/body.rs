//! Reads a request's body: whole, within a size and a time; and has it parsed where that holds nobody up.

use std::time::Duration;

use actix_web::{
    HttpRequest,
    http::header::CONTENT_LENGTH,
    web::{self, Bytes, BytesMut, Payload},
};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::{answer::ApiError, connections::Tracked};

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
    let tracked = request.conn_data::<Tracked>();
    tracked.inspect(|tracked| tracked.body_began());
    let body = timeout(limits.time, collect(payload, limits.size)).await;
    tracked.inspect(|tracked| tracked.body_ended());
    body.unwrap_or(Err(ApiError::BodyTooSlow(limits.time.as_secs())))
}

/// Bodies of more bytes are parsed on a thread beside, so that the worker goes on serving others.
const PARSE_ASIDE_ABOVE: usize = 64 * 1024;

/// Makes of a body what `parse` does.
pub async fn parse<T: Send + 'static>(
    body: Bytes,
    parse: impl FnOnce(&Bytes) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    if body.len() <= PARSE_ASIDE_ABOVE {
        return parse(&body);
    }
    let parsed = web::block(move || parse(&body)).await;
    parsed.unwrap_or_else(|error| Err(ApiError::body_broken(error)))
}

async fn collect(mut payload: Payload, limit: usize) -> Result<Bytes, ApiError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(ApiError::body_broken)?;
        if body.len() + chunk.len() > limit {
            return Err(ApiError::BodyTooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
