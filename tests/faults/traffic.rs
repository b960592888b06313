//! A pool's daily traffic while faults strike: single switches, batches, polls, and requests to jobmakers. Each
//! request is recorded with its content, times and answer.
//!
//! Every write gives its sub-account a coin that no other write of the round gives it, so that each coin found
//! later identifies its write.
//!
//! Switches to coins with lists are held, since the lists lack the sub-account or have it only since a moment ago.
//!
//! Most sub-accounts are left alone once a switch has succeeded after an earlier one: the end of the round then
//! still shows a write that came late.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::lists::{Lists, now};
use crate::looker::{Looker, Znode};
use crate::results::{Ended, results};
use crate::scene::{COINS, EMPTY, GROWING, PERIOD, Places, Scene, coin, empty_coin};
use crate::support::client::{Connection, Request, Response};
use crate::support::coinbase_history::since;
use crate::support::daemon::{PASSWORD, USER};
use crate::support::load::{self, Fate, exchange};
use crate::undoer::{Answered, Board, Undoer, Undone};

/// Clients, each with sub-accounts of its own.
const OWNERS: usize = 4;
/// Clients of both daemons that switch the same sub-accounts.
const RIVALS: usize = 4;
/// Those sub-accounts.
const CONTESTED: usize = 6;
/// The first of them, which undos leave alone.
const NOT_UNDONE: usize = 4;
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
/// Clients whose switches are held, each with some sub-accounts at a time.
const HOLDERS: usize = 3;
/// Those sub-accounts.
const IN_TEAM: usize = 3;
/// Clients that switch sub-accounts to the coin of a list which has got them a moment ago.
const MOVERS: usize = 4;

/// A request that switches sub-accounts.
#[derive(Clone, Debug)]
pub struct Call {
    pub who: String,
    /// The index of the daemon.
    pub daemon: usize,
    pub names: Vec<String>,
    pub coin: String,
    /// Its id, if it was answered.
    pub request: Option<String>,
    /// Nanoseconds since the round's beginning, like `end`.
    pub start: u64,
    pub end: u64,
    pub fate: Fate,
    /// Due time of a switch that was answered as held, in seconds since 1970.
    pub due: Option<u64>,
    /// The coin may not be written before this second, by what the client knows.
    pub earliest: Option<u64>,
    /// The second of the answer.
    pub answered: u64,
}

/// A sub-account's coin: that of its held switch, if that is its last switch, or else that of its znode.
#[derive(Clone, Debug)]
pub struct Look {
    pub name: String,
    pub coin: String,
    /// Whether it is the coin of a held switch.
    pub is_held: bool,
    pub start: u64,
    pub end: u64,
}

/// A coin that a znode held, and when it was written, in milliseconds since 1970.
#[derive(Clone, Debug)]
pub struct Seen {
    pub name: String,
    pub coin: String,
    pub written: i64,
}

impl Look {
    pub fn new(name: &str, found: Option<String>, start: u64, end: u64) -> Self {
        let coin = found.unwrap_or_else(|| NO_ZNODE.to_owned());
        Self { name: name.to_owned(), coin, is_held: false, start, end }
    }

    /// By the intent of a held switch, which was read before the znode.
    fn with_intent(mut self, intent: Option<Znode>, znode: Option<&Znode>) -> Self {
        let Some(Znode { data, zxid, .. }) = intent else { return self };
        let data: Value = serde_json::from_str(&data).unwrap_or_default();
        let set = data["mark"].as_i64().unwrap_or(zxid);
        if let Some(coin) = data["coin"].as_str()
            && znode.is_none_or(|znode| znode.zxid <= set)
        {
            (self.coin, self.is_held) = (coin.to_owned(), true);
        }
        self
    }
}

impl Seen {
    pub fn new(name: &str, znode: Znode) -> Self {
        Self { name: name.to_owned(), coin: znode.data, written: znode.written }
    }
}

/// Stands for the coin of a sub-account that has no znode.
pub const NO_ZNODE: &str = "";

