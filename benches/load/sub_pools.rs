//! Sub-pools: exchanges through the daemon and exchanges in a bare loop, with the same simulated jobmakers.
//!
//! A jobmaker handles one event at a time, so several share 64 sub-pools: ZooKeeper and the daemon are to be
//! the limit.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::{join, join_all};
use jobmaker_sim::{Jobmaker, Knobs, SubPool};
use tokio::task::LocalSet;
use zookeeper_client::Client;

use crate::{
    daemon::Daemon,
    http::{CREDENTIALS, Connection},
    load::ms_since,
    report::{Goal, Pair, Report},
    support::zookeeper::ZooKeeper,
    turns::{Spread, by_turns, median},
};

/// Where the daemon and the jobmakers meet.
pub const BASE_DIR: &str = "/subpool/";
const ADDRESS: &str = "34woZDygXWqaVPnNxp5SUnbN6RNQ5koBt4";
const SUB_POOLS: usize = 64;
const JOBMAKERS: usize = 16;
const CLIENTS: usize = 64;
/// Exchanges of one client, one after the other.
const ONE_BY_ONE: usize = 200;
const BLOCKS: usize = 10;
const LOAD_FOR: Duration = Duration::from_millis(500);

fn name(number: usize) -> String {
    format!("pool{number}")
}

fn request(number: usize, info: &str) -> String {
    format!(
        r#"{{"coin":"btc","subpool_name":"{}","coinbase_info":"{info}","payout_addr":"{ADDRESS}"}}"#,
        name(number)
    )
}

