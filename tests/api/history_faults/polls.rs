//! Records of polls.

use std::collections::BTreeSet;

use switcher_history::{Old, Source};
use upstream_sim::{Gate, Reply, Upstream};

use super::*;
use crate::polls::{now, url};
use crate::support::unique;

/// A daemon that polls as often as it may.
fn polling(zookeeper: &ZooKeeper, upstream: &Upstream) -> (Builder, PathBuf) {
    let (builder, file) = recording(zookeeper);
    let builder = builder
        .set("EnableCronJob", true)
        .set("CronIntervalSeconds", 1)
        .set("UserCoinMapURL", url(upstream));
    (builder, file)
}

fn request(row: &ChangeRow) -> u64 {
    row.origin.request
}

#[tokio::test]
async fn a_large_poll_is_recorded_whole_with_one_request() {
    const MANY: usize = 20_000;
    let zookeeper = ZooKeeper::shared().await;
    let upstream = Upstream::start(|_| Reply::map(&[], now())).await.unwrap();
    upstream.next(Reply::many(MANY, "btc", now()));
    upstream.next(Reply::many(MANY, "bcc", now()));
    let (builder, file) = polling(zookeeper, &upstream);
    let daemon = builder.start().await;
    let found = records(&file, 2 * MANY).await;
    let (first, second) = found.split_at(MANY);
    for (rows, coin, old) in
        [(first, "btc", Old::Absent), (second, "bcc", Old::Value("btc".to_owned()))]
    {
        let names: BTreeSet<_> = rows.iter().map(|row| &switch(row).sub_account).collect();
        assert_eq!(names.len(), MANY);
        for row in rows {
            assert_eq!((request(row), row.origin.source), (request(&rows[0]), Source::Poll));
            let Switch { new, old: found, .. } = switch(row);
            assert_eq!((new.as_deref(), found, row.outcome), (Some(coin), &old, Outcome::Applied));
        }
    }
    assert_ne!(request(&first[0]), request(&second[0]));
    let id = format!("{:016x}", request(&first[0]));
    let page = Admin::of(&daemon).await.get(&format!("/history/requests?request={id}")).await;
    let page: Value = serde_json::from_slice(&page.body).unwrap();
    let of = &page["requests"][0];
    assert_eq!(
        (&of["applied"], &of["created"], &of["source"]),
        (&json!(MANY), &json!(MANY), &json!("poll"))
    );
    daemon.wait_for_log(&[" poll, ", "next_last_date: ", &id]).await;
}

#[tokio::test]
async fn entries_that_a_poll_leaves_out_are_recorded_with_the_cause() {
    let zookeeper = ZooKeeper::shared().await;
    let znodes = zookeeper.znodes().await;
    let upstream = Upstream::start(|_| Reply::map(&[], now())).await.unwrap();
    let gate = Gate::default();
    let map = [("alice", "bcc"), ("bob", "bcc"), ("carol", "bcc"), ("mallory", "bcc")];
    upstream.next(Reply::map(&[("bob", "btc")], now()));
    upstream.next(Reply::map(&map, now()).behind(&gate));
    let directory = format!("/t/{}/", unique("left-out"));
    znodes.put(&format!("{directory}carol"), "bcc").await;
    znodes.put_read_only(&format!("{directory}mallory"), "btc").await;
    let (builder, file) = polling(zookeeper, &upstream);
    let daemon = builder.set("ZKSwitcherWatchDir", directory).start().await;
    eventually("the second fetch", seconds(PATIENCE), || async {
        (upstream.request_count() >= 2).then_some(())
    })
    .await;
    // During the fetch, so it is newer than the map.
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    gate.open();
    let found = records(&file, 5).await;
    let of = |name: &str| {
        let rows = found.iter().filter(|row| switch(row).sub_account == name);
        let shown = |row: &ChangeRow| (row.origin.source, row.outcome, row.cause.clone());
        rows.map(shown).collect::<Vec<_>>()
    };
    let skipped = Some("switched since the poll began".to_owned());
    assert_eq!(
        of("alice"),
        [(Source::Api, Outcome::Applied, None), (Source::Poll, Outcome::NotApplied, skipped)]
    );
    let applied = (Source::Poll, Outcome::Applied, None);
    assert_eq!(of("bob"), [applied.clone(), applied]);
    assert_eq!(of("carol"), [], "it has the coin already");
    let refused = of("mallory");
    assert_eq!((refused.len(), refused[0].1), (1, Outcome::NotApplied));
    assert!(refused[0].2.as_ref().is_some_and(|cause| !cause.is_empty()), "{refused:?}");
    let polled: BTreeSet<_> =
        found.iter().filter(|row| row.origin.source == Source::Poll).map(request).collect();
    assert_eq!(polled.len(), 2, "one request for each poll");
}
