//! User lists: their first pull, a restart, memory, the list API, and switches of settled sub-accounts.

use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::Value;
use tokio::time::sleep;
use upstream_sim::{Reply, Upstream};
use zookeeper_client::Client;

use crate::{
    bare,
    daemon::Daemon,
    http,
    load::{Load, Names, each, ms_since},
    process::peak_mb,
    report::{Goal, Pair, Report, precise},
    support::{daemon::Daemon as Tested, zookeeper::ZooKeeper},
    turns::{Spread, by_turns},
};

const MANY: usize = 100_000;
const MILLION: usize = 1_000_000;
/// First pulls, each into directories of its own.
const PULLS: usize = 3;
const READS: usize = 40;
const CLIENTS: usize = 20;
const BLOCKS: usize = 24;
/// One list, and two with the same sub-accounts.
const ONE: &[&str] = &["btc"];
const TWO: &[&str] = &["btc", "bcc"];
/// Of one side in a block.
const TIME: Duration = Duration::from_millis(400);
/// Connections, and sub-accounts that are switched.
const CONNECTIONS: usize = 256;
const SWITCHED: usize = 20_000;

pub async fn measure(zookeeper: &ZooKeeper, client: &Client, report: &mut Report) {
    let upstream = serve(MANY).await;
    let directory = first_pulls(zookeeper, client, &upstream, report).await;
    let began = Instant::now();
    let daemon = start(zookeeper, &upstream, ONE, &directory).await;
    complete(&daemon, ONE).await;
    let seconds = began.elapsed().as_secs_f64();
    report.goal("seconds from a restart to the list of 100,000", seconds, Goal::AtMost(2.0));
    reads(&daemon, report).await;
    report.goal("peak MB, list of 100,000", peak_mb(daemon.pid()), Goal::AtMost(60.0));
    drop(daemon);
    let began = Instant::now();
    let daemon = start(zookeeper, &upstream, TWO, &directory).await;
    complete(&daemon, TWO).await;
    let seconds = precise(began.elapsed().as_secs_f64());
    report.note(format!("seconds from a restart to two lists of 100,000: {seconds}"));
    settled(zookeeper, &daemon, report).await;
    let peak = precise(peak_mb(daemon.pid()));
    report.note(format!("peak MB, two lists of 100,000 and switches: {peak}"));
    drop(daemon);
    let upstream = serve(MILLION).await;
    let daemon = start(zookeeper, &upstream, ONE, "/lists-million").await;
    complete(&daemon, ONE).await;
    read(&daemon, "/?coin=btc").await;
    report.goal("peak MB, list of a million", peak_mb(daemon.pid()), Goal::AtMost(250.0));
}

/// A backend with one list of so many sub-accounts.
async fn serve(entries: usize) -> Upstream {
    let mut body = String::from("{\"err_no\":0,\"err_msg\":null,\"data\":{");
    for number in 0..entries {
        let comma = if number > 0 { "," } else { "" };
        let _ = write!(body, "{comma}\"user{number:06}\":{}", number + 1);
    }
    body.push_str("}}");
    let empty = "{\"err_no\":0,\"err_msg\":null,\"data\":{}}";
    Upstream::start(move |request| {
        Reply::json(if request.query("last_id") == Some("0") { &body } else { empty })
    })
    .await
    .unwrap()
}

/// A daemon with the list for these coins, an index, and a safety period of one second.
async fn start(
    zookeeper: &ZooKeeper,
    upstream: &Upstream,
    coins: &[&str],
    directory: &str,
) -> Daemon {
    let url = format!("http://{}/list", upstream.address());
    let builder = Tested::builder(zookeeper)
        .set("ZKSwitcherWatchDir", format!("{directory}/switch/"))
        .set("ZKHeldSwitchDir", format!("{directory}/held/"))
        .set("ZKUserCaseInsensitiveIndex", format!("{directory}/index/"))
        .set("IntervalSeconds", 1)
        .set("UserListAPI", coins.iter().map(|coin| (*coin, &*url)).collect::<Value>());
    Daemon::start_with(builder).await
}

