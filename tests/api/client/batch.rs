//! `batch`: its input, its chunks, and how a second run continues.

use std::time::Duration;

use serde_json::{Value, json};

use super::puppet::{Act, Puppet, SUCCESS};
use super::terminal::on_terminal;
use super::{Cli, assert_says, write};
use crate::support::daemon::{Builder, Daemon};
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, free_port, seconds};

/// `user0,btc` and so on.
pub fn csv(entries: usize) -> String {
    (0..entries).map(|number| format!("user{number},btc\n")).collect()
}

pub fn batch(file: &str) -> Cli {
    Cli::new("batch").arg(file)
}

/// The sub-accounts of a request, in order.
pub fn punames(request: &str) -> Vec<String> {
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    let groups = body["usercoins"].as_array().unwrap().iter();
    let names = groups.flat_map(|group| group["punames"].as_array().unwrap());
    names.map(|name| name.as_str().unwrap().to_owned()).collect()
}

pub fn progress(file: &str) -> Value {
    let text = std::fs::read_to_string(format!("{file}.progress")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn csv_and_json_are_written_whole() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = Daemon::builder(zookeeper);
    let daemon = builder.start().await;
    let znodes = zookeeper.znodes().await;
    let text =
        "\u{feff}user,coin\r\n\"a,b\",btc\r\n\r\ncarol,bcc\r\n\"say \"\"hi\"\"\",btc\r\ncarol,btc";
    let odd = write(builder.folder(), "odd.csv", text);
    let told = batch(&odd).words("--chunk 2").at(&daemon).ends_with(0).await;
    assert_eq!(told.stdout, "4 entries acknowledged\n");
    assert_eq!(told.stderr, "", "no bar without a terminal");
    for (name, coin) in [("a,b", "btc"), ("carol", "btc"), ("say \"hi\"", "btc")] {
        assert_eq!(znodes.get(&daemon.path(name)).await.as_deref(), Some(coin), "{name}");
    }
    assert!(!std::path::Path::new(&format!("{odd}.progress")).exists());

    let json = r#"{"usercoins":[{"coin":"bcc","punames":["dave","erin"]},{"coin":"btc","punames":["erin"]}]}"#;
    let document = batch("-").stdin(json).words("--chunk 1").at(&daemon).json(0).await;
    let expected = json!({"command": "batch", "exit_status": 0, "entries": 3, "acknowledged": 3,
        "resumed_after": 0, "sent_again": 0, "outcome_unknown": 0});
    assert_eq!(document, expected);
    assert_eq!(znodes.get(&daemon.path("dave")).await.as_deref(), Some("bcc"));
    assert_eq!(znodes.get(&daemon.path("erin")).await.as_deref(), Some("btc"), "the last one wins");
}

#[tokio::test]
async fn a_bad_line_is_named_and_nothing_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let puppet = Puppet::start([Act::Answer(SUCCESS.to_owned())]).await;
    let at = |cli: Cli| cli.at_address(puppet.address());
    let bad =
        write(folder.path(), "bad.csv", b"alice,btc\r\n\r\nbob\r\n\xff,btc\r\na/b,btc\r\n,btc\r\n");
    let told = at(batch(&bad)).ends_with(65).await;
    let parts = [
        &*bad,
        "nothing was sent",
        "line 3: has 1 field",
        "line 4: is not UTF-8",
        "line 5: the sub-account a/b contains a slash",
        "line 6: the sub-account \"\" is empty",
    ];
    assert_says(&told.stderr, &parts);
    assert_eq!(at(batch(&bad)).json(65).await["error"]["kind"], "refused");
    for (content, part) in [
        ("", "no entry"),
        ("user,coin\n", "no entry"),
        ("{\"usercoins\":[}", "wrong JSON"),
        ("{\"usercoins\":[{\"coin\":\"btc\",\"punames\":[\"x\",\"\"]}]}", "entry 2: "),
        ("alice;btc\n", "separated by commas"),
    ] {
        let told = at(batch("-")).stdin(content).ends_with(65).await;
        assert_says(&told.stderr, &["standard input", part]);
    }
    let told = at(batch("/no/such.csv")).ends_with(66).await;
    assert_says(&told.stderr, &["/no/such.csv", "No such file"]);
    assert_eq!(puppet.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn a_second_run_continues_after_the_last_acknowledged_chunk() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "batch.csv", csv(10));
    let success = || Act::Answer(SUCCESS.to_owned());
    let puppet = Puppet::start([success(), success(), Act::Silence, success()]).await;
    let cli = batch(&file).words("--chunk 3 --timeout 1").at_address(puppet.address());

    let told = cli.ends_with(75).await;
    let parts = [
        "line 7 to line 9",
        "outcome unknown",
        "6 of 10 entries were acknowledged",
        "3 more may have been written or not: the next run sends them again",
    ];
    assert_says(&told.stderr, &parts);
    let requests = puppet.requests();
    assert_eq!(requests.len(), 3, "the chunk of unknown outcome is not sent again by the same run");
    assert_eq!(punames(&requests[2]), ["user6", "user7", "user8"]);
    let kept = progress(&file);
    assert_eq!((&kept["acknowledged"], &kept["under_way"]), (&json!(6), &json!(3)), "{kept}");

    let told = cli.ends_with(0).await;
    let parts = ["continuing after 6 of 10", "3 entries, from line 7 on", "sent again"];
    assert_says(&told.stderr, &parts);
    let requests = puppet.requests();
    assert_eq!(requests.len(), 5);
    assert_eq!(punames(&requests[3]), ["user6", "user7", "user8"]);
    assert_eq!(punames(&requests[4]), ["user9"]);
    // All is acknowledged: the next run is a new one.
    cli.ends_with(0).await;
    assert_eq!(punames(&puppet.requests()[5])[0], "user0");
}

