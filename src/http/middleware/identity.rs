//! The user of a request: of its credentials, of its session, or of a sign-in.

use std::sync::Arc;

use actix_web::{dev::ServiceRequest, http::header::AUTHORIZATION};
use switcher_actors::{Origin, Source};

use super::{Middleware, Refusal};
use crate::{
    http::{
        access::{Actor, Means},
        basic_auth::{BasicCredentials, bearer_token, is_attempt},
        error::RequestError,
        live_config::RequestConfig,
        waiting::Verdict,
    },
    users::{Check, Roles, Secret, User, Users},
};

/// The user of a request, as far as a fast comparison can decide.
pub(super) enum Identity {
    Known(Actor),
    /// Not a login attempt.
    None,
    Wrong,
    Unclear(BasicCredentials),
}

impl Middleware {
    /// The user of a request: of the credentials in its `Authorization` header, or of its session.
    pub(super) fn identify(&self, request: &ServiceRequest, config: &RequestConfig) -> Identity {
        match authorization(request) {
            Some(header) => identify(&config.users, header),
            None => self.user_of_session(request, config).map_or(Identity::None, Identity::Known),
        }
    }

    /// The user of a name and a password, after a slow comparison.
    pub(super) async fn compare(
        &self,
        config: &RequestConfig,
        sent: BasicCredentials,
        origin: &Origin,
    ) -> Result<Arc<User>, Refusal> {
        match self.logins.compare(&config.users, sent, origin).await? {
            // A reload may have removed the user while the login waited, or changed the roles.
            Verdict::Right(user) => {
                let now = self.live_config.load();
                now.users.with_same_secret(&user).ok_or(Refusal::NoCredentials)
            }
            Verdict::Wrong(answer, noted) => Err(Refusal::WrongCredentials(Some((answer, noted)))),
        }
    }

    pub(super) fn may_scrape(&self, request: &ServiceRequest, config: &RequestConfig) -> bool {
        self.paths.metrics.contains(&request.path())
            && config.metrics_auth.admits(authorization(request))
    }

    /// The user of the session in a browser's cookie.
    fn user_of_session(&self, request: &ServiceRequest, config: &RequestConfig) -> Option<Actor> {
        let sessions = self.live_config.sessions();
        let mut keys = self.browsers.as_ref()?.cookie.presented(request.headers());
        keys.find_map(|key| {
            let user = sessions.user(key, &config.users)?;
            Some(Actor { user, means: Means::Session(key) })
        })
    }
}

/// Compares the name and the password of a sign-in. The middleware adds it to requests for [`SpecialPaths::sign_in`].
#[derive(Clone)]
pub struct SignIn(pub(super) Arc<Middleware>);

impl SignIn {
    /// The user with this name and this password or token. A wrong one is a failed login like any other: `None` is
    /// delayed like a 401.
    pub async fn user(
        &self,
        config: &RequestConfig,
        (name, password): (&str, &str),
        source: &Source,
    ) -> Result<Option<Arc<User>>, RequestError> {
        let Self(middleware) = self;
        let found = match config.users.check(name.as_bytes(), password.as_bytes()) {
            Check::Known(user) => Ok(user),
            Check::Wrong => Err(Refusal::WrongCredentials(None)),
            Check::Unclear => {
                middleware.compare(config, BasicCredentials::of(name, password), source).await
            }
        };
        match found {
            Ok(user) => Ok(Some(user)),
            Err(Refusal::Error(error)) => Err(error),
            Err(Refusal::NoCredentials) => Ok(None),
            Err(Refusal::WrongCredentials(noted)) => {
                middleware.refuse_login(noted, source).await.map(|()| None)
            }
        }
    }
}

/// Identifies the user of the credentials in an `Authorization` header.
fn identify(users: &Users, header: &[u8]) -> Identity {
    if !is_attempt(Some(header)) {
        return Identity::None;
    }
    if let Some(token) = bearer_token(header) {
        let known = |user| Identity::Known(Actor { user, means: Means::Token });
        return users.of_token(token).map_or(Identity::Wrong, known);
    }
    let Some(sent) = BasicCredentials::parse(header) else { return Identity::Wrong };
    match users.check(sent.user(), sent.password()) {
        Check::Known(user) => Identity::Known(Actor { user, means: Means::Basic }),
        Check::Wrong => Identity::Wrong,
        Check::Unclear => Identity::Unclear(sent),
    }
}

fn authorization(request: &ServiceRequest) -> Option<&[u8]> {
    request.headers().get(AUTHORIZATION).map(|value| value.as_bytes())
}

/// The user of `MetricsUser`.
pub(super) fn scraper() -> Actor {
    let user =
        User { name: "metrics".into(), secret: Secret::of_password(""), roles: Roles::default() };
    Actor { user: Arc::new(user), means: Means::Metrics }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;
    use prometheus_client::registry::Registry;
    use slog::{Discard, Logger, o};
    use switcher_actors::{RequestId, SourceKind};

    use super::*;
    use crate::{
        http::{
            live_config::{LiveConfig, tests::settings},
            logins::Logins,
        },
        users::Role,
    };

    fn wang(password: &str, role: Role) -> User {
        let hash = bcrypt::hash_with_salt(password, 8, *b"salt of the test").unwrap().to_string();
        let secret = Secret::of_hash(&hash).unwrap();
        User { name: "wang".into(), secret, roles: Roles::from_iter([role]) }
    }

    /// The roles of a right login of `wang` as switcher, after a reload that it waits through.
    async fn after_reload(users: Vec<User>) -> Option<Roles> {
        let config = || settings("btc", 1);
        let live = LiveConfig::new(config(), vec![wang("secret", Role::Switcher)]);
        let logins = Logins::new(&mut Registry::default()).of_listener("api", 100);
        let log = Logger::root(Discard, o!());
        let middleware = Middleware::new(live.clone(), logins, |_, _, _| {}, &log);
        let (begun, origin) = (live.load(), Origin::of(SourceKind::Api, RequestId::default()));
        let sent = BasicCredentials::of("wang", "secret");
        let mut login = pin!(middleware.compare(&begun, sent, &origin));
        assert!((&mut login).now_or_never().is_none(), "it waits for its comparison");
        live.replace(config(), users);
        match login.await {
            Ok(user) => Some(user.roles),
            Err(Refusal::NoCredentials) => None,
            Err(_) => panic!("the password is right"),
        }
    }

    #[tokio::test]
    async fn a_login_that_waits_has_the_rights_of_the_reload_that_overtakes_it() {
        let roles = |role| Some(Roles::from_iter([role]));
        let same = after_reload(vec![wang("secret", Role::Switcher)]).await;
        assert_eq!(same, roles(Role::Switcher));
        let fewer = after_reload(vec![wang("secret", Role::Viewer)]).await;
        assert_eq!(fewer, roles(Role::Viewer));
        assert_eq!(after_reload(vec![wang("another", Role::Switcher)]).await, None);
        assert_eq!(after_reload(Vec::new()).await, None);
    }
}