/// Waits until the lists of these coins are served.
async fn complete(daemon: &Daemon, coins: &[&str]) {
    for coin in coins {
        let target = format!("/?coin={coin}&last_id=2000000");
        while !http::request(&daemon.address, &target).await.starts_with(b"HTTP/1.1 200") {
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// First pulls of 100,000; returns the last one's directory.
async fn first_pulls(
    zookeeper: &ZooKeeper,
    client: &Client,
    upstream: &Upstream,
    report: &mut Report,
) -> String {
    let names: Vec<String> = (0..MANY).map(|number| format!("user{number:06}")).collect();
    let [pulled, created] = by_turns(PULLS, async |block, side| {
        if side == 1 {
            let began = Instant::now();
            for kind in ["first", "index"] {
                let directory = format!("/bare-{kind}-{block}");
                bare::make_directory(client, &directory).await;
                bare::create_in_transactions(client, &directory, &names).await;
            }
            return MANY as f64 / began.elapsed().as_secs_f64();
        }
        let began = Instant::now();
        let daemon = start(zookeeper, upstream, ONE, &format!("/lists-{block}")).await;
        complete(&daemon, ONE).await;
        MANY as f64 / began.elapsed().as_secs_f64()
    })
    .await;
    let pulls = Pair::of(
        ("new sub-accounts pulled, indexed, created, from the start on, /s", pulled),
        ("multi of 500 creates, 4 deep, two for each sub-account, sub-accounts/s", created),
    );
    report.ratio(pulls, Goal::AtLeast(0.5));
    format!("/lists-{}", PULLS - 1)
}

async fn reads(daemon: &Daemon, report: &mut Report) {
    let (mut whole, mut newest) = (Vec::new(), Vec::new());
    let last_id = MANY - 5;
    let ask = format!("GET /?coin=btc&last_id={last_id} HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut connection = http::Connection::open(&daemon.address).await;
    for _ in 0..READS {
        let began = Instant::now();
        read(daemon, "/?coin=btc").await;
        whole.push(ms_since(began));
        let began = Instant::now();
        connection.ask(ask.as_bytes(), b"}}").await;
        newest.push(ms_since(began));
    }
    let goal = Goal::AtMost(5.0);
    report.goal("ms of the list of 100,000, one client", Spread::of(&whole), goal);
    report.goal("ms of the five newest of 100,000", Spread::of(&newest), Goal::AtMost(0.2));
    let mut together = Vec::new();
    for _ in 0..READS {
        let targets: Vec<String> =
            (0..CLIENTS).map(|client| format!("/?coin=btc&last_id={client}")).collect();
        let began = Instant::now();
        join_all(targets.iter().map(|target| read(daemon, target))).await;
        together.push(ms_since(began));
    }
    let name = "ms of 20 lists at once, each with another last_id";
    report.goal(name, Spread::of(&together), Goal::AtMost(50.0));
}

/// Switches of sub-accounts that have been in the target's list for longer than the safety period, compared with a
/// daemon without lists.
async fn settled(zookeeper: &ZooKeeper, with_lists: &Daemon, report: &mut Report) {
    let without = Daemon::start(zookeeper).await;
    let names: Vec<String> = (0..SWITCHED).map(|number| format!("user{number:06}")).collect();
    sleep(Duration::from_secs(2)).await;
    for daemon in [with_lists, &without] {
        http::batch(daemon, &names, "bcc").await;
    }
    let daemons = [with_lists, &without];
    let [on, off] = by_turns(BLOCKS, async |_, side| {
        http::singles(daemons[side], CONNECTIONS, Names::Existing(&names), TIME).await
    })
    .await;
    let rate = |loads: &[Load]| each(loads, Load::rate);
    let singles = Pair::of(
        ("single switches/s, 256 connections, with lists", rate(&on)),
        ("the same without lists", rate(&off)),
    );
    report.ratio(singles, Goal::AtLeast(0.97));
    let [on, off] = by_turns(BLOCKS, async |_, side| {
        http::Batches::of(&names, SWITCHED).send(daemons[side], TIME).await
    })
    .await;
    let batches = Pair::of(
        ("batch of 20,000, switches/s, with lists", rate(&on)),
        ("the same without lists", rate(&off)),
    );
    report.ratio(batches, Goal::AtLeast(0.97));
}

/// Reads a list to its end.
async fn read(daemon: &Daemon, target: &str) {
    let answer = http::request(&daemon.address, target).await;
    assert!(answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(b"}}"), "{target}");
}
