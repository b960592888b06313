//! What every request passes before its endpoint: size limits, then authentication. The body is not
//! touched before, so that nobody without credentials can make us hold one.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use actix_web::{
    Error, ResponseError,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{ConnectionType, header::AUTHORIZATION},
    middleware::Next,
    web::Data,
};
use slog::{Logger, warn};

use super::{
    answer::{ApiError, unauthorized},
    auth::Gate,
    connections::Tracked,
};

/// A name of 200 bytes, all escaped, takes 600.
const TARGET_LIMIT: usize = 8 * 1024;

/// Room for the longest credentials that anybody has, not for a flood.
const HEADERS_LIMIT: usize = 64 * 1024;

/// Refused logins are told of once in so long, with their number.
const REFUSAL_LOG_PAUSE: Duration = Duration::from_secs(1);

/// What the guard needs. One is shared by all workers.
pub struct Guard {
    gate: Gate,
    log: Logger,
    started: Instant,
    /// Refused logins since the last line about them.
    refused: AtomicU64,
    /// When that line was, in milliseconds since the start.
    told_at: AtomicU64,
}

impl Guard {
    /// Lets in whom `gate` admits.
    pub fn new(gate: Gate, log: &Logger) -> Self {
        let (refused, told_at) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { gate, log: log.clone(), started: Instant::now(), refused, told_at }
    }

    fn judge(&self, request: &ServiceRequest) -> Result<bool, ApiError> {
        if request.path().len() + request.query_string().len() > TARGET_LIMIT {
            return Err(ApiError::TargetTooLong(TARGET_LIMIT));
        }
        let headers = request.headers();
        let size =
            headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
        if size > HEADERS_LIMIT {
            return Err(ApiError::HeadersTooLarge(HEADERS_LIMIT));
        }
        Ok(self.gate.admits(headers.get(AUTHORIZATION).map(|value| value.as_bytes())))
    }

    fn note_refusal(&self, request: &ServiceRequest) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let told_at = self.told_at.load(Ordering::Relaxed);
        let pause = u64::try_from(REFUSAL_LOG_PAUSE.as_millis()).unwrap_or(u64::MAX);
        let due = told_at == 0 || now.saturating_sub(told_at) >= pause;
        let mine = || {
            let order = Ordering::Relaxed;
            self.told_at.compare_exchange(told_at, now.max(1), order, order).is_ok()
        };
        if due && mine() {
            let peer = request
                .peer_addr()
                .map(|peer| peer.ip().to_canonical().to_string())
                .unwrap_or_default();
            warn!(self.log, "missing or wrong credentials"; "source" => format!("api {peer}"),
                "requests_refused" => self.refused.swap(0, Ordering::Relaxed));
        }
    }
}

/// The middleware.
pub async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let tracked = request.conn_data::<Tracked>().cloned();
    if let Some(tracked) = &tracked {
        tracked.request_began();
    }
    let guard = request.app_data::<Data<Guard>>().cloned();
    let verdict = guard.as_ref().map_or(Ok(false), |guard| guard.judge(&request));
    let mut response = match verdict {
        Ok(true) => next.call(request).await.map(ServiceResponse::map_into_left_body)?,
        Ok(false) => {
            if let Some(guard) = &guard {
                guard.note_refusal(&request);
            }
            request.into_response(unauthorized()).map_into_right_body()
        }
        Err(error) => request.into_response(error.error_response()).map_into_right_body(),
    };
    // Its body may not have been read: nobody shall keep us reading what we have refused.
    let refused = response.status().is_client_error();
    if refused {
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    if let Some(tracked) = &tracked {
        tracked.request_ended(refused);
    }
    Ok(response)
}
