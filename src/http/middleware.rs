//! Checks of every request before its endpoint: an id, the connection's verdict, the host (at a listener for browsers),
//! authentication, and the site of the page that sent it. The body is not touched before, so that no client without
//! credentials can make us hold one.

use std::{
    mem,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use actix_web::{
    Error, HttpMessage,
    body::{BodySize, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{ConnectionType, Version, header::AUTHORIZATION},
    middleware::Next,
    web::Data,
};
use prometheus_client::metrics::counter::Counter;
use slog::{Discard, Logger, debug, o};
use switcher_actors::{Shown, Source, seconds};

use super::{
    basic_auth::is_attempt,
    connections::{Answered, Answering, ConnectionHandle},
    csrf::{is_foreign, opens_a_page},
    hosts::{LocalIp, Ours},
    live_config::{LiveConfig, RequestConfig},
    logins::FailedLogins,
    request_id::{self, RequestIds},
};
use crate::{
    api::{
        answer::{ApiError, unauthorized},
        request_metrics::{Endpoint, ErrNo, Requests},
    },
    config::Host,
};

/// As much of a path is logged.
const PATH_SHOWN: usize = 200;

/// What the guard needs. One is shared by all workers.
pub struct Middleware {
    in_force: LiveConfig,
    ids: RequestIds,
    logins: FailedLogins,
    /// Paths for which nobody needs credentials.
    open: &'static [&'static str],
    /// Paths of the figures.
    scraped: &'static [&'static str],
    /// Failed logins, under a metric of this listener's own.
    failed: Counter,
    /// Where requests are counted, if they are.
    requests: Option<Requests>,
    /// For who is debugging: each request.
    log: Logger,
    /// Rules of a listener for browsers; `None` for programs.
    browsers: Option<Browsers>,
}

/// The rules of a listener that people open in a browser.
struct Browsers {
    /// The host of its configured address.
    own: Option<Host>,
    /// Pages that write nothing and cannot be framed, so that a link on another site may lead there.
    pages: &'static [&'static str],
    /// Requests that were refused for their host since the last call, and the last host.
    refused: Mutex<Option<(u64, String)>>,
}

impl Middleware {
    /// Accepts the credentials of the terms in force.
    pub fn new(in_force: LiveConfig, logins: FailedLogins) -> Self {
        Self {
            in_force,
            ids: RequestIds::new(),
            logins,
            open: &[],
            scraped: &[],
            failed: Counter::default(),
            requests: None,
            log: Logger::root(Discard, o!()),
            browsers: None,
        }
    }

    /// Counts `requests`: all of a listener for programs, those of the API's endpoints at a listener for browsers.
    pub fn counting(self, requests: Requests) -> Self {
        Self { requests: Some(requests), ..self }
    }

