//! Daemons choose the one that registers by an ephemeral znode below `ZKHeldSwitchDir`.

use rustix::process::Signal;
use upstream_sim::{Gate, Reply};

use super::Pool;
use crate::support::daemon::{Builder, Daemon};
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, seconds};

const STANDBY: &str = "standing by: another daemon registers";
const TAKEOVER: &str = "taking over: this daemon registers now";

fn daemon(pool: &Pool) -> Builder {
    pool.daemon().set("ZKSessionTimeoutSeconds", 2).set("UserAutoRegTimeoutSeconds", 2)
}

/// One that waits for the backend for longer than a test needs.
fn slow(pool: &Pool) -> Builder {
    daemon(pool).set("UserAutoRegTimeoutSeconds", 14)
}

/// A daemon that registers, and one that stands by.
async fn two(pool: &Pool, first: &Builder) -> (Daemon, Daemon) {
    let first = first.start().await;
    pool.ready().await;
    let second = daemon(pool).start().await;
    second.wait_for_log(&[STANDBY, "process "]).await;
    (first, second)
}

fn requested(daemon: &Daemon) -> usize {
    daemon.log_with(&["registration requested from the backend"]).len()
}

/// No name was posted while another request for it was under way.
fn assert_one_at_a_time(pool: &Pool) {
    let mut posts = pool.posts();
    posts.sort_by(|a, b| (&a.body, a.at).cmp(&(&b.body, b.at)));
    for two in posts.windows(2).filter(|two| two[0].body == two[1].body) {
        assert!(two[0].ended.is_some_and(|ended| ended <= two[1].at), "{two:?}");
    }
}

#[tokio::test]
async fn of_two_daemons_one_registers() {
    let pool = Pool::new(ZooKeeper::shared().await).await;
    let (first, mut second) = two(&pool, &daemon(&pool)).await;
    let names: Vec<_> = (0..20).map(|number| format!("n{number}")).collect();
    for name in &names {
        pool.request(name).await;
    }
    for name in &names {
        pool.gone(name).await;
        assert_eq!((pool.posted(name), pool.coin(name).await.as_deref()), (1, Some("btc")));
    }
    assert_eq!((requested(&first), requested(&second)), (20, 0));

    // One that stops leaves at once, without the end of its session.
    let mut first = first;
    first.signal(Signal::TERM);
    assert!(first.wait_exit(seconds(30)).await.success());
    second.wait_for_log(&[TAKEOVER]).await;
    pool.request("later").await;
    pool.gone("later").await;
    assert!(second.is_alive());
    assert_eq!((requested(&second), pool.posted("later")), (1, 1));
}

#[tokio::test]
async fn another_daemon_takes_over_after_a_kill() {
    let pool = Pool::new(ZooKeeper::shared().await).await;
    let mut api = pool.api();
    api["IntervalSeconds"] = 3600.into();
    let (mut first, second) = two(&pool, &slow(&pool).set("UserAutoRegAPI", api)).await;
    pool.request("waits").await;
    first.wait_for_log(&["registration confirmed by the backend", "waits"]).await;
    pool.backend.next_post(Reply::silence());
    pool.request("posted").await;
    pool.until_posted("posted", 1).await;
    pool.request("queued").await;
    first.kill9();
    for (name, posts) in [("waits", 2), ("posted", 2), ("queued", 1)] {
        pool.gone(name).await;
        assert_eq!((pool.posted(name), pool.coin(name).await.as_deref()), (posts, Some("btc")));
    }
    second.wait_for_log(&[TAKEOVER]).await;
    assert_one_at_a_time(&pool);
}

/// Its session ends while it sleeps, and another daemon registers what it has not posted.
#[tokio::test]
async fn a_daemon_that_has_slept_through_the_end_of_its_session_posts_nothing_more() {
    let pool = Pool::new(ZooKeeper::shared().await).await;
    let gate = Gate::default();
    let (first, second) = two(&pool, &slow(&pool)).await;
    pool.backend.next_post(Reply::registered(7).behind(&gate));
    pool.request("busy").await;
    pool.until_posted("busy", 1).await;
    first.wait_for_log(&["registration requested from the backend", "busy"]).await;
    pool.request("queued").await;
    first.signal(Signal::STOP);
    second.wait_for_log(&[TAKEOVER]).await;
    pool.gone("queued").await;
    pool.gone("busy").await;
    let posted = requested(&first);
    gate.open();
    first.signal(Signal::CONT);
    first.wait_for_log(&[STANDBY]).await;
    pool.request("later").await;
    pool.gone("later").await;
    assert_eq!((requested(&first), pool.posted("queued"), pool.posted("later")), (posted, 1, 1));
}

/// Its own session is no other daemon's.
#[tokio::test]
async fn a_daemon_whose_session_expires_goes_on_and_posts_nothing_again() {
    let pool = Pool::new(ZooKeeper::shared().await).await;
    let mut api = pool.api();
    api["IntervalSeconds"] = 3.into();
    let daemon = daemon(&pool).set("UserAutoRegAPI", api).start().await;
    pool.ready().await;
    let lock = pool.place("/sw_held/registrar");
    assert!(pool.znodes.stat(&lock).await.is_some());
    pool.request("waits").await;
    daemon.wait_for_log(&["registration confirmed by the backend", "waits"]).await;
    daemon.signal(Signal::STOP);
    eventually("the session has expired", seconds(30), || async {
        pool.znodes.stat(&lock).await.is_none().then_some(())
    })
    .await;
    daemon.signal(Signal::CONT);
    pool.gone("waits").await;
    assert_eq!((pool.posted("waits"), pool.coin("waits").await.as_deref()), (1, Some("btc")));
    pool.request("later").await;
    pool.gone("later").await;
    assert_eq!((pool.posted("later"), daemon.log_with(&[TAKEOVER]).len()), (1, 0));
}
