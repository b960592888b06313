//! Faults at each step of a registration.

use upstream_sim::{Gate, Reply};

use super::{Pool, until_under_way};
use crate::admin::Admin;
use crate::support::daemon::Daemon;
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, seconds};

#[tokio::test]
async fn an_older_coin_and_index_entry_stay() {
    let zookeeper = ZooKeeper::shared().await;
    let pool = Pool::new(zookeeper).await;
    pool.znodes.put(&pool.place("/sw/newbie"), "bcc").await;
    pool.znodes.put(&pool.place("/case/newbie"), "newbie").await;
    pool.request("newbie").await;
    let _daemon = pool.daemon().start().await;
    pool.gone("newbie").await;
    assert_eq!(pool.coin("newbie").await.as_deref(), Some("bcc"));
    assert_eq!(pool.posted("newbie"), 1);
}

#[tokio::test]
async fn a_daemon_that_is_stopped_leaves_the_requests_to_the_next() {
    let pool = Pool::new(ZooKeeper::shared().await).await;
    let mut api = pool.api();
    api["IntervalSeconds"] = 3600.into();
    let mut daemon = pool.daemon_with(&api).start().await;
    pool.ready().await;
    pool.request("newbie").await;
    daemon.wait_for_log(&["registration confirmed by the backend"]).await;
    daemon.signal(rustix::process::Signal::TERM);
    assert!(daemon.wait_exit(seconds(30)).await.success());
    daemon.wait_for_log(&["registrations dropped", "registrations: 1"]).await;
    finished_by_the_next(&pool, 2).await;
}

async fn finished_by_the_next(pool: &Pool, posts: usize) {
    assert!(pool.znodes.stat(&pool.reg("newbie")).await.is_some());
    let _daemon = pool.daemon().start().await;
    pool.gone("newbie").await;
    assert_eq!(pool.coin("newbie").await.as_deref(), Some("btc"));
    assert_eq!(pool.posted("newbie"), posts);
}

