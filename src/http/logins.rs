//! Failed logins: counts them, delays their answers, and gathers a summary for the log.
//!
//! Correct credentials never come here, so no failed login delays or refuses them.

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

use super::{
    error::RequestError,
    slowdown::{AnswerTime, Slowdown},
};

/// Most answers that a listener delays at a time; each occupies a connection.
const MAX_DELAYED: usize = 256;

/// Divisor: delayed answers may occupy at most this part of a listener's connections.
const CONNECTION_SHARE: usize = 4;

/// The part that all listeners share: an address has one slowdown at all of them. Clones share it.
#[derive(Clone)]
pub struct Logins {
    slowdown: Arc<Mutex<Slowdown>>,
    answers: Family<[(&'static str, &'static str); 2], Counter>,
}

impl Logins {
    pub fn new(registry: &mut Registry) -> Self {
        let answers = Family::default();
        registry.register(
            "failed_logins",
            "Requests with wrong credentials, by listener and by their answer: 401 at_once or delayed, or too_many (429)",
            answers.clone(),
        );
        Self { slowdown: Arc::default(), answers }
    }

    /// The failed logins of one listener, which serves at most `connections` at a time.
    pub fn of_listener(&self, listener: &'static str, connections: usize) -> FailedLogins {
        let counter = |answer| {
            self.answers.get_or_create_owned(&[("listener", listener), ("answer", answer)])
        };
        FailedLogins {
            slowdown: Arc::clone(&self.slowdown),
            places: Semaphore::new((connections / CONNECTION_SHARE).clamp(1, MAX_DELAYED)),
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
    /// A permit per answer that may be delayed.
    places: Semaphore,
    stopping: watch::Sender<bool>,
    at_once: Counter,
    delayed: Counter,
    too_many: Counter,
    summary: Mutex<Summary>,
}

/// Failed logins since the last summary. They are not logged one by one, since any client can cause them.
#[derive(Default)]
pub struct Summary {
    pub failed: u64,
    /// Source of the last failed login.
    pub last: Option<Source>,
    /// Addresses whose slowdown has begun.
    pub slowed: u64,
    /// Source of the last failed login that began one.
    pub last_slowed: Option<Source>,
}

impl FailedLogins {
    /// Waits until a failed login from `source` may be answered 401. An error is the answer to send at once instead.
    /// Dropping the future frees its place.
    pub async fn delay_answer(&self, source: Source) -> Result<(), RequestError> {
        match self.note(&source) {
            AnswerTime::AtOnce => {
                self.at_once.inc();
            }
            AnswerTime::After(delay) => {
                let Ok(_place) = self.places.try_acquire() else {
                    return Err(self.too_many(delay));
                };
                self.delayed.inc();
                let mut stopping = self.stopping.subscribe();
                // Until the delay is over or the listener stops.
                let _ = timeout(delay, stopping.wait_for(|is_stopping| *is_stopping)).await;
            }
            AnswerTime::TooMany(delay) => return Err(self.too_many(delay)),
        }
        Ok(())
    }

    /// Releases all delayed answers, and delays none from now on.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// The summary since the last call.
    pub fn take_summary(&self) -> Summary {
        std::mem::take(&mut lock(&self.summary))
    }

    fn note(&self, source: &Source) -> AnswerTime {
        let client = source.client.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        let (answer, begins) = lock(&self.slowdown).failed(client, Instant::now());
        let mut summary = lock(&self.summary);
        summary.failed += 1;
        summary.last = Some(source.clone());
        if begins {
            summary.slowed += 1;
            summary.last_slowed = Some(source.clone());
        }
        answer
    }

    fn too_many(&self, delay: Duration) -> RequestError {
        self.too_many.inc();
        RequestError::TooManyFailedLogins(delay.as_secs() + u64::from(delay.subsec_nanos() > 0))
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
        Source::api(Some([192, 0, 2, last].into()), RequestId::default())
    }

    fn logins() -> Logins {
        Logins::new(&mut Registry::default())
    }

    /// Fails until answers are delayed.
    fn exhaust(logins: &FailedLogins, last: u8) {
        while logins.note(&source(last)) == AnswerTime::AtOnce {}
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_has_one_slowdown_at_all_listeners() {
        let logins = logins();
        let (api, admin) = (logins.of_listener("api", 100), logins.of_listener("admin", 32));
        exhaust(&api, 1);
        assert!(admin.delay_answer(source(1)).now_or_never().is_none(), "it is delayed");
        assert_eq!(admin.delay_answer(source(2)).now_or_never(), Some(Ok(())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_listener_delays_few_answers_and_a_disconnect_frees_a_place() {
        let logins = logins().of_listener("admin", 2 * CONNECTION_SHARE);
        for last in 1..=3 {
            exhaust(&logins, last);
        }
        let (mut first, mut second) =
            (Box::pin(logins.delay_answer(source(1))), Box::pin(logins.delay_answer(source(2))));
        assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
        let refused = logins.delay_answer(source(3)).now_or_never();
        assert!(
            matches!(refused, Some(Err(RequestError::TooManyFailedLogins(1..)))),
            "{refused:?}"
        );
        drop(first);
        assert!(logins.delay_answer(source(3)).now_or_never().is_none(), "there is a place");
        assert_eq!(second.await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_releases_all_answers_and_none_is_delayed_afterwards() {
        let logins = logins().of_listener("api", 100);
        for last in 1..=3 {
            exhaust(&logins, last);
        }
        let mut held = pin!(join_all((1..=3).map(|last| logins.delay_answer(source(last)))));
        assert!((&mut held).now_or_never().is_none());
        logins.stop();
        assert_eq!(held.now_or_never(), Some(vec![Ok(()), Ok(()), Ok(())]));
        assert_eq!(logins.delay_answer(source(1)).now_or_never(), Some(Ok(())));
    }

    #[test]
    fn a_summary_names_the_last_failure_and_each_slowdown_once() {
        let logins = logins().of_listener("api", 100);
        exhaust(&logins, 1);
        exhaust(&logins, 2);
        let summary = logins.take_summary();
        assert_eq!((summary.last, summary.slowed), (Some(source(2)), 2));
        assert_eq!(summary.last_slowed, Some(source(2)));
        logins.note(&source(1));
        let summary = logins.take_summary();
        assert_eq!((summary.failed, summary.last, summary.slowed), (1, Some(source(1)), 0));
        assert_eq!(logins.take_summary().last, None);
    }
}
