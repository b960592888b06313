//! The actor of a listener: it serves, reports closed connections and refused logins, and stops.

use std::{io, rc::Rc, sync::Arc, time::Duration};

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
    body::BoxBody,
    dev::{AppConfig, Server, ServerHandle, fn_service},
    middleware::{Next, from_fn},
    rt::net::TcpStream,
    web::ServiceConfig,
};
use slog::{Logger, debug, warn};
use switcher_actors::Shown;

use super::{
    bind::BoundListener,
    connections::{Connections, Deadlines, HttpConnection, serve},
    handshakes::FailedHandshakes,
    logins::Summary,
    middleware::Middleware,
    missing_roles::LeftOut,
};

/// Interval of reports about closed connections and refused requests.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Seconds; longer than any grace period, since the daemon limits the time of a stop.
const SHUTDOWN_TIMEOUT: u64 = 3600;

/// Resources of a listener.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    pub workers: usize,
    /// Connections per worker; more wait until others have ended.
    pub connections: usize,
    /// Blocking threads per worker.
    pub blocking_threads: usize,
    pub deadlines: Deadlines,
}

/// Serves a listener until [`Stop`].
pub struct HttpActor {
    server: Option<Server>,
    handle: ServerHandle,
    connections: Connections,
    middleware: Arc<Middleware>,
    stopping: bool,
    log: Logger,
}

/// Accept no more connections and end; the reply comes when all is done. Sent once, by the daemon's shutdown.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Stop {
    /// Whether to finish requests under way first.
    pub gracefully: bool,
}

impl HttpActor {
    /// An actor that serves as soon as it is started. Every request passes `middleware`; `configure` adds the paths.
    /// `name` is the listener's in the HTTP library's own log.
    pub fn new(
        name: &'static str,
        bound: BoundListener,
        limits: ServerLimits,
        middleware: Middleware,
        configure: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
        log: &Logger,
    ) -> io::Result<Self> {
        let connections = Connections::new(limits.deadlines, bound.tls);
        let middleware = Arc::new(middleware);
        let builder = Server::build();
        let stopping = builder.graceful_shutdown_signal();
        let stopped = move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        };
        let worker = {
            let (middleware, connections) = (Arc::clone(&middleware), connections.clone());
            move || worker(&middleware, &configure, &connections, &stopped)
        };
        let server = builder
            .workers(limits.workers)
            .max_concurrent_connections(limits.connections)
            .worker_max_blocking_threads(limits.blocking_threads)
            .disable_signals()
            .shutdown_timeout(SHUTDOWN_TIMEOUT)
            .listen(name, bound.listener, worker)?
            .run();
        Ok(Self {
            handle: server.handle(),
            server: Some(server),
            connections,
            middleware,
            stopping: false,
            log: log.clone(),
        })
    }

    /// Logs handshakes and requests refused since the last call, one line per kind.
    fn report_refusals(&self) {
        let handshakes = self.connections.failed_handshakes().map(FailedHandshakes::take_summary);
        if let Some((failed, last)) = handshakes.and_then(|it| Some((it.failed, it.last?))) {
            warn!(self.log, "TLS handshakes failed"; "connections" => failed,
                "reason" => last.reason, "cause" => last.cause,
                "client" => last.client.map(|client| client.to_string()));
        }
        let Summary { failed, last, unchecked, last_unchecked, slowed, last_slowed } =
            self.middleware.logins().take_summary();
        if let Some(last) = last {
            warn!(self.log, "wrong credentials"; "requests_refused" => failed, last);
        }
        if let Some(last) = last_unchecked {
            warn!(self.log, "passwords not compared: too many logins from the address have failed, or too many wait";
                "requests_refused" => unchecked, last);
        }
        if let Some(last) = last_slowed {
            warn!(self.log, "slowing down failed logins; correct credentials are not delayed";
                "addresses" => slowed, last);
        }
        for LeftOut { missing, requests, last: (source, path) } in
            self.middleware.logins().missing_roles().take_left_out()
        {
            warn!(self.log, "more requests refused: {}", missing;
                "requests_refused" => requests, source, "path" => %Shown(&path));
        }
        if let Some((refused, host)) = self.middleware.take_refused_hosts() {
            warn!(self.log, "requests for a host that is not in AdminHosts";
                "requests_refused" => refused, "host" => host);
        }
    }
}

/// The service of a worker: its connections, the HTTP library, `middleware`, the paths of `configure`. What the
/// library's own server builds, but for the type of the connections.
fn worker<C, S, F>(
    middleware: &Arc<Middleware>,
    configure: &C,
    connections: &Connections,
    stopped: &S,
) -> impl ServiceFactory<TcpStream, Config = ()> + use<C, S, F>
where
    C: Fn(&mut ServiceConfig) + Clone,
    S: Fn() -> F + Clone + 'static,
    F: Future<Output = ()> + 'static,
{
    let middleware = Arc::clone(middleware);
    let check = move |request, next: Next<BoxBody>| Arc::clone(&middleware).handle(request, next);
    let app = App::new()
        .wrap(from_fn(check))
        .configure(configure.clone())
        .into_factory()
        .map_err(|error| error.error_response());
    let http = HttpService::build()
        // The connection has deadlines of its own.
        .client_request_timeout(Duration::ZERO)
        .client_disconnect_timeout(Duration::ZERO)
        .keep_alive(KeepAlive::Os)
        // A disconnect is noticed, so that an abandoned request does not keep others waiting.
        .h1_allow_half_closed(false)
        .on_connect_ext(|connection: &HttpConnection, data| {
            data.insert(connection.handle());
        })
        .graceful_shutdown_signal(stopped.clone())
        // The default would hold our own address, which no endpoint needs.
        .h1(map_config(app, |()| AppConfig::default()));
    let (connections, stopped) = (connections.clone(), stopped.clone());
    fn_factory(move || {
        let (connections, stopped) = (connections.clone(), stopped.clone());
        let http = http.new_service(());
        async move {
            let http = Rc::new(http.await?);
            Ok::<_, ()>(fn_service(move |stream: TcpStream| {
                let (connections, http, stopped) =
                    (connections.clone(), Rc::clone(&http), stopped());
                async move { serve(&connections, stream, http, stopped).await }
            }))
        }
    })
}

impl Actor for HttpActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some(server) = self.server.take() else { return };
        ctx.spawn(server.into_actor(self).map(|ended, act, ctx| {
            // A panic is logged and ends the process, like the death of any actor.
            assert!(act.stopping, "the HTTP server ended by itself: {ended:?}");
            act.report_refusals();
            ctx.stop();
        }));
        ctx.run_interval(REPORT_INTERVAL, |act, _| {
            let cut = act.connections.take_cut();
            if cut > 0 {
                debug!(act.log, "closed connections that sent no request or took no answer in time"; "connections" => cut);
            }
            act.report_refusals();
        });
    }
}

impl Handler<Stop> for HttpActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Stop { gracefully }: Stop, _: &mut Self::Context) -> Self::Result {
        self.stopping = true;
        self.middleware.logins().stop();
        Box::pin(self.handle.stop(gracefully))
    }
}
