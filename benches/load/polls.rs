//! Polls: speed and memory of processing a map, and effects on callers.
//!
//! A poll's time is the daemon's own, from its log: mark, fetch, parsing, reads, writes and log lines.

use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;
use upstream_sim::{Reply, Upstream};
use zookeeper_client::Client;

use crate::{
    ROUNDS, bare,
    daemon::Daemon,
    http,
    process::peak_mb,
    report::{Goal, Pair, Report},
    support::{daemon::Daemon as Tested, zookeeper::ZooKeeper},
};

const MANY: usize = 100_000;
const MILLION: usize = 1_000_000;
/// Switches of callers, one after another, in each round.
const CALLS: usize = 200;
/// Any second will do, as long as it is none of the future.
const NOW: i64 = 1_700_000_000;

/// Measures all there is to say of polls.
pub async fn measure(zookeeper: &ZooKeeper, client: &Client, report: &mut Report) {
    let upstream = Upstream::start(|_| Reply::map(&[], NOW)).await.unwrap();
    let daemon = start(zookeeper, &upstream).await;
    speed(client, &daemon, &upstream, report).await;
    drop(daemon);
    // A daemon of its own: the peak is a million's.
    let daemon = start(zookeeper, &upstream).await;
    million(&daemon, &upstream, report).await;
}

async fn start(zookeeper: &ZooKeeper, upstream: &Upstream) -> Daemon {
    let builder = Tested::builder(zookeeper)
        .set("EnableCronJob", true)
        .set("CronIntervalSeconds", 1)
        .set("UserCoinMapURL", format!("http://{}/", upstream.address()));
    Daemon::start_with(builder).await
}

/// Has a map polled, and returns its entries processed per second.
async fn pull(daemon: &Daemon, upstream: &Upstream, entries: usize, coin: &str) -> f64 {
    let begin = daemon.log_length();
    upstream.next(Reply::many(entries, coin, NOW));
    loop {
        let log = daemon.log_end(begin);
        // The first may be the end of a line only.
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let end_of_poll = |line: &Value| line["msg"] == "poll" && line["entries"] == entries;
        if let Some(line) = lines.into_iter().find(end_of_poll) {
            assert_eq!(line["outcome"], "complete", "{line}");
            return entries as f64 / line["seconds"].as_f64().unwrap();
        }
        sleep(Duration::from_millis(100)).await;
    }
}

async fn speed(client: &Client, daemon: &Daemon, upstream: &Upstream, report: &mut Report) {
    let names: Vec<String> = (0..MANY).map(|number| format!("user{number:07}")).collect();
    bare::make_directory(client, "/bare-polls").await;
    bare::create_in_transactions(client, "/bare-polls", &names).await;
    pull(daemon, upstream, MANY, "btc").await;
    let mut changed =
        Pair::of("poll, 100,000 changed, entries/s", "multi of 500 sets, 4 deep, sets/s");
    let mut unchanged =
        Pair::of("poll, 100,000 unchanged, entries/s", "poll, 100,000 changed, entries/s");
    for round in 0..ROUNDS {
        let coin = if round % 2 == 0 { "bcc" } else { "btc" };
        let first = pull(daemon, upstream, MANY, coin).await;
        let bare = bare::set_in_transactions(client, "/bare-polls", &names, coin).await;
        changed.add(first, bare);
        unchanged.add(pull(daemon, upstream, MANY, coin).await, first);
    }
    report.ratio(changed, Goal::AtLeast(0.4));
    report.ratio(unchanged, Goal::AtLeast(1.0));
}

async fn million(daemon: &Daemon, upstream: &Upstream, report: &mut Report) {
    let callers: Vec<String> = (0..CALLS).map(|number| format!("caller{number}")).collect();
    let created = pull(daemon, upstream, MILLION, "btc").await;
    http::median_ms(daemon, &callers).await;
    let mut waits = Pair::of("median ms of one switch during a poll", "the same without a poll");
    let mut polls = Vec::new();
    for round in 0..ROUNDS {
        let coin = if round % 2 == 0 { "bcc" } else { "btc" };
        let idle = http::median_ms(daemon, &callers).await;
        let pulling = pull(daemon, upstream, MILLION, coin);
        let calling = async {
            let begin = daemon.log_length();
            while !daemon.log_end(begin).contains("\"source\":\"poll\"") {
                sleep(Duration::from_millis(50)).await;
            }
            let median = http::median_ms(daemon, &callers).await;
            assert!(!daemon.log_end(begin).contains("\"entries\":"), "the poll was over too soon");
            median
        };
        let (rate, during) = tokio::join!(pulling, calling);
        polls.push(rate);
        waits.add(during, idle);
    }
    report.note(format!("poll, a million new, entries/s {created:>28.0}"));
    report
        .note(format!("poll, a million changed, entries/s {:>24.0}", crate::report::median(polls)));
    report.goal("peak resident MB, a million entries", peak_mb(daemon.pid()), Goal::AtMost(150.0));
    report.ratio(waits, Goal::AtMost(3.0));
}
