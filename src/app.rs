//! The application: starts the actors and the API, waits for a signal, and drains in order.

use std::{
    io,
    time::{Duration, Instant},
};

use actix::{Actor, Addr};
use slog::{Logger, info, warn};
use switcher_actors::System;
use thiserror::Error;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};

use crate::{
    config::Settings,
    http::{Bound, Downstream, HttpApi, Stop},
};

/// Why the daemon could not run, or did not end in order.
#[derive(Debug, Error)]
pub enum Failure {
    /// The API's address is taken or not ours.
    #[error(
        "cannot listen on {address}: {source}; is another daemon running there, or is ListenAddr wrong?"
    )]
    Listen {
        /// `ListenAddr`.
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

impl Failure {
    /// The process's exit status, as in `sysexits.h`.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Listen { .. } => 69,
            Self::Interrupted { .. } | Self::Signals(_) => 70,
        }
    }
}

/// Runs the daemon until SIGTERM or SIGINT; a second signal ends it at once.
pub fn run(settings: Settings, log: &Logger) -> Result<(), Failure> {
    raise_descriptor_limit(log);
    actix_rt::System::new().block_on(async {
        let mut signals = Signals::new().map_err(Failure::Signals)?;
        let grace = settings.shutdown_grace;
        // The address first: a daemon that cannot serve must not open a session.
        let bound = settings.api.map(Bound::new).transpose()?;
        let system = System::start(settings.writer, settings.sub_pools, settings.poller, log);
        let api = bound.map(|bound| serve(bound, &system, log)).transpose()?;

        info!(log, "stopping: finishing what was accepted"; "signal" => signals.next().await);
        tokio::select! {
            ended = timeout(grace, drain(api, system, grace, log)) => {
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

fn serve(bound: Bound, system: &System, log: &Logger) -> Result<Addr<HttpApi>, Failure> {
    let address = bound.address();
    let downstream = Downstream {
        writer: system.writer.clone(),
        looks: system.looks.clone(),
        jobmakers: system.jobmakers.clone(),
    };
    let api = HttpApi::new(bound, downstream, log)
        .map_err(|source| Failure::Listen { address: address.to_string(), source })?;
    let api = api.start();
    info!(log, "listening"; "address" => %address);
    Ok(api)
}

/// Upstream first, and polls before callers, since nobody waits for them: what has been accepted can then
/// reach ZooKeeper. A client that is slow to send its request may use up half of the grace period, and
/// switches that ZooKeeper does not take five eighths; the rest is for ending the session, which may have to
/// be found again for that.
async fn drain(api: Option<Addr<HttpApi>>, system: System, grace: Duration, log: &Logger) {
    let began = Instant::now();
    if timeout(grace / 8, system.stop_polling(log)).await.is_err() {
        warn!(log, "the Poller does not stop");
    }
    if let Some(api) = api
        && timeout(grace / 2, api.send(Stop)).await.is_err()
    {
        warn!(log, "requests that have not been finished by now are given up soon");
    }
    system.drain(began + grace * 5 / 8, began + grace * 15 / 16, log).await;
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
