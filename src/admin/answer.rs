//! Answers of the admin pages: errors, JSON, text and files for browsers.

use actix_web::{
    HttpResponse, ResponseError,
    body::MessageBody,
    http::{
        Method, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, ContentType, REFERRER_POLICY,
            X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
        },
    },
};
use serde::Serialize;
use serde_json::json;
use switcher_actors::{PunameError, Recent, WriteFailure, escape_json};
use switcher_history::{Error, OpenError};
use thiserror::Error;

use super::{
    STREAMS,
    history::{QueryError, SEARCHES},
};
use crate::http::error::allow;

/// Methods of every page. HEAD has GET's headers and no body.
const METHODS: &[Method] = &[Method::GET, Method::HEAD];

/// Errors of the admin pages, with their statuses.
#[derive(Debug, Error)]
pub enum PageError {
    /// 400
    #[error("limit is {0:?}, expected a whole number from 1 to {max}", max = Recent::KEPT)]
    Limit(String),
    /// 400
    #[error("puname {0}")]
    Puname(PunameError),
    /// 400
    #[error("{0}")]
    Query(#[from] QueryError),
    /// 404
    #[error("there is no history: HistoryFile is not set")]
    NoHistory,
    /// 404
    #[error("the API is off (EnableAPIServer), so it has no description")]
    NoApi,
    /// 404
    #[error(
        "no such path; there are / (the console), /healthz, /readyz, /metrics, /status, /recent, \
         /recent/stream, /history, /history/requests, /undo, /held-switches, /sub-account, /whoami, /login, /logout, \
         /docs and /openapi.json, and the API's but /switch where the API is on"
    )]
    PathUnknown,
    /// 405
    #[error("method not allowed for this path")]
    MethodNotAllowed,
    /// 503
    #[error("{STREAMS} streams are open already; close one, or request /recent from time to time")]
    TooManyStreams,
    /// 503
    #[error("{0}")]
    NotRead(WriteFailure),
    /// 503
    #[error("{SEARCHES} searches of the history run already; try again when they have ended")]
    TooManySearches,
    /// 503
    #[error("the history cannot be opened: {0}")]
    NotOpened(OpenError),
    /// 503
    #[error("the history cannot be searched: {0}")]
    NotSearched(Error),
    /// 500: a library failed to encode a document
    #[error("the document cannot be encoded")]
    Unwritable,
}

impl ResponseError for PageError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Limit(_) | Self::Puname(_) | Self::Query(_) => StatusCode::BAD_REQUEST,
            Self::NoHistory | Self::NoApi | Self::PathUnknown => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooManyStreams
            | Self::TooManySearches
            | Self::NotRead(_)
            | Self::NotOpened(_)
            | Self::NotSearched(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unwritable => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Self::MethodNotAllowed = self {
            response.insert_header(allow(METHODS));
        }
        response.json(json!({ "error": self.to_string() }))
    }
}

/// A file for browsers, under a content security policy.
pub fn for_browsers(
    content_type: &'static str,
    policy: &'static str,
    body: impl MessageBody + 'static,
) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(content_type)
        .insert_header((CONTENT_SECURITY_POLICY, policy))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((X_FRAME_OPTIONS, "DENY"))
        .insert_header((REFERRER_POLICY, "same-origin"))
        .insert_header(("Cross-Origin-Resource-Policy", "same-origin"))
        // The next version of the daemon has other files.
        .insert_header((CACHE_CONTROL, "no-store"))
        // A browser opens six connections for them, and would hold them while other clients wait.
        .force_close()
        .body(body)
}

/// A JSON document with invisible characters escaped, since operators read it on a terminal.
pub fn json_page(body: &impl Serialize) -> HttpResponse {
    // Serializing maps with text keys cannot fail.
    let json = serde_json::to_string(body).unwrap_or_default();
    HttpResponse::Ok()
        .content_type(ContentType::json())
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(escape_json(&json).into_owned())
}

/// A text.
pub fn plain(status: StatusCode, body: String) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("text/plain; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(body)
}
