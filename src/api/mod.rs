//! The API: its endpoints, their requests and their answers.
//!
//! * `routes`: the table of paths;
//! * `switch`: the switch endpoints;
//! * `sub_pool`: the sub-pool endpoints;
//! * `form`, `json`: decoders with the rules of the Go daemon;
//! * `answer`: every answer and every error with its number;
//! * `results`: the answer with a result for each entry of a batch;
//! * `request_metrics`: counters of requests;
//! * `properties`: what holds for any request, for tests and fuzz targets.

pub mod answer;
mod form;
mod json;
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
use slog::Logger;
use switcher_actors::{CoinbaseRequest, DryRunBatch, WriteBatch};

use crate::{
    config::ApiSettings,
    http::{
        BoundListener, Deadlines, HttpActor, LiveConfig, Logins, Middleware, ServerLimits,
        most_at_once,
    },
};

use sub_pool::SubPoolApi;
use switch::SwitchApi;

#[cfg(test)]
pub use answer::ApiError;
pub use answer::allow;
pub use form::Parameters;
pub use json::parse_batch;
pub use request_metrics::Requests;
pub use switch::look;

/// Connections of a worker, where descriptors allow more: the HTTP library's own choice.
const MOST_OF_A_WORKER: usize = 25_600;

/// Threads per worker for parsing large bodies; on more, they would only compete.
const PARSING_THREADS: usize = 2;

/// Where requests go.
pub struct Downstream {
    /// Switches.
    pub writer: Recipient<WriteBatch>,
    /// Dry runs.
    pub looks: Recipient<DryRunBatch>,
    /// Requests to jobmakers; `None` if the sub-pool API is off.
    pub jobmakers: Option<Recipient<CoinbaseRequest>>,
}

/// The endpoints with all that they need, for any listener. Clones share it.
#[derive(Clone)]
pub struct Endpoints {
    switches: Data<SwitchApi>,
    sub_pools: Data<SubPoolApi>,
}

impl Endpoints {
    /// Those that hand over to `downstream`.
    pub fn new(downstream: Downstream, log: &Logger) -> Self {
        let Downstream { writer, looks, jobmakers } = downstream;
        let switches = SwitchApi { writer, looks, log: log.clone() };
        let sub_pools = SubPoolApi { jobmakers, log: log.clone() };
        Self { switches: Data::new(switches), sub_pools: Data::new(sub_pools) }
    }

    /// Adds all paths of the API, and an answer for all others.
    fn add(&self, config: &mut ServiceConfig) {
        self.add_data(config);
        routes::add(config);
    }

    /// Adds the paths that change nothing by GET, for a listener that browsers call.
    pub fn add_posts(&self, config: &mut ServiceConfig) {
        self.add_data(config);
        routes::add_posts(config);
    }

    fn add_data(&self, config: &mut ServiceConfig) {
        config.app_data(self.switches.clone()).app_data(self.sub_pools.clone());
    }
}

/// The actor that serves the API by the terms `in_force`. Other listeners take up to `others` descriptors; requests are
/// counted in `requests`, failed logins in `logins`.
pub fn api(
    bound: BoundListener,
    settings: &ApiSettings,
    in_force: LiveConfig,
    endpoints: Endpoints,
    others: usize,
    (requests, logins): (Requests, Logins),
    log: &Logger,
) -> io::Result<HttpActor> {
    let workers = workers();
    let connections = (most_at_once(workers, others) / workers).clamp(1, MOST_OF_A_WORKER);
    let logins = logins.of_listener("api", connections * workers);
    let guard = Middleware::new(in_force, logins).counting(requests);
    let allowance = ServerLimits {
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
    HttpActor::new("api", bound, allowance, guard, configure, log)
}

/// Half of the cores: the other half writes to ZooKeeper, and often is ZooKeeper's. With a worker on
/// every core they spend much of their time waking each other.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2))
}
