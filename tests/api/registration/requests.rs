//! Requests of well-behaved and of hostile miners.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use upstream_sim::{Gate, Reply, Upstream};

use super::Pool;
use crate::admin::{Admin, without_time};
use crate::support::client::Answer;
use crate::support::daemon::Daemon;
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

/// A pool whose daemon has posted `a`, and its backend's answer behind a gate. A miner `a/b` makes a znode below the request of
/// `a`.
async fn with_children(count: usize) -> (Pool, Daemon, Gate) {
    let pool = Pool::new(ZooKeeper::shared().await).await;
    let daemon = pool.daemon().set("UserAutoRegTimeoutSeconds", 14).start().await;
    pool.ready().await;
    let gate = Gate::default();
    pool.backend.next_post(Reply::registered(7).behind(&gate));
    pool.request("a").await;
    pool.until_posted("a", 1).await;
    let children: Vec<_> = (0..count).map(|number| pool.reg(&format!("a/x{number}"))).collect();
    pool.znodes.create_all(&children, "").await;
    (pool, daemon, gate)
}

#[tokio::test]
async fn a_request_with_children_is_posted_once_and_deleted() {
    let (pool, _daemon, gate) = with_children(250).await;
    pool.request("a/b/c").await;
    pool.request("a").await;
    gate.open();
    pool.gone("a").await;
    assert_eq!(pool.coin("a").await.as_deref(), Some("btc"));
    assert_eq!((pool.posted("a"), pool.posts().len()), (1, 1));
}

