//! Which request is which: each has an id that its answer's header and its log lines carry.
//!
//! Ids are ours alone: one that a client sends is passed over, so nobody can write another's into the log.

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

/// The answer's header.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives ids: a listener's count from a random number on, so that neither the listeners of a process nor those of
/// one before it give the same.
pub struct RequestIds(AtomicU64);

impl RequestIds {
    /// With a beginning of its own.
    pub fn new() -> Self {
        // The standard library's hasher is seeded at random.
        Self(AtomicU64::new(RandomState::new().hash_one(std::process::id())))
    }

    /// Names `request` by an id of its own, for its handler to find by [`source`].
    pub fn name(&self, request: &ServiceRequest) -> Source {
        let id = RequestId(self.0.fetch_add(1, Ordering::Relaxed));
        let client = request.peer_addr().map(|peer| peer.ip().to_canonical());
        let source = Source::Api { client, request: id };
        request.extensions_mut().insert(source);
        source
    }
}

/// Who asks, and by which request; every request has passed the guard, which knows.
pub fn source(request: &HttpRequest) -> Source {
    let nobody = Source::Api { client: None, request: RequestId::default() };
    request.extensions().get().copied().unwrap_or(nobody)
}

/// Puts the id into the answer's `headers`.
pub fn mark(headers: &mut HeaderMap, source: Source) {
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
    fn ids_differ_whoever_gives_them() {
        let request = || TestRequest::default().to_srv_request();
        let givers = [RequestIds::new(), RequestIds::new()];
        let ids = (0..2000).map(|n| match givers[n % 2].name(&request()) {
            Source::Api { request, .. } => request.0,
            Source::Poll => 0,
        });
        assert_eq!(ids.collect::<HashSet<_>>().len(), 2000);
    }

    #[test]
    fn a_handler_finds_what_the_guard_has_named() {
        let request =
            TestRequest::default().insert_header((X_REQUEST_ID, "forged")).to_srv_request();
        let named = RequestIds::new().name(&request);
        assert_eq!(source(request.request()), named);
        let mut headers = HeaderMap::new();
        mark(&mut headers, named);
        let id = headers.get("X-Request-Id").and_then(|id| id.to_str().ok()).unwrap();
        assert!(id.len() == 16 && id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{id}");
    }
}
