//! Access to a route: the user of a request, and the role that its route needs (trust contract, section 3).
//!
//! The middleware identifies the user before the path matters. Each route of a listener is wrapped in [`require`], so no
//! handler runs for a user without the role that the route's table states.

use std::{
    future::{Ready, ready},
    sync::Arc,
};

use actix_web::{
    Error, FromRequest, HttpMessage, HttpRequest, ResponseError,
    dev::{Payload, Service, ServiceRequest, ServiceResponse},
    http::StatusCode,
};
use futures_util::future::Either;
use thiserror::Error;

use super::{error::RequestError, sessions::SessionKey};
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

/// The user of a request, as the middleware found it. Only [`require`] lets a handler have it as its [`Actor`]: at a
/// route without that check, a handler that takes an `Actor` does not run.
pub struct Identified {
    actor: Actor,
    may_use_route: bool,
}

impl Identified {
    pub fn new(actor: Actor) -> Self {
        Self { actor, may_use_route: false }
    }
}

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
#[derive(Clone, Debug, Error, PartialEq, Eq, Hash)]
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
        let extensions = request.extensions();
        let identified = extensions.get::<Identified>().filter(|it| it.may_use_route);
        let actor = identified.map(|it| it.actor.clone());
        // A route for everyone must not have a handler that takes a user.
        ready(actor.ok_or_else(|| RequestError::ChecksSkipped.into()))
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
        let mut extensions = request.extensions_mut();
        let identified = extensions.get_mut::<Identified>().ok_or(RequestError::ChecksSkipped)?;
        let scrapes = self == Self::Metrics && identified.actor.means == Means::Metrics;
        if let Some(role) = role.filter(|_| !scrapes) {
            identified.actor.may(role)?;
        }
        identified.may_use_route = true;
        Ok(())
    }
}

/// Passes `request` to its `route` if its user has the `access`; else answers `err_no` 403 with `status`.
pub fn require<S>(
    (access, status): (Access, StatusCode),
    request: ServiceRequest,
    route: &S,
) -> impl Future<Output = Result<ServiceResponse, Error>> + use<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse, Error = Error>,
{
    let Err(error) = access.check(&request) else { return Either::Left(route.call(request)) };
    let mut response = error.error_response();
    if let RequestError::MissingRole(_) = error {
        *response.status_mut() = status;
    }
    Either::Right(ready(Ok(request.into_response(response))))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::users::Secret;

    #[actix_web::test]
    async fn a_handler_has_a_user_only_behind_the_check_of_its_route() {
        let roles = [Role::Viewer].into_iter().collect();
        let user = User { name: "wang".into(), secret: Secret::of_password(""), roles };
        let request = TestRequest::default().to_srv_request();
        let actor = Actor { user: Arc::new(user), means: Means::Basic };
        request.extensions_mut().insert(Identified::new(actor));
        assert!(Actor::extract(request.request()).await.is_err());
        assert!(Access::Role(Role::Switcher).check(&request).is_err());
        assert!(Actor::extract(request.request()).await.is_err());
        assert_eq!(Access::AnyUser.check(&request), Ok(()));
        assert!(Actor::extract(request.request()).await.is_ok());
    }
}
