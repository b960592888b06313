//! A pool's daily traffic while faults strike: single switches, batches, polls, and requests to jobmakers. Each
//! request is recorded with its content, times and answer.
//!
//! Every write gives its sub-account a coin that no other write of the round gives it, so that each coin found
//! later identifies its write.
//!
//! Most sub-accounts are left alone once a switch has succeeded after an earlier one: the end of the round then
//! still shows a write that came late.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::json;
use tokio::task::JoinSet;

use crate::looker::Looker;
use crate::scene::{COINS, Scene, coin};
use crate::support::client::{Connection, Request};
use crate::support::coinbase_history::since;
use crate::support::daemon::{PASSWORD, USER};
use crate::support::load::{Fate, switch};

/// Clients, each with sub-accounts of its own.
const OWNERS: usize = 4;
/// Clients of both daemons that switch the same sub-accounts.
const RIVALS: usize = 4;
/// Those sub-accounts.
const CONTESTED: usize = 4;
/// Clients that send batches.
const BATCHERS: usize = 2;
/// Sub-accounts in most batches, at most.
const IN_BATCH: usize = 60;
/// The same in one of ten: more than a transaction.
const IN_LARGE_BATCH: usize = 700;
/// Sub-accounts that are in the maps and are also switched by callers.
const MAPPED_AND_CALLED: usize = 4;
/// Sub-accounts that only maps switch.
const MAPPED: usize = 60;

/// A request that switches sub-accounts.
#[derive(Clone, Debug)]
pub struct Call {
    pub who: String,
    /// The index of the daemon.
    pub daemon: usize,
    pub names: Vec<String>,
    pub coin: String,
    /// Nanoseconds since the round's beginning, like `end`.
    pub start: u64,
    pub end: u64,
    pub fate: Fate,
}

/// Content of a sub-account's znode, as read.
#[derive(Clone, Debug)]
pub struct Look {
    pub name: String,
    pub coin: String,
    pub start: u64,
    pub end: u64,
}

impl Look {
    pub fn new(name: &str, found: Option<String>, start: u64, end: u64) -> Self {
        let coin = found.unwrap_or_else(|| NO_ZNODE.to_owned());
        Self { name: name.to_owned(), coin, start, end }
    }
}

/// Stands for the coin of a sub-account that has no znode.
pub const NO_ZNODE: &str = "";

/// Everything recorded.
#[derive(Debug, Default)]
pub struct Records {
    pub calls: Vec<Call>,
    pub looks: Vec<Look>,
    /// Answers that the API has not.
    pub odd: Vec<String>,
}

/// Traffic that goes on.
pub struct Traffic {
    pub origin: Instant,
    stop: Arc<AtomicBool>,
    clients: JoinSet<Records>,
    /// Of each daemon.
    pub pulses: Arc<[Pulse; 2]>,
}

/// A daemon's successes, in the order of their ends.
#[derive(Default)]
pub struct Pulse(Mutex<Vec<Success>>);

#[derive(Clone, Copy)]
struct Success {
    start: Instant,
    end: Instant,
}

impl Pulse {
    /// A success of a request that began then, now.
    pub fn beat(&self, start: Instant) {
        let mut successes = self.0.lock().unwrap();
        successes.push(Success { start, end: Instant::now() });
    }

    /// How many there were.
    pub fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// End of the first success whose request began after `moment`: an earlier request proves nothing.
    pub fn first_after(&self, moment: Instant) -> Option<Instant> {
        let successes = self.0.lock().unwrap();
        let later = successes.partition_point(|success| success.end <= moment);
        let first = successes[later..].iter().find(|success| success.start > moment)?;
        Some(first.end)
    }
}

/// The names of one round.
#[derive(Clone, Debug)]
pub struct Names {
    prefix: String,
}

impl Names {
    pub fn new(round: usize) -> Self {
        Self { prefix: format!("r{round}") }
    }

    fn owned(&self, owner: usize, number: usize) -> String {
        format!("{}-own{owner}-{number}", self.prefix)
    }

    fn contested(&self, number: usize) -> String {
        format!("{}-rival{number}", self.prefix)
    }

    fn in_batch(&self, batcher: usize, batch: usize, number: usize) -> String {
        format!("{}-batch{batcher}-{batch}-{number}", self.prefix)
    }

    /// Those that maps switch as well as callers.
    pub fn mapped_and_called(&self) -> Vec<String> {
        (0..MAPPED_AND_CALLED).map(|number| format!("{}-both{number}", self.prefix)).collect()
    }

    /// Those that only maps switch.
    pub fn mapped(&self) -> Vec<String> {
        (0..MAPPED).map(|number| format!("{}-map{number}", self.prefix)).collect()
    }

    /// All that the maps have.
    pub fn in_maps(&self) -> Vec<String> {
        [self.mapped(), self.mapped_and_called()].concat()
    }
}

