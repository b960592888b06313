//! Decides whether all answers and readings of a round can be true together.
//!
//! Each sub-account is a register (`support::register`): switches write it, looks read it, and the last look of
//! a round comes when all is quiet. The judge treats four faults alike, as a history that no order of its
//! operations explains: an acknowledged switch that is missing, a refused switch that was made, a value without
//! a write, and a broken order. Polls have an additional rule. Sub-accounts that an undo may have written are left to
//! `recorded`.
//!
//! A switch that is held counts as a write, too, though the znode has its coin later: looks read held switches with
//! the znodes. Their additional rule is that no coin is written before its time.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::backend::Maps;
use crate::scene::{PERIOD, REQUEST_TIMEOUT, map_coin};
use crate::support::coinbase_history::since;
use crate::support::load::Fate;
use crate::support::register::{self, Claim, Operation};
use crate::traffic::{Call, Look, NO_ZNODE, Records, Seen};

/// How late something may be, on a machine that has other things to do.
pub const SLACK: Duration = Duration::from_millis(1_500);

/// Descriptions of everything wrong.
pub type Violations = Vec<String>;

/// All judges of switches and polls. `last_looks` are those at the end; `frozen` is the longest time that a
/// daemon, or the way to it, stood still.
pub fn switches(
    records: &Records,
    last_looks: &[Look],
    maps: &Maps,
    traffic_origin: std::time::Instant,
    frozen: Duration,
) -> Violations {
    let mut found = records.odd.clone();
    let maps: Vec<u64> = maps.asked().iter().map(|at| since(traffic_origin, *at)).collect();
    let acknowledged = Acknowledged::new(records);
    let looks = records.looks.iter().filter(|look| acknowledged.counts(look));
    let looks: Vec<&Look> = looks.chain(last_looks).collect();
    found.extend(orders(records, &looks, &maps));
    found.extend(undone(records, &looks, &maps));
    found.extend(late(records, frozen));
    found.extend(due_times(records));
    found
}

/// When each switch was acknowledged, by name and coin.
struct Acknowledged<'a>(HashMap<(&'a str, &'a str), u64>);

impl<'a> Acknowledged<'a> {
    fn new(records: &'a Records) -> Self {
        let calls = records.calls.iter().filter(|call| call.fate == Fate::Applied);
        let ends = calls.flat_map(|call| {
            call.names.iter().map(|name| ((name.as_str(), call.coin.as_str()), call.end))
        });
        Self(ends.collect())
    }

    /// Whether a look counts. An intent is set again if another switch comes while it is accepted, and then counts
    /// after that one: before the answer it proves nothing.
    fn counts(&self, look: &Look) -> bool {
        let end = self.0.get(&(look.name.as_str(), look.coin.as_str()));
        !look.is_held || end.is_some_and(|&end| end < look.start)
    }
}

/// Coins that were written before their time, by the server's clock.
pub fn early<'a>(records: &Records, seen: impl IntoIterator<Item = &'a Seen>) -> Violations {
    let mut earliest: HashMap<(&str, &str), (u64, &Call)> = HashMap::new();
    for call in records.calls.iter().filter(|call| call.due.is_some() || call.earliest.is_some()) {
        // A period may end before the due time: the list of the daemon that accepted may have been empty for a restart.
        let second = call.earliest.or(call.due).unwrap_or_default();
        let names = call.names.iter();
        earliest.extend(names.map(|name| ((name.as_str(), call.coin.as_str()), (second, call))));
    }
    let mut found = BTreeSet::new();
    for Seen { name, coin, written } in seen {
        let Some((second, call)) = earliest.get(&(name.as_str(), coin.as_str())) else { continue };
        if *written < *second as i64 * 1000 {
            found.insert(format!("{name} was written at {written} ms, before its time: {call:?}"));
        }
    }
    found.into_iter().collect()
}

/// Due times that are too early or too late, and switches that were not held.
fn due_times(records: &Records) -> Violations {
    let mut found = Violations::new();
    for call in records.calls.iter().filter(|call| call.fate == Fate::Applied) {
        let is_wrong = match (call.due, call.earliest) {
            (Some(due), earliest) => {
                earliest.is_some_and(|earliest| due < earliest) || due > call.answered + 1 + PERIOD
            }
            (None, earliest) => earliest.is_some_and(|earliest| call.answered < earliest),
        };
        if is_wrong {
            found.push(format!("a wrong due time: {call:?}"));
        }
    }
    found
}

