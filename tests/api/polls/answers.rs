//! Entries of an answer that are written, skipped or unchanged, and their log lines.

use serde_json::json;
use upstream_sim::{Reply, Upstream};

use super::{asked, assert_line, now, polling, polls, requests, upstream};
use crate::support::{Guarded, Output, eventually, find_program, free_port, seconds};
use crate::support::{daemon::Daemon, zookeeper::ZooKeeper};

#[tokio::test]
async fn only_differences_are_written() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = upstream().await;
    let map = [("alice", "btc"), ("bob", "bcc")];
    upstream.next(Reply::map(&map, now()));
    upstream.next(Reply::map(&[("alice", "btc"), ("bob", "btc"), ("carol", "bcc")], now()));
    let daemon = polling(zookeeper, &upstream).start().await;
    let polls = polls(&daemon, 2).await;
    assert_line(&polls[0], &["entries: 2", "written: 2", "unchanged: 0"]);
    assert_line(&polls[1], &["entries: 3", "written: 2", "unchanged: 1"]);
    let znodes = zookeeper.znodes().await;
    let state = async |user: &str| {
        let (coin, stat) = znodes.get_with_stat(&daemon.path(user)).await.unwrap();
        (coin, stat.version)
    };
    assert_eq!(state("alice").await, ("btc".to_owned(), 0));
    assert_eq!(state("bob").await, ("btc".to_owned(), 1));
    assert_eq!(state("carol").await, ("bcc".to_owned(), 0));
    for (user, old, new) in [("alice", "-", "btc"), ("bob", "bcc", "btc"), ("carol", "-", "bcc")] {
        let parts = ["switch, source: poll", user, &format!("old: {old}, new: {new}"), "applied"];
        assert_eq!(daemon.log_with(&parts).len(), 1, "{parts:?}");
    }
}

#[tokio::test]
async fn unchanged_coins_are_written_again_if_configured() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = Upstream::start(|_| Reply::map(&[("alice", "btc")], now())).await.unwrap();
    let daemon = polling(zookeeper, &upstream).set("CronRewriteUnchanged", true).start().await;
    polls(&daemon, 3).await;
    let (_, stat) = zookeeper.znodes().await.get_with_stat(&daemon.path("alice")).await.unwrap();
    assert!(stat.version >= 2, "{stat:?}");
}

#[tokio::test]
async fn the_watch_directory_keeps_its_data() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = upstream().await;
    let builder = polling(zookeeper, &upstream);
    let daemon = builder.start().await;
    polls(&daemon, 2).await;
    let znodes = zookeeper.znodes().await;
    let directory = daemon.watch_dir().trim_end_matches('/').to_owned();
    znodes.put(&directory, "its own").await;
    let before = znodes.stat(&directory).await.unwrap().version;
    eventually("two more polls", seconds(20), || async {
        (znodes.stat(&directory).await.unwrap().version >= before + 2).then_some(())
    })
    .await;
    assert_eq!(znodes.get(&directory).await.as_deref(), Some("its own"));
    assert_eq!(znodes.children(&directory).await, Vec::<String>::new());
}

