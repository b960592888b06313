//! PollCursor into the upstream's time: the next `last_date` (contract, section 4), without clock or network.
//!
//! | result of an answer's entries | next `last_date` |
//! | --- | --- |
//! | all written, unchanged, or of a kind that can never be written | this answer's `now_date` |
//! | the same, except some znodes that were switched meanwhile | the `now_date` of the answer before, or this one's if that is earlier |
//! | some not written, or written over a newer znode, or no answer | the same `last_date` again |
//!
//! One answer earlier is enough: an entry that was skipped twice was switched after the second fetch began, so
//! the upstream's knowledge at the first is older than that switch.
//!
//! An upstream whose clock steps back is followed, as the contract demands. Changes between the step and
//! the next answer bear times before that answer and may never be sent: an overlap longer than an
//! interval covers them.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds that a `now_date` may be ahead of this machine's clock. One further ahead is a mistake, and a poll from
/// there would skip all changes until then.
const AHEAD: i64 = 24 * 60 * 60;

/// The part of an answer's entries that needs no further poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settlement {
    All,
    /// All except entries whose znodes were switched meanwhile.
    AllButFresher,
    /// Some must be fetched again.
    NotAll,
}

/// Verdict on an answer's `now_date`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NowDate {
    /// Followed.
    Good(i64),
    /// Followed, though it is before the previous one.
    Backwards(i64),
    /// Not followed.
    NotPositive(i64),
    /// Not followed.
    FarAhead(i64),
    Absent,
}

impl NowDate {
    fn followed(self) -> Option<i64> {
        match self {
            Self::Good(date) | Self::Backwards(date) => Some(date),
            Self::NotPositive(_) | Self::FarAhead(_) | Self::Absent => None,
        }
    }
}

/// Seconds since 1970, as `now_date` counts them.
pub(super) fn since_1970(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Position in the upstream's time, in its seconds.
#[derive(Debug, Default)]
pub(super) struct PollCursor {
    last_date: i64,
    /// The `now_date` of the last answer whose entries were all settled or skipped.
    newest: i64,
}

impl PollCursor {
    /// The next `last_date`, before any overlap.
    pub(super) fn last_date(&self) -> i64 {
        self.last_date
    }

    /// Judges an answer's `now_date`. `clock` is this machine's, in seconds since 1970.
    pub(super) fn judge(&self, now_date: Option<i64>, clock: i64) -> NowDate {
        match now_date {
            None => NowDate::Absent,
            Some(date) if date < 1 => NowDate::NotPositive(date),
            Some(date) if date > clock.saturating_add(AHEAD) => NowDate::FarAhead(date),
            Some(date) if date < self.newest => NowDate::Backwards(date),
            Some(date) => NowDate::Good(date),
        }
    }

    /// Moves the cursor after an answer.
    pub(super) fn answered(&mut self, settlement: Settlement, now_date: NowDate) {
        let date = now_date.followed();
        match settlement {
            Settlement::NotAll => {}
            Settlement::AllButFresher => {
                self.last_date = date.map_or(self.newest, |date| date.min(self.newest));
                self.newest = date.unwrap_or(self.newest);
            }
            Settlement::All => {
                if let Some(date) = date {
                    (self.last_date, self.newest) = (date, date);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: i64 = 1_000_000;

    /// The `last_date` after each answer.
    fn asked(answers: &[(Settlement, i64)]) -> Vec<i64> {
        let mut cursor = PollCursor::default();
        let after = answers.iter().map(|&(settlement, date)| {
            let date = cursor.judge(Some(date), CLOCK);
            cursor.answered(settlement, date);
            cursor.last_date()
        });
        after.collect()
    }

    #[test]
    fn it_moves_on_with_answers_that_were_written() {
        use Settlement::{All, NotAll};
        assert_eq!(asked(&[(All, 10), (NotAll, 20), (All, 30), (NotAll, 40)]), [10, 10, 30, 30]);
    }

    #[test]
    fn after_skips_it_is_one_answer_behind() {
        use Settlement::{All, AllButFresher, NotAll};
        assert_eq!(asked(&[(AllButFresher, 10), (All, 20)]), [0, 20]);
        assert_eq!(asked(&[(All, 10), (AllButFresher, 20), (All, 30)]), [10, 10, 30]);
        assert_eq!(
            asked(&[(All, 10), (AllButFresher, 20), (AllButFresher, 30), (AllButFresher, 40)]),
            [10, 10, 20, 30]
        );
        assert_eq!(
            asked(&[(All, 10), (AllButFresher, 20), (NotAll, 30), (AllButFresher, 40)]),
            [10, 10, 10, 20]
        );
    }

    #[test]
    fn it_is_never_ahead_of_the_answer_that_it_follows() {
        use Settlement::{All, AllButFresher};
        assert_eq!(asked(&[(All, 100), (AllButFresher, 99), (All, 105)]), [100, 99, 105]);
        assert_eq!(asked(&[(AllButFresher, 100), (AllButFresher, 40)]), [0, 40]);
    }

    #[test]
    fn a_date_that_would_lose_switches_is_not_followed() {
        let cursor = PollCursor { last_date: 500, newest: 500 };
        for (date, judged) in [
            (None, NowDate::Absent),
            (Some(0), NowDate::NotPositive(0)),
            (Some(i64::MIN), NowDate::NotPositive(i64::MIN)),
            (Some(499), NowDate::Backwards(499)),
            (Some(500), NowDate::Good(500)),
            (Some(CLOCK + AHEAD), NowDate::Good(CLOCK + AHEAD)),
            (Some(CLOCK + AHEAD + 1), NowDate::FarAhead(CLOCK + AHEAD + 1)),
            (Some(i64::MAX), NowDate::FarAhead(i64::MAX)),
        ] {
            assert_eq!(cursor.judge(date, CLOCK), judged);
        }
        use Settlement::All;
        assert_eq!(asked(&[(All, 10), (All, 0), (All, -5), (All, i64::MAX)]), [10; 4]);
        assert_eq!(asked(&[(All, 10), (All, 4)]), [10, 4]);
    }
}
