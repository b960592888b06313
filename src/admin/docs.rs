//! The API's description: `/openapi.json` for programs, `/docs` for people. Each request builds the document.

use actix_web::{HttpResponse, http::header::CACHE_CONTROL, web::Data};

use super::{
    Admin, StaticInfo,
    answer::{PageError, for_browsers},
};
use crate::{
    http::{LoadedConfig, RequestConfig},
    openapi::{Described, OpenApi, document, page},
};

/// Content security policy: a style sheet, and no script, picture, frame or form.
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// `GET /openapi.json`
pub async fn openapi(config: LoadedConfig, admin: Data<Admin>) -> Result<HttpResponse, PageError> {
    let text = described(&config.0, &admin)?.to_json().map_err(|_| PageError::Unwritable)?;
    let mut response = HttpResponse::Ok();
    Ok(response
        .content_type("application/json")
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(text))
}

/// `GET /docs`
pub async fn docs(config: LoadedConfig, admin: Data<Admin>) -> Result<HttpResponse, PageError> {
    let page = page::page(&described(&config.0, &admin)?);
    Ok(for_browsers("text/html; charset=utf-8", POLICY, page))
}

fn described(config: &RequestConfig, admin: &Admin) -> Result<OpenApi, PageError> {
    let address = admin.static_info.api.ok_or(PageError::NoApi)?;
    let StaticInfo { sub_pools, user_lists, .. } = admin.static_info;
    Ok(document(&Described::new(config, sub_pools, user_lists, address)))
}

/// `GET /docs.css`
pub async fn style() -> HttpResponse {
    for_browsers("text/css; charset=utf-8", POLICY, page::STYLE)
}
