//! Results of the entries of a batch.

use serde_json::Value;

use crate::support::load::Fate;

/// The end of a switch in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    pub fate: Fate,
    /// Due time of a held switch, in seconds since 1970.
    pub due: Option<u64>,
    pub is_replaced: bool,
}

impl Ended {
    pub fn as_all(fate: Fate) -> Self {
        Self { fate, due: None, is_replaced: false }
    }
}

/// The end of each entry; `None` if the answer is none of the API's.
pub fn results(answer: &str, entries: usize) -> Option<Vec<Ended>> {
    let answer: Value = serde_json::from_str(answer).ok()?;
    let all = match (answer["err_no"].as_i64()?, answer["success"].as_bool()?) {
        (0, true) => Fate::Applied,
        (105, false) => Fate::NotApplied,
        (107, false) => Fate::Unknown,
        _ => return None,
    };
    let Some(results) = answer["results"].as_array() else {
        return (all == Fate::NotApplied).then(|| vec![Ended::as_all(all); entries]);
    };
    let ends = results.iter().map(|result| {
        let (fate, due) = match result["outcome"].as_str()? {
            "applied" => (Fate::Applied, None),
            "held" => (Fate::Applied, Some(seconds_of(result["due"].as_str()?)?)),
            "not_applied" => (Fate::NotApplied, None),
            "unknown" => (Fate::Unknown, None),
            _ => return None,
        };
        let end = Ended { fate, due, is_replaced: result["replaced_by"].is_string() };
        (all != Fate::Applied || fate == all).then_some(end)
    });
    ends.collect::<Option<Vec<_>>>().filter(|ends| ends.len() == entries)
}

/// Whole seconds since 1970 of `2026-11-29T10:00:00.000Z`.
fn seconds_of(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    // Years begin in March, so that a leap day is the last of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    let days = days.checked_sub(719_468)?;
    Some(((days * 24 + number(11, 13)?) * 60 + number(14, 16)?) * 60 + number(17, 19)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_with_their_due_times() {
        let result = |outcome: &str| format!(r#"{{"puname":"a","new":"h0","outcome":{outcome}}}"#);
        let answer = |err_no: u32, results: &[String]| {
            let success = err_no == 0;
            let results = results.join(",");
            format!(
                r#"{{"err_no":{err_no},"err_msg":"","success":{success},"results":[{results}]}}"#
            )
        };
        let held = result(r#""held","due":"2026-11-29T10:00:01.250Z""#);
        let both = answer(0, &[held.clone(), result(r#""applied""#)]);
        let ended = |fate, due| Ended { due, ..Ended::as_all(fate) };
        let [held_first, applied] =
            [Some(1_795_946_401), None].map(|due| ended(Fate::Applied, due));
        assert_eq!(results(&both, 2), Some(vec![held_first, applied]));
        assert_eq!(results(&both, 1), None);
        let some = answer(107, &[held, result(r#""not_applied""#)]);
        let not_applied = ended(Fate::NotApplied, None);
        assert_eq!(results(&some, 2), Some(vec![held_first, not_applied]));
        let replaced = answer(0, &[result(r#""applied","replaced_by":"c1""#)]);
        assert_eq!(results(&replaced, 1), Some(vec![Ended { is_replaced: true, ..applied }]));
        assert_eq!(results(&answer(0, &[result(r#""unknown""#)]), 1), None);
        let late = r#"{"err_no":105,"err_msg":"x","success":false}"#;
        assert_eq!(results(late, 1), Some(vec![not_applied]));
        assert_eq!(seconds_of("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds_of("2028-02-29T23:59:59Z"), Some(1_835_481_599));
    }
}
