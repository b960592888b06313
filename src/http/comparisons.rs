//! The thread that compares passwords with slow hashes, for all listeners.
//!
//! One thread with a low priority bounds the processor time that wrong passwords can take. It ends when no login waits,
//! so it needs no stop.

use std::{
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use prometheus_client::registry::{Registry, Unit};
use rustix::process::nice;
use switcher_actors::{Histogram, Source};
use tokio::{sync::watch, time::timeout};

use super::{
    logins::{Failures, lock},
    slowdown::{INTERVAL, MAX_DELAYED},
    waiting::{Compared, Job, Login, Unchecked, Verdict, Waiting},
};
use crate::users::Check;

/// Longest time that a login waits for its comparison.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Time after which a client may try again, if its login was not compared.
const COME_BACK: Duration = INTERVAL.saturating_mul(MAX_DELAYED + 1);

/// Added to the thread's nice value.
const NICER: i32 = 19;

/// Clones share the thread.
#[derive(Clone)]
pub struct Comparisons(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    seconds: Histogram,
}

#[derive(Default)]
struct State {
    waiting: Waiting,
    has_thread: bool,
}

impl Comparisons {
    pub fn new(registry: &mut Registry) -> Self {
        let seconds = Histogram::new(Histogram::SECONDS);
        registry.register_with_unit(
            "password_comparison",
            "Comparisons of a password with a slow hash, on one thread; right logins are remembered until a reload",
            Unit::Seconds,
            seconds.clone(),
        );
        Self(Arc::new(Shared { state: Mutex::default(), seconds }))
    }

    /// Waits for the comparison of `login`, from `source`. At most `limit` logins of its listener wait. Dropping the
    /// future gives up the place in the queue.
    pub async fn compare(
        &self,
        login: Login,
        (failures, limit): (&Arc<Failures>, usize),
        source: Source,
    ) -> Compared {
        let mut verdict = self.join_or_add(login, (failures, limit), source)?;
        let verdict = timeout(MAX_WAIT, verdict.wait_for(Option::is_some)).await;
        let verdict = verdict.ok().and_then(Result::ok).and_then(|it| it.clone());
        verdict.unwrap_or(Err(Unchecked::Queue(COME_BACK)))
    }

    fn join_or_add(
        &self,
        login: Login,
        (failures, limit): (&Arc<Failures>, usize),
        source: Source,
    ) -> Result<watch::Receiver<Option<Compared>>, Unchecked> {
        let recovery = failures.recovery(&source, Instant::now()).map_err(Unchecked::Address)?;
        let mut state = lock(&self.0.state);
        if let Some(verdict) = state.waiting.join(&login) {
            return Ok(verdict);
        }
        let rank = state.waiting.rank(failures.client(&source), recovery);
        let job = Job::new(login, Arc::clone(failures), source, rank);
        let (verdict, removed) = state.waiting.add(job, limit);
        if !state.has_thread {
            let shared = Arc::clone(&self.0);
            let thread = thread::Builder::new().name("logins".to_owned());
            // Without a thread the next login tries again; this one waits for it.
            state.has_thread = thread.spawn(move || shared.run()).is_ok();
        }
        drop(state);
        slow_down(&removed);
        Ok(verdict)
    }
}

impl Shared {
    fn run(&self) {
        // If that fails, the thread competes with the listeners; logins still work.
        let _ = nice(NICER);
        while let Some(job) = self.next() {
            job.end(self.compare(&job));
        }
    }

    /// Compares the passwords, unless the address has failed too often meanwhile.
    fn compare(&self, job: &Job) -> Compared {
        let (Login { users, sent, .. }, began) = (&job.login, Instant::now());
        // An equal login may have ended right before this one came.
        if let Check::Known(user) = users.check(sent.user(), sent.password()) {
            return Ok(Verdict::Right(user));
        }
        job.failures.recovery(&job.source, began).map_err(Unchecked::Address)?;
        let user = users.compare_slowly(sent.user(), sent.password());
        self.seconds.observe(began.elapsed().as_secs_f64());
        Ok(match user {
            Some(user) => Verdict::Right(user),
            None => Verdict::Wrong(job.failures.note(&job.source), Instant::now()),
        })
    }

    fn next(&self) -> Option<Arc<Job>> {
        let mut state = lock(&self.state);
        let (job, removed) = state.waiting.next();
        state.has_thread = job.is_some();
        drop(state);
        slow_down(&removed);
        job
    }
}

/// Counts logins without a comparison as failures of their addresses. An address could otherwise occupy the list, and
/// keep the rank of one that has not failed.
fn slow_down(removed: &[Arc<Job>]) {
    for job in removed {
        job.failures.slow_down(&job.source);
    }
}
