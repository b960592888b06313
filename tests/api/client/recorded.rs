//! `history`, `undo` and `doctor` with a daemon that has a history.

use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use super::{Cli, assert_says};
use crate::support::client::Answer;
use crate::support::daemon::Daemon;
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, seconds};

/// A daemon with a history, and its configuration file.
async fn daemon(zookeeper: &ZooKeeper, folder: &TempDir) -> (Daemon, PathBuf) {
    let file = folder.path().join("history.db");
    let builder = Daemon::builder(zookeeper).admin().set("HistoryFile", file.to_str().unwrap());
    (builder.start().await, builder.write_config())
}

/// A client of the daemon's admin listener.
async fn at_admin(daemon: &Daemon, words: &str) -> Cli {
    Cli::new(words).at_address(&daemon.admin().await)
}

/// The rows of a search, once there are `count`: records are written behind the answers.
async fn rows(cli: &Cli, count: usize) -> Vec<Value> {
    let cli = cli.clone().arg("--json");
    let what = format!("{count} rows");
    eventually(&what, seconds(20), || async {
        let found = cli.ends_with(0).await.stdout;
        let rows: Vec<Value> =
            found.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (rows.len() == count).then_some(rows)
    })
    .await
}

#[tokio::test]
async fn what_a_daemon_has_recorded_is_found_in_each_format() {
    let (zookeeper, folder) = (ZooKeeper::shared().await, tempfile::tempdir().unwrap());
    let (daemon, config) = daemon(zookeeper, &folder).await;
    for (name, coin) in [("alice", "btc"), ("bob", "btc"), ("alice", "bcc"), ("a b", "bcc")] {
        assert_eq!(daemon.switch(name, coin).await, Answer::success());
    }
    let all = rows(&at_admin(&daemon, "history").await, 4).await;
    assert_eq!(all[0]["sub_account"], "a b");
    let alice = at_admin(&daemon, "history alice").await;
    let numbers: Vec<_> =
        rows(&alice, 2).await.iter().map(|row| row["number"].as_u64().unwrap()).collect();
    assert!(numbers[0] > numbers[1], "{numbers:?}");
    let lines = alice.ends_with(0).await.stdout;
    assert_says(
        &lines,
        &[
            "  alice: btc -> bcc  applied; by admin\n",
            "  alice: no znode -> btc  applied; by admin\n",
        ],
    );
    let request = all[0]["request"].as_str().unwrap();
    let found = rows(&at_admin(&daemon, &format!("history --request {request}")).await, 1).await;
    assert_eq!(found[0], all[0]);
    rows(&at_admin(&daemon, "history --coin btc --from 1h").await, 3).await;
    rows(&at_admin(&daemon, "history --to 2026-01-01").await, 0).await;
    let paged = at_admin(&daemon, "history --limit 3").await.ends_with(0).await;
    assert_eq!(paged.stdout.lines().count(), 3);
    assert_says(&paged.stderr, &["there are older rows"]);
    let table = at_admin(&daemon, "history --csv").await.ends_with(0).await.stdout;
    assert!(table.starts_with("number,time,") && table.lines().count() == 5, "{table}");
    let requests = at_admin(&daemon, "history --requests").await.ends_with(0).await.stdout;
    assert_eq!(requests.lines().count(), 4);
    assert_says(&requests, &["switch of 1: 1 applied, 1 created, to bcc 1; by admin\n"]);

    let found = Cli::new("history verify").config(&config).ends_with(0).await.stdout;
    assert_says(&found, &["the chain of 0 records is whole\n", "head "]);
    let told = Cli::new("doctor").config(&config).run().await.stdout;
    assert_says(&told, &["ok       history: "]);
}

#[tokio::test]
async fn new_records_are_followed() {
    let (zookeeper, folder) = (ZooKeeper::shared().await, tempfile::tempdir().unwrap());
    let (daemon, _) = daemon(zookeeper, &folder).await;
    for (words, before, after) in [
        ("history --follow", "old: no znode -> btc", "new: no znode -> bcc"),
        ("history --requests --follow", "1 applied, to btc 1", "1 applied, to bcc 1"),
    ] {
        assert_eq!(daemon.switch("old", "btc").await, Answer::success());
        let output = folder.path().join("output");
        let mut command = at_admin(&daemon, words).await.command();
        command.stdout(std::fs::File::create(&output).unwrap());
        let _child = command.spawn().unwrap();
        let lines = || {
            let text = std::fs::read_to_string(&output).unwrap();
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let last_is = |part: &'static str| {
            eventually(part, seconds(20), move || {
                let is_last = lines().last().is_some_and(|line| line.contains(part));
                async move { is_last.then_some(()) }
            })
        };
        last_is(before).await;
        assert_eq!(daemon.switch("new", "bcc").await, Answer::success());
        last_is(after).await;
    }
}

#[tokio::test]
async fn a_request_is_taken_back() {
    let (zookeeper, folder) = (ZooKeeper::shared().await, tempfile::tempdir().unwrap());
    let (daemon, _) = daemon(zookeeper, &folder).await;
    daemon.switch("alice", "btc").await;
    daemon.switch("bob", "btc").await;
    let batch = r#"{"usercoins":[{"coin":"bcc","punames":["alice","bob","new"]}]}"#;
    assert_eq!(daemon.batch(batch).await, Answer::success());
    daemon.switch("bob", "btc").await;
    let all = rows(&at_admin(&daemon, "history").await, 6).await;
    let batch = all[1]["request"].as_str().unwrap();
    let planned = at_admin(&daemon, &format!("undo {batch} --dry-run")).await.ends_with(0).await;
    let expected = [
        "alice: bcc -> btc  would_restore\n",
        "bob: btc  left_alone: \"switched since\" by ",
        "new: bcc  left_alone: \"created by that request\"\n",
    ];
    assert_says(&planned.stdout, &expected);
    let done = at_admin(&daemon, &format!("undo {batch} --delete-created --yes")).await;
    let document = done.json(0).await;
    let outcomes = document["results"].as_array().unwrap().iter().map(|it| &it["outcome"]);
    assert_eq!(outcomes.collect::<Vec<_>>(), ["restored", "left_alone", "deleted"]);
    assert_says(
        &done.ends_with(65).await.stderr,
        &["all entries are left alone; nothing was written"],
    );
    let undo = document["undo"].as_str().unwrap();
    let requests = at_admin(&daemon, "history --requests").await.ends_with(0).await.stdout;
    assert_says(&requests, &[&format!("; undo of {batch}\n"), &format!("; undone by {undo}\n")]);
    let unknown = at_admin(&daemon, "undo 0000000000000000 --yes").await.ends_with(65).await;
    assert_says(&unknown.stderr, &["request '0000000000000000' is not in the history"]);
}
