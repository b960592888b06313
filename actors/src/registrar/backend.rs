//! The pool's backend: one request for each name.

use std::{cell::Cell, collections::BTreeMap, time::Duration};

use slog::Logger;
use thiserror::Error;
use tokio::time::{Instant, timeout_at};
use url::{Position, Url};

use super::{
    RegistrationSettings,
    answer::{AnswerFault, parse},
    body::body,
};
use crate::{
    domain::{Escaped, clip},
    http_client::{HttpAnswer, HttpRequest},
    poller::{Tls, UpstreamUrl, connect, shown},
};

/// Largest answer, in bytes.
const ANSWER_BYTES: usize = 256 * 1024;

/// Characters of a backend's text that the log shows.
const SHOWN_CHARS: usize = 200;

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
    url: Option<UpstreamUrl>,
    credentials: Option<(String, String)>,
    post_data: BTreeMap<String, String>,
    timeout: Duration,
    tls: Tls,
}

impl Backend {
    /// Reads the certificate authorities, which may take a moment.
    pub(super) fn new(settings: &RegistrationSettings, log: &Logger) -> Self {
        let RegistrationSettings { url, credentials, post_data, timeout, .. } = settings.clone();
        let tls = Tls::new(url.as_ref().is_some_and(UpstreamUrl::is_https), log);
        Self { url, credentials, post_data, timeout, tls }
    }

    /// Registers a name and returns its puid. Never sent twice: after a lost answer the backend may have registered it.
    pub(super) async fn register(&self, name: &str) -> Result<u32, BackendFault> {
        let Some(url) = &self.url else {
            let cause = "there is no UserAutoRegAPI.URL, so nothing can be registered".to_owned();
            return Err(BackendFault::Failed(cause));
        };
        let (deadline, phase) = (Instant::now() + self.timeout, Cell::new("no connection to"));
        let answered = timeout_at(deadline, self.post(url, name, deadline, &phase)).await;
        answered.unwrap_or_else(|_| {
            let (phase, url, limit) = (phase.get(), shown(&url.bare()), self.timeout.as_secs());
            let fault = format!("{phase} {url} within {limit} s (UserAutoRegTimeoutSeconds)");
            Err(BackendFault::TimedOut(fault))
        })
    }

    async fn post(
        &self,
        upstream: &UpstreamUrl,
        name: &str,
        deadline: Instant,
        phase: &Cell<&'static str>,
    ) -> Result<u32, BackendFault> {
        let url = upstream.bare();
        let stream = connect(&url, deadline).await.map_err(|cause| {
            BackendFault::Failed(format!("cannot connect to {}: {cause}", shown(&url)))
        })?;
        let credentials = self.credentials.clone().or_else(|| upstream.credentials(&url));
        let request = HttpRequest {
            method: "POST",
            host: &url[Position::BeforeHost..Position::AfterPort],
            target: &url[Position::BeforePath..Position::AfterQuery],
            credentials: credentials.as_ref().map(|(user, password)| (&**user, &**password)),
            headers: &[("accept", "application/json, */*"), ("content-type", "application/json")],
            body: body(&self.post_data, name),
        };
        let answer = if upstream.is_https() {
            let connected = self.tls.connect(&url, stream).await;
            let stream = connected.map_err(|error| BackendFault::Failed(error.to_string()))?;
            phase.set("no answer from");
            request.send(stream).await
        } else {
            phase.set("no answer from");
            request.send(stream).await
        };
        let answer = answer.map_err(|cause| {
            BackendFault::Failed(format!("the request to {} failed: {cause}", shown(&url)))
        })?;
        judge(answer, &url).await
    }
}

/// The puid of an answer. A redirect is none: a request that creates something is not sent to another place.
async fn judge(answer: HttpAnswer, url: &Url) -> Result<u32, BackendFault> {
    let (status, location) = (answer.status, answer.header("location"));
    let body = answer.body(ANSWER_BYTES).await.map_err(|cause| {
        let fault =
            format!("the answer of {}, status {status}, cannot be read: {cause}", shown(url));
        BackendFault::Failed(fault)
    })?;
    if (300..400).contains(&status) {
        let to = location.as_deref().map_or_else(|| "nowhere".to_owned(), fit);
        return Err(BackendFault::Failed(format!(
            "{} redirects to '{to}', which is not followed; put the right address into UserAutoRegAPI.URL",
            shown(url)
        )));
    }
    let begins = || fit(&String::from_utf8_lossy(&body));
    if status >= 400 {
        return Err(BackendFault::Failed(format!(
            "the answer has status {status}, and begins '{}'",
            begins()
        )));
    }
    parse(&body).map_err(|fault| match fault {
        AnswerFault::Refused(message) => BackendFault::Refused(format!(
            "the backend's answer has no positive data.puid, status {status}, message '{}'",
            fit(&message)
        )),
        AnswerFault::Unusable(fault) => BackendFault::Failed(format!(
            "the answer {}; status {status}, and begins '{}'",
            fit(&fault),
            begins()
        )),
    })
}

/// The backend's text, fit for the log.
fn fit(text: &str) -> String {
    let (start, ellipsis) = clip(text, SHOWN_CHARS);
    format!("{}{ellipsis}", Escaped(start))
}
