//! Every answer, and every error with its number: the one place that maps what happened to the contract
//! (section 2).

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        Method, StatusCode,
        header::{ALLOW, ContentType, HeaderName, RETRY_AFTER},
    },
};
use serde::Serialize;
use switcher_actors::{
    Coinbase, CoinbaseUpdateError, ExchangeFailure, JobmakerAnswer, WriteFailure,
};
use thiserror::Error;
use utoipa::ToSchema;

use super::request_metrics::ErrNo;
use crate::openapi;

/// Why a request was not done. Its text is what the client reads as `err_msg`.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ApiError {
    /// 101
    #[error("puname is empty")]
    PunameEmpty,
    /// 102
    #[error("puname invalid")]
    PunameInvalid,
    /// 103
    #[error("coin is empty")]
    CoinEmpty,
    /// 104
    #[error("coin is inexistent")]
    CoinInexistent,
    /// 105: nothing was written, since ZooKeeper is away
    #[error("read record failed")]
    ReadFailed,
    /// 107: not written, or nobody can say whether it was
    #[error("write record failed")]
    WriteFailed,
    /// 108
    #[error("usercoins is empty")]
    UserCoinsEmpty,
    /// 400
    #[error("wrong JSON, {0}")]
    WrongJson(String),
    /// 400: the connection broke within the body, or its coding is wrong
    #[error("request body cannot be read: {0}")]
    BodyBroken(String),
    /// 400: whoever asks for a dry run must not get a real one for a slip
    #[error("{0} must be true, false, 1 or 0; nothing was written")]
    FlagUnclear(&'static str),
    /// 400
    #[error("coin cannot be empty")]
    SubPoolCoinEmpty,
    /// 400
    #[error("subpool_name cannot be empty")]
    SubPoolNameEmpty,
    /// 400
    #[error("payout_addr cannot be empty")]
    PayoutAddressEmpty,
    /// 400: the jobmaker could not answer it
    #[error(transparent)]
    NotForJobmakers(#[from] CoinbaseUpdateError),
    /// 400: no HTTP, or HTTP that two readers could understand in two ways
    #[error("malformed request: {0}")]
    Malformed(String),
    /// 403
    #[error(
        "sent by a page of another site in an operator's browser, so it is refused; nothing was written"
    )]
    OtherOrigin,
    /// 403
    #[error("API disabled")]
    SubPoolsDisabled,
    /// 404, 500, 503, 504: no answer of the jobmaker
    #[error("{}", exchange_text(.0))]
    Exchange(ExchangeFailure),
    /// 404
    #[error(
        "no such path; there are /switch, /switch/multi-user, /subpool/get-coinbase and \
         /subpool/update-coinbase"
    )]
    PathUnknown,
    /// 405; these methods are
    #[error("method not allowed for this path")]
    MethodNotAllowed(&'static [Method]),
    /// 408
    #[error("request body did not arrive within {0} seconds")]
    BodyTooSlow(u64),
    /// 408
    #[error("request head did not arrive within {0} seconds")]
    HeadTooSlow(u64),
    /// 413
    #[error("request body is larger than {0} bytes; send a batch in parts")]
    BodyTooLarge(usize),
    /// 414
    #[error("request target is longer than {0} bytes")]
    TargetTooLong(usize),
    /// 417
    #[error("expectation {0} cannot be met; only 100-continue can")]
    ExpectationFailed(String),
    /// 421: of the admin listener alone; the host that the request is addressed to
    #[error(
        "these pages are not served under the host {0}; use the address that they listen on, or add the host to \
         AdminHosts; nothing was written"
    )]
    OtherHost(String),
    /// 429: credentials were wrong, and so were many of that address before; seconds
    #[error(
        "wrong credentials, and too many failed logins from this address before; check user and password, and try \
         again in {0} seconds; nothing was written"
    )]
    TooManyFailedLogins(u64),
    /// 431
    #[error("request headers are larger than {0} bytes")]
    HeadersTooLarge(usize),
    /// 431
    #[error("request has more than {0} header lines")]
    HeadersTooMany(usize),
    /// 503
    #[error(
        "no memory is left for unfinished request heads; send the head in one segment; nothing was written"
    )]
    HeadsTooMany,
}

impl ApiError {
    /// A body that is not the JSON asked for. The text may quote the client's own, so it is cut.
    pub fn wrong_json(cause: impl ToString) -> Self {
        Self::WrongJson(shortened(cause.to_string()))
    }

    /// A body that cannot be read; the text is cut likewise.
    pub fn body_broken(cause: impl ToString) -> Self {
        Self::BodyBroken(shortened(cause.to_string()))
    }

