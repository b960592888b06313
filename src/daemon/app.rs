//! The application: starts the actors and the API, waits for a signal, and drains in order. On SIGHUP it has the
//! configuration read again.

use std::{
    env, io,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use actix::{Actor, Addr};
use actix_rt::SystemRunner;
use prometheus_client::registry::Registry;
use slog::{Logger, info, warn};
use switcher_actors::{Actors, Metrics};
use thiserror::Error;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};

use super::{metrics::Figures, reload::Reload, service_manager::ServiceManager};
use crate::{
    admin::{self, Console, StaticInfo},
    api::{self, Downstream, Endpoints, Requests},
    config::{ApiSettings, Checked, Settings},
    http::{BoundListener, HttpActor, LiveConfig, Logins, Stop},
    logging::Telemetry,
};

/// The keys of the listeners' addresses.
const LISTEN_ADDR: &str = "ListenAddr";
const ADMIN_LISTEN_ADDR: &str = "AdminListenAddr";

/// Why the daemon could not run, or did not end in order.
#[derive(Debug, Error)]
pub enum Failure {
    /// An address is taken or not ours.
    #[error(
        "cannot listen on {address}: {source}; is another daemon running there, or is {key} wrong?{}",
        hint(.key)
    )]
    Listen {
        /// The configuration's key.
        key: &'static str,
        /// Its value.
        address: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// A second signal came before all was finished.
    #[error("second signal ({signal}): ended at once, with requests unfinished")]
    Interrupted {
        /// Its name.
        signal: &'static str,
    },
    /// The operating system refuses to tell us of signals.
    #[error("cannot wait for signals: {0}")]
    Signals(#[source] io::Error),
}

fn hint(key: &str) -> &'static str {
    match key {
        ADMIN_LISTEN_ADDR => " Each daemon on a machine needs one of its own; empty does without",
        _ => " The admin pages of another daemon may be there, too",
    }
}

impl Failure {
    fn listen(key: &'static str, address: SocketAddr, source: io::Error) -> Self {
        Self::Listen { key, address: address.to_string(), source }
    }

    /// The process's exit status, as in `sysexits.h`.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Listen { .. } => 69,
            Self::Interrupted { .. } | Self::Signals(_) => 70,
        }
    }
}

/// A daemon that has nothing yet but its signals: they are kept for it from here on.
pub struct Prepared {
    actors: SystemRunner,
    signals: Signals,
}

impl Prepared {
    /// To be called as soon as it is known that the daemon is wanted.
    pub fn new() -> Result<Self, Failure> {
        let actors = actix_rt::System::new();
        let signals = actors.block_on(async { Signals::new() }).map_err(Failure::Signals)?;
        Ok(Self { actors, signals })
    }

    /// Runs the daemon until SIGTERM or SIGINT; a second signal ends it at once.
    ///
    /// `file` is where the configuration was read from, beside the environment.
    pub fn run(
        self,
        file: Option<PathBuf>,
        checked: Checked,
        telemetry: &Telemetry,
    ) -> Result<(), Failure> {
        raise_descriptor_limit(&telemetry.log);
        let Self { actors, signals } = self;
        actors.block_on(run(signals, file, checked, telemetry))
    }
}

async fn run(
    mut signals: Signals,
    file: Option<PathBuf>,
    Checked { settings, values, .. }: Checked,
    telemetry: &Telemetry,
) -> Result<(), Failure> {
    let log = &telemetry.log;
    let manager = ServiceManager::of(|name| env::var_os(name), log);
    let Figures { registry, metrics, requests, logins, reloads } =
        Figures::new(&settings, telemetry);
    // The addresses first: a daemon that cannot serve must not open a session.
    let api = bind(LISTEN_ADDR, settings.api.clone(), |api| &api.listen)?;
    let facts = StaticInfo::of(&settings, api.as_ref().map(|(bound, _)| bound.address()));
    let Settings { admin, callers, writer, sub_pools, poller, shutdown_grace, .. } = settings;
    let in_force = LiveConfig::new(callers);
    let mut reload =
        Reload::new(file, values, shutdown_grace, in_force.clone(), &metrics, reloads, telemetry);
    let is_given = admin.as_ref().is_some_and(|admin| admin.is_given);
    let admin = match bind(ADMIN_LISTEN_ADDR, admin, |admin| &admin.listen) {
        // A pool that changes the binary alone has asked for no pages, and must not lose its switches to them.
        Err(failure) if !is_given => {
            warn!(log, "there are no admin pages: {}", failure);
            None
        }
        bound => bound?,
    };
    let descriptors = if admin.is_some() { admin::DESCRIPTORS } else { 0 };
    let system = Actors::start(writer, sub_pools, poller, &metrics, log);
    let endpoints = endpoints(&system, log);
    // The session is made meanwhile: they tell of it.
    let admin = match admin {
        Some((bound, settings)) => {
            let console = Console {
                facts,
                looks: system.looks.clone(),
                endpoints: api.is_some().then(|| endpoints.clone()),
                requests: requests.clone(),
                logins: logins.clone(),
            };
            let bound = (bound, settings.listen);
            Some(serve_admin(bound, in_force.clone(), &metrics, registry, console, log)?)
        }
        None => None,
    };
    let api = match api {
        Some(api) => {
            Some(serve_api(api, in_force, endpoints, descriptors, (requests, logins), log)?)
        }
        None => None,
    };

    manager.ready();
    let signal = tokio::select! {
        signal = reloading(&mut signals, &mut reload, &manager, &system) => signal,
        never = manager.supervise(&metrics, &system) => match never {},
    };
    manager.stopping();
    metrics.draining();
    let grace = reload.shutdown_grace();
    info!(log, "stopping: finishing what was accepted"; "signal" => signal);
    tokio::select! {
        ended = timeout(grace, drain(api, system, admin, grace, log)) => {
            if ended.is_err() {
                warn!(log, "not everything was finished within the grace period";
                    "seconds" => grace.as_secs());
            }
            Ok(())
        }
        signal = not_reloading(&mut signals, log) => Err(Failure::Interrupted { signal }),
    }
}

