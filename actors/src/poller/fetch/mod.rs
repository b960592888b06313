//! The HTTP request for the user-coin map: redirects, deadlines, and what is wrong if it fails. The only
//! file that names the HTTP client.
//!
//! Each fetch has a connection of its own: one that is kept for a minute is one that the upstream has closed
//! meanwhile. An answer may have a length, come in chunks, or end with the connection, as PHP's own
//! server has it.

use std::{cell::Cell, fmt, io, net::SocketAddr, time::Duration};

use actix_rt::task::spawn_blocking;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    client::conn::http1::Builder,
    header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, HOST, LOCATION, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use slog::Logger;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    sync::mpsc,
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};
use url::{Host, Url};

use self::{head::About, tls::Tls};
use super::{
    UpstreamUrl,
    answer::{Answer, AnswerFault},
    body::{self, BodyFault, Encoding, GZIP, Limits, Part, SHOWN_BYTES},
    url::{follow, shown},
    user_coin_map::Rules,
};

mod head;
mod tls;
mod tls_fault;

pub(super) use tls_fault::TlsFault;

/// Redirects that are followed, one after the other.
const REDIRECTS: usize = 5;

/// As much of a packed body is looked at for what is shown of it.
const LOOKED_AT: usize = 4096;

/// Most headers of an answer. `HeaderMap` has room for 24,576.
const HEADERS: usize = 10_000;

/// Largest head of an answer, in bytes.
const HEAD_BYTES: usize = 1 << 20;

/// Where the map is, and what a fetch may cost.
pub(super) struct Upstream {
    url: UpstreamUrl,
    timeout: Duration,
    body_limit: u64,
    tls: Tls,
}

/// Why there is no answer, fit for the log.
#[derive(Debug, Error)]
pub(super) enum FetchError {
    #[error("cannot connect to {url}: {cause}")]
    Connect { url: String, cause: String },
    #[error("the request to {url} failed: {cause}")]
    Request { url: String, cause: String },
    #[error("{phase} {url} within {} s (CronFetchTimeoutSeconds)", timeout.as_secs())]
    NoHead { url: String, phase: Phase, timeout: Duration },
    #[error("the answer was not read within {} s (CronFetchTimeoutSeconds), after {bytes} bytes", timeout.as_secs())]
    Slow { timeout: Duration, bytes: u64 },
    #[error("the answer broke off after {bytes} bytes: {cause}")]
    BrokenOff { bytes: u64, cause: String },
    #[error("{url} redirects {fault}; put the right address into UserCoinMapURL")]
    Redirect { url: String, fault: String },
    #[error("cannot connect to {url}: {fault}")]
    Tls { url: String, fault: TlsFault },
    #[error("the answer is packed as '{encoding}', which was not asked for; {description}")]
    Encoding { encoding: String, description: String },
    #[error(
        "the answer cannot be read: its Content-Encoding is gzip, but its body is not; let the backend, or the proxy \
         before it, either pack the body or leave the header out; {description}"
    )]
    NotGzip { description: String },
    #[error("the answer is no success: {description}")]
    Status { description: String },
    #[error("the answer is larger than {limit} bytes unpacked (CronBodyLimitBytes)")]
    TooLarge { limit: u64 },
    #[error("the answer {fault}; {description}")]
    Bad { fault: String, description: String },
    #[error("the thread that reads answers ended: {0}")]
    Thread(String),
}

impl Upstream {
    /// Reads the certificate authorities, which may take a moment.
    pub(super) fn new(url: UpstreamUrl, timeout: Duration, body_limit: u64, log: &Logger) -> Self {
        let tls = Tls::new(url.is_https(), log);
        Self { url, timeout, body_limit, tls }
    }

