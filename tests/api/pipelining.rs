//! Clients that send the next requests before they have read the last answers.

use std::time::Duration;

use crate::support::client::{Connection, Request};
use crate::support::daemon::{Daemon, PASSWORD, USER};
use crate::support::zookeeper::ZooKeeper;

fn known(puname: &str) -> Vec<u8> {
    Request::switch(puname, "btc").credentials(USER, PASSWORD).head_bytes()
}

#[tokio::test]
async fn requests_that_arrive_while_many_wait_are_answered_too() {
    let zookeeper = ZooKeeper::private().await;
    let daemon = Daemon::builder(&zookeeper).start().await;
    let mut connection = daemon.connect().await;
    let (good, bad) = (known("alice"), known("a/b"));
    for (first, then) in [(10, 5), (17, 5), (40, 20), (200, 200)] {
        zookeeper.stop();
        connection.write(&[&good[..], &bad.repeat(first)].concat()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        connection.write(&bad.repeat(then)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        zookeeper.cont();
        assert!(connection.read_response().await.unwrap().answer().success);
        for number in 0..first + then {
            let answer = connection.read_response().await;
            let answer =
                answer.unwrap_or_else(|error| panic!("{first}, {then}: {number}: {error}"));
            assert_eq!(answer.answer().err_no, 102);
        }
    }
}

/// A refusal closes the connection; bytes behind it must not cost the client the earlier answers.
#[tokio::test]
async fn a_refusal_costs_no_answer_that_came_before_it() {
    const GOOD: usize = 300;
    let daemon = Daemon::builder(ZooKeeper::shared().await).start().await;
    let stranger = Request::switch("alice", "btc").credentials(USER, "wrong").head_bytes();
    let requests = [known("alice").repeat(GOOD), stranger, known("bob").repeat(2 * GOOD)].concat();
    // Read as they come, and when all are made.
    for pause in [0, 2] {
        let mut connection = Connection::open_narrow(daemon.base(), 1024).await.unwrap();
        let pause = Duration::from_secs(pause);
        let answers = connection.pipeline(&requests, 1, pause, GOOD).await.unwrap();
        assert!(answers.iter().all(|answer| answer.success));
        assert_eq!(connection.read_response().await.unwrap().status, 401);
    }
}