/// Sub-accounts with an impossible history.
fn orders(records: &Records, looks: &[&Look], maps: &[u64]) -> Violations {
    let mut registers: HashMap<&str, Vec<Operation>> = HashMap::new();
    for call in &records.calls {
        let claim = match call.fate {
            Fate::Applied => Claim::Written,
            Fate::NotApplied => Claim::Refused,
            Fate::Unknown | Fate::Unanswered => Claim::Unknown,
        };
        for name in &call.names {
            registers.entry(name).or_default().push(Operation {
                who: format!("{} at daemon {}", call.who, call.daemon),
                claim,
                value: call.coin.clone(),
                start: call.start,
                end: call.end,
            });
        }
    }
    for look in looks {
        registers.entry(&look.name).or_default().push(Operation {
            who: "a look".to_owned(),
            claim: Claim::Read,
            value: look.coin.clone(),
            start: look.start,
            end: look.end,
        });
    }
    for (name, coin, start) in &records.first_coins {
        registers.entry(name).or_default().push(Operation {
            who: "a first pull".to_owned(),
            claim: Claim::Unknown,
            value: coin.clone(),
            start: *start,
            end: *start,
        });
    }
    let mut found = Violations::new();
    registers.retain(|name, _| !records.undone.contains(*name));
    for (name, mut operations) in registers {
        // No name was ever used before.
        operations.push(Operation {
            who: "the beginning".to_owned(),
            claim: Claim::Written,
            value: NO_ZNODE.to_owned(),
            start: 0,
            end: 0,
        });
        // Maps without the name do no harm here: an unseen write may never have happened.
        operations.extend(maps.iter().enumerate().map(|(number, &start)| Operation {
            who: format!("map {number}"),
            claim: Claim::Unknown,
            value: map_coin(number),
            start,
            end: start,
        }));
        let violations = register::violations(&operations);
        found.extend(violations.iter().map(|violation| format!("{name}: {violation}")));
    }
    found
}

/// Looks that show the coin of a map that was asked for before an acknowledged switch began.
fn undone(records: &Records, looks: &[&Look], maps: &[u64]) -> Violations {
    let asked: HashMap<String, u64> =
        maps.iter().enumerate().map(|(number, &at)| (map_coin(number), at)).collect();
    let mut found = Violations::new();
    for look in looks {
        let Some(&asked) = asked.get(&look.coin) else { continue };
        // An undo may have brought the older coin back.
        if records.undone.contains(&look.name) {
            continue;
        }
        let undone = records.calls.iter().find(|call| {
            call.fate == Fate::Applied
                && call.names.contains(&look.name)
                && asked < call.start
                && call.end < look.start
        });
        if let Some(call) = undone {
            found.push(format!("a map asked for at {asked} ns undid {call:?}, as {look:?} shows"));
        }
    }
    found
}

/// Daemons that polled although another had the lock: while no session is lost its holder is the only one.
pub fn pollers(askers: &BTreeSet<String>) -> Violations {
    let many = (askers.len() > 1).then(|| format!("more than one daemon polled: {askers:?}"));
    many.into_iter().collect()
}

/// Answers, and ends without one, that came later than the daemon promises.
fn late(records: &Records, frozen: Duration) -> Violations {
    let allowed = REQUEST_TIMEOUT + SLACK + frozen;
    let late =
        records.calls.iter().filter(|call| Duration::from_nanos(call.end - call.start) > allowed);
    late.map(|call| format!("later than {allowed:?}: {} {:?}", call.who, call.names)).collect()
}

/// The slowest answer.
pub fn slowest(records: &Records) -> Duration {
    let took = records.calls.iter().map(|call| call.end - call.start).max();
    Duration::from_nanos(took.unwrap_or_default())
}

/// How often each fate was met: applied, not applied, unknown, unanswered.
pub fn counts(records: &Records) -> [usize; 4] {
    [Fate::Applied, Fate::NotApplied, Fate::Unknown, Fate::Unanswered]
        .map(|fate| records.calls.iter().filter(|call| call.fate == fate).count())
}

/// How many switches were answered as held.
pub fn held(records: &Records) -> usize {
    records.calls.iter().filter(|call| call.due.is_some()).count()
}

