//! The coin of a sub-account, read from ZooKeeper.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web::Data};
use serde::Serialize;
use switcher_actors::Switches;

use super::{
    Admin,
    answer::{PageError, json_page},
};
use crate::{
    api::{Parameters, dry_run},
    http::LoadedConfig,
};

#[derive(Serialize)]
struct SubAccountAnswer<'a> {
    /// Name of the znode, in lower case with `StratumServerCaseInsensitive`.
    sub_account: &'a str,
    /// Data of the znode, cut after 64 bytes; `null` if there is no znode.
    coin: Option<&'a str>,
}

/// `GET /sub-account?puname=NAME`: a dry run without a coin. The read follows a sync with the leader.
pub async fn sub_account(
    request: HttpRequest,
    config: LoadedConfig,
    admin: Data<Admin>,
) -> Result<HttpResponse, PageError> {
    let mut parameters = Parameters::new(["puname"]);
    parameters.add_urlencoded(request.query_string().as_bytes());
    let [name] = parameters.first();
    let puname = config.switch_rules.puname(name).map_err(PageError::Puname)?;
    let reply = dry_run(&admin.dry_runs, Arc::new(Switches::of_name(&puname))).await;
    reply.outcome.map_err(PageError::NotRead)?;
    let result = reply.results.as_ref().and_then(|results| results.get(0));
    let old = result.and_then(|result| result.old.text());
    let body = SubAccountAnswer { sub_account: puname.as_str(), coin: old.as_deref() };
    Ok(json_page(&body))
}
