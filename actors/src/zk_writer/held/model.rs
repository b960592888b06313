//! The protocol against a model of ZooKeeper, with random interleavings and crashes.
//!
//! One sub-account. Each process takes one request to ZooKeeper at a time, in any order with the others, and may end
//! between any two. A poll acts at the moment of its mark, all others between their first request and their answer. At
//! the end the carrier has carried out what is left, and the znode must hold the coin of a switch after whose end no
//! other switch was begun and accepted. Without any one of the rules, some history must end otherwise.

use super::Intent;
use crate::{
    domain::{Coin, Coins, RequestId, Source},
    zk::Zxid,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rules {
    All,
    /// Callers are answered without the confirming read.
    NoConfirmation,
    /// Acceptances are not announced.
    NoAnnouncement,
    /// A poll writes without the check of the announcements.
    NoGuard,
    /// The carrier deletes an intent of any version.
    AnyVersion,
    /// A poll leaves a znode with its coin alone, though an older intent waits.
    PollLeavesIntent,
    /// A poll does not confirm its intent.
    PollTrustsIntent,
}

/// A znode: its coin or intent, its last write, its version.
#[derive(Clone, Debug)]
struct Node<T> {
    data: T,
    zxid: i64,
    version: i32,
}

#[derive(Default)]
struct World {
    zxid: i64,
    znode: Option<Node<usize>>,
    intent: Option<Node<Intent>>,
    announced: i32,
}

impl World {
    fn next(&mut self) -> i64 {
        self.zxid += 1;
        self.zxid
    }

    fn write(&mut self, switch: usize) {
        let (zxid, version) = (self.next(), self.znode.as_ref().map_or(0, |it| it.version + 1));
        self.znode = Some(Node { data: switch, zxid, version });
    }

    fn set_intent(&mut self, intent: Intent) {
        let (zxid, version) = (self.next(), self.intent.as_ref().map_or(0, |it| it.version + 1));
        self.intent = Some(Node { data: intent, zxid, version });
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Immediate,
    Held,
    Poll,
    HeldPoll,
    Carrier,
}

struct Process {
    kind: Kind,
    /// Its number, which is the coin that it writes.
    switch: usize,
    step: usize,
    start: i64,
    end: Option<i64>,
    is_over: bool,
    znode: Option<Node<usize>>,
    intent: Option<Node<Intent>>,
    /// Mark of a poll.
    mark: i64,
    guard: i32,
    /// Whether a poll has listed the intent.
    is_listed: bool,
}

fn intent(switch: usize, mark: Option<i64>) -> Intent {
    let coin = Coins::new(&[format!("c{switch}")]).unwrap().iter().next().cloned().unwrap();
    let source = match mark {
        Some(_) => Source::poll(RequestId(0)),
        None => Source::api(None, RequestId(0)),
    };
    Intent { coin, due: 0, source, mark: mark.map(Zxid::from_i64) }
}

fn switch(coin: &Coin) -> usize {
    coin.as_str()[1..].parse().unwrap()
}

fn is_last(intent: &Node<Intent>, znode: Option<&Node<usize>>) -> bool {
    intent.data.is_last(Zxid::from_i64(intent.zxid), znode.map(|it| Zxid::from_i64(it.zxid)))
}

impl Process {
    fn new(kind: Kind, switch: usize) -> Self {
        let (step, start, end, is_over) = (0, 0, None, false);
        let (znode, intent, mark, guard, is_listed) = (None, None, 0, 0, false);
        Self { kind, switch, step, start, end, is_over, znode, intent, mark, guard, is_listed }
    }

    /// One request. `clock` rises with each.
    fn run(&mut self, world: &mut World, clock: i64, rules: Rules) {
        if self.step == 0 {
            self.start = clock;
        }
        match self.kind {
            Kind::Immediate => {
                world.write(self.switch);
                self.done(clock);
            }
            Kind::Held => self.hold(world, clock, rules),
            Kind::Poll | Kind::HeldPoll => self.poll(world, rules),
            Kind::Carrier => self.carry(world, rules),
        }
        self.step += 1;
    }

    fn is_poll(&self) -> bool {
        matches!(self.kind, Kind::Poll | Kind::HeldPoll)
    }

    fn done(&mut self, end: i64) {
        (self.end, self.is_over) = (Some(end), true);
    }

    fn hold(&mut self, world: &mut World, clock: i64, rules: Rules) {
        match self.step % 4 {
            0 => {}
            1 => world.set_intent(intent(self.switch, None)),
            2 if rules == Rules::NoAnnouncement => {}
            2 => world.announced += 1,
            _ => {
                let is_confirmed = match &world.intent {
                    Some(is) => is.data.mark.is_none() && is_last(is, world.znode.as_ref()),
                    None => world.znode.as_ref().is_some_and(|it| it.data == self.switch),
                };
                if is_confirmed || rules == Rules::NoConfirmation {
                    self.done(clock);
                }
            }
        }
    }

    fn poll(&mut self, world: &mut World, rules: Rules) {
        match self.step {
            // The mark.
            0 => self.mark = world.next(),
            1 => self.znode = world.znode.clone(),
            2 => (self.guard, self.is_listed) = (world.announced, world.intent.is_some()),
            3 => self.intent = world.intent.clone().filter(|_| self.is_listed),
            5 => world.announced += 1,
            6 => {
                self.is_over = true;
                let is_newer = world.znode.as_ref().is_some_and(|it| it.zxid > self.mark);
                if !is_newer || rules == Rules::PollTrustsIntent {
                    self.end = Some(self.start);
                }
            }
            _ => {
                let mark = self.mark;
                let before = self.intent.as_ref().filter(|it| is_last(it, self.znode.as_ref()));
                let is_newer = |zxid: i64| zxid > mark;
                self.is_over = true;
                let position = |it: &Node<Intent>| it.data.mark.map_or(it.zxid, Zxid::to_i64);
                if before.is_some_and(|it| is_newer(position(it)))
                    || self.znode.as_ref().is_some_and(|it| is_newer(it.zxid))
                {
                    return;
                }
                let version = |node: &Option<Node<usize>>| node.as_ref().map(|it| it.version);
                let intent_version =
                    |node: &Option<Node<Intent>>| node.as_ref().map(|it| it.version);
                if rules == Rules::PollLeavesIntent && self.kind == Kind::Poll && before.is_some() {
                    self.end = Some(self.start);
                } else if self.kind == Kind::HeldPoll && self.znode.is_some() {
                    if intent_version(&world.intent) == intent_version(&self.intent)
                        && self.guard == world.announced
                    {
                        world.set_intent(intent(self.switch, Some(mark)));
                        self.is_over = false;
                    } else if self.guard != world.announced {
                        self.try_again();
                    }
                } else if version(&world.znode) == version(&self.znode)
                    && (self.guard == world.announced || rules == Rules::NoGuard)
                {
                    world.write(self.switch);
                    self.end = Some(self.start);
                } else if self.guard != world.announced {
                    self.try_again();
                }
            }
        }
    }

    /// Lists the intents again. The read of the znode stays.
    fn try_again(&mut self) {
        (self.step, self.is_over) = (1, false);
    }

    fn carry(&mut self, world: &mut World, rules: Rules) {
        match self.step % 3 {
            0 => self.intent = world.intent.clone(),
            1 => self.znode = world.znode.clone(),
            _ => {
                let (Some(read), Some(is)) = (&self.intent, &world.intent) else { return };
                let is_same = read.version == is.version && read.zxid == is.zxid;
                if !is_same && rules != Rules::AnyVersion {
                    return;
                }
                if !is_last(read, self.znode.as_ref()) {
                    world.intent = None;
                } else if self.znode.as_ref().map(|it| it.version)
                    == world.znode.as_ref().map(|it| it.version)
                {
                    let coin = switch(&read.data.coin);
                    world.write(coin);
                    world.intent = None;
                }
            }
        }
    }
}

/// Runs one random history. Returns whether the last switch won.
fn is_right(seed: u64, rules: Rules) -> bool {
    let mut random = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut pick = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 11) as usize % below
    };
    let kinds = [Kind::Immediate, Kind::Held, Kind::Held, Kind::Poll, Kind::HeldPoll];
    let mut world = World::default();
    world.write(0);
    let mut processes = vec![Process::new(Kind::Carrier, 0)];
    for switch in 1..=2 + pick(3) {
        // Two polls at the same time have never had an order.
        let has_poll = processes.iter().any(|it| it.is_poll());
        let kinds = if has_poll { &kinds[..3] } else { &kinds[..] };
        processes.push(Process::new(kinds[pick(kinds.len())], switch));
    }
    let mut clock = 0;
    for _ in 0..20 + pick(30) {
        let at = pick(processes.len());
        if processes[at].is_over {
            continue;
        }
        clock += 1;
        if processes[at].kind != Kind::Carrier && processes[at].step > 0 && pick(12) == 0 {
            // kill -9. Another daemon becomes the carrier.
            processes[at].is_over = true;
            processes[0] = Process::new(Kind::Carrier, 0);
        } else {
            processes[at].run(&mut world, clock, rules);
        }
    }
    let mut carrier = Process::new(Kind::Carrier, 0);
    (0..9).for_each(|_| carrier.run(&mut world, clock, rules));
    assert!(world.intent.is_none(), "nothing is left");
    let last = world.znode.map_or(0, |it| it.data);
    // A switch that was cut off may count at any time; a poll at its mark.
    let end = match processes.iter().find(|it| it.switch == last && it.kind != Kind::Carrier) {
        None => 0,
        Some(it) if it.is_poll() => it.start,
        Some(it) => it.end.unwrap_or(i64::MAX),
    };
    !processes.iter().any(|it| it.end.is_some() && it.start > end)
}

#[test]
fn the_last_accepted_switch_wins_in_any_order_of_requests() {
    for seed in 0..300_000 {
        assert!(is_right(seed, Rules::All), "seed {seed}");
    }
}

#[test]
fn each_rule_is_needed() {
    for (rules, name) in [
        (Rules::NoConfirmation, "confirmation"),
        (Rules::NoAnnouncement, "announcement"),
        (Rules::NoGuard, "guard"),
        (Rules::AnyVersion, "intent's version"),
        (Rules::PollLeavesIntent, "obsolete by a poll"),
        (Rules::PollTrustsIntent, "a poll's confirmation"),
    ] {
        let is_found = (0..300_000).any(|seed| !is_right(seed, rules));
        assert!(is_found, "without {name} nothing goes wrong");
    }
}
