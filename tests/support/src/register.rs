//! Consistency of the answers about a sub-account or a sub-pool.
//!
//! To clients each is a register: a sub-account holds its znode's coin, a sub-pool its jobmaker's coinbase. Each answer
//! claims something about the register within an interval, from the request's start to its answer. The claims are
//! consistent if each operation can be assigned a moment within its interval such that every read, in the order of these
//! moments, returns the last write: the history is then *linearizable*.
//!
//! If every value is written at most once, this needs no search (Gibbons and Korach, "Testing shared memories", 1997).
//! The write of a value and its reads form a cluster. If one operation of the cluster ends before another begins, the
//! value was held all the time in between, the cluster's **forward zone**; else all its operations have moments in
//! common, its **backward zone**. The history is linearizable if and only if
//!
//! 1. every value read has a write that begins before the read ends,
//! 2. no two forward zones overlap: two values would be held at once,
//! 3. no backward zone lies within a forward zone: its value would be held for a moment within the time of another
//!    value.
//!
//! This takes as long as sorting, for any number of overlapping operations and of unknown outcomes, where a search would
//! try every subset.
//!
//! If one operation ends in the nanosecond in which another begins, the two count as concurrent.

use std::collections::HashMap;
use std::fmt;

/// An operation's claim about its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// A write that was answered with success: the value was held from some moment within the interval on.
    Written,
    /// A write with an unknown outcome: the value may be held from any moment after the start on, or never. Its end has no
    /// meaning.
    Unknown,
    /// A write that was refused, or certainly not made: its value is never held.
    Refused,
    /// The value was held at some moment within the interval.
    Read,
}

/// One operation on a register. Times are nanoseconds since any one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The operation's name in a violation.
    pub who: String,
    pub claim: Claim,
    /// Unique among the writes.
    pub value: String,
    pub start: u64,
    pub end: u64,
}

impl Operation {
    /// The last moment at which the operation can take effect.
    fn deadline(&self) -> u64 {
        if self.claim == Claim::Unknown { u64::MAX } else { self.end }
    }
}

/// Inconsistent operations.
#[derive(Debug, PartialEq, Eq)]
pub struct Violation {
    pub what: &'static str,
    /// As few as prove it, by start.
    pub operations: Vec<Operation>,
}

impl Violation {
    fn new(what: &'static str, operations: &[&Operation]) -> Self {
        let mut operations: Vec<_> = operations.iter().copied().cloned().collect();
        operations.sort_by_key(|operation| (operation.start, operation.end));
        operations.dedup();
        Self { what, operations }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} (milliseconds from the first operation's start):", self.what)?;
        let origin = self.operations.first().map_or(0, |first| first.start);
        let milliseconds = |time: u64| (time - origin) as f64 / 1e6;
        for operation in &self.operations {
            let Operation { who, claim, value, start, .. } = operation;
            let claim = match claim {
                Claim::Written => "asked for it, with success",
                Claim::Unknown => "asked for it, nobody knows",
                Claim::Refused => "asked for it, in vain",
                Claim::Read => "was told",
            };
            let end = match operation.deadline() {
                u64::MAX => "ever after".to_owned(),
                end => format!("{:.3}", milliseconds(end)),
            };
            let start = milliseconds(*start);
            write!(out, "\n  {start:>12.3} .. {end:>12}  {who}: {claim}: {value}")?;
        }
        Ok(())
    }
}

/// The write of a value and its reads.
struct Cluster<'a> {
    write: &'a Operation,
    /// The one that ends first.
    first_over: &'a Operation,
    /// The one that begins last.
    last_begun: &'a Operation,
    is_read: bool,
}

impl<'a> Cluster<'a> {
    fn new(write: &'a Operation) -> Self {
        Self { write, first_over: write, last_begun: write, is_read: false }
    }

    fn add(&mut self, read: &'a Operation) {
        self.is_read = true;
        if read.end < self.first_over.deadline() {
            self.first_over = read;
        }
        if read.start > self.last_begun.start {
            self.last_begun = read;
        }
    }

    fn is_forward(&self) -> bool {
        self.first_over.deadline() < self.last_begun.start
    }

    fn zone(&self) -> (u64, u64) {
        let (over, begun) = (self.first_over.deadline(), self.last_begun.start);
        (over.min(begun), over.max(begun))
    }

    fn conflict(&self, other: &Self, what: &'static str) -> Violation {
        let witnesses = |cluster: &Self| [cluster.write, cluster.first_over, cluster.last_begun];
        Violation::new(what, &[witnesses(self), witnesses(other)].concat())
    }
}

