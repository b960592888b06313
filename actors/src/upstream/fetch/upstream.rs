//! One fetch: the request, its redirects and deadlines, and the cause of a failure.
//!
//! An answer may have a length, come in chunks, or end with the connection, as PHP's own server has it.

use std::{cell::Cell, io, net::SocketAddr, time::Duration};

use actix_rt::task::spawn_blocking;
use slog::{Logger, warn};
use tokio::{
    net::{TcpStream, lookup_host},
    time::{Instant, timeout, timeout_at},
};
use url::{Position, Url};

use super::{
    super::{
        body::{self, BadBody, BodyFault, FetchLimits},
        format::{AnswerFault, AnswerFormat},
        url::{UpstreamUrl, follow, shown},
    },
    error::FetchError,
    head::AnswerHead,
};
use crate::{
    http_client::{HttpAnswer, HttpRequest},
    tls::{TlsClient, TlsFault, TlsRemedies, TlsTrust, system_authorities},
};

/// Redirects that are followed, one after the other.
const REDIRECTS: usize = 5;

/// Redirects that repeat the request elsewhere.
const REPEATING: [u16; 2] = [307, 308];

/// Redirects to an answer that is fetched with a GET.
const FETCHING: [u16; 3] = [301, 302, 303];

/// Bytes of a body that are read to show its start: more than are shown, since they may be packed.
const START_BYTES: usize = 4096;

/// Phases of a fetch without an answer, as its error names them.
const CONNECTING: &str = "no connection to";
const WAITING: &str = "no answer from";

/// A request, apart from its URL.
#[derive(Clone, Copy)]
struct Call<'a> {
    method: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'a [u8],
}

const GET: Call<'_> = Call {
    method: "GET",
    headers: &[("accept", "application/json, */*"), ("accept-encoding", "gzip")],
    body: &[],
};

/// User and password.
type Credentials = (String, String);

/// Headers of a POST.
const POST_HEADERS: &[(&str, &str)] = &[
    ("accept", "application/json, */*"),
    ("accept-encoding", "gzip"),
    ("content-type", "application/json"),
];

/// How to fetch from an upstream, and the keys that errors name.
#[derive(Clone, Debug)]
pub(crate) struct FetchSettings {
    pub(crate) url: UpstreamUrl,
    /// Key that has the URL.
    pub(crate) url_key: &'static str,
    /// Time for a whole fetch: connection, head and body.
    pub(crate) timeout: Duration,
    /// Key that has the timeout.
    pub(crate) timeout_key: &'static str,
    /// Bytes of the largest answer, unpacked.
    pub(crate) body_limit: u64,
    /// Key that has the limit; `None` if it is fixed.
    pub(crate) body_limit_key: Option<&'static str>,
}

/// A program of the pool's backend that answers over HTTP.
pub(crate) struct Upstream {
    settings: FetchSettings,
    tls: TlsClient,
}

impl Upstream {
    /// Reads the certificate authorities, which may take a moment. Their absence is worth a warning only with `https`: an
    /// upstream without TLS may still redirect to one with it.
    pub(crate) fn new(settings: FetchSettings, log: &Logger) -> Self {
        let (trusted, causes) = system_authorities();
        if trusted.is_empty() && settings.url.is_https() {
            warn!(log, "no certificate authorities found, so no upstream is trusted: install \
                ca-certificates, or let SSL_CERT_FILE name a file with them";
                "cause" => causes.join("; "));
        }
        Self {
            tls: TlsClient::new(TlsTrust::Certificates(trusted), None, remedies(settings.url_key)),
            settings,
        }
    }

    /// Requests the entries after `from`, the value of the query's parameter `name`, and reads the answer to its end.
    /// Dropping the future closes the connection, which ends the thread that reads.
    pub(crate) async fn fetch<F: AnswerFormat>(
        &self,
        name: &str,
        from: i64,
        format: F,
    ) -> Result<F::Parsed, FetchError> {
        self.exchange(self.settings.url.asking_from(name, from), GET, None, format).await
    }

    /// Posts `body` to the URL, and reads the answer to its end. `credentials` replace those of the URL. Dropping the
    /// future closes the connection.
    pub(crate) async fn post<F: AnswerFormat>(
        &self,
        body: Vec<u8>,
        credentials: Option<Credentials>,
        format: F,
    ) -> Result<F::Parsed, FetchError> {
        let call = Call { method: "POST", headers: POST_HEADERS, body: &body };
        self.exchange(self.settings.url.target(), call, credentials, format).await
    }

