//! Slow comparisons of passwords that wait for their turn: a plain struct without clock, network or lock.
//!
//! The login from the address with the fewest failures comes first, so that a first login gets through a flood of
//! wrong passwords. Equal logins share one comparison: after a restart, all connections of a backend send the same one.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use switcher_actors::Source;
use tokio::sync::watch;

use super::{
    basic_auth::BasicCredentials,
    logins::Failures,
    slowdown::{AnswerTime, INTERVAL, network},
};
use crate::users::{Fingerprint, User, Users, fingerprint};

/// Most logins that wait, of all listeners.
pub const MAX_WAITING: usize = 64;

/// A name and a password, and the table to compare them with.
pub struct Login {
    pub users: Arc<Users>,
    pub sent: BasicCredentials,
    fingerprint: Fingerprint,
}

/// A login that waits. If it is dropped without a verdict, its password was not compared.
pub struct Job {
    pub login: Login,
    /// Of the listener that the login came to.
    pub failures: Arc<Failures>,
    pub source: Source,
    /// The lower, the earlier.
    rank: Duration,
    verdict: watch::Sender<Option<Compared>>,
}

/// Result of a comparison.
#[derive(Clone)]
pub enum Verdict {
    Right(Arc<User>),
    /// Time of the answer, and the instant from which it counts.
    Wrong(AnswerTime, Instant),
}

/// A login whose password was not compared; the time to wait until the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unchecked {
    /// Too many failed from its address.
    Address(Duration),
    /// Too many wait, or they take too long.
    Queue(Duration),
}

pub type Compared = Result<Verdict, Unchecked>;

/// The logins that wait, and the one that is compared now.
#[derive(Default)]
pub struct Waiting {
    jobs: Vec<Arc<Job>>,
    running: Option<Arc<Job>>,
}

impl Login {
    pub fn new(users: Arc<Users>, sent: BasicCredentials) -> Self {
        let fingerprint = fingerprint(sent.user(), sent.password());
        Self { users, sent, fingerprint }
    }

    /// Whether one verdict holds for both. A reload may have changed the user.
    fn equals(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.users, &other.users) && self.fingerprint == other.fingerprint
    }
}

impl Job {
    pub fn new(login: Login, failures: Arc<Failures>, source: Source, rank: Duration) -> Self {
        Self { login, failures, source, rank, verdict: watch::Sender::new(None) }
    }

    pub fn client(&self) -> IpAddr {
        self.failures.client(&self.source)
    }

    pub fn end(&self, verdict: Compared) {
        self.verdict.send_replace(Some(verdict));
    }
}

impl Waiting {
    /// The verdict of an equal login.
    pub fn join(&self, login: &Login) -> Option<watch::Receiver<Option<Compared>>> {
        let equal = self.jobs.iter().chain(&self.running).find(|job| job.login.equals(login));
        equal.map(|job| job.verdict.subscribe())
    }

    /// The rank of a login from `client`. `recovery` is the time until its address has recovered from its failures.
    /// Waiting logins count as failures.
    pub fn rank(&self, client: IpAddr, recovery: Duration) -> Duration {
        let same = self.jobs.iter().filter(|job| network(job.client()) == network(client)).count();
        recovery + INTERVAL * u32::try_from(same).unwrap_or(u32::MAX)
    }

    /// Adds a login; at most `limit` of the same listener may wait. Returns its verdict, and the jobs that have lost
    /// their place: abandoned ones, and the last one of a full list.
    pub fn add(
        &mut self,
        job: Job,
        limit: usize,
    ) -> (watch::Receiver<Option<Compared>>, Vec<Arc<Job>>) {
        let verdict = job.verdict.subscribe();
        let mut removed = self.take_abandoned();
        let failures = Arc::clone(&job.failures);
        self.jobs.push(Arc::new(job));
        let is_same = |job: &Job| Arc::ptr_eq(&job.failures, &failures);
        if self.jobs.iter().filter(|job| is_same(job)).count() > limit {
            removed.extend(self.take_last(is_same));
        } else if self.jobs.len() > MAX_WAITING {
            removed.extend(self.take_last(|_| true));
        }
        (verdict, removed)
    }

    /// The next login to compare, and the abandoned jobs: no request waits for them.
    pub fn next(&mut self) -> (Option<Arc<Job>>, Vec<Arc<Job>>) {
        let removed = self.take_abandoned();
        let first = (0..self.jobs.len()).min_by_key(|&at| self.jobs[at].rank);
        self.running = first.map(|at| self.jobs.remove(at));
        (self.running.clone(), removed)
    }

    fn take_abandoned(&mut self) -> Vec<Arc<Job>> {
        self.jobs.extract_if(.., |job| job.verdict.is_closed()).collect()
    }

    /// Removes the last of the jobs that `is_of` selects; of equal ones, the newest.
    fn take_last(&mut self, is_of: impl Fn(&Job) -> bool) -> Option<Arc<Job>> {
        let of = (0..self.jobs.len()).filter(|&at| is_of(&self.jobs[at]));
        of.max_by_key(|&at| self.jobs[at].rank).map(|at| self.jobs.remove(at))
    }
}

#[cfg(test)]
mod tests {
    use switcher_actors::RequestId;

    use super::*;