    /// Accepts each request for the paths in `open`, with any credentials or none.
    pub fn with_open_paths(self, open: &'static [&'static str]) -> Self {
        Self { open, ..self }
    }

    /// Lets in who may look at the figures alone, too, but to the paths in `scraped` alone.
    pub fn with_scraped_paths(self, scraped: &'static [&'static str]) -> Self {
        Self { scraped, ..self }
    }

    /// Counts failed logins in `failed`, too.
    pub fn counting_failed_logins(self, failed: Counter) -> Self {
        Self { failed, ..self }
    }

    /// Answers only under the hosts of this listener, whose configured address is `listen`. Links on other sites may
    /// lead to `pages`.
    pub fn for_browsers(self, listen: &str, pages: &'static [&'static str]) -> Self {
        let browsers = Browsers { own: Host::parse(listen), pages, refused: Mutex::default() };
        Self { browsers: Some(browsers), ..self }
    }

    /// The same, with a place to log to.
    pub fn logging(self, log: &Logger) -> Self {
        Self { log: log.clone(), ..self }
    }

    /// The failed logins of this listener.
    pub fn logins(&self) -> &FailedLogins {
        &self.logins
    }

    /// How many requests were refused for their host since the last call, and the last host.
    pub fn take_refused_hosts(&self) -> Option<(u64, String)> {
        let refused = &self.browsers.as_ref()?.refused;
        mem::take(&mut *refused.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn judge(&self, request: &ServiceRequest, terms: &RequestConfig) -> Result<Verdict, ApiError> {
        let headers = request.headers();
        if self.open.contains(&request.path()) {
            return Ok(Verdict::Open);
        }
        // Before the credentials: no browser shall ask a person for them under another name.
        if let Some(browsers) = &self.browsers {
            browsers.check_host(request, terms)?;
        }
        let credentials = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
        let is_scraper =
            || self.scraped.contains(&request.path()) && terms.scraper.admits(credentials);
        if !terms.gate.admits(credentials) && !is_scraper() {
            let is_failure = is_attempt(credentials);
            return Ok(if is_failure { Verdict::Failed } else { Verdict::Stranger });
        }
        let is_page = |browsers: &Browsers| {
            browsers.pages.contains(&request.path()) && opens_a_page(request.method(), headers)
        };
        if is_foreign(headers) && !self.browsers.as_ref().is_some_and(is_page) {
            return Err(ApiError::OtherOrigin);
        }
        Ok(Verdict::Admitted)
    }

    /// Waits for as long as the answer to a failed login is held back. The error is the answer instead of 401.
    async fn failed_login(&self, source: Source) -> Result<(), ApiError> {
        self.failed.inc();
        self.logins.answer(source).await
    }

    fn note_answer<B>(&self, response: &ServiceResponse<B>, source: Source, began: Instant) {
        let (request, took) = (response.request(), began.elapsed());
        if let Some(requests) = &self.requests {
            let endpoint = request.app_data::<Endpoint>().copied();
            // Pages are not the API's.
            let counted = endpoint.or_else(|| self.browsers.is_none().then_some(Endpoint::None));
            if let Some(endpoint) = counted {
                requests.answered(endpoint, err_no(response), took);
            }
        }
        let path = request.path().get(..PATH_SHOWN).unwrap_or(request.path());
        debug!(self.log, "request"; source, "method" => request.method().as_str(),
            "path" => %Shown(path), "status" => response.status().as_u16(),
            "seconds" => seconds(took));
    }
}

/// What an answer of the API says, of which only few things are told apart.
fn err_no<B>(response: &ServiceResponse<B>) -> u16 {
    let response = response.response();
    if let Some(ErrNo(err_no)) = response.extensions().get() {
        return *err_no;
    }
    match response.error().and_then(|error| error.as_error::<ApiError>()) {
        Some(error) => error.number(),
        None if response.status().is_success() => 0,
        None => response.status().as_u16(),
    }
}

impl Browsers {
    fn check_host(&self, request: &ServiceRequest, terms: &RequestConfig) -> Result<(), ApiError> {
        let local = request.conn_data::<LocalIp>().copied();
        let ours = Ours { own: self.own.as_ref(), listed: &terms.admin_hosts, local };
        let Some(host) = ours.foreign(request.uri(), request.headers()) else {
            return Ok(());
        };
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let count = refused.take().map_or(0, |(count, _)| count);
        *refused = Some((count + 1, host.clone()));
        Err(ApiError::OtherHost(host))
    }
}

/// Whether a request goes on to its endpoint.
enum Verdict {
    Admitted,
    /// It needs no credentials.
    Open,
    /// It has no credentials.
    Stranger,
    /// It has wrong ones.
    Failed,
}

/// The middleware.
pub async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<Answered>, Error> {
    let mut began = Instant::now();
    let mut answering = request.conn_data::<ConnectionHandle>().map(ConnectionHandle::answering);
    let refusal = request.conn_data::<ConnectionHandle>().and_then(ConnectionHandle::take_refusal);
    let guard = request.app_data::<Data<Middleware>>().cloned();
    let source = guard.as_ref().map(|guard| guard.ids.name(&request));
    let verdict = guard.as_ref().map_or(Ok(Verdict::Stranger), |guard| {
        let terms = guard.in_force.load();
        let verdict = match refusal {
            Some(error) => Err(error),
            None => guard.judge(&request, &terms),
        };
        request.extensions_mut().insert(terms);
        verdict
    });
    let is_open = matches!(verdict, Ok(Verdict::Open));
    let mut response = match verdict {
        Ok(Verdict::Admitted | Verdict::Open) => {
            next.call(request).await.map(ServiceResponse::map_into_left_body)?
        }
        Ok(Verdict::Stranger) => request.into_response(unauthorized()).map_into_right_body(),
        Ok(Verdict::Failed) => {
            let answer = match (&guard, source) {
                (Some(guard), Some(source)) => {
                    let held_since = Instant::now();
                    let answer = guard.failed_login(source).await;
                    // A guesser must not move the figures of how long requests take.
                    began += held_since.elapsed();
                    answer
                }
                _ => Ok(()),
            };
            match answer {
                Ok(()) => request.into_response(unauthorized()).map_into_right_body(),
                Err(error) => request.error_response(error).map_into_right_body(),
            }
        }
        Err(error) => request.error_response(error).map_into_right_body(),
    };
    if let (Some(guard), Some(source)) = (&guard, source) {
        guard.note_answer(&response, source, began);
        request_id::mark(response.headers_mut(), source);
    }
    // Behind an unread body there is no next request to find, and a client without credentials keeps no connection.
    let is_unframed = is_unframed(&response);
    let head = response.response_mut().head_mut();
    head.no_chunking(is_unframed);
    // The library reuses heads with their version, on which its default depends. It sets the right one later.
    head.version = Version::HTTP_11;
    let closes = head.status.is_client_error()
        || is_open
        || is_unframed
        || head.connection_type() == ConnectionType::Close
        || answering.as_ref().is_some_and(Answering::must_close);
    if closes {
        head.set_connection_type(ConnectionType::Close);
        answering.iter_mut().for_each(Answering::close);
    }
    Ok(response.map_body(|_, body| Answered::new(body.boxed(), answering)))
}

/// Whether only the connection's end can end the answer: HTTP/1.0 knows no chunks (RFC 9112, section 7.1).
fn is_unframed<B: MessageBody>(response: &ServiceResponse<B>) -> bool {
    response.request().version() == Version::HTTP_10
        && response.response().body().size() == BodySize::Stream
}
