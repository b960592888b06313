//! What every request passes before its endpoint: it gets its id, then come size limits, authentication, and where
//! browsers call whose page sent it. The body is not touched before, so that nobody without credentials can make us
//! hold one.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use actix_web::{
    Error, HttpMessage,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{ConnectionType, header::AUTHORIZATION},
    middleware::Next,
    web::Data,
};
use prometheus_client::metrics::counter::Counter;
use slog::{Discard, Logger, debug, o};
use switcher_actors::{Shown, Source, seconds};

use super::{
    answer::{ApiError, unauthorized},
    connections::Tracked,
    origin::is_foreign,
    request_id::{self, RequestIds},
    requests::{Endpoint, ErrNo, Requests},
    terms::{InForce, Terms},
};

/// A name of 200 bytes, all escaped, takes 600.
const TARGET_LIMIT: usize = 8 * 1024;

/// Room for the longest credentials that anybody has, not for a flood.
const HEADERS_LIMIT: usize = 64 * 1024;

/// As much of a path is logged.
const PATH_SHOWN: usize = 200;

/// What the guard needs. One is shared by all workers.
pub struct Guard {
    in_force: InForce,
    ids: RequestIds,
    /// Refused logins since they were last asked for, and whose the last one was.
    refusals: Mutex<(u64, Option<Source>)>,
    /// Paths for which nobody needs credentials.
    open: &'static [&'static str],
    /// Paths of the figures.
    scraped: &'static [&'static str],
    refused: Counter,
    /// Where requests are counted, if they are.
    requests: Option<Requests>,
    /// For who is debugging: each request.
    log: Logger,
    /// Whether browsers call, so that pages of other sites could have them call.
    browsers: bool,
}

impl Guard {
    /// Lets in whom the terms admit, and counts `requests`.
    pub fn counting(in_force: InForce, requests: Requests) -> Self {
        Self { requests: Some(requests), ..Self::with_open_paths(in_force, &[]) }
    }

    /// Lets in whom the terms admit, and everybody to the paths in `open`.
    pub fn with_open_paths(in_force: InForce, open: &'static [&'static str]) -> Self {
        Self {
            in_force,
            ids: RequestIds::new(),
            refusals: Mutex::default(),
            open,
            scraped: &[],
            refused: Counter::default(),
            requests: None,
            log: Logger::root(Discard, o!()),
            browsers: false,
        }
    }

    /// Lets in who may look at the figures alone, too, but to the paths in `scraped` alone.
    pub fn with_scraped_paths(self, scraped: &'static [&'static str]) -> Self {
        Self { scraped, ..self }
    }

    /// Adds up in `refused` whom it refuses.
    pub fn counting_refusals(self, refused: Counter) -> Self {
        Self { refused, ..self }
    }

    /// Lets in no request of a page of another site that could change something. Requests to the API's endpoints
    /// are counted in `requests`.
    pub fn for_browsers(self, requests: Requests) -> Self {
        Self { browsers: true, requests: Some(requests), ..self }
    }

    /// The same, with a place to log to.
    pub fn logging(self, log: &Logger) -> Self {
        Self { log: log.clone(), ..self }
    }

    /// How many logins were refused since the last call, and whose was the last. They are counted, not
    /// logged one by one: anybody can send them.
    pub fn take_refusals(&self) -> Option<(u64, Source)> {
        let (count, last) = mem::take(&mut *self.refusals());
        last.map(|last| (count, last))
    }

    fn note_refusal(&self, source: Source) {
        self.refused.inc();
        let mut refusals = self.refusals();
        refusals.0 += 1;
        refusals.1 = Some(source);
    }

    /// A count is whole whatever happened while it was locked.
    fn refusals(&self) -> MutexGuard<'_, (u64, Option<Source>)> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(&self, request: &ServiceRequest, terms: &Terms) -> Result<Verdict, ApiError> {
        if request.path().len() + request.query_string().len() > TARGET_LIMIT {
            return Err(ApiError::TargetTooLong(TARGET_LIMIT));
        }
        let headers = request.headers();
        let size =
            headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
        if size > HEADERS_LIMIT {
            return Err(ApiError::HeadersTooLarge(HEADERS_LIMIT));
        }
        let credentials = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
        let is_scraper =
            || self.scraped.contains(&request.path()) && terms.scraper.admits(credentials);
        Ok(if terms.gate.admits(credentials) || is_scraper() {
            if self.browsers && is_foreign(request.method(), headers) {
                return Err(ApiError::OtherOrigin);
            }
            Verdict::Admitted
        } else if self.open.contains(&request.path()) {
            Verdict::Stranger
        } else {
            Verdict::Refused
        })
    }

    fn note_answer<B>(&self, response: &ServiceResponse<B>, source: Source, began: Instant) {
        let (request, took) = (response.request(), began.elapsed());
        if let Some(requests) = &self.requests {
            let endpoint = request.app_data::<Endpoint>().copied();
            // Pages are not the API's.
            let counted = endpoint.or_else(|| (!self.browsers).then_some(Endpoint::None));
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

/// Whether a request goes on to its endpoint.
enum Verdict {
    Admitted,
    /// It has no right credentials, and needs none.
    Stranger,
    Refused,
}

/// The middleware.
pub async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let began = Instant::now();
    let tracked = request.conn_data::<Tracked>().cloned();
    if let Some(tracked) = &tracked {
        tracked.request_began();
    }
    let guard = request.app_data::<Data<Guard>>().cloned();
    let source = guard.as_ref().map(|guard| guard.ids.name(&request));
    let verdict = guard.as_ref().map_or(Ok(Verdict::Refused), |guard| {
        let terms = guard.in_force.load();
        let verdict = guard.judge(&request, &terms);
        request.extensions_mut().insert(terms);
        verdict
    });
    let is_stranger = matches!(verdict, Ok(Verdict::Stranger));
    let mut response = match verdict {
        Ok(Verdict::Admitted | Verdict::Stranger) => {
            next.call(request).await.map(ServiceResponse::map_into_left_body)?
        }
        Ok(Verdict::Refused) => {
            if let (Some(guard), Some(source)) = (&guard, source) {
                guard.note_refusal(source);
            }
            request.into_response(unauthorized()).map_into_right_body()
        }
        Err(error) => request.error_response(error).map_into_right_body(),
    };
    if let (Some(guard), Some(source)) = (&guard, source) {
        guard.note_answer(&response, source, began);
        request_id::mark(response.headers_mut(), source);
    }
    // Its body may not have been read: nobody shall keep us reading what we have refused. And no stranger shall
    // keep a connection.
    let closes = response.status().is_client_error() || is_stranger;
    if closes {
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    if let Some(tracked) = &tracked {
        tracked.request_ended(closes);
    }
    Ok(response)
}
