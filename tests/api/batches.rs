//! The batch of switches: all of it or none, names and coins in any amount, JSON of any quality.

use serde_json::json;

use crate::support::client::{Answer, Request};
use crate::support::daemon::Daemon;
use crate::support::zookeeper::{Znodes, ZooKeeper};
use crate::support::{eventually, seconds};

async fn assert_untouched(znodes: &Znodes, daemon: &Daemon, what: &str) {
    let directory = daemon.watch_dir().trim_end_matches('/');
    assert_eq!(znodes.children(directory).await, ["alice"], "{what}");
    let (coin, stat) = znodes.get_with_stat(&daemon.path("alice")).await.unwrap();
    assert_eq!((coin.as_str(), stat.version), ("btc", 0), "{what}");
}

#[tokio::test]
async fn one_bad_entry_refuses_the_batch_without_a_trace_and_the_first_error_in_order_is_reported()
{
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    let znodes = zookeeper.znodes().await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());

    let many: Vec<String> = (0..2_000).map(|number| format!("n{number}")).collect();
    let good = json!({"coin": "bcc", "punames": many});
    let group = |coin: &str, names: &[&str]| json!({"coin": coin, "punames": names});
    for (groups, err_no) in [
        (json!([good, group("bcc", &["alice", ""])]), 101),
        (json!([good, group("bcc", &["alice", "a/b"])]), 102),
        (json!([good, group("bcc", &["alice", "."])]), 102),
        (json!([good, group("", &["alice"])]), 103),
        (json!([good, group("nope", &["alice"])]), 104),
        (json!([group("bcc", &["a/b"]), good]), 102),
        // The first error in order is reported, not the gravest.
        (json!([group("nope", &["alice"]), group("bcc", &[""])]), 104),
        (json!([group("bcc", &["a/b"]), group("bcc", &[""])]), 102),
        (json!([group("", &["alice", ""])]), 103),
        (json!([group("", &["", "alice"])]), 101),
        (json!([group("nope", &["alice", "a/b"])]), 104),
        (json!([group("nope", &["a/b", "alice"])]), 102),
        (json!([group("nope", &[]), group("bcc", &["alice", "", "a/b"])]), 101),
    ] {
        let json = json!({"usercoins": groups}).to_string();
        let what = &json[json.len().saturating_sub(100)..];
        let answer = daemon.batch(json.clone()).await;
        assert_eq!((answer.err_no, answer.success), (err_no, false), "…{what}: {answer}");
        assert_untouched(&znodes, &daemon, what).await;
    }
}

#[tokio::test]
async fn a_batch_writes_existing_and_new_sub_accounts_under_both_of_its_paths() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    let znodes = zookeeper.znodes().await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    let json = r#"{"usercoins":[{"coin":"bcc","punames":["alice","bob"]},
        {"coin":"btc","punames":["carol"]}]}"#;
    for (path, alias) in [("/switch/multi-user", "first"), ("/switch-multi-user", "second")] {
        let response = daemon.send(Request::post(path).body(json)).await;
        assert_eq!((response.status, response.answer()), (200, Answer::success()), "{alias}");
    }
    for (user, coin) in [("alice", "bcc"), ("bob", "bcc"), ("carol", "btc")] {
        let (value, stat) = znodes.get_with_stat(&daemon.path(user)).await.unwrap();
        assert_eq!(value, coin, "{user}");
        assert!(stat.version >= 1, "{user} was written by both");
    }
}

#[tokio::test]
async fn the_last_of_duplicates_wins() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    let znodes = zookeeper.znodes().await;
    let json = r#"{"usercoins":[{"coin":"bcc","punames":["old","new","new"]},
        {"coin":"btc","punames":["old","new"]},{"coin":"bcc","punames":["old"]},
        {"coin":"btc","punames":["x"]}]}"#;
    for _ in 0..2 {
        assert_eq!(daemon.batch(json).await, Answer::success());
        assert_eq!(znodes.get(&daemon.path("old")).await.as_deref(), Some("bcc"));
        assert_eq!(znodes.get(&daemon.path("new")).await.as_deref(), Some("btc"));
    }
}

