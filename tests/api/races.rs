//! Many clients that get and update the coinbases of a few sub-pools at the same time, with disturbances by the
//! jobmaker, a second daemon, another writer and ZooKeeper. Each answer must belong to its own request, and all answers
//! about a sub-pool must be consistent (`support::register`).
//!
//! The short runs are for every `make test`. The long one takes all scenarios in turn and prints a table:
//!
//! ```sh
//! RACES_OPERATIONS=100000 RACES_SEEDS=1 make races
//! ```

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};

use fastrand::Rng;
use jobmaker_sim::{Jobmaker, Knobs, SubPool};

use crate::support::coinbase_history::{CoinbaseAction, Fate, History, Record, Reply};
use crate::support::coinbase_load::{Intruder, Load, Mix, Place};
use crate::support::daemon::Daemon;
use crate::support::unique;
use crate::support::zookeeper::ZooKeeper;

/// Operations of a scenario in a short run.
const FEW: usize = 1_000;
/// Operations between two disturbances.
const PEACE: usize = 400;

/// A load's environment.
#[derive(Clone)]
struct Scenario {
    name: &'static str,
    clients: usize,
    daemons: usize,
    sub_pools: usize,
    jobmaker: Knobs,
    /// The daemons' `ZKSubPoolUpdateAckTimeout`.
    ack_timeout: u64,
    /// Gets in percent of the operations.
    gets: u8,
    /// Whether another program writes to the request znodes.
    intruder: bool,
    /// In this order, repeated.
    disturbances: &'static [Disturbance],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Disturbance {
    /// The jobmaker pauses, sometimes for longer than the daemons wait.
    Pause,
    /// The jobmaker crashes and starts again with its configured values.
    Crash,
    /// ZooKeeper is killed and restarted.
    ZooKeeper,
}

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A correct jobmaker without other writers.
fn instant(name: &'static str, daemons: usize, sub_pools: usize) -> Scenario {
    let jobmaker = Knobs { number_restarts: true, ..Knobs::default() };
    Scenario {
        name,
        clients: 64,
        daemons,
        sub_pools,
        jobmaker,
        ack_timeout: 5,
        gets: 50,
        intruder: false,
        disturbances: &[],
    }
}

fn one_sub_pool() -> Scenario {
    instant("instant jobmaker", 1, 1)
}

fn eight_sub_pools() -> Scenario {
    instant("instant jobmaker", 1, 8)
}

fn two_daemons() -> Scenario {
    instant("two daemons", 2, 1)
}

fn slow() -> Scenario {
    let mut scenario = instant("slow jobmaker", 2, 4);
    scenario.jobmaker.delay_before_read = milliseconds(1);
    scenario.jobmaker.delay_before_ack = milliseconds(2);
    scenario.jobmaker.jitter = milliseconds(4);
    scenario
}

/// Among many updates, gets share their writes; here gets have to write themselves.
fn mostly_gets() -> Scenario {
    let mut scenario = instant("mostly gets", 2, 2);
    scenario.jobmaker.delay_before_ack = milliseconds(4);
    scenario.gets = 90;
    scenario.intruder = true;
    scenario
}

fn forgetful() -> Scenario {
    let mut scenario = instant("crashes between read and ack", 1, 2);
    scenario.jobmaker.crash = 0.02;
    scenario.jobmaker.jitter = milliseconds(2);
    scenario
}

fn forgetful_with_two_daemons() -> Scenario {
    let mut scenario = forgetful();
    scenario.daemons = 2;
    scenario.sub_pools = 1;
    scenario.disturbances = &[Disturbance::Crash];
    scenario
}

fn talkative() -> Scenario {
    let mut scenario = instant("double and unasked acks", 2, 2);
    scenario.jobmaker.delay_before_ack = milliseconds(2);
    scenario.jobmaker.double_acks = 0.4;
    scenario.jobmaker.double_ack_delay = milliseconds(2);
    scenario.jobmaker.unasked_every = milliseconds(20);
    scenario
}

