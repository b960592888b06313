//! What a line looks like, and which lines there are.

use super::parse;
use crate::client::Cli;
use crate::client::terminal::on_terminal;
use crate::support::client::{Answer, Request};
use crate::support::daemon::{Builder, Daemon};
use crate::support::zookeeper::ZooKeeper;

#[tokio::test]
async fn a_program_reads_lines_as_json_and_a_person_the_same_as_text() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = Daemon::builder(zookeeper).without_environment("LogFormat");
    let odd = "a\", \"x\":1}\u{2028}用户";
    // Standard error is no terminal.
    let daemon = builder.start().await;
    for name in ["alice", odd] {
        assert_eq!(daemon.switch(name, "btc").await, Answer::success());
    }
    daemon.wait_for_log(&["\"msg\":\"switch\"", "用户"]).await;
    let lines: Vec<_> = daemon.log().iter().map(|line| parse(line)).collect();
    for line in &lines {
        let time = line["ts"].as_str().unwrap();
        assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
        assert!(["info", "warn"].contains(&line["level"].as_str().unwrap()), "{line:?}");
        assert!(line["module"].as_str().unwrap().starts_with("switcher_"), "{line:?}");
    }
    let switches: Vec<_> = lines.iter().filter(|line| line["msg"] == "switch").collect();
    let keys: Vec<&str> = switches[0].keys().map(String::as_str).collect();
    let mut expected = [
        "ts",
        "level",
        "module",
        "msg",
        "source",
        "client",
        "actor",
        "request",
        "sub_account",
        "old",
        "new",
        "outcome",
    ];
    expected.sort_unstable();
    let mut sorted = keys.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
    let of = |key: &str| switches[0][key].as_str().unwrap();
    assert_eq!((of("source"), of("client"), of("sub_account")), ("api", "127.0.0.1", "alice"));
    assert_eq!((of("old"), of("new"), of("outcome")), ("-", "btc", "applied"));
    // As people see it: what could pass for more than a name is quoted in both.
    let shown = switches[1]["sub_account"].as_str().unwrap();

    let daemon = builder.clone().set("LogFormat", "human").start().await;
    for name in ["alice", odd] {
        assert_eq!(daemon.switch(name, "bcc").await, Answer::success());
    }
    let line = daemon.wait_for_log(&["INFO switch, source: api", "sub_account: alice"]).await;
    let fields = line.split(" switch, ").nth(1).unwrap().split(", ");
    let names: Vec<&str> = fields.map(|field| field.split(": ").next().unwrap()).collect();
    assert_eq!(names, expected_fields());
    daemon.wait_for_log(&["INFO switch, source: api", &format!("sub_account: {shown}, ")]).await;
}

#[tokio::test]
async fn on_a_terminal_lines_are_for_people() {
    let zookeeper = ZooKeeper::shared().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let builder = Daemon::builder(zookeeper).set("ListenAddr", address);
    let cli = Cli::new("serve").config(builder.write_config());
    // It cannot listen, says so, and ends.
    let (code, shown) = on_terminal(&cli, "", "").await;
    assert_eq!(code, Some(69), "{shown}");
    assert!(shown.contains(" INFO starting, version: "), "{shown}");
    assert!(shown.contains(" ERRO cannot listen on 127.0.0.1:"), "{shown}");
}

/// A switch's, in their order.
fn expected_fields() -> [&'static str; 8] {
    ["source", "client", "actor", "request", "sub_account", "old", "new", "outcome"]
}

async fn lines_of(builder: &Builder, arguments: &[&str]) -> [usize; 3] {
    let builder = arguments.iter().fold(builder.clone(), Builder::argument);
    let daemon = builder.start().await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    assert_eq!(daemon.send(Request::get("/nothing")).await.status, 404);
    // Its answer is logged last.
    assert_eq!(daemon.switch("bob", "nope").await.err_no, 104);
    daemon.wait_for_log(&["request refused", "err_no: 104"]).await;
    [" switch, ", " chunk, ", " request, "].map(|kind| daemon.log_with(&[kind]).len())
}

#[tokio::test]
async fn levels_are_chosen_by_flag_and_key_for_all_and_for_single_modules() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = Daemon::builder(zookeeper);
    let key = |value: &str| builder.clone().set("LogLevel", value);
    assert_eq!(lines_of(&builder, &[]).await, [1, 0, 0]);
    assert_eq!(lines_of(&builder, &["-vmodule=zk_writer=3"]).await, [1, 1, 0]);
    let [switches, chunks, requests] = lines_of(&builder, &["-vmodule=middle*=3", "-v", "2"]).await;
    assert_eq!((switches, chunks), (1, 0));
    assert!(requests >= 2, "{requests}");
    assert_eq!(lines_of(&key("zk_writer=debug"), &["-v", "2"]).await, [1, 1, 0]);
    let quiet = key("debug,middleware=info,switcher_actors=warn");
    assert_eq!(lines_of(&quiet, &[]).await, [0, 0, 0]);
    let [switches, chunks, requests] = lines_of(&builder, &["-v", "3"]).await;
    assert_eq!((switches, chunks), (1, 1));
    assert!(requests >= 2, "{requests}");
}

#[tokio::test]
async fn values_that_say_nothing_are_refused_with_what_is_expected() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = Daemon::builder(zookeeper).without_environment("LogFormat");
    for (vmodule, told) in
        [("zk_writer", "no number"), ("http=x", "no number"), ("=3", "no module")]
    {
        let vmodule = format!("-vmodule={vmodule}").into();
        let refused = builder.run(&[vmodule, "check".into()]).await;
        assert_eq!(refused.code, Some(2), "{refused:?}");
        refused.assert_stderr_names(&["--vmodule", told]);
    }
    let refused = builder
        .clone()
        .set("LogFormat", "xml")
        .set("LogLevel", "info,zk_writer=loud")
        .set("LogFileCount", 0)
        .refuse_to_start()
        .await;
    assert_eq!(refused.code, Some(78), "{refused:?}");
    refused.assert_stderr_names(&[
        "LogFormat: is \"xml\", expected auto, human or json",
        "LogLevel: \"loud\" is no level: expected error, warn, info or debug",
        "LogFileCount: is 0 (file), expected a whole number from 1 to 1000",
    ]);
}
