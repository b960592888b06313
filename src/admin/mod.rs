//! The admin pages: what an operator and a monitoring system look at, on a listener of their own
//! (`AdminListenAddr`).
//!
//! | path | what | credentials |
//! | --- | --- | --- |
//! | `/healthz` | whether the process is alive | |
//! | `/readyz` | whether the daemon can serve, and what is missing | |
//! | `/metrics` | figures for Prometheus | those of the API, or `MetricsUser` and `MetricsPassword` |
//! | `/recent` | the last changes | those of the API |
//! | `/recent/stream` | each change as it is settled | those of the API |
//! | `/` | the console, a page for operators | those of the API |
//! | `/status` | what the console shows of the daemon | those of the API |
//! | `/sub-account` | what a sub-account's znode holds | those of the API |
//! | `/openapi.json` | the API's description, for programs | those of the API |
//! | `/docs` | the same for people | those of the API |
//! | the API's but `/switch` | the same endpoints, for the console | those of the API |
//!
//! * `pages`: the table of paths; figures and health;
//! * `recent`: the last changes;
//! * `stream`: changes as they come;
//! * `docs`: the API's description;
//! * `console`: the files of the console, which a browser runs;
//! * `status`: what it shows of the daemon;
//! * `sub_account`: what a sub-account's znode holds.
//!
//! But for the API's endpoints and `sub_account` they ask no actor: what they show lies ready in an [`Metrics`].
//! So they answer while ZooKeeper does not, and while the daemon ends.
//!
//! Browsers send credentials along with whatever any page has them send. So requests of other sites' pages are refused
//! (`http::origin`), except for a link to the console or to `/docs`; and nothing here may change anything by GET or
//! HEAD. Requests for another host than the listener's own are refused, too (`http::hosts`), except for health.

mod console;
mod docs;
mod pages;
mod recent;
mod status;
mod stream;
mod sub_account;

use std::{io, sync::Arc, time::Duration};

use actix::Recipient;
use actix_web::web::{Data, ServiceConfig};
use prometheus_client::{metrics::counter::Counter, registry::Registry};
use slog::{Logger, o};
use switcher_actors::{DryRunBatch, Metrics};
use tokio::sync::Semaphore;

use crate::{
    api::{Endpoints, Requests},
    http::{
        BoundListener, Deadlines, HttpActor, LiveConfig, Logins, Middleware, OF_A_WORKER,
        ServerLimits,
    },
};

pub use status::StaticInfo;

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

/// Paths that the scraper's credentials open, and which need not be those that move miners.
const SCRAPED: &[&str] = &["/metrics"];

/// Pages that a link on another site may lead to.
const LINKED: &[&str] = &["/", "/docs"];

/// What the pages show. One is shared by all connections.
struct Admin {
    metrics: Metrics,
    registry: Registry,
    /// Who may look.
    live_config: LiveConfig,
    /// A permit for each stream that may still be opened.
    streams: Arc<Semaphore>,
    static_info: StaticInfo,
    looks: Recipient<DryRunBatch>,
}

/// What the console works with, beside what is watched.
pub struct Console {
    /// Of the configuration.
    pub static_info: StaticInfo,
    /// Where looks go.
    pub looks: Recipient<DryRunBatch>,
    /// The API's; `None` if it is off.
    pub endpoints: Option<Endpoints>,
    /// Where requests to them are counted.
    pub requests: Requests,
    /// Where failed logins are counted.
    pub logins: Logins,
}

/// The actor that serves the admin pages, whose configured address is `listen`, by the terms `live_config`.
pub fn admin(
    (bound, listen): (BoundListener, &str),
    live_config: LiveConfig,
    metrics: Metrics,
    mut registry: Registry,
    console: Console,
    log: &Logger,
) -> io::Result<HttpActor> {
    let Console { static_info, looks, endpoints, requests, logins } = console;
    let guard = Middleware::new(live_config.clone(), logins.of_listener("admin", CONNECTIONS))
        .counting(requests)
        .with_open_paths(OPEN)
        .with_scraped_paths(SCRAPED)
        .counting_failed_logins(failed_logins(&mut registry))
        .for_browsers(listen, LINKED);
    let streams = Arc::new(Semaphore::new(STREAMS));
    let admin = Data::new(Admin { metrics, registry, live_config, streams, static_info, looks });
    let allowance = ServerLimits {
        workers: 1,
        connections: CONNECTIONS,
        blocking_threads: 1,
        deadlines: Deadlines { first_head: HEAD_TIMEOUT, idle: PATIENCE, patience: PATIENCE },
    };
    let configure = move |config: &mut ServiceConfig| {
        config.app_data(admin.clone());
        if let Some(endpoints) = &endpoints {
            endpoints.add_posts(config);
        }
        pages::add(config);
    };
    let log = log.new(o!("listener" => "admin"));
    HttpActor::new("admin", bound, allowance, guard, configure, &log)
}

/// Counts failed logins at the admin pages, under the name that was there before both listeners' were counted.
fn failed_logins(registry: &mut Registry) -> Counter {
    let failed = Counter::default();
    registry.sub_registry_with_prefix("switcher").register(
        "admin_logins_refused",
        "Requests to the admin pages with wrong credentials, those without any not counted",
        failed.clone(),
    );
    failed
}
