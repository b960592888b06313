//! The daemon's listeners: bound before the actors start, served after.

use actix::{Actor, Addr};
use prometheus_client::registry::Registry;
use slog::{Logger, info, warn};
use switcher_actors::Metrics;

use super::failure::{ADMIN_LISTEN_ADDR, Failure, LISTEN_ADDR, USER_LIST_ADDR};
use crate::{
    admin::{self, Console},
    api::{self, Endpoints, ListApi, RequestMetrics},
    config::{AdminSettings, ApiSettings, ListApiSettings},
    http::{BoundListener, HttpActor, ListenerTls, LiveConfig, Logins},
};

/// Binds the address of the API, if the API is on.
pub fn bind_api(
    settings: Option<ApiSettings>,
    tls: Option<ListenerTls>,
) -> Result<Option<(BoundListener, ApiSettings)>, Failure> {
    let Some(settings) = settings else { return Ok(None) };
    let bound = BoundListener::new(&settings.listen)
        .map_err(|source| Failure::listen(LISTEN_ADDR, &settings.listen, source))?;
    Ok(Some((bound.with_tls(tls), settings)))
}

/// Binds the address of the user lists alone, if they have one.
pub fn bind_lists(
    settings: Option<ListApiSettings>,
) -> Result<Option<(BoundListener, ListApiSettings)>, Failure> {
    let Some(settings) = settings else { return Ok(None) };
    let bound = BoundListener::new(&settings.listen)
        .map_err(|source| Failure::listen(USER_LIST_ADDR, &settings.listen, source))?;
    Ok(Some((bound, settings)))
}

/// Starts the listener of the user lists, if its address is bound.
pub fn serve_lists(
    bound: Option<(BoundListener, ListApiSettings)>,
    live_config: LiveConfig,
    lists: ListApi,
    counters: (RequestMetrics, Logins),
    log: &Logger,
) -> Result<Option<Addr<HttpActor>>, Failure> {
    let Some((bound, settings)) = bound else { return Ok(None) };
    let address = bound.address();
    let lists = api::list_listener(bound, &settings, live_config, lists, counters, log)
        .map_err(|source| Failure::listen(USER_LIST_ADDR, address, source))?
        .start();
    info!(log, "user lists are served"; "address" => %address);
    Ok(Some(lists))
}

/// Binds the address of the admin pages, if they are on. An address that comes from the default and is in use is only
/// worth a warning: a pool that replaces the binary alone must not lose its switches to pages that it did not ask for.
pub fn bind_admin(
    settings: Option<AdminSettings>,
    tls: Option<ListenerTls>,
    log: &Logger,
) -> Result<Option<(BoundListener, AdminSettings)>, Failure> {
    let Some(settings) = settings else { return Ok(None) };
    let bound = BoundListener::new(&settings.listen)
        .map_err(|source| Failure::listen(ADMIN_LISTEN_ADDR, &settings.listen, source));
    match bound {
        Ok(bound) => Ok(Some((bound.with_tls(tls), settings))),
        Err(failure) if !settings.is_given => {
            warn!(log, "the daemon runs without admin pages: {}", failure);
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

/// Starts the API, if its address is bound. Other listeners need up to `others` descriptors.
pub fn serve_api(
    bound: Option<(BoundListener, ApiSettings)>,
    live_config: LiveConfig,
    endpoints: (Endpoints, Option<ListApi>),
    others: usize,
    counters: (RequestMetrics, Logins),
    log: &Logger,
) -> Result<Option<Addr<HttpActor>>, Failure> {
    let Some((bound, settings)) = bound else { return Ok(None) };
    let address = bound.address();
    let api = api::listener(bound, &settings, live_config, endpoints, others, counters, log)
        .map_err(|source| Failure::listen(LISTEN_ADDR, address, source))?
        .start();
    info!(log, "listening"; "address" => %address);
    Ok(Some(api))
}

/// Starts the admin pages, if their address is bound.
pub fn serve_admin(
    bound: Option<(BoundListener, AdminSettings)>,
    live_config: LiveConfig,
    metrics: &Metrics,
    registry: Registry,
    console: Console,
    log: &Logger,
) -> Result<Option<Addr<HttpActor>>, Failure> {
    let Some((bound, settings)) = bound else { return Ok(None) };
    let (address, listen) = (bound.address(), &settings.listen);
    let admin = admin::admin((bound, listen), live_config, metrics.clone(), registry, console, log)
        .map_err(|source| Failure::listen(ADMIN_LISTEN_ADDR, address, source))?
        .start();
    info!(log, "admin pages are up"; "address" => %address);
    Ok(Some(admin))
}
