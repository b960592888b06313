//! `history`, against scripted answers and a file without a daemon.

use serde_json::{Value, json};

use super::puppet::{Act, Puppet};
use super::{Cli, assert_says, write};
use crate::support::client::Answer;
use crate::support::{eventually, seconds};

fn row(number: u64) -> Value {
    json!({"number": number, "time": "2026-11-28T10:00:00.000Z", "kind": "switch", "request": "00a1",
        "source": "api", "client": "10.0.0.1", "sub_account": format!("user{number}"), "old": "btc", "new": "bcc",
        "outcome": "applied"})
}

fn page(numbers: impl IntoIterator<Item = u64>, next: Value) -> Act {
    let rows: Vec<Value> = numbers.into_iter().map(row).collect();
    Act::Answer(json!({"changes": rows, "next": next}).to_string())
}

fn raw(head: &str, body: &str) -> Act {
    Act::Raw(format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
}

/// The targets of the requests so far.
fn targets(puppet: &Puppet) -> Vec<String> {
    let of = |request: &String| request.split(' ').nth(1).unwrap().to_owned();
    puppet.requests().iter().map(of).collect()
}

#[tokio::test]
async fn pages_are_followed_until_the_limit() {
    let puppet =
        Puppet::start([page((501..=1500).rev(), json!(501)), page((1..=500).rev(), json!(1))])
            .await;
    let cli = Cli::new("history user --coin bcc --from 1764324000 --limit 1500")
        .at_address(puppet.address());
    let found = cli.ends_with(0).await;
    assert_eq!(found.stdout.lines().count(), 1500);
    assert_says(
        &found.stdout,
        &["  00a1              10.0.0.1         user7: btc -> bcc  applied\n"],
    );
    assert_says(&found.stderr, &["note: there are older rows; --limit prints more"]);
    let shared = "sub_account=user&coin=bcc&from=1764324000";
    assert_eq!(
        targets(&puppet),
        [
            format!("/history?order=newest&limit=1000&{shared}"),
            format!("/history?order=newest&limit=500&{shared}&cursor=501"),
        ]
    );
}

#[tokio::test]
async fn rows_are_objects_for_scripts() {
    let puppet = Puppet::start([page([2, 1], Value::Null)]).await;
    let found = Cli::new("history --json").at_address(puppet.address()).ends_with(0).await;
    let rows: Vec<Value> =
        found.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows, [row(2), row(1)]);
    assert_eq!(found.stderr, "");
    let request = &puppet.requests()[0];
    assert!(request.starts_with("GET /history?order=newest&limit=100 HTTP/1.1\r\n"), "{request}");

    let requests = json!({"requests": [{"request": "7", "kind": "switch", "entries": 3, "applied": 3}], "next": null});
    let puppet = Puppet::start([Act::Answer(requests.to_string())]).await;
    let cli = Cli::new("history --requests").at_address(puppet.address());
    assert_says(&cli.ends_with(0).await.stdout, &["switch of 3: 3 applied\n"]);
    assert_eq!(targets(&puppet), ["/history/requests?order=newest&limit=100"]);
}

#[tokio::test]
async fn csv_is_one_table() {
    let header = "number,time\r\n";
    let puppet = Puppet::start([
        raw("200 OK\r\nX-Next-Cursor: c 2", &format!("{header}3,T\r\n2,T\r\n")),
        raw("200 OK", &format!("{header}1,T\r\n")),
    ])
    .await;
    let found = Cli::new("history --csv").at_address(puppet.address()).ends_with(0).await;
    assert_eq!(found.stdout, format!("{header}3,T\r\n2,T\r\n1,T\r\n"));
    assert_eq!(
        targets(&puppet),
        [
            "/history?order=newest&limit=100&format=csv",
            "/history?order=newest&limit=98&format=csv&cursor=c%202"
        ]
    );
}

