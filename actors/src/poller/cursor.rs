//! From when on the upstream is asked: `last_date` (contract, section 4), without clock or network.
//!
//! | an answer's entries were | the next poll asks from |
//! | --- | --- |
//! | all written, there already, or such as can never be written | this answer's `now_date` |
//! | so, but for some whose znodes were switched meanwhile | the `now_date` of the answer before, or this one's if that is earlier |
//! | not all written, or written over a newer znode, or there was no answer | where this one did |
//!
//! One answer earlier is enough: what was skipped twice was switched after the second fetch began, so
//! what the upstream knew at the first is older than that switch.
//!
//! An upstream whose clock steps back is followed, as the contract has it. What changes between the step and
//! the next answer bears times before that answer, so it may never be sent: an overlap that is longer than an
//! interval covers that.

/// How far ahead of this machine's clock a `now_date` may be, in seconds. One beyond is a mistake, and to ask
/// from there would skip whatever changes until then.
const AHEAD: i64 = 24 * 60 * 60;

/// What became of an answer's entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settlement {
    /// All of them are settled.
    All,
    /// All but some that were left alone, since somebody was fresher.
    AllButFresher,
    /// Some are not, so they must be asked for again.
    NotAll,
}

/// What to make of an answer's `now_date`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NowDate {
    /// To be asked from.
    Good(i64),
    /// To be asked from, though it is before the last.
    Backwards(i64),
    /// Not to be asked from.
    NotPositive(i64),
    /// Not to be asked from.
    FarAhead(i64),
    /// There is none.
    Absent,
}

impl NowDate {
    fn to_ask_from(self) -> Option<i64> {
        match self {
            Self::Good(date) | Self::Backwards(date) => Some(date),
            Self::NotPositive(_) | Self::FarAhead(_) | Self::Absent => None,
        }
    }
}

/// Where in the upstream's time we are, in its seconds.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    last_date: i64,
    /// The `now_date` of the last answer whose entries were all settled or skipped.
    newest: i64,
}

impl Cursor {
    /// What the next poll asks from, before any overlap.
    pub(super) fn last_date(&self) -> i64 {
        self.last_date
    }

    /// Judges an answer's `now_date`; `clock` is this machine's, in seconds since 1970.
    pub(super) fn judge(&self, now_date: Option<i64>, clock: i64) -> NowDate {
        match now_date {
            None => NowDate::Absent,
            Some(date) if date < 1 => NowDate::NotPositive(date),
            Some(date) if date > clock.saturating_add(AHEAD) => NowDate::FarAhead(date),
            Some(date) if date < self.newest => NowDate::Backwards(date),
            Some(date) => NowDate::Good(date),
        }
    }

    /// Takes an answer's end in.
    pub(super) fn answered(&mut self, settlement: Settlement, now_date: NowDate) {
        let date = now_date.to_ask_from();
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

    /// What is asked from after each answer.
    fn asked(answers: &[(Settlement, i64)]) -> Vec<i64> {
        let mut cursor = Cursor::default();
        let after = answers.iter().map(|&(settlement, date)| {
            let date = cursor.judge(Some(date), CLOCK);
            cursor.answered(settlement, date);
            cursor.last_date()
        });
        after.collect()
    }

    #[test]
    fn it_moves_on_with_answers_that_were_brought_in() {
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
        let cursor = Cursor { last_date: 500, newest: 500 };
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
