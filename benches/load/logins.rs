//! Cost of users in a `UsersFile`: throughput with remembered logins, a client during floods of wrong passwords, and the
//! times of logins with known and with unknown names.

use std::{
    collections::HashMap,
    fs,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{
    task::{JoinHandle, JoinSet},
    time::interval,
};

use crate::{
    CONNECTIONS, Stage,
    daemon::Daemon,
    http,
    load::{Load, Names, each, ms_since},
    report::{Goal, Pair, Report, Table, number},
    support::{
        client::{Connection, Request},
        daemon::{Daemon as Tested, PASSWORD, USER},
        users::{argon2, bcrypt, with_hash},
        zookeeper::ZooKeeper,
    },
    turns::{by_turns, median},
};

const USERS: usize = 1000;
/// KiB of an argon2id hash, by one pass: about as slow as the command's own hashes.
const KIB: u32 = 38 << 10;
const BCRYPT_COST: u32 = 10;
const BLOCKS: usize = 24;
/// Time of one side in a block.
const TIME: Duration = Duration::from_millis(400);

const FLOOD_BLOCKS: usize = 8;
const FLOOD_TIME: Duration = Duration::from_secs(2);
/// Connections of the client that a flood must not slow down.
const FEW: usize = 16;
/// Addresses of the larger flood.
const ADDRESSES: u8 = 200;

/// Wrong logins of each kind.
const LOGINS: usize = 200;

pub async fn measure(zookeeper: &ZooKeeper, stage: &Stage, report: &mut Report) {
    let daemon = start(zookeeper).await;
    http::batch(&daemon, &stage.existing, "btc").await;
    throughput([&stage.daemon, &daemon], &stage.existing, report).await;
    floods(&daemon, &stage.existing, report).await;
    names(zookeeper, report).await;
}

/// A daemon with users in a file alone: of the user of all loads, and of so many others, whose hashes are of two kinds.
async fn start(zookeeper: &ZooKeeper) -> Daemon {
    let hash = argon2(PASSWORD, KIB);
    let others = [&hash, &hash, &hash, &bcrypt(PASSWORD, BCRYPT_COST)];
    let other = |number: usize| with_hash(&user(number), others[number % 4], &["switcher"]);
    let users: Vec<Value> =
        [with_hash(USER, &hash, &["admin"])].into_iter().chain((1..USERS).map(other)).collect();
    let builder = Tested::builder(zookeeper).users(&users);
    Daemon::start_with(builder.without("APIUser").without("APIPassword")).await
}

fn user(number: usize) -> String {
    format!("user{number}")
}

/// The sides are a daemon with `APIUser` alone, and one with a thousand users.
async fn throughput(daemons: [&Daemon; 2], names: &[String], report: &mut Report) {
    let load = async |_, side: usize| {
        http::singles(daemons[side], CONNECTIONS, Names::Existing(names), TIME).await
    };
    let [alone, users] = by_turns(BLOCKS, load).await.map(|side| each(&side, Load::rate));
    let name = |what| format!("single switches/s, {CONNECTIONS} connections, {what}");
    let pair = Pair::of((name("1,000 users with hashes"), users), (name("APIUser alone"), alone));
    report.ratio(pair, Goal::AtLeast(0.95));
}

async fn floods(daemon: &Daemon, names: &[String], report: &mut Report) {
    let mut shares = [const { Vec::new() }; 2];
    let mut rates = [const { Vec::new() }; 2];
    let sides = by_turns::<3, _>(FLOOD_BLOCKS, async |_, side| {
        let load = http::singles(daemon, FEW, Names::Existing(names), FLOOD_TIME);
        let Some(flood) = side.checked_sub(1) else { return load.await };
        let guesses = Flood::start(&daemon.address, [1, ADDRESSES][flood]);
        let (before, began) = (logins_cpu(daemon.pid()), Instant::now());
        let load = load.await;
        let took = ms_since(began);
        shares[flood].push(cpu_since(&before, &logins_cpu(daemon.pid())) / took);
        rates[flood].push(guesses.end().await);
        load
    })
    .await;
    let [quiet, one, many] = sides.map(|loads| each(&loads, Load::p99_ms));
    let name = |what| format!("p99 ms of a switch, {FEW} connections, {what}");
    let quiet = (name("no flood"), quiet);
    for (what, floods) in [("1,000 guesses/s, 1 address", one), ("the same, 200 addresses", many)] {
        report.ratio(Pair::of((name(what), floods), quiet.clone()), Goal::AtMost(2.0));
    }
    let mut table = Table::new(
        "Floods of wrong passwords, 1,000 a second",
        &["addresses", "guesses/s", "share of a core for their comparison"],
    );
    for ((addresses, share), rate) in [1, ADDRESSES].into_iter().zip(shares).zip(rates) {
        table.row(vec![addresses.to_string(), number(median(rate)), number(median(share))]);
    }
    report.table(table);
}

/// Wrong passwords, a thousand a second, each on a connection of its own.
struct Flood {
    began: Instant,
    guesses: JoinHandle<usize>,
    stop: tokio::sync::oneshot::Sender<()>,
}

impl Flood {
    fn start(address: &str, addresses: u8) -> Self {
        let (stop, mut stopped) = tokio::sync::oneshot::channel();
        let address = address.to_owned();
        let guesses = tokio::spawn(async move {
            let mut guesses = JoinSet::new();
            let mut ticks = interval(Duration::from_millis(1));
            for number in 0.. {
                tokio::select! {
                    _ = ticks.tick() => {}
                    _ = &mut stopped => return number,
                }
                let source = Ipv4Addr::new(127, 0, 1, 1 + (number % usize::from(addresses)) as u8);
                let (address, name) = (address.clone(), user(number % USERS));
                // An answer may be delayed, or the connection refused.
                guesses.spawn(async move { guess(&address, source, &name, number).await.ok() });
                while guesses.try_join_next().is_some() {}
            }
            0
        });
        Self { began: Instant::now(), guesses, stop }
    }

    /// Ends it; guesses per second.
    async fn end(self) -> f64 {
        let _ = self.stop.send(());
        self.guesses.await.unwrap() as f64 / self.began.elapsed().as_secs_f64()
    }
}

async fn guess(address: &str, source: Ipv4Addr, name: &str, number: usize) -> std::io::Result<u16> {
    let request = Request::switch("x", "btc").credentials(name, &format!("guess{number}"));
    let mut connection = Connection::open_from(source.into(), address).await?;
    Ok(connection.send(&request).await?.status)
}

/// Milliseconds of CPU of the threads that compare passwords. Such a thread ends when no login waits.
fn logins_cpu(pid: u32) -> HashMap<String, f64> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let of = |thread: fs::DirEntry| {
        let stat = fs::read_to_string(thread.path().join("stat")).ok()?;
        let (_, after_name) = stat.rsplit_once(") ").filter(|it| it.0.ends_with("(logins"))?;
        let ticks = after_name.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.map(|field| field.parse::<u64>().unwrap()).sum();
        Some((thread.file_name().into_string().unwrap(), ticks as f64 * 10.0))
    };
    threads.filter_map(of).collect()
}

