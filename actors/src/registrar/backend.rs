//! The pool's backend: one request for each name.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use slog::Logger;
use thiserror::Error;

use super::{
    RegistrationSettings,
    answer::{AnswerFault, parse},
    body::body,
};
use crate::upstream::{FetchError, FetchSettings, Upstream, fit};

/// Largest answer, in bytes.
const ANSWER_BYTES: u64 = 256 * 1024;

/// Why there is no puid. The texts are fit for the log.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum BackendFault {
    /// The backend refuses the name.
    #[error("{0}")]
    Refused(String),
    /// The whole answer did not come in time.
    #[error("{0}")]
    TimedOut(String),
    /// The backend could not be asked, or its answer is unusable.
    #[error("{0}")]
    Failed(String),
}

/// The backend that registers sub-accounts.
pub(super) struct Backend {
    /// `None`: every registration fails.
    upstream: Option<Upstream>,
    credentials: Option<(String, String)>,
    post_data: BTreeMap<String, String>,
    timeout: Duration,
}

impl Backend {
    /// Reads the certificate authorities, which may take a moment.
    pub(super) fn new(settings: &RegistrationSettings, log: &Logger) -> Self {
        let RegistrationSettings { url, credentials, post_data, timeout, .. } = settings.clone();
        let fetch = url.map(|url| FetchSettings {
            url,
            url_key: "UserAutoRegAPI.URL",
            timeout,
            timeout_key: "UserAutoRegTimeoutSeconds",
            body_limit: ANSWER_BYTES,
        });
        let upstream = fetch.map(|fetch| Upstream::new(fetch, log));
        Self { upstream, credentials, post_data, timeout }
    }

    /// Status of the answer to a GET; `None` without a URL.
    pub(super) async fn probe(&self) -> Option<Result<u16, FetchError>> {
        Some(self.upstream.as_ref()?.probe(self.credentials.clone()).await)
    }

    /// Registers a name and returns its puid. Never sent twice: after a lost answer the backend may have registered it.
    pub(super) async fn register(&self, name: &str) -> Result<u32, BackendFault> {
        let Some(upstream) = &self.upstream else {
            let cause = "there is no UserAutoRegAPI.URL, so nothing can be registered".to_owned();
            return Err(BackendFault::Failed(cause));
        };
        let began = Instant::now();
        let answer = upstream.post(body(&self.post_data, name), self.credentials.clone()).await;
        let (status, answer) = answer.map_err(|error| match error.to_string() {
            late if began.elapsed() >= self.timeout => BackendFault::TimedOut(late),
            other => BackendFault::Failed(other),
        })?;
        judge(status, &answer)
    }
}

/// The puid of an answer. A redirect is none: a request that creates something is not sent to another place.
fn judge(status: u16, answer: &[u8]) -> Result<u32, BackendFault> {
    let begins = || fit(&String::from_utf8_lossy(answer));
    match status {
        300..400 => {
            return Err(BackendFault::Failed(format!(
                "the backend redirects with status {status}, which is not followed; put the right address into \
                 UserAutoRegAPI.URL"
            )));
        }
        400.. => {
            let fault = format!("the answer has status {status}, and begins '{}'", begins());
            return Err(BackendFault::Failed(fault));
        }
        _ => {}
    }
    parse(answer).map_err(|fault| match fault {
        AnswerFault::Refused(message) => BackendFault::Refused(format!(
            "the answer has no positive data.puid, and the message '{}'",
            fit(&message)
        )),
        AnswerFault::Unusable(fault) => BackendFault::Failed(format!(
            "the answer {}; status {status}, and begins '{}'",
            fit(&fault),
            begins()
        )),
    })
}
