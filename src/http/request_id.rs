//! Request ids: each request has one, which its answer's header and its log lines carry.
//!
//! An id from the client is ignored, so no client can write the id of another request into the log.

use std::sync::Arc;

use actix_web::{
    HttpMessage, HttpRequest,
    dev::ServiceRequest,
    http::header::{HeaderMap, HeaderName, HeaderValue},
};
use switcher_actors::{Origin, RequestId, RequestIds, Source, SourceKind};

use super::access::{Actor, Means};
use crate::config::Network;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Origin of `request`, with a new id, without its user.
pub fn origin(ids: &RequestIds, request: &ServiceRequest, _trusted: &[Network]) -> Origin {
    let client = request.peer_addr().map(|peer| peer.ip().to_canonical());
    Origin { client, ..Origin::of(SourceKind::Api, ids.next_id()) }
}

/// Adds the user to `origin`, and leaves it with `request`, where [`source`] finds it.
pub fn assign(mut origin: Origin, actor: Option<&Actor>, request: &ServiceRequest) -> Source {
    origin.actor = actor.map(|actor| Arc::clone(actor.name()));
    if actor.is_some_and(|actor| matches!(actor.means, Means::Session(_))) {
        origin.kind = SourceKind::Console;
    }
    let source = Source::new(origin);
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
        let ids = (0..2000).map(|n| origin(&listeners[n % 2], &request(), &[]).request.0);
        assert_eq!(ids.collect::<HashSet<_>>().len(), 2000);
    }

    #[test]
    fn a_handler_finds_the_id_that_the_middleware_assigned() {
        let request =
            TestRequest::default().insert_header((X_REQUEST_ID, "forged")).to_srv_request();
        let origin = origin(&RequestIds::random(), &request, &[]);
        let source_of_request = assign(origin, None, &request);
        assert_eq!(source(request.request()), source_of_request);
        let mut headers = HeaderMap::new();
        set_header(&mut headers, &source_of_request);
        let id = headers.get("X-Request-Id").and_then(|id| id.to_str().ok()).unwrap();
        assert!(id.len() == 16 && id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{id}");
    }
}