    /// Asks for what has changed from `last_date` on, and reads the answer to its end.
    pub(super) async fn fetch(&self, last_date: i64, rules: &Rules) -> Result<Answer, FetchError> {
        let deadline = Instant::now() + self.timeout;
        let (url, phase) = (self.url.asking_from(last_date), Cell::new(Phase::Connecting));
        let answer = timeout_at(deadline, self.head(url.clone(), &phase, deadline)).await;
        let Answering { mut response, _connection } = answer.unwrap_or_else(|_| {
            let (url, phase) = (shown(&url), phase.get());
            Err(FetchError::NoHead { url, phase, timeout: self.timeout })
        })?;
        let about = About::of(&response);
        if about.status != StatusCode::OK {
            let mut head = Vec::new();
            // Shows as much as comes in time.
            let _ = timeout_at(deadline, begin(&mut response, &mut head)).await;
            let description = about.description(&body::head(&head, about.encoding));
            return Err(FetchError::Status { description });
        }
        let (sender, incoming) = body::channel();
        let reading = spawn_blocking({
            let limits = Limits { bytes: self.body_limit, deadline: deadline.into_std() };
            let (rules, encoding) = (rules.clone(), about.encoding);
            move || body::read(incoming, encoding, limits, rules)
        });
        let mut wire = Wire::default();
        let passed = timeout_at(deadline, pass_on(&mut response, sender, &mut wire)).await;
        // It ends by the same deadline. Left alone, it would have its memory beside the next one's.
        let answer = reading.await.map_err(|error| FetchError::Thread(error.to_string()))?;
        let slow = || FetchError::Slow { timeout: self.timeout, bytes: wire.bytes };
        match passed {
            Err(_) => return Err(slow()),
            Ok(Err(cause)) => {
                return Err(FetchError::BrokenOff {
                    bytes: wire.bytes,
                    cause: with_sources(&cause),
                });
            }
            Ok(Ok(())) => {}
        }
        answer.map_err(|(fault, head)| match fault {
            BodyFault::TooSlow => slow(),
            BodyFault::TooLarge => FetchError::TooLarge { limit: self.body_limit },
            BodyFault::Unreadable(_) if wire.is_no_gzip(about.encoding) => {
                FetchError::NotGzip { description: about.description(&wire.head) }
            }
            BodyFault::Unreadable(cause) => FetchError::Bad {
                fault: format!("cannot be read: {cause}"),
                description: about.description(if head.is_empty() { &wire.head } else { &head }),
            },
            BodyFault::Answer(fault) => {
                let description = about.description(&head);
                match (fault, about.foreign_encoding(&head)) {
                    (AnswerFault::NotAMap(_), Some(encoding)) => {
                        FetchError::Encoding { encoding, description }
                    }
                    (fault, _) => FetchError::Bad { fault: fault.to_string(), description },
                }
            }
        })
    }

    /// Sends the request, and again where it is redirected to, until an answer begins.
    async fn head(
        &self,
        mut url: Url,
        phase: &Cell<Phase>,
        deadline: Instant,
    ) -> Result<Answering, FetchError> {
        for _ in 0..=REDIRECTS {
            phase.set(Phase::Connecting);
            let stream = self.connect(&url, deadline).await?;
            phase.set(Phase::Waiting);
            let failed = |cause: String| FetchError::Request { url: shown(&url), cause };
            let request = self.request(&url).map_err(|error| failed(with_sources(&error)))?;
            let (mut sender, connection) = lenient()
                .handshake(TokioIo::new(stream))
                .await
                .map_err(|error| failed(with_sources(&error)))?;
            let mut driving = JoinSet::new();
            // How it ends is seen by whoever waits for head or body.
            driving.spawn(async { drop(connection.await) });
            let response =
                sender.send_request(request).await.map_err(|error| failed(head_fault(&error)))?;
            if !FOLLOWED.contains(&response.status()) {
                return Ok(Answering { response, _connection: driving });
            }
            let redirect = |fault| FetchError::Redirect { url: shown(&url), fault };
            let location = response.headers().get(LOCATION).and_then(|it| it.to_str().ok());
            let location = location
                .ok_or_else(|| redirect("to nowhere: there is no Location in ASCII".to_owned()))?;
            url = follow(&url, location).map_err(redirect)?;
        }
        let fault = format!("once more after {REDIRECTS} redirects");
        Err(FetchError::Redirect { url: shown(&url), fault })
    }

    async fn connect(&self, url: &Url, deadline: Instant) -> Result<Box<dyn Stream>, FetchError> {
        let failed =
            |cause: io::Error| FetchError::Connect { url: shown(url), cause: cause.to_string() };
        let nowhere = || failed(io::Error::new(io::ErrorKind::InvalidInput, "there is no host"));
        let host = url.host().ok_or_else(nowhere)?;
        let port = url.port_or_known_default().ok_or_else(nowhere)?;
        let addresses = match host {
            Host::Domain(name) => lookup_host((name, port)).await.map_err(failed)?.collect(),
            Host::Ipv4(address) => vec![SocketAddr::from((address, port))],
            Host::Ipv6(address) => vec![SocketAddr::from((address, port))],
        };
        let stream = connect_to_one(&addresses, deadline).await.map_err(failed)?;
        if url.scheme() != "https" {
            return Ok(Box::new(stream));
        }
        let connected = self.tls.connect(host, stream).await;
        connected
            .map(|stream| Box::new(stream) as Box<dyn Stream>)
            .map_err(|fault| FetchError::Tls { url: shown(url), fault })
    }