#[tokio::test]
async fn a_backend_that_hangs_fails_its_registrations_and_no_later_ones() {
    let pool = Pool::new(ZooKeeper::shared().await).await;
    let daemon = pool.daemon().set("UserAutoRegTimeoutSeconds", 1).start().await;
    pool.ready().await;
    pool.registration(|request| match &request.body {
        first if first.contains("first") => Reply::silence(),
        second if second.contains("second") => {
            Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{").hang()
        }
        _ => Reply::registered(1001),
    });
    for name in ["first", "second"] {
        pool.request(name).await;
        pool.gone(name).await;
        assert_eq!((pool.posted(name), pool.coin(name).await), (1, None));
    }
    let timed_out = ["registration, ", "timed out", "within 1 s (UserAutoRegTimeoutSeconds)"];
    eventually("both are logged", seconds(10), || async {
        (daemon.log_with(&timed_out).len() == 2).then_some(())
    })
    .await;
    pool.request("third").await;
    pool.gone("third").await;
    assert_eq!(pool.coin("third").await.as_deref(), Some("btc"));
}

#[tokio::test]
async fn a_directory_that_is_removed_and_made_again_is_watched_again() {
    let pool = Pool::new(ZooKeeper::shared().await).await;
    let daemon = pool.daemon().start().await;
    pool.ready().await;
    for round in 0..3 {
        pool.znodes.remove(&pool.place("/reg")).await;
        eventually("the loss is logged", seconds(20), || async {
            (daemon.log_with(&["requests for registration is gone"]).len() > round).then_some(())
        })
        .await;
        assert!(pool.znodes.stat(&pool.place("/reg")).await.is_none());
        let name = format!("n{round}");
        pool.request(&name).await;
        pool.gone(&name).await;
        assert_eq!(pool.coin(&name).await.as_deref(), Some("btc"));
    }
    assert_eq!(daemon.log_with(&["requests for registration is gone"]).len(), 3);
}

#[tokio::test]
async fn registrations_wait_while_zookeeper_is_away() {
    let mut zookeeper = ZooKeeper::private().await;
    let pool = Pool::new(&zookeeper).await;
    let daemon = pool.daemon().start().await;
    pool.ready().await;
    let gate = Gate::default();
    pool.backend.next_post(Reply::registered(7).behind(&gate));
    pool.request("newbie").await;
    pool.until_posted("newbie", 1).await;
    zookeeper.kill9();
    gate.open();
    daemon.wait_for_log(&["registration: the first coin is not written", "newbie"]).await;
    zookeeper.restart().await;
    let pool = Pool { znodes: zookeeper.znodes().await, ..pool };
    pool.gone("newbie").await;
    assert_eq!((pool.posted("newbie"), pool.coin("newbie").await.as_deref()), (1, Some("btc")));
    pool.request("later").await;
    pool.gone("later").await;
    assert_eq!(pool.coin("later").await.as_deref(), Some("btc"));
}

#[tokio::test]
async fn the_wait_goes_on_while_zookeeper_is_away() {
    let mut zookeeper = ZooKeeper::private().await;
    let pool = Pool::new(&zookeeper).await;
    let daemon = pool.daemon().start().await;
    pool.ready().await;
    pool.request("newbie").await;
    daemon.wait_for_log(&["registration confirmed by the backend", "newbie"]).await;
    zookeeper.kill9();
    daemon.wait_for_log(&["registration: the first coin is not written", "newbie"]).await;
    zookeeper.restart().await;
    let pool = Pool { znodes: zookeeper.znodes().await, ..pool };
    pool.gone("newbie").await;
    assert_eq!((pool.posted("newbie"), pool.coin("newbie").await.as_deref()), (1, Some("btc")));
}

/// A name whose turn comes while there is no session waits for the next one.
#[tokio::test]
async fn nothing_is_posted_without_a_session() {
    let mut zookeeper = ZooKeeper::private().await;
    let pool = Pool::new(&zookeeper).await;
    let daemon = pool.daemon().admin().set("UserAutoRegTimeoutSeconds", 14).start().await;
    let admin = Admin::of(&daemon).await;
    pool.ready().await;
    let gate = Gate::default();
    pool.backend.next_post(Reply::registered(7).behind(&gate));
    pool.request("busy").await;
    pool.until_posted("busy", 1).await;
    pool.request("newbie").await;
    until_under_way(&admin, 2).await;
    zookeeper.kill9();
    gate.open();
    daemon.wait_for_log(&["registration: nothing is posted; the request stays", "newbie"]).await;
    assert_eq!(pool.posted("newbie"), 0);
    zookeeper.restart().await;
    let pool = Pool { znodes: zookeeper.znodes().await, ..pool };
    for name in ["busy", "newbie"] {
        pool.gone(name).await;
        assert_eq!((pool.posted(name), pool.coin(name).await.as_deref()), (1, Some("btc")));
    }
}

/// The znode's directory takes no children: the request stays until it does, and nothing is posted again.
#[tokio::test]
async fn a_first_coin_that_zookeeper_refuses_is_tried_again() {
    let pool = Pool::new(ZooKeeper::shared().await).await;
    pool.znodes.put(&pool.root, "").await;
    pool.znodes.put_read_only(&pool.place("/sw"), "").await;
    let daemon: Daemon = pool.daemon().start().await;
    pool.ready().await;
    pool.request("newbie").await;
    daemon.wait_for_log(&["registration: the first coin is not written", "newbie"]).await;
    assert!(pool.znodes.stat(&pool.reg("newbie")).await.is_some());
    pool.znodes.remove(&pool.place("/sw")).await;
    pool.znodes.put(&pool.place("/sw"), "").await;
    pool.gone("newbie").await;
    assert_eq!((pool.posted("newbie"), pool.coin("newbie").await.as_deref()), (1, Some("btc")));
}
