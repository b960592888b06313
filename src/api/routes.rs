//! The table of paths (contract, section 2): the source of the served paths and of the OpenAPI document.

use actix_web::{
    HttpResponse, Route,
    http::{Method, StatusCode},
    web::{self, ServiceConfig},
};

use super::{
    answer::ApiError,
    list::list_of_form,
    sub_pool::{get_coinbase, update_coinbase},
    switch::{switch_many, switch_one},
};
use crate::{
    http::{Access, error::RequestError, require},
    users::Role,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Switch,
    SwitchMany,
    GetCoinbase,
    UpdateCoinbase,
    /// Every other path, while there are user lists; not in the table.
    UserList,
}

pub struct Row {
    pub endpoint: Endpoint,
    /// The path, then its aliases.
    pub paths: &'static [&'static str],
    /// Other methods are answered 405.
    pub methods: &'static [Method],
    /// Users that may use it.
    pub access: Access,
    handler: fn() -> Route,
}

pub static TABLE: [Row; 4] = [
    Row {
        endpoint: Endpoint::Switch,
        paths: &["/switch"],
        methods: &[Method::GET, Method::POST],
        access: Access::Role(Role::Switcher),
        handler: || web::route().to(switch_one),
    },
    Row {
        endpoint: Endpoint::SwitchMany,
        paths: &["/switch/multi-user", "/switch-multi-user"],
        methods: &[Method::POST],
        access: Access::DryRunOr(Role::Switcher),
        handler: || web::route().to(switch_many),
    },
    Row {
        endpoint: Endpoint::GetCoinbase,
        paths: &["/subpool/get-coinbase", "/subpool-get-coinbase"],
        methods: &[Method::POST],
        access: Access::Role(Role::Viewer),
        handler: || web::route().to(get_coinbase),
    },
    Row {
        endpoint: Endpoint::UpdateCoinbase,
        paths: &["/subpool/update-coinbase", "/subpool-update-coinbase"],
        methods: &[Method::POST],
        access: Access::Role(Role::Payout),
        handler: || web::route().to(update_coinbase),
    },
];

/// Adds every path, and an answer for all others.
pub fn add(config: &mut ServiceConfig) {
    add_rows(config, |_| true);
    add_none(config);
}

/// Adds the paths that change nothing by GET.
pub fn add_posts(config: &mut ServiceConfig) {
    add_rows(config, |row| !row.methods.contains(&Method::GET));
}

fn add_rows(config: &mut ServiceConfig, is_wanted: impl Fn(&Row) -> bool) {
    for row in TABLE.iter().filter(|row| is_wanted(row)) {
        let Row { endpoint, paths, methods, access, handler } = row;
        let refused = || async { Err::<HttpResponse, _>(RequestError::MethodNotAllowed(methods)) };
        let resource = web::resource(paths.to_vec()).app_data(*endpoint);
        let resource = methods
            .iter()
            .fold(resource, |resource, method| resource.route(handler().method(method.clone())));
        let resource = resource.default_service(web::route().to(refused));
        let access = *access;
        config.service(
            resource.wrap_fn(move |it, route| require((access, StatusCode::OK), it, route)),
        );
    }
}

/// Answers every path with 404. Of the requests for lists, only those with a form get here: the list API answers the
/// others in the middleware.
pub fn add_none(config: &mut ServiceConfig) {
    config.route("/", web::route().to(list_of_form));
    config.default_service(web::route().to(path_unknown));
}

async fn path_unknown() -> Result<HttpResponse, ApiError> {
    Err(ApiError::PathUnknown)
}
