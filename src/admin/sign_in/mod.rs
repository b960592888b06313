//! Sign-in to the console: `/login` and `/logout` (trust contract, section 3).
//!
//! A browser sends name and password once and gets the cookie of a session (`http::sessions`). Programs need none of
//! this: they send a password or a token with each request.
//!
//! * `page`: the page, without a script;
//! * `error`: refusals, for browsers and for programs.

mod error;
mod page;

use std::{sync::Arc, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse,
    guard::GuardContext,
    http::{
        Method,
        header::{CONTENT_TYPE, SET_COOKIE},
    },
    web::{Bytes, Data, Payload, ReqData},
};
use slog::info;
use switcher_actors::{Origin, Source, SourceKind};

use super::Admin;
use crate::{
    api::{Parameters, media_type},
    http::{
        LoadedConfig, RequestConfig, SessionKey, SignIn,
        body::{self, BodyLimits},
        error::RequestError,
        is_secure, proves_own_site, see_other, source,
    },
    users::User,
};
use error::SignInError;

pub use page::{page, style};

/// Path of the page.
pub const PATH: &str = "/login";

/// Paths that are unknown without `UsersFile`.
pub const PATHS: [&str; 3] = [PATH, "/logout", "/login.css"];

/// Limits of a form: names and passwords are short, and a client without credentials sends it.
const FORM_LIMITS: BodyLimits = BodyLimits { size: 4096, time: Duration::from_secs(5) };

/// Whether users sign in: only then does the middleware add its part to the request.
pub fn is_on(context: &GuardContext<'_>) -> bool {
    context.req_data().contains::<SignIn>()
}

/// `POST /login`
pub async fn login(
    request: HttpRequest,
    payload: Payload,
    LoadedConfig(config): LoadedConfig,
    admin: Data<Admin>,
    sign_in: ReqData<SignIn>,
) -> HttpResponse {
    let answer = signed_in(&request, payload, &config, &admin, &sign_in).await;
    answer.unwrap_or_else(|error| error.answer(&request))
}

async fn signed_in(
    request: &HttpRequest,
    payload: Payload,
    config: &RequestConfig,
    admin: &Admin,
    sign_in: &SignIn,
) -> Result<HttpResponse, SignInError> {
    let form = read_form(request, payload).await?;
    let mut parameters = Parameters::new(["name", "password"]);
    parameters.add_urlencoded(&form);
    let source = source(request);
    let [name, password] = parameters.first();
    let user = sign_in.user(config, (name, password), &source).await?;
    let user = user.ok_or(SignInError::Wrong)?;
    let sessions = admin.live_config.sessions();
    let signed_in = of_user(&source, &user);
    let id = sessions.begin(Arc::clone(&user))?;
    // A reload ends the sessions that it finds. One that began later has to look by itself.
    if !admin.live_config.load().users.still_has(&user) {
        sessions.end(SessionKey::of(id.as_bytes()));
        return Err(SignInError::Wrong);
    }
    info!(admin.log, "signed in"; signed_in);
    // A new id each time: a page that planted its own session in the browser must not share this one.
    admin.cookie.presented(request.headers()).for_each(|key| drop(sessions.end(key)));
    let cookie = admin.cookie.set(&id, is_secure(request, &config.trusted_proxies));
    Ok(with_cookie(see_other("/"), &cookie))
}

/// `POST /logout`
pub async fn logout(
    request: HttpRequest,
    payload: Payload,
    LoadedConfig(config): LoadedConfig,
    admin: Data<Admin>,
) -> HttpResponse {
    let answer = signed_out(&request, payload, &config, &admin).await;
    answer.unwrap_or_else(|error| error.answer(&request))
}

async fn signed_out(
    request: &HttpRequest,
    payload: Payload,
    config: &RequestConfig,
    admin: &Admin,
) -> Result<HttpResponse, SignInError> {
    let (headers, sessions) = (request.headers(), admin.live_config.sessions());
    let mut presented = admin.cookie.presented(headers).peekable();
    // Like any other change by a cookie.
    if presented.peek().is_some() && !proves_own_site(headers) {
        return Err(RequestError::SiteNotProven.into());
    }
    read_form(request, payload).await?;
    for user in presented.filter_map(|key| sessions.end(key)) {
        info!(admin.log, "signed out"; of_user(&source(request), &user));
    }
    let cookie = admin.cookie.remove(is_secure(request, &config.trusted_proxies));
    Ok(with_cookie(see_other(PATH), &cookie))
}

/// The source of a request of `user`, for the log: a sign-in has no user yet, and a sign-out has lost it.
fn of_user(source: &Source, user: &User) -> Source {
    let (kind, actor) = (SourceKind::Console, Some(Arc::clone(&user.name)));
    Source::new(Origin { kind, actor, ..Origin::clone(source) })
}

/// Any method but those of the page.
pub async fn login_not_allowed() -> Result<HttpResponse, RequestError> {
    Err(RequestError::MethodNotAllowed(&[Method::GET, Method::HEAD, Method::POST]))
}

/// Any method but POST.
pub async fn logout_not_allowed() -> Result<HttpResponse, RequestError> {
    Err(RequestError::MethodNotAllowed(&[Method::POST]))
}

/// Reads an urlencoded form.
async fn read_form(request: &HttpRequest, payload: Payload) -> Result<Bytes, SignInError> {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    if content_type.map(media_type).as_deref() != Some("application/x-www-form-urlencoded") {
        return Err(SignInError::NoForm);
    }
    body::read(request, payload, FORM_LIMITS).await.map_err(|error| match error {
        RequestError::BodyTooLarge(most) => SignInError::TooLarge(most),
        error => error.into(),
    })
}

fn with_cookie(mut response: HttpResponse, cookie: &str) -> HttpResponse {
    if let Ok(value) = cookie.parse() {
        response.headers_mut().insert(SET_COOKIE, value);
    }
    response
}
