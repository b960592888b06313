//! The table of admin paths, with metrics and health.

use std::{fmt::Write, future::ready};

use actix_web::{
    HttpResponse, Resource, Route,
    guard::{Any, Get, Head, fn_guard},
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
    sign_in,
    status::status,
    stream::{stream, stream_head},
    sub_account::sub_account,
    undo::{not_allowed, undo},
    whoami::whoami,
};
use crate::{
    http::{Access, require},
    users::Role,
};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A page.
pub struct Page {
    pub path: &'static str,
    /// Users that may use it.
    pub access: Access,
    /// A route for each of its methods.
    routes: fn() -> Vec<Route>,
    /// Answers all other methods.
    others: fn() -> Route,
}

const fn page(path: &'static str, access: Access, routes: fn() -> Vec<Route>) -> Page {
    Page { path, access, routes, others: || web::route().to(method_not_allowed) }
}

const VIEWER: Access = Access::Role(Role::Viewer);

pub static PAGES: &[Page] = &[
    page("/healthz", Access::Everyone, || vec![reads().to(healthz)]),
    page("/readyz", Access::Everyone, || vec![reads().to(readyz)]),
    page("/metrics", Access::Metrics, || vec![reads().to(metrics)]),
    page("/recent", VIEWER, || vec![reads().to(recent)]),
    page("/recent/stream", VIEWER, || vec![web::get().to(stream), web::head().to(stream_head)]),
    page("/history", VIEWER, || vec![reads().to(history::changes)]),
    page("/history/requests", VIEWER, || vec![reads().to(history::requests)]),
    page("/status", VIEWER, || vec![reads().to(status)]),
    page("/held-switches", VIEWER, || vec![reads().to(held)]),
    page("/sub-account", VIEWER, || vec![reads().to(sub_account)]),
    // The handler also checks the role of the undone changes, which only the history knows.
    Page {
        path: "/undo",
        access: VIEWER,
        routes: || vec![web::post().to(undo)],
        others: || web::route().to(not_allowed),
    },
    page("/whoami", Access::AnyUser, || vec![reads().to(whoami)]),
    // The middleware knows these paths, too (`super::PATHS`).
    Page {
        path: sign_in::PATH,
        access: Access::Everyone,
        routes: || vec![reads().to(sign_in::page), web::post().to(sign_in::login)],
        others: || web::route().to(sign_in::login_not_allowed),
    },
    Page {
        path: "/logout",
        access: Access::Everyone,
        routes: || vec![web::post().to(sign_in::logout)],
        others: || web::route().to(sign_in::logout_not_allowed),
    },
    page("/login.css", Access::Everyone, || vec![reads().to(sign_in::style)]),
    page("/openapi.json", VIEWER, || vec![reads().to(docs::openapi)]),
    page("/docs", VIEWER, || vec![reads().to(docs::docs)]),
    page("/docs.css", VIEWER, || vec![reads().to(docs::style)]),
];

/// A route for GET and HEAD.
fn reads() -> Route {
    web::route().guard(Any(Get()).or(Head()))
}

/// Adds all paths, and 404 for others.
pub fn add(config: &mut ServiceConfig) {
    for Page { path, access, routes, others } in PAGES {
        let resource = web::resource(*path).default_service(others());
        let resource = match sign_in::PATHS.contains(path) {
            true => resource.guard(fn_guard(sign_in::is_on)),
            false => resource,
        };
        let resource = routes().into_iter().fold(resource, Resource::route);
        add_resource(config, resource, *access);
    }
    for file in console::FILES {
        let resource = web::resource(file.path)
            .default_service(web::route().to(method_not_allowed))
            .route(reads().to(|| ready(file.answer())));
        add_resource(config, resource, file.access);
    }
    config.default_service(web::route().to(path_unknown));
}

fn add_resource(config: &mut ServiceConfig, resource: Resource, access: Access) {
    let status = StatusCode::FORBIDDEN;
    config.service(resource.wrap_fn(move |it, route| require((access, status), it, route)));
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

#[cfg(test)]
mod tests;
