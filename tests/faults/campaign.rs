//! Rounds: traffic starts, one kind of fault strikes some times, traffic ends, judges check all records.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use jobmaker_sim::{Jobmaker, Knobs, SubPool};
use serde_json::json;

use crate::backend::{self, Maps};
use crate::faults::{self, Fault, Miss, Struck};
use crate::footprint::{self, Footprint, Stretch};
use crate::frames::Op;
use crate::judge::{self, SLACK, Violations};
use crate::listed;
use crate::looker::Looker;
use crate::scene::{ACK_TIMEOUT, Member, REGISTRAR, SESSION_TIMEOUT, Scene, Servers, has_tls};
use crate::settle;
use crate::stratum::Stratum;
use crate::support::client::{self, Request};
use crate::support::coinbase_history::{Fate, History, since};
use crate::support::coinbase_load::{Load, Mix, Place};
use crate::support::daemon::{PASSWORD, USER};
use crate::support::seconds;
use crate::table::{self, Row};
use crate::testimony::Known;
use crate::traffic::{Look, Names, Pulse, Traffic};

/// Successes of each daemon before the next strike, and after the last.
const PEACE: usize = 30;
/// The same for requests to jobmakers: more than run at a time.
const PEACE_OF_JOBMAKERS: usize = 6;
/// Faultless stretches that may lose a session to a busy machine.
const DISTURBED: usize = 2;
/// A daemon that is not back by then counts as lost.
const RECOVERY: Duration = Duration::from_secs(15);
/// After so long a daemon has to be back.
const RECOVERED: Duration = Duration::from_secs(1);
/// How much longer that takes with TLS: a server that has just started needs a second or two for its first handshakes.
const FIRST_HANDSHAKES: Duration = Duration::from_secs(2);
/// For how long nothing strikes in a faultless round.
const CALM: Duration = Duration::from_secs(1);
/// Where the row of faultless rounds is: behind all faults.
const FAULTLESS: usize = usize::MAX;

/// A scene and its records so far.
pub struct Campaign {
    servers: Servers,
    scene: Scene,
    random: Rng,
    rounds: usize,
    rows: BTreeMap<usize, Row>,
    stretches: Vec<Stretch>,
    /// Faultless stretches in which a session was lost.
    disturbed: usize,
    known: Known,
    /// That of the end of the last faultless round, before its znodes were removed.
    footprint: Footprint,
}

impl Campaign {
    pub async fn begin(servers: Servers, seed: u64) -> Self {
        let scene = Scene::set(servers).await;
        let random = Rng::with_seed(seed);
        let (rows, stretches) = (BTreeMap::new(), Vec::new());
        Self {
            servers,
            scene,
            random,
            rounds: 0,
            rows,
            stretches,
            disturbed: 0,
            known: Known::default(),
            footprint: Footprint::default(),
        }
    }

    /// The faults of this scene, with their names.
    pub fn faults(&self) -> Vec<(String, Fault)> {
        let mut faults = faults::all(self.servers);
        let needs_many = |fault| matches!(fault, Fault::CutAt(Op::MultiRead, _));
        faults.retain(|(_, fault)| self.scene.reads_many_at_once || !needs_many(*fault));
        faults
    }

    /// Every other one of the faults that both kinds of scenes have, and all others: the scenes share the work. All, if
    /// some are chosen.
    pub fn share_of_faults(&self) -> Vec<(String, Fault)> {
        let (other, first) = match self.servers {
            Servers::One => (Servers::Three, true),
            Servers::Three => (Servers::One, false),
        };
        let (others, mut faults) = (faults::all(other), self.faults());
        let mut is_first = false;
        if std::env::var_os("FAULTS_ONLY").is_none() {
            faults.retain(|fault| {
                let is_shared = others.contains(fault);
                is_first ^= is_shared;
                !is_shared || is_first == first
            });
        }
        faults
    }

    /// Compares the daemons' histories and logs with ZooKeeper's transaction log. Returns violations.
    pub async fn compare_records(&mut self) -> Violations {
        self.known.compare(&mut self.scene).await
    }

