//! Switches, polls, writes of other programs and kills in random order, through two daemons. Each operation has a coin of
//! its own, so that a znode's values show which one was written, and when.

use std::sync::{Arc, Mutex};

use futures_util::future::{join, join_all};
use tokio::time::timeout;
use upstream_sim::{Reply, Upstream};
use zookeeper_client::Client;

use super::*;

const USERS: [&str; 4] = ["alice", "bob", "carol", "dave"];
/// Coins of each kind of switch.
const COINS: usize = 16;
/// A sub-account gets a coin a second time only after so long.
const REUSE: Duration = Duration::from_secs(15);
/// Safety period of an interval of 1 s.
const SHORT_PERIOD: Duration = Duration::from_secs(1);
const ROUNDS: usize = 4;
const ACTIVITY: Duration = Duration::from_secs(8);
/// Time after which a request of a killed daemon is no longer on its way to ZooKeeper.
const ON_ITS_WAY: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A switch to a coin without a list.
    Immediate,
    Held,
    /// A write by another program.
    Foreign,
    /// An entry of a user-coin map, for a coin without a list.
    Poll,
    HeldPoll,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Immediate, Self::Held, Self::Foreign, Self::Poll, Self::HeldPoll];

    fn coin(self, number: usize) -> String {
        let letter = match self {
            Self::Immediate => 'n',
            Self::Held => 'h',
            Self::Foreign => 'f',
            Self::Poll => 'p',
            Self::HeldPoll => 'q',
        };
        format!("{letter}{number}")
    }

    fn is_held(self) -> bool {
        matches!(self, Self::Held | Self::HeldPoll)
    }
}

#[derive(Clone, Debug)]
struct Operation {
    user: usize,
    coin: String,
    kind: Kind,
    begin: Instant,
    /// The last moment at which it can have been accepted; `None` while it is under way. Of a poll, its fetch.
    end: Option<Instant>,
    /// Whether its success was answered. A poll answers nobody.
    is_accepted: bool,
}

/// A value of a znode that was seen.
#[derive(Clone, Debug)]
struct Sight {
    user: usize,
    value: String,
    mzxid: i64,
    /// End of the first read that found it.
    first: Instant,
    /// Begin of the last read that found it.
    last: Instant,
}

#[derive(Default)]
struct History {
    operations: Vec<Operation>,
    /// Indices of entries of the next user-coin map.
    map: Vec<usize>,
    sights: Vec<Sight>,
}

type Shared = Arc<Mutex<History>>;

impl History {
    /// Begins an operation with a coin that the sub-account had not for long.
    fn begin(&mut self, user: usize, kind: Kind) -> Option<usize> {
        let of_user = || self.operations.iter().filter(|it| it.user == user);
        let is_free =
            |coin: &String| of_user().all(|it| it.coin != *coin || it.begin.elapsed() > REUSE);
        let coins = if kind == Kind::Foreign { 1_000 } else { COINS };
        let coin = (0..coins).map(|number| kind.coin(number)).find(is_free)?;
        let (begin, end) = (Instant::now(), None);
        self.operations.push(Operation { user, coin, kind, begin, end, is_accepted: false });
        Some(self.operations.len() - 1)
    }

    fn end(&mut self, operation: usize, is_accepted: bool) {
        let slack = if is_accepted { Duration::ZERO } else { ON_ITS_WAY };
        let operation = &mut self.operations[operation];
        (operation.end, operation.is_accepted) = (Some(Instant::now() + slack), is_accepted);
    }

    /// The entries of the next map, which is fetched now.
    fn fetch(&mut self) -> Vec<(&str, String)> {
        let map = std::mem::take(&mut self.map);
        let mut entries = Vec::new();
        for index in map {
            let operation = &mut self.operations[index];
            operation.end = Some(Instant::now());
            entries.push((USERS[operation.user], operation.coin.clone()));
        }
        entries
    }

    fn see(&mut self, user: usize, value: String, mzxid: i64, read: (Instant, Instant)) {
        let seen = self.sights.iter_mut().rfind(|it| it.user == user);
        match seen.filter(|it| it.mzxid == mzxid) {
            Some(seen) => seen.last = read.0,
            None => {
                self.sights.push(Sight { user, value, mzxid, first: read.1, last: read.0 });
            }
        }
    }

    /// The operation whose coin was seen.
    fn operation(&self, sight: &Sight) -> &Operation {
        let of_user = |it: &&Operation| it.user == sight.user && it.coin == sight.value;
        let begun = |it: &&Operation| it.begin <= sight.first;
        let found = self.operations.iter().rev().filter(begun).find(of_user);
        found.unwrap_or_else(|| panic!("nobody wrote {sight:?}"))
    }

