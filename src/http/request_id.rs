//! Request ids: each request has one, which its answer's header and its log lines carry; and the source of a request.
//!
//! An id from the client is ignored, so no client can write the id of another request into the log. Person and comment
//! are recorded only for a user, and cut.

use std::sync::Arc;

use actix_web::{
    dev::ServiceRequest,
    http::header::{HeaderMap, HeaderName, HeaderValue},
};
use switcher_actors::{
    COMMENT_BYTES, ON_BEHALF_OF_BYTES, Origin, RequestIds, Source, SourceKind, cut,
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

/// Adds the user to `origin`, with person and comment from `headers`.
pub fn source_of(mut origin: Origin, actor: Option<&Actor>, headers: &HeaderMap) -> Source {
    if let Some(actor) = actor {
        origin.actor = Some(Arc::clone(actor.name()));
        origin.on_behalf_of = text(headers, &X_ON_BEHALF_OF, ON_BEHALF_OF_BYTES);
        origin.comment = text(headers, &X_CHANGE_COMMENT, COMMENT_BYTES);
        if matches!(actor.means, Means::Session(_)) {
            origin.kind = SourceKind::Console;
        }
    }
    Source::new(origin)
}

/// The text of a header, of at most `bytes`; the first of several counts.
fn text(headers: &HeaderMap, name: &HeaderName, bytes: usize) -> Option<Box<str>> {
    cut(&String::from_utf8_lossy(headers.get(name)?.as_bytes()), bytes)
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
    fn the_id_of_an_answer_is_ours() {
        let request =
            TestRequest::default().insert_header((X_REQUEST_ID, "forged")).to_srv_request();
        let origin = origin(&RequestIds::random(), &request, &[]);
        let source = source_of(origin, None, request.headers());
        let mut headers = HeaderMap::new();
        set_header(&mut headers, &source);
        let id = headers.get("X-Request-Id").and_then(|id| id.to_str().ok()).unwrap();
        assert!(id.len() == 16 && id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{id}");
    }
}
