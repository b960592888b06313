//! The table of admin paths, with metrics and health.

use std::{fmt::Write, future::ready};

use actix_web::{
    HttpResponse, Resource, Route,
    guard::{Any, Get, Head},
    http::StatusCode,
    web::{self, Data, ServiceConfig},
};
use prometheus_client::encoding::text::encode;

use super::{
    Admin,
    answer::{PageError, plain},
    console, docs,
    held::held,
    history,
    recent::recent,
    status::status,
    stream::{stream, stream_head},
    sub_account::sub_account,
    undo::{not_allowed, undo},
};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Adds all paths, and 404 for others.
pub fn add(config: &mut ServiceConfig) {
    let both = || web::route().guard(Any(Get()).or(Head()));
    config
        .service(page("/healthz", [both().to(healthz)]))
        .service(page("/readyz", [both().to(readyz)]))
        .service(page("/metrics", [both().to(metrics)]))
        .service(page("/recent", [both().to(recent)]))
        .service(page("/recent/stream", [web::get().to(stream), web::head().to(stream_head)]))
        .service(page("/history", [both().to(history::changes)]))
        .service(page("/history/requests", [both().to(history::requests)]))
        .service(page("/status", [both().to(status)]))
        .service(page("/held-switches", [both().to(held)]))
        .service(page("/sub-account", [both().to(sub_account)]))
        .service(
            web::resource("/undo")
                .route(web::post().to(undo))
                .default_service(web::route().to(not_allowed)),
        )
        .service(page("/openapi.json", [both().to(docs::openapi)]))
        .service(page("/docs", [both().to(docs::docs)]))
        .service(page("/docs.css", [both().to(docs::style)]));
    for file in console::FILES {
        config.service(page(file.path, [both().to(|| ready(file.answer()))]));
    }
    config.default_service(web::route().to(path_unknown));
}

/// A path with the routes of its methods, and 405 for others.
fn page<const N: usize>(path: &str, routes: [Route; N]) -> Resource {
    let resource = web::resource(path).default_service(web::route().to(method_not_allowed));
    routes.into_iter().fold(resource, Resource::route)
}

async fn method_not_allowed() -> Result<HttpResponse, PageError> {
    Err(PageError::MethodNotAllowed)
}

async fn path_unknown() -> Result<HttpResponse, PageError> {
    Err(PageError::PathUnknown)
}

async fn healthz() -> HttpResponse {
    plain(StatusCode::OK, "ok\n".to_owned())
}

/// 200 if the daemon can serve requests, otherwise 503 with a line for each thing that is missing.
async fn readyz(admin: Data<Admin>) -> HttpResponse {
    let missing = admin.metrics.missing();
    if missing.is_empty() {
        return plain(StatusCode::OK, "ready\n".to_owned());
    }
    let mut body = "not ready\n".to_owned();
    for missing in missing {
        // Writing to a String cannot fail.
        let _ = writeln!(body, "{missing}");
    }
    plain(StatusCode::SERVICE_UNAVAILABLE, body)
}

async fn metrics(admin: Data<Admin>) -> Result<HttpResponse, PageError> {
    let mut text = String::new();
    admin.metrics.refresh();
    encode(&mut text, &admin.registry).map_err(|_| PageError::Unwritable)?;
    Ok(HttpResponse::Ok().content_type(OPEN_METRICS).body(text))
}
