//! Turns: one exchange at a time for a sub-pool, gets together.

use super::*;
use crate::admin::Admin;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_gets_of_one_sub_pool_cost_a_handful_of_writes() {
    let scene = Scene::with(ZooKeeper::shared().await, ENDLESS, Builder::admin).await;
    let admin = Admin::of(&scene.daemon).await;
    let jobmaker = scene.jobmaker(&["pool3"], Knobs::default()).await;
    let version = || async { scene.znodes.stat(&scene.path("pool3")).await.unwrap().version };
    let before = version().await;
    // Silent until all clients wait, so that their speed makes no difference.
    jobmaker.pause();
    let mut clients = vec![scene.sent(&get("pool3")).await];
    eventually("the first exchange", seconds(20), || async {
        (version().await > before).then_some(())
    })
    .await;
    for _ in 1..500 {
        clients.push(scene.sent(&get("pool3")).await);
    }
    admin.wait_for("switcher_subpool_requests_waiting", 499.0).await;
    jobmaker.resume();
    for mut client in clients {
        let answer = client.read_response().await.unwrap();
        assert_eq!(answer.text(), held("pool3", CONFIGURED));
    }
    let writes = version().await - before;
    assert!((1..=5).contains(&writes), "{writes} writes");
    // Each get must be in exactly one line.
    eventually("500 gets in the log", seconds(20), || async {
        let lines = scene.exchanges("pool3");
        let gets = lines.iter().map(|line| fields(line)["gets"].parse::<usize>().unwrap());
        (gets.sum::<usize>() == 500).then_some(())
    })
    .await;
    jobmaker.stop().await;
}

#[tokio::test]
async fn a_silent_jobmaker_costs_other_sub_pools_nothing() {
    let scene = Scene::start(ENDLESS).await;
    let names = ["a", "b", "c", "d"];
    let jobmaker = scene.jobmaker(&names, Knobs::default()).await;
    let silent = scene.puppet("silent").await;
    let pending = scene.asking(update("silent", "waits"));
    silent.wait_for_writes(1).await;
    for name in names {
        assert_eq!(scene.ask(get(name)).await, held(name, CONFIGURED));
        assert_eq!(scene.ask(update(name, "tiger")).await, updated(name, CONFIGURED, "tiger"));
    }
    assert!(!pending.is_finished(), "it still waits");
    silent.ack(&granted(CONFIGURED, "waits")).await;
    assert_eq!(pending.await.unwrap(), updated("of the ack", CONFIGURED, "waits"));
    jobmaker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_behind_a_silent_jobmaker_are_answered_and_never_written() {
    let scene = Scene::start(1).await;
    let puppet = scene.puppet("pool3").await;
    let first = scene.asking(update("pool3", "first"));
    puppet.wait_for_writes(1).await;
    let others: Vec<_> =
        (0..6).map(|number| scene.asking(update("pool3", &format!("u{number}")))).collect();
    let get = scene.asking(get("pool3"));
    assert_eq!(first.await.unwrap(), error(504, TIMED_OUT));
    // The next request may begin just at the end of its time; the others cannot.
    let mut written = vec!["first".to_owned()];
    for (number, other) in others.into_iter().enumerate() {
        let answer = other.await.unwrap();
        if answer == error(504, TIMED_OUT) {
            written.push(format!("u{number}"));
        } else {
            assert_eq!(answer, error(504, NOT_SERVED));
        }
    }
    let get = get.await.unwrap();
    assert!([error(504, NOT_SERVED), error(504, TIMED_OUT)].contains(&get), "{get}");
    assert!(written.len() <= 2, "{written:?}");
    assert_eq!(puppet.writes().await, written.len() as i32, "{written:?}");
    assert!(written.contains(&puppet.asked().await));
    // Some may have begun, but too late.
    eventually("a log line for each that was not written", seconds(20), || async {
        let not_written = ["sub-pool update not begun", "asked: update"]
            .map(|kind| scene.daemon.log_with(&[kind, "outcome: nothing written"]).len());
        (not_written.iter().sum::<usize>() + written.len() == 7).then_some(())
    })
    .await;
}

/// If an exchange begins just at the end of its time, answer and znode must agree.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_of_which_nothing_was_written_is_in_no_znode() {
    const SUB_POOLS: usize = 200;
    let scene = Scene::start(1).await;
    let mut puppets = Vec::new();
    for number in 0..SUB_POOLS {
        puppets.push(scene.puppet(&format!("pool{number}")).await);
    }
    // The moment is hard to hit.
    let mut said_written = vec![0; SUB_POOLS];
    for _ in 0..3 {
        for (sub_pool, answer) in two_updates_each(&scene, SUB_POOLS).await {
            if answer == error(504, TIMED_OUT) {
                said_written[sub_pool] += 1;
            } else {
                assert_eq!(answer, error(504, NOT_SERVED));
            }
        }
    }
    let mut wrong = Vec::new();
    for (puppet, said) in puppets.iter().zip(said_written) {
        let writes = puppet.writes().await;
        if writes != said {
            wrong.push(format!("{}: {said} said to be written, {writes} were", puppet.path));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The answers to two updates of each sub-pool, the second one a moment after the first: its turn comes just when its
/// time ends.
async fn two_updates_each(scene: &Scene, sub_pools: usize) -> Vec<(usize, String)> {
    let mut connections = Vec::new();
    for number in 0..2 * sub_pools {
        connections.push((number / 2, scene.daemon.connect().await));
    }
    let mut updates = JoinSet::new();
    for (sub_pool, mut connection) in connections {
        let request = update(&format!("pool{sub_pool}"), "tiger");
        connection.write(&bytes_of(&request)).await.unwrap();
        updates.spawn(async move { (sub_pool, connection.read_response().await.unwrap().text()) });
    }
    updates.join_all().await
}
