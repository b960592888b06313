//! Servers that take only small requests (`jute.maxbuffer`): no batch, dry run or poll costs the session.

use serde_json::json;

use crate::support::client::{Answer, Request};
use crate::support::daemon::{Daemon, PASSWORD, USER};
use crate::support::seconds;
use crate::support::zookeeper::ZooKeeper;

const NAMES: usize = 2_000;

fn batch(coin: &str) -> String {
    let names: Vec<String> = (0..NAMES).map(|n| format!("{n}-{}", "x".repeat(n % 190))).collect();
    json!({"usercoins": [{"coin": coin, "punames": names}]}).to_string()
}

async fn assert_all_is_done(daemon: &Daemon, coin: &str) {
    assert_eq!(daemon.batch(batch(coin)).await, Answer::success());
    for (query, outcome) in [("dry_run=true", "unchanged"), ("results=true", "applied")] {
        let request = Request::post(&format!("/switch/multi-user?{query}")).body(batch(coin));
        let text = daemon.send_as_is(&request.credentials(USER, PASSWORD)).await.text();
        assert!(text.starts_with(r#"{"err_no":0,"#), "{query}: {text:.300}");
        assert_eq!(text.matches(&format!(r#""outcome":"{outcome}""#)).count(), NAMES, "{query}");
    }
    assert!(daemon.log_with(&["connection lost"]).is_empty(), "{:#?}", daemon.log());
}

#[tokio::test]
async fn the_first_large_batch_goes_through_whatever_the_server_takes() {
    for limit in [4_096, 8 * 1024, 30_000, 64 * 1024] {
        let zookeeper = ZooKeeper::with_request_limit(limit).await;
        let daemon = Daemon::builder(&zookeeper).set("ZKRequestTimeoutSeconds", 60).start().await;
        assert_all_is_done(&daemon, "btc").await;
        let warned = ["a ZooKeeper server takes only small requests", "jute.maxbuffer"];
        if limit < 60_000 {
            daemon.wait_for_log(&warned).await;
        } else {
            tokio::time::sleep(seconds(1)).await;
            assert!(daemon.log_with(&warned).is_empty(), "{limit}: nothing to warn of");
        }
        // Nothing that the limit does not explain is made smaller.
        assert_all_is_done(&daemon, "bcc").await;
    }
}

#[tokio::test]
async fn a_limit_that_is_lowered_by_a_restart_is_found_again() {
    let mut zookeeper = ZooKeeper::private().await;
    let daemon = Daemon::builder(&zookeeper).set("ZKRequestTimeoutSeconds", 60).start().await;
    // A server cannot read its own log where that has larger transactions.
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    zookeeper.kill9();
    zookeeper.limit_requests(16 * 1024);
    zookeeper.restart().await;
    daemon.wait_for_log(&["a ZooKeeper server takes only small requests"]).await;
    assert_eq!(daemon.batch(batch("bcc")).await, Answer::success());
    assert_eq!(daemon.log_with(&["connection lost"]).len(), 1, "{:#?}", daemon.log());
}
