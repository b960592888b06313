//! The user of a request, for the console and for programs that check their credentials.

use std::net::IpAddr;

use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::answer::json_page;
use crate::http::{Actor, source};

#[derive(Serialize)]
struct Whoami<'a> {
    name: &'a str,
    roles: Vec<&'static str>,
    /// `basic`, `token` or `session`.
    means: &'static str,
    /// Address of the client; `null` if the connection was gone.
    client: Option<IpAddr>,
}

/// `GET /whoami`
pub async fn whoami(request: HttpRequest, actor: Actor) -> HttpResponse {
    json_page(&Whoami {
        name: actor.name(),
        roles: actor.roles().iter().map(|role| role.name()).collect(),
        means: actor.means.name(),
        client: source(&request).client,
    })
}