    /// The number that clients look at.
    pub fn number(&self) -> u16 {
        match self {
            Self::PunameEmpty => 101,
            Self::PunameInvalid => 102,
            Self::CoinEmpty => 103,
            Self::CoinInexistent => 104,
            Self::ReadFailed => 105,
            Self::WriteFailed => 107,
            Self::UserCoinsEmpty => 108,
            Self::WrongJson(_)
            | Self::BodyBroken(_)
            | Self::FlagUnclear(_)
            | Self::Malformed(_)
            | Self::SubPoolCoinEmpty
            | Self::SubPoolNameEmpty
            | Self::PayoutAddressEmpty
            | Self::NotForJobmakers(_) => 400,
            Self::OtherOrigin | Self::SubPoolsDisabled => 403,
            Self::Exchange(failure) => exchange_number(failure),
            Self::PathUnknown => 404,
            Self::MethodNotAllowed(_) => 405,
            Self::BodyTooSlow(_) | Self::HeadTooSlow(_) => 408,
            Self::BodyTooLarge(_) => 413,
            Self::TargetTooLong(_) => 414,
            Self::ExpectationFailed(_) => 417,
            Self::OtherHost(_) => 421,
            Self::TooManyFailedLogins(_) => 429,
            Self::HeadersTooLarge(_) | Self::HeadersTooMany(_) => 431,
            Self::HeadsTooMany => 503,
        }
    }
}

/// What the contract calls it; where it has no words, what happened and what to do.
fn exchange_text(failure: &ExchangeFailure) -> String {
    match failure {
        ExchangeFailure::QueueFull => {
            "too many sub-pool requests wait already, nothing was written; try again later"
                .to_owned()
        }
        ExchangeFailure::ShuttingDown => {
            "the daemon is shutting down, nothing was written; try again".to_owned()
        }
        ExchangeFailure::NotServed => "timeout when waiting ACK of the requests before this one, \
            nothing was written; try again"
            .to_owned(),
        ExchangeFailure::NoSubPool(name) => {
            format!("subpool '{}' does not exist", shortened(name.clone()))
        }
        ExchangeFailure::NoJobmaker => "jobmaker cannot ACK the request".to_owned(),
        ExchangeFailure::NotRead(_) => "read data node failed".to_owned(),
        ExchangeFailure::NotWritten(_) => "write data node failed".to_owned(),
        ExchangeFailure::TimedOut => "timeout when waiting ACK".to_owned(),
        ExchangeFailure::Overtaken => "data has been updated at query time".to_owned(),
        ExchangeFailure::AckNotRead(_) => "cannot get ACK from zookeeper".to_owned(),
        ExchangeFailure::AckUnparsable => "cannot parse ACK in zookeeper".to_owned(),
        ExchangeFailure::Unknown(_) => "outcome unknown: zookeeper gave no answer; an \
            update may be applied or not: ask get-coinbase before trying again"
            .to_owned(),
    }
}

fn exchange_number(failure: &ExchangeFailure) -> u16 {
    match failure {
        ExchangeFailure::NoSubPool(_) => 404,
        ExchangeFailure::NoJobmaker => 503,
        ExchangeFailure::NotServed | ExchangeFailure::TimedOut => 504,
        ExchangeFailure::QueueFull
        | ExchangeFailure::ShuttingDown
        | ExchangeFailure::NotRead(_)
        | ExchangeFailure::NotWritten(_)
        | ExchangeFailure::Overtaken
        | ExchangeFailure::AckNotRead(_)
        | ExchangeFailure::AckUnparsable
        | ExchangeFailure::Unknown(_) => 500,
    }
}

fn shortened(text: String) -> String {
    const CHARACTERS: usize = 200;
    match text.char_indices().nth(CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

impl From<WriteFailure> for ApiError {
    /// The client is told what the contract has words for; the log has the rest.
    fn from(failure: WriteFailure) -> Self {
        match failure {
            WriteFailure::NotSent | WriteFailure::NotRead(_) => Self::ReadFailed,
            WriteFailure::QueueFull { .. }
            | WriteFailure::Overloaded
            | WriteFailure::ShuttingDown
            | WriteFailure::Incomplete
            | WriteFailure::Refused(_)
            | WriteFailure::Unknown(_) => Self::WriteFailed,
        }
    }
}

impl ResponseError for ApiError {
    /// 200 for all that existing clients know, which look at the body only. Errors of HTTP itself,
    /// which those clients never cause, keep their own status.
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Malformed(_)
            | Self::OtherOrigin
            | Self::PathUnknown
            | Self::MethodNotAllowed(_)
            | Self::BodyTooSlow(_)
            | Self::BodyTooLarge(_)
            | Self::HeadTooSlow(_)
            | Self::TargetTooLong(_)
            | Self::OtherHost(_)
            | Self::TooManyFailedLogins(_)
            | Self::ExpectationFailed(_)
            | Self::HeadersTooLarge(_)
            | Self::HeadersTooMany(_)
            | Self::HeadsTooMany => {
                StatusCode::from_u16(self.number()).unwrap_or(StatusCode::BAD_REQUEST)
            }
            _ => StatusCode::OK,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        match self {
            Self::MethodNotAllowed(methods) => {
                response.insert_header(allow(methods));
            }
            Self::TooManyFailedLogins(seconds) => {
                response.insert_header((RETRY_AFTER, *seconds));
            }
            _ => {}
        }
        response.json(Body { err_no: self.number(), err_msg: &self.to_string(), success: false })
    }
}

/// The header of a 405 that lists the methods of its path.
pub fn allow(methods: &[Method]) -> (HeaderName, String) {
    let methods: Vec<&str> = methods.iter().map(Method::as_str).collect();
    (ALLOW, methods.join(", "))
}

/// The three fields of every answer; clients rely on their order.
#[derive(Serialize, ToSchema)]
#[schema(as = Answer)]
pub struct Body<'a> {
    /// 0 if it succeeded.
    err_no: u16,
    err_msg: &'a str,
    success: bool,
}

