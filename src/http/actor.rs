//! The HTTP actor: owns the actix-web server. It binds, serves, cuts idle connections, and stops.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, Recipient,
    ResponseFuture, WrapFuture,
};
use actix_http::HttpService;
use actix_service::{IntoServiceFactory, ServiceFactoryExt, map_config};
use actix_web::{
    App,
    dev::{AppConfig, Server, ServerHandle, fn_service},
    middleware::from_fn,
    rt::net::TcpStream,
    web::Data,
};
use futures_util::future::ready;
use rustix::io::Errno;
use slog::{Logger, debug, warn};
use switcher_actors::{AskJobmaker, LookAtBatch, WriteBatch};

use super::{
    auth::Gate,
    body::BodyLimits,
    connections::{Connection, Connections, most_at_once},
    guard::{Guard, guard},
    routes,
    sub_pool::SubPoolApi,
    switch::{Rules, SwitchApi},
};
use crate::{app::Failure, config::ApiSettings};

/// How often cut connections and refused logins are reported.
const SWEEP: Duration = Duration::from_secs(1);

/// Seconds. How long a stop may take is the application's to say.
const LONGER_THAN_ANY_GRACE: u64 = 3600;

/// What a client has to close a connection that we have closed.
const DISCONNECT: Duration = Duration::from_secs(1);

/// Connections of a worker, where descriptors allow more: the HTTP library's own choice.
const MOST_OF_A_WORKER: usize = 25_600;

/// Threads per worker for parsing large bodies; on more, they would only compete.
const PARSING_THREADS: usize = 2;

/// The API's address, taken before anything else is started.
pub struct Bound {
    settings: ApiSettings,
    listener: TcpListener,
    address: SocketAddr,
}

/// Where requests go.
pub struct Downstream {
    /// Switches.
    pub writer: Recipient<WriteBatch>,
    /// Dry runs.
    pub looks: Recipient<LookAtBatch>,
    /// Requests to jobmakers; `None` if the sub-pool API is off.
    pub jobmakers: Option<Recipient<AskJobmaker>>,
}

/// Binds to `listen`. `:8082` is Go's spelling for every address of both families, or of the older one
/// where the newer is switched off.
fn bind(listen: &str) -> io::Result<TcpListener> {
    let Some(port) = listen.strip_prefix(':').and_then(|port| port.parse().ok()) else {
        return TcpListener::bind(listen);
    };
    let no_ipv6 = |error: &io::Error| {
        let missing = [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL].map(Errno::raw_os_error);
        error.raw_os_error().is_some_and(|code| missing.contains(&code))
    };
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)) {
        Err(error) if no_ipv6(&error) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)),
        bound => bound,
    }
}

impl Bound {
    /// Takes the address.
    pub fn new(settings: ApiSettings) -> Result<Self, Failure> {
        let listen = || {
            let listener = bind(&settings.listen)?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let failed = |source| Failure::Listen { address: settings.listen.clone(), source };
        let (listener, address) = listen().map_err(failed)?;
        Ok(Self { settings, listener, address })
    }

    /// Where clients find us; a configured port 0 has become a real one.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Serves the API until it is told to [`Stop`].
pub struct HttpApi {
    server: Option<Server>,
    handle: ServerHandle,
    connections: Connections,
    guard: Arc<Guard>,
    stopping: bool,
    log: Logger,
}

/// Take no more connections, finish the requests under way, end. Sent once, by the application's
/// shutdown; answered when all is done.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Stop;

impl HttpApi {
    /// An actor that serves as soon as it is started.
    pub fn new(bound: Bound, downstream: Downstream, log: &Logger) -> io::Result<Self> {
        let Bound { settings, listener, .. } = bound;
        let connections = Connections::new(settings.head_timeout * 2);
        let guard_data = Data::new(Guard::new(Gate::new(&settings.credentials)));
        let Downstream { writer, looks, jobmakers } = downstream;
        let body = BodyLimits { size: settings.body_limit, time: settings.body_timeout };
        let switches = Data::new(SwitchApi {
            writer,
            looks,
            rules: Rules { coins: settings.coins, lower_case: settings.lower_case },
            body,
            log: log.clone(),
        });
        let sub_pools = Data::new(SubPoolApi {
            jobmakers,
            coinbase_max: settings.coinbase_max,
            body,
            log: log.clone(),
        });
        let guard_state = guard_data.clone().into_inner();
        let (head_timeout, opened) = (settings.head_timeout, connections.clone());
        let builder = Server::build();
        let stopping = builder.graceful_shutdown_signal();
        // What `HttpServer` would build, but for the type of its connections.
        let server = builder
            .workers(workers())
            .max_concurrent_connections(
                (most_at_once(workers()) / workers()).clamp(1, MOST_OF_A_WORKER),
            )
            .worker_max_blocking_threads(PARSING_THREADS)
            .disable_signals()
            .shutdown_timeout(LONGER_THAN_ANY_GRACE)
            .listen("api", listener, move || {
                let app = App::new()
                    .app_data(guard_data.clone())
                    .app_data(switches.clone())
                    .app_data(sub_pools.clone())
                    .wrap(from_fn(guard))
                    .configure(routes::add)
                    .into_factory()
                    .map_err(|error| error.error_response());
                let (opened, stopping) = (opened.clone(), stopping.clone());
                fn_service(move |stream: TcpStream| {
                    let peer = stream.peer_addr().ok();
                    ready(Ok((opened.open(stream), peer)))
                })
                .and_then(
                    HttpService::build()
                        .client_request_timeout(head_timeout)
                        .keep_alive(head_timeout)
                        .client_disconnect_timeout(DISCONNECT)
                        // Who has hung up is noticed, so that nobody waits behind a request that nobody
                        // waits for.
                        .h1_allow_half_closed(false)
                        .on_connect_ext(|connection: &Connection, data| {
                            data.insert(connection.tracked());
                        })
                        .graceful_shutdown_signal(move || {
                            let stopping = stopping.clone();
                            async move { stopping.notified().await }
                        })
                        // It would tell our own address, which no endpoint asks for.
                        .h1(map_config(app, |()| AppConfig::default())),
                )
            })?
            .run();
        Ok(Self {
            handle: server.handle(),
            server: Some(server),
            connections,
            guard: guard_state,
            stopping: false,
            log: log.clone(),
        })
    }
}

/// Half of the cores: the other half writes to ZooKeeper, and often is ZooKeeper's. With a worker on
/// every core they spend much of their time waking each other.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2))
}

impl Actor for HttpApi {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some(server) = self.server.take() else { return };
        ctx.spawn(server.into_actor(self).map(|ended, act, ctx| {
            // A panic is logged and ends the process, as the death of any actor shall.
            assert!(act.stopping, "the HTTP server ended by itself: {ended:?}");
            ctx.stop();
        }));
        ctx.run_interval(SWEEP, |act, _| {
            let cut = act.connections.take_cut();
            if cut > 0 {
                debug!(act.log, "connections without a request were cut"; "connections" => cut);
            }
            if let Some((refused, last)) = act.guard.take_refusals() {
                warn!(act.log, "missing or wrong credentials"; "requests_refused" => refused,
                    "last_source" => %last);
            }
        });
    }
}

impl Handler<Stop> for HttpApi {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Stop: Stop, _: &mut Self::Context) -> Self::Result {
        self.stopping = true;
        Box::pin(self.handle.stop(true))
    }
}
