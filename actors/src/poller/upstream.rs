//! The HTTP request for the user-coin map: redirects, deadlines, and what is wrong if it fails. The only
//! file that names the HTTP client.
//!
//! Each fetch has a client of its own: a connection that is kept for a minute is one that the upstream has
//! closed meanwhile. Bodies are neither limited nor unpacked by the client, whose limit is that of a form
//! and which unpacks whole parts into memory; `body` does both.

use std::{sync::Arc, time::Duration};

use actix_rt::task::spawn_blocking;
use awc::{
    Client, ClientResponse, Connector,
    error::{ConnectError, PayloadError, SendRequestError},
    http::{
        StatusCode,
        header::{
            ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, LOCATION, USER_AGENT,
        },
    },
};
use futures_util::StreamExt;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use slog::{Logger, warn};
use thiserror::Error;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};
use url::Url;

use super::{
    UpstreamUrl,
    answer::Answer,
    body::{self, BodyFault, Encoding, Part, SHOWN_BYTES},
    url::{follow, shown},
    user_coin_map::Rules,
};

/// Redirects that are followed, one after the other.
const REDIRECTS: usize = 5;

/// So much sooner than all is given up a connection is, so that the error can say which it was.
const CONNECTING_ENDS_EARLY: Duration = Duration::from_millis(100);

/// As much of a packed body is looked at for what is shown of it.
const LOOKED_AT: usize = 4096;

/// Where the map is, and what a fetch may cost.
pub(super) struct Upstream {
    url: UpstreamUrl,
    timeout: Duration,
    body_limit: u64,
    tls: Option<Arc<ClientConfig>>,
}

/// Why there is no answer, fit for the log.
#[derive(Debug, Error)]
pub(super) enum FetchError {
    #[error("cannot connect to {url}: {cause}")]
    Connect { url: String, cause: String },
    #[error("the request to {url} failed: {cause}")]
    Request { url: String, cause: String },
    #[error("{url} did not answer within {} s (CronFetchTimeoutSeconds)", timeout.as_secs())]
    NoHead { url: String, timeout: Duration },
    #[error("the answer was not complete within {} s (CronFetchTimeoutSeconds), after {bytes} bytes", timeout.as_secs())]
    Slow { timeout: Duration, bytes: u64 },
    #[error("the answer broke off after {bytes} bytes: {cause}")]
    BrokenOff { bytes: u64, cause: String },
    #[error("{url} redirects {fault}; put the right address into UserCoinMapURL")]
    Redirect { url: String, fault: String },
    #[error("the answer is packed as '{0}', which was not asked for")]
    Encoding(String),
    #[error("the answer has status {status}, {description}")]
    Status { status: StatusCode, description: String },
    #[error("the answer is larger than {limit} bytes unpacked (CronBodyLimitBytes)")]
    TooLarge { limit: u64 },
    #[error("the answer {fault}; {description}")]
    Bad { fault: String, description: String },
    #[error("the thread that reads answers ended: {0}")]
    Thread(String),
}

/// What an answer says of itself.
#[derive(Debug)]
struct About {
    status: StatusCode,
    content_type: String,
    encoding: Encoding,
}

impl About {
    fn of<S>(response: &ClientResponse<S>) -> Result<Self, FetchError> {
        let content_type = header(response, CONTENT_TYPE).unwrap_or_else(|| "none".to_owned());
        let encoding = match header(response, CONTENT_ENCODING) {
            None => Encoding::Plain,
            Some(name) => match name.to_ascii_lowercase().as_str() {
                "" | "identity" => Encoding::Plain,
                "gzip" | "x-gzip" => Encoding::Gzip,
                _ => return Err(FetchError::Encoding(name)),
            },
        };
        Ok(Self { status: response.status(), content_type, encoding })
    }

    fn description(&self, head: &[u8]) -> String {
        let head = String::from_utf8_lossy(head);
        format!(
            "status {}, content type {}, and begins '{}'",
            self.status.as_u16(),
            self.content_type,
            head.escape_debug()
        )
    }
}

impl Upstream {
    /// Reads the certificate authorities, which may take a moment.
    pub(super) fn new(url: UpstreamUrl, timeout: Duration, body_limit: u64, log: &Logger) -> Self {
        Self { url, timeout, body_limit, tls: tls(log) }
    }