#[tokio::test]
async fn bad_entries_are_skipped_by_name_and_the_others_written() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = upstream().await;
    let mut map = json!({
        "alice": "btc", "a/b": "btc", "..": "btc", "": "btc", "bob": "LTC\u{1b}[2J\n",
        "carol": 5, "dave": {"x": ["y"]}, "erin": null, "frank": "bcc",
    });
    let answer = |map: &serde_json::Value| {
        json!({"err_no": 0, "data": {"user_coin": map, "now_date": 1_700_000_000}}).to_string()
    };
    upstream.next(Reply::json(&answer(&map)));
    for number in 0..30 {
        map[format!("x/{number}")] = "btc".into();
    }
    upstream.next(Reply::json(&answer(&map)));
    let daemon = polling(zookeeper, &upstream).start().await;
    let polls = polls(&daemon, 2).await;
    let next = "next_last_date: 1700000000";
    assert_line(&polls[0], &["outcome: complete", "entries: 9", "written: 2", "invalid: 7", next]);
    assert_line(
        &polls[1],
        &["outcome: complete", "entries: 39", "unchanged: 2", "invalid: 37", next],
    );
    for parts in [
        ["a/b", "slash"],
        ["..", "relative"],
        ["bob", "LTC\\u{1b}[2J\\n"],
        ["carol", "not a text"],
        ["dave", "not a text"],
        ["erin", "not a text"],
    ] {
        let line = ["WARN entry of the user-coin map skipped", parts[0], parts[1]];
        assert!(!daemon.log_with(&line).is_empty(), "{line:?}");
    }
    assert_eq!(daemon.log_with(&["entry of the user-coin map skipped"]).len(), 7 + 20);
    assert_eq!(daemon.log_with(&["more entries", "entries: 17"]).len(), 1);
    assert!(!daemon.log().iter().any(|line| line.contains('\u{1b}')));
    let children =
        zookeeper.znodes().await.children(daemon.watch_dir().trim_end_matches('/')).await;
    assert_eq!(children.len(), 2, "{children:?}");
}

#[tokio::test]
async fn names_are_written_in_lower_case_where_the_pool_wants_that() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = upstream().await;
    let body = r#"{"err_no":0,"data":{"user_coin":{"ALICE":"btc","Alice":"bcc","BOB":"btc"},"now_date":9}}"#;
    upstream.next(Reply::json(body));
    let builder = polling(zookeeper, &upstream).set("StratumServerCaseInsensitive", true);
    let daemon = builder.start().await;
    assert_line(
        &polls(&daemon, 1).await[0],
        &["entries: 3", "written: 2", "switched_meanwhile: 0"],
    );
    let znodes = zookeeper.znodes().await;
    assert_eq!(znodes.get(&daemon.path("alice")).await.as_deref(), Some("bcc"));
    assert_eq!(znodes.get(&daemon.path("bob")).await.as_deref(), Some("btc"));
    assert_eq!(znodes.get(&daemon.path("ALICE")).await, None);
}

