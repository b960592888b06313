//! `switch`, and the common part of all commands that call the API: address, credentials, and failures.

use std::process::Stdio;

use serde_json::json;

use super::puppet::{Act, Puppet, SUCCESS};
use super::{Cli, assert_says, write};
use crate::support::daemon::Daemon;
use crate::support::zookeeper::ZooKeeper;
use crate::support::{free_port, unique};

#[tokio::test]
async fn a_switch_is_written_and_reported() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    let znodes = zookeeper.znodes().await;

    let told = Cli::new("switch alice bcc").at(&daemon).ends_with(0).await;
    assert_eq!(told.stdout, "alice mines bcc from now on\n");
    assert_eq!(told.stderr, "");
    assert_eq!(znodes.get(&daemon.path("alice")).await.as_deref(), Some("bcc"));

    let document = Cli::new("switch alice btc").at(&daemon).json(0).await;
    let expected =
        json!({"command": "switch", "exit_status": 0, "sub_account": "alice", "coin": "btc"});
    assert_eq!(document, expected);
    assert_eq!(znodes.get(&daemon.path("alice")).await.as_deref(), Some("btc"));

    // Any name of a znode may be a sub-account's.
    Cli::new("switch").arg("a b,\"用户\"").arg("btc").at(&daemon).ends_with(0).await;
    assert_eq!(znodes.get(&daemon.path("a b,\"用户\"")).await.as_deref(), Some("btc"));
}

#[tokio::test]
async fn address_and_credentials_come_from_flags_environment_or_configuration() {
    let zookeeper = ZooKeeper::shared().await;
    let port = free_port();
    let builder = Daemon::builder(zookeeper)
        .set("ListenAddr", format!("127.0.0.1:{port}"))
        .set("APIPassword", "s3cr3t pass");
    let config = builder.write_config();
    let _daemon = builder.start().await;
    let password = write(builder.folder(), "password", "s3cr3t pass\r\nsecond line\n");
    let server = format!("--server 127.0.0.1:{port}");

    let switch = || Cli::new("switch alice btc");
    switch().config(&config).ends_with(0).await;
    for everywhere in [format!(":{port}"), format!("0.0.0.0:{port}")] {
        let cli = switch().config(&config).environment("ListenAddr", &everywhere);
        cli.ends_with(0).await;
    }
    let flags = switch().words(&server).words("--user admin --password-file").arg(&password);
    flags.ends_with(0).await;
    // Complete flags need no file and no environment.
    flags.clone().environment("APIPassword", "wrong").config("/none").ends_with(0).await;
    let named = switch().words(&format!("--server http://127.0.0.1:{port}/ --user admin"));
    named.environment("APIPassword", "s3cr3t pass").ends_with(0).await;
    // Flags win over the environment, the environment over the file.
    let wrong = switch().config(&config).environment("APIPassword", "wrong");
    wrong.ends_with(77).await;
    wrong.words("--password-file").arg(&password).ends_with(0).await;
    // The configuration's coins hold only for the daemon of that configuration.
    let told = Cli::new("switch alice ltc").config(&config).ends_with(65).await;
    assert_says(&told.stderr, &["nothing was sent", "alice", "ltc", "AvailableCoins (btc, bcc)"]);
    let told = Cli::new("switch alice ltc").words(&server).config(&config).ends_with(65).await;
    assert_says(&told.stderr, &["the daemon says 104", "ltc"]);
}

#[tokio::test]
async fn a_missing_value_is_named_with_all_its_places() {
    let folder = tempfile::tempdir().unwrap();
    let switch = || Cli::new("switch alice btc");
    let told = switch().ends_with(78).await;
    assert_says(&told.stderr, &["--server", "ListenAddr", "no configuration file"]);
    let told = switch().words("--server h:1").ends_with(77).await;
    assert_says(&told.stderr, &["--user", "--token-file", "APIUser"]);
    let told = switch().words("--server h:1 --user u").ends_with(77).await;
    assert_says(&told.stderr, &["--password-file", "APIPassword"]);
    let told = switch().config("/no/such.json").ends_with(78).await;
    assert_says(&told.stderr, &["/no/such.json"]);
    let told = switch().environment("ListenAddr", "127.0.0.1:0").ends_with(78).await;
    assert_says(&told.stderr, &["127.0.0.1:0", "--server"]);
    let told = switch().words("--password-file /no/such").ends_with(66).await;
    assert_says(&told.stderr, &["/no/such"]);
    let empty = write(folder.path(), "empty", "\nsecond\n");
    let told = switch().words("--password-file").arg(&empty).ends_with(66).await;
    assert_says(&told.stderr, &[&empty, "first line is empty"]);
    for bad in ["nowhere", "h:0"] {
        let told = switch().words(&format!("--server {bad}")).ends_with(2).await;
        assert_says(&told.stderr, &[bad]);
    }
    Cli::new("switch alice").ends_with(2).await;
}

