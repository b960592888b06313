//! States of the session: connected, lost, away, and at last ended.
//!
//! [`Session`](crate::zk::Session) makes one attempt to connect; when the next one comes, and its log lines, are decided
//! here.

use std::{
    collections::HashSet,
    iter,
    time::{Duration, Instant},
};

use actix::{ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture, fut::wrap_future};
use slog::{info, warn};

use super::actor::ZkWriter;
use crate::{
    domain::{ZnodeDir, seconds},
    zk::{ConnectError, Connection, Established, RECONNECT_PAUSE},
};

/// Time without a session. The log names each cause once an outage.
pub(super) struct Outage {
    since: Option<Instant>,
    logged_causes: HashSet<String>,
}

impl Outage {
    /// The outage until the first session.
    pub(super) fn at_start() -> Self {
        Self { since: Some(Instant::now()), logged_causes: HashSet::new() }
    }
}

impl ZkWriter {
    pub(super) fn connect(&mut self, ctx: &mut Context<Self>) {
        let Some(mut session) = self.session.take() else { return };
        let dirs: Vec<ZnodeDir> =
            iter::once(&self.settings.watch_dir).chain(&self.settings.index).cloned().collect();
        let attempt = async move {
            let mut result = session.connect().await;
            let mut missing = Vec::new();
            if let Ok(established) = &mut result {
                for dir in dirs {
                    if let Err(error) = established.connection.ensure_directory(&dir).await {
                        missing.push((dir, error));
                    }
                }
            }
            (session, result, missing)
        };
        ctx.spawn(wrap_future::<_, Self>(attempt).map(|(session, result, missing), act, ctx| {
            act.session = Some(session);
            match result {
                Ok(established) => {
                    for (dir, error) in missing {
                        warn!(act.log, "cannot create a directory; writes below it will fail until \
                            it exists: check its parents and their ACLs";
                            "directory" => %dir, "cause" => %error);
                    }
                    act.connected(established, ctx);
                }
                Err(error) => act.not_connected(&error, ctx),
            }
            act.close_if_drained(ctx);
        }));
    }

    fn connected(&mut self, established: Established, ctx: &mut Context<Self>) {
        let Established { connection, session, version_assumed, tls_faults } = established;
        let away = self.outage.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        self.outage.logged_causes.clear();
        self.metrics.session_up();
        info!(self.log, "ZooKeeper session is up"; "session" => session,
            "server_version" => %connection.version(),
            "seconds_without" => seconds(away));
        if version_assumed {
            warn!(self.log, "a broker does not report its version (four-letter word srvr). Until the next connection \
                the daemon uses only operations of the oldest supported version, which are slower: \
                allow srvr in 4lw.commands.whitelist, or set ZKServerVersion";
                "assumed" => %connection.version());
        }
        for cause in tls_faults {
            warn!(self.log, "TLS to a ZooKeeper server fails, so the daemon has only the others";
                "cause" => cause);
        }
        ctx.spawn(connection.lost().into_actor(self).map(|state, act, ctx| act.lost(&state, ctx)));
        let limit = connection.small_request_limit();
        ctx.spawn(limit.into_actor(self).map(|limit, act, _| act.note_request_limit(limit)));
        self.connection = Some(connection);
        self.held.session_up();
        self.pump_switches(ctx);
        self.pump_dry_runs(ctx);
        for sub_pool in self.sub_pools.as_ref().map(|it| it.lanes.idle()).unwrap_or_default() {
            self.begin_exchange(&sub_pool, ctx);
        }
    }

    fn note_request_limit(&mut self, limit: Option<usize>) {
        // Logged again only for another limit.
        if let Some(bytes) = limit
            && self.small_request_limit.replace(bytes) != limit
        {
            warn!(self.log, "a ZooKeeper server takes only small requests, so large batches and polls are \
                slower: raise its jute.maxbuffer (1048575 is the default) on all servers";
                "bytes_at_most" => bytes);
        }
    }

    fn not_connected(&mut self, error: &ConnectError, ctx: &mut Context<Self>) {
        if self.outage.logged_causes.insert(error.to_string()) {
            warn!(self.log, "no ZooKeeper session; trying again. Until then switches fail with 105 at their time \
                limit, and sub-pool requests fail, too: check the servers in ZKBroker"; "cause" => %error);
        }
        ctx.run_later(RECONNECT_PAUSE, Self::connect);
    }

    fn lost(&mut self, state: &str, ctx: &mut Context<Self>) {
        if self.connection.take().is_none() {
            return;
        }
        self.metrics.connection_lost();
        warn!(self.log, "ZooKeeper connection lost; reconnecting"; "session_state" => state,
            "transactions_under_way" => self.chunks_under_way,
            "polls_under_way" => self.polls_under_way);
        self.outage.since = Some(Instant::now());
        // Ends the requests under way, too: their outcome is unknown, and they must not be sent later.
        if let Some(session) = &mut self.session {
            session.disconnect();
        }
        self.connect(ctx);
    }

    /// Ends the session, and then the actor, once nothing waits or is under way.
    pub(super) fn close_if_drained(&mut self, ctx: &mut Context<Self>) {
        // An attempt to connect holds the session and calls this again at its end.
        let exchanges =
            self.sub_pools.as_ref().is_some_and(|sub_pools| !sub_pools.lanes.is_empty());
        let under_way = self.chunks_under_way
            + self.polls_under_way
            + self.registrations_under_way
            + self.undos_under_way
            + self.replies_under_way;
        let switches = !self.queue.is_empty() || !self.dry_runs.is_empty();
        if switches
            || under_way > 0
            || self.held.round_under_way
            || exchanges
            || self.session.is_none()
        {
            return;
        }
        let Some(draining) = &mut self.draining else { return };
        let (Some(done), Some(session)) = (draining.done.take(), self.session.take()) else {
            return;
        };
        let had_one = session.held().is_some();
        self.metrics.session_given_up();
        let ending = session.end(self.connection.take(), draining.until);
        ctx.spawn(ending.into_actor(self).map(move |left, act, ctx| {
            match left {
                None if !had_one => {}
                None => info!(act.log, "ZooKeeper session closed"),
                Some(session) => {
                    warn!(act.log, "the ZooKeeper session could not be ended. Until ZooKeeper expires the session, a \
                    switch of unknown outcome may still be written: check such switches afterwards";
                    "session" => session,
                    "expires_after_seconds" => act.settings.zookeeper.session_timeout.as_secs())
                }
            }
            let _ = done.send(());
            ctx.stop();
        }));
    }
}

/// The connection, if requests on it go out now or never.
pub(super) fn live(connection: &Option<Connection>) -> Option<&Connection> {
    connection.as_ref().filter(|connection| !connection.is_lost())
}
