//! One fetch: the request, its redirects and deadlines, and the cause of a failure.
//!
//! An answer may have a length, come in chunks, or end with the connection, as PHP's own server has it.

use std::{cell::Cell, io, net::SocketAddr, time::Duration};

use actix_rt::task::spawn_blocking;
use slog::Logger;
use tokio::{
    net::{TcpStream, lookup_host},
    time::{Instant, timeout, timeout_at},
};
use url::{Position, Url};

use super::{
    super::{
        PollerSettings,
        answer::{AnswerFault, FetchedMap},
        body::{self, BadBody, BodyFault, FetchLimits},
        url::{follow, shown},
    },
    error::FetchError,
    head::AnswerHead,
    tls::Tls,
};
use crate::http_client::{HttpAnswer, HttpRequest};

/// Redirects that are followed, one after the other.
const REDIRECTS: usize = 5;

/// Redirects that lead a GET somewhere else.
const FOLLOWED: [u16; 5] = [301, 302, 303, 307, 308];

/// Bytes of a body that are read to show its start: more than are shown, since they may be packed.
const START_BYTES: usize = 4096;

/// Phases of a fetch without an answer, as its error names them.
const CONNECTING: &str = "no connection to";
const WAITING: &str = "no answer from";

/// Source of the user-coin map.
pub(in crate::poller) struct Upstream {
    pub(in crate::poller) settings: PollerSettings,
    tls: Tls,
}

impl Upstream {
    /// Reads the certificate authorities, which may take a moment.
    pub(in crate::poller) fn new(settings: PollerSettings, log: &Logger) -> Self {
        Self { tls: Tls::new(settings.url.is_https(), log), settings }
    }

    /// Asks for the changes since `last_date`, and reads the answer to its end. Dropping the future closes the
    /// connection, which ends the thread that reads.
    pub(in crate::poller) async fn fetch(&self, last_date: i64) -> Result<FetchedMap, FetchError> {
        let deadline = Instant::now() + self.settings.fetch_timeout;
        let (url, phase) = (self.settings.url.asking_from(last_date), Cell::new(CONNECTING));
        let answer = timeout_at(deadline, self.answer(url.clone(), &phase, deadline)).await;
        let mut answer = answer.unwrap_or_else(|_| {
            Err(format!("{} {} within {}", phase.get(), shown(&url), self.time_limit()).into())
        })?;
        let head = AnswerHead::of(&answer);
        if head.status != 200 {
            let mut start = Vec::new();
            // Shows as much as comes in time.
            let _ = timeout_at(deadline, answer.read_start(&mut start, START_BYTES)).await;
            let description = head.description(&body::shown_start(&start, head.encoding));
            return Err(format!("the answer is not a success: {description}").into());
        }
        let (body, connection) = answer.into_reader();
        let mut reading = spawn_blocking({
            let limits =
                FetchLimits { bytes: self.settings.body_limit, deadline: deadline.into_std() };
            let (rules, encoding) = (self.settings.rules.clone(), head.encoding);
            move || body::read(body, encoding, limits, rules)
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
                format!("the answer is larger than {limit} bytes unpacked (CronBodyLimitBytes)")
            }
            BodyFault::NotGzip => format!(
                "the answer cannot be read: its Content-Encoding is gzip, but its body is not; let the backend, or the \
                 proxy before it, either pack the body or leave the header out; {description}"
            ),
            BodyFault::Unreadable(cause) => {
                format!("the answer cannot be read: {cause}; {description}")
            }
            BodyFault::Answer(fault) => match (&fault, head.foreign_encoding(&start)) {
                (AnswerFault::NotAMap(_), Some(encoding)) => format!(
                    "the answer is packed as '{encoding}', which was not asked for; {description}"
                ),
                _ => format!("the answer {fault}; {description}"),
            },
        }
    }

    fn time_limit(&self) -> String {
        format!("{} s (CronFetchTimeoutSeconds)", self.settings.fetch_timeout.as_secs())
    }

    /// Sends the request, and again where it is redirected to, until an answer begins.
    async fn answer(
        &self,
        mut url: Url,
        phase: &Cell<&'static str>,
        deadline: Instant,
    ) -> Result<HttpAnswer, FetchError> {
        for _ in 0..=REDIRECTS {
            let answer = self.send(&url, phase, deadline).await?;
            if !FOLLOWED.contains(&answer.status) {
                return Ok(answer);
            }
            let location = answer.headers.get("location").and_then(|it| it.to_str().ok());
            let there = location
                .ok_or_else(|| "to nowhere: there is no Location in ASCII".to_owned())
                .and_then(|location| follow(&url, location));
            url = there.map_err(|fault| redirect_fault(&url, &fault))?;
        }
        Err(redirect_fault(&url, &format!("once more after {REDIRECTS} redirects")))
    }

    async fn send(
        &self,
        url: &Url,
        phase: &Cell<&'static str>,
        deadline: Instant,
    ) -> Result<HttpAnswer, FetchError> {
        phase.set(CONNECTING);
        let stream = connect(url, deadline)
            .await
            .map_err(|cause| format!("cannot connect to {}: {cause}", shown(url)))?;
        let credentials = self.settings.url.credentials(url);
        let request = HttpRequest {
            method: "GET",
            host: &url[Position::BeforeHost..Position::AfterPort],
            target: &url[Position::BeforePath..Position::AfterQuery],
            credentials: credentials.as_ref().map(|(user, password)| (&**user, &**password)),
            headers: &[("accept", "application/json, */*"), ("accept-encoding", "gzip")],
            body: Vec::new(),
        };
        let answer = if url.scheme() == "https" {
            let stream = self.tls.connect(url, stream).await?;
            phase.set(WAITING);
            request.send(stream).await
        } else {
            phase.set(WAITING);
            request.send(stream).await
        };
        answer.map_err(|cause| format!("the request to {} failed: {cause}", shown(url)).into())
    }
}

fn redirect_fault(url: &Url, fault: &str) -> FetchError {
    format!("{} redirects {fault}; put the right address into UserCoinMapURL", shown(url)).into()
}

/// Connects to the first of a host's addresses that accepts. Each has a share of the time left, so that a silent one
/// leaves the others theirs.
pub(crate) async fn connect(url: &Url, deadline: Instant) -> io::Result<TcpStream> {
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
