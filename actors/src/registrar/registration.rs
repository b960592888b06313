//! One registration, from the request to its deletion.

use std::{rc::Rc, time::Duration};

use slog::Logger;
use tokio::{
    sync::{Semaphore, oneshot},
    time::{Instant, sleep},
};

use super::{
    RegistrationSettings,
    backend::{Backend, NotRegistered},
    journal::Journal,
    messages::{ToUserLists, ToZkWriter},
};
use crate::{
    domain::{Coin, Puname},
    metrics::{Metrics, RegistrationEnd},
    user_lists::{Registered, Settle},
    zk_writer::{ConfirmElection, DeleteRequest, Election},
};

/// Pause before ZooKeeper is asked again; doubles with each failure.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Longest pause before ZooKeeper is asked again.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

const WRITER_ENDED: &str = "the ZooKeeper writer has ended";

/// State that all registrations share.
pub(super) struct Registrations {
    pub(super) settings: RegistrationSettings,
    backend: Backend,
    /// Permits for requests to the backend (`UserAutoRegParallelRequests`).
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
    /// as soon as the request is gone. Dropped, it leaves the request, and a later start registers the name again,
    /// which backends have to bear (user-list contract, section 5).
    pub(super) async fn run(self: Rc<Self>, name: String) {
        let began = Instant::now();
        self.journal.taken_up(&name);
        // The index entry's name is in lower case.
        let registered = match Puname::parse(&name).and(Puname::parse_lower_case(&name)) {
            Ok(_) => self.post(&name).await,
            Err(fault) => {
                Some(Err(NotRegistered::new(RegistrationEnd::InvalidName, fault.to_string())))
            }
        };
        let Some(registered) = registered else { return self.journal.left(&name) };
        let first = self.settings.default_coin.as_ref().zip(self.to_lists.as_ref());
        let coin = first.map(|(coin, _)| coin);
        if let Ok(puid) = registered {
            self.journal.confirmed(&name, puid);
            if let Some((coin, to_lists)) = first {
                let registered = Registered { coin: coin.clone(), name: name.clone(), puid };
                // Without `UserLists` the daemon is ending.
                let _ = to_lists.registered.send(registered).await;
            }
            sleep(self.settings.wait).await;
            if let Some((coin, to_lists)) = first {
                let consequence = "the first coin is not written; the request stays";
                self.until_done(&name, consequence, || settle(to_lists, coin, &name)).await;
            }
        }
        self.until_done(&name, "the request is not deleted", || self.delete(&name)).await;
        self.journal.ended(&name, registered, coin, began.elapsed());
    }

    /// Has the backend register a name. `None`: another daemon registers, and has the request to deal with.
    async fn post(&self, name: &str) -> Option<Result<u32, NotRegistered>> {
        // Never closed.
        let _turn = self.turns.acquire().await;
        let consequence = "nothing is posted; the request stays";
        if !self.until_done(name, consequence, || self.is_elected()).await {
            return None;
        }
        self.journal.requested(name);
        Some(self.backend.register(name).await)
    }

    /// Repeats `attempt` until it succeeds, with growing pauses.
    async fn until_done<T, F: Future<Output = Result<T, String>>>(
        &self,
        name: &str,
        consequence: &str,
        attempt: impl Fn() -> F,
    ) -> T {
        let mut pause = FIRST_PAUSE;
        loop {
            let cause = match attempt().await {
                Ok(done) => return done,
                Err(cause) => cause,
            };
            if pause == FIRST_PAUSE {
                self.journal.not_done(name, consequence, &cause);
            }
            sleep(pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    async fn is_elected(&self) -> Result<bool, String> {
        let (reply, election) = oneshot::channel();
        let confirm = ConfirmElection { lock: self.settings.lock.clone(), reply };
        self.to_writer.confirm.send(confirm).await.map_err(|_| WRITER_ENDED)?;
        match election.await.map_err(|_| WRITER_ENDED)? {
            Election::Ours => Ok(true),
            Election::Standby { .. } => Ok(false),
            Election::NoSession => {
                Err("there is no session with ZooKeeper, or it ended".to_owned())
            }
            Election::Refused(cause) => Err(cause),
        }
    }

    async fn delete(&self, name: &str) -> Result<(), String> {
        let (reply, deleted) = oneshot::channel();
        let delete = DeleteRequest { path: self.settings.dir.child(name), reply };
        self.to_writer.delete.send(delete).await.map_err(|_| WRITER_ENDED)?;
        deleted.await.map_err(|_| WRITER_ENDED)?
    }
}

async fn settle(to_lists: &ToUserLists, coin: &Coin, name: &str) -> Result<(), String> {
    let (reply, settled) = oneshot::channel();
    let settle = Settle { coin: coin.clone(), name: name.to_owned(), reply };
    let ended = || "the actor of the user lists has ended".to_owned();
    to_lists.settle.send(settle).await.map_err(|_| ended())?;
    settled.await.map_err(|_| ended())?
}
