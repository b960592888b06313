//! Refusals and failures of an undo as a whole.

use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use switcher_actors::{NotRecorded, RequestId};
use switcher_history::{Kind, RequestNumber};
use thiserror::Error;

use crate::{
    admin::answer::PageError,
    http::error::{RequestError, refusal, shortened},
};

/// Reason why an undo has no results. The text is the answer's `err_msg`.
#[derive(Debug, Error)]
pub enum UndoError {
    #[error(transparent)]
    Request(#[from] RequestError),
    /// 400; the text may quote the client, so it is shortened.
    #[error("wrong JSON, {0}; nothing was written")]
    Body(String),
    /// 400
    #[error(
        "request is {0:?}, expected 16 hexadecimal digits, as in X-Request-Id; nothing was written"
    )]
    RequestDigits(String),
    /// 400
    #[error("request '{request}' is a {}, which cannot be undone", kind.word())]
    Kind { request: RequestId, kind: Kind },
    /// 400
    #[error(
        "request '{0}' is an update, which cannot be undone: the sub-pool API is off (ZKSubPoolUpdateBaseDir)"
    )]
    NoSubPools(RequestId),
    /// 404
    #[error("request '{0}' is not in the history")]
    NotFound(RequestId),
    /// 503
    #[error("request '{0}' is not in the history yet: changes wait for the disk; try again")]
    NotYet(RequestId),
    /// 409
    #[error("request '{request}' was undone by '{}'", RequestId(*by))]
    Undone { request: RequestId, by: RequestNumber },
    /// Without a history, or if it cannot be searched.
    #[error(transparent)]
    Page(#[from] PageError),
    /// 500
    #[error("the change cannot be recorded: {0}; nothing was written")]
    NotRecorded(NotRecorded),
    /// 503
    #[error("the change cannot be recorded: {0}; nothing was written")]
    NotAdmitted(NotRecorded),
    /// 500
    #[error("{cause}; a part may have been put back: see the history of '{by}'")]
    Unfinished { by: RequestId, cause: String },
    /// 500
    #[error("outcome unknown: the undo ended with an internal error; see the history")]
    Ended,
}

impl UndoError {
    pub fn body(error: serde_json::Error) -> Self {
        Self::Body(shortened(&error.to_string()))
    }

    pub fn request(digits: &str) -> Self {
        Self::RequestDigits(shortened(digits))
    }
}

impl ResponseError for UndoError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Request(error) => {
                StatusCode::from_u16(error.err_no()).unwrap_or(StatusCode::BAD_REQUEST)
            }
            Self::Body(_) | Self::RequestDigits(_) | Self::Kind { .. } | Self::NoSubPools(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Undone { .. } => StatusCode::CONFLICT,
            Self::Page(error) => error.status_code(),
            Self::NotAdmitted(_) | Self::NotYet(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotRecorded(_) | Self::Unfinished { .. } | Self::Ended => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        if let Self::Request(error) = self {
            let mut response = error.error_response();
            *response.status_mut() = status;
            return response;
        }
        refusal(HttpResponse::build(status), status.as_u16(), self)
    }
}
