//! Checks of every request before its endpoint, in this order: the connection's refusal, open paths, public answers
//! (user lists), the host (at a listener for browsers), the credentials, the site of the page that sent it.
//!
//! The checks do not read the body, so a client without credentials cannot make the daemon buffer a body.

mod identity;

use std::{
    mem,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use actix_web::{
    Error, HttpMessage, HttpRequest, HttpResponse,
    body::{BodySize, BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{ConnectionType, Method, Version},
    middleware::Next,
};
use prometheus_client::metrics::counter::Counter;
use slog::{Logger, debug, warn};
use switcher_actors::{Origin, RequestIds, Shown, Source, clip, seconds};

use self::identity::{Identity, scraper};
use super::{
    access::{Actor, Identified, Means, MissingRole},
    basic_auth::unauthorized,
    connections::{AnswerInProgress, ConnectionHandle, TrackedBody},
    context::Context,
    csrf::{accepts_pages, is_cross_site, is_sent_by_page, opens_a_page, proves_own_site},
    error::{ErrNo, RequestError},
    forwarded::is_secure,
    hosts::OwnHosts,
    live_config::{LiveConfig, RequestConfig},
    logins::{ListenerLogins, lock},
    request_id::{origin, set_header, source_of},
    session_cookie::{SessionCookie, see_other},
    slowdown::AnswerTime,
};
use crate::config::Host;

pub use identity::SignIn;

/// Characters of a path in the log.
const PATH_SHOWN: usize = 200;

/// Treatment of a request that needs no user.
pub enum Public {
    Answer(HttpResponse),
    /// Its endpoint reads the body first.
    Endpoint,
}

/// Decides about requests that need no user; `None` for all others.
type PublicAnswer = Box<dyn Fn(&ServiceRequest, &RequestConfig) -> Option<Public> + Send + Sync>;

/// Counts an answer: its request, its `err_no`, the time from the request's head to the answer.
type CountAnswer = Box<dyn Fn(&HttpRequest, u16, Duration) + Send + Sync>;

/// The checks of one listener; all its workers share them.
pub struct Middleware {
    live_config: LiveConfig,
    ids: RequestIds,
    logins: ListenerLogins,
    count_answer: CountAnswer,
    log: Logger,
    paths: SpecialPaths,
    public: Option<PublicAnswer>,
    /// `None` at a listener for programs.
    browsers: Option<BrowserRules>,
}

/// Paths with rules of their own.
#[derive(Clone, Copy, Default)]
pub struct SpecialPaths {
    /// Admit every request, with any credentials or none.
    pub open: &'static [&'static str],
    /// `MetricsUser` and `MetricsPassword` are accepted, too.
    pub metrics: &'static [&'static str],
    /// Pages that links on other sites may open: they write nothing and cannot be framed.
    pub linked: &'static [&'static str],
    /// For signing in: with a `UsersFile` they need no credentials, but follow the rules for hosts and sites. The first
    /// is the page.
    pub sign_in: &'static [&'static str],
}

/// Rules of a listener that people open in a browser.
struct BrowserRules {
    /// Host of the configured address.
    own: Option<Host>,
    /// Cookie of the console's sessions.
    cookie: SessionCookie,
    /// A second metric of failed logins.
    failed_logins: Counter,
    /// Requests refused for their host since the last report, and the last host.
    refused: Mutex<Option<(u64, String)>>,
}

impl Middleware {
    pub fn new(
        live_config: LiveConfig,
        logins: ListenerLogins,
        count_answer: impl Fn(&HttpRequest, u16, Duration) + Send + Sync + 'static,
        log: &Logger,
    ) -> Self {
        Self {
            live_config,
            ids: RequestIds::random(),
            logins,
            count_answer: Box::new(count_answer),
            log: log.clone(),
            paths: SpecialPaths::default(),
            public: None,
            browsers: None,
        }
    }

    /// Answers only under the hosts of this listener, whose configured address is `listen`, and accepts sessions.
    pub fn for_browsers(
        self,
        listen: &str,
        paths: SpecialPaths,
        cookie: SessionCookie,
        failed_logins: Counter,
    ) -> Self {
        let own = Host::parse(listen);
        let browsers = BrowserRules { own, cookie, failed_logins, refused: Mutex::default() };
        Self { paths, browsers: Some(browsers), ..self }
    }

    /// `answer` decides before all other checks.
    pub fn with_public(
        self,
        answer: impl Fn(&ServiceRequest, &RequestConfig) -> Option<Public> + Send + Sync + 'static,
    ) -> Self {
        Self { public: Some(Box::new(answer)), ..self }
    }

