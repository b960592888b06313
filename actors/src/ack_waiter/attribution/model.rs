//! Drives [`Attribution`] through every interleaving of our operations and their time-outs, another writer,
//! and the jobmaker's reads, acks, repetitions, garbage and restarts, over small configurations.
//!
//! Each answer is compared with the jobmaker's history:
//!
//! * a get returns a value that the jobmaker held between the get's beginning and its answer;
//! * a success returns the jobmaker's spelling of the requested value, and the jobmaker held it in that time;
//! * a refusal is returned only for values that the jobmaker refuses;
//! * the old value was held in that time, unless the same value was also requested earlier or by another writer.
//!
//! The number of times that the jobmaker writes one ack is limited in one of three ways ([`Repeats`]). Without limit,
//! refusals are not judged: a refusal that is repeated after each of our writes is accepted.
//!
//! To prove that the search finds the effect of a missing rule, [`Lie`] feeds the decision false inputs of that rule.

use std::collections::HashSet;

use super::{super::ack::Ack, Attribution, Decision, Next, Sighting, Verdict};
use crate::{
    domain::Coinbase,
    zk::{Mark, Revision, Zxid},
};

/// A coinbase: the address's one letter; the text is always the same. Another writer requests a value of its own, or one
/// of ours.
type Letter = u8;

/// The jobmaker's value after a restart, before it reads the request.
const CONFIGURED: Letter = b'0';
/// The request znode before the first write.
const EMPTY: Letter = b' ';

fn is_valid(value: Letter) -> bool {
    matches!(value, b'a' | b'b' | b'e')
}

/// The jobmaker's spelling: its own for `b`.
fn spelt(value: Letter) -> Letter {
    if value == b'b' { b'B' } else { value }
}

fn coinbase(value: Letter) -> Coinbase {
    Coinbase { coinbase_info: String::new(), payout_addr: char::from(value).to_string() }
}

fn letter(coinbase: &Coinbase) -> Letter {
    coinbase.payout_addr.as_bytes()[0]
}

/// An operation of ours. Updates share their exchange with a get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Operation {
    Get,
    Update(Letter),
}

/// False inputs for the decision, as if a rule were missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    None,
    /// Every ack is after our write.
    AlwaysNew,
    /// No other writer comes after us.
    NeverOvertaken,
    /// Every ack that calls for another comes twice more at once.
    AlwaysCertain,
    /// Two equal acks are enough.
    NeverRepeated,
    /// The jobmaker's value never changes.
    HoldsOld,
    /// All acks after our first write are after our latest.
    AfterFirstWrite,
    /// No ack is a repetition of an earlier one.
    NeverOneAckTwice,
}

/// When the jobmaker may write an ack again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeats {
    /// Once.
    Once,
    /// Until the second of our writes after it.
    InARow,
    /// At any time before its next read. Acks are dated, each read with another second.
    Always,
}

/// One setting to explore.
#[derive(Clone)]
struct Configuration {
    operations: Vec<Operation>,
    other: &'static [u8],
    restarts: u8,
    repetitions: u8,
    repeats: Repeats,
    garbage: u8,
    content: Letter,
    lie: Lie,
}

/// The ack that follows from a read; `new` is `None` if the jobmaker refuses.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Words {
    old: Letter,
    new: Option<Letter>,
    /// Time of the read.
    second: u8,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Jobmaker {
    Idle,
    /// It has read a request, and written no ack yet.
    HasRead(Words),
    /// It has written the ack, and may repeat it; with the number of our writes since then.
    HasAcked(Words, u8),
}

/// Our task's progress in an operation.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Daemon {
    Begins,
    /// It watches the ack, and has read the request with this version and content.
    Watches(i32, Letter),
    Waits,
    /// It has read the ack, and will read the request.
    HasReadAck(i64, Option<Words>),
    Provokes,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct World {
    version: i32,
    content: Letter,
    zxid: i64,
    /// The last ack: its write and its content, `None` if it cannot be parsed.
    ack: (i64, Option<Words>),
    held: Letter,
    jobmaker: Jobmaker,
    /// Whether the jobmaker's watch has fired.
    jobmaker_wakes: bool,
    restarts: u8,
    repetitions: u8,
    garbage: u8,
    /// The jobmaker's clock; stopped if acks are not dated.
    second: u8,
    other_written: usize,
    operation: usize,
    daemon: Daemon,
    /// Whether our watch has fired.
    daemon_wakes: bool,
    /// The bytes that the exchange writes.
    writes: Letter,
    ours: i32,
    attribution: Attribution,
    /// The values that the jobmaker has held since the operation began, as bits.
    held_since: u16,
}