impl Traffic {
    /// Starts the clients of the daemons.
    pub fn start(scene: &Scene, names: &Names, seed: u64) -> Self {
        let fronts = scene.fronts();
        let mut traffic = Self {
            origin: Instant::now(),
            stop: Arc::default(),
            clients: JoinSet::new(),
            pulses: Arc::default(),
        };
        let mut random = Rng::with_seed(seed);
        let mut start = |kind: Kind, number: usize| {
            let daemon = number % fronts.len();
            let client = Sender {
                kind,
                number,
                daemon,
                address: fronts[daemon].clone(),
                names: names.clone(),
                origin: traffic.origin,
                random: random.fork(),
                pulses: Arc::clone(&traffic.pulses),
                connection: None,
                finished: 0,
                tries: 0,
                batch_size: 1,
                records: Records::default(),
            };
            traffic.clients.spawn(client.run(Arc::clone(&traffic.stop)));
        };
        (0..OWNERS).for_each(|number| start(Kind::Owner, number));
        (0..RIVALS).for_each(|number| start(Kind::Rival, number));
        (0..BATCHERS).for_each(|number| start(Kind::Batcher, number));
        start(Kind::Caller, 0);
        let looked_at: Vec<_> = (0..CONTESTED)
            .map(|number| names.contested(number))
            .chain(names.mapped_and_called())
            .collect();
        let (stop, origin) = (Arc::clone(&traffic.stop), traffic.origin);
        let watch_dir = scene.daemons[0].daemon.watch_dir().to_owned();
        traffic.clients.spawn(watch(scene.brokers(), looked_at, watch_dir, origin, stop));
        traffic
    }

    /// Ends the traffic and returns its records.
    pub async fn finish(self) -> Records {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Records::default();
        for records in self.clients.join_all().await {
            all.calls.extend(records.calls);
            all.looks.extend(records.looks);
            all.odd.extend(records.odd);
        }
        all
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Owner,
    Rival,
    Batcher,
    /// Switches the sub-accounts of the maps, too.
    Caller,
}

struct Sender {
    kind: Kind,
    number: usize,
    daemon: usize,
    address: String,
    names: Names,
    origin: Instant,
    random: Rng,
    pulses: Arc<[Pulse; 2]>,
    connection: Option<Connection>,
    /// Own sub-accounts, or batches, that are finished.
    finished: usize,
    /// Switches of the next.
    tries: usize,
    batch_size: usize,
    records: Records,
}

impl Sender {
    async fn run(mut self, stop: Arc<AtomicBool>) -> Records {
        // Rivals switch the same names: each has coins of its own.
        let (first, step) = match self.kind {
            Kind::Rival => (self.number, RIVALS + BATCHERS),
            Kind::Batcher => (RIVALS + self.number, RIVALS + BATCHERS),
            Kind::Owner | Kind::Caller => (0, 1),
        };
        for number in (first..COINS).step_by(step) {
            if stop.load(Ordering::Relaxed) {
                return self.records;
            }
            let (names, pause) = self.next(number);
            let fate = self.send(names, coin(number)).await;
            self.tries += 1;
            if fate == Fate::Applied && (self.tries > 1 || self.random.bool()) {
                self.finished += 1;
                self.tries = 0;
                let is_large = self.random.u8(..10) == 0;
                self.batch_size =
                    self.random.usize(1..if is_large { IN_LARGE_BATCH } else { IN_BATCH });
            }
            // No hurry: a load that spins on errors slows the recovery that it waits for.
            let pause = if fate == Fate::Applied { pause } else { 20 };
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        self.records.odd.push(format!("{:?} {} ran out of coins", self.kind, self.number));
        self.records
    }

    /// Which names to switch, and how many milliseconds to wait afterwards.
    fn next(&mut self, number: usize) -> (Vec<String>, u64) {
        match self.kind {
            Kind::Owner => (vec![self.names.owned(self.number, self.finished)], 3),
            Kind::Rival => (vec![self.names.contested(self.random.usize(..CONTESTED))], 4),
            Kind::Caller => {
                let names = self.names.mapped_and_called();
                (vec![names[number % MAPPED_AND_CALLED].clone()], 10)
            }
            Kind::Batcher => {
                let name = |number| self.names.in_batch(self.number, self.finished, number);
                let own: Vec<_> = (0..self.batch_size).map(name).collect();
                let contested = self.names.contested(self.random.usize(..CONTESTED));
                ([own, vec![contested]].concat(), 50)
            }
        }
    }

    async fn send(&mut self, names: Vec<String>, coin: String) -> Fate {
        let request = match (self.kind, &names[..]) {
            (Kind::Batcher, names) => {
                let groups = json!([{ "coin": coin, "punames": names }]);
                Request::batch(json!({ "usercoins": groups }).to_string())
            }
            (_, names) => Request::switch(&names[0], &coin),
        };
        let request = request.credentials(USER, PASSWORD);
        let begun = Instant::now();
        let start = since(self.origin, begun);
        let sent = switch(&mut self.connection, &self.address, &request).await;
        let end = since(self.origin, Instant::now());
        let fate = sent.unwrap_or_else(|response| {
            let who = format!("{:?} {}", self.kind, self.number);
            self.records.odd.push(format!("not of the API, to {who}: {response:?}"));
            Fate::Unanswered
        });
        if fate == Fate::Applied {
            self.pulses[self.daemon].beat(begun);
        }
        let who = format!("{:?} {}", self.kind, self.number);
        let daemon = self.daemon;
        self.records.calls.push(Call { who, daemon, names, coin, start, end, fate });
        fate
    }
}

/// Looks at sub-accounts all the time.
async fn watch(
    brokers: String,
    names: Vec<String>,
    watch_dir: String,
    origin: Instant,
    stop: Arc<AtomicBool>,
) -> Records {
    let mut records = Records::default();
    let mut looker = None;
    for name in names.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        let Some(client) = &looker else {
            looker = Looker::connect(&brokers).await;
            continue;
        };
        let start = since(origin, Instant::now());
        let found = client.look(&format!("{watch_dir}{name}")).await;
        let end = since(origin, Instant::now());
        match found {
            Some(found) => records.looks.push(Look::new(name, found, start, end)),
            None => looker = None,
        }
    }
    records
}
