//! Metrics of registrations.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use super::{Histogram, labels::label_values, register};

/// Upper bounds in seconds, denser around the usual wait of 10 s and the stratum servers' limit of 15 s.
const SECONDS: &[f64] =
    &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 8.0, 10.0, 11.0, 12.0, 13.0, 15.0, 20.0, 30.0, 60.0];

label_values! {
    /// Result of a registration.
    RegistrationEnd {
        /// The backend has registered the name.
        Registered = "registered",
        /// The backend refused the name.
        Refused = "refused",
        /// The backend did not answer in time.
        TimedOut = "timed_out",
        /// The backend could not be asked, or its answer is unusable.
        Failed = "failed",
        /// No sub-account can have the name; the backend was not asked.
        InvalidName = "invalid_name",
    }
}

impl RegistrationEnd {
    /// The words in the log and among recent changes.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::TimedOut => "timed out",
            Self::InvalidName => "invalid name",
            _ => self.label(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RegistrationLabels {
    outcome: &'static str,
}

/// Ended registrations that are kept.
const KEPT: usize = 10;

/// Longest-waiting registrations that are shown.
const WAITING_SHOWN: usize = 10;

/// A registration whose request is deleted.
#[derive(Clone, Debug)]
pub struct EndedRegistration {
    /// Name of the request, fit for a terminal.
    pub name: String,
    /// `registered`, `refused`, `timed_out`, `failed` or `invalid_name`, as in the metrics.
    pub outcome: &'static str,
    /// Why the name is not registered.
    pub cause: Option<String>,
    /// When it ended.
    pub at: SystemTime,
    /// Time from the sight of the request to its deletion.
    pub took: Duration,
}

/// Number of ended registrations with one outcome.
#[derive(Clone, Copy, Debug)]
pub struct RegistrationCount {
    /// As in the metrics.
    pub outcome: &'static str,
    /// Number since the start.
    pub count: u64,
}

/// State of the registrations.
#[derive(Clone, Debug)]
pub struct RegistrationsNow {
    /// Registrations under way.
    pub under_way: u64,
    /// Name and age of those that wait longest, the oldest first.
    pub waiting: Vec<(String, Duration)>,
    /// The last ended ones, the newest first.
    pub last: Vec<EndedRegistration>,
    /// Numbers of ended ones by outcome, including zeros.
    pub counts: Vec<RegistrationCount>,
}

pub(super) struct RegistrationMetrics {
    ended: [Counter; RegistrationEnd::ALL.len()],
    seconds: Histogram,
    pub(super) under_way: Gauge,
    pub(super) delayed: Counter,
    names: Mutex<Names>,
}

#[derive(Default)]
struct Names {
    /// Registrations under way, with their beginnings. The Registrar limits them.
    waiting: HashMap<String, Instant>,
    /// The newest first.
    last: VecDeque<EndedRegistration>,
}

impl RegistrationMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let ended: Family<RegistrationLabels, Counter> =
            register(registry, "registrations", "Registrations of sub-accounts that have ended");
        let seconds = Histogram::new(SECONDS);
        registry.register_with_unit(
            "registration_duration",
            "From the sight of a request for registration to its deletion",
            Unit::Seconds,
            seconds.clone(),
        );
        Self {
            ended: RegistrationEnd::ALL
                .map(|end| ended.get_or_create_owned(&RegistrationLabels { outcome: end.label() })),
            seconds,
            under_way: register(
                registry,
                "registrations_under_way",
                "Requests for registration that are in progress: taken up and not yet deleted",
            ),
            delayed: register(
                registry,
                "registration_zookeeper_failures",
                "Registrations of which the lock, the first coin or the deletion failed at the first attempt",
            ),
            names: Mutex::default(),
        }
    }

    pub(super) fn begun(&self, name: String) {
        self.names().waiting.insert(name, Instant::now());
    }

    pub(super) fn left(&self, name: &str) {
        self.names().waiting.remove(name);
    }

    pub(super) fn ended(
        &self,
        name: String,
        end: RegistrationEnd,
        cause: Option<String>,
        took: Duration,
    ) {
        self.ended[end as usize].inc();
        self.seconds.observe(took.as_secs_f64());
        let mut names = self.names();
        names.waiting.remove(&name);
        names.last.truncate(KEPT - 1);
        let (outcome, at) = (end.label(), SystemTime::now());
        names.last.push_front(EndedRegistration { name, outcome, cause, at, took });
    }

    pub(super) fn now(&self) -> RegistrationsNow {
        let counts = RegistrationEnd::ALL.map(|end| RegistrationCount {
            outcome: end.label(),
            count: self.ended[end as usize].get(),
        });
        let names = self.names();
        let waiting = names.waiting.iter();
        let mut waiting: Vec<_> =
            waiting.map(|(name, since)| (name.clone(), since.elapsed())).collect();
        waiting.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        waiting.truncate(WAITING_SHOWN);
        RegistrationsNow {
            under_way: u64::try_from(self.under_way.get()).unwrap_or(0),
            waiting,
            last: names.last.iter().cloned().collect(),
            counts: counts.to_vec(),
        }
    }

    /// A poisoned state is still consistent.
    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
