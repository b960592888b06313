//! The sign-in page: a form without a script.

use actix_web::HttpResponse;

use crate::{admin::answer::for_browsers, openapi::page::Plain};

/// Content security policy: a style sheet, a picture, and forms to this listener.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
    base-uri 'none'; frame-ancestors 'none'";

const PAGE: &str = include_str!("page.html");

/// Place of the message in [`PAGE`].
const MESSAGE: &str = "<!-- message -->";

/// `GET /login`
pub async fn page() -> HttpResponse {
    html(PAGE.replace(MESSAGE, ""))
}

/// The page with the reason of a refused sign-in.
pub fn page_with(message: &str) -> HttpResponse {
    let message = format!("<p class=\"message\" role=\"alert\">{}</p>", Plain(message));
    html(PAGE.replace(MESSAGE, &message))
}

fn html(page: String) -> HttpResponse {
    for_browsers("text/html; charset=utf-8", POLICY, page)
}

/// `GET /login.css`
pub async fn style() -> HttpResponse {
    for_browsers("text/css; charset=utf-8", POLICY, include_str!("page.css"))
}
