//! What a sub-account's znode holds, read from ZooKeeper as it is asked for.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web::Data};
use serde::Serialize;
use switcher_actors::Switches;

use super::{
    Admin,
    pages::{PageError, json_page},
};
use crate::{
    api::{Parameters, look},
    http::RequestConfigData,
};

#[derive(Serialize)]
struct Body<'a> {
    /// As the znode is called, so in lower case where the operator says so.
    sub_account: &'a str,
    /// What it holds, cut after 64 bytes; `null` if there is none.
    coin: Option<&'a str>,
}

/// `GET /sub-account?puname=NAME`: the sub-account's coin, as a server has it that has caught up with the leader.
pub async fn sub_account(
    request: HttpRequest,
    terms: RequestConfigData,
    admin: Data<Admin>,
) -> Result<HttpResponse, PageError> {
    let mut parameters = Parameters::new(["puname"]);
    parameters.add_urlencoded(request.query_string().as_bytes());
    let [name] = parameters.first();
    let puname = terms.rules.puname(name).map_err(PageError::Puname)?;
    let reply = look(&admin.looks, Arc::new(Switches::of_name(&puname))).await;
    reply.outcome.map_err(PageError::NotRead)?;
    let result = reply.results.as_ref().and_then(|results| results.get(0));
    let old = result.and_then(|result| result.old.text());
    let body = Body { sub_account: puname.as_str(), coin: old.as_deref() };
    Ok(json_page(&body))
}
