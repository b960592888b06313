//! Logins: counts failed ones, delays their answers, and collects a summary for the log. Has the listener's
//! [`MissingRoles`], too.
//!
//! Remembered logins, tokens and right passwords in plain text do not pass this module, so no failed login delays or
//! refuses them. The others wait for a slow comparison first ([`Comparisons`]).

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use switcher_actors::{Origin, Source};
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};

use super::{
    basic_auth::BasicCredentials,
    comparisons::Comparisons,
    error::RequestError,
    missing_roles::MissingRoles,
    slowdown::{AnswerTime, Slowdown},
    waiting::{Login, MAX_WAITING, Unchecked, Verdict},
};
use crate::users::Users;

/// Most answers that a listener delays at a time; each occupies a connection.
const DELAY_PLACES: usize = 256;

/// Divisor: delayed answers may occupy at most this part of a listener's connections.
const CONNECTION_SHARE: usize = 4;

type Labels = [(&'static str, &'static str); 2];

/// The part that all listeners share: an address has one slowdown at all of them. Clones share it.
#[derive(Clone)]
pub struct Logins {
    slowdown: Arc<Mutex<Slowdown>>,
    comparisons: Comparisons,
    answers: Family<Labels, Counter>,
    unchecked: Family<Labels, Counter>,
    missing_roles: Family<Labels, Counter>,
}

impl Logins {
    pub fn new(registry: &mut Registry) -> Self {
        let mut family = |name, help| {
            let family = Family::<Labels, Counter>::default();
            registry.register(name, help, family.clone());
            family
        };
        let answers = family(
            "failed_logins",
            "Requests with wrong credentials, by listener and by their answer: 401 at_once or delayed, or too_many (429)",
        );
        let unchecked = family(
            "logins_unchecked",
            "Logins that were answered 429 without comparing the password, by listener and by cause: too many failed from \
             the address, or too many in the queue",
        );
        let missing_roles = family(
            "missing_roles",
            "Requests of users without the role that they need, by listener and by that role",
        );
        let comparisons = Comparisons::new(registry);
        Self { slowdown: Arc::default(), comparisons, answers, unchecked, missing_roles }
    }

    /// The logins of one listener, which serves at most `connections` at a time.
    pub fn of_listener(&self, listener: &'static str, connections: usize) -> ListenerLogins {
        let counter = |family: &Family<Labels, Counter>, name, value| {
            family.get_or_create_owned(&[("listener", listener), (name, value)])
        };
        let answer = |answer| counter(&self.answers, "answer", answer);
        let share = (connections / CONNECTION_SHARE).max(1);
        ListenerLogins {
            failures: Arc::new(Failures {
                slowdown: Arc::clone(&self.slowdown),
                summary: Mutex::default(),
            }),
            comparisons: self.comparisons.clone(),
            max_waiting: share.min(MAX_WAITING),
            places: Semaphore::new(share.min(DELAY_PLACES)),
            stopping: watch::Sender::new(false),
            at_once: answer("at_once"),
            delayed: answer("delayed"),
            too_many: answer("too_many"),
            unchecked: ["address", "queue"].map(|it| counter(&self.unchecked, "cause", it)),
            missing_roles: MissingRoles::new(|it| counter(&self.missing_roles, "role", it.name())),
        }
    }
}

/// The logins of one listener.
pub struct ListenerLogins {
    failures: Arc<Failures>,
    comparisons: Comparisons,
    /// Logins that may wait for a comparison.
    max_waiting: usize,
    /// A permit per answer that may be delayed.
    places: Semaphore,
    stopping: watch::Sender<bool>,
    at_once: Counter,
    delayed: Counter,
    too_many: Counter,
    /// By cause: address, queue.
    unchecked: [Counter; 2],
    missing_roles: MissingRoles,
}

/// The notes of failed logins, for the listener and for the thread that compares passwords.
#[derive(Default)]
pub struct Failures {
    slowdown: Arc<Mutex<Slowdown>>,
    summary: Mutex<Summary>,
}

