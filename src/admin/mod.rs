//! The admin pages: what an operator and a monitoring system look at, on a listener of their own
//! (`AdminListenAddr`).
//!
//! | path | what | credentials |
//! | --- | --- | --- |
//! | `/healthz` | whether the process is alive | |
//! | `/readyz` | whether the daemon can serve, and what is missing | |
//! | `/metrics` | figures for Prometheus | those of the API |
//! | `/recent` | the last changes | those of the API |
//! | `/recent/stream` | each change as it is settled | those of the API |
//! | `/openapi.json` | the API's description, for programs | those of the API |
//! | `/docs` | the same for people | those of the API |
//!
//! * `figures`: gathers all that `/metrics` shows;
//! * `process`: the figures of the process itself;
//! * `pages`: the table of paths; figures and health;
//! * `recent`: the last changes;
//! * `stream`: changes as they come;
//! * `docs`: the API's description.
//!
//! They ask no actor: what they show lies ready in an [`Observer`]. So they answer while ZooKeeper does not, and
//! while the daemon ends.

mod docs;
mod figures;
mod pages;
mod process;
mod recent;
mod stream;

use std::{io, sync::Arc, time::Duration};

use actix_web::web::{Data, ServiceConfig};
use prometheus_client::registry::Registry;
use slog::{Logger, o};
use switcher_actors::Observer;
use tokio::sync::Semaphore;

use crate::{
    config::AdminSettings,
    http::{Allowance, Bound, Facts, Gate, Guard, HttpServer, OF_A_WORKER},
};

pub use figures::Figures;

/// Connections at a time; more wait until others have ended. A few scrapers, health checks and consoles.
const CONNECTIONS: usize = 32;

/// Streams of changes at a time, of these connections.
const STREAMS: usize = 8;

/// For a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Longer than the time from one scrape to the next, so that a scraper keeps its connection.
const PATIENCE: Duration = Duration::from_secs(75);

/// Descriptors that the admin pages may take: their connections, the socket that listens, what the worker needs,
/// and a file that is read for `/metrics`.
pub const DESCRIPTORS: usize = CONNECTIONS + OF_A_WORKER + 2;

/// Paths for which nobody needs credentials: health checks have none.
const OPEN: &[&str] = &["/healthz", "/readyz"];

/// What the pages show. One is shared by all connections.
struct Admin {
    observer: Observer,
    registry: Registry,
    /// What the API's description tells of this daemon; `None` if the API is off.
    api: Option<Facts>,
    /// A permit for each stream that may still be opened.
    streams: Arc<Semaphore>,
}

/// The actor that serves the admin pages. `api` is what they tell of the API, if it is on.
pub fn admin(
    bound: Bound,
    settings: &AdminSettings,
    observer: Observer,
    registry: Registry,
    api: Option<Facts>,
    log: &Logger,
) -> io::Result<HttpServer> {
    let gate = settings.credentials.as_ref().map_or_else(Gate::closed, Gate::new);
    let admin =
        Data::new(Admin { observer, registry, api, streams: Arc::new(Semaphore::new(STREAMS)) });
    let allowance = Allowance {
        workers: 1,
        connections: CONNECTIONS,
        blocking_threads: 1,
        head_timeout: HEAD_TIMEOUT,
        keep_alive: PATIENCE,
        patience: PATIENCE,
    };
    let configure = move |config: &mut ServiceConfig| {
        config.app_data(admin.clone());
        pages::add(config);
    };
    let log = log.new(o!("listener" => "admin"));
    HttpServer::new("admin", bound, allowance, Guard::with_open_paths(gate, OPEN), configure, &log)
}