    /// Caches 200,000 sub-accounts in the daemon that is never stopped, so that the later growth of the cache stays
    /// below the allowed difference. Returns violations.
    pub async fn warm_up(&self) -> Violations {
        const BATCH: usize = 10_000;
        const TRIES: usize = 5;
        for batch in 0..20 {
            let names: Vec<_> = (0..BATCH).map(|name| format!("warm{batch}-{name}")).collect();
            let group = json!([{ "coin": "c0", "punames": names }]);
            let request = Request::batch(json!({ "usercoins": group }).to_string());
            let request = request.credentials(USER, PASSWORD);
            let mut is_written = false;
            // Servers that have just been started take their time.
            for _ in 0..TRIES {
                let answer = client::send(self.scene.daemons[0].daemon.base(), &request).await;
                is_written |= answer
                    .is_ok_and(|response| response.try_answer().is_ok_and(|answer| answer.success));
                if is_written {
                    break;
                }
            }
            clear(&self.scene, &names, &self.place()).await;
            if !is_written {
                return vec![format!("a batch of {BATCH} before all fails {TRIES} times")];
            }
        }
        Violations::new()
    }

    /// A round of `strikes` of a fault; `number` is its place in the table. Returns violations.
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
    /// the sessions have all that they need. Returns violations.
    pub async fn faultless_stretch(&mut self, name: &str, rounds: usize) -> Violations {
        let mut violations = Violations::new();
        loop {
            violations.extend(self.play(FAULTLESS, "none", None).await);
            let (losses, strikes) = (self.losses(), self.strikes());
            let before = self.footprint;
            for _ in 0..rounds {
                violations.extend(self.play(FAULTLESS, "none", None).await);
            }
            let after = self.footprint;
            // A busy machine may cost a session; the following stretch then has nothing to compare with.
            if self.losses() == losses {
                self.stretches.push(Stretch { name: name.to_owned(), strikes, before, after });
                return violations;
            }
            self.disturbed += 1;
            println!("{name}: a session was lost without a fault");
            if self.disturbed > DISTURBED {
                let count = self.disturbed;
                violations.push(format!("sessions were lost in {count} faultless stretches"));
                return violations;
            }
        }
    }

    /// How often the daemons have lost their connections.
    fn losses(&mut self) -> usize {
        self.scene.daemons.iter_mut().map(Member::losses).sum()
    }

    /// A round, with so many strikes of a fault or without any.
    async fn play(
        &mut self,
        number: usize,
        name: &str,
        strikes: Option<(Fault, usize)>,
    ) -> Violations {
        self.rounds += 1;
        let losses = self.losses();
        let names = Names::new(self.rounds);
        let mapped = names.in_maps();
        let (lists, starts) = (self.scene.lists.clone(), self.scene.daemons[REGISTRAR].starts);
        lists.begin(self.random.u64(..));
        let requests_before = self.scene.upstream.request_count();
        let (upstream, seed) = (&self.scene.upstream, self.random.u64(..));
        let maps = Maps::serve(upstream, &lists, mapped.clone(), seed);
        // A clock that is wrong by months writes held switches early, and holds others for months.
        let holds = !matches!(strikes, Some((Fault::ClockStepped, _)));
        let traffic = Traffic::start(&self.scene, &names, self.random.u64(..), holds);
        let stop = || Arc::clone(&traffic.stop);
        let stratum = Stratum::start(&self.scene, &names, self.random.u64(..), stop());
        let (brokers, places) = (self.scene.brokers(), self.scene.places());
        let growth = lists.clone().grow(brokers, places, names.clone(), stop());
        let growth = tokio::spawn(growth);
        let place = self.place();
        let (load, jobmaker) = self.start_exchanges(traffic.origin, &place).await;
        self.rows.entry(number).or_default().name = name.to_owned();
        let (mut violations, frozen) = match strikes {
            Some((fault, strikes)) => self.strike(number, fault, strikes, &traffic, &load).await,
            None => (self.keep_calm(&traffic, &load).await, Duration::ZERO),
        };
        let origin = traffic.origin;
        load.stop();
        let records = traffic.finish().await;
        let history = finish(load, jobmaker).await;
        let _ = growth.await;
        if self.scene.one_polls && strikes.is_none() && self.losses() == losses {
            violations.extend(judge::pollers(&maps.askers()));
        }
        maps.cure();
        lists.cure();
        let switched = judge::names(&records);
        let waits = settle::wait(&self.scene, stratum, &switched);
        let ended = Instant::now();
        let maps_end = async {
            let arrive = maps_arrive(&self.scene, &names, &maps).await;
            let pull = all_pull(&self.scene, &maps).await;
            (arrive.into_iter().chain(pull), ended.elapsed())
        };
        let (mut settled, (maps_end, maps_took)) = tokio::join!(waits, maps_end);
        violations.extend(maps_end);
        let starts = self.scene.daemons[REGISTRAR].starts - starts + 1;
        let posts = self.scene.upstream.requests_from(requests_before);
        violations.extend(settled.violations(&records, &posts, starts, frozen));
        backend::forget(&self.scene.upstream, &lists);
        let last_looks = last_looks(&self.scene, &switched, origin).await;
        violations.extend(last_looks.as_ref().err().cloned());
        let (last_looks, disputed) = last_looks.unwrap_or_default();
        for one in &disputed {
            println!("{name}: ZooKeeper's servers disagree: {one}");
        }
        if strikes.is_none() {
            let pid = self.scene.daemons[0].daemon.pid();
            self.footprint = Footprint::take(pid, &self.scene.servers).await;
        }
        clear(&self.scene, &[switched, mapped, settled.names()].concat(), &place).await;

        violations.extend(judge::switches(&records, &last_looks, &maps, origin, frozen));
        violations.extend([history.faults(), history.violations(), history.untruths()].concat());
        violations.extend(late(&history, frozen));
        violations.extend(self.deaths());
        self.known.add(origin, &records, &history);
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
        row.disputed += disputed.len();
        row.held += judge::held(&records);
        row.listed += settled.listed.listed.len();
        let registrations = listed::counts(&settled.requests);
        row.registrations.iter_mut().zip(registrations).for_each(|(sum, count)| *sum += count);
        row.settled.push(settled.took);
        row.longer += settled.took.saturating_sub(maps_took);
        row.violations.extend(violations.iter().cloned());
        violations
    }