fn mad() -> Scenario {
    let mut scenario = instant("garbage acks", 1, 2);
    scenario.jobmaker.garbage_before = 0.05;
    scenario.jobmaker.garbage_instead = 0.05;
    scenario.ack_timeout = 1;
    scenario
}

fn pausing() -> Scenario {
    let mut scenario = instant("pauses", 1, 2);
    scenario.disturbances = &[Disturbance::Pause];
    scenario.ack_timeout = 1;
    scenario
}

fn other_writer() -> Scenario {
    let mut scenario = instant("another writer", 1, 2);
    scenario.intruder = true;
    scenario.ack_timeout = 1;
    scenario
}

fn zookeeper_restarts() -> Scenario {
    let mut scenario = instant("ZooKeeper restarts", 2, 4);
    scenario.disturbances = &[Disturbance::ZooKeeper];
    scenario.ack_timeout = 1;
    scenario
}

fn everything() -> Scenario {
    let mut scenario = instant("everything at once", 2, 3);
    scenario.jobmaker = Knobs {
        delay_before_read: milliseconds(1),
        delay_before_ack: milliseconds(1),
        jitter: milliseconds(2),
        crash: 0.01,
        down: milliseconds(20),
        double_acks: 0.05,
        double_ack_delay: milliseconds(3),
        garbage_before: 0.01,
        garbage_instead: 0.01,
        unasked_every: milliseconds(50),
        ..scenario.jobmaker
    };
    scenario.intruder = true;
    scenario.ack_timeout = 1;
    scenario.disturbances = &[Disturbance::Crash, Disturbance::Pause, Disturbance::ZooKeeper];
    scenario
}

const SCENARIOS: [fn() -> Scenario; 13] = [
    one_sub_pool,
    eight_sub_pools,
    two_daemons,
    slow,
    mostly_gets,
    forgetful,
    forgetful_with_two_daemons,
    talkative,
    mad,
    pausing,
    other_writer,
    zookeeper_restarts,
    everything,
];

impl Scenario {
    async fn run(&self, operations: usize, seed: u64) -> History {
        let mut private = None;
        let zookeeper = if self.disturbances.contains(&Disturbance::ZooKeeper) {
            &*private.insert(ZooKeeper::private().await)
        } else {
            ZooKeeper::shared().await
        };
        let origin = Instant::now();
        let place = Place::new(&format!("/{}/", unique("races")), self.sub_pools);
        let configured = |number| SubPool::new(&place.path(number), "configured", "somebody");
        let sub_pools = (0..self.sub_pools).map(configured).collect();
        let knobs = Knobs { seed, ..self.jobmaker.clone() };
        let jobmaker = Jobmaker::start(&zookeeper.address(), sub_pools, knobs).await.unwrap();
        let mut daemons = Vec::new();
        for _ in 0..self.daemons {
            let builder = Daemon::builder(zookeeper)
                .set("ZKSubPoolUpdateBaseDir", place.base_dir.as_str())
                .set("ZKSubPoolUpdateAckTimeout", self.ack_timeout);
            daemons.push(builder.start().await);
        }
        let intruder = match self.intruder {
            true => Some(Intruder::start(origin, zookeeper.client().await, &place, seed)),
            false => None,
        };

        let addresses: Vec<_> = daemons.iter().map(|daemon| daemon.base().to_owned()).collect();
        let (clients, gets, pause) = (self.clients, self.gets, Duration::ZERO);
        let mix = Mix { clients, operations, gets, pause, seed };
        let load = Load::start(origin, &addresses, &place, mix);
        let mut random = Rng::with_seed(seed);
        let moments = (PEACE..operations).step_by(PEACE);
        for (moment, disturbance) in moments.zip(self.disturbances.iter().cycle()) {
            load.wait_for(moment).await;
            match disturbance {
                Disturbance::Pause => {
                    jobmaker.pause();
                    tokio::time::sleep(milliseconds(random.u64(50..1_500))).await;
                    jobmaker.resume();
                }
                Disturbance::Crash => jobmaker.crash(),
                Disturbance::ZooKeeper => {
                    let zookeeper = private.as_mut().expect("a server of our own");
                    zookeeper.kill9();
                    tokio::time::sleep(milliseconds(500)).await;
                    zookeeper.restart().await;
                }
            }
        }
        let mut history = load.finish().await;
        if let Some(intruder) = intruder {
            history.intrusions = intruder.finish().await;
        }
        history.diary = jobmaker.applied();
        jobmaker.stop().await;
        history
    }