/// The answer to a switch that ZooKeeper has committed.
pub fn switched() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(SWITCHED)
}

/// The three fields of an answer, as an object to which more may be added.
pub fn three_fields(outcome: &Result<(), ApiError>) -> Vec<u8> {
    match outcome {
        Ok(()) => SWITCHED.into(),
        Err(error) => {
            let message = serde_json::Value::from(error.to_string());
            format!(r#"{{"err_no":{},"err_msg":{message},"success":false}}"#, error.number()).into()
        }
    }
}

const SWITCHED: &str = r#"{"err_no":0,"err_msg":"","success":true}"#;

/// What a jobmaker answered.
// The fields' order is the contract's.
#[derive(Serialize, ToSchema)]
#[schema(as = JobmakerAnswer)]
pub struct JobmakerBody<'a> {
    success: bool,
    err_no: u16,
    /// The jobmaker's own.
    err_msg: &'a str,
    subpool_name: &'a str,
    /// What the jobmaker holds; of an update: held before.
    #[schema(schema_with = openapi::coinbase)]
    old: &'a Coinbase,
    /// Of an update: what it holds from then on, or two empty texts if it refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = openapi::coinbase, required = false)]
    new: Option<&'a Coinbase>,
}

/// The answer of a jobmaker; one to an update has `new` in any case, empty if it was refused.
pub fn jobmaker_answered(answer: &JobmakerAnswer, is_update: bool) -> HttpResponse {
    let none = Coinbase::default();
    let err_no = if answer.success { 0 } else { 500 };
    let mut response = HttpResponse::Ok().json(JobmakerBody {
        success: answer.success,
        err_no,
        err_msg: &answer.err_msg,
        subpool_name: &answer.subpool_name,
        old: &answer.old,
        new: is_update.then(|| answer.new.as_ref().unwrap_or(&none)),
    });
    response.extensions_mut().insert(ErrNo(err_no));
    response
}

/// The answer to missing or wrong credentials.
pub fn unauthorized() -> HttpResponse {
    HttpResponse::Unauthorized()
        .insert_header(("WWW-Authenticate", r#"Basic realm="Restricted""#))
        .content_type(ContentType::html())
        .body("<h1>401 - Unauthorized</h1>")
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;

    use super::*;

    #[actix_web::test]
    async fn errors_have_three_fields_in_their_order() {
        let response = ApiError::PunameEmpty.error_response();
        assert_eq!(response.status(), 200);
        let body = to_bytes(response.into_body()).await.expect("a body");
        assert_eq!(body, r#"{"err_no":101,"err_msg":"puname is empty","success":false}"#);
        assert_eq!(ApiError::PathUnknown.error_response().status(), 404);
        assert_eq!(ApiError::BodyTooLarge(1).error_response().status(), 413);
    }

    #[test]
    fn a_text_that_quotes_the_client_is_cut() {
        let text = ApiError::wrong_json("é".repeat(100_000)).to_string();
        assert_eq!(text, format!("wrong JSON, {}…", "é".repeat(200)));
    }

    #[test]
    fn only_what_was_never_sent_is_a_failed_read() {
        assert_eq!(ApiError::from(WriteFailure::NotSent), ApiError::ReadFailed);
        assert_eq!(ApiError::from(WriteFailure::NotRead(String::new())), ApiError::ReadFailed);
        for failure in [
            WriteFailure::QueueFull { waiting: 1, limit: 1 },
            WriteFailure::Overloaded,
            WriteFailure::ShuttingDown,
            WriteFailure::Incomplete,
            WriteFailure::Refused(String::new()),
            WriteFailure::Unknown(String::new()),
        ] {
            assert_eq!(ApiError::from(failure), ApiError::WriteFailed);
        }
    }
}
