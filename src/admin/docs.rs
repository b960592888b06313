//! The API's description: `/openapi.json` for programs, `/docs` for people. Both are made of the same document when
//! somebody asks, so that nothing is kept for those who never do.

use actix_web::{HttpResponse, http::header::CACHE_CONTROL, web::Data};

use super::{
    Admin,
    pages::{PageError, for_browsers},
};
use crate::{
    http::RequestConfigData,
    openapi::{Described, OpenApi, document, page},
};

/// The page has a style sheet and nothing else: no script, no picture, no frame, no form.
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// `GET /openapi.json`
pub async fn openapi(
    terms: RequestConfigData,
    admin: Data<Admin>,
) -> Result<HttpResponse, PageError> {
    let text = described(&terms, &admin)?.to_json().map_err(|_| PageError::Unwritable)?;
    let mut response = HttpResponse::Ok();
    Ok(response
        .content_type("application/json")
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(text))
}

/// `GET /docs`
pub async fn docs(terms: RequestConfigData, admin: Data<Admin>) -> Result<HttpResponse, PageError> {
    let page = page::page(&described(&terms, &admin)?);
    Ok(for_browsers("text/html; charset=utf-8", POLICY, page))
}

/// As it is by the configuration in force.
fn described(terms: &RequestConfigData, admin: &Admin) -> Result<OpenApi, PageError> {
    let address = admin.static_info.api.ok_or(PageError::NoApi)?;
    Ok(document(&Described::new(terms, admin.static_info.sub_pools, address)))
}

/// `GET /docs.css`
pub async fn style() -> HttpResponse {
    for_browsers("text/css; charset=utf-8", POLICY, page::STYLE)
}