#[tokio::test]
async fn a_chunk_that_was_certainly_not_written_is_not_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "batch.csv", "a,btc\nb,btc\nc,\"l\ttc\"\nd,bcc\n");
    let error = |err_no: i64| {
        Act::Answer(json!({"err_no": err_no, "err_msg": "text", "success": false}).to_string())
    };
    let unauthorized = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 1\r\n\r\nx";
    let html = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 1\r\n\r\nx";
    for (act, code, unknown) in [
        (error(104), 65, 0),
        (error(105), 69, 0),
        (error(107), 75, 2),
        (Act::Raw(unauthorized.to_owned()), 77, 0),
        // A proxy may have forwarded the request.
        (Act::Raw(html.to_owned()), 76, 2),
        (Act::HangUp, 75, 2),
    ] {
        let puppet = Puppet::start([Act::Answer(SUCCESS.to_owned()), act.clone()]).await;
        let cli = batch(&file).words("--chunk 2").at_address(puppet.address());
        let document = cli.json(code).await;
        assert_eq!(
            (&document["acknowledged"], &document["outcome_unknown"]),
            (&json!(2), &json!(unknown)),
            "{document}"
        );
        assert_eq!(progress(&file)["under_way"], unknown, "{act:?}");
        if code == 65 {
            let told = document["error"]["text"].as_str().unwrap();
            assert_says(told, &["line 3 to line 4", "its coins: bcc, \"l\\ttc\""]);
            assert_eq!(document["error"]["err_no"], 104);
        }
    }
}

#[tokio::test]
async fn another_content_or_server_starts_at_the_first_entry() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "batch.csv", csv(4));
    let broken = || [Act::Answer(SUCCESS.to_owned()), Act::HangUp];
    let one_by_one = |puppet: &Puppet| batch(&file).words("--chunk 1").at_address(puppet.address());
    let first = Puppet::start(broken()).await;
    one_by_one(&first).ends_with(75).await;
    assert_eq!(progress(&file)["acknowledged"], 1);

    let second = Puppet::start(broken()).await;
    let told = one_by_one(&second).ends_with(75).await;
    assert_says(&told.stderr, &["another content or server", "first entry"]);
    assert_eq!(punames(&second.requests()[0]), ["user0"]);

    write(folder.path(), "batch.csv", csv(3));
    let told = one_by_one(&second).ends_with(75).await;
    assert_says(&told.stderr, &["another content or server"]);
    assert_eq!(punames(&second.requests()[2]), ["user0"]);

    let third = Puppet::start(broken()).await;
    one_by_one(&third).ends_with(75).await;
    one_by_one(&third).ends_with(75).await;
    assert_eq!(punames(&third.requests()[2]), ["user1"]);
    one_by_one(&third).arg("--restart").ends_with(75).await;
    assert_eq!(punames(&third.requests()[3]), ["user0"]);

    // Another kind of file is not overwritten, and a file that cannot be written stops the run before it sends.
    let before = second.requests().len();
    let told = one_by_one(&second).words("--progress-file").arg(&file).ends_with(66).await;
    assert_says(&told.stderr, &["resume file", &file]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), csv(3));
    let told = one_by_one(&second).words("--progress-file /no/such/p").ends_with(73).await;
    assert_says(&told.stderr, &["/no/such/p", "--progress-file"]);
    assert_eq!(second.requests().len(), before);
}

