//! Decides whether all answers and readings of a round can be true together.
//!
//! Each sub-account is a register (`support::register`): switches write it, looks read it, and the last look of
//! a round comes when all is quiet. The judge treats four faults alike, as a history that no order of its
//! operations explains: an acknowledged switch that is missing, a refused switch that was made, a value without
//! a write, and a broken order. Polls have an additional rule.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::backend::Maps;
use crate::scene::{REQUEST_TIMEOUT, map_coin};
use crate::support::coinbase_history::since;
use crate::support::load::Fate;
use crate::support::register::{self, Claim, Operation};
use crate::traffic::{Look, NO_ZNODE, Records};

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
    let looks: Vec<&Look> = records.looks.iter().chain(last_looks).collect();
    found.extend(orders(records, &looks, &maps));
    found.extend(undone(records, &looks, &maps));
    found.extend(late(records, frozen));
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
    let mut found = Violations::new();
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
        Call { who, daemon: 0, names, coin: coin.to_owned(), start, end, fate }
    }

    fn look(coin: &str, start: u64, end: u64) -> Look {
        Look { name: "alice".to_owned(), coin: coin.to_owned(), start, end }
    }

    fn is_wrong(calls: Vec<Call>, looks: Vec<Look>) -> bool {
        let records = Records { calls, looks, odd: Vec::new() };
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
            odd: Vec::new(),
        };
        let looks: Vec<_> = records.looks.iter().collect();
        assert_eq!(undone(&records, &looks, &[9]).len(), 1);
        assert_eq!(undone(&records, &looks, &[11]).len(), 0);
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
