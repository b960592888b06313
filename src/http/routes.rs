//! The table of paths (contract, section 2).

use actix_web::{
    HttpResponse,
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
    let get = || web::get().to(switch_one);
    let post = || web::post().to(switch_one);
    let unknown_method = || web::route().to(method_not_allowed);
    config
        .service(
            web::resource("/switch")
                .app_data(Endpoint::Switch)
                .route(get())
                .route(post())
                .default_service(unknown_method()),
        )
        .service(
            web::resource(["/switch/multi-user", "/switch-multi-user"])
                .app_data(Endpoint::SwitchMany)
                .route(web::post().to(switch_many))
                .default_service(unknown_method()),
        )
        .service(
            web::resource(["/subpool/get-coinbase", "/subpool-get-coinbase"])
                .app_data(Endpoint::GetCoinbase)
                .route(web::post().to(get_coinbase))
                .default_service(unknown_method()),
        )
        .service(
            web::resource(["/subpool/update-coinbase", "/subpool-update-coinbase"])
                .app_data(Endpoint::UpdateCoinbase)
                .route(web::post().to(update_coinbase))
                .default_service(unknown_method()),
        )
        .default_service(web::route().to(path_unknown));
}

async fn method_not_allowed() -> Result<HttpResponse, ApiError> {
    Err(ApiError::MethodNotAllowed)
}

async fn path_unknown() -> Result<HttpResponse, ApiError> {
    Err(ApiError::PathUnknown)
}
