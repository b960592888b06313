//! Request ids: each request has one, which its answer's header and its log lines carry.
//!
//! An id from the client is ignored, so no client can write the id of another request into the log.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

use actix_web::{
    HttpMessage, HttpRequest,
    dev::ServiceRequest,
    http::header::{HeaderMap, HeaderName, HeaderValue},
};
use switcher_actors::{RequestId, Source};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The ids of a listener: a count from a random number on, so that they differ from those of other listeners and of
/// earlier processes.
pub struct RequestIds(AtomicU64);

impl RequestIds {
    pub fn new() -> Self {
        // The standard library's hasher has a random seed.
        Self(AtomicU64::new(RandomState::new().hash_one(std::process::id())))
    }

    /// Gives `request` an id, which [`source`] returns to its handler.
    pub fn assign(&self, request: &ServiceRequest) -> Source {
        let id = RequestId(self.0.fetch_add(1, Ordering::Relaxed));
        let client = request.peer_addr().map(|peer| peer.ip().to_canonical());
        let source = Source::Api { client, request: id };
        request.extensions_mut().insert(source);
        source
    }
}

/// Client and id of a request that has passed the middleware.
pub fn source(request: &HttpRequest) -> Source {
    let unknown = Source::Api { client: None, request: RequestId::default() };
    request.extensions().get().copied().unwrap_or(unknown)
}

/// Adds the id to the answer's `headers`.
pub fn set_header(headers: &mut HeaderMap, source: Source) {
    if let Source::Api { request, .. } = source
        && let Ok(value) = HeaderValue::from_bytes(&request.digits())
    {
        headers.insert(X_REQUEST_ID, value);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn ids_differ_between_requests_and_listeners() {
        let request = || TestRequest::default().to_srv_request();
        let listeners = [RequestIds::new(), RequestIds::new()];
        let ids = (0..2000).map(|n| match listeners[n % 2].assign(&request()) {
            Source::Api { request, .. } => request.0,
            Source::Poll => 0,
        });
        assert_eq!(ids.collect::<HashSet<_>>().len(), 2000);
    }

    #[test]
    fn a_handler_finds_the_id_that_the_middleware_assigned() {
        let request =
            TestRequest::default().insert_header((X_REQUEST_ID, "forged")).to_srv_request();
        let source_of_request = RequestIds::new().assign(&request);
        assert_eq!(source(request.request()), source_of_request);
        let mut headers = HeaderMap::new();
        set_header(&mut headers, source_of_request);
        let id = headers.get("X-Request-Id").and_then(|id| id.to_str().ok()).unwrap();
        assert!(id.len() == 16 && id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{id}");
    }
}