#[tokio::test]
async fn newer_rows_are_followed_over_a_restart() {
    let puppet = Puppet::start([
        page([2, 1], Value::Null),
        page([], Value::Null),
        page([3], json!(3)),
        page([4], Value::Null),
        Act::HangUp,
        page([5], Value::Null),
        page([], Value::Null),
    ])
    .await;
    let cli = Cli::new("history --follow --json").at_address(puppet.address());
    let folder = tempfile::tempdir().unwrap();
    let (output, errors) = (folder.path().join("output"), folder.path().join("errors"));
    let mut command = cli.command();
    command.stdout(std::fs::File::create(&output).unwrap());
    command.stderr(std::fs::File::create(&errors).unwrap());
    let _child = command.spawn().unwrap();
    eventually("all rows are printed", seconds(30), || async {
        let text = std::fs::read_to_string(&output).unwrap();
        let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).ok());
        let numbers: Option<Vec<u64>> = rows.map(|row| row?["number"].as_u64()).collect();
        (numbers? == [1, 2, 3, 4, 5]).then_some(())
    })
    .await;
    let asked = "/history?order=oldest&limit=1000&cursor=";
    let targets = targets(&puppet);
    let cursors: Vec<_> = targets[1..].iter().map(|it| it.strip_prefix(asked).unwrap()).collect();
    assert_eq!(cursors[..5], ["2", "2", "3", "4", "4"]);
    assert_eq!(std::fs::read_to_string(&errors).unwrap(), "", "a script has no use for it");
}

#[tokio::test]
async fn failures_are_told_apart() {
    let refusal = r#"{"err_no":400,"err_msg":"from: no time","success":false}"#;
    let broken = r#"{"err_no":500,"err_msg":"the history cannot be read","success":false}"#;
    for (act, status, parts) in [
        (raw("400 Bad Request", refusal), 65, &["the daemon says 400 from: no time"][..]),
        (raw("500 No", broken), 69, &["the daemon says 500 the history cannot be read"]),
        (raw("401 Unauthorized", ""), 77, &["(status 401)"]),
        (raw("404 Not Found", "<html>"), 76, &["status 404", "<html>"]),
        (Act::Answer(Answer::success().to_string()), 76, &["is not this daemon"]),
        (Act::HangUp, 69, &["gave no answer"]),
    ] {
        let puppet = Puppet::start([act.clone()]).await;
        let cli = Cli::new("history").at_address(puppet.address());
        assert_says(&cli.ends_with(status).await.stderr, parts);
        assert_says(cli.json(status).await["error"]["text"].as_str().unwrap(), parts);
    }
    for bad in [
        "history --from yesterday",
        "history a b",
        "history --csv --json",
        "history --follow --csv",
        "history --limit 0",
        "history --coin btc verify",
        "history verify --head 12",
    ] {
        Cli::new(bad).ends_with(2).await;
    }
}

#[tokio::test]
async fn verify_is_a_command_and_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let config = |key: &str, file: &str| {
        write(folder.path(), "config.json", json!({key: folder.path().join(file)}).to_string())
    };
    let file = config("HistoryFile", "none");
    let told = Cli::new("history verify").config(&file).ends_with(66).await;
    assert_says(&told.stderr, &["/none"]);
    assert_eq!(
        Cli::new("history verify").config(&file).json(66).await["error"]["kind"],
        "no input"
    );
    let told = Cli::new("history verify").config(config("Other", "none")).ends_with(78).await;
    assert_says(&told.stderr, &["HistoryFile"]);

    let puppet = Puppet::start([page([1], Value::Null)]).await;
    for name in ["verify", "help", "-x"] {
        let cli = Cli::new("history").at_address(puppet.address()).arg("--").arg(name);
        cli.ends_with(0).await;
        let target = format!("/history?order=newest&limit=100&sub_account={name}");
        assert_eq!(targets(&puppet).last(), Some(&target));
    }
    Cli::new("history help").at_address(puppet.address()).ends_with(0).await;
}

#[tokio::test]
async fn the_admin_listener_is_called() {
    let puppet = Puppet::start([page([1], Value::Null)]).await;
    let folder = tempfile::tempdir().unwrap();
    let keys = json!({"AdminListenAddr": puppet.address(), "ListenAddr": "127.0.0.1:1", "APIUser": "u",
        "APIPassword": "p"});
    let config = write(folder.path(), "config.json", keys.to_string());
    Cli::new("history").config(&config).ends_with(0).await;
    let off = Cli::new("history").config(&config).environment("AdminListenAddr", "");
    assert_says(&off.ends_with(78).await.stderr, &["AdminListenAddr"]);
}
