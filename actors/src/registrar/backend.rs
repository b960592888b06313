//! The pool's backend: one request for each name.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use slog::Logger;

use super::{
    RegistrationSettings,
    answer::{Refusal, RegistrationFormat},
    body::body,
};
use crate::{
    domain::fit,
    metrics::RegistrationEnd,
    upstream::{FetchError, FetchSettings, Upstream},
};

/// Largest answer, in unpacked bytes.
const ANSWER_BYTES: u64 = 256 * 1024;

/// Why a name is not registered.
#[derive(Debug)]
pub(super) struct NotRegistered {
    pub(super) end: RegistrationEnd,
    /// Fit for the log.
    pub(super) cause: String,
}

impl NotRegistered {
    pub(super) fn new(end: RegistrationEnd, cause: impl Into<String>) -> Self {
        Self { end, cause: cause.into() }
    }
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
            body_limit_key: None,
        });
        let upstream = fetch.map(|fetch| Upstream::new(fetch, log));
        Self { upstream, credentials, post_data, timeout }
    }

    /// Status of the answer to a GET; `None` without a URL.
    pub(super) async fn probe(&self) -> Option<Result<u16, FetchError>> {
        Some(self.upstream.as_ref()?.probe(self.credentials.clone()).await)
    }

    /// Registers a name and returns its puid. Never sent twice: after a lost answer the backend may have registered it.
    pub(super) async fn register(&self, name: &str) -> Result<u32, NotRegistered> {
        let Some(upstream) = &self.upstream else {
            return Err(NotRegistered::new(
                RegistrationEnd::Failed,
                "there is no UserAutoRegAPI.URL, so nothing can be registered",
            ));
        };
        let began = Instant::now();
        let body = body(&self.post_data, name);
        match upstream.post(body, self.credentials.clone(), RegistrationFormat).await {
            Ok(Ok(puid)) => Ok(puid),
            Ok(Err(Refusal(message))) => Err(NotRegistered::new(
                RegistrationEnd::Refused,
                format!(
                    "the answer has no positive data.puid, and the message '{}'",
                    fit(&message)
                ),
            )),
            Err(fault) => {
                let is_late = began.elapsed() >= self.timeout;
                let end = if is_late { RegistrationEnd::TimedOut } else { RegistrationEnd::Failed };
                Err(NotRegistered::new(end, fault.to_string()))
            }
        }
    }
}
