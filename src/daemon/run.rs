//! The life of the daemon: start, run until a signal, drain.
//!
//! ```text
//! bind addresses ─▶ start actors ─▶ serve ─▶ wait for a signal ─▶ drain: Poller, Registrar, API, ZkWriter, admin pages
//! ```

use std::{
    env,
    path::PathBuf,
    time::{Duration, Instant},
};

use actix::Addr;
use actix_rt::SystemRunner;
use slog::{Logger, info, warn};
use switcher_actors::{ActorSettings, Actors};
use tokio::time::timeout;

use super::{
    failure::Failure,
    history,
    listeners::{bind_admin, bind_api, bind_lists, serve_admin, serve_api, serve_lists},
    metrics::DaemonMetrics,
    reload::Reload,
    service_manager::ServiceManager,
    signals::Signals,
};
use crate::{
    admin::{self, ActorViews, Console, Searches, StaticInfo},
    api::{Endpoints, LIST_DESCRIPTORS, ListApi, RequestMetrics},
    config::{Checked, FileContents, Settings},
    http::{HttpActor, LiveConfig, Logins, Stop},
    logging::Logging,
};

/// A daemon that receives signals and does nothing else yet.
pub struct Prepared {
    runner: SystemRunner,
    signals: Signals,
}

impl Prepared {
    /// Call it first: a SIGHUP must not end a process that has not read its configuration yet.
    pub fn new() -> Result<Self, Failure> {
        let runner = actix_rt::System::new();
        let signals = runner.block_on(async { Signals::new() }).map_err(Failure::Signals)?;
        Ok(Self { runner, signals })
    }

    /// Runs the daemon until SIGTERM or SIGINT; a second signal ends it at once. `file` is the configuration file.
    pub fn run(
        self,
        file: Option<PathBuf>,
        configuration: (Checked, FileContents),
        logging: &Logging,
    ) -> Result<(), Failure> {
        raise_descriptor_limit(&logging.log);
        let Self { runner, signals } = self;
        runner.block_on(run(signals, file, configuration, logging))
    }
}

async fn run(
    mut signals: Signals,
    file: Option<PathBuf>,
    (Checked { settings, values, .. }, contents): (Checked, FileContents),
    logging: &Logging,
) -> Result<(), Failure> {
    let log = &logging.log;
    let manager = ServiceManager::of(|name| env::var_os(name), log);
    let DaemonMetrics { registry, metrics, requests, logins, reloads, tls } =
        DaemonMetrics::new(&settings, &contents, logging);
    // Addresses first: a daemon that cannot serve must not open a session.
    let api = bind_api(settings.api.clone(), tls.api)?;
    let lists = bind_lists(settings.list_api.clone())?;
    let static_info = StaticInfo::of(&settings, api.as_ref().map(|(bound, _)| bound.address()));
    let Settings {
        admin,
        callers,
        writer,
        sub_pools,
        poller,
        user_lists,
        registration,
        history,
        shutdown_grace,
        ..
    } = settings;
    let live_config = LiveConfig::new(callers, contents.users);
    let live = (live_config.clone(), tls.certificates);
    let mut reload = Reload::new(file, values, shutdown_grace, live, &metrics, reloads, logging);
    let admin = bind_admin(admin, tls.admin, log)?;
    let descriptors = descriptors(admin.is_some(), lists.is_some());
    let history_file = history.as_ref().map(|history| history.file.clone());
    let history = history.map(|history| history::open(&history, log)).transpose()?;
    let zk_tls = contents.zookeeper_tls;
    let settings =
        ActorSettings { writer, zk_tls, sub_pools, poller, user_lists, registration, history };
    let actors = Actors::start(settings, &metrics, log).map_err(Failure::Thread)?;
    let endpoints = Endpoints::new(&actors, log);
    let shared = api.is_some().then(|| endpoints.clone());
    let console = console(static_info, history_file, &actors, shared, (&requests, &logins));
    let admin = serve_admin(admin, live_config.clone(), &metrics, registry, console, log)?;
    let counters = (requests, logins);
    let list_api = ListApi::new(actors.listings.clone(), log);
    // With a listener of their own, lists are served nowhere else.
    let endpoints = (endpoints, lists.is_none().then(|| list_api.clone()));
    let lists = serve_lists(lists, live_config.clone(), list_api, counters.clone(), log)?;
    let api = serve_api(api, live_config, endpoints, descriptors, counters, log)?;

    manager.ready();
    let signal = tokio::select! {
        signal = signals.reload_until_stop(&mut reload, &manager, &actors) => signal,
        never = manager.supervise(&metrics, &actors) => match never {},
    };
    manager.stopping();
    metrics.draining();
    info!(log, "stopping: finishing accepted requests"; "signal" => signal);
    let grace = reload.shutdown_grace();
    stop(signals, drain([api, lists], actors, admin, grace, log), grace, log).await
}

