//! What every request passes before its endpoint: size limits, then authentication. The body is not
//! touched before, so that nobody without credentials can make us hold one.

use std::{
    mem,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use actix_web::{
    Error, ResponseError,
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
}

impl Guard {
    /// Lets in whom `gate` admits.
    pub fn new(gate: Gate) -> Self {
        Self { gate, refusals: Mutex::default() }
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
