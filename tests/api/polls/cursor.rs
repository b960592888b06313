//! The `last_date` of each poll.

use upstream_sim::Reply;

use super::{asked, assert_line, now, polling, polls, requests, upstream};
use crate::support::zookeeper::ZooKeeper;

#[tokio::test]
async fn the_first_poll_asks_from_zero_and_each_later_one_from_the_last_answer() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = upstream().await;
    upstream.next(Reply::map(&[("alice", "btc"), ("bob", "bcc")], 1_513_239_055));
    upstream.next(Reply::map(&[("alice", "bcc")], 1_513_239_115));
    let daemon = polling(zookeeper, &upstream).start().await;
    let requests = requests(&upstream, 3).await;
    assert_eq!(asked(&requests)[..3], ["0", "1513239055", "1513239115"]);
    let znodes = zookeeper.znodes().await;
    assert_eq!(znodes.get(&daemon.path("alice")).await.as_deref(), Some("bcc"));
    assert_eq!(znodes.get(&daemon.path("bob")).await.as_deref(), Some("bcc"));
    let polls = polls(&daemon, 2).await;
    assert_line(
        &polls[0],
        &["outcome: complete", "entries: 2", "written: 2", "next_last_date: 1513239055"],
    );
    assert_line(
        &polls[1],
        &["outcome: complete", "entries: 1", "written: 1", "next_last_date: 1513239115"],
    );
}

#[tokio::test]
async fn a_date_that_would_lose_switches_is_not_followed() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = upstream().await;
    let tomorrow = now() + 2 * 24 * 60 * 60;
    let dates = [1_700_000_000, 0, -5, tomorrow, i64::MAX, 1_600_000_000, 1_700_000_060];
    for (number, &date) in dates.iter().enumerate() {
        let coin = if number % 2 == 0 { "btc" } else { "bcc" };
        upstream.next(Reply::map(&[("alice", coin)], date));
    }
    upstream.next(Reply::json(r#"{"err_no":0,"data":{"user_coin":{"alice":"bcc"}}}"#));
    let daemon = polling(zookeeper, &upstream).start().await;
    let count = dates.len() + 1;
    for poll in polls(&daemon, count).await {
        assert_line(&poll, &["outcome: complete", "written: 1"]);
    }
    let requests = requests(&upstream, count + 1).await;
    let first = "1700000000";
    let expected =
        ["0", first, first, first, first, first, "1600000000", "1700000060", "1700000060"];
    assert_eq!(asked(&requests)[..=count], expected);
    assert_eq!(daemon.log_with(&["WARN", "is not positive"]).len(), 2);
    assert_eq!(daemon.log_with(&["WARN", "more than a day ahead"]).len(), 2);
    assert_eq!(daemon.log_with(&["WARN", "is before that of the previous poll"]).len(), 1);
}

#[tokio::test]
async fn an_overlap_is_subtracted_from_last_date() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = upstream().await;
    upstream.next(Reply::map(&[], 40));
    upstream.next(Reply::map(&[], 1_700_000_000));
    let daemon = polling(zookeeper, &upstream).set("CronOverlapSeconds", 60).start().await;
    let requests = requests(&upstream, 3).await;
    assert_eq!(asked(&requests)[..3], ["0", "0", "1699999940"]);
    assert_line(&polls(&daemon, 2).await[1], &["next_last_date: 1699999940"]);
}
