//! Access to a route: the user of a request, and the role that its route needs (trust contract, section 3).
//!
//! The middleware identifies the user before the path matters. Each route of a listener is wrapped in [`require`], so no
//! handler runs for a user without the role that the route's table states.

use std::{
    future::{Ready, ready},
    sync::Arc,
};

use actix_web::{
    Error, FromRequest, HttpMessage, HttpRequest, HttpResponse,
    body::BoxBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::StatusCode,
    middleware::Next,
};
use thiserror::Error;

use super::{
    error::{RequestError, refusal},
    sessions::SessionKey,
};
use crate::users::{Role, Roles, User};

/// Users that may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everyone: the middleware needs no credentials there, or the route has its own rules.
    Everyone,
    /// Every user.
    AnyUser,
    /// Viewers, and the user of `MetricsUser`.
    Metrics,
    /// Users with that role.
    Role(Role),
    /// Viewers. The handler asks for that role ([`Actor::may`]) unless the request is a dry run.
    DryRunOr(Role),
}

/// The user of a request: an extractor for handlers.
#[derive(Clone, Debug)]
pub struct Actor {
    pub user: Arc<User>,
    pub means: Means,
}

/// The user of a request, as the middleware found it. Only [`require`] makes it an [`Actor`]: the handler of a route
/// without it finds none and does not run.
pub struct Identified(pub Actor);

/// Means by which a user was identified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// HTTP Basic authentication, with a password or a token.
    Basic,
    /// `Authorization: Bearer`.
    Token,
    /// The cookie of a session of the console.
    Session(SessionKey),
    /// Credentials of `MetricsUser`, which only the metrics accept.
    Metrics,
}

impl Means {
    /// Name in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Token => "token",
            Self::Session(_) => "session",
            Self::Metrics => "metrics",
        }
    }
}

/// A user without the role for a request. The text is the answer's `err_msg`.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("user '{user}' may not {} (role {role})", .role.activity())]
pub struct MissingRole {
    pub user: Arc<str>,
    pub role: Role,
}

impl Actor {
    pub fn name(&self) -> &Arc<str> {
        &self.user.name
    }

    pub fn roles(&self) -> Roles {
        self.user.roles
    }

    /// Refuses a user without `role`.
    pub fn may(&self, role: Role) -> Result<(), MissingRole> {
        match self.means != Means::Metrics && self.roles().include(role) {
            true => Ok(()),
            false => Err(MissingRole { user: Arc::clone(self.name()), role }),
        }
    }
}

impl FromRequest for Actor {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let actor = request.extensions().get::<Self>().cloned();
        // A route for everyone must not have a handler that takes a user.
        ready(actor.ok_or_else(|| RequestError::NoUser.into()))
    }
}

impl Access {
    fn check(self, request: &ServiceRequest) -> Result<(), RequestError> {
        let role = match self {
            Self::Everyone => return Ok(()),
            Self::AnyUser => None,
            Self::Metrics | Self::DryRunOr(_) => Some(Role::Viewer),
            Self::Role(role) => Some(role),
        };
        let identified = request.extensions_mut().remove();
        let Identified(actor) = identified.ok_or(RequestError::NoUser)?;
        let scrapes = self == Self::Metrics && actor.means == Means::Metrics;
        if let Some(role) = role.filter(|_| !scrapes) {
            actor.may(role)?;
        }
        request.extensions_mut().insert(actor);
        Ok(())
    }
}

/// Passes `request` to its route if its user has the `access`; else answers `err_no` 403 with `status`.
pub async fn require(
    (access, status): (Access, StatusCode),
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match access.check(&request) {
        Ok(()) => next.call(request).await,
        Err(error) => Ok(request.into_response(refused(status, error))),
    }
}

fn refused(status: StatusCode, error: RequestError) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    if let RequestError::MissingRole(missing) = &error {
        response.extensions_mut().insert(missing.clone());
    }
    refusal(response, error.err_no(), &error)
}
