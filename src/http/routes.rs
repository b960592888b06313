//! The table of paths (contract, section 2).

use actix_web::{
    HttpResponse, Resource,
    web::{self, ServiceConfig},
};

use super::{
    answer::ApiError,
    requests::Endpoint,
    sub_pool::{get_coinbase, update_coinbase},
    switch::{switch_many, switch_one},
};

/// Adds every path, with its alias, and an answer for all others.
pub fn add(config: &mut ServiceConfig) {
    let get = web::get().to(switch_one);
    let post = web::post().to(switch_one);
    config.service(of(web::resource("/switch"), Endpoint::Switch).route(get).route(post));
    add_posts(config);
    config.default_service(web::route().to(path_unknown));
}

/// Adds those that change nothing by GET.
pub fn add_posts(config: &mut ServiceConfig) {
    let many = web::resource(["/switch/multi-user", "/switch-multi-user"]);
    let get = web::resource(["/subpool/get-coinbase", "/subpool-get-coinbase"]);
    let update = web::resource(["/subpool/update-coinbase", "/subpool-update-coinbase"]);
    config
        .service(of(many, Endpoint::SwitchMany).route(web::post().to(switch_many)))
        .service(of(get, Endpoint::GetCoinbase).route(web::post().to(get_coinbase)))
        .service(of(update, Endpoint::UpdateCoinbase).route(web::post().to(update_coinbase)));
}

fn of(resource: Resource, endpoint: Endpoint) -> Resource {
    resource.app_data(endpoint).default_service(web::route().to(method_not_allowed))
}

async fn method_not_allowed() -> Result<HttpResponse, ApiError> {
    Err(ApiError::MethodNotAllowed)
}

async fn path_unknown() -> Result<HttpResponse, ApiError> {
    Err(ApiError::PathUnknown)
}
