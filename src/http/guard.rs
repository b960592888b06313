//! What every request passes before its endpoint: size limits, then authentication, and where browsers call
//! whose page sent it. The body is not touched before, so that nobody without credentials can make us hold one.

use std::{
    mem,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{ConnectionType, header::AUTHORIZATION},
    middleware::Next,
    web::Data,
};

use switcher_actors::Source;

use super::{
    answer::{ApiError, unauthorized},
    auth::Gate,
    connections::Tracked,
    origin::is_foreign,
    requests::{Endpoint, ErrNo, Requests},
};

/// A name of 200 bytes, all escaped, takes 600.
const TARGET_LIMIT: usize = 8 * 1024;

/// Room for the longest credentials that anybody has, not for a flood.
const HEADERS_LIMIT: usize = 64 * 1024;

/// What the guard needs. One is shared by all workers.
pub struct Guard {
    gate: Gate,
    /// Refused logins since they were last asked for, and the address of the last one.
    refusals: Mutex<(u64, Option<IpAddr>)>,
    /// Paths for which nobody needs credentials.
    open: &'static [&'static str],
    /// Where requests are counted, if they are.
    requests: Option<Requests>,
    /// Whether browsers call, so that pages of other sites could have them call.
    browsers: bool,
}

impl Guard {
    /// Lets in whom `gate` admits, and counts `requests`.
    pub fn counting(gate: Gate, requests: Requests) -> Self {
        let requests = Some(requests);
        Self { gate, refusals: Mutex::default(), open: &[], requests, browsers: false }
    }

    /// Lets in whom `gate` admits, and everybody to the paths in `open`; but no request of a page of another site
    /// that could change something. Those to the API's endpoints are counted in `requests`.
    pub fn for_browsers(gate: Gate, open: &'static [&'static str], requests: Requests) -> Self {
        let requests = Some(requests);
        Self { gate, refusals: Mutex::default(), open, requests, browsers: true }
    }

    /// How many logins were refused since the last call, and whose was the last. They are counted, not
    /// logged one by one: anybody can send them.
    pub fn take_refusals(&self) -> Option<(u64, Source)> {
        let (count, last) = mem::take(&mut *self.refusals());
        (count > 0).then_some((count, Source::Api(last)))
    }

    fn note_refusal(&self, request: &ServiceRequest) {
        let mut refusals = self.refusals();
        refusals.0 += 1;
        refusals.1 = request.peer_addr().map(|peer| peer.ip().to_canonical());
    }

    /// A count is whole whatever happened while it was locked.
    fn refusals(&self) -> MutexGuard<'_, (u64, Option<IpAddr>)> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(&self, request: &ServiceRequest) -> Result<Verdict, ApiError> {
        if request.path().len() + request.query_string().len() > TARGET_LIMIT {
            return Err(ApiError::TargetTooLong(TARGET_LIMIT));
        }
        let headers = request.headers();
        let size =
            headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
        if size > HEADERS_LIMIT {
            return Err(ApiError::HeadersTooLarge(HEADERS_LIMIT));
        }
        Ok(if self.gate.admits(headers.get(AUTHORIZATION).map(|value| value.as_bytes())) {
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

    fn count<B>(&self, response: &ServiceResponse<B>, began: Instant) {
        if let Some(requests) = &self.requests {
            let endpoint = response.request().app_data::<Endpoint>().copied();
            if endpoint.is_none() && self.browsers {
                // Pages are not the API's.
                return;
            }
            let endpoint = endpoint.unwrap_or(Endpoint::None);
            requests.answered(endpoint, err_no(response), began.elapsed());
        }
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
    let verdict = guard.as_ref().map_or(Ok(Verdict::Refused), |guard| guard.judge(&request));
    let is_stranger = matches!(verdict, Ok(Verdict::Stranger));
    let mut response = match verdict {
        Ok(Verdict::Admitted | Verdict::Stranger) => {
            next.call(request).await.map(ServiceResponse::map_into_left_body)?
        }
        Ok(Verdict::Refused) => {
            if let Some(guard) = &guard {
                guard.note_refusal(&request);
            }
            request.into_response(unauthorized()).map_into_right_body()
        }
        Err(error) => request.error_response(error).map_into_right_body(),
    };
    if let Some(guard) = &guard {
        guard.count(&response, began);
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
