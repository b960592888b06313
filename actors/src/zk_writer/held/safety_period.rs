//! Decides which switches are held.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{
    domain::Coin,
    user_lists::{Listed, Listings},
};

/// The rule of the safety period.
#[derive(Clone, Debug)]
pub(crate) struct SafetyPeriod {
    listings: Listings,
    /// Whole seconds; `None` without lists.
    period: Option<u64>,
}

impl SafetyPeriod {
    pub(crate) fn new(listings: Listings, period: Option<Duration>) -> Self {
        Self { listings, period: period.map(|period| period.as_secs()) }
    }

    /// Whether switches can be held at all.
    pub(crate) fn is_on(&self) -> bool {
        self.period.is_some()
    }

    /// Due time of a switch that is accepted `now`, in seconds since 1970; `None` if the switch is not to be held.
    ///
    /// A name that the list lacks is due a period after now, rounded up. One in the list is due a period after the list
    /// had it first, in whole seconds of the clock. A clock that was set back does not extend the period.
    pub(crate) fn due(&self, coin: &Coin, name: &str, now: Duration) -> Option<u64> {
        let period = self.period?;
        match self.listings.find(coin, name) {
            Listed::NoList => None,
            Listed::No => Some(now.as_secs() + u64::from(now.subsec_nanos() > 0) + period),
            Listed::Since(at) => {
                let due = at.min(now.as_secs()).saturating_add(period);
                (now.as_secs() < due).then_some(due)
            }
        }
    }
}

/// Time since 1970.
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