    /// Fates that other scenarios allow and this one forbids.
    fn unexpected(&self, history: &History) -> Vec<String> {
        let alone = self.daemons == 1 && !self.intruder;
        let knobs = &self.jobmaker;
        let undisturbed = self.disturbances.is_empty()
            && (knobs.crash, knobs.garbage_before, knobs.garbage_instead) == (0.0, 0.0, 0.0);
        let unexpected = |fate: &Fate| match fate {
            Fate::Success | Fate::Refused | Fate::HungUp => false,
            Fate::Race => alone,
            _ => undisturbed && !self.intruder,
        };
        let counts = history.counts();
        let wrong = counts.iter().filter(|(fate, _)| unexpected(fate));
        wrong.map(|(fate, count)| format!("{count} answers of the kind {fate:?}")).collect()
    }

    /// All faults of a history of this scenario.
    fn verdict(&self, history: &History) -> Vec<String> {
        let judges =
            [history.faults(), history.violations(), history.untruths(), self.unexpected(history)];
        judges.concat()
    }

    /// A line of the table.
    fn row(&self, history: &History, wrong: usize) -> String {
        let counts = history.counts();
        let count = |fates: &[Fate]| -> usize {
            fates.iter().map(|fate| counts.get(fate).copied().unwrap_or_default()).sum()
        };
        format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {wrong} |\n",
            self.name,
            self.daemons,
            self.sub_pools,
            history.records.len(),
            count(&[Fate::Success]),
            count(&[Fate::Refused]),
            count(&[Fate::Race]),
            count(&[Fate::TimedOut]),
            count(&[Fate::NotServed, Fate::NotWritten]),
            count(&[Fate::Unknown, Fate::Unanswered]),
            count(&[Fate::HungUp]),
        )
    }

    /// A short run without faults.
    #[allow(clippy::print_stdout)]
    async fn hold(&self) -> History {
        let history = self.run(FEW, 1).await;
        let wrong = self.verdict(&history);
        println!("{TABLE_HEAD}{}", self.row(&history, wrong.len()));
        assert!(wrong.is_empty(), "{} violations:\n{}", wrong.len(), first_of(&wrong));
        assert!(history.records.len() > FEW / 2, "only {} operations", history.records.len());
        history
    }
}

const TABLE_HEAD: &str = "\
| scenario | daemons | sub-pools | operations | successes | refusals | races | 504 | not written | \
unknown | hung up | violations |\n\
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";