    /// Strikes so many times. Returns violations, and the longest time that a daemon or its way stood still.
    async fn strike(
        &mut self,
        number: usize,
        fault: Fault,
        strikes: usize,
        traffic: &Traffic,
        load: &Load,
    ) -> (Violations, Duration) {
        let (mut violations, mut frozen) = (Violations::new(), Duration::ZERO);
        let row = self.rows.entry(number).or_default();
        for _ in 0..strikes {
            if let Some(found) = wait_for_peace(&self.scene, traffic, load).await {
                violations.push(found);
                return (violations, frozen);
            }
            match fault.strike(&mut self.scene, &mut self.random).await {
                Ok(struck) => {
                    frozen = frozen.max(struck.frozen);
                    violations.extend(after_strike(&traffic.pulses[..], &struck, row).await);
                }
                // Traps that nothing steps into in this state of affairs are no faults.
                Err(Miss::Nothing(why)) => row.missed = why,
                Err(Miss::Wrong(found)) => {
                    violations.push(found);
                    return (violations, frozen);
                }
            }
        }
        violations.extend(wait_for_peace(&self.scene, traffic, load).await);
        (violations, frozen)
    }

    /// Lets the load run for a while. Returns violations.
    async fn keep_calm(&self, traffic: &Traffic, load: &Load) -> Violations {
        let before = wait_for_peace(&self.scene, traffic, load).await;
        tokio::time::sleep(CALM).await;
        let after = wait_for_peace(&self.scene, traffic, load).await;
        before.into_iter().chain(after).collect()
    }

    /// Sub-pools that only this round has.
    fn place(&self) -> Place {
        let mut place = Place::new(&self.scene.base_dir, 2);
        place.names.iter_mut().for_each(|name| *name = format!("r{}{name}", self.rounds));
        place
    }

    /// A jobmaker that sometimes fails, and its clients.
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

    /// Daemons that ended by themselves, or have panicked since this was asked last.
    pub fn deaths(&mut self) -> Violations {
        let mut found = Violations::new();
        for (number, member) in self.scene.daemons.iter_mut().enumerate() {
            member.read_log();
            found.append(&mut member.findings);
            if !member.daemon.is_alive() {
                found.push(format!("daemon {number} has ended: {:#?}", member.daemon.log().last()));
            }
        }
        found
    }

    /// Prints the tables, and the number of violations.
    pub fn print(&self, violations: usize) {
        let rows: Vec<_> = self.rows.values().collect();
        table::print(self.servers, &rows, &self.stretches, violations);
        self.leaks().iter().for_each(|leak| println!("{leak}"));
    }

