//! Failed logins: counts them, holds their answers back, and gathers what the log says about them.
//!
//! Correct credentials never come here, so nothing that an address does delays or refuses them.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use switcher_actors::Source;
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};

use super::slowdown::{Answer, Slowdown};
use crate::api::answer::ApiError;

/// Answers that a listener holds back at a time, at most; each keeps a connection.
const MOST_HELD: usize = 256;

/// The share of a listener's connections that answers which are held back may take.
const SHARE: usize = 4;

type Labels = [(&'static str, &'static str); 2];

/// The part that all listeners share: an address has one slowdown for all of them. Clones share it, too.
#[derive(Clone)]
pub struct Logins {
    slowdown: Arc<Mutex<Slowdown>>,
    answers: Family<Labels, Counter>,
}

impl Logins {
    /// No failed login yet; the metric is added to `registry`.
    pub fn new(registry: &mut Registry) -> Self {
        let answers = Family::default();
        registry.register(
            "failed_logins",
            "Requests with wrong credentials, by listener and by their answer: 401 at_once or delayed, or too_many (429)",
            answers.clone(),
        );
        Self { slowdown: Arc::default(), answers }
    }

    /// The failed logins of the listener of that name, which serves so many connections at a time.
    pub fn of_listener(&self, listener: &'static str, connections: usize) -> FailedLogins {
        let counter = |answer| {
            self.answers.get_or_create_owned(&[("listener", listener), ("answer", answer)])
        };
        FailedLogins {
            slowdown: Arc::clone(&self.slowdown),
            places: Semaphore::new((connections / SHARE).clamp(1, MOST_HELD)),
            stopping: watch::Sender::new(false),
            at_once: counter("at_once"),
            delayed: counter("delayed"),
            too_many: counter("too_many"),
            summary: Mutex::default(),
        }
    }
}

/// The failed logins of one listener.
pub struct FailedLogins {
    slowdown: Arc<Mutex<Slowdown>>,
    /// A permit for each answer that may be held back.
    places: Semaphore,
    stopping: watch::Sender<bool>,
    at_once: Counter,
    delayed: Counter,
    too_many: Counter,
    summary: Mutex<Summary>,
}

/// Failed logins since the last summary. They are not logged one by one: any client can send them.
#[derive(Default)]
pub struct Summary {
    /// Failed logins.
    pub failed: u64,
    /// Source of the last one.
    pub last: Option<Source>,
    /// Addresses whose slowdown has begun.
    pub slowed: u64,
    /// Source of the last of them.
    pub last_slowed: Option<Source>,
}

impl FailedLogins {
    /// Waits until a failed login of `source` may be answered 401. The error is the answer to give at once instead.
    /// Dropping the future gives its place back.
    pub async fn answer(&self, source: Source) -> Result<(), ApiError> {
        match self.note(source) {
            Answer::AtOnce => {
                self.at_once.inc();
            }
            Answer::After(delay) => {
                let Ok(_place) = self.places.try_acquire() else {
                    return Err(self.too_many(delay));
                };
                self.delayed.inc();
                let mut stopping = self.stopping.subscribe();
                // Until the delay is over or the listener stops.
                let _ = timeout(delay, stopping.wait_for(|is_stopping| *is_stopping)).await;
            }
            Answer::TooMany(delay) => return Err(self.too_many(delay)),
        }
        Ok(())
    }

    /// Gives all answers that are held back, and holds none back from now on.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// The summary since the last call.
    pub fn take_summary(&self) -> Summary {
        std::mem::take(&mut lock(&self.summary))
    }

    fn note(&self, source: Source) -> Answer {
        let client = match source {
            Source::Api { client, .. } => client,
            Source::Poll => None,
        };
        let client = client.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        let (answer, begins) = lock(&self.slowdown).failed(client, Instant::now());
        let mut summary = lock(&self.summary);
        summary.failed += 1;
        summary.last = Some(source);
        if begins {
            summary.slowed += 1;
            summary.last_slowed = Some(source);
        }
        answer
    }

    fn too_many(&self, delay: Duration) -> ApiError {
        self.too_many.inc();
        ApiError::TooManyFailedLogins(delay.as_secs() + u64::from(delay.subsec_nanos() > 0))
    }
}

/// A poisoned lock is usable: no update can stop halfway.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::{FutureExt, future::join_all};
    use switcher_actors::RequestId;

    use super::*;

    fn source(last: u8) -> Source {
        Source::Api { client: Some([192, 0, 2, last].into()), request: RequestId::default() }
    }

    fn logins() -> Logins {
        Logins::new(&mut Registry::default())
    }

    /// Fails until answers are held back.
    fn exhaust(logins: &FailedLogins, last: u8) {
        while logins.note(source(last)) == Answer::AtOnce {}
    }

    #[tokio::test(start_paused = true)]
    async fn no_listener_forgets_what_an_address_has_done_at_another() {
        let logins = logins();
        let (api, admin) = (logins.of_listener("api", 100), logins.of_listener("admin", 32));
        exhaust(&api, 1);
        assert!(admin.answer(source(1)).now_or_never().is_none(), "it is held back");
        assert_eq!(admin.answer(source(2)).now_or_never(), Some(Ok(())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_listener_holds_few_answers_back_and_a_client_that_hangs_up_leaves_its_place() {
        let logins = logins().of_listener("admin", 2 * SHARE);
        for last in 1..=3 {
            exhaust(&logins, last);
        }
        let (mut first, mut second) =
            (Box::pin(logins.answer(source(1))), Box::pin(logins.answer(source(2))));
        assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
        let refused = logins.answer(source(3)).now_or_never();
        assert!(matches!(refused, Some(Err(ApiError::TooManyFailedLogins(1..)))), "{refused:?}");
        drop(first);
        assert!(logins.answer(source(3)).now_or_never().is_none(), "there is a place");
        assert_eq!(second.await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_gives_all_answers_and_none_is_held_back_afterwards() {
        let logins = logins().of_listener("api", 100);
        for last in 1..=3 {
            exhaust(&logins, last);
        }
        let mut held = pin!(join_all((1..=3).map(|last| logins.answer(source(last)))));
        assert!((&mut held).now_or_never().is_none());
        logins.stop();
        assert_eq!(held.now_or_never(), Some(vec![Ok(()), Ok(()), Ok(())]));
        assert_eq!(logins.answer(source(1)).now_or_never(), Some(Ok(())));
    }

    #[test]
    fn a_summary_names_the_last_failure_and_each_slowdown_once() {
        let logins = logins().of_listener("api", 100);
        exhaust(&logins, 1);
        exhaust(&logins, 2);
        let summary = logins.take_summary();
        assert_eq!((summary.last, summary.slowed), (Some(source(2)), 2));
        assert_eq!(summary.last_slowed, Some(source(2)));
        logins.note(source(1));
        let summary = logins.take_summary();
        assert_eq!((summary.failed, summary.last, summary.slowed), (1, Some(source(1)), 0));
        assert_eq!(logins.take_summary().last, None);
    }
}