    /// Operations of the sub-account that began after the end of another one, and were accepted.
    fn newer(&self, than: &Operation) -> impl Iterator<Item = &Operation> {
        let (user, end) = (than.user, than.end.expect("it has ended"));
        self.operations.iter().filter(move |it| it.user == user && it.is_accepted && it.begin > end)
    }

    /// Whether an accepted operation was written before its answer. An immediate switch is not if a held one that came
    /// while it waited has superseded it.
    fn is_effective_at_once(&self, operation: &Operation) -> bool {
        let overlaps = |it: &&Operation| {
            let is_later = operation.end.is_some_and(|end| it.begin < end);
            is_later && it.end.is_none_or(|end| end > operation.begin)
        };
        let of_user = self.operations.iter().filter(|it| it.user == operation.user);
        let mut held = of_user.filter(|it| it.kind == Kind::Held).filter(overlaps);
        match operation.kind {
            Kind::Foreign => true,
            Kind::Immediate => held.next().is_none(),
            _ => false,
        }
    }

    /// Panics if a held switch was early, was written twice, or was seen or written after a newer one.
    fn judge_sights(&self) {
        let mut written: Vec<(usize, &str, Instant)> = Vec::new();
        for (index, sight) in self.sights.iter().enumerate() {
            let operation = self.operation(sight);
            let what = format!("{sight:?}, {operation:?}");
            if operation.kind.is_held() {
                assert!(sight.first >= operation.begin + SHORT_PERIOD, "early: {what}");
            }
            let key = (sight.user, sight.value.as_str(), operation.begin);
            assert!(!written.contains(&key), "written twice: {what}");
            written.push(key);
            let mut newer = self.newer(operation).filter(|it| self.is_effective_at_once(it));
            let newer = newer.find(|it| it.end.is_some_and(|end| end < sight.last));
            assert!(newer.is_none(), "{what} seen after {newer:?}");
            // Until the last read of the value before, it was not written.
            let before = self.sights[..index].iter().rfind(|it| it.user == sight.user);
            let is_before = |end: Instant| before.is_some_and(|before| end < before.last);
            let newer = self.newer(operation).find(|it| it.end.is_some_and(is_before));
            assert!(newer.is_none(), "{what} written after {newer:?}");
        }
    }

    /// Panics if a newer switch was accepted than the one whose coin is there in the end.
    fn judge_ends(&self) {
        for user in 0..USERS.len() {
            let last = self.sights.iter().rfind(|it| it.user == user).expect("a value");
            let operation = self.operation(last);
            let newer = self.newer(operation).next();
            assert!(newer.is_none(), "{operation:?} has the last word, not {newer:?}");
        }
    }
}

fn lock(history: &Shared) -> std::sync::MutexGuard<'_, History> {
    history.lock().unwrap()
}

