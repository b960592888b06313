//! kill -9 of daemons and of ZooKeeper while switches are held.

use super::*;

/// A number that the seed determines.
fn pick(random: &mut u64, below: u64) -> u64 {
    *random =
        random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*random >> 33) % below
}

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

/// Of each sub-account, switches come one after the other, through either daemon, while daemons are killed.
#[tokio::test]
async fn the_last_accepted_switch_wins_whatever_is_killed() {
    let seed = now();
    let mut random = seed;
    let zookeeper = ZooKeeper::shared().await;
    let znodes = zookeeper.znodes().await;
    let builder = holding(zookeeper).set("IntervalSeconds", 1);
    let mut daemons = [builder.start().await, builder.start().await];
    let users = ["a", "b", "c", "d", "e", "f"];
    let mut last = [""; 6];
    let began = Instant::now();
    while began.elapsed() < seconds(25) {
        let user = pick(&mut random, 6) as usize;
        let coin = ["btc", "bcc", "bch"][pick(&mut random, 3) as usize];
        let at = pick(&mut random, 2) as usize;
        let request = Request::switch(users[user], coin).credentials("admin", "admin");
        let killed = pick(&mut random, 12) == 0;
        let sending = client::send(daemons[at].base(), &request);
        let answer = if killed {
            let delay = Duration::from_micros(pick(&mut random, 8_000));
            let answer = tokio::time::timeout(delay, sending).await;
            daemons[at].kill9();
            daemons[at] = builder.start().await;
            answer.ok().and_then(Result::ok)
        } else {
            sending.await.ok()
        };
        if answer.is_some_and(|answer| answer.answer() == Answer::success()) {
            last[user] = coin;
            continue;
        }
        // The outcome is unknown: the next success decides. A daemon that has just started may need a moment.
        let coin = ["btc", "bcc", "bch"][pick(&mut random, 3) as usize];
        let other = &daemons[1 - at];
        eventually("a success", seconds(30), || async {
            (other.switch(users[user], coin).await == Answer::success()).then_some(())
        })
        .await;
        last[user] = coin;
    }
    settled(&znodes, &daemons[0]).await;
    for (user, coin) in users.iter().zip(last) {
        if !coin.is_empty() {
            let is = znodes.get(&daemons[0].path(user)).await;
            assert_eq!(is.as_deref(), Some(coin), "{user}, seed {seed}");
        }
    }
}
