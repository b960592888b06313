//! Requests of well-behaved and of hostile miners.

use std::time::Duration;

use serde_json::json;
use upstream_sim::Reply;

use super::Pool;
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, seconds};

/// The old daemon makes fifty registrations one after the other, each with its own wait.
#[tokio::test]
async fn fifty_requests_wait_at_the_same_time() {
    let pool = Pool::new(ZooKeeper::shared().await).await;
    let mut api = pool.api();
    api["IntervalSeconds"] = 3.into();
    let _daemon = pool.daemon_with(&api).start().await;
    pool.ready().await;
    let names: Vec<_> = (0..50).map(|number| format!("n{number}")).collect();
    for name in &names {
        pool.request(name).await;
    }
    eventually("all are posted while the first waits", seconds(60), || async {
        (pool.posts().len() >= 50).then_some(())
    })
    .await;
    for name in &names {
        pool.gone(name).await;
        assert_eq!(pool.coin(name).await.as_deref(), Some("btc"));
        assert_eq!(pool.posted(name), 1);
    }
    let ends: Vec<_> = pool.posts().iter().map(|post| (post.at, post.ended.unwrap())).collect();
    assert!(ends.windows(2).all(|two| two[0].1 <= two[1].0), "one request at a time: {ends:?}");
}

/// A miner `a/b` makes a znode below the request of `a`.
#[tokio::test]
async fn a_request_with_children_is_posted_once_and_deleted() {
    let pool = Pool::new(ZooKeeper::shared().await).await;
    // The children take their time.
    let _daemon = pool.daemon().set("UserAutoRegTimeoutSeconds", 14).start().await;
    pool.ready().await;
    let backend_waits = upstream_sim::Gate::default();
    let waiting = backend_waits.clone();
    pool.registration(move |_| Reply::registered(7).behind(&waiting));
    pool.request("a").await;
    pool.request("a/b").await;
    pool.request("a/b/c").await;
    for number in 0..250 {
        pool.request(&format!("a/x{number}")).await;
    }
    backend_waits.open();
    pool.gone("a").await;
    assert_eq!(pool.coin("a").await.as_deref(), Some("btc"));
    assert_eq!((pool.posted("a"), pool.posts().len()), (1, 1));
}

#[tokio::test]
async fn more_children_than_are_deleted_at_a_time_hold_a_request_up_and_nothing_else() {
    let pool = Pool::new(ZooKeeper::shared().await).await;
    // The children take their time.
    let daemon = pool.daemon().set("UserAutoRegTimeoutSeconds", 14).start().await;
    pool.ready().await;
    pool.registration(|_| Reply::json(r#"{"message":"no","data":null}"#));
    let backend_waits = upstream_sim::Gate::default();
    let waiting = backend_waits.clone();
    pool.registration(move |_| Reply::registered(7).behind(&waiting));
    pool.request("a").await;
    pool.until_posted("a", 1).await;
    for number in 0..1_500 {
        pool.request(&format!("a/x{number}")).await;
    }
    backend_waits.open();
    daemon.wait_for_log(&["the request is not deleted", "more znodes below it"]).await;
    pool.request("b").await;
    pool.gone("b").await;
    pool.gone("a").await;
    assert_eq!(pool.posted("a"), 1);
}

#[tokio::test]
async fn a_request_that_is_written_again_is_posted_once() {
    let pool = Pool::new(ZooKeeper::shared().await).await;
    let _daemon = pool.daemon().start().await;
    pool.ready().await;
    for _ in 0..5 {
        pool.request("twice").await;
    }
    pool.gone("twice").await;
    assert_eq!((pool.posted("twice"), pool.coin("twice").await.as_deref()), (1, Some("btc")));
}

#[tokio::test]
async fn a_name_that_no_sub_account_can_have_is_deleted_and_not_posted() {
    let pool = Pool::new(ZooKeeper::shared().await).await;
    let daemon = pool.daemon().start().await;
    pool.ready().await;
    let long = "x".repeat(201);
    pool.request(&long).await;
    pool.gone(&long).await;
    assert!(pool.posts().is_empty());
    daemon.wait_for_log(&["registration, ", "invalid name", "is longer than 200 bytes"]).await;
}

/// sserver polls our list: it has to know the name before it looks again.
#[tokio::test]
async fn a_registered_name_is_in_the_list_before_its_request_goes() {
    let pool = Pool::new(ZooKeeper::shared().await).await;
    let mut api = pool.api();
    api["IntervalSeconds"] = 3600.into();
    let daemon = pool.daemon_with(&api).start().await;
    pool.ready().await;
    pool.request("newbie").await;
    let list = crate::support::client::Request::get("/?coin=btc&last_id=0");
    eventually("the name is listed", seconds(30), || async {
        let answer = daemon.send_as_is(&list).await;
        answer.text().contains("{\"newbie\":1001}").then_some(())
    })
    .await;
    assert!(pool.znodes.stat(&pool.reg("newbie")).await.is_some());
    assert_eq!(pool.coin("newbie").await, None);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let pool = Pool::new(ZooKeeper::shared().await).await;
    let daemon = pool.daemon().start().await;
    pool.ready().await;
    pool.registration(|_| Reply::redirect("/elsewhere"));
    pool.request("newbie").await;
    pool.gone("newbie").await;
    assert_eq!((pool.posts().len(), pool.coin("newbie").await), (1, None));
    daemon.wait_for_log(&["registration, ", "failed", "UserAutoRegAPI.URL"]).await;
}

#[tokio::test]
async fn a_message_of_the_backend_is_clipped_and_escaped_in_the_log() {
    let pool = Pool::new(ZooKeeper::shared().await).await;
    let daemon = pool.daemon().start().await;
    pool.ready().await;
    let message = format!("no\n{}", "x".repeat(1000));
    let answer = json!({"status": "failed", "message": message, "data": null}).to_string();
    pool.registration(move |_| Reply::json(&answer));
    pool.request("newbie").await;
    pool.gone("newbie").await;
    let line = daemon.wait_for_log(&["registration, ", "refused", "no\\n"]).await;
    assert!(line.contains('…') && line.len() < 1000, "{line}");
}

/// Leftovers of a long outage.
#[tokio::test]
async fn thousands_of_requests_are_worked_off_beside_switches() {
    let pool = Pool::new(ZooKeeper::shared().await).await;
    for number in 0..2_500 {
        pool.request(&format!("n{number}")).await;
    }
    let mut api = pool.api();
    api["IntervalSeconds"] = 0.into();
    let daemon = pool.daemon_with(&api).set("UserAutoRegParallelRequests", 8).start().await;
    assert_eq!(daemon.switch("alice", "btc").await, crate::support::client::Answer::success());
    eventually("all requests are gone", seconds(120), || async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        pool.znodes.children(&pool.place("/reg")).await.is_empty().then_some(())
    })
    .await;
    assert_eq!(pool.posts().len(), 2_500);
}
