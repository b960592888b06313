//! What is missing for the daemon to serve.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

/// Something without which the daemon should get no requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// There is no session with ZooKeeper.
    Session,
    /// The user-coin map is to be pulled, and has not been yet.
    FirstPoll,
    /// The daemon ends.
    Draining,
}

impl fmt::Display for Missing {
    /// For the operator: what, and what it waits for.
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
    /// Whether the first poll is done; from the start where there is none.
    polled: AtomicBool,
    draining: AtomicBool,
}

impl Readiness {
    /// Before everything. `polls` says whether there is a first poll to wait for.
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
        checks.into_iter().filter_map(|(is_missing, what)| is_missing.then_some(what)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_missing_is_told() {
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
    fn without_polls_none_is_waited_for() {
        assert_eq!(Readiness::new(false).missing(), [Missing::Session]);
    }
}