/// Every name that callers tried to switch in a round; those that only maps switch are not among them.
pub fn names(records: &Records) -> Vec<String> {
    let mut names: Vec<_> =
        records.calls.iter().flat_map(|call| call.names.iter().cloned()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::Call;

    fn call(coin: &str, start: u64, end: u64, fate: Fate) -> Call {
        let (who, names) = ("a client".to_owned(), vec!["alice".to_owned()]);
        let (coin, due, earliest, answered) = (coin.to_owned(), None, None, 100);
        let request = None;
        Call { who, daemon: 0, names, coin, request, start, end, fate, due, earliest, answered }
    }

    fn look(coin: &str, start: u64, end: u64) -> Look {
        Look { name: "alice".to_owned(), coin: coin.to_owned(), is_held: false, start, end }
    }

    fn is_wrong(calls: Vec<Call>, looks: Vec<Look>) -> bool {
        let records = Records { calls, looks, ..Records::default() };
        let origin = std::time::Instant::now();
        !switches(&records, &[], &Maps::default(), origin, Duration::ZERO).is_empty()
    }

    #[test]
    fn what_was_acknowledged_must_be_there_and_what_was_refused_must_not() {
        let acknowledged =
            || vec![call("c1", 1, 2, Fate::Applied), call("c2", 3, 4, Fate::Applied)];
        assert!(!is_wrong(acknowledged(), vec![look("c2", 5, 6)]));
        assert!(is_wrong(acknowledged(), vec![look("c1", 5, 6)]));
        assert!(is_wrong(acknowledged(), vec![look("c9", 5, 6)]));
        assert!(is_wrong(acknowledged(), vec![look(NO_ZNODE, 5, 6)]));
        assert!(!is_wrong(Vec::new(), vec![look(NO_ZNODE, 5, 6)]));
        let unsure = |fate| vec![call("c1", 1, 2, Fate::Applied), call("c2", 3, 4, fate)];
        for fate in [Fate::Unknown, Fate::Unanswered] {
            assert!(!is_wrong(unsure(fate), vec![look("c1", 5, 6)]));
            assert!(!is_wrong(unsure(fate), vec![look("c1", 5, 6), look("c2", 7, 8)]));
            assert!(is_wrong(unsure(fate), vec![look("c2", 5, 6), look("c1", 7, 8)]));
        }
        assert!(is_wrong(unsure(Fate::NotApplied), vec![look("c2", 5, 6)]));
    }

    #[test]
    fn a_map_that_is_older_than_a_switch_must_not_undo_it() {
        let records = Records {
            calls: vec![call("c1", 10, 20, Fate::Applied)],
            looks: vec![look("m0", 30, 31)],
            ..Records::default()
        };
        let looks: Vec<_> = records.looks.iter().collect();
        assert_eq!(undone(&records, &looks, &[9]).len(), 1);
        assert_eq!(undone(&records, &looks, &[11]).len(), 0);
    }

    #[test]
    fn a_held_switch_is_a_write_once_it_is_acknowledged() {
        let held = |coin, start| Look { is_held: true, ..look(coin, start, start + 1) };
        let calls = || {
            vec![
                call("c1", 1, 2, Fate::Applied),
                Call { due: Some(101), ..call("h0", 3, 9, Fate::Applied) },
                call("c2", 4, 5, Fate::Applied),
            ]
        };
        assert!(!is_wrong(calls(), vec![held("h0", 10), look("h0", 20, 21)]), "carried out");
        assert!(is_wrong(calls(), vec![held("h0", 10), look("c1", 20, 21)]), "lost");
        assert!(
            is_wrong(calls(), vec![held("h0", 10), look("c2", 20, 21)]),
            "lost to an older one"
        );
        let set_again = vec![held("h0", 4), look("c2", 6, 7), held("h0", 10)];
        assert!(!is_wrong(calls(), set_again));
        let later = [calls(), vec![call("c3", 12, 13, Fate::Applied)]].concat();
        assert!(is_wrong(later, vec![look("h0", 20, 21)]), "carried out over a newer one");
        let lost = vec![call("c1", 1, 2, Fate::Applied), call("h0", 3, 4, Fate::Unknown)];
        assert!(!is_wrong(lost, vec![held("h0", 5), look("c1", 20, 21)]));
    }

    #[test]
    fn nothing_is_written_before_its_due_time() {
        let held = |due, earliest| Call { due, earliest, ..call("h0", 3, 9, Fate::Applied) };
        let is_early = |call: Call, written| {
            let seen = [Seen { name: "alice".to_owned(), coin: "h0".to_owned(), written }];
            let records = Records { calls: vec![call], ..Records::default() };
            !early(&records, &seen).is_empty()
        };
        assert!(
            is_early(held(Some(101), None), 100_999) && !is_early(held(Some(101), None), 101_000)
        );
        assert!(is_early(held(None, Some(101)), 100_999) && !is_early(held(None, None), 0));
        let is_wrong = |due, earliest| is_wrong(vec![held(due, earliest)], Vec::new());
        assert!(is_wrong(None, Some(101)), "not held");
        assert!(is_wrong(Some(100), Some(101)) && is_wrong(Some(100 + PERIOD + 2), None));
        assert!(!is_wrong(Some(101), Some(101)) && !is_wrong(None, Some(100)));
    }

    #[test]
    fn with_a_lock_one_daemon_polls() {
        let askers = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        assert!(pollers(&askers(&[])).is_empty());
        assert!(pollers(&askers(&["/daemon1"])).is_empty());
        assert_eq!(pollers(&askers(&["/daemon0", "/daemon1"])).len(), 1);
    }

    #[test]
    fn answers_have_a_deadline() {
        let limit = (REQUEST_TIMEOUT + SLACK).as_nanos() as u64;
        assert!(!is_wrong(vec![call("c1", 1, limit, Fate::Unknown)], Vec::new()));
        assert!(is_wrong(vec![call("c1", 1, limit + 2, Fate::Unknown)], Vec::new()));
    }
}
