//! Cost of the history for switches and updates; space and searches of a history of ten million switches.

use std::{
    net::Ipv4Addr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use switcher_history::{
    Change, Entry, Old, OnDamage, Opened, Origin, Outcome, PART, Source, State, Switch, Writer,
};

use crate::{
    CONNECTIONS, Stage,
    daemon::Daemon,
    http::{self, Batches},
    load::{Load, Names, each, ms_since},
    process::{peak_mb, resident_mb},
    report::{Goal, Pair, Report, number},
    sub_pools::{self, BASE_DIR},
    support::{daemon::Daemon as Tested, free_port, zookeeper::ZooKeeper},
    turns::{by_turns, median},
};

const BLOCKS: usize = 24;
/// Time of one side in a block.
const TIME: Duration = Duration::from_millis(400);
/// Connections of a load that does not saturate the machine.
const FEW: usize = 16;
const MILLIONS: u64 = 10;
/// Sub-accounts of the large history.
const NAMES: u64 = 1_000_000;
/// Switches that are appended together.
const TOGETHER: u64 = 2_000;
const SEARCHES: usize = 20;

pub async fn measure(zookeeper: &ZooKeeper, stage: &Stage, report: &mut Report) {
    let [on, all] = [start(zookeeper, "updates").await, start(zookeeper, "all").await];
    let names = &stage.existing;
    for daemon in [&on, &all] {
        http::batch(daemon, names, "btc").await;
    }
    singles([&stage.daemon, &on, &all], names, report).await;
    batches([&stage.daemon, &on, &all], names, report).await;
    sub_pools::updates_with_history(zookeeper, [&on, &stage.daemon], report).await;
    let more = peak_mb(on.pid()) - peak_mb(stage.daemon.pid());
    report.note(format!("MB more at its peak with a history: {}", number(more)));
    drop((on, all));
    large(zookeeper, report).await;
}

async fn start(zookeeper: &ZooKeeper, sync: &str) -> Daemon {
    let builder = Tested::builder(zookeeper).set("ZKSubPoolUpdateBaseDir", BASE_DIR);
    let file = builder.folder().join("history.db");
    Daemon::start_with(builder.set("HistoryFile", json!(file)).set("HistorySync", sync)).await
}

/// The sides are a daemon without a history, one with it, and one whose answers wait for the disk.
async fn singles(daemons: [&Daemon; 3], names: &[String], report: &mut Report) {
    for (connections, goal) in [(CONNECTIONS, 0.85), (FEW, 0.97)] {
        let load = async |_, side: usize| {
            http::singles(daemons[side], connections, Names::Existing(names), TIME).await
        };
        let [off, on, all] = by_turns(BLOCKS, load).await.map(|side| each(&side, Load::rate));
        let name = |what| format!("single switches/s, {connections} connections, {what}");
        let off = (name("no history"), off);
        let pair = Pair::of((name("history"), on), off.clone());
        report.ratio(pair, Goal::AtLeast(goal));
        report.ratio(Pair::of((name("HistorySync all"), all), off), Goal::AtLeast(0.0));
    }
}

async fn batches(daemons: [&Daemon; 3], names: &[String], report: &mut Report) {
    let batches = Batches::of(names, names.len());
    let load = async |_, side: usize| batches.send(daemons[side], TIME).await;
    let [off, on, all] = by_turns(BLOCKS, load).await.map(|side| each(&side, Load::rate));
    let name = |what| format!("batch of 20,000, switches/s, {what}");
    let off = (name("no history"), off);
    report.ratio(Pair::of((name("history"), on), off.clone()), Goal::AtLeast(0.7));
    report.ratio(Pair::of((name("HistorySync all"), all), off), Goal::AtLeast(0.0));
}

/// A history of ten million single switches: its size, and searches through a daemon.
async fn large(zookeeper: &ZooKeeper, report: &mut Report) {
    let admin = format!("127.0.0.1:{}", free_port());
    let builder = Tested::builder(zookeeper);
    let file = builder.folder().join("history.db");
    fill(&file, report);
    let builder = builder.set("HistoryFile", json!(file)).set("AdminListenAddr", &*admin);
    let daemon = Daemon::start_with(builder).await;
    let before = resident_mb(daemon.pid());
    let goal = Goal::AtMost(100.0);
    search(&admin, "/history?sub_account=user123456", "one sub-account", goal, report).await;
    let none = "/history?sub_account=nobody";
    search(&admin, none, "a sub-account that has none", goal, report).await;
    let page = "/history/requests";
    search(&admin, page, "first page of requests", Goal::AtMost(50.0), report).await;
    let page = "/history/requests?coin=btc";
    search(&admin, page, "first page of requests of a coin", Goal::AtMost(50.0), report).await;
    let more = peak_mb(daemon.pid()) - before;
    report.note(format!("MB more at the peak of these searches: {}", number(more)));
    report.goal("peak MB with ten million records", peak_mb(daemon.pid()), Goal::AtMost(50.0));
}

/// Fills a new history as single switches do, which need the most space.
fn fill(file: &Path, report: &mut Report) {
    let key = file.with_added_extension("key");
    let Opened { mut writer, .. } = Writer::open(file, &key, PART, OnDamage::Refuse).unwrap();
    let (total, mut worst) = (MILLIONS * 1_000_000, 0.0_f64);
    let began = Instant::now();
    for first in (0..total).step_by(TOGETHER as usize) {
        let changes: Vec<Change> = (first..first + TOGETHER).map(single).collect();
        let began = Instant::now();
        writer.append(&changes).unwrap();
        worst = worst.max(ms_since(began));
    }
    let rate = total as f64 / began.elapsed().as_secs_f64();
    let size = writer.size().unwrap();
    report.note(format!("{} million switches recorded, /s: {}", MILLIONS, number(rate)));
    report.note(format!("longest append of {TOGETHER}, ms: {}", number(worst)));
    let gigabytes = size.bytes as f64 / 1e9;
    report.goal("GB of ten million single switches", gigabytes, Goal::AtMost(1.2));
}

fn single(number: u64) -> Change {
    const COINS: [&str; 3] = ["btc", "bcc", "ltc"];
    let name = number.wrapping_mul(7919) % NAMES;
    let coin = |number: u64| COINS[(number % 3) as usize].to_owned();
    let origin = Origin {
        request: 0x7123_4567_89ab_0000 + number,
        source: Source::Api,
        client: Some(Ipv4Addr::new(10, 0, 0, 7).into()),
        actor: None,
        on_behalf_of: None,
        comment: None,
        undo_of: None,
    };
    let state =
        State { created: 0x5_0000_0000 + name as i64, version: (number / NAMES) as i32 + 1 };
    let switch = Switch {
        sub_account: format!("user{name:06}"),
        old: Old::Value(coin(number)),
        new: Some(coin(number + 1)),
        superseded_by: None,
        due: None,
        state: Some(state),
    };
    Change {
        time: 1_790_000_000_000 + number as i64 / 50,
        origin: Arc::new(origin),
        entry: Entry::Switch(switch),
        outcome: Outcome::Applied,
        cause: None,
    }
}

async fn search(admin: &str, path: &str, name: &str, goal: Goal, report: &mut Report) {
    let mut times = Vec::new();
    for _ in 0..SEARCHES {
        let began = Instant::now();
        let answer = http::request(admin, path).await;
        times.push(ms_since(began));
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
    report.goal(&format!("median ms, ten million records: {name}"), median(times), goal);
}