#[tokio::test]
async fn each_failure_has_its_exit_status_and_its_outcome() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    let nobody = format!("127.0.0.1:{}", free_port());
    let switch = || Cli::new("switch alice btc");

    let told = Cli::new("switch alice ltc").at(&daemon).ends_with(65).await;
    assert_says(&told.stderr, &["alice", "ltc", "refused, nothing was written", "104"]);
    assert_eq!(told.stdout, "");
    let told = switch().at_address(&nobody).ends_with(69).await;
    assert_says(&told.stderr, &[&nobody, "nothing was written", "is the daemon running"]);
    let wrong = switch().words(&format!("--server {} --user eve --password x", daemon.base()));
    let told = wrong.ends_with(77).await;
    assert_says(&told.stderr, &["eve", "401", "nothing was written"]);

    let html = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n<html>\u{1b}[2J<";
    for (act, code, parts) in [
        (Act::Raw(html.to_owned()), 76, &["not this daemon", "<html>\\u{1b}[2J"][..]),
        (Act::Answer(SUCCESS.replace("true", "1")), 76, &["not this daemon"]),
        (Act::HangUp, 75, &["outcome unknown"]),
        (Act::Silence, 75, &["outcome unknown", "1 s", "--timeout"]),
        (Act::Answer(error(105)), 69, &["nothing was written", "ZooKeeper is away"]),
        (Act::Answer(error(107)), 75, &["outcome unknown", "harmless"]),
        (Act::Answer(error(999)), 75, &["outcome unknown", "999"]),
    ] {
        let puppet = Puppet::start([act.clone()]).await;
        let cli = switch().at_address(puppet.address()).words("--timeout 1");
        let told = cli.ends_with(code).await;
        assert_says(&told.stderr, &["switch of alice to btc"]);
        assert_says(&told.stderr, parts);
        let document = cli.json(code).await;
        assert_eq!(
            told.stderr,
            format!("error: {}\n", document["error"]["text"].as_str().unwrap())
        );
    }
}

fn error(err_no: i64) -> String {
    json!({"err_no": err_no, "err_msg": "text", "success": false}).to_string()
}

#[tokio::test]
async fn a_lost_zookeeper_is_reported_as_such() {
    let mut zookeeper = ZooKeeper::private().await;
    let builder = Daemon::builder(&zookeeper).set("ZKRequestTimeoutSeconds", 1);
    let daemon = builder.start().await;
    zookeeper.kill9();
    let told = Cli::new("switch alice btc").at(&daemon).run().await;
    // The outcome of a request during the break is unknown.
    assert!(matches!(told.code, Some(69 | 75)), "{told:?}");
    let told = Cli::new("switch alice btc").at(&daemon).ends_with(69).await;
    assert_says(&told.stderr, &["105", "ZooKeeper is away"]);
    let status = Cli::new("status alice").config(builder.write_config());
    assert_says(&status.ends_with(69).await.stderr, &[&zookeeper.address(), "doctor"]);
    assert_eq!(status.json(69).await["error"]["kind"], "unavailable");
}

#[tokio::test]
async fn names_cannot_move_the_cursor() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = Daemon::builder(zookeeper);
    let daemon = builder.start().await;
    let turning = "a\u{202e}b\u{2028}c";
    let told = Cli::new("switch").arg(turning).arg("btc").at(&daemon).ends_with(0).await;
    assert_eq!(told.stdout, "\"a\\u{202e}b\\u{2028}c\" mines btc from now on\n");
    let told = Cli::new("switch").arg("\u{1b}[2Jx").arg("btc").at(&daemon).ends_with(65).await;
    assert_says(&told.stderr, &["\"\\u{1b}[2Jx\"", "control character"]);
    let told = Cli::new("switch").arg("x").arg("\u{1b}]0;\u{7}").at(&daemon).ends_with(65).await;
    assert_says(&told.stderr, &["\\u{1b}]0;\\u{7}"]);
    let status = Cli::new("status").arg(turning).config(builder.write_config());
    assert_eq!(status.ends_with(0).await.stdout, "\"a\\u{202e}b\\u{2028}c\": btc\n");
    let json = status.clone().arg("--json").ends_with(0).await.stdout;
    assert!(!json.contains('\u{202e}') && json.contains("\\u202e"), "{json}");
    assert_eq!(status.json(0).await["sub_accounts"][0]["sub_account"], turning);
}

#[tokio::test]
async fn a_closed_pipe_ends_a_command_quietly() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = Daemon::builder(zookeeper);
    let _daemon = builder.start().await;
    let config = builder.write_config();
    let missing = unique("missing");
    for (cli, code) in [
        (Cli::new("status").arg(&missing).config(&config), 1),
        (Cli::new("status").arg(&missing).config(&config).arg("--json"), 1),
        (Cli::new("check").config(&config), 0),
        (Cli::new("man"), 0),
        (Cli::new("completions zsh"), 0),
        (Cli::new("--help"), 0),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = cli.command();
        let child = command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped()).spawn();
        let output = child.unwrap().wait_with_output().await.unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), &*told), (Some(code), ""), "{:?}", cli.arguments);
    }
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = Cli::new("status").arg(&missing).config(&config).command();
    let child = command.stdin(Stdio::null()).stdout(full).stderr(Stdio::piped()).spawn();
    let output = child.unwrap().wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(74));
    assert_says(&String::from_utf8_lossy(&output.stderr), &["standard output", "No space left"]);
}
