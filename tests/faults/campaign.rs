//! Rounds: traffic starts, one kind of fault strikes some times, traffic ends, the judges look at all of it. And the
//! table of all rounds.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use fastrand::Rng;
use jobmaker_sim::{Jobmaker, Knobs, SubPool};
use serde_json::json;

use crate::backend::{self, Maps};
use crate::faults::{Fault, Struck};
use crate::judge::{self, Violations};
use crate::looker::Looker;
use crate::scene::{ACK_TIMEOUT, SESSION_TIMEOUT, Scene, Servers};
use crate::support::coinbase_history::{Fate, History, since};
use crate::support::coinbase_load::{Load, Mix, Place};
use crate::support::seconds;
use crate::traffic::{Look, Names, Traffic};

/// Successes of each daemon before the next strike.
const PEACE: usize = 30;
/// A daemon that has not come back by then never will.
const RECOVERY: Duration = Duration::from_secs(15);
/// After so long a daemon has to be back.
const RECOVERED: Duration = Duration::from_secs(1);
/// How late a jobmaker's answer may be beyond what the daemon promises.
const SLACK: Duration = Duration::from_millis(1_500);

/// A scene and what was seen in it so far.
pub struct Campaign {
    scene: Scene,
    random: Rng,
    rounds: usize,
    rows: BTreeMap<usize, Row>,
}

/// All rounds of one fault.
#[derive(Debug, Default)]
pub struct Row {
    name: String,
    pub strikes: usize,
    /// Applied, not applied, unknown, unanswered.
    switches: [usize; 4],
    /// Answered by the jobmaker, and otherwise.
    exchanges: [usize; 2],
    recoveries: Vec<Duration>,
    noticed: Vec<Duration>,
    slowest: Duration,
    pub violations: Violations,
}

impl Campaign {
    pub async fn begin(servers: Servers, seed: u64) -> Self {
        let scene = Scene::set(servers).await;
        Self { scene, random: Rng::with_seed(seed), rounds: 0, rows: BTreeMap::new() }
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
            clear(&self.scene, &names).await;
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
        self.rounds += 1;
        let names = Names::new(self.rounds);
        let mapped = [names.mapped(), names.mapped_and_called()].concat();
        let maps = Maps::serve(&self.scene.upstream, mapped, self.random.u64(..));
        let traffic = Traffic::start(&self.scene, &names, self.random.u64(..));
        let exchanges = self.start_exchanges(traffic.origin).await;
        let row = self.rows.entry(number).or_default();
        row.name = name.to_owned();
        let mut violations = Violations::new();
        let mut frozen = Duration::ZERO;
        for _ in 0..strikes {
            if let Some(fault) = wait_for_peace(&self.scene, &traffic).await {
                violations.push(fault);
                break;
            }
            // Traps that nothing steps into in this state of affairs are no faults.
            let Some(struck) = fault.strike(&mut self.scene, &mut self.random).await else {
                continue;
            };
            frozen = frozen.max(struck.frozen);
            row.strikes += 1;
            row.noticed.extend(struck.noticed);
            if struck.noticed.is_some_and(|noticed| noticed > SESSION_TIMEOUT / 2 + SLACK) {
                violations.push(format!("silence noticed after {:?}", struck.noticed));
            }
            match recovery(&traffic, struck).await {
                Some(recovery) => {
                    row.recoveries.push(recovery);
                    if recovery > RECOVERED + SLACK {
                        violations.push(format!("daemon {} took {recovery:?}", struck.daemon));
                    }
                }
                None => violations.push(format!("daemon {} did not recover", struck.daemon)),
            }
        }
        let origin = traffic.origin;
        let (load, jobmaker) = exchanges;
        load.stop();
        let records = traffic.finish().await;
        let history = finish(load, jobmaker).await;
        maps.cure();
        violations.extend(maps_arrive(&self.scene, &names, &maps).await);
        let switched = judge::names(&records);
        let last_looks = last_looks(&self.scene, &switched, origin).await;
        let mapped = [names.mapped(), names.mapped_and_called()].concat();
        clear(&self.scene, &[switched, mapped].concat()).await;

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

    /// A jobmaker that is not always well, and clients who ask it.
    async fn start_exchanges(&mut self, origin: Instant) -> (Load, Jobmaker) {
        let mut place = Place::new(&self.scene.base_dir, 2);
        // Names of this round only, so that no late request of the last one is found.
        place.names.iter_mut().for_each(|name| *name = format!("r{}{name}", self.rounds));
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
        (Load::start(origin, &self.scene.fronts(), &place, mix), jobmaker)
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

    /// Descriptors, threads and megabytes of the daemon that is never ended, and watches of all servers.
    pub async fn footprint(&self) -> Footprint {
        let pid = self.scene.daemons[0].daemon.pid();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let figure = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let word = line.and_then(|line| line.split_whitespace().next());
            word.and_then(|word| word.parse::<u64>().ok()).unwrap_or_default()
        };
        let mut watches = 0;
        for server in &self.scene.servers {
            watches += server.figure("zk_watch_count").await.unwrap_or_default();
        }
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd"));
        Footprint {
            descriptors: descriptors.map_or(0, Iterator::count),
            threads: figure("Threads:"),
            megabytes: figure("VmRSS:") / 1024,
            watches,
        }
    }

    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    pub fn strikes(&self) -> usize {
        self.rows().map(|row| row.strikes).sum()
    }
}

/// What a daemon holds on to.
#[derive(Clone, Copy, Debug)]
pub struct Footprint {
    pub descriptors: usize,
    pub threads: u64,
    pub megabytes: u64,
    pub watches: u64,
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

/// Removes a round's znodes: with those of a thousand rounds a server takes its time to start. The backend has
/// to know of no map any more.
async fn clear(scene: &Scene, names: &[String]) {
    backend::forget(&scene.upstream);
    if let Some(looker) = Looker::connect(&scene.brokers()).await {
        looker.delete_all(&paths(scene, names)).await;
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

/// The head of the table that [`Row`] has the lines of.
pub const TABLE_HEAD: &str = "\
| fault | strikes | switches applied | not applied | unknown | no answer | exchanges answered | other \
| recovery: median, slowest (s) | noticed after, at most (s) | slowest answer (s) | violations |\n\
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";

impl Row {
    /// A line of the table.
    pub fn line(&self) -> String {
        let [applied, not_applied, unknown, unanswered] = self.switches;
        let [answered, other] = self.exchanges;
        let mut recoveries = self.recoveries.clone();
        recoveries.sort_unstable();
        let median =
            recoveries.get(recoveries.len().saturating_sub(1) / 2).copied().unwrap_or_default();
        let noticed = self.noticed.iter().max();
        let noticed = noticed.map_or("-".to_owned(), |it| format!("{:.2}", it.as_secs_f64()));
        let mut line = String::new();
        let _ = writeln!(
            line,
            "| {} | {} | {applied} | {not_applied} | {unknown} | {unanswered} | {answered} | {other} \
             | {:.2}, {:.2} | {noticed} | {:.2} | {} |",
            self.name,
            self.strikes,
            median.as_secs_f64(),
            self.slowest_recovery().as_secs_f64(),
            self.slowest.as_secs_f64(),
            self.violations.len(),
        );
        line
    }

    pub fn slowest_recovery(&self) -> Duration {
        self.recoveries.iter().max().copied().unwrap_or_default()
    }

    pub fn slowest_notice(&self) -> Duration {
        self.noticed.iter().max().copied().unwrap_or_default()
    }
}
