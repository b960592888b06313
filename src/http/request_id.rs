//! Request ids: each request has one, which its answer's header and its log lines carry; and the origin of a request.
//!
//! An id from the client is ignored, so no client can write the id of another request into the log. Person and comment
//! are recorded only for a user, and cut.

use std::sync::Arc;

use actix_web::{
    HttpMessage, HttpRequest,
    dev::ServiceRequest,
    http::header::{HeaderMap, HeaderName, HeaderValue},
};
use switcher_actors::{
    COMMENT_BYTES, ON_BEHALF_OF_BYTES, Origin, RequestId, RequestIds, Source, SourceKind, cut,
};

use super::{
    access::{Actor, Means},
    forwarded::client,
};
use crate::config::Network;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const X_ON_BEHALF_OF: HeaderName = HeaderName::from_static("x-on-behalf-of");

const X_CHANGE_COMMENT: HeaderName = HeaderName::from_static("x-change-comment");

/// Origin of `request`, with a new id, without its user.
pub fn origin(ids: &RequestIds, request: &ServiceRequest, trusted: &[Network]) -> Origin {
    let client = client(request.request(), trusted);
    Origin { client, ..Origin::of(SourceKind::Api, ids.next_id()) }
}

/// Adds the user, person and comment to `origin`, and stores it in `request` for [`source`].
pub fn assign(mut origin: Origin, actor: Option<&Actor>, request: &ServiceRequest) -> Source {
    if let Some(actor) = actor {
        origin.actor = Some(Arc::clone(actor.name()));
        origin.on_behalf_of = text(request.headers(), &X_ON_BEHALF_OF, ON_BEHALF_OF_BYTES);
        origin.comment = text(request.headers(), &X_CHANGE_COMMENT, COMMENT_BYTES);
        if matches!(actor.means, Means::Session(_)) {
            origin.kind = SourceKind::Console;
        }
    }
    let source = Source::new(origin);
    request.extensions_mut().insert(source.clone());
    source
}

/// The text of a header, of at most `bytes`; the first of several counts.
fn text(headers: &HeaderMap, name: &HeaderName, bytes: usize) -> Option<Box<str>> {
    cut(&String::from_utf8_lossy(headers.get(name)?.as_bytes()), bytes)
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
