//! One registration, from the request to its deletion.

use std::{rc::Rc, time::Duration};

use slog::Logger;
use tokio::{
    sync::{Semaphore, oneshot},
    time::{Instant, sleep},
};

use super::{
    RegistrationSettings,
    backend::{Backend, BackendFault},
    journal::{Journal, NO_FIRST_COIN},
    messages::{ToUserLists, ToZkWriter},
};
use crate::{
    domain::{Coin, Puname},
    metrics::{Metrics, RegistrationEnd},
    user_lists::{Registered, Settle},
    zk_writer::DeleteRequest,
};

/// Pause before ZooKeeper is asked again; doubles with each failure.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Longest pause before ZooKeeper is asked again.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Everything that registrations need.
pub(super) struct Registrations {
    pub(super) settings: RegistrationSettings,
    backend: Backend,
    /// Requests to the backend that may begin.
    turns: Semaphore,
    pub(super) to_writer: ToZkWriter,
    /// `None` without user lists: then no sub-account gets a first coin.
    to_lists: Option<ToUserLists>,
    pub(super) journal: Journal,
}

impl Registrations {
    pub(super) fn new(
        settings: RegistrationSettings,
        to_writer: ToZkWriter,
        to_lists: Option<ToUserLists>,
        metrics: &Metrics,
        log: &Logger,
    ) -> Self {
        Self {
            backend: Backend::new(&settings, log),
            turns: Semaphore::new(settings.parallel.max(1)),
            settings,
            to_writer,
            to_lists,
            journal: Journal::new(log, metrics),
        }
    }

    /// Registers a name, and deletes its request. The order is what the stratum servers need: they read the coin once,
    /// as soon as the request is gone. Dropped, it leaves the request, and a later start registers the name again, which
    /// backends have to bear (contract, section 5).
    pub(super) async fn run(self: Rc<Self>, name: String) {
        let began = Instant::now();
        self.journal.taken_up(&name);
        let (end, cause) = match Puname::parse(&name).and(Puname::parse_lower_case(&name)) {
            Ok(_) => self.register(&name).await,
            Err(fault) => {
                self.journal.invalid_name(&name, fault);
                (RegistrationEnd::InvalidName, Some(format!("the name {fault}")))
            }
        };
        self.until_done(&name, "the request is not deleted", || self.delete(&name)).await;
        self.journal.ended(&name, end, cause, began.elapsed());
    }

    /// Returns the result, and why the name is not registered.
    async fn register(&self, name: &str) -> (RegistrationEnd, Option<String>) {
        let answer = {
            // Never closed.
            let _turn = self.turns.acquire().await;
            self.journal.requested(name);
            self.backend.register(name).await
        };
        let puid = match answer {
            Ok(puid) => puid,
            Err(fault) => {
                self.journal.not_registered(name, &fault);
                let end = match fault {
                    BackendFault::Refused(_) => RegistrationEnd::Refused,
                    BackendFault::TimedOut(_) => RegistrationEnd::TimedOut,
                    BackendFault::Failed(_) => RegistrationEnd::Failed,
                };
                return (end, Some(fault.to_string()));
            }
        };
        let first = self.settings.default_coin.as_ref().zip(self.to_lists.as_ref());
        self.journal.registered(name, puid, first.map(|(coin, _)| coin));
        if let Some((coin, to_lists)) = first {
            let registered = Registered { coin: coin.clone(), name: name.to_owned(), puid };
            // Without `UserLists` the daemon is ending.
            let _ = to_lists.registered.send(registered).await;
        }
        sleep(self.settings.wait).await;
        if let Some((coin, to_lists)) = first {
            let consequence = "the first coin is not written; the request stays";
            self.until_done(name, consequence, || settle(to_lists, coin, name)).await;
        }
        let cause = first.is_none().then(|| NO_FIRST_COIN.to_owned());
        (RegistrationEnd::Registered, cause)
    }

    /// Repeats `attempt` until it succeeds, with growing pauses.
    async fn until_done<F: Future<Output = Result<(), String>>>(
        &self,
        name: &str,
        consequence: &str,
        attempt: impl Fn() -> F,
    ) {
        let mut pause = FIRST_PAUSE;
        while let Err(cause) = attempt().await {
            if pause == FIRST_PAUSE {
                self.journal.not_done(name, consequence, &cause);
            }
            sleep(pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    async fn delete(&self, name: &str) -> Result<(), String> {
        let (reply, deleted) = oneshot::channel();
        let delete = DeleteRequest { path: self.settings.dir.child(name), reply };
        let ended = || "the ZooKeeper writer has ended".to_owned();
        self.to_writer.delete.send(delete).await.map_err(|_| ended())?;
        deleted.await.map_err(|_| ended())?
    }
}

async fn settle(to_lists: &ToUserLists, coin: &Coin, name: &str) -> Result<(), String> {
    let (reply, settled) = oneshot::channel();
    let settle = Settle { coin: coin.clone(), name: name.to_owned(), reply };
    let ended = || "the actor of the user lists has ended".to_owned();
    to_lists.settle.send(settle).await.map_err(|_| ended())?;
    settled.await.map_err(|_| ended())?
}
