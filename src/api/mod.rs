//! The API: its endpoints, their requests and their answers.
//!
//! * `routes`: the table of paths;
//! * `switch`: the switch endpoints;
//! * `outbox`: switches on their way to `ZkWriter`;
//! * `sub_pool`: the sub-pool endpoints;
//! * `list`: the user lists, under all other paths;
//! * `form`, `json`: decoders with the rules of the Go daemon;
//! * `answer`: every error with its number, and the answers;
//! * `results`: the answer with a result for each entry of a batch;
//! * `request_metrics`: number and duration of requests;
//! * `properties`: properties that hold for any request, for tests and fuzz targets.

pub mod answer;
mod form;
mod json;
mod list;
mod outbox;
#[cfg(any(test, fuzzing))]
pub mod properties;
pub mod request_metrics;
pub mod results;
pub mod routes;
mod sub_pool;
mod switch;

use std::io;

use actix::Recipient;
use actix_web::web::{Data, ServiceConfig};
use slog::{Logger, o};
use switcher_actors::{Actors, DryRunBatch, History, WriteBatches};

use crate::{
    config::{ApiSettings, ListApiSettings},
    http::{
        BoundListener, Deadlines, HttpActor, LiveConfig, Logins, Middleware, ServerLimits,
        WORKER_DESCRIPTORS, max_connections,
    },
};

use outbox::Outbox;
use sub_pool::SubPoolApi;
use switch::SwitchApi;

#[cfg(test)]
pub use answer::ApiError;
pub use form::{Parameters, media_type, pairs};
pub use json::parse_batch;
pub use list::ListApi;
pub use request_metrics::RequestMetrics;
pub use switch::dry_run;

/// Most connections of a worker: the HTTP library's default.
const MAX_WORKER_CONNECTIONS: usize = 25_600;

/// Threads per worker for parsing large bodies; more would only compete.
const PARSING_THREADS: usize = 2;

/// The endpoints, for any listener.
#[derive(Clone)]
pub struct Endpoints {
    writer: Recipient<WriteBatches>,
    dry_runs: Recipient<DryRunBatch>,
    history: History,
    sub_pools: Data<SubPoolApi>,
    log: Logger,
}

impl Endpoints {
    pub fn new(actors: &Actors, log: &Logger) -> Self {
        let sub_pools = SubPoolApi { jobmakers: actors.jobmakers.clone(), log: log.clone() };
        Self {
            writer: actors.writer.clone(),
            dry_runs: actors.dry_runs.clone(),
            history: actors.history.clone(),
            sub_pools: Data::new(sub_pools),
            log: log.clone(),
        }
    }

    /// Adds all paths of the API, and an answer for all others.
    fn add(&self, config: &mut ServiceConfig) {
        self.add_data(config);
        routes::add(config);
    }

    /// Adds the paths that change nothing by GET, for a listener for browsers.
    pub fn add_posts(&self, config: &mut ServiceConfig) {
        self.add_data(config);
        routes::add_posts(config);
    }

    /// Adds the state of a worker's endpoints.
    fn add_data(&self, config: &mut ServiceConfig) {
        let switches = SwitchApi {
            outbox: Outbox::new(self.writer.clone()),
            dry_runs: self.dry_runs.clone(),
            history: self.history.clone(),
            log: self.log.clone(),
        };
        config.app_data(Data::new(switches)).app_data(self.sub_pools.clone());
    }
}

/// The actor that serves the API. Other listeners take up to `others` descriptors.
pub fn listener(
    bound: BoundListener,
    settings: &ApiSettings,
    live_config: LiveConfig,
    (endpoints, lists): (Endpoints, Option<ListApi>),
    others: usize,
    (metrics, logins): (RequestMetrics, Logins),
    log: &Logger,
) -> io::Result<HttpActor> {
    let workers = workers();
    let connections = (max_connections(workers, others) / workers).clamp(1, MAX_WORKER_CONNECTIONS);
    let logins = logins.of_listener("api", connections * workers);
    let count = move |request: &_, err_no, took| metrics.count(request, err_no, took);
    let mut middleware = Middleware::new(live_config, logins, count, log);
    if let Some(lists) = lists {
        middleware = middleware.with_public(move |request, config| lists.answer(request, config));
    }
    let limits = ServerLimits {
        workers,
        connections,
        blocking_threads: PARSING_THREADS,
        deadlines: Deadlines {
            first_head: settings.head_timeout,
            idle: settings.head_timeout,
            patience: settings.head_timeout * 2,
        },
    };
    let configure = move |config: &mut ServiceConfig| endpoints.add(config);
    HttpActor::new("api", bound, limits, middleware, configure, log)
}

/// Descriptors of the lists' own listener: connections, listening socket, worker.
pub const LIST_DESCRIPTORS: usize = LIST_CONNECTIONS + WORKER_DESCRIPTORS + 1;

/// Maximum connections of the lists' own listener; its clients are a few stratum servers.
const LIST_CONNECTIONS: usize = 128;

/// The actor that serves the user lists alone, at a listener of their own.
pub fn list_listener(
    bound: BoundListener,
    settings: &ListApiSettings,
    live_config: LiveConfig,
    lists: ListApi,
    (metrics, logins): (RequestMetrics, Logins),
    log: &Logger,
) -> io::Result<HttpActor> {
    let log = log.new(o!("listener" => "lists"));
    let logins = logins.of_listener("lists", LIST_CONNECTIONS);
    let count = move |request: &_, err_no, took| metrics.count(request, err_no, took);
    let middleware = Middleware::new(live_config, logins, count, &log)
        .with_public(move |request, config| lists.answer(request, config));
    let limits = ServerLimits {
        workers: 1,
        connections: LIST_CONNECTIONS,
        blocking_threads: 1,
        deadlines: Deadlines {
            first_head: settings.head_timeout,
            idle: settings.head_timeout,
            patience: settings.head_timeout * 2,
        },
    };
    HttpActor::new("lists", bound, limits, middleware, routes::add_none, &log)
}

/// Half of the cores: the other half writes to ZooKeeper, and often is ZooKeeper's. With a worker on
/// every core they spend much of their time waking each other.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2))
}