/// A request of one kind to one sub-pool, as a client sends it.
fn http(endpoint: &str, number: usize, info: &str) -> Vec<u8> {
    let body = request(number, info);
    format!(
        "POST /subpool/{endpoint} HTTP/1.1\r\nHost: x\r\n{CREDENTIALS}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into()
}

/// Measures all there is to say of sub-pools.
pub async fn measure(zookeeper: &ZooKeeper, client: &Client, daemon: &Daemon, report: &mut Report) {
    let jobmakers = jobmakers(zookeeper).await;
    one_client(client, daemon, report).await;
    one_sub_pool(client, daemon, report).await;
    many_sub_pools(client, daemon, report).await;
    for jobmaker in jobmakers {
        jobmaker.stop().await;
    }
}

/// Cost of recording updates. The sides are a daemon with a history, and one without.
pub async fn updates_with_history(
    zookeeper: &ZooKeeper,
    daemons: [&Daemon; 2],
    report: &mut Report,
) {
    let jobmakers = jobmakers(zookeeper).await;
    let [on, off] = by_turns(BLOCKS, async |block, side| {
        let mut connection = Connection::open(&daemons[side].address).await;
        let mut times = Vec::new();
        for index in 0..ONE_BY_ONE {
            let info = format!("{side}-{block}-{index}");
            let began = Instant::now();
            connection.ask_jobmaker(&http("update-coinbase", 0, &info)).await;
            times.push(ms_since(began));
        }
        median(times)
    })
    .await;
    let off = ("the same without", off);
    report.ratio(Pair::of(("median ms of one update, history", on), off), Goal::AtMost(3.0));
    let [on, off] = by_turns(BLOCKS, async |block, side| {
        load(daemons[side], block, |client| client % SUB_POOLS, CLIENTS).await.0
    })
    .await;
    let on = ("updates/s, 64 sub-pools, 64 clients, history", on);
    report.ratio(Pair::of(on, ("the same without", off)), Goal::AtLeast(0.0));
    for jobmaker in jobmakers {
        jobmaker.stop().await;
    }
}

/// All sub-pools' jobmakers.
async fn jobmakers(zookeeper: &ZooKeeper) -> Vec<Jobmaker> {
    let mut jobmakers = Vec::new();
    for first in 0..JOBMAKERS {
        let theirs = (first..SUB_POOLS).step_by(JOBMAKERS);
        let sub_pools = theirs
            .map(|number| {
                SubPool::new(&format!("{BASE_DIR}btc/{}", name(number)), "configured", ADDRESS)
            })
            .collect();
        jobmakers.push(
            Jobmaker::start(&zookeeper.address(), sub_pools, Knobs::default()).await.unwrap(),
        );
    }
    jobmakers
}

async fn one_client(client: &Client, daemon: &Daemon, report: &mut Report) {
    let mut connection = Connection::open(&daemon.address).await;
    let [get, bare_get, update, bare_update] = by_turns(BLOCKS, async |block, side| {
        let mut times = Vec::new();
        for index in 0..ONE_BY_ONE {
            let info = format!("{block}-{index}");
            let began = Instant::now();
            match side {
                0 => connection.ask_jobmaker(&http("get-coinbase", 0, "")).await,
                1 => bare_exchange(client, 0, None).await,
                2 => connection.ask_jobmaker(&http("update-coinbase", 0, &info)).await,
                _ => bare_exchange(client, 0, Some(&request(0, &info))).await,
            }
            times.push(ms_since(began));
        }
        median(times)
    })
    .await;
    let bare = "median ms of its bare steps";
    report.ratio(Pair::of(("median ms of one get", get), (bare, bare_get)), Goal::AtMost(1.5));
    let update = Pair::of(("median ms of one update", update), (bare, bare_update));
    report.ratio(update, Goal::AtMost(1.5));
}

async fn one_sub_pool(client: &Client, daemon: &Daemon, report: &mut Report) {
    let [ours, bare] = by_turns(BLOCKS, async |block, side| match side {
        0 => load(daemon, block, |_| 0, CLIENTS / 2).await,
        _ => (bare_load(client, block, 1).await, 0.0),
    })
    .await;
    let gets: Vec<f64> = ours.iter().map(|(updates, gets)| gets / updates).collect();
    let updates = |side: Vec<(f64, f64)>| side.into_iter().map(|(updates, _)| updates).collect();
    let pair = Pair::of(
        ("updates/s, 1 sub-pool, 32 updating, 32 getting", updates(ours)),
        ("bare exchanges/s, 1 sub-pool, one after the other", updates(bare)),
    );
    report.ratio(pair, Goal::AtLeast(0.8));
    report.goal("    gets/s for each update/s", Spread::of(&gets), Goal::AtLeast(3.0));
}

async fn many_sub_pools(client: &Client, daemon: &Daemon, report: &mut Report) {
    let [ours, bare] = by_turns(BLOCKS, async |block, side| match side {
        0 => load(daemon, block, |client| client % SUB_POOLS, CLIENTS).await.0,
        _ => bare_load(client, block, SUB_POOLS).await,
    })
    .await;
    let pair = Pair::of(
        ("updates/s, 64 sub-pools, 64 clients", ours),
        ("bare exchanges/s, 64 sub-pools at once", bare),
    );
    report.ratio(pair, Goal::AtLeast(0.6));
}

/// Updates and gets per second by [`CLIENTS`] clients, of which so many update; every answer is
/// checked to be a success. The load comes from one thread.
async fn load(
    daemon: &Daemon,
    round: usize,
    sub_pool_of: impl Fn(usize) -> usize + Send + 'static,
    updating: usize,
) -> (f64, f64) {
    let address = daemon.address.clone();
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async move {
            let done = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
            let began = Instant::now();
            let tasks = (0..CLIENTS).map(|client| {
                let (address, number) = (address.clone(), sub_pool_of(client));
                let updates = client < updating;
                let done = Arc::clone(&done[usize::from(!updates)]);
                tokio::task::spawn_local(async move {
                    let mut connection = Connection::open(&address).await;
                    for count in 0.. {
                        if began.elapsed() >= LOAD_FOR {
                            break;
                        }
                        let request = if updates {
                            http("update-coinbase", number, &format!("{round}-{client}-{count}"))
                        } else {
                            http("get-coinbase", number, "")
                        };
                        connection.ask_jobmaker(&request).await;
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await.unwrap();
            }
            let seconds = began.elapsed().as_secs_f64();
            let rate = |done: &AtomicUsize| done.load(Ordering::Relaxed) as f64 / seconds;
            (rate(&done[0]), rate(&done[1]))
        })
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// Exchanges per second in bare loops, one for each of so many sub-pools.
async fn bare_load(client: &Client, round: usize, sub_pools: usize) -> f64 {
    let began = Instant::now();
    let loops = (0..sub_pools).map(|number| async move {
        let mut done = 0;
        while began.elapsed() < LOAD_FOR {
            bare_exchange(client, number, Some(&request(number, &format!("{round}-{done}")))).await;
            done += 1;
        }
        done
    });
    let done: usize = join_all(loops).await.into_iter().sum();
    done as f64 / began.elapsed().as_secs_f64()
}

/// Read the request and watch the ack, write, wait for the event, read the ack.
async fn bare_exchange(client: &Client, number: usize, update: Option<&str>) {
    let path = format!("{BASE_DIR}btc/{}", name(number));
    let ack = format!("{path}/ack");
    let (there, watched) = join(client.get_data(&path), client.get_and_watch_data(&ack)).await;
    let (data, stat) = there.unwrap();
    let (_, _, watcher) = watched.unwrap();
    match update {
        Some(update) => client.set_data(&path, update.as_bytes(), None).await.unwrap(),
        None => client.set_data(&path, &data, Some(stat.version)).await.unwrap(),
    };
    watcher.changed().await;
    client.get_data(&ack).await.unwrap();
}