/// All violations in the history of one register; none if it is linearizable. The initial value is a write of its own,
/// before all others.
pub fn violations(operations: &[Operation]) -> Vec<Violation> {
    let mut found = Vec::new();
    let (reads, writes): (Vec<_>, Vec<_>) =
        operations.iter().partition(|operation| operation.claim == Claim::Read);
    let mut clusters: HashMap<&str, Cluster<'_>> = HashMap::new();
    for write in writes {
        let other = clusters.insert(&write.value, Cluster::new(write));
        assert!(other.is_none(), "the test wrote a value twice: {write:?}");
    }
    for read in reads {
        match clusters.get_mut(read.value.as_str()) {
            None => found.push(Violation::new("a value that nobody wrote", &[read])),
            Some(Cluster { write, .. }) if write.claim == Claim::Refused => {
                found.push(Violation::new("a value asked for in vain", &[write, read]));
            }
            Some(Cluster { write, .. }) if read.end < write.start => {
                found.push(Violation::new("a value read before it was written", &[write, read]));
            }
            Some(cluster) => cluster.add(read),
        }
    }
    // A value that no answer contains may never have been held.
    clusters.retain(|_, cluster| cluster.is_read || cluster.write.claim == Claim::Written);

    let mut clusters: Vec<_> = clusters.into_values().collect();
    clusters.sort_by_key(|cluster| (cluster.zone().0, cluster.is_forward()));
    // The last forward zone so far; if none overlap, it also ends last.
    let mut held: Option<&Cluster<'_>> = None;
    for cluster in &clusters {
        let (from, to) = cluster.zone();
        let until = held.map_or(0, |held| held.zone().1);
        if let Some(held) = held
            && from < until
        {
            if cluster.is_forward() {
                found.push(held.conflict(cluster, "two values held at once"));
            } else if to < until {
                found
                    .push(held.conflict(cluster, "a value held while another was held throughout"));
            }
        }
        if cluster.is_forward() {
            held = Some(cluster);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;
    fn operation(claim: Claim, value: &str, start: u64, end: u64) -> Operation {
        let (who, value) = ("a client".to_owned(), value.to_owned());
        Operation { who, claim, value, start, end }
    }

    fn written(value: &str, start: u64, end: u64) -> Operation {
        operation(Claim::Written, value, start, end)
    }

    fn unknown(value: &str, start: u64) -> Operation {
        operation(Claim::Unknown, value, start, start)
    }

    fn refused(value: &str, start: u64, end: u64) -> Operation {
        operation(Claim::Refused, value, start, end)
    }

    fn read(value: &str, start: u64, end: u64) -> Operation {
        operation(Claim::Read, value, start, end)
    }

    /// The violations of a register that initially holds `0`.
    fn wrong(history: &[Operation]) -> Vec<&'static str> {
        let history = [&[written("0", 0, 0)], history].concat();
        let found: Vec<_> = violations(&history).iter().map(|violation| violation.what).collect();
        assert_eq!(found.is_empty(), can_be_true(&history), "the search says otherwise");
        found
    }

    /// The same verdict by trying every order.
    fn can_be_true(history: &[Operation]) -> bool {
        fn search(left: &[&Operation], held: Option<&str>) -> bool {
            if left.iter().all(|operation| operation.claim == Claim::Unknown) {
                return true;
            }
            left.iter().enumerate().any(|(index, next)| {
                let comes_too_early = left.iter().any(|other| other.deadline() < next.start);
                if comes_too_early || next.claim == Claim::Read && held != Some(&next.value) {
                    return false;
                }
                let rest = [&left[..index], &left[index + 1..]].concat();
                search(&rest, Some(&next.value))
            })
        }
        let effective = history.iter().filter(|operation| operation.claim != Claim::Refused);
        search(&effective.collect::<Vec<_>>(), None)
    }

    const NOBODY: &str = "a value that nobody wrote";
    const REFUSED: &str = "a value asked for in vain";
    const EARLY: &str = "a value read before it was written";
    const TWO: &str = "two values held at once";
    const WITHIN: &str = "a value held while another was held throughout";

    #[test]
    fn consistent_histories_are_accepted() {
        let good: [&[Operation]; 9] = [
            &[],
            &[read("0", 1, 2), written("a", 3, 4), read("a", 5, 6)],
            // Two overlapping writes: either may be the last.
            &[written("a", 1, 9), written("b", 2, 8), read("a", 10, 11)],
            &[written("a", 1, 9), written("b", 2, 8), read("b", 10, 11)],
            // A read sees an unfinished write, and another read does not yet.
            &[written("a", 1, 9), read("a", 2, 5), read("0", 3, 4)],
            // An unknown write takes effect late, early, or never.
            &[unknown("a", 1), read("0", 5, 6), written("b", 7, 8), read("a", 9, 10)],
            &[unknown("a", 1), read("a", 2, 3), written("b", 4, 5), read("b", 6, 7)],
            &[unknown("a", 1), written("b", 4, 5), read("b", 6, 7), refused("c", 8, 9)],
            // Ending and beginning in the same nanosecond is no order.
            &[written("a", 1, 5), written("b", 5, 9), read("a", 9, 10)],
        ];
        for history in good {
            assert_eq!(wrong(history), Vec::<&str>::new(), "{history:#?}");
        }
    }

    #[test]
    fn inconsistent_histories_are_reported() {
        let bad: [(&str, &str, &[Operation]); 13] = [
            ("a stale read", WITHIN, &[written("a", 1, 2), read("0", 3, 4)]),
            (
                "an acknowledged update lost",
                WITHIN,
                &[written("a", 1, 2), written("b", 3, 4), read("a", 5, 6), read("a", 7, 8)],
            ),
            (
                "a value that comes and goes",
                WITHIN,
                &[written("a", 1, 9), read("a", 2, 3), read("0", 4, 5)],
            ),
            (
                "an unknown write that comes and goes",
                WITHIN,
                &[unknown("a", 1), read("a", 2, 3), read("0", 4, 5)],
            ),
            (
                "an unknown write that comes after all and goes again",
                WITHIN,
                &[unknown("a", 1), written("b", 2, 3), read("a", 4, 5), read("b", 6, 7)],
            ),
            ("a value of nobody", NOBODY, &[read("x", 1, 2)]),
            ("a refused value", REFUSED, &[refused("a", 1, 2), read("a", 3, 4)]),
            ("a refused value beforehand", REFUSED, &[refused("a", 1, 5), read("a", 2, 3)]),
            ("a value from the future", EARLY, &[read("a", 1, 2), written("a", 3, 4)]),
            ("an unknown value from the future", EARLY, &[read("a", 1, 2), unknown("a", 3)]),
            (
                "the order of two writes inverted",
                TWO,
                &[
                    written("a", 1, 2),
                    written("b", 3, 9),
                    read("b", 4, 5),
                    read("a", 6, 7),
                    read("b", 8, 9),
                ],
            ),
            (
                "two readers who saw two orders",
                TWO,
                &[
                    written("a", 1, 9),
                    written("b", 1, 9),
                    read("a", 2, 3),
                    read("b", 4, 5),
                    read("a", 6, 7),
                    read("b", 6, 7),
                ],
            ),
            (
                "two reads swapped",
                TWO,
                &[
                    written("a", 1, 4),
                    read("b", 2, 5),
                    written("b", 3, 9),
                    read("a", 6, 7),
                    read("b", 8, 9),
                ],
            ),
        ];
        for (name, reason, history) in bad {
            assert_eq!(wrong(history).first(), Some(&reason), "{name}");
        }
    }

    #[test]
    fn a_violation_shows_as_few_operations_as_prove_it() {
        let mut history = vec![written("0", 0, 0), written("a", 1_000_000, 2_500_000)];
        history.extend((4..90).map(|time| read("a", time * 1_000_000, (time + 2) * 1_000_000)));
        history.push(written("b", 20_000_000, 21_000_000));
        let [violation] = &violations(&history)[..] else { panic!("one violation") };
        let shown = violation.to_string();
        let lines: Vec<_> = shown.lines().map(str::trim).collect();
        assert_eq!(
            lines,
            [
                "a value held while another was held throughout (milliseconds from the first \
                 operation's start):",
                "0.000 ..        1.500  a client: asked for it, with success: a",
                "19.000 ..       20.000  a client: asked for it, with success: b",
                "88.000 ..       90.000  a client: was told: a",
            ]
        );
    }

    /// A history of a true register, with so few moments that many coincide.
    fn honest(random: &mut Rng, length: u64) -> Vec<Operation> {
        let mut moments: Vec<_> = (0..length).map(|_| random.u64(1..=15)).collect();
        moments.sort_unstable();
        let mut held = "0".to_owned();
        let mut history = Vec::new();
        for (number, moment) in moments.into_iter().enumerate() {
            let start = moment.saturating_sub(random.u64(..5)).max(1);
            let end = moment + random.u64(..5);
            let value = format!("v{number}");
            history.push(match random.u8(..8) {
                0..4 => read(&held, start, end),
                4 => refused(&value, start, end),
                5 => operation(Claim::Unknown, &value, start, end),
                kind => {
                    // Sometimes a write took effect, unknown to its client.
                    let claim = if kind == 6 { Claim::Unknown } else { Claim::Written };
                    held.clone_from(&value);
                    operation(claim, &value, start, end)
                }
            });
        }
        history
    }

    #[test]
    fn the_verdict_is_that_of_a_search_through_all_orders() {
        let mut random = Rng::with_seed(1);
        let (mut good, mut bad) = (0, 0);
        for _ in 0..20_000 {
            let length = random.u64(1..=8);
            let mut history = honest(&mut random, length);
            assert_eq!(wrong(&history), Vec::<&str>::new(), "{history:#?}");
            // Swaps an answer for another answer's value, or for a requested one.
            let values: Vec<_> = history.iter().map(|one| one.value.clone()).collect();
            for operation in &mut history {
                if operation.claim == Claim::Read && random.bool() {
                    let other = random.usize(..=values.len());
                    operation.value = values.get(other).cloned().unwrap_or("0".to_owned());
                }
            }
            if wrong(&history).is_empty() { good += 1 } else { bad += 1 }
        }
        assert!(good > 2_000 && bad > 2_000, "{good} good ones, {bad} bad ones");
    }
}