fn first_of(wrong: &[String]) -> String {
    wrong.iter().take(5).map(|one| format!("{one}\n")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rivals_for_one_sub_pool_each_get_their_own_answer() {
    let history = one_sub_pool().hold().await;
    assert!(history.counts().contains_key(&Fate::Refused), "some requests are impossible");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rivals_for_eight_sub_pools_each_get_their_own_answer() {
    eight_sub_pools().hold().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rivals_at_two_daemons_each_get_their_own_answer() {
    two_daemons().hold().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rivals_at_a_slow_jobmaker_each_get_their_own_answer() {
    slow().hold().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gets_that_have_to_write_undo_nothing_and_are_never_stale() {
    mostly_gets().hold().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_stay_true_when_the_jobmaker_crashes_before_its_acks() {
    let history = forgetful().hold().await;
    let starts = history.diary.iter().filter(|entry| entry.restart).count();
    assert!(starts > history.sub_pools.len(), "it never crashed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_stay_true_when_the_jobmaker_crashes_under_two_daemons() {
    forgetful_with_two_daemons().hold().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_stay_true_when_the_jobmaker_acks_twice_and_unasked() {
    talkative().hold().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_stay_true_when_the_jobmaker_writes_garbage() {
    mad().hold().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_stay_true_when_the_jobmaker_pauses() {
    let history = pausing().hold().await;
    assert!(history.counts().contains_key(&Fate::TimedOut), "no request timed out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_stay_true_when_another_program_writes() {
    let history = other_writer().hold().await;
    assert!(history.counts().contains_key(&Fate::Race), "no request met the other writer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_stay_true_when_zookeeper_restarts() {
    zookeeper_restarts().hold().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_stay_true_when_everything_happens_at_once() {
    everything().hold().await;
}

/// The judges themselves: swapped answers must be found.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_of_another_request_is_found() {
    let mut scenario = instant("to be falsified", 1, 1);
    scenario.clients = 8;
    let history = scenario.run(FEW / 2, 2).await;
    let found: Vec<String> = [history.faults(), history.violations(), history.untruths()].concat();
    assert!(found.is_empty(), "{}", first_of(&found));

    let indexes = 0..history.records.len();
    let of_kind = |record: &Record, update| {
        record.fate() == Fate::Success
            && matches!(record.ask, CoinbaseAction::Update { .. }) == update
    };
    let gets: Vec<_> =
        indexes.clone().filter(|index| of_kind(&history.records[*index], false)).collect();
    let updates: Vec<_> = indexes.filter(|index| of_kind(&history.records[*index], true)).collect();
    let mut random = Rng::with_seed(1);
    let (mut early, mut late, mut foreign) = (0, 0, 0);
    for _ in 0..400 {
        let get = gets[random.usize(..gets.len())];
        let update = updates[random.usize(..updates.len())];
        let between = updates[random.usize(..updates.len())];
        let record = |index: usize| &history.records[index];
        let Reply::AnswerBody(told) = &record(update).reply else { unreachable!("it succeeded") };
        let value = told.new.clone();

        // A get returns a value that was requested only later, or replaced long ago.
        let from_the_future = record(get).end < record(update).start;
        let replaced =
            record(update).end < record(between).start && record(between).end < record(get).start;
        if from_the_future || replaced {
            let mut falsified = history.clone();
            if let Reply::AnswerBody(told) = &mut falsified.records[get].reply {
                told.old.clone_from(&value);
            }
            assert!(!falsified.violations().is_empty(), "{value:?} {:?}", record(get));
            assert!(!falsified.untruths().is_empty(), "{value:?} {:?}", record(get));
            if from_the_future { early += 1 } else { late += 1 }
        }

        // An update returns another update's value.
        if update != between {
            let mut falsified = history.clone();
            if let Reply::AnswerBody(told) = &mut falsified.records[between].reply {
                told.new = value;
            }
            assert_eq!(falsified.faults().len(), 1);
            foreign += 1;
        }
    }
    assert!(early > 20 && late > 20 && foreign > 20, "{early}, {late}, {foreign}");
}

fn number(name: &str, default: usize) -> usize {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => default,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes; RACES_OPERATIONS (100000) in all, and seeds 1 to RACES_SEEDS (1)"]
async fn the_long_run() {
    let (operations, seeds) = (number("RACES_OPERATIONS", 100_000), number("RACES_SEEDS", 1));
    let share = operations.div_ceil(SCENARIOS.len() * seeds);
    let mut found = String::new();
    // Past the test harness, which would hold it back until the end.
    let mut table = std::io::stdout();
    table.write_all(TABLE_HEAD.as_bytes()).unwrap();
    for seed in 1..=seeds as u64 {
        for scenario in SCENARIOS {
            let scenario = scenario();
            let history = scenario.run(share, seed).await;
            let wrong = scenario.verdict(&history);
            table.write_all(scenario.row(&history, wrong.len()).as_bytes()).unwrap();
            if !wrong.is_empty() {
                writeln!(found, "{}, seed {seed}:\n{}", scenario.name, first_of(&wrong)).unwrap();
            }
        }
    }
    assert!(found.is_empty(), "{found}");
}
