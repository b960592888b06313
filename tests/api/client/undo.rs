//! `undo`, against scripted answers.

use serde_json::{Value, json};

use super::puppet::{Act, Puppet};
use super::terminal::on_terminal;
use super::{Cli, assert_says};

fn results(success: bool, outcomes: &[&str]) -> Act {
    let results = outcomes.iter().enumerate().map(|(number, outcome)| {
        json!({"sub_account": format!("user{number}"), "now": "bcc", "back_to": "btc", "outcome": outcome})
    });
    let body = json!({"err_no": 0, "err_msg": "", "success": success, "request": "00b2",
        "results": results.collect::<Vec<_>>()});
    Act::Answer(body.to_string())
}

/// The bodies of the requests so far.
fn bodies(puppet: &Puppet) -> Vec<Value> {
    let requests = puppet.requests();
    let of = |request: &String| {
        assert!(request.starts_with("POST /undo HTTP/1.1\r\n"), "{request}");
        serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
    };
    requests.iter().map(of).collect()
}

#[tokio::test]
async fn what_would_change_is_shown_and_asked_for() {
    let plan = || results(true, &["would_restore", "left_alone"]);
    let puppet = Puppet::start([plan(), results(true, &["restored", "left_alone"])]).await;
    let cli = Cli::new("undo 00a1 --comment").arg("wrong file").at_address(puppet.address());
    let (code, shown) = on_terminal(&cli, "Undo? [y/N]", "y").await;
    assert_eq!(code, Some(0), "{shown}");
    assert_says(
        &shown,
        &[
            "user0: bcc -> btc  would_restore",
            "user1: bcc  left_alone",
            "user0: bcc -> btc  restored",
        ],
    );
    let body = |dry_run: bool| json!({"request": "00a1", "dry_run": dry_run, "delete_created": false, "comment": "wrong file"});
    assert_eq!(bodies(&puppet), [body(true), body(false)]);

    let puppet = Puppet::start([plan()]).await;
    let cli = Cli::new("undo 00a1").at_address(puppet.address());
    let (code, shown) = on_terminal(&cli, "Undo? [y/N]", "").await;
    assert_eq!(code, Some(1), "{shown}");
    assert_says(&shown, &["not confirmed, nothing was changed"]);
    // Without a terminal.
    assert_says(&cli.ends_with(2).await.stderr, &["--yes"]);
    assert!(bodies(&puppet).iter().all(|body| body["dry_run"] == true));
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let puppet = Puppet::start([results(true, &["would_delete"; 21])]).await;
    let cli = Cli::new("undo 00a1 --dry-run --delete-created").at_address(puppet.address());
    let shown = cli.ends_with(0).await.stdout;
    assert_says(&shown, &["user19: ", "… and 1 more (--all)", "      21  would_delete"]);
    assert!(!shown.contains("user20"), "{shown}");
    assert_says(&cli.clone().arg("--all").ends_with(0).await.stdout, &["user20: "]);
    let document = cli.json(0).await;
    assert_eq!(document["dry_run"], true);
    assert_eq!(document["results"].as_array().map(Vec::len), Some(21));
    let body = json!({"request": "00a1", "dry_run": true, "delete_created": true});
    assert!(bodies(&puppet).iter().all(|it| *it == body), "{:?}", bodies(&puppet));
}

#[tokio::test]
async fn the_exit_status_is_zero_only_after_a_success() {
    let plan = || results(true, &["would_restore", "would_restore"]);
    for (act, status, kind) in [
        (results(true, &["restored", "left_alone"]), 0, Value::Null),
        (results(true, &["left_alone", "left_alone"]), 65, json!("refused")),
        (results(false, &["restored", "not_applied"]), 69, json!("unavailable")),
        (results(false, &["restored", "unknown"]), 75, json!("outcome unknown")),
        (Act::HangUp, 75, json!("outcome unknown")),
        (Act::Answer("<html>".to_owned()), 76, json!("protocol")),
    ] {
        let puppet = Puppet::start([plan(), act]).await;
        let document = Cli::new("undo 00a1 --yes").at_address(puppet.address()).json(status).await;
        assert_eq!(document["error"]["kind"], kind, "{document}");
        if document["results"].is_array() {
            assert_eq!(document["undo"], "00b2");
        }
    }
    let puppet = Puppet::start([results(true, &["left_alone"])]).await;
    let told = Cli::new("undo 00a1 --yes").at_address(puppet.address()).ends_with(65).await;
    assert_says(&told.stdout, &["user0: bcc  left_alone"]);
    assert_says(&told.stderr, &["all entries are left alone; nothing was written"]);
    assert_eq!(bodies(&puppet).len(), 1, "there is nothing to undo");
}

#[tokio::test]
async fn a_refusal_is_shown_as_the_daemon_says_it() {
    for (status, text) in [
        (404, "request '00a1' is not in the history"),
        (409, "request '00a1' was undone by '00b2'"),
    ] {
        let body = json!({"err_no": status, "err_msg": text, "success": false}).to_string();
        let refusal =
            format!("HTTP/1.1 {status} No\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let plan = results(true, &["would_restore"]);
        for acts in [vec![Act::Raw(refusal.clone())], vec![plan, Act::Raw(refusal)]] {
            let puppet = Puppet::start(acts).await;
            let told = Cli::new("undo 00a1 --yes").at_address(puppet.address()).ends_with(65).await;
            assert_says(&told.stderr, &[&format!("the daemon says {status} {text}\n")]);
        }
    }
}