/// Failed logins since the last summary. They are not logged one by one, since any client can cause them.
#[derive(Default)]
pub struct Summary {
    pub failed: u64,
    /// Source of the last failed login.
    pub last: Option<Source>,
    /// Logins that were not compared.
    pub unchecked: u64,
    /// Source of the last such login.
    pub last_unchecked: Option<Source>,
    /// Addresses whose slowdown has begun.
    pub slowed: u64,
    /// Source of the last failed login that began one.
    pub last_slowed: Option<Source>,
}

impl ListenerLogins {
    /// Compares a name and a password after [`crate::users::Check::Unclear`]. The error is the answer to send at once.
    /// Dropping the future gives up the place in the queue.
    pub async fn compare(
        &self,
        users: &Arc<Users>,
        sent: BasicCredentials,
        origin: &Origin,
    ) -> Result<Verdict, RequestError> {
        let (login, source) = (Login::new(Arc::clone(users), sent), Source::new(origin.clone()));
        let listener = (&self.failures, self.max_waiting);
        let compared = self.comparisons.compare(login, listener, source.clone()).await;
        compared.map_err(|unchecked| {
            let (cause, wait) = match unchecked {
                Unchecked::Address(wait) => (0, wait),
                Unchecked::Queue(wait) => (1, wait),
            };
            self.unchecked[cause].inc();
            self.failures.note_unchecked(source);
            RequestError::LoginUnchecked(whole_seconds(wait))
        })
    }

    /// Waits until a failed login from `source` may be answered 401. An error is the answer to send at once instead.
    /// Dropping the future frees its place.
    pub async fn delay_answer(&self, source: Source) -> Result<(), RequestError> {
        self.hold_answer(self.failures.note(&source), Instant::now()).await
    }

    /// As [`Self::delay_answer`], for a failure that was `noted` before.
    pub async fn hold_answer(
        &self,
        answer: AnswerTime,
        noted: Instant,
    ) -> Result<(), RequestError> {
        match answer {
            AnswerTime::AtOnce => {
                self.at_once.inc();
            }
            AnswerTime::After(delay) => {
                let Ok(_place) = self.places.try_acquire() else {
                    return Err(self.too_many(delay));
                };
                self.delayed.inc();
                let mut stopping = self.stopping.subscribe();
                let delay = delay.saturating_sub(noted.elapsed());
                // Until the delay is over or the listener stops.
                let _ = timeout(delay, stopping.wait_for(|is_stopping| *is_stopping)).await;
            }
            AnswerTime::TooMany(delay) => return Err(self.too_many(delay)),
        }
        Ok(())
    }

    pub fn missing_roles(&self) -> &MissingRoles {
        &self.missing_roles
    }

    /// Releases all delayed answers, and delays none from now on.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// The summary since the last call.
    pub fn take_summary(&self) -> Summary {
        std::mem::take(&mut lock(&self.failures.summary))
    }

    fn too_many(&self, delay: Duration) -> RequestError {
        self.too_many.inc();
        RequestError::TooManyFailedLogins(whole_seconds(delay))
    }
}

impl Failures {
    /// The address that a failed login counts for.
    pub fn client(&self, source: &Source) -> IpAddr {
        source.client.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED))
    }

    /// Time until the address has recovered from its failures. The error is the time that it must wait before another
    /// login.
    pub fn recovery(&self, source: &Source, now: Instant) -> Result<Duration, Duration> {
        let (slowdown, client) = (lock(&self.slowdown), self.client(source));
        slowdown.refused(client, now).map_or_else(|| Ok(slowdown.recovery(client, now)), Err)
    }

    /// Notes a failed login.
    pub fn note(&self, source: &Source) -> AnswerTime {
        let answer = self.slow_down(source);
        let mut summary = lock(&self.summary);
        summary.failed += 1;
        summary.last = Some(source.clone());
        answer
    }

    /// Counts a failed login of the address, also one that its client abandoned or that lost its place in the queue.
    pub fn slow_down(&self, source: &Source) -> AnswerTime {
        let (answer, begins) = lock(&self.slowdown).failed(self.client(source), Instant::now());
        if begins {
            let mut summary = lock(&self.summary);
            summary.slowed += 1;
            summary.last_slowed = Some(source.clone());
        }
        answer
    }

    fn note_unchecked(&self, source: Source) {
        let mut summary = lock(&self.summary);
        summary.unchecked += 1;
        summary.last_unchecked = Some(source);
    }
}