    async fn exchange<F: AnswerFormat>(
        &self,
        url: Url,
        call: Call<'_>,
        credentials: Option<Credentials>,
        format: F,
    ) -> Result<F::Parsed, FetchError> {
        let deadline = Instant::now() + self.settings.timeout;
        let phase = Cell::new(CONNECTING);
        let answering = self.answer(url.clone(), call, credentials, &phase, deadline);
        let answer = timeout_at(deadline, answering).await;
        let (mut answer, origin) = answer.unwrap_or_else(|_| Err(self.late(&phase, &url)))?;
        let head = AnswerHead::of(&answer);
        if !F::SUCCESS.contains(&head.status) {
            let mut start = Vec::new();
            // Shows as much as comes in time.
            let _ = timeout_at(deadline, answer.read_start(&mut start, START_BYTES)).await;
            let description = head.description(&body::shown_start(&start, head.encoding));
            return Err(format!("the answer{origin} is not a success: {description}").into());
        }
        let (body, connection) = answer.into_reader();
        let mut reading = spawn_blocking({
            let limits =
                FetchLimits { bytes: self.settings.body_limit, deadline: deadline.into_std() };
            let encoding = head.encoding;
            move || body::read(body, encoding, limits, format)
        });
        let in_time = timeout_at(deadline, &mut reading).await.ok();
        let is_late = in_time.is_none();
        // Ends a late read, whose memory would add to that of the next fetch.
        drop(connection);
        let read = match in_time {
            Some(read) => read,
            None => reading.await,
        };
        let answer =
            read.map_err(|error| format!("the thread that reads answers ended: {error}"))?;
        answer.map_err(|bad| self.fault(bad, &head, is_late).into())
    }

    /// Sends a GET without a query of ours, and returns the status of the answer. Redirects are not followed.
    pub(crate) async fn probe(&self, credentials: Option<Credentials>) -> Result<u16, FetchError> {
        let deadline = Instant::now() + self.settings.timeout;
        let (url, phase) = (self.settings.url.target(), Cell::new(CONNECTING));
        let credentials = credentials.or_else(|| self.settings.url.credentials());
        let sending = self.send(&url, GET, credentials.as_ref(), &phase, deadline);
        let answer = timeout_at(deadline, sending).await;
        answer.unwrap_or_else(|_| Err(self.late(&phase, &url))).map(|answer| answer.status)
    }

    fn late(&self, phase: &Cell<&'static str>, url: &Url) -> FetchError {
        format!("{} {} within {}", phase.get(), shown(url), self.time_limit()).into()
    }

    fn fault(&self, bad: BadBody, head: &AnswerHead, is_late: bool) -> String {
        let BadBody { fault, start, received } = bad;
        let description = head.description(&start);
        match fault {
            BodyFault::BrokenOff(cause) if !is_late => {
                format!("the answer broke off after {received} bytes: {cause}")
            }
            BodyFault::BrokenOff(_) | BodyFault::TooSlow => {
                let limit = self.time_limit();
                format!("the answer was not read within {limit}, after {received} bytes")
            }
            BodyFault::TooLarge => {
                let limit = self.settings.body_limit;
                let key = self.settings.body_limit_key.map(|key| format!(" ({key})"));
                format!(
                    "the answer is larger than {limit} bytes unpacked{}",
                    key.unwrap_or_default()
                )
            }
            BodyFault::NotGzip => format!(
                "the answer cannot be read: its Content-Encoding is gzip, but its body is not; let the backend, or the \
                 proxy before it, either pack the body or leave the header out; {description}"
            ),
            BodyFault::Unreadable(cause) => {
                format!("the answer cannot be read: {cause}; {description}")
            }
            BodyFault::Answer(fault) => match (&fault, head.foreign_encoding(&start)) {
                (AnswerFault::Malformed { .. }, Some(encoding)) => format!(
                    "the answer is packed as '{encoding}', which was not asked for; {description}"
                ),
                _ => format!("the answer {fault}; {description}"),
            },
        }
    }

    fn time_limit(&self) -> String {
        format!("{} s ({})", self.settings.timeout.as_secs(), self.settings.timeout_key)
    }

