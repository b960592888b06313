//! The application: starts the actors and the API, waits for a signal, and drains in order.

use std::{future::Future, io, time::Duration};

use actix::{Actor, Addr};
use slog::{Logger, info, warn};
use switcher_actors::System;
use thiserror::Error;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::timeout,
};

use crate::{
    config::Settings,
    http::{Bound, HttpApi, Stop},
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
    /// The operating system refuses to tell us of signals.
    #[error("cannot wait for signals: {0}")]
    Signals(#[source] io::Error),
}

impl Failure {
    /// The process's exit status, as in `sysexits.h`.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Listen { .. } => 69,
            Self::Signals(_) => 70,
        }
    }
}

/// Runs the daemon until SIGTERM or SIGINT; a second signal ends it at once.
pub fn run(settings: Settings, log: &Logger) -> Result<(), Failure> {
    raise_descriptor_limit(log);
    actix_rt::System::new().block_on(async {
        let stop = stop_signal(log).map_err(Failure::Signals)?;
        run_until(settings, stop, log).await
    })
}

async fn run_until(
    settings: Settings,
    stop: impl Future<Output = ()>,
    log: &Logger,
) -> Result<(), Failure> {
    let grace = settings.shutdown_grace;
    // The address first: a daemon that cannot serve must not open a session.
    let bound = settings.api.map(|api| Bound::new(api, grace)).transpose()?;
    let system = System::start(settings.writer, log);
    let api = bound.map(|bound| serve(bound, &system, log)).transpose()?;
    stop.await;
    if timeout(grace, drain(api, system, grace, log)).await.is_err() {
        warn!(log, "not everything was finished within the grace period; ending all the same";
            "seconds" => grace.as_secs());
    }
    Ok(())
}

fn serve(bound: Bound, system: &System, log: &Logger) -> Result<Addr<HttpApi>, Failure> {
    let address = bound.address();
    let api = HttpApi::new(bound, system.writer.clone(), log)
        .map_err(|source| Failure::Listen { address: address.to_string(), source })?;
    let api = api.start();
    info!(log, "listening"; "address" => %address);
    Ok(api)
}

/// Upstream first: what has been accepted can then reach ZooKeeper. A client that is slow to send its
/// request may use up three quarters of the grace period, not what the writer needs.
async fn drain(api: Option<Addr<HttpApi>>, system: System, grace: Duration, log: &Logger) {
    if let Some(api) = api {
        if timeout(grace * 3 / 4, api.send(Stop)).await.is_err() {
            warn!(log, "requests that have not arrived whole by now are given up");
        }
    }
    system.drain(log).await;
}

/// Resolves at the first SIGTERM or SIGINT. From then on another one ends the process at once.
fn stop_signal(log: &Logger) -> io::Result<impl Future<Output = ()> + use<>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let log = log.clone();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    actix_rt::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        info!(log, "stopping: finishing what was accepted"; "signal" => next().await);
        let _ = stop.send(());
        warn!(log, "second signal: ending at once"; "signal" => next().await);
        // Lets the line above reach the log.
        tokio::time::sleep(Duration::from_millis(20)).await;
        std::process::exit(70);
    });
    Ok(async move {
        let _ = stopped.await;
    })
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