    /// A login with that name from that address.
    fn job(name: &str, client: [u8; 4], failures: &Arc<Failures>, rank: u64) -> Job {
        let source = Source::api(Some(client.into()), RequestId::default());
        let login = login(&Arc::default(), name);
        Job::new(login, Arc::clone(failures), source, Duration::from_secs(rank))
    }

    fn login(users: &Arc<Users>, name: &str) -> Login {
        Login::new(Arc::clone(users), BasicCredentials::of(name, "password"))
    }

    fn name(job: &Job) -> String {
        String::from_utf8(job.login.sent.user().to_vec()).unwrap()
    }

    fn names(jobs: &[Arc<Job>]) -> Vec<String> {
        jobs.iter().map(|job| name(job)).collect()
    }

    const CLIENT: [u8; 4] = [192, 0, 2, 1];

    #[test]
    fn addresses_with_the_fewest_failures_come_first_and_equal_ones_in_their_order() {
        let (mut waiting, listener) = (Waiting::default(), Arc::default());
        let ranks = [("a", 3), ("b", 0), ("c", 3), ("d", 1), ("e", 0)];
        let verdicts = ranks
            .map(|(name, rank)| waiting.add(job(name, CLIENT, &listener, rank), MAX_WAITING).0);
        let order: Vec<_> = std::iter::from_fn(|| waiting.next().0.map(|job| name(&job))).collect();
        assert_eq!(order, ["b", "e", "d", "a", "c"]);
        assert!(verdicts.iter().all(|verdict| verdict.borrow().is_none()));
    }

    #[test]
    fn the_last_one_of_a_full_list_loses_its_place() {
        let (mut waiting, listener, other) = (Waiting::default(), Arc::default(), Arc::default());
        let mut verdicts = Vec::new();
        let mut add = |name: &str, listener, rank, limit| {
            let (verdict, removed) = waiting.add(job(name, CLIENT, listener, rank), limit);
            verdicts.push(verdict);
            names(&removed)
        };
        for number in 0..MAX_WAITING - 2 {
            let removed = add(&format!("early{number}"), &listener, 5, MAX_WAITING);
            assert!(removed.is_empty(), "{removed:?}");
        }
        assert!(add("p", &other, 7, 2).is_empty() && add("q", &other, 6, 2).is_empty());
        // The other listener has its share; then the whole list is full.
        assert_eq!(add("r", &other, 6, 2), ["p"]);
        assert_eq!(add("s", &other, 6, 2), ["s"], "of equal ones the newest");
        assert_eq!(add("t", &other, 0, 2), ["r"]);
        assert_eq!(add("u", &listener, 0, MAX_WAITING), ["q"]);
        assert_eq!(add("v", &listener, 0, MAX_WAITING), ["early61"]);
        let lost = |verdict: &watch::Receiver<_>| verdict.has_changed().is_err();
        assert_eq!(verdicts.iter().filter(|verdict| lost(verdict)).count(), 5);
    }

    #[test]
    fn logins_that_wait_count_as_failures_of_their_network() {
        let (mut waiting, listener) = (Waiting::default(), Arc::default());
        let _verdicts =
            ["a", "b"].map(|name| waiting.add(job(name, CLIENT, &listener, 0), MAX_WAITING));
        let second = Duration::from_secs(1);
        assert_eq!(waiting.rank(CLIENT.into(), 5 * second), 7 * second);
        assert_eq!(waiting.rank([192, 0, 2, 2].into(), 5 * second), 5 * second);
    }

    #[test]
    fn equal_logins_share_a_verdict_until_the_table_is_another() {
        let (mut waiting, listener) = (Waiting::default(), Arc::<Failures>::default());
        let (users, newer) = (Arc::new(Users::default()), Arc::new(Users::default()));
        let source = Source::api(None, RequestId::default());
        let own = Job::new(login(&users, "wang"), listener, source, Duration::ZERO);
        let verdict = waiting.add(own, MAX_WAITING).0;
        assert!(waiting.join(&login(&newer, "wang")).is_none());
        assert!(waiting.join(&login(&users, "li")).is_none());
        let early = waiting.join(&login(&users, "wang")).unwrap();
        let running = waiting.next().0.unwrap();
        let late = waiting.join(&login(&users, "wang")).unwrap();
        running.end(Ok(Verdict::Wrong(AnswerTime::AtOnce, Instant::now())));
        drop(running);
        assert!(waiting.next().0.is_none());
        for verdict in [verdict, early, late] {
            assert!(matches!(*verdict.borrow(), Some(Ok(Verdict::Wrong(..)))));
        }
        assert!(waiting.join(&login(&users, "wang")).is_none());
    }

    #[test]
    fn a_login_that_no_request_waits_for_is_removed() {
        let (mut waiting, listener) = (Waiting::default(), Arc::default());
        let mut add = |name| waiting.add(job(name, CLIENT, &listener, 0), MAX_WAITING);
        let (first, second) = (add("a").0, add("b").0);
        drop(first);
        let (third, removed) = add("c");
        assert_eq!(names(&removed), ["a"]);
        drop(second);
        let (next, removed) = waiting.next();
        assert_eq!((name(&next.unwrap()), names(&removed)), ("c".to_owned(), vec!["b".to_owned()]));
        drop(third);
    }
}