#[tokio::test]
async fn standard_input_is_resumed_with_a_named_resume_file() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept").to_str().unwrap().to_owned();
    let success = || Act::Answer(SUCCESS.to_owned());
    let puppet = Puppet::start([success(), Act::HangUp, success()]).await;
    let cli = batch("-").words("--chunk 1").at_address(puppet.address()).stdin(csv(2));
    cli.clone().words("--progress-file").arg(&kept).ends_with(75).await;
    let document = cli.words("--progress-file").arg(&kept).json(0).await;
    assert_eq!((&document["resumed_after"], &document["sent_again"]), (&json!(1), &json!(1)));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_batch_survives_a_daemon_that_is_killed_in_the_middle_of_it() {
    const ENTRIES: usize = 3000;
    let zookeeper = ZooKeeper::shared().await;
    let builder: Builder =
        Daemon::builder(zookeeper).set("ListenAddr", format!("127.0.0.1:{}", free_port()));
    let mut daemon = builder.start().await;
    let file = write(builder.folder(), "large.csv", csv(ENTRIES));
    let cli = batch(&file).words("--chunk 4").config(builder.write_config());

    let running = tokio::spawn({
        let cli = cli.clone();
        async move { cli.run().await }
    });
    eventually("some chunks are acknowledged", seconds(30), || async {
        let text = std::fs::read_to_string(format!("{file}.progress")).ok()?;
        let kept: Value = serde_json::from_str(&text).ok()?;
        (kept["acknowledged"].as_u64()? >= 40).then_some(())
    })
    .await;
    daemon.kill9();
    let told = running.await.unwrap();
    assert!(matches!(told.code, Some(69 | 75)), "{told:?}");
    let kept = progress(&file);
    let acknowledged = kept["acknowledged"].as_u64().unwrap();
    assert!((40..ENTRIES as u64).contains(&acknowledged), "{kept}");
    assert_eq!(kept["under_way"] == 0, told.code == Some(69), "{kept} {told:?}");

    let daemon = builder.start().await;
    let document = cli.json(0).await;
    assert_eq!(document["resumed_after"], acknowledged);
    assert_eq!(document["sent_again"], kept["under_way"]);
    assert_eq!(document["acknowledged"], ENTRIES);
    let paths: Vec<_> = (0..ENTRIES).map(|number| daemon.path(&format!("user{number}"))).collect();
    let values = zookeeper.znodes().await.get_all(&paths).await;
    assert!(values.iter().all(|value| value.as_deref() == Some("btc")));
    // The new daemon got the rest, and no acknowledged entry.
    let rest = ENTRIES - usize::try_from(acknowledged).unwrap();
    eventually("the log has all lines", seconds(20), || async {
        (daemon.log_with(&[" switch, "]).len() >= rest).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(daemon.log_with(&[" switch, "]).len(), rest);
}

#[tokio::test]
async fn a_terminal_shows_a_bar() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "batch.csv", csv(10));
    let puppet = Puppet::start([Act::Answer(SUCCESS.to_owned())]).await;
    let cli = batch(&file).words("--chunk 5").at_address(puppet.address());
    let (code, shown) = on_terminal(&cli, "", "").await;
    assert_eq!(code, Some(0), "{shown}");
    assert_says(&shown, &["[===============               ] 5 of 10 entries", "10 of 10 entries"]);
    assert!(shown.ends_with("\r\u{1b}[K10 entries acknowledged\r\n"), "{shown:?}");
    let (code, shown) = on_terminal(&cli.arg("--json"), "", "").await;
    assert_eq!(code, Some(0));
    assert!(!shown.contains("[="), "{shown}");
}
