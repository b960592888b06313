//! Polls while switches are held.

use upstream_sim::{Reply, Upstream};

use super::*;
use crate::support::unique;

fn polling(zookeeper: &ZooKeeper, upstream: &Upstream) -> Builder {
    holding(zookeeper)
        .set("EnableCronJob", true)
        .set("CronIntervalSeconds", 1)
        .set("UserCoinMapURL", crate::polls::url(upstream))
}

#[tokio::test]
async fn a_polls_switch_is_held_too() {
    let zookeeper = ZooKeeper::shared().await;
    let znodes = zookeeper.znodes().await;
    let upstream =
        Upstream::start(|_| Reply::map(&[("alice", "bcc")], crate::polls::now())).await.unwrap();
    let dir = format!("/t/{}/", unique("held"));
    let builder = polling(zookeeper, &upstream).set("ZKSwitcherWatchDir", dir.as_str());
    znodes.put(&format!("{dir}alice"), "btc").await;
    let began = Instant::now();
    let daemon = builder.start().await;
    daemon.wait_for_log(&["switch, ", "source: poll", "outcome: held"]).await;
    assert_eq!(znodes.get(&daemon.path("alice")).await.as_deref(), Some("btc"));
    becomes(&znodes, &daemon.path("alice"), "bcc").await;
    assert!(began.elapsed() >= Duration::from_secs(PERIOD), "early");
}

#[tokio::test]
async fn a_newer_map_ends_an_older_held_switch_and_an_older_map_does_not() {
    let zookeeper = ZooKeeper::shared().await;
    let znodes = zookeeper.znodes().await;
    let upstream =
        Upstream::start(|_| Reply::map(&[("alice", "btc")], crate::polls::now())).await.unwrap();
    let builder = polling(zookeeper, &upstream).set("IntervalSeconds", 8);
    let daemon = builder.start().await;
    becomes(&znodes, &daemon.path("alice"), "btc").await;
    // The map of the next poll is newer, and the znode holds its coin already.
    assert_eq!(result(&daemon, "alice", "bcc", "results").await["outcome"], "held");
    settled(&znodes, &daemon).await;
    daemon.wait_for_log(&["held switch, ", "outcome: obsolete"]).await;
    assert_eq!(znodes.get(&daemon.path("alice")).await.as_deref(), Some("btc"));
}