    pub fn logins(&self) -> &ListenerLogins {
        &self.logins
    }

    /// Number of requests refused for their host since the last call, and the last host.
    pub fn take_refused_hosts(&self) -> Option<(u64, String)> {
        mem::take(&mut *lock(&self.browsers.as_ref()?.refused))
    }

    /// Checks `request`, has it answered, and decides whether its connection stays open.
    pub async fn handle(
        self: Arc<Self>,
        request: ServiceRequest,
        next: Next<BoxBody>,
    ) -> Result<ServiceResponse<TrackedBody>, Error> {
        let mut began = Instant::now();
        let connection = request.conn_data::<ConnectionHandle>();
        let answer = connection.map(ConnectionHandle::begin_answer);
        let refusal = connection.and_then(ConnectionHandle::take_refusal);
        let config = self.live_config.load();
        let origin = origin(&self.ids, &request, &config.trusted_proxies);
        let mut verdict = match refusal {
            Some(error) => Err(error.into()),
            None => self.judge(&request, &config, &origin).await,
        };
        let actor = match &mut verdict {
            Ok(Admission::Checked(actor)) => actor.take(),
            _ => None,
        };
        let source = source_of(origin, actor.as_ref(), request.headers());
        request.extensions_mut().insert(Context { config, source: source.clone() });
        if let Some(actor) = actor {
            request.extensions_mut().insert(Identified::new(actor));
        }
        let is_open = matches!(verdict, Ok(Admission::Open));
        let mut response = match verdict {
            Ok(Admission::Checked(_) | Admission::Open) => next.call(request).await?,
            Ok(Admission::Public(response)) => request.into_response(response),
            Err(refusal) => {
                let response = self.refuse(refusal, &source).await;
                // A client that guesses passwords must not raise the request durations.
                began = Instant::now();
                request.into_response(response)
            }
        };
        self.report(&response, &source, began.elapsed());
        set_header(response.headers_mut(), &source);
        Ok(finish(response, is_open, answer))
    }

    async fn judge(
        self: &Arc<Self>,
        request: &ServiceRequest,
        config: &RequestConfig,
        origin: &Origin,
    ) -> Result<Admission, Refusal> {
        if self.paths.open.contains(&request.path()) {
            return Ok(Admission::Open);
        }
        match self.public.as_ref().and_then(|answer| answer(request, config)) {
            Some(Public::Answer(response)) => return Ok(Admission::Public(response)),
            Some(Public::Endpoint) => return Ok(Admission::Checked(None)),
            None => {}
        }
        // Before the credentials: a browser must not ask for them under another name.
        if let Some(browsers) = &self.browsers {
            browsers.check_host(request, config)?;
        }
        let headers = request.headers();
        let opens_linked_page = || {
            self.paths.linked.contains(&request.path()) && opens_a_page(request.method(), headers)
        };
        let is_refused = || {
            is_cross_site(headers, is_secure(request.request(), &config.trusted_proxies))
                && !opens_linked_page()
        };
        if config.has_users_file && self.paths.sign_in.contains(&request.path()) {
            if is_refused() {
                return Err(RequestError::CrossSite.into());
            }
            request.extensions_mut().insert(SignIn(Arc::clone(self)));
            return Ok(Admission::Checked(None));
        }
        let actor = match self.identify(request, config) {
            Identity::Known(actor) => actor,
            _ if self.may_scrape(request, config) => scraper(),
            Identity::Unclear(sent) => {
                let user = self.compare(config, sent, origin).await?;
                Actor { user, means: Means::Basic }
            }
            Identity::Wrong => return Err(Refusal::WrongCredentials(None)),
            Identity::None => return self.without_credentials(request, config),
        };
        if is_refused() {
            return Err(RequestError::CrossSite.into());
        }
        let is_read = [Method::GET, Method::HEAD].contains(request.method());
        if matches!(actor.means, Means::Session(_)) && !is_read && !proves_own_site(headers) {
            return Err(RequestError::SiteNotProven.into());
        }
        Ok(Admission::Checked(Some(actor)))
    }

    /// The answer to a refused request, once it may be sent.
    async fn refuse(&self, refusal: Refusal, source: &Source) -> HttpResponse {
        match refusal {
            Refusal::Error(error) => HttpResponse::from_error(error),
            Refusal::NoCredentials => unauthorized(),
            Refusal::WrongCredentials(noted) => {
                let allowed = self.refuse_login(noted, source).await;
                allowed.map_or_else(HttpResponse::from_error, |()| unauthorized())
            }
        }
    }