/// Reads the configuration again at each SIGHUP, until a signal that ends the daemon comes. Those that come
/// meanwhile are one, which is heeded afterwards: so the last state of the file counts.
async fn reloading(
    signals: &mut Signals,
    reload: &mut Reload,
    manager: &ServiceManager,
    system: &Actors,
) -> &'static str {
    loop {
        match signals.next().await {
            Asked::End(signal) => return signal,
            Asked::Reload => {
                manager.reloading();
                // A file system that hangs must not keep the daemon from ending.
                tokio::select! {
                    () = reload.reload(system) => manager.ready(),
                    signal = signals.end() => return signal,
                }
            }
        }
    }
}

/// Waits for another signal that ends the daemon, which ends already.
async fn not_reloading(signals: &mut Signals, log: &Logger) -> &'static str {
    loop {
        match signals.next().await {
            Asked::End(signal) => return signal,
            Asked::Reload => warn!(log, "SIGHUP is ignored: the daemon is shutting down"),
        }
    }
}

/// What a signal asks for.
enum Asked {
    /// To end; the signal's name.
    End(&'static str),
    /// To read the configuration again.
    Reload,
}

/// The signals that the daemon heeds.
struct Signals {
    hang_up: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let (terminate, interrupt) = (SignalKind::terminate(), SignalKind::interrupt());
        // The log's, which comes later: until then it must not end the process. What is installed once stays.
        let _ = signal(SignalKind::user_defined1())?;
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            terminate: signal(terminate)?,
            interrupt: signal(interrupt)?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::End("SIGTERM"),
            _ = self.interrupt.recv() => Asked::End("SIGINT"),
            _ = self.hang_up.recv() => Asked::Reload,
        }
    }

    /// Leaves others for later.
    async fn end(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Takes the address of a listener that is on.
fn bind<T>(
    key: &'static str,
    settings: Option<T>,
    listen: impl Fn(&T) -> &str,
) -> Result<Option<(BoundListener, T)>, Failure> {
    let Some(settings) = settings else { return Ok(None) };
    let bound = BoundListener::new(key, listen(&settings))?;
    Ok(Some((bound, settings)))
}

/// What any listener serves the API with.
fn endpoints(system: &Actors, log: &Logger) -> Endpoints {
    let downstream = Downstream {
        writer: system.writer.clone(),
        looks: system.looks.clone(),
        jobmakers: system.jobmakers.clone(),
    };
    Endpoints::new(downstream, log)
}

/// Starts the API. Other listeners take up to `others` descriptors.
fn serve_api(
    (bound, settings): (BoundListener, ApiSettings),
    in_force: LiveConfig,
    endpoints: Endpoints,
    others: usize,
    counters: (Requests, Logins),
    log: &Logger,
) -> Result<Addr<HttpActor>, Failure> {
    let address = bound.address();
    let api = api::api(bound, &settings, in_force, endpoints, others, counters, log)
        .map_err(|source| Failure::listen(LISTEN_ADDR, address, source))?
        .start();
    info!(log, "listening"; "address" => %address);
    Ok(api)
}

/// Starts the admin pages, which show what `metrics` and `registry` hold; `console` is for the console.
fn serve_admin(
    (bound, listen): (BoundListener, String),
    in_force: LiveConfig,
    metrics: &Metrics,
    registry: Registry,
    console: Console,
    log: &Logger,
) -> Result<Addr<HttpActor>, Failure> {
    let address = bound.address();
    let admin = admin::admin((bound, &listen), in_force, metrics.clone(), registry, console, log)
        .map_err(|source| Failure::listen(ADMIN_LISTEN_ADDR, address, source))?
        .start();
    info!(log, "admin pages are up"; "address" => %address);
    Ok(admin)
}

/// Upstream first, and polls before callers, since nobody waits for them: what has been accepted can then
/// reach ZooKeeper. A client that is slow to send its request may use up half of the grace period, and
/// switches that ZooKeeper does not take five eighths; the rest is for ending the session, which may have to
/// be found again for that.
/// The admin pages go on to the end, to tell of it.
async fn drain(
    api: Option<Addr<HttpActor>>,
    system: Actors,
    admin: Option<Addr<HttpActor>>,
    grace: Duration,
    log: &Logger,
) {
    let began = Instant::now();
    if timeout(grace / 8, system.stop_polling(log)).await.is_err() {
        warn!(log, "the Poller does not stop");
    }
    if let Some(api) = api
        && timeout(grace / 2, api.send(Stop { gracefully: true })).await.is_err()
    {
        warn!(log, "requests that have not been finished by now are given up soon");
    }
    system.drain(began + grace * 5 / 8, began + grace * 15 / 16, log).await;
    if let Some(admin) = admin {
        // Streams of changes have no end of their own. An actor that is gone has stopped already.
        let _ = admin.send(Stop { gracefully: false }).await;
    }
}

/// As Go programs do: each connection takes descriptors, and supervisors start with few.
fn raise_descriptor_limit(log: &Logger) {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let mut limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        warn!(log, "cannot raise the limit of open files"; "cause" => %error);
    }
}
