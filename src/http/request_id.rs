//! Request ids: each request has one, which its answer's header and its log lines carry.
//!
//! An id from the client is ignored, so no client can write the id of another request into the log.

use actix_web::{
    HttpMessage, HttpRequest,
    dev::ServiceRequest,
    http::header::{HeaderMap, HeaderName, HeaderValue},
};
use switcher_actors::{RequestId, RequestIds, Source};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives `request` an id, which [`source`] returns to its handler.
pub fn assign(ids: &RequestIds, request: &ServiceRequest) -> Source {
    let client = request.peer_addr().map(|peer| peer.ip().to_canonical());
    let source = Source::api(client, ids.next_id());
    request.extensions_mut().insert(source.clone());
    source
}

/// Client and id of a request that has passed the middleware.
pub fn source(request: &HttpRequest) -> Source {
    let unknown = || Source::api(None, RequestId::default());
    request.extensions().get().cloned().unwrap_or_else(unknown)
}

/// Adds the id to the answer's `headers`.
pub fn set_header(headers: &mut HeaderMap, source: &Source) {
    if let Ok(value) = HeaderValue::from_bytes(&source.request.digits()) {
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
        let listeners = [RequestIds::random(), RequestIds::random()];
        let ids = (0..2000).map(|n| assign(&listeners[n % 2], &request()).request.0);
        assert_eq!(ids.collect::<HashSet<_>>().len(), 2000);
    }

    #[test]
    fn a_handler_finds_the_id_that_the_middleware_assigned() {
        let request =
            TestRequest::default().insert_header((X_REQUEST_ID, "forged")).to_srv_request();
        let source_of_request = assign(&RequestIds::random(), &request);
        assert_eq!(source(request.request()), source_of_request);
        let mut headers = HeaderMap::new();
        set_header(&mut headers, &source_of_request);
        let id = headers.get("X-Request-Id").and_then(|id| id.to_str().ok()).unwrap();
        assert!(id.len() == 16 && id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{id}");
    }
}