#[tokio::test]
async fn an_empty_list_of_names_is_no_error_but_no_list_of_groups_is() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    for json in [
        r#"{"usercoins":[{"coin":"btc","punames":[]}]}"#,
        r#"{"usercoins":[{"coin":"btc","punames":null}]}"#,
        r#"{"usercoins":[{"coin":"btc"}]}"#,
    ] {
        assert_eq!(daemon.batch(json).await, Answer::success(), "{json}");
    }
    for json in ["{}", "null", r#"{"usercoins":[]}"#, r#"{"usercoins":null}"#, r#"{"users":[]}"#] {
        assert_eq!(daemon.batch(json).await, Answer::error(108, "usercoins is empty"), "{json}");
    }
}

#[tokio::test]
async fn names_in_json_are_refused_as_names_and_broken_json_as_json() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    let znodes = zookeeper.znodes().await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    let batch = |name: &[u8]| {
        let mut json = br#"{"usercoins":[{"coin":"btc","punames":["bob",""#.to_vec();
        json.extend_from_slice(name);
        json.extend_from_slice(br#""]}]}"#);
        json
    };
    for name in [
        &br"\ud800"[..],
        br"\udc00",
        br"a\ud83d",
        br"\ud83dA",
        br"\udc19\ud83d",
        br"\ud83d\udc19",
        br"\u0000",
        br"a\nb",
        br"\u007f",
        br"\u0085",
        br"\u002f",
        br"\u002e\u002e",
        br"\uE000",
        br"\ufffd",
        b"\xff",
        b"a\xc3(",
        b"\xed\xa0\x80",
        "🐙".as_bytes(),
    ] {
        let answer = daemon.batch(batch(name)).await;
        let what = String::from_utf8_lossy(name);
        assert_eq!(answer, Answer::error(102, "puname invalid"), "{what}");
    }
    for name in [&br"\u12"[..], br"\x41", br"\", b"a\nb", b"\x01"] {
        let answer = daemon.batch(batch(name)).await;
        let what = String::from_utf8_lossy(name);
        assert_eq!((answer.err_no, answer.success), (400, false), "{what:?}: {answer}");
        assert!(!answer.err_msg.is_empty(), "{what:?} is told what is wrong");
    }
    assert_untouched(&znodes, &daemon, "names in JSON").await;

    let escaped = batch(br"\u7528\u6237");
    assert_eq!(daemon.batch(escaped).await, Answer::success());
    assert_eq!(znodes.get(&daemon.path("用户")).await.as_deref(), Some("btc"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_100_000_names_is_written_whole() {
    const NAMES: usize = 100_000;
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    let znodes = zookeeper.znodes().await;
    let names: Vec<String> = (0..NAMES).map(|number| format!("user{number}")).collect();
    let sample: Vec<String> = names.iter().step_by(1_000).map(|name| daemon.path(name)).collect();
    let directory = daemon.watch_dir().trim_end_matches('/').to_owned();

    for (coin, outcome) in [("btc", "new"), ("bcc", "existing")] {
        let json = json!({"usercoins": [{"coin": coin, "punames": names}]}).to_string();
        assert_eq!(daemon.batch(json).await, Answer::success(), "{outcome} sub-accounts");
        let count = znodes.stat(&directory).await.unwrap().num_children;
        assert_eq!(count as usize, NAMES, "{outcome} sub-accounts");
        for (path, value) in sample.iter().zip(znodes.get_all(&sample).await) {
            assert_eq!(value.as_deref(), Some(coin), "{path}");
        }
        let new = format!("new: {coin}");
        let parts = ["switch,", "sub_account: user", &new, "outcome: applied"];
        eventually("each of them is in the log", seconds(30), || async {
            (daemon.log_with(&parts).len() == NAMES).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_switch_does_not_overtake_the_batch_before_it() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    let znodes = zookeeper.znodes().await;
    let names: Vec<String> = (0..30_000).map(|number| format!("user{number}")).collect();
    let json = json!({"usercoins": [{"coin": "btc", "punames": names}]}).to_string();
    let directory = daemon.watch_dir().trim_end_matches('/').to_owned();
    let begun_then_switch = async {
        eventually("the batch has begun", seconds(30), || async {
            znodes.stat(&directory).await.filter(|stat| stat.num_children > 0)
        })
        .await;
        daemon.switch("user29999", "bcc").await
    };
    let (batch, single) = tokio::join!(daemon.batch(json), begun_then_switch);
    assert_eq!((batch, single), (Answer::success(), Answer::success()));
    let coin = znodes.get(&daemon.path("user29999")).await;
    assert_eq!(coin.as_deref(), Some("bcc"), "the switch was accepted after the batch");
}
