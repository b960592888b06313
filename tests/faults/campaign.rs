//! Rounds: traffic starts, one kind of fault strikes some times, traffic ends, the judges look at all of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fastrand::Rng;
use jobmaker_sim::{Jobmaker, Knobs, SubPool};
use serde_json::json;

use crate::backend::{self, Maps};
use crate::faults::{Fault, Struck};
use crate::footprint::{self, Footprint, Stretch};
use crate::judge::{self, SLACK, Violations};
use crate::looker::Looker;
use crate::scene::{ACK_TIMEOUT, Member, SESSION_TIMEOUT, Scene, Servers};
use crate::support::coinbase_history::{Fate, History, since};
use crate::support::coinbase_load::{Load, Mix, Place};
use crate::support::seconds;
use crate::table::{self, Row};
use crate::traffic::{Look, Names, Traffic};

/// Successes of each daemon before the next strike.
const PEACE: usize = 30;
/// A daemon that has not come back by then never will.
const RECOVERY: Duration = Duration::from_secs(15);
/// After so long a daemon has to be back.
const RECOVERED: Duration = Duration::from_secs(1);
/// For how long nothing strikes in a faultless round.
const CALM: Duration = Duration::from_millis(1_500);
/// Where the row of faultless rounds is: behind all faults.
const FAULTLESS: usize = usize::MAX;

/// A scene and what was seen in it so far.
pub struct Campaign {
    servers: Servers,
    scene: Scene,
    random: Rng,
    rounds: usize,
    rows: BTreeMap<usize, Row>,
    stretches: Vec<Stretch>,
}

impl Campaign {
    pub async fn begin(servers: Servers, seed: u64) -> Self {
        let scene = Scene::set(servers).await;
        let random = Rng::with_seed(seed);
        let (rows, stretches) = (BTreeMap::new(), Vec::new());
        Self { servers, scene, random, rounds: 0, rows, stretches }
    }

    /// Has the daemon that is never ended remember as many sub-accounts as it may, so that this does not look
    /// like a leak later.
    pub async fn warm_up(&self) {
        const BATCH: usize = 50_000;
        for batch in 0..4 {
            let names: Vec<_> = (0..BATCH).map(|name| format!("warm{batch}-{name}")).collect();
            let group = json!([{ "coin": "c0", "punames": names }]);
            let answer =
                self.scene.daemons[0].daemon.batch(json!({ "usercoins": group }).to_string());
            assert!(answer.await.success, "a batch of {BATCH} before all faults");
            clear(&self.scene, &names, &self.place()).await;
        }
    }

    /// A round of `strikes` of a fault; `number` is its place in the table. Returns what was wrong.
    pub async fn round(
        &mut self,
        number: usize,
        name: &str,
        fault: Fault,
        strikes: usize,
    ) -> Violations {
        self.play(number, name, Some((fault, strikes))).await
    }

    /// Rounds in which nothing strikes, and a footprint before and after them. One round comes first, so that
    /// the sessions have all that they need. Returns what was wrong.
    pub async fn faultless_stretch(&mut self, name: &str, rounds: usize) -> Violations {
        const TRIES: usize = 3;
        let mut violations = Violations::new();
        for _ in 0..TRIES {
            violations.extend(self.play(FAULTLESS, "none", None).await);
            let (losses, strikes) = (self.losses(), self.strikes());
            let before = self.footprint().await;
            for _ in 0..rounds {
                violations.extend(self.play(FAULTLESS, "none", None).await);
            }
            let after = self.footprint().await;
            // A busy machine may cost a session; what follows is compared with nothing then.
            if self.losses() == losses {
                self.stretches.push(Stretch { name: name.to_owned(), strikes, before, after });
                return violations;
            }
        }
        violations.push(format!("{name}: sessions were lost in {TRIES} faultless stretches"));
        violations
    }

    /// How often the daemons have lost their connections.
    fn losses(&self) -> usize {
        self.scene.daemons.iter().map(Member::losses).sum()
    }

    async fn footprint(&self) -> Footprint {
        Footprint::take(self.scene.daemons[0].daemon.pid(), &self.scene.servers).await
    }

