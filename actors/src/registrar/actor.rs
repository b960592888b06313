//! The Registrar: takes up requests, and decides when to list them again.

use std::{rc::Rc, time::Duration};

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, fut::wrap_future,
};
use slog::Logger;
use tokio::{
    sync::{Notify, oneshot},
    time::sleep,
};

use super::{
    RegistrationSettings,
    messages::{StopRegistering, ToUserLists, ToZkWriter},
    registration::Registrations,
    under_way::UnderWay,
};
use crate::{
    metrics::Metrics,
    zk_writer::{RequestsSeen, WatchRequests},
};

/// Pause before `ZkWriter` is asked again for a session.
const NO_SESSION_PAUSE: Duration = Duration::from_millis(250);

/// Pause after a list that ZooKeeper refused.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);

/// Pause before a standby tries again to become the daemon that registers.
const STANDBY_PAUSE: Duration = Duration::from_secs(1);

/// Shortest pause between two lists: several changes at a time need one.
const LIST_PAUSE: Duration = Duration::from_millis(20);

/// Additional pause for each name in the directory: parsing a list of 100,000 names blocks `ZkWriter`'s thread, and so
/// all switches, for tens of milliseconds, and each deletion of ours changes the list.
const PAUSE_OF_A_NAME: Duration = Duration::from_micros(20);

/// Registers the sub-accounts that the stratum servers request.
pub(crate) struct Registrar {
    registrations: Rc<Registrations>,
    under_way: UnderWay,
    /// Notified when a registration has ended and there is room for more.
    room: Rc<Notify>,
    /// Whether to create the directory: until it has been seen once, never again at runtime.
    creates_dir: bool,
    /// The daemon that registers, while another one does.
    holder: Option<String>,
    /// Last logged reason why there is no list, so that it is logged once: ZooKeeper's refusal, or empty if the
    /// directory is missing. `None` while the requests can be listed.
    logged: Option<String>,
}

impl Registrar {
    /// An actor that registers as soon as it is started and ZooKeeper can be reached. Reads the certificate
    /// authorities, which may take a moment. Without `to_lists` no sub-account gets a first coin.
    pub(crate) fn new(
        settings: RegistrationSettings,
        to_writer: ToZkWriter,
        to_lists: Option<ToUserLists>,
        metrics: &Metrics,
        log: &Logger,
    ) -> Self {
        let registrations = Registrations::new(settings, to_writer, to_lists, metrics, log);
        Self {
            registrations: Rc::new(registrations),
            under_way: UnderWay::default(),
            room: Rc::default(),
            creates_dir: true,
            holder: None,
            logged: None,
        }
    }

    /// Requests a list. Never called while another one is requested.
    fn list(&mut self, ctx: &mut Context<Self>) {
        self.under_way.list_begins();
        let (reply, seen) = oneshot::channel();
        let RegistrationSettings { dir, lock, .. } = &self.registrations.settings;
        let (dir, lock) = (dir.clone(), lock.clone());
        let watch = WatchRequests { dir, lock, creates_dir: self.creates_dir, reply };
        let asked = self.registrations.to_writer.watch.send(watch);
        let list = async move {
            // Only an actor that has ended does not reply.
            let _ = asked.await;
            seen.await.unwrap_or(RequestsSeen::NoSession)
        };
        ctx.spawn(wrap_future::<_, Self>(list).map(|seen, act, ctx| act.seen(seen, ctx)));
    }

    fn seen(&mut self, seen: RequestsSeen, ctx: &mut Context<Self>) {
        let journal = &self.registrations.journal;
        let is_elected =
            matches!(seen, RequestsSeen::Requests { .. } | RequestsSeen::NoDirectory { .. });
        if is_elected && self.holder.take().is_some() {
            journal.turn(None);
            // A request that the other daemon sent before the end of its session has ended by then.
            ctx.run_later(self.registrations.settings.timeout, Self::list);
            return;
        }
        match seen {
            RequestsSeen::Standby { holder } => {
                if self.holder.as_ref() != Some(&holder) {
                    journal.turn(Some(&holder));
                    self.holder = Some(holder);
                }
                ctx.run_later(STANDBY_PAUSE, Self::list);
            }
            // ZkWriter logs that.
            RequestsSeen::NoSession => drop(ctx.run_later(NO_SESSION_PAUSE, Self::list)),
            RequestsSeen::Refused(cause) => {
                if self.logged.replace(cause.clone()).is_none_or(|logged| logged != cause) {
                    journal.not_listed(&cause);
                }
                ctx.run_later(REFUSED_PAUSE, Self::list);
            }
            RequestsSeen::NoDirectory { created } => {
                let dir = self.registrations.settings.dir.as_str();
                if self.logged.replace(String::new()).is_none_or(|logged| !logged.is_empty()) {
                    journal.no_directory(dir);
                }
                self.list_after(async move { created.fired().await }, LIST_PAUSE, ctx);
            }
            RequestsSeen::Requests { names, changed } => {
                self.creates_dir = false;
                if self.logged.take().is_some() {
                    journal.listed_again(self.registrations.settings.dir.as_str());
                }
                let listed = u32::try_from(names.len()).unwrap_or(u32::MAX);
                let pause = LIST_PAUSE + PAUSE_OF_A_NAME * listed;
                for name in self.under_way.take(names) {
                    self.register(name, ctx);
                }
                journal_depth(self);
                let (left_over, room) = (self.under_way.left_over(), Rc::clone(&self.room));
                let worth_a_list = async move {
                    // Without room a change is no reason to list again.
                    if left_over { room.notified().await } else { changed.fired().await }
                };
                self.list_after(worth_a_list, pause, ctx);
            }
        }
    }

    fn list_after(
        &self,
        event: impl Future<Output = ()> + 'static,
        pause: Duration,
        ctx: &mut Context<Self>,
    ) {
        let waiting = async move {
            event.await;
            sleep(pause).await;
        };
        ctx.spawn(wrap_future::<_, Self>(waiting).map(|(), act, ctx| act.list(ctx)));
    }

    fn register(&self, name: String, ctx: &mut Context<Self>) {
        let registering = Rc::clone(&self.registrations).run(name.clone());
        ctx.spawn(wrap_future::<_, Self>(registering).map(move |(), act, _| {
            act.under_way.end(name);
            journal_depth(act);
            if act.under_way.has_room() {
                act.room.notify_one();
            }
        }));
    }
}

fn journal_depth(registrar: &Registrar) {
    registrar.registrations.journal.under_way(registrar.under_way.len());
}

impl Actor for Registrar {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.list(ctx);
    }
}

impl Handler<StopRegistering> for Registrar {
    type Result = ();

    fn handle(&mut self, _: StopRegistering, ctx: &mut Self::Context) {
        self.registrations.journal.abandoned(self.under_way.len());
        self.registrations.journal.under_way(0);
        ctx.stop();
    }
}

#[cfg(test)]
mod tests;