#[tokio::test]
async fn more_children_than_are_deleted_at_a_time_hold_a_request_up_and_nothing_else() {
    let (pool, daemon, gate) = with_children(1_500).await;
    gate.open();
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

/// 307 and 308 repeat the POST, the others are followed with a GET, as by the old daemon.
#[tokio::test]
async fn a_redirect_is_followed() {
    let pool = Pool::new(ZooKeeper::shared().await).await;
    let stranger = Upstream::start(|_| Reply::registered(9)).await.unwrap();
    let daemon = pool.daemon().start().await;
    pool.ready().await;
    for (code, is_repeated) in [(301, false), (302, false), (303, false), (307, true), (308, true)]
    {
        for host in ["", "127.0.0.1", "localhost"] {
            let there = match host {
                "" => "/elsewhere".to_owned(),
                host => format!("http://{host}:{}/elsewhere", stranger.address().port()),
            };
            pool.registration(move |request| match &*request.target {
                "/autoreg" => Reply::redirect_with(code, &there),
                _ => Reply::registered(9),
            });
            let name = format!("n{code}{host}");
            pool.request(&name).await;
            pool.gone(&name).await;
            assert_eq!(pool.coin(&name).await.as_deref(), Some("btc"), "{name}");
            let requests = if host.is_empty() { &pool.backend } else { &stranger }.requests();
            let moved = requests.iter().rfind(|it| it.target == "/elsewhere").unwrap();
            let first = pool.posts().into_iter().rfind(|it| it.target == "/autoreg").unwrap();
            if is_repeated {
                assert_eq!((&*moved.method, &moved.body), ("POST", &first.body), "{name}");
            } else {
                assert_eq!((&*moved.method, &*moved.body), ("GET", ""), "{name}");
            }
            let sent = moved.header("content-type").is_some();
            assert_eq!(sent, is_repeated, "{name}");
            assert_eq!(moved.header("authorization").is_some(), host.is_empty(), "{name}");
        }
    }
    pool.registration(|_| Reply::redirect_with(307, "/loop"));
    pool.request("loop").await;
    pool.gone("loop").await;
    assert_eq!((pool.posted("loop"), pool.coin("loop").await), (6, None));
    daemon.wait_for_log(&["registration, ", "failed", "5 redirects", "UserAutoRegAPI.URL"]).await;
}

#[tokio::test]
async fn a_puid_of_another_name_is_a_warning() {
    let pool = Pool::new(ZooKeeper::shared().await).await;
    pool.backend.otherwise(|request| {
        let list = r#"{"err_no":0,"err_msg":null,"data":{"alice":7}}"#;
        if request.method == "POST" { Reply::registered(7) } else { Reply::json(list) }
    });
    let daemon = pool.daemon().start().await;
    pool.ready().await;
    pool.request("ALICE").await;
    pool.gone("ALICE").await;
    let parts = ["registered sub-account not listed", "ALICE", "puid: 7", "listed: alice"];
    daemon.wait_for_log(&parts).await;
    let list = crate::support::client::Request::get("/?coin=btc");
    assert!(daemon.send_as_is(&list).await.text().contains("{\"alice\":7}"));
    pool.request("alice").await;
    pool.gone("alice").await;
    assert_eq!(daemon.log_with(&["registered sub-account not listed"]).len(), 1);
}

/// Only `data.puid` counts, and statuses from 400 on.
#[tokio::test]
async fn a_status_below_400_that_leads_nowhere_may_have_a_puid() {
    let pool = Pool::new(ZooKeeper::shared().await).await;
    let _daemon = pool.daemon().start().await;
    pool.ready().await;
    let body = r#"{"status":"success","message":"","data":{"puid":7}}"#;
    for (code, is_success) in [(300, true), (302, true), (308, true), (399, true), (400, false)] {
        pool.registration(move |_| Reply::status(code, "S", "application/json", body));
        let name = format!("n{code}");
        pool.request(&name).await;
        pool.gone(&name).await;
        assert_eq!(pool.coin(&name).await.is_some(), is_success, "{code}");
        assert_eq!(pool.posted(&name), 1);
    }
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

#[tokio::test]
async fn a_packed_answer_is_unpacked() {
    let pool = Pool::new(ZooKeeper::shared().await).await;
    let daemon = pool.daemon().start().await;
    pool.ready().await;
    pool.registration(|request| match &request.body {
        bomb if bomb.contains("bomb") => Reply::bomb(1),
        _ => Reply::gzip(r#"{"status":"success","message":"","data":{"puid":7}}"#),
    });
    pool.request("packed").await;
    pool.gone("packed").await;
    assert_eq!(pool.coin("packed").await.as_deref(), Some("btc"));
    pool.request("bomb").await;
    pool.gone("bomb").await;
    assert_eq!(pool.coin("bomb").await, None);
    daemon.wait_for_log(&["registration, ", "bomb", "failed", "262144 bytes unpacked"]).await;
    let asked: Vec<_> =
        pool.posts().iter().map(|it| it.header("accept-encoding").map(str::to_owned)).collect();
    assert_eq!(asked, [Some("gzip".to_owned()), Some("gzip".to_owned())]);
}

#[tokio::test]
async fn registrations_are_among_the_recent_changes() {
    let pool = Pool::new(ZooKeeper::shared().await).await;
    let daemon = pool.daemon().admin().start().await;
    let admin = Admin::of(&daemon).await;
    pool.ready().await;
    pool.request("newbie").await;
    pool.gone("newbie").await;
    pool.registration(|_| Reply::json(r#"{"message":"taken","data":null}"#));
    pool.request("taken").await;
    pool.gone("taken").await;
    let changes = admin.recent(2).await;
    let took = |change: &Value| change["seconds"].as_f64().unwrap();
    assert!(took(&changes[0]) >= 1.0 && took(&changes[1]) < took(&changes[0]), "{changes:?}");
    let without = |change: &Value| {
        let mut change = without_time(change);
        change.as_object_mut().unwrap().remove("seconds");
        change
    };
    assert_eq!(
        without(&changes[0]),
        json!({"number": 1, "source": "stratum", "kind": "registration", "sub_account": "newbie",
            "puid": 1001, "first_coin": "btc", "outcome": "registered"})
    );
    assert_eq!(
        without(&changes[1]),
        json!({"number": 2, "source": "stratum", "kind": "registration", "sub_account": "taken",
            "outcome": "refused",
            "cause": "the answer has no positive data.puid, and the message 'taken'"})
    );
    for (name, outcome) in [("newbie", "outcome: registered"), ("taken", "outcome: refused")] {
        daemon.wait_for_log(&["registration, ", name, outcome, "seconds: "]).await;
    }
}

/// Leftovers of a long outage, in a list that exceeds ZooKeeper's usual limit of a message (`jute.maxbuffer`).
#[tokio::test]
#[allow(clippy::print_stdout)]
async fn thousands_of_requests_are_worked_off_beside_switches() {
    // To measure: REGISTRATIONS=100000 cargo test --release --test api thousands_of_requests -- --nocapture
    let count = std::env::var("REGISTRATIONS").map_or(6_000, |count| count.parse().unwrap());
    let pool = Pool::new(ZooKeeper::shared().await).await;
    pool.znodes.put(&pool.place("/reg"), "").await;
    let padding = "x".repeat(180);
    let requests: Vec<_> =
        (0..count).map(|number| pool.reg(&format!("{padding}{number:07}"))).collect();
    pool.znodes.create_all(&requests, "").await;
    let mut api = pool.api();
    api["IntervalSeconds"] = 0.into();
    let builder = pool.daemon_with(&api).set("UserAutoRegParallelRequests", 16);
    let (daemon, began) = (builder.start().await, Instant::now());
    let (mut slowest, mut half) = (Duration::ZERO, None);
    loop {
        let (asked, left) = (Instant::now(), pool.znodes.children(&pool.place("/reg")).await.len());
        if left <= count / 2 && half.is_none() {
            half = Some((began.elapsed(), daemon.peak_megabytes()));
        }
        if left == 0 {
            break;
        }
        assert!(began.elapsed() < seconds(1200), "{left} requests are left");
        let switched = Instant::now();
        assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
        slowest = slowest.max(switched.elapsed());
        tokio::time::sleep(seconds(1).saturating_sub(asked.elapsed())).await;
    }
    println!(
        "{count} registrations in {:?}, half of them after {half:?}; at most {} MB; slowest switch {slowest:?}",
        began.elapsed(),
        daemon.peak_megabytes(),
    );
    let names: BTreeSet<_> = pool.posts().into_iter().map(|post| post.body).collect();
    assert_eq!((pool.posts().len(), names.len()), (count, count));
    assert!(daemon.log_with(&["ZooKeeper connection lost"]).is_empty());
}
