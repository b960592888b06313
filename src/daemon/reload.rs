//! Reads the configuration again (SIGHUP), and puts it in force whole or leaves all as it was.
//!
//! ```text
//! SIGHUP ─▶ file and environment ─▶ checks ─┬─▶ apply: terms of requests, limits, Poller, levels
//!           (on a thread of its own)        └─▶ refused: every problem in the log
//! ```
//!
//! It is read by the code that reads it at the start. A change of a key that a running daemon cannot take over is a
//! problem like any other (`config::keys` says which can). Nothing is touched before all is known to be good, and
//! nothing can fail from then on.

use std::{
    env,
    path::PathBuf,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};
use slog::{Logger, error, info, o, warn};
use switcher_actors::{Actors, Metrics};
use tokio::sync::oneshot;

use crate::{
    config::{self, Change, Checked, Rejected, Reloadable, Values},
    http::LiveConfig,
    logging::{Levels, Telemetry},
};

/// Owns what is in force of the configuration.
pub struct Reload {
    /// Where it was read from at the start, beside the environment. It has to be there again.
    file: Option<PathBuf>,
    values: Values,
    shutdown_grace: Duration,
    in_force: LiveConfig,
    metrics: Metrics,
    reloads: Reloads,
    levels: Levels,
    log: Logger,
}

impl Reload {
    /// What the daemon started with is in force: `values`, `shutdown_grace`, and the terms `in_force`.
    pub fn new(
        file: Option<PathBuf>,
        values: Values,
        shutdown_grace: Duration,
        in_force: LiveConfig,
        metrics: &Metrics,
        reloads: Reloads,
        telemetry: &Telemetry,
    ) -> Self {
        let (metrics, levels) = (metrics.clone(), telemetry.levels().clone());
        let log = telemetry.log.new(o!());
        Self { file, values, shutdown_grace, in_force, metrics, reloads, levels, log }
    }

    /// From the first signal to the end of the process, as it is in force.
    pub fn shutdown_grace(&self) -> Duration {
        self.shutdown_grace
    }

    /// Reads the configuration and puts it in force, if it is good and the actors of `system` can take it over.
    pub async fn reload(&mut self, system: &Actors) {
        let read = match load(self.file.clone()).await {
            Ok(read) => read,
            Err(cause) => return self.refuse(&[cause]),
        };
        let (settings, values, mut problems, warnings) = match read {
            Ok(Checked { settings, values, warnings, .. }) => {
                (Some(settings), Some(values), Vec::new(), warnings)
            }
            Err(Rejected { problems, warnings, values }) => {
                (None, values, problems.iter().map(ToString::to_string).collect(), warnings)
            }
        };
        for warning in &warnings {
            warn!(self.log, "configuration: {}", warning);
        }
        let changes = values.as_ref().map(|values| self.values.changes_to(values));
        let changes = changes.unwrap_or_default();
        let for_restart = changes.iter().filter(|change| !change.is_reloadable);
        problems.extend(for_restart.map(|change| format!("{change} needs a restart")));
        match (settings, values) {
            (Some(settings), Some(values)) if problems.is_empty() => {
                self.apply(settings.reloadable(), system).await;
                self.values = values;
                self.applied(&changes);
            }
            _ => self.refuse(&problems),
        }
    }

    /// The one place from which a reloaded configuration reaches those who work by it. A request that has begun, a
    /// poll under way and what waits for ZooKeeper end by what they began with.
    async fn apply(&mut self, new: Reloadable, system: &Actors) {
        let Reloadable { callers, limits, ack_timeout, poller, shutdown_grace, log_level } = new;
        // Before anybody can switch to a coin that comes.
        self.metrics.allow(&callers.coins);
        if let Some(poller) = &poller {
            self.metrics.polls_every(poller.interval);
        }
        system.adopt(limits, ack_timeout, poller, &self.log).await;
        self.shutdown_grace = shutdown_grace;
        self.levels.set(&log_level);
        self.in_force.replace(callers);
    }

    fn applied(&self, changes: &[Change]) {
        self.reloads.applied();
        let changes: Vec<_> = changes.iter().map(ToString::to_string).collect();
        let changed = if changes.is_empty() { "nothing".to_owned() } else { changes.join("; ") };
        info!(self.log, "configuration reloaded"; "changed" => changed);
    }

    fn refuse(&self, problems: &[String]) {
        self.reloads.refused();
        for problem in problems {
            error!(self.log, "configuration not reloaded: {}", problem);
        }
        error!(self.log, "the configuration of before stays in force, all of it";
            "problems" => problems.len());
    }
}

/// Reads file and environment on a thread of its own: a file system may take its time, and nobody shall wait for it,
/// not even the end of the process.
async fn load(file: Option<PathBuf>) -> Result<Result<Checked, Rejected>, String> {
    let (sender, read) = oneshot::channel();
    let reading = thread::Builder::new().name("reload".to_owned()).spawn(move || {
        let _ = sender.send(config::load(file.as_deref(), |name| env::var_os(name)));
    });
    reading.map_err(|error| format!("there is no thread to read it: {error}"))?;
    read.await.map_err(|_| "the thread that reads it has ended".to_owned())
}

/// The figures of reloads, named as those of Prometheus's own.
pub struct Reloads {
    applied: Counter,
    refused: Counter,
    was_applied: Gauge,
    last_applied: Gauge,
}

impl Reloads {
    /// None yet; what was read at the start is good. The figures are added to `registry`.
    pub fn new(registry: &mut Registry) -> Self {
        type Result = [(&'static str, &'static str); 1];
        let reloads = Family::<Result, Counter>::default();
        registry.register(
            "config_reloads",
            "Times that the configuration was read again, by what came of it",
            reloads.clone(),
        );
        let figures = Self {
            applied: reloads.get_or_create_owned(&[("result", "applied")]),
            refused: reloads.get_or_create_owned(&[("result", "refused")]),
            was_applied: Gauge::default(),
            last_applied: Gauge::default(),
        };
        registry.register(
            "config_last_reload_successful",
            "Whether the configuration is in force as it was read last",
            figures.was_applied.clone(),
        );
        registry.register_with_unit(
            "config_last_reload_success_timestamp",
            "When the configuration that is in force was read, since 1970",
            Unit::Seconds,
            figures.last_applied.clone(),
        );
        figures.is_in_force();
        figures
    }

    fn applied(&self) {
        self.applied.inc();
        self.is_in_force();
    }

    fn refused(&self) {
        self.refused.inc();
        self.was_applied.set(0);
    }

    fn is_in_force(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.was_applied.set(1);
        self.last_applied.set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    }
}
