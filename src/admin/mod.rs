//! The admin pages (`AdminListenAddr`): metrics, health, recent changes, the API's description and the console.
//!
//! | path | content | credentials |
//! | --- | --- | --- |
//! | `/healthz` | the process is alive | none |
//! | `/readyz` | the daemon can serve, or what is missing | none |
//! | `/metrics` | metrics for Prometheus | a viewer's, or `MetricsUser` and `MetricsPassword` |
//! | `/recent` | the last changes | a viewer's |
//! | `/recent/stream` | each change as it happens | a viewer's |
//! | `/history`, `/history/requests` | searches of the history | a viewer's |
//! | `/undo` | takes a request back (POST) | those with the role of its changes; for a dry run a viewer's |
//! | `/` | the console | a viewer's, or a session |
//! | `/login`, `/logout` | sign-in and sign-out of a browser | none, if there is a `UsersFile` |
//! | `/whoami` | the user of the request | those of any user |
//! | `/status` | the daemon's state, for the console | a viewer's |
//! | `/held-switches` | the held switches that are due next | a viewer's |
//! | `/sub-account` | a sub-account: coin, held switch, lists, index entry | a viewer's |
//! | `/openapi.json` | the API's description, for programs | a viewer's |
//! | `/docs` | the API's description, for people | a viewer's |
//! | the API's except `/switch` | the API's endpoints, for the console | as at the API |
//!
//! * `routes`: the table of paths, with metrics and health;
//! * `answer`: errors and answers;
//! * `recent`, `stream`, `history`, `status`, `held`, `sub_account`, `undo`, `docs`: one page each, `history` two;
//!   `user_lists`: a part of `/status`;
//! * `sign_in`: sessions of browsers; `whoami`: the user of a request;
//! * `console`: the files of the console.
//!
//! Only the API's endpoints, `/undo` and `/sub-account` wait for ZooKeeper, `/held-switches` for an actor's memory, and
//! searches for the disk. All other pages show the contents of [`Metrics`] and [`Listings`], and so answer without
//! ZooKeeper and during the drain.
//!
//! A browser sends credentials with requests of any site's page. So requests of other sites' pages are refused
//! (`http::csrf`), except for links to the console and `/docs`, and no GET or HEAD changes anything. Requests for a host
//! that is not the listener's are refused (`http::hosts`), except for health.

mod answer;
mod console;
mod docs;
mod held;
mod history;
mod recent;
mod routes;
mod sign_in;
mod status;
mod stream;
mod sub_account;
mod undo;
mod user_lists;
mod whoami;

use std::{io, sync::Arc, time::Duration};

use actix::Recipient;
use actix_web::web::{Data, ServiceConfig};
use prometheus_client::{metrics::counter::Counter, registry::Registry};
use slog::{Logger, o};
use switcher_actors::{
    Actors, DryRunBatch, History, Jobmakers, ListHeld, Listings, LookUp, Metrics, PutBack,
};
use tokio::sync::{Mutex, Semaphore};

use crate::{
    api::{Endpoints, RequestMetrics},
    http::{
        BoundListener, Deadlines, HttpActor, LiveConfig, Logins, Middleware, ServerLimits,
        SessionCookie, SpecialPaths, WORKER_DESCRIPTORS,
    },
};

pub use history::Searches;
pub use status::StaticInfo;

use history::{SEARCH_DESCRIPTORS, SEARCHES};

/// Limit of connections; more wait. Enough for a few scrapers, health checks and consoles.
const CONNECTIONS: usize = 32;

/// Limit of streams of changes, among these connections.
const STREAMS: usize = 8;

/// Timeout of a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Idle timeout: longer than the usual scrape interval, so that a scraper keeps its connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// Descriptors of the admin pages: connections, listening socket, worker, a file that `/metrics` reads, and searches.
pub const DESCRIPTORS: usize = CONNECTIONS + WORKER_DESCRIPTORS + 2 + SEARCHES * SEARCH_DESCRIPTORS;

