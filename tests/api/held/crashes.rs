//! kill -9 of daemons and of ZooKeeper while switches are held.

use super::*;

#[tokio::test]
async fn another_daemon_takes_over_after_kill_9() {
    let zookeeper = ZooKeeper::shared().await;
    let znodes = zookeeper.znodes().await;
    let builder = holding(zookeeper);
    let mut first = builder.start().await;
    assert_eq!(first.switch("alice", "btc").await, Answer::success());
    let second = builder.start().await;
    assert_eq!(result(&first, "alice", "bcc", "results").await["outcome"], "held");
    first.kill9();
    becomes(&znodes, &second.path("alice"), "bcc").await;
    settled(&znodes, &second).await;
}

#[tokio::test]
async fn a_stopped_daemon_leaves_its_intents_to_the_next() {
    let zookeeper = ZooKeeper::shared().await;
    let znodes = zookeeper.znodes().await;
    let builder = holding(zookeeper).set("IntervalSeconds", 8);
    let mut daemon = builder.start().await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    assert_eq!(result(&daemon, "alice", "bcc", "results").await["outcome"], "held");
    daemon.signal(rustix::process::Signal::TERM);
    assert!(daemon.wait_exit(seconds(6)).await.success(), "a drain does not wait for due times");
    assert_eq!(znodes.get(&daemon.path("alice")).await.as_deref(), Some("btc"));
    let next = builder.start().await;
    becomes(&znodes, &next.path("alice"), "bcc").await;
    settled(&znodes, &next).await;
}

#[tokio::test]
async fn zookeeper_may_end_during_the_wait() {
    let mut zookeeper = ZooKeeper::private().await;
    let builder = holding(&zookeeper);
    let daemon = builder.start().await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    assert_eq!(result(&daemon, "alice", "bcc", "results").await["outcome"], "held");
    zookeeper.kill9();
    sleep(seconds(PERIOD + 1)).await;
    zookeeper.start_again();
    eventually("a second session", seconds(60), || async {
        (daemon.log_with(&["ZooKeeper session is up"]).len() > 1).then_some(())
    })
    .await;
    let znodes = zookeeper.znodes().await;
    becomes(&znodes, &daemon.path("alice"), "bcc").await;
    settled(&znodes, &daemon).await;
}
