//! Reload (SIGHUP): applies the whole new configuration, or none of it.
//!
//! ```text
//! SIGHUP ─▶ file and environment ─▶ checks ─┬─▶ apply: requests, limits, Poller, log levels, TLS
//!           (on its own thread)             └─▶ rejected: every problem in the log
//! ```
//!
//! The code that reads the configuration at the start also reads it here. A change of a key that needs a restart
//! (`config::keys`) counts as a problem. `apply` begins after all checks and cannot fail.

use std::{
    env,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};
use slog::{Logger, error, info, o, warn};
use switcher_actors::{Actors, Metrics, Quoted};
use tokio::{sync::oneshot, time::timeout};

use super::tls::Certificates;
use crate::{
    config::{self, Checked, FileContents, KeyChange, Rejected, Reloadable, Snapshot},
    http::LiveConfig,
    logging::{Levels, Logging},
    users::UserChanges,
};

/// Longest time to read the configuration and the files that it names; later signals wait for it.
const READ_LIMIT: Duration = Duration::from_secs(30);

/// Owns the active configuration.
pub struct Reload {
    /// The file that was read at the start; a reload fails without it.
    file: Option<PathBuf>,
    values: Snapshot,
    shutdown_grace: Duration,
    live_config: LiveConfig,
    certificates: Certificates,
    metrics: Metrics,
    reloads: Reloads,
    levels: Levels,
    log: Logger,
}

impl Reload {
    pub fn new(
        file: Option<PathBuf>,
        values: Snapshot,
        shutdown_grace: Duration,
        (live_config, certificates): (LiveConfig, Certificates),
        metrics: &Metrics,
        reloads: Reloads,
        logging: &Logging,
    ) -> Self {
        let (metrics, levels) = (metrics.clone(), logging.levels().clone());
        let log = logging.log.new(o!());
        Self {
            file,
            values,
            shutdown_grace,
            live_config,
            certificates,
            metrics,
            reloads,
            levels,
            log,
        }
    }

    /// Time from the first signal to the end of the process.
    pub fn shutdown_grace(&self) -> Duration {
        self.shutdown_grace
    }

    /// Reads the configuration, and applies it if it is valid and needs no restart.
    pub async fn reload(&mut self, actors: &Actors) {
        let read = match load(self.file.clone()).await {
            Ok(read) => read,
            Err(cause) => return self.reject(&[cause]),
        };
        let (new, values, mut problems, warnings) = match read {
            Ok((Checked { settings, values, warnings, .. }, contents)) => {
                (Some((settings, contents)), Some(values), Vec::new(), warnings)
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
        match (new, values) {
            (Some((settings, contents)), Some(values)) if problems.is_empty() => {
                self.apply(settings.reloadable(), contents, actors).await;
                self.values = values;
                self.applied(&changes);
                actors
                    .history
                    .reloaded(changes.iter().map(|change| change.key.to_owned()).collect());
            }
            _ => self.reject(&problems),
        }
    }

    /// Hands the new settings on. Running requests and polls, and queued switches, keep the settings of their start.
    async fn apply(&mut self, settings: Reloadable, contents: FileContents, actors: &Actors) {
        let Reloadable { callers, limits, ack_timeout, poller, shutdown_grace, log_level } =
            settings;
        let FileContents { users, listener_tls, zookeeper_tls, certificates } = contents;
        // Before the first switch to a new coin.
        self.metrics.allow(&callers.coins);
        if let Some(poller) = &poller {
            self.metrics.polls_every(poller.interval);
        }
        actors.adopt(limits, ack_timeout, poller, zookeeper_tls, &self.log).await;
        self.shutdown_grace = shutdown_grace;
        self.levels.set(&log_level);
        self.report_users(&self.live_config.replace(callers, users));
        self.certificates.replace(listener_tls, &certificates);
    }

    fn report_users(&self, UserChanges { added, removed, changed }: &UserChanges) {
        if [added, removed, changed].iter().any(|names| !names.is_empty()) {
            info!(self.log, "users changed; sessions and streams of removed and changed users end";
                "added" => names(added), "removed" => names(removed), "changed" => names(changed));
        }
    }

    fn applied(&self, changes: &[KeyChange]) {
        self.reloads.applied();
        let changes: Vec<_> = changes.iter().map(ToString::to_string).collect();
        let changed = if changes.is_empty() { "nothing".to_owned() } else { changes.join("; ") };
        info!(self.log, "configuration reloaded"; "changed" => changed);
    }

    fn reject(&self, problems: &[String]) {
        self.reloads.rejected();
        for problem in problems {
            error!(self.log, "configuration not reloaded: {}", problem);
        }
        error!(self.log, "reload rejected; previous configuration kept";
            "problems" => problems.len());
    }
}

/// At most 20 names, and the number of the others.
fn names(names: &[Arc<str>]) -> String {
    const SHOWN: usize = 20;
    let shown: Vec<_> = names.iter().take(SHOWN).map(|name| Quoted(name).to_string()).collect();
    let others = names.len().saturating_sub(SHOWN);
    let others = if others > 0 { format!(" and {others} more") } else { String::new() };
    format!("{}{others}", shown.join(", "))
}

/// Reads file and environment on a separate thread: a file system that hangs must hold up neither the daemon nor the
/// end of the process.
async fn load(file: Option<PathBuf>) -> Result<Result<(Checked, FileContents), Rejected>, String> {
    let (sender, read) = oneshot::channel();
    let reading = thread::Builder::new().name("reload".to_owned()).spawn(move || {
        let _ = sender.send(
            config::load(file.as_deref(), |name| env::var_os(name)).and_then(Checked::read_files),
        );
    });
    reading.map_err(|error| format!("the thread that reads it cannot start: {error}"))?;
    match timeout(READ_LIMIT, read).await {
        Ok(read) => read.map_err(|_| "the thread that reads it has ended".to_owned()),
        Err(_) => Err(format!(
            "it and the files that it names cannot be read within {} seconds: check their file systems",
            READ_LIMIT.as_secs()
        )),
    }
}

/// Metrics of reloads, named like those of Prometheus itself.
pub struct Reloads {
    applied: Counter,
    rejected: Counter,
    was_applied: Gauge,
    last_applied: Gauge,
}

impl Reloads {
    /// The configuration of the start counts as applied.
    pub fn new(registry: &mut Registry) -> Self {
        type Result = [(&'static str, &'static str); 1];
        let reloads = Family::<Result, Counter>::default();
        registry.register(
            "config_reloads",
            "Times that the configuration was read again, by what came of it",
            reloads.clone(),
        );
        let metrics = Self {
            applied: reloads.get_or_create_owned(&[("result", "applied")]),
            rejected: reloads.get_or_create_owned(&[("result", "refused")]),
            was_applied: Gauge::default(),
            last_applied: Gauge::default(),
        };
        registry.register(
            "config_last_reload_successful",
            "Whether the configuration is in force as it was read last",
            metrics.was_applied.clone(),
        );
        registry.register_with_unit(
            "config_last_reload_success_timestamp",
            "When the configuration that is in force was read, since 1970",
            Unit::Seconds,
            metrics.last_applied.clone(),
        );
        metrics.is_in_force();
        metrics
    }

    fn applied(&self) {
        self.applied.inc();
        self.is_in_force();
    }

    fn rejected(&self) {
        self.rejected.inc();
        self.was_applied.set(0);
    }

    fn is_in_force(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.was_applied.set(1);
        self.last_applied.set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    }
}