    /// A round, with so many strikes of a fault or without any.
    async fn play(
        &mut self,
        number: usize,
        name: &str,
        strikes: Option<(Fault, usize)>,
    ) -> Violations {
        self.rounds += 1;
        let names = Names::new(self.rounds);
        let mapped = names.in_maps();
        let maps = Maps::serve(&self.scene.upstream, mapped.clone(), self.random.u64(..));
        let traffic = Traffic::start(&self.scene, &names, self.random.u64(..));
        let place = self.place();
        let (load, jobmaker) = self.start_exchanges(traffic.origin, &place).await;
        let row = self.rows.entry(number).or_default();
        row.name = name.to_owned();
        let (mut violations, mut frozen) = (Violations::new(), Duration::ZERO);
        match strikes {
            Some((fault, strikes)) => {
                for _ in 0..strikes {
                    if let Some(found) = wait_for_peace(&self.scene, &traffic).await {
                        violations.push(found);
                        break;
                    }
                    // Traps that nothing steps into in this state of affairs are no faults.
                    if let Some(struck) = fault.strike(&mut self.scene, &mut self.random).await {
                        frozen = frozen.max(struck.frozen);
                        violations.extend(after_strike(&traffic, struck, row).await);
                    }
                }
            }
            None => {
                violations.extend(wait_for_peace(&self.scene, &traffic).await);
                tokio::time::sleep(CALM).await;
                violations.extend(wait_for_peace(&self.scene, &traffic).await);
            }
        }
        let origin = traffic.origin;
        load.stop();
        let records = traffic.finish().await;
        let history = finish(load, jobmaker).await;
        maps.cure();
        violations.extend(maps_arrive(&self.scene, &names, &maps).await);
        let switched = judge::names(&records);
        let last_looks = last_looks(&self.scene, &switched, origin).await;
        clear(&self.scene, &[switched, mapped].concat(), &place).await;

        violations.extend(judge::switches(&records, &last_looks, &maps, origin, frozen));
        violations.extend([history.faults(), history.violations(), history.untruths()].concat());
        violations.extend(late(&history, frozen));
        violations.extend(self.deaths());
        let counts = history.counts();
        let answered = [Fate::Success, Fate::Refused].map(|fate| counts.get(&fate).copied());
        let answered: usize = answered.into_iter().flatten().sum();
        let row = self.rows.entry(number).or_default();
        for (sum, count) in row.switches.iter_mut().zip(judge::counts(&records)) {
            *sum += count;
        }
        row.exchanges[0] += answered;
        row.exchanges[1] += history.records.len() - answered;
        row.slowest = row.slowest.max(judge::slowest(&records));
        row.violations.extend(violations.iter().cloned());
        violations
    }

    /// Sub-pools that only this round has.
    fn place(&self) -> Place {
        let mut place = Place::new(&self.scene.base_dir, 2);
        place.names.iter_mut().for_each(|name| *name = format!("r{}{name}", self.rounds));
        place
    }

    /// A jobmaker that is not always well, and clients who ask it.
    async fn start_exchanges(&mut self, origin: Instant, place: &Place) -> (Load, Jobmaker) {
        let configured = |number| SubPool::new(&place.path(number), "configured", "somebody");
        let sub_pools = (0..place.names.len()).map(configured).collect();
        let knobs = Knobs {
            jitter: Duration::from_millis(2),
            crash: 0.005,
            down: Duration::from_millis(20),
            number_restarts: true,
            double_acks: 0.02,
            double_ack_delay: Duration::from_millis(3),
            garbage_before: 0.005,
            garbage_instead: 0.005,
            unasked_every: Duration::from_millis(300),
            seed: self.random.u64(..),
            ..Knobs::default()
        };
        let jobmaker = Jobmaker::start(&self.scene.brokers(), sub_pools, knobs).await.unwrap();
        let mix = Mix {
            clients: 6,
            operations: usize::MAX / 2,
            gets: 50,
            pause: Duration::from_millis(10),
            seed: self.random.u64(..1_000),
        };
        (Load::start(origin, &self.scene.fronts(), place, mix), jobmaker)
    }

    /// Daemons that ended by themselves, or panicked.
    fn deaths(&mut self) -> Violations {
        let mut found = Violations::new();
        for (number, member) in self.scene.daemons.iter_mut().enumerate() {
            found.append(&mut member.findings);
            if !member.daemon.is_alive() {
                found.push(format!("daemon {number} has ended: {:#?}", member.daemon.log().last()));
            }
            found.extend(member.daemon.log_with(&["panicked"]));
        }
        found
    }

    /// Prints what was seen.
    pub fn print(&self) {
        let rows: Vec<_> = self.rows.values().collect();
        table::print(self.servers, &rows, &self.stretches);
    }

    /// What has leaked.
    pub fn leaks(&self) -> Violations {
        footprint::leaks(&self.stretches)
    }

    pub fn strikes(&self) -> usize {
        self.rows.values().map(|row| row.strikes).sum()
    }
}