/// Everything recorded.
#[derive(Debug, Default)]
pub struct Records {
    pub calls: Vec<Call>,
    pub looks: Vec<Look>,
    pub seen: Vec<Seen>,
    /// Coins that a first pull may give: name, coin, and the earliest time.
    pub first_coins: Vec<(String, String, u64)>,
    /// Undos, and all sub-accounts that they may have written.
    pub undos: Vec<Undone>,
    pub undone: BTreeSet<String>,
    /// Answers that the API has not.
    pub odd: Vec<String>,
}

/// Traffic that goes on.
pub struct Traffic {
    pub origin: Instant,
    /// Set at the end.
    pub stop: Arc<AtomicBool>,
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

    fn held(&self, holder: usize, team: usize, number: usize) -> String {
        format!("{}-held{holder}-{team}-{number}", self.prefix)
    }

    fn moved(&self, mover: usize, number: usize) -> String {
        format!("{}-Move{mover}-{number}", self.prefix)
    }

    /// New sub-accounts of the backend.
    pub fn listed(&self, number: usize) -> String {
        format!("{}-New{number}", self.prefix)
    }

    /// Sub-accounts whose registration is requested.
    pub fn registered(&self, number: usize) -> String {
        format!("{}-Reg{number}", self.prefix)
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
    /// Starts the clients of the daemons. Nothing is held unless it `holds`. Polls are undone in every other round.
    pub fn start(scene: &Scene, names: &Names, seed: u64, holds: bool) -> Self {
        let fronts = scene.fronts();
        let looked_at = (0..CONTESTED).map(|number| names.contested(number));
        let watched = Arc::new(Watched {
            often: looked_at.chain(names.mapped_and_called()).collect(),
            others: Mutex::default(),
        });
        let mut traffic = Self {
            origin: Instant::now(),
            stop: Arc::default(),
            clients: JoinSet::new(),
            pulses: Arc::default(),
        };
        let mut random = Rng::with_seed(seed);
        let board = Board::default();
        let polled = random.bool().then(|| names.in_maps());
        for (daemon, admin) in scene.admins().into_iter().enumerate() {
            let (board, polled, random) = (board.clone(), polled.clone(), random.fork());
            let undoer = Undoer { daemon, admin, board, polled, random };
            traffic.clients.spawn(undoer.run(Arc::clone(&traffic.stop)));
        }
        let mut start = |kind: Kind, number: usize| {
            let client = Sender {
                kind,
                number,
                daemon: number % fronts.len(),
                fronts: fronts.clone(),
                names: names.clone(),
                holds,
                origin: traffic.origin,
                random: random.fork(),
                pulses: Arc::clone(&traffic.pulses),
                watched: Arc::clone(&watched),
                board: board.clone(),
                connections: [None, None],
                finished: 0,
                tries: 0,
                batch_size: 1,
                existing: HashSet::new(),
                used: HashMap::new(),
                records: Records::default(),
            };
            let (stop, brokers) = (Arc::clone(&traffic.stop), scene.brokers());
            match kind {
                Kind::Holder => traffic.clients.spawn(client.hold(stop)),
                Kind::Mover => {
                    let (lists, places) = (scene.lists.clone(), scene.places());
                    traffic.clients.spawn(client.move_listed(lists, places, brokers, stop))
                }
                _ => traffic.clients.spawn(client.run(stop)),
            };
        };
        (0..OWNERS).for_each(|number| start(Kind::Owner, number));
        (0..RIVALS).for_each(|number| start(Kind::Rival, number));
        (0..BATCHERS).for_each(|number| start(Kind::Batcher, number));
        start(Kind::Caller, 0);
        if holds {
            (0..HOLDERS).for_each(|number| start(Kind::Holder, number));
            (0..MOVERS).for_each(|number| start(Kind::Mover, number));
        }
        let (stop, origin) = (Arc::clone(&traffic.stop), traffic.origin);
        traffic.clients.spawn(watch(scene.brokers(), watched, scene.places(), origin, stop));
        traffic
    }

    /// Ends the traffic and returns its records.
    pub async fn finish(self) -> Records {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Records::default();
        for records in self.clients.join_all().await {
            all.calls.extend(records.calls);
            all.looks.extend(records.looks);
            all.seen.extend(records.seen);
            all.first_coins.extend(records.first_coins);
            all.undos.extend(records.undos);
            all.undone.extend(records.undone);
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
    Holder,
    Mover,
}

/// Sub-accounts to look at.
struct Watched {
    often: Vec<String>,
    others: Mutex<Vec<String>>,
}

/// A switch in a batch.
struct Entry {
    name: String,
    coin: String,
    earliest: Option<u64>,
}

struct Sender {
    kind: Kind,
    number: usize,
    /// Where most requests go.
    daemon: usize,
    fronts: Vec<String>,
    names: Names,
    holds: bool,
    origin: Instant,
    random: Rng,
    pulses: Arc<[Pulse; 2]>,
    watched: Arc<Watched>,
    board: Board,
    connections: [Option<Connection>; 2],
    /// Own sub-accounts, or batches, that are finished.
    finished: usize,
    /// Switches of the next.
    tries: usize,
    batch_size: usize,
    /// Sub-accounts that certainly have a znode.
    existing: HashSet<String>,
    /// For each sub-account, how many coins with a list were used.
    used: HashMap<String, usize>,
    records: Records,
}

impl Sender {
    async fn run(mut self, stop: Arc<AtomicBool>) -> Records {
        // Rivals switch the same names: each has coins of its own.
        let (first, step) = match self.kind {
            Kind::Rival => (self.number, RIVALS + BATCHERS),
            Kind::Batcher => (RIVALS + self.number, RIVALS + BATCHERS),
            _ => (0, 1),
        };
        for number in (first..COINS).step_by(step) {
            if stop.load(Ordering::Relaxed) {
                return self.records;
            }
            let (names, pause) = self.next(number);
            let fate = match self.held_coin(&names) {
                Some(coin) => {
                    let entry = self.entry(&names[0], coin);
                    self.send_all(self.daemon, vec![entry]).await
                }
                None => self.send(names, coin(number)).await,
            };
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

    /// Switches sub-accounts back and forth between coins with a list and others, by either daemon; then it leaves them
    /// alone.
    async fn hold(mut self, stop: Arc<AtomicBool>) -> Records {
        let mut coins = self.number..;
        while !stop.load(Ordering::Relaxed) {
            let name = |number| self.names.held(self.number, self.finished, number);
            let team: Vec<_> = (0..IN_TEAM).map(name).collect();
            self.watched.others.lock().unwrap().extend(team.iter().cloned());
            for _ in 0..self.random.usize(2..=6) {
                if stop.load(Ordering::Relaxed) {
                    return self.records;
                }
                let mut entries = Vec::new();
                for name in &team {
                    let used = self.used.entry(name.clone()).or_default();
                    let coin = match self.random.u8(..10) {
                        0..6 if *used < EMPTY => {
                            *used += 1;
                            empty_coin(*used - 1)
                        }
                        0..9 => coins.next().map(coin).unwrap_or_default(),
                        _ => continue,
                    };
                    entries.push(self.entry(name, coin));
                }
                if entries.is_empty() {
                    continue;
                }
                let daemon = self.random.usize(..self.fronts.len());
                let fate = self.send_all(daemon, entries).await;
                let pause = if fate == Fate::Applied { self.random.u64(..900) } else { 20 };
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            self.finished += 1;
        }
        self.records
    }

    /// Has the backend list sub-accounts under a second coin, and switches each to that.
    async fn move_listed(
        mut self,
        lists: Lists,
        places: Places,
        brokers: String,
        stop: Arc<AtomicBool>,
    ) -> Records {
        let [first, second] = GROWING;
        while !stop.load(Ordering::Relaxed) {
            let name = self.names.moved(self.number, self.finished);
            self.finished += 1;
            let from = since(self.origin, Instant::now());
            self.records.first_coins.push((name.clone(), first.to_owned(), from));
            lists.list(&name, &[first]);
            self.watched.others.lock().unwrap().push(name.clone());
            self.pause(1_500..2_000).await;
            let looker = Looker::connect(&brokers).await;
            let znode = match &looker {
                Some(looker) => looker.look(&places.znode(&name)).await.flatten(),
                None => None,
            };
            // Otherwise the second list might give it its first coin.
            if znode.is_none() {
                continue;
            }
            let listed = now();
            lists.list(&name, &[second]);
            self.pause(0..2_500).await;
            let entry = Entry { name, coin: second.to_owned(), earliest: Some(listed + PERIOD) };
            let daemon = self.random.usize(..self.fronts.len());
            self.send_all(daemon, vec![entry]).await;
        }
        self.records
    }

    async fn pause(&mut self, milliseconds: std::ops::Range<u64>) {
        tokio::time::sleep(Duration::from_millis(self.random.u64(milliseconds))).await;
    }

    /// Which names to switch, and how many milliseconds to wait afterwards.
    fn next(&mut self, number: usize) -> (Vec<String>, u64) {
        match self.kind {
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
            _ => (vec![self.names.owned(self.number, self.finished)], 3),
        }
    }

    /// Now and then a coin with a list, which no other switch of this sub-account has.
    fn held_coin(&mut self, names: &[String]) -> Option<String> {
        let (one_in, coins) = match self.kind {
            Kind::Rival => (64, self.number * EMPTY / RIVALS..(self.number + 1) * EMPTY / RIVALS),
            Kind::Caller => (16, 0..EMPTY),
            _ => return None,
        };
        if !self.holds || self.random.u8(..one_in) > 0 {
            return None;
        }
        let used = self.used.entry(names[0].clone()).or_default();
        let number = coins.clone().nth(*used)?;
        *used += 1;
        Some(empty_coin(number))
    }

    /// No list has the sub-account: the coin is written a period after the request, unless it has no znode.
    fn entry(&self, name: &str, coin: String) -> Entry {
        let is_held = self.existing.contains(name) && coin.starts_with('h');
        Entry { name: name.to_owned(), coin, earliest: is_held.then(|| now() + PERIOD) }
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
        let (daemon, kept) = (self.daemon, &mut self.connections[self.daemon]);
        let sent = exchange(kept, &self.fronts[daemon], &request).await;
        let id = sent.as_ref().ok().and_then(id);
        let fate = match sent {
            Ok(response) => load::fate(&response).unwrap_or_else(|| self.odd(&response)),
            Err(fate) => fate,
        };
        if fate == Fate::Applied {
            self.existing.extend(names.iter().cloned());
        }
        self.offer(daemon, &id, &names);
        self.record(daemon, begun, names, coin, id, fate, None, None);
        fate
    }

    /// Sends a batch and records the outcome of each entry.
    async fn send_all(&mut self, daemon: usize, entries: Vec<Entry>) -> Fate {
        let group = |entry: &Entry| json!({ "coin": entry.coin, "punames": [entry.name] });
        let groups: Vec<_> = entries.iter().map(group).collect();
        let request = Request::post("/switch/multi-user?results=true");
        let request = request.body(json!({ "usercoins": groups }).to_string());
        let request = request.credentials(USER, PASSWORD);
        let begun = Instant::now();
        let kept = &mut self.connections[daemon];
        let sent = exchange(kept, &self.fronts[daemon], &request).await;
        let id = sent.as_ref().ok().and_then(id);
        let answers = match &sent {
            Err(fate) => Some(vec![Ended::as_all(*fate); entries.len()]),
            Ok(response) => results(&response.text(), entries.len()),
        };
        let answers = answers.unwrap_or_else(|| {
            let fate = sent.map_or_else(|fate| fate, |response| self.odd(&response));
            vec![Ended::as_all(fate); entries.len()]
        });
        let mut all = Fate::Applied;
        self.offer(
            daemon,
            &id,
            &entries.iter().map(|entry| entry.name.clone()).collect::<Vec<_>>(),
        );
        for (Entry { name, coin, earliest }, end) in entries.into_iter().zip(answers) {
            let Ended { fate, due, is_replaced } = end;
            // Never written, since another switch came in the same moment.
            let earliest = earliest.filter(|_| !is_replaced);
            if fate == Fate::Applied {
                self.existing.insert(name.clone());
            } else {
                all = fate;
            }
            self.record(daemon, begun, vec![name], coin, id.clone(), fate, due, earliest);
        }
        all
    }

    /// Lets undos have an answered request. Those of listed and of mapped sub-accounts, and some contested ones, stay.
    fn offer(&self, daemon: usize, id: &Option<String>, names: &[String]) {
        let Some(request) = id.clone() else { return };
        let kept: Vec<_> = (0..NOT_UNDONE).map(|number| self.names.contested(number)).collect();
        let is_kept = matches!(self.kind, Kind::Caller | Kind::Mover)
            || names.iter().any(|name| kept.contains(name));
        if !is_kept {
            let may_delete = matches!(self.kind, Kind::Owner);
            self.board.add(Answered { daemon, request, names: names.to_vec(), may_delete });
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn record(
        &mut self,
        daemon: usize,
        begun: Instant,
        names: Vec<String>,
        coin: String,
        request: Option<String>,
        fate: Fate,
        due: Option<u64>,
        earliest: Option<u64>,
    ) {
        let start = since(self.origin, begun);
        let end = since(self.origin, Instant::now());
        if fate == Fate::Applied {
            self.pulses[daemon].beat(begun);
        }
        let (who, answered) = (format!("{:?} {}", self.kind, self.number), now());
        let call =
            Call { who, daemon, names, coin, request, start, end, fate, due, earliest, answered };
        self.records.calls.push(call);
    }

    fn odd(&mut self, response: &Response) -> Fate {
        let who = format!("{:?} {}", self.kind, self.number);
        self.records.odd.push(format!("not of the API, to {who}: {response:?}"));
        Fate::Unanswered
    }
}

/// The request's id.
fn id(response: &Response) -> Option<String> {
    response.header("X-Request-Id").map(str::to_owned)
}

/// Looks at sub-accounts all the time, by turns at those that are looked at often and the latest others.
async fn watch(
    brokers: String,
    watched: Arc<Watched>,
    places: Places,
    origin: Instant,
    stop: Arc<AtomicBool>,
) -> Records {
    const LATEST: usize = 60;
    let mut records = Records::default();
    let mut looker = None;
    for turn in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        let Some(client) = &looker else {
            looker = Looker::connect(&brokers).await;
            continue;
        };
        let name = {
            let others = watched.others.lock().unwrap();
            let latest = &others[others.len().saturating_sub(LATEST)..];
            let names = if turn % 2 == 0 || latest.is_empty() { &watched.often } else { latest };
            names[turn / 2 % names.len()].clone()
        };
        let start = since(origin, Instant::now());
        // The intent first: if the znode is still older, the intent was the last switch when it was read.
        let found = client.look_at_two([places.intent(&name), places.znode(&name)]).await;
        let end = since(origin, Instant::now());
        let Some([intent, znode]) = found else {
            looker = None;
            continue;
        };
        let data = znode.as_ref().map(|znode| znode.data.clone());
        let look = Look::new(&name, data, start, end).with_intent(intent, znode.as_ref());
        records.looks.push(look);
        records.seen.extend(znode.map(|znode| Seen::new(&name, znode)));
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_switch_counts_until_its_znode_is_written() {
        let znode =
            |data: &str, zxid| Znode { data: data.to_owned(), version: 0, zxid, written: 0 };
        let look = |intent: Znode, written: i64| {
            let data = Some("c1".to_owned());
            Look::new("a", data, 0, 1).with_intent(Some(intent), Some(&znode("c1", written)))
        };
        let intent = || znode(r#"{"coin":"h0","due":1}"#, 7);
        assert_eq!((look(intent(), 6).coin.as_str(), look(intent(), 6).is_held), ("h0", true));
        assert_eq!((look(intent(), 8).coin.as_str(), look(intent(), 8).is_held), ("c1", false));
        let of_poll = znode(r#"{"coin":"h0","due":1,"mark":5}"#, 7);
        assert_eq!(look(of_poll, 6).coin, "c1");
    }
}