/// Parts of the admin pages. `endpoints` are the API's, if it is on.
fn console(
    static_info: StaticInfo,
    history: Option<PathBuf>,
    actors: &Actors,
    endpoints: Option<Endpoints>,
    (requests, logins): (&RequestMetrics, &Logins),
) -> Console {
    Console {
        static_info,
        views: ActorViews::of(actors),
        searches: history.map(|file| Searches::new(file, actors)),
        endpoints,
        requests: requests.clone(),
        logins: logins.clone(),
    }
}

/// Descriptors of the admin pages and the list API, if they are on.
fn descriptors(admin: bool, lists: bool) -> usize {
    let counts = [(admin, admin::DESCRIPTORS), (lists, LIST_DESCRIPTORS)];
    counts.iter().filter(|(is_on, _)| *is_on).map(|(_, count)| count).sum()
}

/// Waits for the drain, or for a second signal.
async fn stop(
    mut signals: Signals,
    drained: impl Future<Output = ()>,
    grace: Duration,
    log: &Logger,
) -> Result<(), Failure> {
    tokio::select! {
        ended = timeout(grace, drained) => {
            if ended.is_err() {
                warn!(log, "grace period is over, with requests unfinished";
                    "seconds" => grace.as_secs());
            }
            Ok(())
        }
        signal = signals.second_stop(log) => Err(Failure::Interrupted { signal }),
    }
}

/// Stops the Poller and the Registrar first, whose writes have no waiting client, then the API, then the other actors,
/// so that every accepted request can reach ZooKeeper. The admin pages stop last and report the drain.
///
/// Shares of the grace period: slow clients have until a half, switches that ZooKeeper does not take until five
/// eighths; the rest is for closing the session, which may need a new connection.
async fn drain(
    [api, lists]: [Option<Addr<HttpActor>>; 2],
    actors: Actors,
    admin: Option<Addr<HttpActor>>,
    grace: Duration,
    log: &Logger,
) {
    let began = Instant::now();
    if timeout(grace / 8, actors.stop_polling(log)).await.is_err() {
        warn!(log, "the running poll does not stop in time; the shutdown continues");
    }
    if timeout(grace / 8, actors.stop_registering(log)).await.is_err() {
        warn!(log, "registrations do not stop in time; the shutdown continues");
    }
    if let Some(api) = api
        && timeout(grace / 2, api.send(Stop { gracefully: true })).await.is_err()
    {
        warn!(
            log,
            "API requests are unfinished after half of the grace period; they are aborted at its end"
        );
    }
    if let Some(lists) = lists {
        // Not gracefully: their clients ask again. An actor that is gone has stopped already.
        let _ = lists.send(Stop { gracefully: false }).await;
    }
    actors.drain(began + grace * 5 / 8, began + grace * 15 / 16, log).await;
    if let Some(admin) = admin {
        // Not gracefully, since a stream of changes never ends. An actor that is gone has stopped already.
        let _ = admin.send(Stop { gracefully: false }).await;
    }
}

/// Raises the soft limit of descriptors to the hard one, as Go programs do: each connection needs descriptors, and
/// supervisors start programs with few.
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
