//! The registry of all metrics: those of actors, API, log and process.

use prometheus_client::{metrics::info::Info, registry::Registry};
use switcher_actors::Metrics;

use super::{process::Process, reload::Reloads, tls::DaemonTls};
use crate::{
    api::RequestMetrics,
    config::{FileContents, Settings},
    http::Logins,
    logging::Logging,
};

/// The registry, and the metrics in it.
pub struct DaemonMetrics {
    pub registry: Registry,
    pub metrics: Metrics,
    pub requests: RequestMetrics,
    pub logins: Logins,
    pub reloads: Reloads,
    pub tls: DaemonTls,
}

impl DaemonMetrics {
    /// Registers all metrics, with their values at the start.
    pub fn new(settings: &Settings, contents: &FileContents, logging: &Logging) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process::started()));
        let ours = registry.sub_registry_with_prefix("switcher");
        let build = [("version", env!("CARGO_PKG_VERSION")), ("commit", env!("SWITCHER_COMMIT"))];
        ours.register("build", "The daemon's version", Info::new(build));
        ours.register(
            "log_lines_dropped",
            "Lines of log that were dropped, since the output did not keep up or could not be written to",
            logging.dropped(),
        );
        ours.register(
            "log_rotation_failures",
            "Times that the log file could not be renamed or opened; it grows on meanwhile",
            logging.rotation_failures(),
        );
        let interval = settings.poller.as_ref().map(|poller| poller.interval);
        let lists = settings.user_lists.as_ref();
        let listed: Vec<_> = lists.iter().flat_map(|it| &it.lists).map(|it| it.0.clone()).collect();
        let pause = lists.map(|it| it.interval).unwrap_or_default();
        let metrics = Metrics::new(&settings.callers.coins, interval, (&listed, pause), ours);
        let mut without_api = Registry::default();
        let serves = settings.api.is_some() || settings.list_api.is_some();
        let requests = RequestMetrics::new(if serves { ours } else { &mut without_api });
        let logins = Logins::new(ours);
        let reloads = Reloads::new(ours);
        let tls = DaemonTls::new(settings, contents, ours);
        Self { registry, metrics, requests, logins, reloads, tls }
    }
}
