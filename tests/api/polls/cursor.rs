//! What each poll asks from.

use upstream_sim::Reply;

use super::{asked, assert_line, polling, polls, requests, upstream};
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