    fn request(&self, url: &Url) -> Result<Request<Empty<Bytes>>, hyper::http::Error> {
        let host = url.host_str().unwrap_or_default();
        let host = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let mut request = Request::get(target)
            .header(HOST, host)
            .header(USER_AGENT, concat!("switcher-api-server/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/json, */*")
            .header(ACCEPT_ENCODING, "gzip")
            .header(CONNECTION, "close");
        if let Some((user, password)) = self.url.credentials(url) {
            let credentials = STANDARD.encode(format!("{user}:{password}"));
            request = request.header(AUTHORIZATION, format!("Basic {credentials}"));
        }
        request.body(Empty::new())
    }
}

/// Connects to the first of a host's addresses that lets us. Each has a share of the time that is left, so
/// that one which keeps silent does not cost the others theirs.
async fn connect_to_one(addresses: &[SocketAddr], deadline: Instant) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for (tried, address) in addresses.iter().enumerate() {
        // The last one's is over when the fetch is.
        let share = match u32::try_from(addresses.len() - tried) {
            Ok(1) => Duration::MAX,
            shares => {
                deadline.saturating_duration_since(Instant::now()) / shares.unwrap_or(u32::MAX)
            }
        };
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failure = error,
            Err(_) => failure = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failure)
}

/// An answer that has begun.
struct Answering {
    response: Response<Incoming>,
    /// Ended by being dropped.
    _connection: JoinSet<()>,
}

/// How far a fetch has come without an answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    Connecting,
    Waiting,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "no connection to",
            Self::Waiting => "no answer from",
        })
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Redirects that lead a GET somewhere else.
const FOLLOWED: [StatusCode; 5] = [
    StatusCode::MOVED_PERMANENTLY,
    StatusCode::FOUND,
    StatusCode::SEE_OTHER,
    StatusCode::TEMPORARY_REDIRECT,
    StatusCode::PERMANENT_REDIRECT,
];

/// Takes the heads that Go's client takes: many headers, folded ones, and names with blanks. The connection serves one
/// request, so no other answer can be mistaken for a header, and a body that a lost header cuts short is no JSON.
fn lenient() -> Builder {
    let mut builder = Builder::new();
    builder
        .max_headers(HEADERS)
        .max_buf_size(HEAD_BYTES)
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .ignore_invalid_headers_in_responses(true);
    builder
}

fn head_fault(error: &hyper::Error) -> String {
    let cause = with_sources(error);
    // The library has only this text for it.
    if cause.contains("message head is too large") {
        return format!("{cause}: more than {HEADERS} headers, or more than {HEAD_BYTES} bytes");
    }
    cause
}

/// An error's text with those of its causes, which the client's own leaves out.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Collects a body's first bytes.
async fn begin(response: &mut Response<Incoming>, head: &mut Vec<u8>) {
    while head.len() < LOOKED_AT
        && let Some(Ok(frame)) = response.frame().await
    {
        head.extend_from_slice(frame.data_ref().map_or(&[], |bytes| bytes));
    }
}

/// The body as it came over the network.
#[derive(Default)]
struct Wire {
    bytes: u64,
    /// The first of them.
    head: Vec<u8>,
}

impl Wire {
    fn count(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        let room = SHOWN_BYTES.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
    }

    fn is_no_gzip(&self, encoding: Encoding) -> bool {
        encoding == Encoding::Gzip && !self.head.starts_with(&GZIP)
    }
}

/// Passes a body on to its reader as it comes, and counts it.
async fn pass_on(
    response: &mut Response<Incoming>,
    reader: mpsc::Sender<Part>,
    wire: &mut Wire,
) -> Result<(), hyper::Error> {
    while let Some(frame) = response.frame().await {
        // Trailers say nothing of a map.
        let Ok(bytes) = frame?.into_data() else { continue };
        wire.count(&bytes);
        if reader.send(Part::Bytes(bytes)).await.is_err() {
            // It has found a fault, which it will tell.
            return Ok(());
        }
    }
    let _ = reader.send(Part::End).await;
    Ok(())
}