fn bit(value: Letter) -> u16 {
    let all = b"0abeB xi";
    1 << all.iter().position(|&known| known == value).expect("a known value")
}

fn revision(version: i32) -> Revision {
    Revision::test(1, version)
}

impl Words {
    fn ack(self, lie: Lie) -> Ack {
        let new = if lie == Lie::HoldsOld { None } else { self.new };
        Ack {
            new: new.map(coinbase),
            old: coinbase(self.old),
            err_msg: String::new(),
            subpool_name: String::new(),
            host: String::new(),
            origin: String::new(),
            created_at: self.second.to_string(),
        }
    }
}

impl Configuration {
    fn first(&self) -> World {
        World {
            version: i32::from(self.content != EMPTY),
            content: self.content,
            zxid: 10,
            ack: (0, None),
            held: if is_valid(self.content) { spelt(self.content) } else { CONFIGURED },
            jobmaker: Jobmaker::Idle,
            jobmaker_wakes: false,
            restarts: 0,
            repetitions: 0,
            garbage: 0,
            second: 0,
            other_written: 0,
            operation: 0,
            daemon: Daemon::Begins,
            daemon_wakes: false,
            writes: EMPTY,
            ours: 0,
            attribution: Attribution::new(None, false),
            held_since: 0,
        }
    }

    /// Visits every state; returns the number of states, or the first fault.
    fn explore(&self) -> Result<usize, String> {
        let mut seen = HashSet::new();
        let mut stack = vec![self.first()];
        let mut after = Vec::new();
        while let Some(world) = stack.pop() {
            if seen.contains(&world) {
                continue;
            }
            self.jobmaker_steps(&world, &mut after);
            self.other_steps(&world, &mut after);
            self.daemon_steps(&world, &mut after)?;
            stack.append(&mut after);
            seen.insert(world);
        }
        Ok(seen.len())
    }

    fn jobmaker_steps(&self, world: &World, after: &mut Vec<World>) {
        let mut idle = world.clone();
        idle.jobmaker = Jobmaker::Idle;
        match world.jobmaker {
            Jobmaker::Idle => {}
            Jobmaker::HasRead(words) => {
                let mut next = world.clone();
                next.acked(Some(words));
                next.jobmaker = Jobmaker::HasAcked(words, 0);
                after.push(next);
                if world.garbage < self.garbage {
                    let mut next = world.clone();
                    next.acked(None);
                    next.garbage += 1;
                    after.push(next);
                }
            }
            Jobmaker::HasAcked(words, writes) if world.repetitions < self.repetitions => {
                let mut next = match self.repeats {
                    Repeats::Once => idle.clone(),
                    Repeats::InARow if writes > 1 => idle.clone(),
                    Repeats::InARow | Repeats::Always => world.clone(),
                };
                if self.repeats != Repeats::InARow || writes <= 1 {
                    next.acked(Some(words));
                    next.repetitions += 1;
                    after.push(next);
                }
            }
            Jobmaker::HasAcked(..) => {}
        }
        let may_read = !matches!(world.jobmaker, Jobmaker::HasRead(_));
        if world.jobmaker_wakes && may_read {
            let mut next = idle.clone();
            let new = is_valid(world.content).then(|| spelt(world.content));
            next.second += u8::from(self.repeats == Repeats::Always);
            next.jobmaker = Jobmaker::HasRead(Words { old: world.held, new, second: next.second });
            next.jobmaker_wakes = false;
            next.holds(new.unwrap_or(world.held));
            after.push(next);
        }
        if world.restarts < self.restarts {
            let mut next = idle;
            next.jobmaker_wakes = true;
            next.restarts += 1;
            next.holds(CONFIGURED);
            after.push(next);
        }
    }

    fn other_steps(&self, world: &World, after: &mut Vec<World>) {
        if let Some(&value) = self.other.get(world.other_written) {
            let mut next = world.clone();
            next.write(value);
            next.other_written += 1;
            after.push(next);
        }
    }

