//! Effect of a reload on polls.

use serde_json::json;
use upstream_sim::{Gate, Reply, Upstream};

use super::{applied, patient};
use crate::polls::{now, url};
use crate::support::daemon::{Builder, Daemon};
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, seconds};

async fn upstream(entries: &'static [(&'static str, &'static str)]) -> Upstream {
    Upstream::start(move |_| Reply::map(entries, now())).await.unwrap()
}

/// A daemon that polls once during the test, unless a reload causes another poll.
fn polling(zookeeper: &ZooKeeper, upstream: &Upstream) -> Builder {
    patient(zookeeper)
        .set("EnableCronJob", true)
        .set("CronIntervalSeconds", 3600)
        .set("UserCoinMapURL", url(upstream))
}

async fn polls(daemon: &Daemon, count: usize) -> String {
    eventually(&format!("poll {count}"), seconds(60), || async {
        daemon.log_with(&[" poll, ", "next_last_date: "]).into_iter().nth(count - 1)
    })
    .await
}

/// `last_date` of the requests so far.
fn asked(upstream: &Upstream) -> Vec<String> {
    let requests = upstream.requests();
    requests.iter().map(|request| request.last_date().expect("last_date").to_owned()).collect()
}

#[tokio::test]
async fn another_url_is_polled_at_once_for_the_whole_map() {
    let zookeeper = ZooKeeper::shared().await;
    let (old, new) = (upstream(&[("alice", "btc")]).await, upstream(&[("alice", "bcc")]).await);
    let builder = polling(zookeeper, &old);
    let daemon = builder.start().await;
    polls(&daemon, 1).await;
    applied(&daemon, &builder.clone().set("UserCoinMapURL", url(&new))).await;
    polls(&daemon, 2).await;
    assert_eq!((asked(&old), asked(&new)), (vec!["0".to_owned()], vec!["0".to_owned()]));
    let held = zookeeper.znodes().await.get(&daemon.path("alice")).await;
    assert_eq!(held.as_deref(), Some("bcc"));
}

#[tokio::test]
async fn other_coins_cause_a_poll_of_the_whole_map_since_their_entries_were_skipped() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = upstream(&[("alice", "btc"), ("bob", "ltc")]).await;
    let builder = polling(zookeeper, &upstream);
    let daemon = builder.start().await;
    let first = polls(&daemon, 1).await;
    assert!(first.contains(", written: 1,") && first.contains("invalid: 1"), "{first}");
    applied(&daemon, &builder.clone().set("AvailableCoins", json!(["btc", "bcc", "ltc"]))).await;
    let second = polls(&daemon, 2).await;
    assert!(second.contains(", written: 1,") && second.contains("invalid: 0"), "{second}");
    let held = zookeeper.znodes().await.get(&daemon.path("bob")).await;
    assert_eq!(held.as_deref(), Some("ltc"));
    // Entries of a removed coin are skipped from then on, and their znodes stay.
    applied(&daemon, &builder).await;
    let third = polls(&daemon, 3).await;
    assert!(third.contains("unchanged: 1") && third.contains("invalid: 1"), "{third}");
    assert_eq!(asked(&upstream), ["0", "0", "0"]);
}

#[tokio::test]
async fn a_poll_under_way_ends_as_it_began_and_the_next_follows_at_once() {
    let zookeeper = ZooKeeper::shared().await;
    let (old, new) = (upstream(&[]).await, upstream(&[("bob", "btc")]).await);
    let gate = Gate::default();
    old.next(Reply::map(&[("alice", "bcc")], now()).behind(&gate));
    let builder = polling(zookeeper, &old);
    let daemon = builder.start().await;
    eventually("the fetch", seconds(60), || async { (!old.requests().is_empty()).then_some(()) })
        .await;
    let other = builder.set("UserCoinMapURL", url(&new)).set("AvailableCoins", json!(["btc"]));
    applied(&daemon, &other).await;
    assert!(new.requests().is_empty());
    gate.open();
    let first = polls(&daemon, 1).await;
    assert!(first.contains(", written: 1,") && first.contains("invalid: 0"), "{first}");
    polls(&daemon, 2).await;
    assert_eq!(asked(&new), ["0"]);
    let held = zookeeper.znodes().await.get(&daemon.path("alice")).await;
    assert_eq!(held.as_deref(), Some("bcc"));
}

#[tokio::test]
async fn a_shorter_interval_shortens_the_current_wait_and_polls_for_changes() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = upstream(&[("alice", "btc")]).await;
    let builder = polling(zookeeper, &upstream).admin();
    let daemon = builder.start().await;
    polls(&daemon, 1).await;
    let admin = crate::admin::Admin::of(&daemon).await;
    admin.wait_for("switcher_poll_interval_seconds", 3600.0).await;
    applied(&daemon, &builder.clone().set("CronIntervalSeconds", 1)).await;
    admin.wait_for("switcher_poll_interval_seconds", 1.0).await;
    polls(&daemon, 3).await;
    let asked = asked(&upstream);
    assert!(asked[0] == "0" && asked[1..].iter().all(|from| from != "0"), "{asked:?}");
}
