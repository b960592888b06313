//! Decides which switches are held.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Intent;
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

    /// Due time of a switch that is accepted `now`, in milliseconds since 1970; `None` if the switch is not to be held.
    ///
    /// The period begins now for a name that the list lacks, else when the list had it first. Of the latter, the whole
    /// seconds of the clock that have begun since are over (user-list contract, section 7). A clock that was set back
    /// does not extend the period.
    pub(crate) fn due(&self, coin: &Coin, name: &str, now: Duration) -> Option<u64> {
        let period = self.period?;
        let left = match self.listings.find(coin, name) {
            Listed::NoList => return None,
            Listed::No => period,
            Listed::Since(at) => period.saturating_sub(now.as_secs().saturating_sub(at)),
        };
        (left > 0).then(|| millis(now + Duration::from_secs(left)))
    }

    /// Whether a held switch may be written: it is due, or the list has had the name for a period. A list is empty
    /// after a start, and so may have been a list of another daemon that accepted the switch.
    pub(crate) fn is_over(&self, intent: &Intent, name: &str, now: Duration) -> bool {
        let is_listed = || matches!(self.listings.find(&intent.coin, name), Listed::Since(_));
        intent.due <= millis(now) || (is_listed() && self.due(&intent.coin, name, now).is_none())
    }

    /// The coins whose lists were complete once since the start.
    pub(crate) fn complete_lists(&self) -> Vec<Coin> {
        self.listings.served()
    }
}

/// A duration in whole milliseconds.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Time since 1970.
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Coins;

    #[test]
    fn a_switch_is_due_to_the_millisecond() {
        let coins = Coins::new(&["bcc", "btc"]).unwrap();
        let [bcc, btc] = ["bcc", "btc"].map(|name| coins.get(name).unwrap().clone());
        let listings = Listings::of([bcc.clone()], false);
        listings.insert(&bcc, &[(1, "alice")], |_| 100);
        let period = SafetyPeriod::new(listings.clone(), Some(Duration::from_secs(3)));
        let due = |coin, name, millis| period.due(coin, name, Duration::from_millis(millis));
        assert_eq!(due(&bcc, "bob", 100_700), Some(103_700), "not in the list");
        for (now, expected) in [
            (100_000, Some(103_000)),
            (100_900, Some(103_900)),
            (101_000, Some(103_000)),
            (102_999, Some(103_999)),
            (103_000, None),
            (99_500, Some(102_500)),
        ] {
            assert_eq!(
                due(&bcc, "alice", now),
                expected,
                "listed in second 100, switched at {now}"
            );
        }
        assert_eq!(due(&btc, "alice", 100_000), None, "no list");
        let over = |coin: &Coin, name, now| {
            let source = crate::domain::Source::poll(crate::domain::RequestId(1));
            let intent = Intent { coin: coin.clone(), due: 200_000, source, mark: None };
            period.is_over(&intent, name, Duration::from_millis(now))
        };
        assert!(over(&bcc, "alice", 103_000) && !over(&bcc, "alice", 102_999));
        assert!(!over(&bcc, "bob", 199_999) && !over(&btc, "alice", 199_999), "not listed");
        assert!(over(&bcc, "bob", 200_000) && over(&btc, "alice", 200_000));
        assert_eq!(SafetyPeriod::new(listings, None).due(&bcc, "bob", Duration::ZERO), None);
    }
}
