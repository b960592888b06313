//! Znodes that other clients have filled with megabytes: they are read a few at a time.

use serde_json::json;
use upstream_sim::{Reply, Upstream};

use crate::support::client::Request;
use crate::support::daemon::{Daemon, PASSWORD, USER};
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, seconds};

const ZNODES: usize = 300;
const BYTES: usize = 1_000_000;

/// Megabytes of the daemon at its worst moment.
const MEGABYTES: u64 = 160;

fn name(number: usize) -> String {
    format!("large{number:03}")
}

async fn fill(zookeeper: &ZooKeeper, daemon: &Daemon) {
    let znodes = zookeeper.znodes().await;
    let data = "x".repeat(BYTES);
    for number in 0..ZNODES {
        znodes.put(&daemon.path(&name(number)), &data).await;
    }
}

#[allow(clippy::print_stdout)]
fn assert_small(daemon: &Daemon, after: &str) {
    let megabytes = daemon.peak_megabytes();
    println!("{after}: {megabytes} MB");
    assert!(megabytes <= MEGABYTES, "{after}: {megabytes} MB");
    assert!(daemon.log_with(&["connection lost"]).is_empty(), "{after}: {:#?}", daemon.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_dry_runs_nor_batches_nor_polls_hold_many_of_them() {
    let zookeeper = ZooKeeper::private().await;
    let names: Vec<String> = (0..ZNODES).map(name).collect();
    let daemon = Daemon::builder(&zookeeper).set("ZKRequestTimeoutSeconds", 60).start().await;
    fill(&zookeeper, &daemon).await;
    let batch = json!({"usercoins": [{"coin": "btc", "punames": names}]}).to_string();
    for (query, outcome) in [("dry_run=true", "would_change"), ("results=true", "applied")] {
        let request = Request::post(&format!("/switch/multi-user?{query}")).body(batch.clone());
        let response = daemon.send_as_is(&request.credentials(USER, PASSWORD)).await;
        let text = response.text();
        assert!(text.starts_with(r#"{"err_no":0,"#), "{query}: {text:.300}");
        assert_eq!(text.matches(&format!(r#""outcome":"{outcome}""#)).count(), ZNODES, "{query}");
        assert_small(&daemon, query);
    }

    fill(&zookeeper, &daemon).await;
    let map: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "bcc")).collect();
    let body = Reply::map(&map, 5);
    let upstream = Upstream::start(move |_| body.clone()).await.unwrap();
    let polling = Daemon::builder(&zookeeper)
        .set("ZKSwitcherWatchDir", daemon.watch_dir())
        .set("EnableCronJob", true)
        .set("CronIntervalSeconds", 3_600)
        .set("UserCoinMapURL", crate::polls::url(&upstream))
        .start()
        .await;
    let znodes = zookeeper.znodes().await;
    let last = polling.path(&name(ZNODES - 1));
    eventually("the map is written", seconds(120), || async {
        (znodes.get(&last).await.as_deref() == Some("bcc")).then_some(())
    })
    .await;
    assert_small(&polling, "a poll");
}
