//! The table of the admin paths; figures and health.

use std::{fmt::Write, future::ready};

use actix_web::{
    HttpResponse, Resource, ResponseError, Route,
    body::MessageBody,
    guard::{Any, Get, Head},
    http::{
        Method, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, ContentType, REFERRER_POLICY,
            X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
        },
    },
    web::{self, Data, ServiceConfig},
};
use prometheus_client::encoding::text::encode;
use serde::Serialize;
use serde_json::json;
use switcher_actors::{PunameError, WriteFailure, escape_json};
use thiserror::Error;

use super::{
    Admin, console, docs,
    recent::recent,
    status::status,
    stream::{stream, stream_head},
    sub_account::sub_account,
};
use crate::api::allow;

/// What Prometheus knows the text by.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Methods of every page. HEAD has GET's headers and no body.
const METHODS: &[Method] = &[Method::GET, Method::HEAD];

/// Adds every path, and an answer for all others.
pub fn add(config: &mut ServiceConfig) {
    let both = || web::route().guard(Any(Get()).or(Head()));
    config
        .service(page("/healthz", [both().to(healthz)]))
        .service(page("/readyz", [both().to(readyz)]))
        .service(page("/metrics", [both().to(metrics)]))
        .service(page("/recent", [both().to(recent)]))
        .service(page("/recent/stream", [web::get().to(stream), web::head().to(stream_head)]))
        .service(page("/status", [both().to(status)]))
        .service(page("/sub-account", [both().to(sub_account)]))
        .service(page("/openapi.json", [both().to(docs::openapi)]))
        .service(page("/docs", [both().to(docs::docs)]))
        .service(page("/docs.css", [both().to(docs::style)]));
    for file in console::FILES {
        config.service(page(file.path, [both().to(|| ready(file.answer()))]));
    }
    config.default_service(web::route().to(path_unknown));
}

/// A path with the routes for its methods; other methods are answered 405.
fn page<const N: usize>(path: &str, routes: [Route; N]) -> Resource {
    let resource = web::resource(path).default_service(web::route().to(method_not_allowed));
    routes.into_iter().fold(resource, Resource::route)
}

/// Why a page is not shown.
#[derive(Debug, Error)]
pub enum PageError {
    /// 400
    #[error("limit is {0:?}, expected a whole number from 1 to {max}", max = switcher_actors::Recent::KEPT)]
    Limit(String),
    /// 400
    #[error("puname {0}")]
    Puname(PunameError),
    /// 404
    #[error("the API is off (EnableAPIServer), so there is nothing to describe")]
    NoApi,
    /// 404
    #[error(
        "no such path; there are / (the console), /healthz, /readyz, /metrics, /status, /recent, \
         /recent/stream, /sub-account, /docs and /openapi.json, and the API's but /switch where the API is on"
    )]
    PathUnknown,
    /// 405
    #[error("method not allowed for this path")]
    MethodNotAllowed,
    /// 503
    #[error(
        "{} streams are open already; close one, or ask for /recent now and then",
        super::STREAMS
    )]
    TooManyStreams,
    /// 503: the znode was not read
    #[error("{0}")]
    NotRead(WriteFailure),
    /// 500: what writes texts into memory has failed
    #[error("the figures cannot be written")]
    Unwritable,
}

impl ResponseError for PageError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Limit(_) | Self::Puname(_) => StatusCode::BAD_REQUEST,
            Self::NoApi | Self::PathUnknown => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooManyStreams | Self::NotRead(_) => StatusCode::SERVICE_UNAVAILABLE,
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

async fn method_not_allowed() -> Result<HttpResponse, PageError> {
    Err(PageError::MethodNotAllowed)
}

async fn path_unknown() -> Result<HttpResponse, PageError> {
    Err(PageError::PathUnknown)
}

/// The process is alive: it answers.
async fn healthz() -> HttpResponse {
    plain(StatusCode::OK, "ok\n".to_owned())
}

/// 200 where requests can be served, 503 with a line for each thing that is missing.
async fn readyz(admin: Data<Admin>) -> HttpResponse {
    let missing = admin.metrics.missing();
    if missing.is_empty() {
        return plain(StatusCode::OK, "ready\n".to_owned());
    }
    let mut body = "not ready\n".to_owned();
    for what in missing {
        // A text takes all that is written to it.
        let _ = writeln!(body, "{what}");
    }
    plain(StatusCode::SERVICE_UNAVAILABLE, body)
}

/// A page for browsers, or a part of one, which may do no more than `policy` (a content security policy) says.
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
        // The daemon's next version has other files.
        .insert_header((CACHE_CONTROL, "no-store"))
        // A browser opens six connections for them, and would keep what others could have.
        .force_close()
        .body(body)
}

/// A JSON document whose bytes show nothing unseen: operators read it on a terminal.
pub fn json_page(body: &impl Serialize) -> HttpResponse {
    // The bodies are maps with texts as keys, which serialize.
    let json = serde_json::to_string(body).unwrap_or_default();
    HttpResponse::Ok()
        .content_type(ContentType::json())
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(escape_json(&json).into_owned())
}

fn plain(status: StatusCode, body: String) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("text/plain; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(body)
}

async fn metrics(admin: Data<Admin>) -> Result<HttpResponse, PageError> {
    let mut text = String::new();
    encode(&mut text, &admin.registry).map_err(|_| PageError::Unwritable)?;
    Ok(HttpResponse::Ok().content_type(OPEN_METRICS).body(text))
}
