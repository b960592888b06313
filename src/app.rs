//! The application: starts the actors and the API, waits for a signal, and drains in order.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use actix::{Actor, Addr};
use prometheus_client::{metrics::counter::Counter, registry::Registry};
use slog::{Logger, info, warn};
use switcher_actors::{Observer, System};
use thiserror::Error;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};

use crate::{
    admin::{self, Figures},
    config::{AdminSettings, ApiSettings, Settings},
    http::{self, Bound, Downstream, Facts, HttpServer, Requests, Stop},
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

/// Runs the daemon until SIGTERM or SIGINT; a second signal ends it at once.
///
/// `lines_dropped` counts the lines that the log has dropped.
pub fn run(settings: Settings, lines_dropped: Counter, log: &Logger) -> Result<(), Failure> {
    raise_descriptor_limit(log);
    actix_rt::System::new().block_on(async {
        let mut signals = Signals::new().map_err(Failure::Signals)?;
        let grace = settings.shutdown_grace;
        let Figures { registry, observer, requests } = Figures::new(&settings, lines_dropped);
        let Settings { api, admin, writer, sub_pools, poller, .. } = settings;
        // The addresses first: a daemon that cannot serve must not open a session.
        let api = bind(LISTEN_ADDR, api, |api| &api.listen)?;
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
        // Before the session, which they tell of.
        let admin = match admin {
            Some(admin) => {
                let facts = api.as_ref().map(|(bound, settings)| {
                    Facts::new(settings, sub_pools.is_some(), bound.address())
                });
                Some(serve_admin(admin, &observer, registry, facts, log)?)
            }
            None => None,
        };
        let system = System::start(writer, sub_pools, poller, &observer, log);
        let api = match api {
            Some(api) => Some(serve_api(api, &system, descriptors, requests, log)?),
            None => None,
        };

        let signal = signals.next().await;
        observer.draining();
        info!(log, "stopping: finishing what was accepted"; "signal" => signal);
        tokio::select! {
            ended = timeout(grace, drain(api, system, admin, grace, log)) => {
                if ended.is_err() {
                    warn!(log, "not everything was finished within the grace period";
                        "seconds" => grace.as_secs());
                }
                Ok(())
            }
            signal = signals.next() => Err(Failure::Interrupted { signal }),
        }
    })
}

/// The signals that end the daemon.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let (terminate, interrupt) = (SignalKind::terminate(), SignalKind::interrupt());
        Ok(Self { terminate: signal(terminate)?, interrupt: signal(interrupt)? })
    }

    async fn next(&mut self) -> &'static str {
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
) -> Result<Option<(Bound, T)>, Failure> {
    let Some(settings) = settings else { return Ok(None) };
    let bound = Bound::new(key, listen(&settings))?;
    Ok(Some((bound, settings)))
}

/// Starts the API. Other listeners take up to `others` descriptors.
fn serve_api(
    (bound, settings): (Bound, ApiSettings),
    system: &System,
    others: usize,
    requests: Requests,
    log: &Logger,
) -> Result<Addr<HttpServer>, Failure> {
    let address = bound.address();
    let downstream = Downstream {
        writer: system.writer.clone(),
        looks: system.looks.clone(),
        jobmakers: system.jobmakers.clone(),
    };
    let api = http::api(bound, settings, downstream, others, requests, log)
        .map_err(|source| Failure::listen(LISTEN_ADDR, address, source))?
        .start();
    info!(log, "listening"; "address" => %address);
    Ok(api)
}

/// Starts the admin pages, which show what `observer` and `registry` hold, and describe the API, if it is on.
fn serve_admin(
    (bound, settings): (Bound, AdminSettings),
    observer: &Observer,
    registry: Registry,
    api: Option<Facts>,
    log: &Logger,
) -> Result<Addr<HttpServer>, Failure> {
    let address = bound.address();
    let admin = admin::admin(bound, &settings, observer.clone(), registry, api, log)
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
    api: Option<Addr<HttpServer>>,
    system: System,
    admin: Option<Addr<HttpServer>>,
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