    /// Faults that have never struck, after a whole pass.
    pub fn never_met(&self) -> Violations {
        let rows =
            self.rows.iter().filter(|(number, row)| **number != FAULTLESS && row.strikes == 0);
        rows.map(|(_, row)| format!("{}: never met: {}", row.name, row.missed)).collect()
    }

    /// Leaks, as violations.
    pub fn leaks(&self) -> Violations {
        footprint::leaks(&self.stretches)
    }

    pub fn servers(&self) -> Servers {
        self.servers
    }

    pub fn strikes(&self) -> usize {
        self.rows.values().map(|row| row.strikes).sum()
    }
}

/// Waits until both daemons have answered some requests of every kind. Returns violations.
async fn wait_for_peace(scene: &Scene, traffic: &Traffic, load: &Load) -> Option<String> {
    let counts = || {
        let switches = traffic.pulses.iter().map(Pulse::count);
        switches.zip(load.answered()).collect::<Vec<_>>()
    };
    let (start, before) = (Instant::now(), counts());
    let is_peace = || {
        before.iter().zip(counts()).all(|(before, now)| {
            now.0 >= before.0 + PEACE && now.1 >= before.1 + PEACE_OF_JOBMAKERS
        })
    };
    while !is_peace() {
        if start.elapsed() > RECOVERY {
            let logs: Vec<_> = scene.daemons.iter().map(|it| it.daemon.log().pop()).collect();
            return Some(format!(
                "no peace within {RECOVERY:?}: switches and exchanges of each daemon from {before:?} \
                 to {:?}; {logs:?}",
                counts()
            ));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    None
}

/// Adds a strike and its recovery to the table. Returns violations.
async fn after_strike(pulses: &[Pulse], struck: &Struck, row: &mut Row) -> Violations {
    let mut violations = Violations::new();
    row.strikes += 1;
    row.noticed.extend(struck.noticed);
    if struck.noticed.is_some_and(|noticed| noticed > SESSION_TIMEOUT / 2 + SLACK) {
        violations.push(format!("silence noticed after {:?}", struck.noticed));
    }
    let mut slowest = Some(Duration::ZERO);
    let handshakes = if has_tls() { FIRST_HANDSHAKES } else { Duration::ZERO };
    let limit = RECOVERED + SLACK + handshakes;
    for &daemon in &struck.daemons {
        let recovery = recovery(&pulses[daemon], struck.mended).await;
        match recovery {
            Some(recovery) if recovery > limit => {
                violations.push(format!("daemon {daemon} took {recovery:?}"));
            }
            Some(_) => {}
            None => violations.push(format!("daemon {daemon} did not recover")),
        }
        slowest = slowest.zip(recovery).map(|(slowest, recovery)| slowest.max(recovery));
    }
    row.recoveries.extend(slowest);
    violations
}

/// How long after the mending it took until a daemon answered with success; `None` if it did not.
async fn recovery(pulse: &Pulse, mended: Instant) -> Option<Duration> {
    let start = Instant::now();
    loop {
        if let Some(success) = pulse.first_after(mended) {
            return Some(success - mended);
        }
        if start.elapsed() > RECOVERY {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn finish(load: Load, jobmaker: Jobmaker) -> History {
    let mut history = load.finish().await;
    history.diary = jobmaker.applied();
    jobmaker.stop().await;
    history
}

/// Waits until a map requested from now on is written completely. Returns violations.
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

/// Waits until every daemon that has to poll has requested a map. Returns violations.
async fn all_pull(scene: &Scene, maps: &Maps) -> Option<String> {
    let expected = if scene.one_polls { 1 } else { scene.daemons.len() };
    let start = Instant::now();
    while maps.askers().len() < expected {
        if start.elapsed() > RECOVERY {
            return Some(format!("{expected} should poll, and do: {:?}", maps.askers()));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    None
}

fn paths(scene: &Scene, names: &[String]) -> Vec<String> {
    names.iter().map(|name| scene.daemons[0].daemon.path(name)).collect()
}

/// Removes a round's znodes: with those of a thousand rounds a server takes its time to start, and daemons keep a
/// watch for each sub-pool's ack. The backend has to know of no map any more.
async fn clear(scene: &Scene, names: &[String], place: &Place) {
    let requests: Vec<_> = (0..place.names.len()).map(|number| place.path(number)).collect();
    let acks = requests.iter().map(|request| format!("{request}/ack")).collect();
    let places = scene.places();
    let indices = names.iter().map(|name| places.index(name)).collect();
    if let Some(looker) = Looker::connect(&scene.brokers()).await {
        looker.delete_all(&[paths(scene, names), indices, acks, requests].concat()).await;
    }
}

/// The final values in ZooKeeper, and lasting disagreements between its servers: a server that has lost a
/// committed write shows there. The majority's value is the committed one. Polls must have ended.
async fn last_looks(
    scene: &Scene,
    names: &[String],
    origin: Instant,
) -> Result<(Vec<Look>, Vec<String>), String> {
    const TRIES: usize = 3;
    let paths = paths(scene, names);
    let mut tries = 0;
    let until = Instant::now() + seconds(60);
    'looking: while Instant::now() < until {
        let start = since(origin, Instant::now());
        let mut of_servers = Vec::new();
        for server in &scene.servers {
            let Some(looker) = Looker::connect(&server.address()).await else { continue 'looking };
            let Some(found) = looker.look_at_all(&paths).await else { continue 'looking };
            of_servers.push(found);
        }
        let end = since(origin, Instant::now());
        let (mut looks, mut disputed) = (Vec::new(), Vec::new());
        for (index, name) in names.iter().enumerate() {
            let held: Vec<_> = of_servers.iter().map(|found| &found[index]).collect();
            let most = most(&held);
            if held.iter().any(|it| *it != most) {
                disputed.push(format!("{name}: {held:?}"));
            }
            looks.push(Look::new(name, most.clone(), start, end));
        }
        tries += 1;
        if disputed.is_empty() || tries == TRIES {
            return Ok((looks, disputed));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Err("nobody could look at ZooKeeper in the end".to_owned())
}

/// The majority's value.
fn most<'a>(held: &[&'a Option<String>]) -> &'a Option<String> {
    let votes = |value| held.iter().filter(|it| **it == value).count();
    held.iter().max_by_key(|value| votes(**value)).copied().unwrap_or(&None)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_most_servers_hold_counts() {
        let (none, some) = (None, Some("c1".to_owned()));
        assert_eq!(most(&[&none, &some, &some]), &some);
        assert_eq!(most(&[&none, &some, &none]), &none);
        assert_eq!(most(&[&some]), &some);
    }

    fn struck(mended: Instant) -> Struck {
        Struck { daemons: vec![0, 1], mended, frozen: Duration::ZERO, noticed: None }
    }

    #[tokio::test]
    async fn the_slower_daemon_counts_and_success_before_the_mending_does_not() {
        let (pulses, mut row) = ([Pulse::default(), Pulse::default()], Row::default());
        let before = Instant::now();
        pulses[0].beat(before);
        let mended = Instant::now();
        // On its way before the mending.
        pulses[0].beat(before);
        std::thread::sleep(Duration::from_millis(20));
        pulses[0].beat(Instant::now());
        std::thread::sleep(Duration::from_millis(20));
        pulses[1].beat(Instant::now());
        // Later events are not part of the recovery.
        std::thread::sleep(Duration::from_millis(20));
        pulses[0].beat(Instant::now());
        let found = after_strike(&pulses, &struck(mended), &mut row).await;
        assert_eq!((found, row.strikes), (Violations::new(), 1));
        assert_eq!(row.recoveries, [pulses[1].first_after(mended).unwrap() - mended]);
        assert!(pulses[0].first_after(mended).unwrap() - mended >= Duration::from_millis(20));
    }

    #[tokio::test]
    async fn one_daemon_that_is_late_is_found() {
        let (pulses, mut row) = ([Pulse::default(), Pulse::default()], Row::default());
        pulses.iter().for_each(|pulse| pulse.beat(Instant::now()));
        let late = Instant::now() - RECOVERED - SLACK - Duration::from_secs(1);
        let struck = Struck { daemons: vec![1], ..struck(late) };
        let found = after_strike(&pulses, &struck, &mut row).await;
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[tokio::test]
    async fn silence_that_is_noticed_late_is_found() {
        let (pulses, mut row) = ([Pulse::default(), Pulse::default()], Row::default());
        let mended = Instant::now();
        pulses.iter().for_each(|pulse| pulse.beat(Instant::now()));
        let noticed = Some(SESSION_TIMEOUT / 2 + SLACK + Duration::from_millis(1));
        let found = after_strike(&pulses, &Struck { noticed, ..struck(mended) }, &mut row).await;
        assert_eq!(found.len(), 1, "{found:?}");
    }
}