const PATHS: SpecialPaths = SpecialPaths {
    open: &["/healthz", "/readyz"],
    metrics: &["/metrics"],
    linked: &["/", "/docs", sign_in::PATH],
    sign_in: &[sign_in::PATHS[0], sign_in::PATHS[1], sign_in::PATHS[2], "/console/icon.svg"],
};

/// State of the pages, shared by all connections.
struct Admin {
    metrics: Metrics,
    registry: Registry,
    live_config: LiveConfig,
    cookie: SessionCookie,
    /// A permit for each further stream.
    streams: Arc<Semaphore>,
    static_info: StaticInfo,
    views: ActorViews,
    /// `None` without a history.
    searches: Option<Searches>,
    /// Held by the undo that is under way.
    undo_turn: Mutex<()>,
    log: Logger,
}

/// The pages' access to the actors.
#[derive(Clone)]
pub struct ActorViews {
    listings: Listings,
    dry_runs: Recipient<DryRunBatch>,
    held: Recipient<ListHeld>,
    look_up: Recipient<LookUp>,
    put_back: Recipient<PutBack>,
    jobmakers: Option<Jobmakers>,
    history: History,
}

impl ActorViews {
    pub fn of(actors: &Actors) -> Self {
        Self {
            listings: actors.listings.clone(),
            dry_runs: actors.dry_runs.clone(),
            held: actors.held(),
            look_up: actors.look_up(),
            put_back: actors.undos(),
            jobmakers: actors.jobmakers.clone(),
            history: actors.history.clone(),
        }
    }
}

/// Parts of the console besides metrics.
pub struct Console {
    pub static_info: StaticInfo,
    pub views: ActorViews,
    /// `None` without a history.
    pub searches: Option<Searches>,
    /// The API's endpoints; `None` if the API is off.
    pub endpoints: Option<Endpoints>,
    pub requests: RequestMetrics,
    pub logins: Logins,
}

/// Builds the actor that serves the admin pages. `listen` is the configured address.
pub fn admin(
    (bound, listen): (BoundListener, &str),
    live_config: LiveConfig,
    metrics: Metrics,
    mut registry: Registry,
    console: Console,
    log: &Logger,
) -> io::Result<HttpActor> {
    let Console { static_info, views, searches, endpoints, requests, logins } = console;
    let log = log.new(o!("listener" => "admin"));
    let count = move |request: &_, err_no, took| requests.count_at_endpoint(request, err_no, took);
    let logins = logins.of_listener("admin", CONNECTIONS);
    let cookie = SessionCookie::new(bound.address().port());
    let middleware = Middleware::new(live_config.clone(), logins, count, &log).for_browsers(
        listen,
        PATHS,
        cookie.clone(),
        failed_logins(&mut registry),
    );
    let streams = Arc::new(Semaphore::new(STREAMS));
    let admin = Data::new(Admin {
        metrics,
        registry,
        live_config,
        cookie,
        streams,
        static_info,
        views,
        searches,
        undo_turn: Mutex::default(),
        log: log.clone(),
    });
    let limits = ServerLimits {
        workers: 1,
        connections: CONNECTIONS,
        // One more parses large batches.
        blocking_threads: SEARCHES + 1,
        deadlines: Deadlines {
            first_head: HEAD_TIMEOUT,
            idle: IDLE_TIMEOUT,
            patience: IDLE_TIMEOUT,
        },
    };
    let configure = move |config: &mut ServiceConfig| {
        config.app_data(admin.clone());
        if let Some(endpoints) = &endpoints {
            endpoints.add_posts(config);
        }
        routes::add(config);
    };
    HttpActor::new("admin", bound, limits, middleware, configure, &log)
}

/// Counter of failed logins at the admin pages alone; `switcher_failed_logins` counts all listeners.
fn failed_logins(registry: &mut Registry) -> Counter {
    let failed = Counter::default();
    registry.sub_registry_with_prefix("switcher").register(
        "admin_logins_refused",
        "Requests to the admin pages with wrong credentials, those without any not counted",
        failed.clone(),
    );
    failed
}
