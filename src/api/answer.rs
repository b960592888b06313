//! Every error of the API with its number, and every answer: the only place that maps results to the contract
//! (section 2).

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    http::{StatusCode, header::ContentType},
};
use serde::Serialize;
use slog::{Logger, info};
use switcher_actors::{
    Coinbase, CoinbaseUpdateError, ExchangeFailure, JobmakerAnswer, Shown, Source, WriteFailure,
};
use thiserror::Error;
use utoipa::{
    ToSchema,
    openapi::{Ref, RefOr, Schema},
};

use crate::http::error::{ErrNo, RequestError, ThreeFields, refusal, shortened};

/// A refused or failed request. The text is the answer's `err_msg`.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ApiError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("puname is empty")]
    PunameEmpty,
    #[error("puname invalid")]
    PunameInvalid,
    #[error("coin is empty")]
    CoinEmpty,
    #[error("coin is inexistent")]
    CoinInexistent,
    /// Nothing was written, since ZooKeeper is unavailable.
    #[error("read record failed")]
    ReadFailed,
    /// Not written, or unknown.
    #[error("write record failed")]
    WriteFailed,
    #[error("usercoins is empty")]
    UserCoinsEmpty,
    #[error("wrong JSON, {0}")]
    WrongJson(String),
    /// A typing error in `dry_run` must not cause real writes.
    #[error("{0} must be true, false, 1 or 0; nothing was written")]
    FlagUnclear(&'static str),
    #[error("coin cannot be empty")]
    SubPoolCoinEmpty,
    #[error("subpool_name cannot be empty")]
    SubPoolNameEmpty,
    #[error("payout_addr cannot be empty")]
    PayoutAddressEmpty,
    /// The jobmaker could not acknowledge the update.
    #[error(transparent)]
    NotForJobmakers(#[from] CoinbaseUpdateError),
    #[error("API disabled")]
    SubPoolsDisabled,
    #[error("{}", exchange_text(.0))]
    Exchange(ExchangeFailure),
    #[error(
        "no such path; there are /switch, /switch/multi-user, /subpool/get-coinbase and \
         /subpool/update-coinbase"
    )]
    PathUnknown,
    #[error("user list is not complete yet; try again in some seconds")]
    ListNotReady,
    #[error("user lists are not for clients of this address; see UserListAllow")]
    ListForbidden,
}

impl ApiError {
    /// The text may quote the client, so it is shortened.
    pub fn wrong_json(cause: impl ToString) -> Self {
        Self::WrongJson(shortened(&cause.to_string()))
    }

    pub fn err_no(&self) -> u16 {
        match self {
            Self::Request(error) => error.err_no(),
            Self::PunameEmpty => 101,
            Self::PunameInvalid => 102,
            Self::CoinEmpty => 103,
            Self::CoinInexistent => 104,
            Self::ReadFailed => 105,
            Self::WriteFailed => 107,
            Self::UserCoinsEmpty => 108,
            Self::WrongJson(_)
            | Self::FlagUnclear(_)
            | Self::SubPoolCoinEmpty
            | Self::SubPoolNameEmpty
            | Self::PayoutAddressEmpty
            | Self::NotForJobmakers(_) => 400,
            Self::SubPoolsDisabled | Self::ListForbidden => 403,
            Self::ListNotReady => 503,
            Self::Exchange(failure) => exchange_err_no(failure),
            Self::PathUnknown => 404,
        }
    }
}

/// The text of the contract; where it has none, what happened and what to do.
fn exchange_text(failure: &ExchangeFailure) -> String {
    let text = match failure {
        ExchangeFailure::QueueFull => {
            "too many sub-pool requests wait already, nothing was written; try again later"
        }
        ExchangeFailure::ShuttingDown => {
            "the daemon is shutting down, nothing was written; try again"
        }
        ExchangeFailure::NotServed => {
            "timeout when waiting ACK of the requests before this one, nothing was written; try again"
        }
        ExchangeFailure::NoSubPool(name) => {
            return format!("subpool '{}' does not exist", shortened(name));
        }
        ExchangeFailure::NoJobmaker => "jobmaker cannot ACK the request",
        ExchangeFailure::NotRead(_) => "read data node failed",
        ExchangeFailure::NotWritten(_) => "write data node failed",
        ExchangeFailure::TimedOut => "timeout when waiting ACK",
        ExchangeFailure::Overtaken => "data has been updated at query time",
        ExchangeFailure::AckNotRead(_) => "cannot get ACK from zookeeper",
        ExchangeFailure::AckUnparsable => "cannot parse ACK in zookeeper",
        ExchangeFailure::NotRecorded(cause) => {
            return format!("the change cannot be recorded: {cause}; nothing was written");
        }
        ExchangeFailure::Unknown(_) => {
            "outcome unknown: zookeeper gave no answer; an update may be applied or not: ask get-coinbase before \
             trying again"
        }
    };
    text.to_owned()
}

