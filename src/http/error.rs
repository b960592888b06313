//! Refusals of the listener itself, and the answer of three fields that every refusal has.

use actix_web::{
    HttpResponse, HttpResponseBuilder, ResponseError,
    http::{
        Method, StatusCode,
        header::{ALLOW, HeaderName, RETRY_AFTER},
    },
};
use serde::Serialize;
use switcher_actors::clip;
use thiserror::Error;
use utoipa::ToSchema;

use super::access::MissingRole;

/// A request that the listener refuses. The text is the answer's `err_msg`.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum RequestError {
    /// The connection broke within the body, or its coding is malformed.
    #[error("request body cannot be read: {0}")]
    BodyBroken(String),
    /// Not HTTP, or HTTP that two parsers could read in two ways.
    #[error("malformed request: {0}")]
    Malformed(String),
    #[error(
        "sent by a page of another site in an operator's browser, so it is refused; nothing was written"
    )]
    CrossSite,
    /// Of a page in a browser: without the challenge that programs get.
    #[error("not signed in, or the session has ended: sign in at /login; nothing was written")]
    SignedOut,
    /// A request with the cookie of a session.
    #[error(
        "a session may change something only from the console's own pages: send Sec-Fetch-Site or Origin as a browser \
         does, or a password or a token instead of the cookie; nothing was written"
    )]
    SiteNotProven,
    /// The methods of the path.
    #[error("method not allowed for this path")]
    MethodNotAllowed(&'static [Method]),
    /// Seconds.
    #[error("request body did not arrive within {0} seconds")]
    BodyTooSlow(u64),
    /// Seconds.
    #[error("request head did not arrive within {0} seconds")]
    HeadTooSlow(u64),
    /// Bytes.
    #[error("request body is larger than {0} bytes; send a batch in parts")]
    BodyTooLarge(usize),
    /// Bytes.
    #[error("request target is longer than {0} bytes")]
    TargetTooLong(usize),
    #[error("expectation {0} cannot be met; only 100-continue can")]
    ExpectationFailed(String),
    /// From the admin listener alone; the host in the request.
    #[error(
        "these pages are not served under the host {0}; use the address that they listen on, or add the host to \
         AdminHosts; nothing was written"
    )]
    OtherHost(String),
    /// Seconds.
    #[error(
        "wrong credentials, and too many failed logins from this address before; check user and password, and try \
         again in {0} seconds; nothing was written"
    )]
    TooManyFailedLogins(u64),
    /// The password was not compared. Seconds.
    #[error(
        "credentials not checked: too many logins from this address have failed, or too many wait; check user and \
         password, and try again in {0} seconds; nothing was written"
    )]
    LoginUnchecked(u64),
    /// With status 200 at routes of the API (trust contract, general rules).
    #[error(transparent)]
    MissingRole(#[from] MissingRole),
    /// A request that reached its handler without the middleware, or without the check of its route: the daemon's own
    /// fault.
    #[error("the request has not passed the checks of this path; nothing was written")]
    ChecksSkipped,
    #[error("this port speaks HTTPS: begin the URL with https://; nothing was written")]
    NoTls,
    /// Bytes.
    #[error("request headers are larger than {0} bytes")]
    HeadersTooLarge(usize),
    #[error("request has more than {0} header lines")]
    HeadersTooMany(usize),
    #[error(
        "no memory is left for unfinished request heads; send the head in one segment; nothing was written"
    )]
    HeadsTooMany,
}

impl RequestError {
    /// The text may quote the client, so it is shortened.
    pub fn body_broken(cause: impl ToString) -> Self {
        Self::BodyBroken(shortened(&cause.to_string()))
    }

    pub fn err_no(&self) -> u16 {
        match self {
            Self::BodyBroken(_) => 400,
            Self::MissingRole(_) => 403,
            other => other.status_code().as_u16(),
        }
    }
}

impl ResponseError for RequestError {
    /// Clients of the Go daemon know a broken body by `err_no` alone, and never cause the other errors.
    fn status_code(&self) -> StatusCode {
        match self {
            Self::BodyBroken(_) | Self::MissingRole(_) => StatusCode::OK,
            Self::SignedOut => StatusCode::UNAUTHORIZED,
            Self::ChecksSkipped => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Malformed(_) | Self::NoTls => StatusCode::BAD_REQUEST,
            Self::CrossSite | Self::SiteNotProven => StatusCode::FORBIDDEN,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooSlow(_) | Self::HeadTooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TargetTooLong(_) => StatusCode::URI_TOO_LONG,
            Self::ExpectationFailed(_) => StatusCode::EXPECTATION_FAILED,
            Self::OtherHost(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::TooManyFailedLogins(_) | Self::LoginUnchecked(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::HeadersTooLarge(_) | Self::HeadersTooMany(_) => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::HeadsTooMany => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        match self {
            Self::MethodNotAllowed(methods) => response.insert_header(allow(methods)),
            Self::TooManyFailedLogins(seconds) | Self::LoginUnchecked(seconds) => {
                response.insert_header((RETRY_AFTER, *seconds))
            }
            Self::MissingRole(missing) => {
                response.extensions_mut().insert(missing.clone());
                &mut response
            }
            _ => &mut response,
        };
        refusal(response, self.err_no(), self)
    }
}

/// The `Allow` header of a 405.
pub fn allow(methods: &[Method]) -> (HeaderName, String) {
    let methods: Vec<&str> = methods.iter().map(Method::as_str).collect();
    (ALLOW, methods.join(", "))
}

/// The `err_no` of an answer, kept with it for the metrics; without one, the status counts.
#[derive(Clone, Copy, Debug)]
pub struct ErrNo(pub u16);

// Clients rely on the order.
/// The three fields of every answer.
#[derive(Serialize, ToSchema)]
#[schema(as = Answer)]
pub struct ThreeFields<'a> {
    /// 0 on success.
    err_no: u16,
    err_msg: &'a str,
    success: bool,
}

impl<'a> ThreeFields<'a> {
    pub fn refused(err_no: u16, err_msg: &'a str) -> Self {
        Self { err_no, err_msg, success: false }
    }

    pub fn to_json(&self) -> Vec<u8> {
        // Two numbers and a text always serialize.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// Finishes `response` as a refusal with the text of `error`.
pub fn refusal(
    mut response: HttpResponseBuilder,
    err_no: u16,
    error: &impl ToString,
) -> HttpResponse {
    response.extensions_mut().insert(ErrNo(err_no));
    response.json(ThreeFields::refused(err_no, &error.to_string()))
}

/// At most 200 characters of `text`, and `…` where it was longer.
pub fn shortened(text: &str) -> String {
    let (start, ellipsis) = clip(text, 200);
    format!("{start}{ellipsis}")
}
