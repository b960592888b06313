//! The actor that owns a listener: it serves, reports cut connections and refused logins, and stops. One serves
//! the API, another one the admin pages.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, ResponseFuture,
    WrapFuture,
};
use actix_http::{HttpService, KeepAlive};
use actix_service::{
    IntoServiceFactory, ServiceFactory, ServiceFactoryExt, fn_factory, map_config,
};
use actix_web::{
    App,
    dev::{AppConfig, Server, ServerHandle, fn_service},
    middleware::from_fn,
    rt::net::TcpStream,
    web::{Data, ServiceConfig},
};
use rustix::io::Errno;
use slog::{Logger, debug, warn};
use socket2::SockRef;

use super::{
    connections::{Connection, Connections, Deadlines, serve},
    hosts::LocalIp,
    logins::Summary,
    middleware::{Middleware, guard},
};
use crate::daemon::Failure;

/// How often cut connections and refused logins are reported.
const SWEEP: Duration = Duration::from_secs(1);

/// Connections that wait to be accepted; the kernel caps it (`net.core.somaxconn`), as for Go's listener. The standard
/// library's 128 lets a burst of clients wait a second until they connect again.
const BACKLOG: i32 = 4096;

/// Seconds. How long a stop may take is the application's to say.
const LONGER_THAN_ANY_GRACE: u64 = 3600;

/// An address that is taken, before anything else is started.
pub struct BoundListener {
    listener: TcpListener,
    address: SocketAddr,
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

impl BoundListener {
    /// Takes the address `listen`, which is the value of the configuration's `key`.
    pub fn new(key: &'static str, listen: &str) -> Result<Self, Failure> {
        let taken = || {
            let listener = bind(listen)?;
            listener.set_nonblocking(true)?;
            // Listening again only replaces the backlog.
            SockRef::from(&listener).listen(BACKLOG)?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address })
        };
        taken().map_err(|source| Failure::Listen { key, address: listen.to_owned(), source })
    }

    /// Where clients find us; a configured port 0 has become a real one.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// What a listener allows its clients.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// Threads that serve.
    pub workers: usize,
    /// Connections of a worker; more wait until others have ended.
    pub connections: usize,
    /// Threads of a worker for what would hold others up.
    pub blocking_threads: usize,
    /// Deadlines of a connection.
    pub deadlines: Deadlines,
}

/// Serves until it is told to [`Stop`].
pub struct HttpActor {
    server: Option<Server>,
    handle: ServerHandle,
    connections: Connections,
    guard: Arc<Middleware>,
    stopping: bool,
    log: Logger,
}

/// Take no more connections and end; answered when all is done. Sent once, by the application's shutdown.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Stop {
    /// Whether the requests under way are finished before.
    pub gracefully: bool,
}

impl HttpActor {
    /// An actor that serves as soon as it is started: everything passes `guard` first; `configure` adds the paths.
    /// `name` is the listener's in the HTTP library's own log.
    pub fn new(
        name: &'static str,
        bound: BoundListener,
        allowance: ServerLimits,
        guard: Middleware,
        configure: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
        log: &Logger,
    ) -> io::Result<Self> {
        let connections = Connections::new(allowance.deadlines);
        let opened = connections.clone();
        let guard_data = Data::new(guard.logging(log));
        let guard_state = guard_data.clone().into_inner();
        let builder = Server::build();
        let stopping = builder.graceful_shutdown_signal();
        // What the library's `HttpActor` would build, but for the type of its connections.
        let server = builder
            .workers(allowance.workers)
            .max_concurrent_connections(allowance.connections)
            .worker_max_blocking_threads(allowance.blocking_threads)
            .disable_signals()
            .shutdown_timeout(LONGER_THAN_ANY_GRACE)
            .listen(name, bound.listener, move || {
                let app = App::new()
                    .app_data(guard_data.clone())
                    .wrap(from_fn(self::guard))
                    .configure(configure.clone())
                    .into_factory()
                    .map_err(|error| error.error_response());
                let draining = stopping.clone();
                let http = HttpService::build()
                    // Deadlines are the connection's own.
                    .client_request_timeout(Duration::ZERO)
                    .client_disconnect_timeout(Duration::ZERO)
                    .keep_alive(KeepAlive::Os)
                    // A disconnect is noticed, so that an abandoned request does not keep others waiting.
                    .h1_allow_half_closed(false)
                    .on_connect_ext(|connection: &Connection, data| {
                        data.insert(connection.tracked());
                        if let Some(ip) = connection.local_ip() {
                            data.insert(LocalIp(ip));
                        }
                    })
                    .graceful_shutdown_signal(move || {
                        let draining = draining.clone();
                        async move { draining.notified().await }
                    })
                    // The default would hold our own address, which no endpoint needs.
                    .h1(map_config(app, |()| AppConfig::default()));
                let (opened, stopping) = (opened.clone(), stopping.clone());
                fn_factory(move || {
                    let (opened, stopping) = (opened.clone(), stopping.clone());
                    let http = http.new_service(());
                    async move {
                        let http = Rc::new(http.await?);
                        Ok::<_, ()>(fn_service(move |stream: TcpStream| {
                            let (http, stopping) = (Rc::clone(&http), stopping.clone());
                            let peer = stream.peer_addr().ok();
                            let connection = opened.open(stream);
                            async move { serve(connection, peer, http, stopping.notified()).await }
                        }))
                    }
                })
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

impl HttpActor {
    /// Logs what the guard has refused since the last call, in a line for each kind.
    fn report_refusals(&self) {
        let Summary { failed, last, slowed, last_slowed } = self.guard.logins().take_summary();
        if let Some(last) = last {
            warn!(self.log, "wrong credentials"; "requests_refused" => failed, last);
        }
        if let Some(last) = last_slowed {
            warn!(self.log, "slowing down failed logins; correct credentials are not delayed";
                "addresses" => slowed, last);
        }
        if let Some((refused, host)) = self.guard.take_refused_hosts() {
            warn!(self.log, "requests for a host that is not in AdminHosts";
                "requests_refused" => refused, "host" => host);
        }
    }
}

impl Actor for HttpActor {
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
                debug!(act.log, "connections that sent no request, or took no answer, were cut"; "connections" => cut);
            }
            act.report_refusals();
        });
    }
}

impl Handler<Stop> for HttpActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Stop { gracefully }: Stop, _: &mut Self::Context) -> Self::Result {
        self.stopping = true;
        self.guard.logins().stop();
        Box::pin(self.handle.stop(gracefully))
    }
}
