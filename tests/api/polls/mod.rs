//! Polling: the real daemon between a scripted upstream and a real ZooKeeper.

mod answers;
mod configuration;
mod cursor;
mod election;
mod faults;
mod fetch;
mod heads;
mod races;

use std::time::{SystemTime, UNIX_EPOCH};

use upstream_sim::{Reply, Request, Upstream};

use crate::support::{daemon::Builder, daemon::Daemon, eventually, seconds, zookeeper::ZooKeeper};

/// An upstream without changes unless it is scripted.
async fn upstream() -> Upstream {
    Upstream::start(|_| Reply::map(&[], now())).await.unwrap()
}

pub fn url(upstream: &Upstream) -> String {
    format!("http://{}/usercoin.php", upstream.address())
}

/// A daemon that polls as often as it may.
fn polling(zookeeper: &ZooKeeper, upstream: &Upstream) -> Builder {
    Daemon::builder(zookeeper)
        .set("EnableCronJob", true)
        .set("CronIntervalSeconds", 1)
        .set("UserCoinMapURL", url(upstream))
}

/// Seconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// Waits until so many requests have come in, and returns them.
async fn requests(upstream: &Upstream, count: usize) -> Vec<Request> {
    eventually(&format!("request {count} of the Poller"), seconds(30), || async {
        Some(upstream.requests()).filter(|requests| requests.len() >= count)
    })
    .await
}

/// The `last_date` of the polls so far.
fn asked(requests: &[Request]) -> Vec<&str> {
    requests.iter().map(|request| request.last_date().expect("last_date")).collect()
}

/// Waits until so many polls have ended, and returns the last lines of those.
async fn polls(daemon: &Daemon, count: usize) -> Vec<String> {
    eventually(&format!("the end of poll {count}"), seconds(60), || async {
        let lines = daemon.log_with(&[" poll, ", "next_last_date: "]);
        (lines.len() >= count).then(|| lines[..count].to_vec())
    })
    .await
}

/// Panics unless the line has every one of `parts`.
fn assert_line(line: &str, parts: &[&str]) {
    let missing: Vec<_> = parts.iter().filter(|part| !line.contains(**part)).collect();
    assert!(missing.is_empty(), "no {missing:?} in: {line}");
}