    /// Asks for what has changed from `last_date` on, and reads the answer to its end.
    pub(super) async fn fetch(&self, last_date: i64, rules: &Rules) -> Result<Answer, FetchError> {
        let deadline = Instant::now() + self.timeout;
        let url = self.url.asking_from(last_date);
        let client = self.client();
        let response = timeout_at(deadline, self.head(&client, url.clone())).await;
        let response = response.unwrap_or_else(|_| {
            Err(FetchError::NoHead { url: shown(&url), timeout: self.timeout })
        });
        let mut response = response?;
        let about = About::of(&response)?;
        if about.status != StatusCode::OK {
            let mut head = Vec::new();
            // What comes in time is shown.
            let _ = timeout_at(deadline, begin(&mut response, &mut head)).await;
            let description = about.description(&body::head(&head, about.encoding));
            return Err(FetchError::Status { status: about.status, description });
        }
        let (sender, incoming) = body::channel();
        let reading = spawn_blocking({
            let (encoding, limit, rules) = (about.encoding, self.body_limit, rules.clone());
            move || body::read(incoming, encoding, limit, rules)
        });
        let mut bytes = 0;
        let passed = timeout_at(deadline, pass_on(&mut response, sender, &mut bytes)).await;
        match passed {
            Err(_) => return Err(FetchError::Slow { timeout: self.timeout, bytes }),
            Ok(Err(cause)) => {
                return Err(FetchError::BrokenOff { bytes, cause: cause.to_string() });
            }
            Ok(Ok(())) => {}
        }
        let answer = reading.await.map_err(|error| FetchError::Thread(error.to_string()))?;
        answer.map_err(|(fault, head)| match fault {
            BodyFault::TooLarge => FetchError::TooLarge { limit: self.body_limit },
            BodyFault::Unreadable(cause) => FetchError::Bad {
                fault: format!("cannot be read: {cause}"),
                description: about.description(&head),
            },
            BodyFault::Answer(fault) => {
                FetchError::Bad { fault: fault.to_string(), description: about.description(&head) }
            }
        })
    }

    fn client(&self) -> Client {
        let connecting = self.timeout.saturating_sub(CONNECTING_ENDS_EARLY);
        let mut connector = Connector::new().timeout(connecting).handshake_timeout(connecting);
        if let Some(tls) = &self.tls {
            connector = connector.rustls_0_23(Arc::clone(tls));
        }
        Client::builder().connector(connector).disable_timeout().disable_redirects().finish()
    }

    /// Sends the request, and again where it is redirected to, until an answer begins.
    async fn head(&self, client: &Client, mut url: Url) -> Result<ClientResponse, FetchError> {
        for _ in 0..=REDIRECTS {
            let mut request = client
                .get(url.as_str())
                .insert_header((
                    USER_AGENT,
                    concat!("switcher-api-server/", env!("CARGO_PKG_VERSION")),
                ))
                .insert_header((ACCEPT_ENCODING, "gzip"))
                .no_decompress()
                .force_close();
            if let Some((user, password)) = self.url.credentials() {
                request = request.basic_auth(user, password);
            }
            let response = request.send().await.map_err(|error| failed(&url, error))?;
            if !FOLLOWED.contains(&response.status()) {
                return Ok(response);
            }
            let redirect = |fault| FetchError::Redirect { url: shown(&url), fault };
            let location = header(&response, LOCATION)
                .ok_or_else(|| redirect("to nowhere: there is no Location".to_owned()))?;
            url = follow(&url, &location).map_err(redirect)?;
        }
        let fault = format!("once more after {REDIRECTS} redirects");
        Err(FetchError::Redirect { url: shown(&url), fault })
    }
}

/// Redirects that lead a GET somewhere else.
const FOLLOWED: [StatusCode; 5] = [
    StatusCode::MOVED_PERMANENTLY,
    StatusCode::FOUND,
    StatusCode::SEE_OTHER,
    StatusCode::TEMPORARY_REDIRECT,
    StatusCode::PERMANENT_REDIRECT,
];

fn failed(url: &Url, error: SendRequestError) -> FetchError {
    let url = shown(url);
    match error {
        SendRequestError::Connect(ConnectError::Timeout) => FetchError::Connect {
            url,
            cause: "it takes too long (CronFetchTimeoutSeconds)".to_owned(),
        },
        SendRequestError::Connect(error) => FetchError::Connect { url, cause: error.to_string() },
        error => FetchError::Request { url, cause: error.to_string() },
    }
}

/// A header's text, fit for the log.
fn header<S>(response: &ClientResponse<S>, name: HeaderName) -> Option<String> {
    let value = response.headers().get(name)?;
    let text = String::from_utf8_lossy(value.as_bytes());
    Some(text.chars().take(SHOWN_BYTES).flat_map(char::escape_debug).collect())
}

/// Collects a body's first bytes.
async fn begin(response: &mut ClientResponse, head: &mut Vec<u8>) {
    while head.len() < LOOKED_AT
        && let Some(Ok(bytes)) = response.next().await
    {
        head.extend_from_slice(&bytes);
    }
}

/// Passes a body on to its reader as it comes, and counts it.
async fn pass_on(
    response: &mut ClientResponse,
    reader: mpsc::Sender<Part>,
    count: &mut u64,
) -> Result<(), PayloadError> {
    while let Some(bytes) = response.next().await {
        let bytes = bytes?;
        *count += bytes.len() as u64;
        if reader.send(Part::Bytes(bytes.to_vec())).await.is_err() {
            // It has found a fault, which it will tell.
            return Ok(());
        }
    }
    let _ = reader.send(Part::End).await;
    Ok(())
}

/// Trusts whom the operating system trusts, or the file that `SSL_CERT_FILE` names.
fn tls(log: &Logger) -> Option<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (taken, _) = roots.add_parsable_certificates(found.certs);
    if taken == 0 {
        let causes: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
        warn!(log, "no certificate authorities found, so no upstream is trusted: install \
            ca-certificates, or let SSL_CERT_FILE name a file of them";
            "cause" => causes.join("; "));
    }
    let versions = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions();
    match versions {
        Ok(builder) => Some(Arc::new(builder.with_root_certificates(roots).with_no_client_auth())),
        Err(error) => {
            warn!(log, "https is not possible"; "cause" => %error);
            None
        }
    }
}