    /// Counts a failed login, unless that was `noted` already, and waits until it may be answered 401. An error is the
    /// answer to send instead.
    async fn refuse_login(
        &self,
        noted: Option<(AnswerTime, Instant)>,
        source: &Source,
    ) -> Result<(), RequestError> {
        if let Some(browsers) = &self.browsers {
            browsers.failed_logins.inc();
        }
        match noted {
            Some((answer, noted)) => self.logins.hold_answer(answer, noted).await,
            None => self.logins.delay_answer(source.clone()).await,
        }
    }

    /// With a `UsersFile`, browsers are redirected to the sign-in page. Scripts of a page get no challenge, which would
    /// open the browser's own dialog.
    fn without_credentials(
        &self,
        request: &ServiceRequest,
        config: &RequestConfig,
    ) -> Result<Admission, Refusal> {
        let headers = request.headers();
        let browsers = self.browsers.as_ref().filter(|_| config.has_users_file);
        let Some((browsers, page)) = browsers.zip(self.paths.sign_in.first()) else {
            return Err(Refusal::NoCredentials);
        };
        if *request.method() == Method::GET && accepts_pages(headers) {
            return Ok(Admission::Public(see_other(page)));
        }
        match is_sent_by_page(headers) || browsers.cookie.presented(headers).next().is_some() {
            true => Err(RequestError::SignedOut.into()),
            false => Err(Refusal::NoCredentials),
        }
    }

    fn report(&self, response: &ServiceResponse, source: &Source, took: Duration) {
        let request = response.request();
        (self.count_answer)(request, err_no(response), took);
        let (path, _) = clip(request.path(), PATH_SHOWN);
        if let Some(missing) = response.response().extensions().get::<MissingRole>()
            && self.logins.missing_roles().note(missing, source, path)
        {
            warn!(self.log, "request refused: {}", missing; source, "path" => %Shown(path));
        }
        debug!(self.log, "request"; source, "method" => request.method().as_str(),
            "path" => %Shown(path), "status" => response.status().as_u16(),
            "seconds" => seconds(took));
    }
}

fn err_no(response: &ServiceResponse) -> u16 {
    match response.response().extensions().get() {
        Some(ErrNo(err_no)) => *err_no,
        None if response.status().is_success() => 0,
        None => response.status().as_u16(),
    }
}

impl BrowserRules {
    fn check_host(
        &self,
        request: &ServiceRequest,
        config: &RequestConfig,
    ) -> Result<(), RequestError> {
        let local = request.conn_data().and_then(ConnectionHandle::local_ip);
        let hosts = OwnHosts { own: self.own.as_ref(), listed: &config.admin_hosts, local };
        let Some(host) = hosts.other_host(request.uri(), request.headers()) else {
            return Ok(());
        };
        let mut refused = lock(&self.refused);
        let count = refused.take().map_or(0, |(count, _)| count);
        *refused = Some((count + 1, host.clone()));
        Err(RequestError::OtherHost(host))
    }
}

/// A request that may be answered.
enum Admission {
    /// With its user; `None` where a route has rules of its own.
    Checked(Option<Actor>),
    /// The path needs no credentials.
    Open,
    /// An answer that needs no credentials.
    Public(HttpResponse),
}

/// A request that is refused.
enum Refusal {
    Error(RequestError),
    NoCredentials,
    /// With the time of the answer, and when the failure was noted, if it was.
    WrongCredentials(Option<(AnswerTime, Instant)>),
}

impl From<RequestError> for Refusal {
    fn from(error: RequestError) -> Self {
        Self::Error(error)
    }
}

/// Closes the connection after `response` where another request cannot be found behind this one, or must not follow.
fn finish(
    mut response: ServiceResponse,
    is_open: bool,
    mut answer: Option<AnswerInProgress>,
) -> ServiceResponse<TrackedBody> {
    let is_unframed = is_unframed(&response);
    let head = response.response_mut().head_mut();
    head.no_chunking(is_unframed);
    // The library reuses heads with their version, on which its default depends. It sets the right one later.
    head.version = Version::HTTP_11;
    let closes = head.status.is_client_error()
        || is_open
        || is_unframed
        || head.connection_type() == ConnectionType::Close
        || answer.as_ref().is_some_and(AnswerInProgress::must_close);
    if closes {
        head.set_connection_type(ConnectionType::Close);
        answer.iter_mut().for_each(AnswerInProgress::close);
    }
    response.map_body(|_, body| TrackedBody::new(body, answer))
}

/// Whether only the end of the connection can end the answer: HTTP/1.0 has no chunks (RFC 9112, section 7.1).
fn is_unframed(response: &ServiceResponse) -> bool {
    response.request().version() == Version::HTTP_10
        && response.response().body().size() == BodySize::Stream
}