    fn daemon_steps(&self, world: &World, after: &mut Vec<World>) -> Result<(), String> {
        let Some(&operation) = self.operations.get(world.operation) else { return Ok(()) };
        if world.daemon != Daemon::Begins {
            after.push(world.ended());
        }
        let mut next = world.clone();
        match world.daemon {
            Daemon::Begins => {
                next.attribution = match operation {
                    Operation::Get => Attribution::new(None, true),
                    Operation::Update(value) => Attribution::new(Some(coinbase(value)), true),
                };
                next.held_since = bit(world.held);
                next.begin_again();
            }
            Daemon::Watches(version, content) => {
                next.writes = match operation {
                    Operation::Update(value) => value,
                    Operation::Get => content,
                };
                let is_conditional = operation == Operation::Get;
                let decision = next.write_if(!is_conditional || world.version == version);
                next = self.take(operation, next, decision)?;
            }
            Daemon::Provokes => {
                let decision = next.write_if(world.version == world.ours);
                next = self.take(operation, next, decision)?;
            }
            Daemon::Waits if !world.daemon_wakes => return Ok(()),
            Daemon::Waits => {
                next.daemon_wakes = false;
                let (zxid, words) = world.ack;
                next.daemon = Daemon::HasReadAck(zxid, words);
            }
            Daemon::HasReadAck(zxid, words) => {
                let truth = Sighting {
                    zxid: Zxid::test(zxid),
                    ack: words.map(|words| words.ack(self.lie)),
                    request: Some(revision(world.version)),
                };
                let decision = self.feed(&mut next, truth, zxid);
                next = self.take(operation, next, decision)?;
            }
        }
        after.push(next);
        Ok(())
    }

    /// Feeds the decision a sighting, maybe a false one.
    fn feed(&self, world: &mut World, truth: Sighting, zxid: i64) -> Decision {
        const LATER: i64 = 1000;
        let fed = match self.lie {
            Lie::AlwaysNew => Sighting { zxid: Zxid::test(zxid + LATER), ..truth },
            Lie::NeverOvertaken => Sighting { request: Some(revision(world.ours)), ..truth },
            _ => truth,
        };
        let attribution = &mut world.attribution;
        match self.lie {
            Lie::AfterFirstWrite => attribution.latest_write = attribution.first_write,
            Lie::NeverOneAckTwice => attribution.is_read_again = true,
            _ => {}
        }
        let mut decision = world.attribution.seen(fed.clone());
        let again = match self.lie {
            Lie::AlwaysCertain => 2,
            Lie::NeverRepeated if world.attribution.acks == 2 => 1,
            _ => 0,
        };
        for later in 1..=again {
            if decision.next == Next::Provoke {
                let gets = decision.gets.take();
                let zxid = Zxid::test(zxid + later * LATER);
                decision = world.attribution.seen(Sighting { zxid, ..fed.clone() });
                decision.gets = gets.or(decision.gets);
            }
        }
        decision
    }

    /// Judges the answers, and goes on as decided.
    fn take(
        &self,
        operation: Operation,
        mut world: World,
        decision: Decision,
    ) -> Result<World, String> {
        let held = |coinbase: &Coinbase| world.held_since & bit(letter(coinbase)) != 0;
        let wrong = |what: &str| {
            Err(format!("{operation:?} of {:?} beside {:?}: {what}", self.operations, self.other))
        };
        if let Some(Ok(ack)) = &decision.gets
            && !held(ack.held())
        {
            return wrong(&format!("a get is fed {ack:?}"));
        }
        if let (Some(verdict), Operation::Update(asked)) = (&decision.update, operation) {
            let is_same = |it: &&Operation| **it == Operation::Update(asked);
            let same_from_other =
                self.other.contains(&asked) || self.operations.iter().filter(is_same).count() > 1;
            let (ack, is_right) = match verdict {
                Verdict::Granted(ack) => {
                    (Some(ack), ack.new == Some(coinbase(spelt(asked))) && held(ack.held()))
                }
                Verdict::Refused(_) if self.repeats == Repeats::Always => (None, true),
                Verdict::Refused(ack) => (Some(ack), ack.new.is_none() && !is_valid(asked)),
                Verdict::Overtaken => (None, true),
                Verdict::Unparsable => (None, world.garbage > 0),
            };
            if !is_right || ack.is_some_and(|ack| !held(&ack.old) && !same_from_other) {
                return wrong(&format!("the update gets {verdict:?}"));
            }
        }
        match decision.next {
            Next::Wait => world.daemon = Daemon::Waits,
            Next::Provoke | Next::ProvokeLater => world.daemon = Daemon::Provokes,
            Next::ReadAgain => world.begin_again(),
            Next::Over => world = world.ended(),
        }
        Ok(world)
    }
}

impl World {
    fn holds(&mut self, value: Letter) {
        self.held = value;
        self.held_since |= bit(value);
    }

    fn write(&mut self, value: Letter) {
        self.version += 1;
        self.content = value;
        self.zxid += 1;
        self.jobmaker_wakes = true;
    }

