//! Signals: SIGTERM and SIGINT stop the daemon, SIGHUP reloads the configuration.

use std::io;

use slog::{Logger, warn};
use switcher_actors::Actors;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{reload::Reload, service_manager::ServiceManager};

enum SignalRequest {
    /// Stop, with the signal's name.
    Stop(&'static str),
    Reload,
}

/// Receivers of the signals. A signal that arrives before the first call of a method is kept.
pub struct Signals {
    hang_up: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub fn new() -> io::Result<Self> {
        let (terminate, interrupt) = (SignalKind::terminate(), SignalKind::interrupt());
        // The log installs its own handler of SIGUSR1 later. Until then the signal must not end the process.
        let _ = signal(SignalKind::user_defined1())?;
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            terminate: signal(terminate)?,
            interrupt: signal(interrupt)?,
        })
    }

    async fn next(&mut self) -> SignalRequest {
        tokio::select! {
            signal = Self::stop(&mut self.terminate, &mut self.interrupt) => SignalRequest::Stop(signal),
            _ = self.hang_up.recv() => SignalRequest::Reload,
        }
    }

    async fn stop(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    }

    /// Reloads the configuration at each SIGHUP, until a signal stops the daemon. Several SIGHUPs during a reload
    /// cause one more reload afterwards, so the last state of the file counts.
    pub async fn reload_until_stop(
        &mut self,
        reload: &mut Reload,
        manager: &ServiceManager,
        actors: &Actors,
    ) -> &'static str {
        loop {
            match self.next().await {
                SignalRequest::Stop(signal) => return signal,
                SignalRequest::Reload => {
                    manager.reloading();
                    // A file system that hangs must not keep the daemon from stopping.
                    tokio::select! {
                        () = reload.reload(actors) => manager.ready(),
                        signal = Self::stop(&mut self.terminate, &mut self.interrupt) => return signal,
                    }
                }
            }
        }
    }

    /// Waits for the second signal that stops the daemon. SIGHUP has no effect any more.
    pub async fn second_stop(&mut self, log: &Logger) -> &'static str {
        loop {
            match self.next().await {
                SignalRequest::Stop(signal) => return signal,
                SignalRequest::Reload => {
                    warn!(log, "SIGHUP is ignored: the daemon is shutting down")
                }
            }
        }
    }
}