#[tokio::test]
async fn no_success_writes_nothing_and_keeps_last_date() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = upstream().await;
    upstream.next(Reply::map(&[("alice", "btc")], 1_700_000_000));
    let good = r#""data":{"user_coin":{"alice":"bcc","bob":"bcc"},"now_date":1700000060}"#;
    let bodies = [
        format!(r#"{{"err_no":7,"err_msg":"db\ndown",{good}}}"#),
        format!(r#"{{{good},"err_msg":"db\ndown","err_no":7}}"#),
        format!(r#"{{"err_no":0,{good}"#),
        format!(r#"{{"err_no":0,{good}}} trailing"#),
        format!(r#"{{"err_no":"0",{good}}}"#),
        r#"{"err_no":0,"data":{"user_coin":["bcc"],"now_date":1700000060}}"#.to_owned(),
        r#"{"err_no":0,"data":{"user_coin":{"bob":"bcc"},"now_date":"1700000060"}}"#.to_owned(),
        r#"{"err_no":0,"data":null}"#.to_owned(),
        "[]".to_owned(),
        String::new(),
    ];
    for body in &bodies {
        upstream.next(Reply::json(body));
    }
    upstream.next(Reply::status(200, "OK", "text/html", "<html>\u{1b}[2J\n<b>sign in"));
    let daemon = polling(zookeeper, &upstream).start().await;
    let polls = polls(&daemon, bodies.len() + 2).await;
    for poll in &polls[1..] {
        assert_line(
            poll,
            &["WARN poll", "outcome: failed", "cause: ", "next_last_date: 1700000000"],
        );
    }
    assert_line(&polls[1], &["err_no 7, err_msg 'db\\ndown'"]);
    assert_line(&polls[2], &["err_no 7, err_msg 'db\\ndown'"]);
    let html = &polls[bodies.len() + 1];
    assert_line(
        html,
        &["status 200", "content type 'text/html'", "'<html>\\u{1b}[2J\\n<b>sign in'"],
    );
    let asked_from = requests(&upstream, bodies.len() + 3).await;
    assert!(asked(&asked_from)[1..].iter().all(|&from| from == "1700000000"), "{asked_from:?}");
    let znodes = zookeeper.znodes().await;
    assert_eq!(znodes.get(&daemon.path("alice")).await.as_deref(), Some("btc"));
    assert_eq!(znodes.get(&daemon.path("bob")).await, None);
}

#[tokio::test]
async fn an_empty_map_as_php_writes_it_is_warned_of_once() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = Upstream::start(|request| {
        let now_date = if request.last_date() == Some("0") { 1_700_000_000 } else { 1_700_000_060 };
        let empty = if now_date == 1_700_000_000 { "[]" } else { "null" };
        Reply::json(&format!(
            r#"{{"err_no":0,"err_msg":"","data":{{"user_coin":{empty},"now_date":{now_date}}}}}"#
        ))
    });
    let upstream = upstream.await.unwrap();
    let daemon = polling(zookeeper, &upstream).start().await;
    let polls = polls(&daemon, 3).await;
    assert_line(&polls[0], &["outcome: complete", "entries: 0", "next_last_date: 1700000000"]);
    assert_line(&polls[1], &["outcome: complete", "entries: 0", "next_last_date: 1700000060"]);
    assert_eq!(daemon.log_with(&["WARN", "user_coin is a list or null"]).len(), 1);
}

#[tokio::test]
async fn the_samples_shape_is_taken_and_last_date_stays() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = upstream().await;
    upstream.next(Reply::map(&[("alice", "btc")], 1_700_000_000));
    upstream.next(Reply::json(r#"{"err_no":0,"err_msg":null,"data":{"alice":"bcc","bob":"btc"}}"#));
    upstream.next(Reply::json(r#"{"err_no":0,"err_msg":null,"data":[]}"#));
    let daemon = polling(zookeeper, &upstream).start().await;
    let polls = polls(&daemon, 3).await;
    let next = "next_last_date: 1700000000";
    assert_line(&polls[1], &["outcome: complete", "entries: 2", "written: 2", next]);
    assert_line(&polls[2], &["outcome: complete", "entries: 0", next]);
    assert_eq!(daemon.log_with(&["WARN", "data is the map itself"]).len(), 1);
    let znodes = zookeeper.znodes().await;
    assert_eq!(znodes.get(&daemon.path("alice")).await.as_deref(), Some("bcc"));
}

/// The script that pools start from, under PHP's own server.
#[tokio::test]
#[allow(clippy::print_stderr)]
async fn the_sample_works_under_php() {
    let Some(php) = find_program("php") else {
        eprintln!("not run: there is no php in PATH (Debian: php-cli)");
        return;
    };
    let zookeeper = ZooKeeper::shared().await;
    let port = free_port();
    let builder = Daemon::builder(zookeeper);
    let folder = builder.folder().to_owned();
    let script = r#"<?php
        $last_date = isset($_GET['last_date']) ? (int)$_GET['last_date'] : 0;
        $coins = $last_date > 0 ? [] : ['alice' => 'btc', 'bob' => 'bcc'];
        header('Content-Type: application/json');
        echo json_encode(['err_no' => 0, 'err_msg' => null, 'data' => $coins]);"#;
    std::fs::write(folder.join("usercoin.php"), script).unwrap();
    let mut command = std::process::Command::new(php);
    command.arg("-S").arg(format!("127.0.0.1:{port}")).arg("-t").arg(&folder);
    let output = Output::File(folder.join("php.log"));
    let _server = Guarded::spawn(&command, &folder, output).unwrap();
    eventually("php listens", seconds(20), || async {
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
    })
    .await;
    let daemon = builder
        .set("EnableCronJob", true)
        .set("CronIntervalSeconds", 1)
        .set("UserCoinMapURL", format!("http://127.0.0.1:{port}/usercoin.php"))
        .start()
        .await;
    let polls = polls(&daemon, 2).await;
    assert_line(&polls[0], &["outcome: complete", "entries: 2", "written: 2", "next_last_date: 0"]);
    assert_line(&polls[1], &["outcome: complete", "entries: 2", "unchanged: 2"]);
}