fn cpu_since(before: &HashMap<String, f64>, after: &HashMap<String, f64>) -> f64 {
    after.iter().map(|(thread, ms)| ms - before.get(thread).unwrap_or(&0.0)).sum()
}

/// Times of wrong logins. Each address sends few, so that no answer is delayed.
async fn names(zookeeper: &ZooKeeper, report: &mut Report) {
    let daemon = start(zookeeper).await;
    let [known, unknown] = by_turns::<2, _>(LOGINS, async |number, side| {
        let source = Ipv4Addr::new(127, 0, 2, 1 + (number / 4) as u8);
        let name = [user(1 + number * 7 % (USERS - 1)), format!("nobody{number}")];
        let began = Instant::now();
        let status = guess(&daemon.address, source, &name[side], number).await.unwrap();
        assert_eq!(status, 401);
        ms_since(began)
    })
    .await;
    let mut table = Table::new(
        "Times of wrong logins, of a thousand users with two kinds of hashes",
        &["", "median, ms", "p90, ms"],
    );
    let figures = [&known, &unknown].map(|times| {
        let load = Load::new(times.clone(), 1, Duration::from_secs(1));
        [load.median_ms(), load.percentile(90)]
    });
    for (name, times) in ["known names", "unknown names"].into_iter().zip(figures) {
        table.row([name.to_owned()].into_iter().chain(times.map(number)).collect());
    }
    report.table(table);
    for (what, index) in [("median", 0), ("p90", 1)] {
        let ratio = figures[1][index] / figures[0][index];
        let name = format!("{what} of a wrong login, unknown by known names, either way");
        report.goal(&name, ratio.max(1.0 / ratio), Goal::AtMost(1.1));
    }
}