fn exchange_err_no(failure: &ExchangeFailure) -> u16 {
    match failure {
        ExchangeFailure::NoSubPool(_) => 404,
        ExchangeFailure::NoJobmaker => 503,
        ExchangeFailure::NotServed | ExchangeFailure::TimedOut => 504,
        ExchangeFailure::QueueFull
        | ExchangeFailure::ShuttingDown
        | ExchangeFailure::NotRecorded(_)
        | ExchangeFailure::NotRead(_)
        | ExchangeFailure::NotWritten(_)
        | ExchangeFailure::Overtaken
        | ExchangeFailure::AckNotRead(_)
        | ExchangeFailure::AckUnparsable
        | ExchangeFailure::Unknown(_) => 500,
    }
}

impl From<WriteFailure> for ApiError {
    /// The contract has two texts for all failures; the log has the details.
    fn from(failure: WriteFailure) -> Self {
        match failure {
            WriteFailure::NotSent | WriteFailure::NotRead(_) | WriteFailure::NotAdmitted(_) => {
                Self::ReadFailed
            }
            WriteFailure::QueueFull { .. }
            | WriteFailure::Overloaded
            | WriteFailure::ShuttingDown
            | WriteFailure::Incomplete
            | WriteFailure::Refused(_)
            | WriteFailure::NotRecorded(_)
            | WriteFailure::Unknown(_) => Self::WriteFailed,
        }
    }
}

impl ResponseError for ApiError {
    /// 200 for all errors that existing clients know, since they look at the body alone.
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Request(error) => error.status_code(),
            Self::PathUnknown => StatusCode::NOT_FOUND,
            Self::ListNotReady => StatusCode::SERVICE_UNAVAILABLE,
            Self::ListForbidden => StatusCode::FORBIDDEN,
            _ => StatusCode::OK,
        }
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            Self::Request(error) => error.error_response(),
            _ => refusal(HttpResponse::build(self.status_code()), self.err_no(), self),
        }
    }
}

pub fn log_refused(log: &Logger, request: &HttpRequest, source: &Source, error: &ApiError) {
    info!(log, "request refused"; source, "path" => request.path(),
        "err_no" => error.err_no(), "err_msg" => %Shown(&error.to_string()));
}

/// The answer to a switch that ZooKeeper has committed.
pub fn switched() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(SWITCHED)
}

const SWITCHED: &str = r#"{"err_no":0,"err_msg":"","success":true}"#;

/// The three fields of an answer, as an object to which more can be added.
pub fn three_fields(outcome: &Result<(), ApiError>) -> Vec<u8> {
    match outcome {
        Ok(()) => SWITCHED.into(),
        Err(error) => ThreeFields::refused(error.err_no(), &error.to_string()).to_json(),
    }
}

// The order of the fields is the contract's.
/// The answer of a jobmaker.
#[derive(Serialize, ToSchema)]
#[schema(as = JobmakerAnswer)]
pub struct JobmakerBody<'a> {
    success: bool,
    err_no: u16,
    /// From the jobmaker.
    err_msg: &'a str,
    subpool_name: &'a str,
    /// The jobmaker's values; for an update, those before.
    #[schema(schema_with = coinbase_schema)]
    old: &'a Coinbase,
    /// Only for an update: the values from then on, or two empty texts if the jobmaker refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = coinbase_schema, required = false)]
    new: Option<&'a Coinbase>,
}

/// Name of the schema of [`Coinbase`] in the OpenAPI document.
pub const COINBASE_SCHEMA: &str = "Coinbase";

fn coinbase_schema() -> RefOr<Schema> {
    Ref::from_schema_name(COINBASE_SCHEMA).into()
}

/// The answer of a jobmaker. For an update it always has `new`, with empty texts if the jobmaker refused.
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
        assert_eq!(RequestError::BodyTooLarge(1).error_response().status(), 413);
    }

    #[test]
    fn a_text_that_quotes_the_client_is_shortened() {
        let text = ApiError::wrong_json("é".repeat(100_000)).to_string();
        assert_eq!(text, format!("wrong JSON, {}…", "é".repeat(200)));
    }

    #[test]
    fn only_unsent_switches_are_a_failed_read() {
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