/// For `Retry-After`.
fn whole_seconds(delay: Duration) -> u64 {
    delay.as_secs() + u64::from(delay.subsec_nanos() > 0)
}

/// A poisoned lock is usable: no update can stop halfway.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::{FutureExt, future::join_all};
    use switcher_actors::RequestId;

    use super::*;
    use crate::users::{Role, Secret, User};

    fn source(last: u8) -> Source {
        Source::api(Some([192, 0, 2, last].into()), RequestId::default())
    }

    fn logins() -> Logins {
        Logins::new(&mut Registry::default())
    }

    /// Fails until answers are delayed.
    fn exhaust(logins: &ListenerLogins, last: u8) {
        while logins.failures.note(&source(last)) == AnswerTime::AtOnce {}
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

    fn basic(name: &str, password: &str) -> BasicCredentials {
        BasicCredentials::of(name, password)
    }

    /// A user `wang` with the password `hunter2`.
    fn users() -> Arc<Users> {
        let hash = bcrypt::hash_with_salt("hunter2", 4, *b"salt of the test").unwrap();
        let secret = Secret::of_hash(&hash.to_string()).unwrap();
        let roles = [Role::Viewer].into_iter().collect();
        Arc::new(Users::new([User { name: "wang".into(), secret, roles }]))
    }

    #[tokio::test]
    async fn only_wrong_passwords_count_as_failures() {
        let logins = logins().of_listener("api", 100);
        let users = users();
        let compare = async |password: &str| {
            logins.compare(&users, basic("wang", password), &source(1)).await
        };
        for _ in 0..100 {
            let verdict = compare("hunter2").await.ok();
            assert!(matches!(verdict, Some(Verdict::Right(user)) if *user.name == *"wang"));
        }
        let mut answers = Vec::new();
        for number in 0..20 {
            match compare(&format!("guess{number}")).await {
                Ok(Verdict::Wrong(answer, _)) => answers.push(answer),
                Ok(Verdict::Right(_)) => panic!("a guess is right"),
                Err(error) => {
                    assert!(matches!(error, RequestError::LoginUnchecked(1..=5)), "{error:?}");
                }
            }
        }
        // Slow machines let the address recover meanwhile.
        assert!((14..20).contains(&answers.len()), "{answers:?}");
        assert!(answers[..10].iter().all(|answer| *answer == AnswerTime::AtOnce), "{answers:?}");
        assert!(matches!(compare("hunter2").await, Err(RequestError::LoginUnchecked(_))));
        let other = logins.compare(&users, basic("wang", "hunter2"), &source(2)).await;
        assert!(matches!(other, Ok(Verdict::Right(_))), "another address");
        let summary = logins.take_summary();
        assert_eq!((summary.failed, summary.last), (answers.len() as u64, Some(source(1))));
        assert_eq!(summary.unchecked, 20 - answers.len() as u64 + 1);
    }

    #[test]
    fn a_summary_names_the_last_failure_and_each_slowdown_once() {
        let logins = logins().of_listener("api", 100);
        exhaust(&logins, 1);
        exhaust(&logins, 2);
        let summary = logins.take_summary();
        assert_eq!((summary.last, summary.slowed), (Some(source(2)), 2));
        assert_eq!(summary.last_slowed, Some(source(2)));
        logins.failures.note(&source(1));
        let summary = logins.take_summary();
        assert_eq!((summary.failed, summary.last, summary.slowed), (1, Some(source(1)), 0));
        assert_eq!(logins.take_summary().last, None);
    }
}
