//! Reason of a failed fetch.

use thiserror::Error;

/// Reason why there is no answer. Its texts are fit for a log and a terminal.
#[derive(Debug, Error)]
#[error("{cause}{}", remedy.as_ref().map(|remedy| format!("; {remedy}")).unwrap_or_default())]
pub struct FetchError {
    /// Cause, without the remedy.
    pub cause: String,
    /// Remedy, where the cause leaves only one.
    pub remedy: Option<String>,
}

impl From<String> for FetchError {
    fn from(cause: String) -> Self {
        Self { cause, remedy: None }
    }
}