    /// Sends the request, and again where it is redirected to, until an answer begins: as Go's client does, without
    /// user and password once it leaves the host that they are for. Also returns where a redirected answer comes from,
    /// for an error.
    async fn answer(
        &self,
        mut url: Url,
        mut call: Call<'_>,
        credentials: Option<Credentials>,
        phase: &Cell<&'static str>,
        deadline: Instant,
    ) -> Result<(HttpAnswer, String), FetchError> {
        let mut credentials = credentials.or_else(|| self.settings.url.credentials());
        let (mut origin, mut lost) = (String::new(), "");
        let mut followed = 0;
        loop {
            let answer = self.send(&url, call, credentials.as_ref(), phase, deadline).await?;
            let is_fetching = FETCHING.contains(&answer.status);
            let location = answer.headers.get("location").filter(|it| !it.is_empty());
            let Some(location) =
                location.filter(|_| is_fetching || REPEATING.contains(&answer.status))
            else {
                return Ok((answer, origin));
            };
            let there = match location.to_str() {
                _ if followed == REDIRECTS => Err(format!("once more after {followed} redirects")),
                Ok(location) => follow(&url, location),
                Err(_) => Err("to nowhere: its Location is not in ASCII".to_owned()),
            };
            url = there.map_err(|fault| redirect_fault(&url, &fault, self.settings.url_key))?;
            followed += 1;
            if is_fetching {
                call = GET;
            }
            // They stay lost: a stranger may redirect back to the first host.
            if credentials.take_if(|_| !self.settings.url.shares_credentials(&url)).is_some() {
                lost = ", which gets no user and password,";
            }
            origin = format!(" from {}{lost}", shown(&url));
        }
    }

    async fn send(
        &self,
        url: &Url,
        call: Call<'_>,
        credentials: Option<&Credentials>,
        phase: &Cell<&'static str>,
        deadline: Instant,
    ) -> Result<HttpAnswer, FetchError> {
        phase.set(CONNECTING);
        let stream = connect(url, deadline)
            .await
            .map_err(|cause| format!("cannot connect to {}: {cause}", shown(url)))?;
        let request = HttpRequest {
            method: call.method,
            host: &url[Position::BeforeHost..Position::AfterPort],
            target: &url[Position::BeforePath..Position::AfterQuery],
            credentials: credentials.map(|(user, password)| (&**user, &**password)),
            headers: call.headers,
            body: call.body.to_vec(),
        };
        let answer = if url.scheme() == "https" {
            let shaken = self.tls.connect(url.host_str().unwrap_or_default(), stream).await;
            let stream = shaken.map_err(|TlsFault { cause, remedy }| FetchError {
                cause: format!("cannot connect to {}: {cause}", shown(url)),
                remedy: Some(remedy),
            })?;
            phase.set(WAITING);
            request.send(stream).await
        } else {
            phase.set(WAITING);
            request.send(stream).await
        };
        answer.map_err(|cause| format!("the request to {} failed: {cause}", shown(url)).into())
    }
}

/// Remedies for a server whose URL is the value of `key`.
fn remedies(key: &'static str) -> TlsRemedies {
    TlsRemedies {
        address: key,
        trust: "let SSL_CERT_FILE name a PEM file, and append to it",
        afterwards: ", and restart the daemon",
        accepts_listed_authority: true,
        without_tls: format!("put http:// or the port of https into {key}"),
        client_certificate: format!(
            "switch that off for this client, which has none; {key} may have a user and a password"
        ),
    }
}

fn redirect_fault(url: &Url, fault: &str, key: &str) -> FetchError {
    format!("{} redirects {fault}; put the right address into {key}", shown(url)).into()
}

/// Connects to the first of a host's addresses that accepts. Each has a share of the time left, so that a silent one
/// leaves the others theirs.
async fn connect(url: &Url, deadline: Instant) -> io::Result<TcpStream> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    let addresses: Vec<SocketAddr> = lookup_host(format!("{host}:{port}")).await?.collect();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for (tried, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        // The time of the last one ends with that of the fetch.
        let share = match u32::try_from(addresses.len() - tried) {
            Ok(1) => Duration::MAX,
            shares => left / shares.unwrap_or(u32::MAX),
        };
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failure = error,
            Err(_) => failure = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failure)
}
