//! Refusals of a sign-in or a sign-out: a page for browsers, the three fields for programs.

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    http::{StatusCode, header::RETRY_AFTER},
};
use thiserror::Error;

use super::page::page_with;
use crate::http::{
    NoRandom, accepts_pages,
    error::{RequestError, refusal},
};

/// The text is the answer's `err_msg`, or the message in the page.
#[derive(Debug, Error)]
pub enum SignInError {
    /// 401
    #[error("name or password is wrong")]
    Wrong,
    /// 413; bytes
    #[error("the form is larger than {0} bytes")]
    TooLarge(usize),
    /// 415
    #[error("the request has no form: send name and password as application/x-www-form-urlencoded")]
    NoForm,
    /// 500
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl SignInError {
    /// For programs.
    fn response(&self) -> HttpResponse {
        let status = match self {
            Self::Wrong => StatusCode::UNAUTHORIZED,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoForm => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NoRandom(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Request(error) => return error.error_response(),
        };
        refusal(HttpResponse::build(status), status.as_u16(), self)
    }

    /// The answer to `request`.
    pub fn answer(&self, request: &HttpRequest) -> HttpResponse {
        let refused = self.response();
        if !accepts_pages(request.headers()) {
            return refused;
        }
        let mut page = page_with(&self.to_string());
        *page.status_mut() = refused.status();
        if let Some(seconds) = refused.headers().get(RETRY_AFTER) {
            page.headers_mut().insert(RETRY_AFTER, seconds.clone());
        }
        page
    }
}