/// Waits until both daemons have answered some requests; what to say if they do not.
async fn wait_for_peace(scene: &Scene, traffic: &Traffic) -> Option<String> {
    let daemons = 0..scene.daemons.len();
    let goals: Vec<_> = daemons.clone().map(|daemon| traffic.successes(daemon) + PEACE).collect();
    let start = Instant::now();
    while daemons.clone().any(|daemon| traffic.successes(daemon) < goals[daemon]) {
        if start.elapsed() > RECOVERY {
            let logs: Vec<_> = scene.daemons.iter().map(|it| it.daemon.log().pop()).collect();
            return Some(format!("no peace within {RECOVERY:?}: {logs:?}"));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    None
}

/// Writes a strike and the recovery from it into the table; what was wrong.
async fn after_strike(traffic: &Traffic, struck: Struck, row: &mut Row) -> Violations {
    let mut violations = Violations::new();
    row.strikes += 1;
    row.noticed.extend(struck.noticed);
    if struck.noticed.is_some_and(|noticed| noticed > SESSION_TIMEOUT / 2 + SLACK) {
        violations.push(format!("silence noticed after {:?}", struck.noticed));
    }
    match recovery(traffic, struck).await {
        Some(recovery) => {
            row.recoveries.push(recovery);
            if recovery > RECOVERED + SLACK {
                violations.push(format!("daemon {} took {recovery:?}", struck.daemon));
            }
        }
        None => violations.push(format!("daemon {} did not recover", struck.daemon)),
    }
    violations
}

/// How long after the mending it took until the daemon that was struck answered with success; `None` if it did
/// not.
async fn recovery(traffic: &Traffic, struck: Struck) -> Option<Duration> {
    let start = Instant::now();
    while start.elapsed() < RECOVERY {
        match traffic.last_success(struck.daemon) {
            Some(last) if last > struck.mended => return Some(last - struck.mended),
            _ => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    }
    None
}

async fn finish(load: Load, jobmaker: Jobmaker) -> History {
    let mut history = load.finish().await;
    history.diary = jobmaker.applied();
    jobmaker.stop().await;
    history
}

/// Waits until a map that was asked for from now on is there whole; what to say if it is not.
async fn maps_arrive(scene: &Scene, names: &Names, maps: &Maps) -> Option<String> {
    let from = maps.asked().len();
    let paths = paths(scene, &names.mapped());
    let start = Instant::now();
    let mut found = None;
    while start.elapsed() < seconds(15) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let Some(looker) = Looker::connect(&scene.brokers()).await else { continue };
        found = looker.look_at_all(&paths).await;
        let newest = |coin: &Option<String>| {
            let number = coin.as_ref().and_then(|coin| coin.strip_prefix('m')?.parse().ok());
            number.is_some_and(|number: usize| number >= from)
        };
        if found.as_ref().is_some_and(|coins| coins.iter().all(newest)) {
            return None;
        }
    }
    Some(format!("no map arrived after the faults; from {from} on were expected: {found:?}"))
}

fn paths(scene: &Scene, names: &[String]) -> Vec<String> {
    names.iter().map(|name| scene.daemons[0].daemon.path(name)).collect()
}

/// Removes a round's znodes: with those of a thousand rounds a server takes its time to start, and daemons keep a
/// watch for each sub-pool's ack. The backend has to know of no map any more.
async fn clear(scene: &Scene, names: &[String], place: &Place) {
    backend::forget(&scene.upstream);
    let requests: Vec<_> = (0..place.names.len()).map(|number| place.path(number)).collect();
    let acks = requests.iter().map(|request| format!("{request}/ack")).collect();
    if let Some(looker) = Looker::connect(&scene.brokers()).await {
        looker.delete_all(&[paths(scene, names), acks, requests].concat()).await;
    }
}

async fn last_looks(scene: &Scene, names: &[String], origin: Instant) -> Vec<Look> {
    let paths = paths(scene, names);
    let until = Instant::now() + seconds(60);
    loop {
        let start = since(origin, Instant::now());
        if let Some(looker) = Looker::connect(&scene.brokers()).await
            && let Some(found) = looker.look_at_all(&paths).await
        {
            let end = since(origin, Instant::now());
            let looks = names.iter().zip(found);
            return looks.map(|(name, found)| Look::new(name, found, start, end)).collect();
        }
        assert!(Instant::now() < until, "nobody can look at ZooKeeper");
    }
}

/// Answers of the sub-pool API that came later than the daemon promises: once an ack's time in the queue, and once
/// for the ack.
fn late(history: &History, frozen: Duration) -> Violations {
    let allowed = ACK_TIMEOUT * 2 + SLACK + frozen;
    let told = |fate| fate != Fate::HungUp;
    let late = history.records.iter().filter(|record| {
        told(record.fate()) && Duration::from_nanos(record.end - record.start) > allowed
    });
    late.map(|record| format!("a sub-pool's answer later than {allowed:?}: {record:?}")).collect()
}