/// Reads the znodes again and again.
async fn watch(znodes: &Znodes, dir: &str, history: &Shared) {
    loop {
        for (user, name) in USERS.iter().enumerate() {
            let begin = Instant::now();
            let (value, stat) =
                znodes.get_with_stat(&format!("{dir}{name}")).await.expect("a znode");
            lock(history).see(user, value, stat.mzxid, (begin, Instant::now()));
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// One source of operations of a sub-account; two of them overlap.
struct Driver<'a> {
    user: usize,
    history: &'a Shared,
    addresses: &'a Mutex<[String; 2]>,
    client: &'a Client,
    dir: &'a str,
    random: fastrand::Rng,
}

impl Driver<'_> {
    async fn run(mut self, until: Instant) {
        while Instant::now() < until {
            let kind = Kind::ALL[[0, 0, 0, 1, 1, 1, 1, 2, 3, 4][self.random.usize(..10)]];
            let begun = lock(self.history).begin(self.user, kind);
            if let Some(operation) = begun {
                self.do_it(kind, operation).await;
            }
            // Some held switches get their time.
            let most = if self.random.u8(..4) == 0 { 4_000 } else { 800 };
            sleep(Duration::from_millis(self.random.u64(..most))).await;
        }
    }

    async fn do_it(&mut self, kind: Kind, operation: usize) {
        let coin = lock(self.history).operations[operation].coin.clone();
        let is_accepted = match kind {
            Kind::Poll | Kind::HeldPoll => {
                let mut history = lock(self.history);
                let is_free =
                    history.map.iter().all(|&it| history.operations[it].user != self.user);
                if is_free {
                    history.map.push(operation);
                } else {
                    history.end(operation, false);
                }
                return;
            }
            Kind::Foreign => {
                let path = format!("{}{}", self.dir, USERS[self.user]);
                self.client.set_data(&path, coin.as_bytes(), None).await.unwrap();
                true
            }
            Kind::Immediate | Kind::Held => {
                let address = self.addresses.lock().unwrap()[self.random.usize(..2)].clone();
                let request = Request::switch(USERS[self.user], coin).credentials(USER, PASSWORD);
                let answer = timeout(seconds(20), client::send(&address, &request)).await;
                let answer = answer.ok().and_then(Result::ok);
                answer.is_some_and(|answer| answer.answer() == Answer::success())
            }
        };
        lock(self.history).end(operation, is_accepted);
    }
}

fn orders(zookeeper: &ZooKeeper, upstream: &Upstream) -> Builder {
    let coins = |kind: Kind| (0..COINS).map(move |number| kind.coin(number));
    let polled = || coins(Kind::Poll).chain(coins(Kind::HeldPoll));
    let available: Vec<_> =
        coins(Kind::Immediate).chain(coins(Kind::Held)).chain(polled()).collect();
    let held = coins(Kind::Held).chain(coins(Kind::HeldPoll));
    let lists: serde_json::Map<String, Value> =
        held.map(|coin| (coin, "http://127.0.0.1:9/list".into())).collect();
    holding(zookeeper)
        .set("AvailableCoins", available)
        .set("UserListAPI", Value::Object(lists))
        .set("IntervalSeconds", 1)
        .set("EnableCronJob", true)
        .set("CronIntervalSeconds", 1)
        .set("UserCoinMapURL", crate::polls::url(upstream))
        .set("ZKSessionTimeoutSeconds", 3)
}

/// Waits until no poll and no held switch can write any more.
async fn quiet(history: &Shared, znodes: &Znodes, daemon: &Daemon, upstream: &Upstream) {
    let fetched = |count: usize| async move {
        eventually("another poll", seconds(40), || async {
            (upstream.requests().len() >= count && lock(history).map.is_empty()).then_some(())
        })
        .await;
    };
    // Each daemon has one poll under way at most.
    fetched(0).await;
    fetched(upstream.requests().len() + 4).await;
    sleep(ON_ITS_WAY).await;
    settled(znodes, daemon).await;
    sleep(Duration::from_millis(300)).await;
}

#[tokio::test]
async fn the_last_accepted_switch_wins_in_any_order_and_whatever_is_killed() {
    let seed = now();
    let zookeeper = ZooKeeper::shared().await;
    let (znodes, client) = (zookeeper.znodes().await, zookeeper.client().await);
    let watcher = zookeeper.znodes().await;
    let history = Shared::default();
    let upstream = Upstream::start({
        let history = Arc::clone(&history);
        move |_| {
            let mut history = history.lock().unwrap();
            let entries = history.fetch();
            let entries: Vec<_> = entries.iter().map(|(user, coin)| (*user, &**coin)).collect();
            // Switches that are accepted meanwhile are newer than the map.
            let pause = Duration::from_millis(fastrand::u64(..700));
            Reply::map(&entries, crate::polls::now()).after(pause)
        }
    })
    .await
    .unwrap();
    let builder = orders(zookeeper, &upstream);
    let mut daemons = [builder.start().await, builder.start().await];
    let dir = daemons[0].watch_dir().to_owned();
    for (user, name) in USERS.iter().enumerate() {
        let operation = lock(&history).begin(user, Kind::Foreign).unwrap();
        let coin = lock(&history).operations[operation].coin.clone();
        znodes.put(&format!("{dir}{name}"), &coin).await;
        lock(&history).end(operation, true);
    }
    let addresses = Mutex::new(daemons.each_ref().map(|daemon| daemon.base().to_owned()));
    let mut random = fastrand::Rng::with_seed(seed);
    let rounds = async {
        for _ in 0..ROUNDS {
            let until = Instant::now() + ACTIVITY;
            let drivers = (0..2 * USERS.len()).map(|driver| {
                let (history, addresses, client, dir) = (&history, &addresses, &client, &*dir);
                let (user, random) = (driver / 2, random.fork());
                Driver { user, history, addresses, client, dir, random }.run(until)
            });
            let drivers = join_all(drivers.collect::<Vec<_>>());
            let killer = async {
                while Instant::now() + seconds(1) < until {
                    sleep(Duration::from_millis(random.u64(500..4_000))).await;
                    let victim = random.usize(..2);
                    daemons[victim].kill9();
                    daemons[victim] = builder.start().await;
                    addresses.lock().unwrap()[victim] = daemons[victim].base().to_owned();
                }
            };
            join(drivers, killer).await;
            quiet(&history, &znodes, &daemons[0], &upstream).await;
            let history = lock(&history);
            history.judge_sights();
            history.judge_ends();
        }
    };
    tokio::select! {
        () = rounds => {}
        () = watch(&watcher, &dir, &history) => {}
    }
    let history = lock(&history);
    for kind in Kind::ALL {
        let mut sights = history.sights.iter().map(|sight| history.operation(sight).kind);
        assert!(
            sights.any(|it| it == kind),
            "no {kind:?} in {}, seed {seed}",
            history.sights.len()
        );
    }
}
