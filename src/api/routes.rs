//! The table of paths (contract, section 2): what is served, and what the OpenAPI document tells, comes from here.

use actix_web::{
    HttpResponse, Route,
    http::Method,
    web::{self, ServiceConfig},
};
use utoipa::openapi::path::OperationBuilder;

use super::{
    answer::ApiError,
    request_metrics::Endpoint,
    sub_pool::{get_coinbase, update_coinbase},
    switch::{switch_many, switch_one},
};
use crate::openapi::{self, Described};

/// An endpoint.
pub struct Row {
    /// Which one it is, for the figures.
    pub endpoint: Endpoint,
    /// Its path, and then its aliases.
    pub paths: &'static [&'static str],
    /// Others are answered 405.
    pub methods: &'static [Method],
    handler: fn() -> Route,
    /// What a client has to know of it, by method.
    pub described: fn(&Described, &Method) -> OperationBuilder,
}

/// Every endpoint.
pub static TABLE: [Row; 4] = [
    Row {
        endpoint: Endpoint::Switch,
        paths: &["/switch"],
        methods: &[Method::GET, Method::POST],
        handler: || web::route().to(switch_one),
        described: openapi::switch_one,
    },
    Row {
        endpoint: Endpoint::SwitchMany,
        paths: &["/switch/multi-user", "/switch-multi-user"],
        methods: &[Method::POST],
        handler: || web::route().to(switch_many),
        described: openapi::switch_many,
    },
    Row {
        endpoint: Endpoint::GetCoinbase,
        paths: &["/subpool/get-coinbase", "/subpool-get-coinbase"],
        methods: &[Method::POST],
        handler: || web::route().to(get_coinbase),
        described: openapi::get_coinbase,
    },
    Row {
        endpoint: Endpoint::UpdateCoinbase,
        paths: &["/subpool/update-coinbase", "/subpool-update-coinbase"],
        methods: &[Method::POST],
        handler: || web::route().to(update_coinbase),
        described: openapi::update_coinbase,
    },
];

/// Adds every path, with its alias, and an answer for all others.
pub fn add(config: &mut ServiceConfig) {
    add_rows(config, |_| true);
    config.default_service(web::route().to(path_unknown));
}

/// Adds those that change nothing by GET.
pub fn add_posts(config: &mut ServiceConfig) {
    add_rows(config, |row| !row.methods.contains(&Method::GET));
}

fn add_rows(config: &mut ServiceConfig, is_wanted: impl Fn(&Row) -> bool) {
    for Row { endpoint, paths, methods, handler, .. } in TABLE.iter().filter(|row| is_wanted(row)) {
        let refused = move || async move { method_not_allowed(methods) };
        let resource = web::resource(paths.to_vec()).app_data(*endpoint);
        let resource = methods
            .iter()
            .fold(resource, |resource, method| resource.route(handler().method(method.clone())));
        config.service(resource.default_service(web::route().to(refused)));
    }
}

fn method_not_allowed(methods: &'static [Method]) -> Result<HttpResponse, ApiError> {
    Err(ApiError::MethodNotAllowed(methods))
}

async fn path_unknown() -> Result<HttpResponse, ApiError> {
    Err(ApiError::PathUnknown)
}
