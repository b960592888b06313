//! Polls: speed and memory of processing a map, and effects on callers.
//!
//! A poll's time is the daemon's own, from its log: mark, fetch, parsing, reads, writes and log lines.

use std::time::{Duration, Instant};

use futures_util::{
    StreamExt,
    future::{join, join_all},
    stream,
};
use serde_json::Value;
use tokio::time::sleep;
use upstream_sim::{Reply, Upstream};
use zookeeper_client::{Client, MultiReadResult};

use crate::{
    bare,
    daemon::Daemon,
    http,
    load::Names,
    process::peak_mb,
    report::{Goal, Pair, Report, number},
    support::{
        daemon::{Builder, Daemon as Tested},
        zookeeper::ZooKeeper,
    },
    turns::{Spread, by_turns},
};

pub const MANY: usize = 100_000;
const MILLION: usize = 1_000_000;
const BLOCKS: usize = 10;
/// Znodes of a transaction of the bare poll, parts under way, and znodes of one read: the daemon's numbers.
const PART: usize = 500;
const PARTS_DEEP: usize = 4;
const READS: usize = 100;
/// A poll of a million takes some seconds.
const MILLION_BLOCKS: usize = 6;
/// Sub-accounts that callers switch during a poll, and how long, one after another.
const CALLERS: usize = 200;
const CALLS_FOR: Duration = Duration::from_millis(150);
/// Any second will do, as long as it is none of the future.
pub const NOW: i64 = 1_700_000_000;

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
    Daemon::start_with(polling(Tested::builder(zookeeper), upstream)).await
}

/// A daemon that polls each second.
pub fn polling(builder: Builder, upstream: &Upstream) -> Builder {
    builder
        .set("EnableCronJob", true)
        .set("CronIntervalSeconds", 1)
        .set("UserCoinMapURL", format!("http://{}/", upstream.address()))
}

/// Has a map polled, and returns its entries processed per second.
pub async fn pull(daemon: &Daemon, upstream: &Upstream, entries: usize, coin: &str) -> f64 {
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
    let mut coin = "btc";
    pull(daemon, upstream, MANY, coin).await;
    let [changed, sets, bare_polls, unchanged] = by_turns(BLOCKS, async |_, side| {
        if side == 0 {
            coin = other(coin);
        }
        match side {
            0 | 3 => pull(daemon, upstream, MANY, coin).await,
            1 => bare::set_in_transactions(client, "/bare-polls", &names, coin).await,
            _ => read_and_set(client, "/bare-polls", &names, coin).await,
        }
    })
    .await;
    let rate = "poll, 100,000 changed, entries/s";
    let sets = Pair::of((rate, changed.clone()), ("multi of 500 sets, 4 deep, sets/s", sets));
    report.ratio(sets, Goal::AtLeast(0.9));
    let bare = "reads of 500, then a multi of 500 conditional sets, 4 deep, znodes/s";
    let bare_polls = Pair::of((rate, changed.clone()), (bare, bare_polls));
    report.ratio(bare_polls, Goal::AtLeast(0.8));
    let unchanged = Pair::of(("poll, 100,000 unchanged, entries/s", unchanged), (rate, changed));
    report.ratio(unchanged, Goal::AtLeast(1.0));
}

/// Znodes per second of a bare poll: a map says neither which znodes differ nor which were switched meanwhile, so
/// each is read, and written on condition of the version that was read.
async fn read_and_set(client: &Client, directory: &str, names: &[String], coin: &str) -> f64 {
    let began = Instant::now();
    let parts = stream::iter(names.chunks(PART));
    parts
        .for_each_concurrent(PARTS_DEEP, |part| async move {
            let paths: Vec<String> =
                part.iter().map(|name| format!("{directory}/{name}")).collect();
            let reads = paths.chunks(READS).map(|paths| {
                let mut reader = client.new_multi_reader();
                paths.iter().for_each(|path| reader.add_get_data(path).unwrap());
                reader.commit()
            });
            let (synced, reads) = join(client.sync(&paths[0]), join_all(reads)).await;
            synced.unwrap();
            let read = reads.into_iter().flat_map(Result::unwrap);
            let mut writer = client.new_multi_writer();
            for (path, read) in paths.iter().zip(read) {
                let MultiReadResult::Data { stat, .. } = read else { panic!("{path}: {read:?}") };
                writer.add_set_data(path, coin.as_bytes(), Some(stat.version)).unwrap();
            }
            writer.commit().await.unwrap();
        })
        .await;
    names.len() as f64 / began.elapsed().as_secs_f64()
}

/// The coin that is not set.
pub fn other(coin: &str) -> &'static str {
    if coin == "btc" { "bcc" } else { "btc" }
}

async fn million(daemon: &Daemon, upstream: &Upstream, report: &mut Report) {
    let callers: Vec<String> = (0..CALLERS).map(|number| format!("caller{number}")).collect();
    let mut coin = "btc";
    let created = pull(daemon, upstream, MILLION, coin).await;
    http::batch(daemon, &callers, coin).await;
    let median_ms =
        async || http::singles(daemon, 1, Names::Existing(&callers), CALLS_FOR).await.median_ms();
    let mut polls = Vec::new();
    let [during, idle] = by_turns(MILLION_BLOCKS, async |_, side| {
        if side == 1 {
            return median_ms().await;
        }
        coin = other(coin);
        let calling = async {
            let begin = daemon.log_length();
            while !daemon.log_end(begin).contains("\"source\":\"poll\"") {
                sleep(Duration::from_millis(50)).await;
            }
            let median = median_ms().await;
            assert!(!daemon.log_end(begin).contains("\"entries\":"), "the poll was over too soon");
            median
        };
        let (rate, during) = tokio::join!(pull(daemon, upstream, MILLION, coin), calling);
        polls.push(rate);
        during
    })
    .await;
    report.note(format!("poll, a million new, entries/s: {}", number(created)));
    let changed = Spread::of(&polls).text(number);
    report.note(format!("poll, a million changed, entries/s: {changed}"));
    report.goal("peak resident MB, a million entries", peak_mb(daemon.pid()), Goal::AtMost(150.0));
    let waits = Pair::of(
        ("median ms of one switch during a poll", during),
        ("the same without a poll", idle),
    );
    report.ratio(waits, Goal::AtMost(3.0));
}
