//! The conditions for the daemon to be ready.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

/// A reason why the daemon should get no requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// There is no session with ZooKeeper.
    Session,
    /// With polling: no user-coin map is processed yet.
    FirstPoll,
    /// The daemon is shutting down.
    Draining,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Session => "no session with ZooKeeper",
            Self::FirstPoll => "the first poll of the user-coin map is not done",
            Self::Draining => "draining: the daemon is shutting down",
        })
    }
}

#[derive(Debug)]
pub(super) struct Readiness {
    session: AtomicBool,
    /// Whether the first poll is done; always true without polling.
    polled: AtomicBool,
    draining: AtomicBool,
}

impl Readiness {
    /// The state at the start. `polls`: whether there is a first poll to wait for.
    pub(super) fn new(polls: bool) -> Self {
        Self {
            session: AtomicBool::new(false),
            polled: AtomicBool::new(!polls),
            draining: AtomicBool::new(false),
        }
    }

    pub(super) fn session(&self, is_up: bool) {
        self.session.store(is_up, Relaxed);
    }

    pub(super) fn polled(&self) {
        self.polled.store(true, Relaxed);
    }

    pub(super) fn draining(&self) {
        self.draining.store(true, Relaxed);
    }

    pub(super) fn missing(&self) -> Vec<Missing> {
        let checks = [
            (self.draining.load(Relaxed), Missing::Draining),
            (!self.session.load(Relaxed), Missing::Session),
            (!self.polled.load(Relaxed), Missing::FirstPoll),
        ];
        checks.into_iter().filter_map(|(is_missing, it)| is_missing.then_some(it)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_missing_conditions_are_listed() {
        let readiness = Readiness::new(true);
        assert_eq!(readiness.missing(), [Missing::Session, Missing::FirstPoll]);
        readiness.session(true);
        readiness.polled();
        assert_eq!(readiness.missing(), []);
        readiness.session(false);
        readiness.draining();
        assert_eq!(readiness.missing(), [Missing::Draining, Missing::Session]);
    }

    #[test]
    fn without_polls_no_first_poll_is_missing() {
        assert_eq!(Readiness::new(false).missing(), [Missing::Session]);
    }
}