    fn write_if(&mut self, may: bool) -> Decision {
        if !may {
            return self.attribution.overtaken();
        }
        self.write(self.writes);
        if let Jobmaker::HasAcked(_, writes) = &mut self.jobmaker {
            *writes = writes.saturating_add(1).min(2);
        }
        self.ours = self.version;
        let mark = Mark { revision: revision(self.version), zxid: Zxid::test(self.zxid) };
        self.attribution.written(mark)
    }

    fn acked(&mut self, words: Option<Words>) {
        self.zxid += 1;
        self.ack = (self.zxid, words);
        self.daemon_wakes = true;
    }

    fn begin_again(&mut self) {
        self.daemon = Daemon::Watches(self.version, self.content);
        self.daemon_wakes = false;
    }

    /// Ends the operation, and forgets state without further effect, to merge equal worlds.
    fn ended(&self) -> Self {
        let mut next = self.clone();
        next.operation += 1;
        next.daemon = Daemon::Begins;
        next.daemon_wakes = false;
        next.attribution = Attribution::new(None, false);
        (next.writes, next.ours, next.held_since) = (EMPTY, 0, 0);
        next
    }
}

/// Every configuration with `length` operations and at most so many `disturbances`.
fn configurations(length: usize, disturbances: usize, lie: Lie) -> Vec<Configuration> {
    let kinds = [b'a', b'x', b'b']
        .map(Operation::Update)
        .into_iter()
        .chain([Operation::Get])
        .collect::<Vec<_>>();
    let mut lists: Vec<Vec<Operation>> = vec![Vec::new()];
    for _ in 0..length {
        let longer = |list: &Vec<_>| {
            kinds.iter().map(|&kind| [list.clone(), vec![kind]].concat()).collect::<Vec<_>>()
        };
        lists = lists.iter().flat_map(longer).collect();
    }
    let others: [&[u8]; 8] = [b"", b"e", b"i", b"a", b"ei", b"ie", b"bx", b"x"];
    let mut all = Vec::new();
    for operations in lists {
        for other in others {
            for restarts in 0..=2 {
                use Repeats::{Always, InARow, Once};
                for (repeats, repetitions, garbage) in [
                    (Once, 0, 0),
                    (Once, 1, 0),
                    (Once, 2, 0),
                    (Once, 1, 1),
                    (Once, 0, 2),
                    (InARow, 3, 0),
                    (Always, 3, 0),
                ] {
                    // More operations would take hours.
                    if repeats != Once && length > 1 && length + disturbances > 3 {
                        continue;
                    }
                    // One ack that is written several times is one disturbance.
                    let repeated = if repeats == Once { repetitions } else { 1 };
                    if other.len() + usize::from(restarts + repeated + garbage) > disturbances {
                        continue;
                    }
                    for content in [EMPTY, b'e', b'i'] {
                        all.push(Configuration {
                            operations: operations.clone(),
                            other,
                            restarts,
                            repetitions,
                            repeats,
                            garbage,
                            content,
                            lie,
                        });
                    }
                }
            }
        }
    }
    all
}

/// The number of states of all configurations, or the first fault.
fn explore(length: usize, disturbances: usize, lie: Lie) -> Result<usize, String> {
    let all = configurations(length, disturbances, lie);
    all.iter().try_fold(0, |states, it| Ok(states + it.explore()?))
}

#[test]
fn no_interleaving_of_two_operations_gets_a_wrong_answer() {
    let states = explore(1, 2, Lie::None).unwrap() + explore(2, 1, Lie::None).unwrap();
    assert!(states > 100_000, "the search visits {states} states only");
}

/// `make races` runs it.
#[test]
#[allow(clippy::print_stdout)]
#[ignore = "takes minutes"]
fn no_interleaving_of_three_operations_gets_a_wrong_answer() {
    for (operations, disturbances) in [(1, 3), (2, 2), (3, 1)] {
        let states = explore(operations, disturbances, Lie::None).unwrap();
        println!("{operations} operations, up to {disturbances} disturbances: {states} states");
    }
}

#[test]
fn each_rule_is_needed() {
    for lie in [
        Lie::AlwaysNew,
        Lie::NeverOvertaken,
        Lie::AlwaysCertain,
        Lie::NeverRepeated,
        Lie::HoldsOld,
        Lie::AfterFirstWrite,
        Lie::NeverOneAckTwice,
    ] {
        // The smallest search first: a search ends at the first fault.
        let mut searches = [(1, 2), (2, 1), (1, 3)].into_iter();
        assert!(
            searches.any(|(length, disturbances)| explore(length, disturbances, lie).is_err()),
            "no fault without the rule: {lie:?}"
        );
    }
}
