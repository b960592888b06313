//! The configuration: refusals and their texts, precedence, secrets, and the command lines that supervisors use today.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::support::client::{self, Answer, Request};
use crate::support::daemon::{Builder, Daemon, PASSWORD, USER};
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, flag, free_port, seconds};

/// Exit status of an invalid configuration (`EX_CONFIG` of sysexits).
const BAD_CONFIGURATION: i32 = 78;

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { panic!("no object: {value}") };
    map
}

#[tokio::test]
async fn all_problems_are_reported_at_once_each_with_its_key() {
    let zookeeper = ZooKeeper::shared().await;
    let bad = Daemon::builder(zookeeper)
        .set("APIUser", "")
        .set("APIPassword", "")
        .set("ListenAddr", "nowhere")
        .set("AvailableCoins", json!([]))
        .set("ZKBroker", json!(["127.0.0.1:"]))
        .set("ZKSwitcherWatchDir", "stratumSwitcher/btcbcc/")
        .set("EnableCronJob", true)
        .set("CronIntervalSeconds", 0)
        .set("StratumServerCaseInsensitive", "perhaps")
        .set("ZKSubPoolUpdateBaseDir", "subpool/")
        .set("ZKSubPoolUpdateAckTimeout", 0)
        .set("ZKSessionTimeoutSeconds", 0)
        .set("APIBodyLimitBytes", "much");
    for finished in [bad.check().await, bad.refuse_to_start().await] {
        assert_eq!(finished.code, Some(BAD_CONFIGURATION), "{finished:?}");
        finished.assert_stderr_names(&[
            "APIUser",
            "APIPassword",
            "ListenAddr",
            "nowhere",
            "AvailableCoins",
            "ZKBroker",
            "ZKSwitcherWatchDir",
            "stratumSwitcher/btcbcc/",
            "CronIntervalSeconds",
            "StratumServerCaseInsensitive",
            "perhaps",
            "ZKSubPoolUpdateBaseDir",
            "ZKSubPoolUpdateAckTimeout",
            "ZKSessionTimeoutSeconds",
            "APIBodyLimitBytes",
        ]);
    }
}

#[tokio::test]
async fn each_value_that_cannot_work_is_refused_by_itself() {
    let zookeeper = ZooKeeper::shared().await;
    let good = Daemon::builder(zookeeper);
    assert_eq!(good.check().await.code, Some(0), "{:?}", good.check().await);
    for (key, value) in [
        ("APIUser", json!("")),
        ("APIUser", json!(null)),
        ("APIPassword", json!("")),
        ("APIPassword", json!(["x"])),
        ("ListenAddr", json!("127.0.0.1")),
        ("ListenAddr", json!("127.0.0.1:99999")),
        ("AdminListenAddr", json!("8083")),
        ("AdminListenAddr", json!(["127.0.0.1:8083"])),
        ("AvailableCoins", json!([])),
        ("AvailableCoins", json!([""])),
        ("AvailableCoins", json!([1])),
        ("AvailableCoins", json!({"btc": true})),
        ("ZKBroker", json!([])),
        ("ZKBroker", json!(["127.0.0.1:"])),
        ("ZKBroker", json!(["127.0.0.1,127.0.0.2"])),
        ("ZKBroker", json!(["::1"])),
        ("ZKBroker", json!([":2181"])),
        ("ZKSwitcherWatchDir", json!("")),
        ("ZKSwitcherWatchDir", json!("relative/")),
        ("ZKSwitcherWatchDir", json!("/a/../b/")),
        ("ZKSwitcherWatchDir", json!("/")),
        ("ZKSwitcherWatchDir", json!("/zookeeper/switcher/")),
        ("AvailableCoins", json!(["btc,bcc"])),
        ("AvailableCoins", json!(["btc "])),
        ("APIUser", json!("admin\n")),
        ("APIPassword", json!("\"secret\"")),
        ("CronIntervalSeconds", json!(60.5)),
        ("ZKSubPoolUpdateBaseDir", json!("relative/")),
        ("ZKSubPoolUpdateAckTimeout", json!(0)),
        ("ZKSubPoolUpdateAckTimeout", json!(-1)),
        ("ZKRequestTimeoutSeconds", json!(0)),
        ("ShutdownGraceSeconds", json!("soon")),
    ] {
        let bad = good.clone().set(key, value.clone());
        let finished = bad.check().await;
        assert_eq!(finished.code, Some(BAD_CONFIGURATION), "{key}: {value}: {finished:?}");
        finished.assert_stderr_names(&[key]);
    }
    for key in ["APIUser", "APIPassword", "AvailableCoins", "ZKBroker", "ZKSwitcherWatchDir"] {
        let finished = good.clone().without(key).check().await;
        assert_eq!(finished.code, Some(BAD_CONFIGURATION), "without {key}: {finished:?}");
        finished.assert_stderr_names(&[key]);
    }
}

#[tokio::test]
async fn a_file_that_is_missing_or_no_json_is_reported_with_its_path() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = Daemon::builder(zookeeper);
    let missing = builder.folder().join("missing.json");
    let broken = builder.folder().join("broken.json");
    std::fs::write(&broken, "{\n  \"APIUser\": \"admin\",\n  nonsense\n}\n").unwrap();
    let list = builder.folder().join("list.json");
    std::fs::write(&list, "[]").unwrap();
    for file in [missing, broken, list] {
        for command in [vec!["check".into()], vec![]] {
            let arguments = [command, vec!["--config".into(), OsString::from(&file)]].concat();
            let finished = builder.run(&arguments).await;
            assert_eq!(finished.code, Some(BAD_CONFIGURATION), "{arguments:?}: {finished:?}");
            finished.assert_stderr_names(&[file.to_str().unwrap()]);
        }
    }
}

#[tokio::test]
async fn a_warning_about_a_misspelt_key_names_the_intended_key() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = Daemon::builder(zookeeper)
        .set("ZKSubPoolUpdateAckTimout", 3)
        .set("AvailableCoin", json!(["btc"]))
        .set("SomebodyElsesSetting", true);
    let finished = builder.check().await;
    assert_eq!(finished.code, Some(0), "one file serves several programs: {finished:?}");
    for (found, meant) in [
        ("ZKSubPoolUpdateAckTimout", "ZKSubPoolUpdateAckTimeout"),
        ("AvailableCoin", "AvailableCoins"),
    ] {
        let shown = finished.shown();
        let told = shown.lines().find(|line| {
            // The key itself, not only the intended one, which may contain it.
            line.contains(meant) && line.replace(meant, "").contains(found)
        });
        assert!(told.is_some(), "no line with {found} and {meant}:\n{shown}");
    }
    assert!(!finished.shown().contains("SomebodyElsesSetting"), "it is near to none of our keys");

    let daemon = builder.start().await;
    daemon.wait_for_log(&["ZKSubPoolUpdateAckTimout", "ZKSubPoolUpdateAckTimeout"]).await;
}

#[tokio::test]
async fn a_secret_is_never_shown() {
    let zookeeper = ZooKeeper::shared().await;
    let secret = "t0p-s3cr3t";
    let good = Daemon::builder(zookeeper).set("APIPassword", secret);
    let bad_elsewhere = good.clone().set("ZKSwitcherWatchDir", "relative");
    let bad_itself = good.clone().set("APIPassword", json!([secret]));
    let misspelt = good.clone().without("APIPassword").set("APIPasword", secret);
    let zookeepers = good.clone().set("ZKDigestCredentials", format!("switcher:{secret}"));
    let zookeepers_bad = good.clone().set("ZKDigestCredentials", secret);
    let overridden = good.clone().environment("APIPassword", secret).set("APIPassword", "other");
    let all = [bad_elsewhere, bad_itself, misspelt, zookeepers, zookeepers_bad, overridden];
    for builder in all.iter().chain([&good]) {
        let finished = builder.check().await;
        assert!(!finished.shown().contains(secret), "{}", finished.shown());
    }
    let broken = good.folder().join("broken.json");
    std::fs::write(&broken, format!("{{\"APIPassword\": \"{secret}\" nonsense}}")).unwrap();
    let finished = good.run(&["check".into(), "--config".into(), broken.into()]).await;
    assert!(!finished.shown().contains(secret), "{}", finished.shown());

    let daemon = good.argument("-v").argument("3").start().await;
    let request = Request::switch("alice", "btc").credentials(USER, secret);
    assert_eq!(daemon.send_as_is(&request).await.answer(), Answer::success());
    daemon.wait_for_log(&["sub_account: alice"]).await;
    assert_eq!(daemon.log_with(&[secret]), Vec::<String>::new());
}

#[tokio::test]
async fn the_environment_overrides_the_file_and_keeps_text_as_text() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper)
        .set("ListenAddr", "nowhere")
        .set("AvailableCoins", json!(["xyz"]))
        .set("ZKBroker", json!(["nowhere"]))
        .set("EnableCronJob", true)
        .set("CronIntervalSeconds", 0)
        .set("StratumServerCaseInsensitive", false)
        .environment("APIUser", "1e3")
        .environment("APIPassword", "007")
        .environment("ListenAddr", "127.0.0.1:0")
        .environment("AvailableCoins", "btc,bcc")
        .environment("ZKBroker", &format!("{0},{0}", zookeeper.address()))
        .environment("EnableCronJob", "false")
        .environment("CronIntervalSeconds", "30")
        .environment("StratumServerCaseInsensitive", "true")
        .start()
        .await;
    let znodes = zookeeper.znodes().await;
    for coin in ["btc", "bcc"] {
        let request = Request::switch("ALICE", coin).credentials("1e3", "007");
        assert_eq!(daemon.send_as_is(&request).await.answer(), Answer::success());
        assert_eq!(znodes.get(&daemon.path("alice")).await.as_deref(), Some(coin));
    }
    for (user, password) in [("1e3", "7"), ("1000", "007"), (USER, PASSWORD)] {
        let request = Request::switch("alice", "btc").credentials(user, password);
        assert_eq!(daemon.send_as_is(&request).await.status, 401, "{user}:{password}");
    }
}

#[tokio::test]
async fn the_environment_alone_is_a_configuration() {
    let zookeeper = ZooKeeper::shared().await;
    let usual = Daemon::builder(zookeeper);
    let watch_dir = "/t/environment/alone/";
    let daemon = usual
        .replace(Map::new())
        .environment("EnableAPIServer", "true")
        .environment("APIUser", USER)
        .environment("APIPassword", PASSWORD)
        .environment("ListenAddr", "127.0.0.1:0")
        .environment("AdminListenAddr", "")
        .environment("AvailableCoins", "btc,bcc")
        .environment("ZKBroker", &zookeeper.address())
        .environment("ZKSwitcherWatchDir", watch_dir)
        .environment("EnableCronJob", "false")
        .start()
        .await;
    assert_eq!(daemon.switch("alice", "bcc").await, Answer::success());
    let znodes = zookeeper.znodes().await;
    assert_eq!(znodes.get(&format!("{watch_dir}alice")).await.as_deref(), Some("bcc"));
}

#[tokio::test]
async fn a_wrong_value_in_the_environment_is_reported_like_one_in_the_file() {
    let zookeeper = ZooKeeper::shared().await;
    let finished = Daemon::builder(zookeeper)
        .without("APIPassword")
        .environment("EnableCronJob", "perhaps")
        .environment("APIPassword", "")
        .environment("ZKBroker", "127.0.0.1:2181,nowhere:")
        .check()
        .await;
    assert_eq!(finished.code, Some(BAD_CONFIGURATION), "{finished:?}");
    finished.assert_stderr_names(&[
        "EnableCronJob",
        "perhaps",
        "APIPassword",
        "ZKBroker",
        "nowhere",
    ]);
}

#[tokio::test]
async fn a_file_in_use_today_passes_unchanged() {
    let zookeeper = ZooKeeper::shared().await;
    let today = object(json!({
        "EnableAPIServer": true,
        "APIUser": "admin",
        "APIPassword": "admin",
        "ListenAddr": "0.0.0.0:8082",
        "AvailableCoins": ["btc", "bcc"],
        "ZKBroker": ["127.0.0.1:2181"],
        "ZKSwitcherWatchDir": "/stratumSwitcher/btcbcc/",
        "EnableCronJob": true,
        "CronIntervalSeconds": 60,
        "UserCoinMapURL": "http://127.0.0.1:8000/usercoin.php",
        "StratumServerCaseInsensitive": false,
        "ZKSubPoolUpdateBaseDir": "/subpool/",
        "ZKSubPoolUpdateAckTimeout": 5,
    }));
    let builder = Daemon::builder(zookeeper).replace(today);
    for builder in [
        builder.clone(),
        builder.clone().without("ZKSubPoolUpdateBaseDir").without("ZKSubPoolUpdateAckTimeout"),
        builder.clone().set("ZKSubPoolUpdateBaseDir", ""),
    ] {
        let finished = builder.check().await;
        assert_eq!(finished.code, Some(0), "{finished:?}");
    }
}

#[tokio::test]
async fn addresses_as_go_writes_them_pass() {
    let zookeeper = ZooKeeper::shared().await;
    for address in [":8082", "localhost:8082", "0.0.0.0:8082", "[::]:8082", "[::1]:8082"] {
        let finished = Daemon::builder(zookeeper).set("ListenAddr", address).check().await;
        assert_eq!(finished.code, Some(0), "{address}: {finished:?}");
    }
    for broker in
        ["zk1.example.com:2181", "localhost:2181", "10.0.0.1:2181", "[::1]:2181", "zk1", "[::1]"]
    {
        let brokers = json!([broker, "zk2:2181"]);
        let finished = Daemon::builder(zookeeper).set("ZKBroker", brokers).check().await;
        assert_eq!(finished.code, Some(0), "{broker}: {finished:?}");
    }
}

#[tokio::test]
async fn every_shipped_configuration_passes_the_check() {
    let zookeeper = ZooKeeper::shared().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    // This file configures Grafana.
    files.retain(|file| !file.ends_with("grafana-dashboard.json"));
    assert!(!files.is_empty(), "no configuration in {}", folder.display());
    for file in files {
        let arguments = ["check".into(), "--config".into(), file.clone().into()];
        let finished = Daemon::builder(zookeeper).run(&arguments).await;
        assert_eq!(finished.code, Some(0), "{}: {finished:?}", file.display());
    }
}

#[tokio::test]
async fn the_command_lines_of_today_start_the_daemon() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = Daemon::builder(zookeeper);
    let file = OsString::from(builder.write_config());
    let glued = |name: &str| vec![flag(name, &file)];
    let apart = |name: &str| vec![name.into(), file.clone()];
    let also = |more: &[&str]| {
        let more = more.iter().map(OsString::from);
        glued("-config").into_iter().chain(more).collect::<Vec<_>>()
    };
    for arguments in [
        glued("-config"),
        glued("--config"),
        apart("-config"),
        apart("--config"),
        [vec!["serve".into()], apart("--config")].concat(),
        also(&["-v", "2"]),
        also(&["-v=2"]),
        also(&["--v=2"]),
        also(&["--v", "2"]),
        also(&["-logtostderr"]),
        also(&["--logtostderr"]),
        also(&["-logtostderr=true"]),
        also(&["-logtostderr=1"]),
        also(&["--logtostderr=TRUE"]),
        also(&["-logtostderr=t", "-alsologtostderr=F"]),
        also(&["-log_dir="]),
        also(&["-v=1", "-v", "2", "-logtostderr=0", "-logtostderr"]),
        [vec![flag("-config", "/nowhere.json")], glued("--config")].concat(),
        also(&["-logtostderr", "-v", "2"]),
    ] {
        let daemon = builder.start_with(&arguments).await;
        assert_eq!(daemon.switch("alice", "btc").await, Answer::success(), "{arguments:?}");
    }
}

/// As in the daemon that this one replaces (user-list contract, section 9).
#[tokio::test]
async fn words_after_the_flags_are_ignored_with_a_warning() {
    let zookeeper = ZooKeeper::shared().await;
    for (words, shown) in [
        (&["foo", "-nosuch"][..], r#""foo" "-nosuch""#),
        (&["-logtostderr", "false"], r#""false""#),
        (&["-"], r#""-""#),
        (&["--", "-x"], r#""-x""#),
    ] {
        let builder = words.iter().fold(Daemon::builder(zookeeper), |it, word| it.argument(word));
        let daemon = builder.start().await;
        assert_eq!(daemon.switch("alice", "btc").await, Answer::success(), "{words:?}");
        let lines = daemon.log_with(&["arguments after the flags are ignored", shown]);
        assert_eq!(lines.len(), 1, "{words:?}: {:#?}", daemon.log());
    }
    let finished = Daemon::builder(zookeeper).run(&["chekc".into()]).await;
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert!(finished.stderr.contains("'check'"), "{finished:?}");
}

#[tokio::test]
async fn the_log_goes_to_the_log_folder() {
    let zookeeper = ZooKeeper::shared().await;
    for (number, spelling) in
        [&["-log_dir="][..], &["--log_dir="], &["-log_dir"], &["--log_dir"]].iter().enumerate()
    {
        let address = format!("127.0.0.1:{}", free_port());
        let builder = Daemon::builder(zookeeper).set("ListenAddr", address.clone());
        let folder = builder.folder().join(format!("log{number}"));
        std::fs::create_dir(&folder).unwrap();
        let mut arguments = vec![flag("-config", builder.write_config())];
        match spelling[0].strip_suffix('=') {
            Some(name) => arguments.push(flag(name, &folder)),
            None => arguments.extend([spelling[0].into(), folder.clone().into()]),
        }
        arguments.extend(["-v".into(), "2".into()]);

        let (_process, on_stderr) = builder.spawn(&arguments);
        let what = format!("the daemon with {arguments:?} listens: {:?}", on_stderr.lines());
        let request = Request::switch("alice", "btc").credentials(USER, PASSWORD);
        let answer = eventually(&what, seconds(20), || async {
            client::send(&address, &request).await.ok()
        })
        .await;
        assert_eq!(answer.answer(), Answer::success());
        let what = format!("the log of {arguments:?} is in its folder");
        eventually(&what, seconds(10), || async {
            let log = log_text(&folder);
            (log.contains("listening") && log.contains("sub_account: alice")).then_some(())
        })
        .await;
        assert!(on_stderr.lines_with(&["sub_account"]).is_empty(), "{:?}", on_stderr.lines());
    }
}

#[tokio::test]
async fn every_error_shows_a_line_end_of_a_windows_file() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = Daemon::builder(zookeeper);
    let file = builder.write_config();
    let folder = builder.folder().join("log");
    for (argument, code) in [
        (format!("-config={}\r", file.display()), 2),
        (format!("-log_dir={}\r", folder.display()), 2),
        ("-v=2\r".to_owned(), 2),
        ("-logtostderr\r".to_owned(), 2),
        ("-logtostderr=true\r".to_owned(), 2),
        ("check\r".to_owned(), 2),
    ] {
        let finished = builder.run(&[flag("-config", &file), argument.clone().into()]).await;
        assert_eq!(finished.code, Some(code), "{argument:?}: {finished:?}");
        assert!(finished.stderr.contains("\\r") && !finished.stderr.contains('\r'), "{finished:?}");
    }
    assert!(!folder.with_file_name("log\r").exists());
    for (key, value) in [
        ("ListenAddr", "127.0.0.1:0\r"),
        ("ZKSwitcherWatchDir", "/switcher/\r"),
        ("LogLevel", "loud\r"),
        ("APIPassword", "secret\r"),
    ] {
        let finished = builder.clone().environment(key, value).check().await;
        assert_eq!(finished.code, Some(BAD_CONFIGURATION), "{key}: {finished:?}");
        assert!(finished.stderr.contains("\\r") && !finished.stderr.contains('\r'), "{finished:?}");
    }
}

#[tokio::test]
async fn a_file_with_a_byte_order_mark_and_numbers_of_a_template_starts_the_daemon() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = Daemon::builder(zookeeper).set("ZKQueueLimit", 0);
    let text = std::fs::read_to_string(builder.write_config()).unwrap();
    let text = text.replace("\"ZKQueueLimit\":0", "\"ZKQueueLimit\": 1.048576e+06");
    let text = text.replace("\"ZKQueueLimit\": 0", "\"ZKQueueLimit\": 1.048576e+06");
    assert!(text.contains("1.048576e+06"), "{text}");
    let file = builder.folder().join("marked.json");
    std::fs::write(&file, format!("\u{feff}{text}")).unwrap();
    let daemon = builder.start_with(&[flag("-config", &file)]).await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
}

#[tokio::test]
async fn the_start_and_the_check_warn_about_a_published_password() {
    let zookeeper = ZooKeeper::shared().await;
    let builder =
        Daemon::builder(zookeeper).set("APIPassword", "admin").set("ListenAddr", "[::]:0");
    let finished = builder.check().await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let expected = "APIPassword is the password of the published samples, and ListenAddr ([::]:0)";
    assert!(finished.shown().contains(expected), "{finished:?}");
    let (_process, log) = builder.spawn(&[flag("-config", builder.write_config())]);
    eventually("the warning is logged", seconds(20), || async {
        (!log.lines_with(&["WARN", expected]).is_empty()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn directories_that_overlap_start_no_daemon() {
    let zookeeper = ZooKeeper::shared().await;
    let overlapping = Daemon::builder(zookeeper)
        .set("ZKSwitcherWatchDir", "/t/subpool/btc/")
        .set("ZKSubPoolUpdateBaseDir", "/t/subpool/");
    for finished in [overlapping.check().await, overlapping.refuse_to_start().await] {
        assert_eq!(finished.code, Some(BAD_CONFIGURATION), "{finished:?}");
        finished.assert_stderr_names(&[
            "ZKSubPoolUpdateBaseDir",
            "\"/t/subpool\"",
            "ZKSwitcherWatchDir",
            "\"/t/subpool/btc\"",
        ]);
    }
}

fn log_text(folder: &Path) -> String {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.map(|file| std::fs::read_to_string(file).unwrap_or_default()).collect()
}

#[tokio::test]
async fn help_and_version_are_printed_and_a_wrong_flag_is_refused() {
    let zookeeper = ZooKeeper::shared().await;
    let builder: Builder = Daemon::builder(zookeeper);
    let help = builder.run(&["--help".into()]).await;
    assert_eq!(help.code, Some(0), "{help:?}");
    for part in ["--config", "check", "serve", "AdminListenAddr"] {
        assert!(help.stdout.contains(part), "no {part} in {help:?}");
    }
    let version = builder.run(&["--version".into()]).await;
    assert_eq!(version.code, Some(0), "{version:?}");
    assert!(version.stdout.contains(env!("CARGO_PKG_VERSION")), "{version:?}");
    let wrong = builder.run(&["--no-such-flag".into()]).await;
    assert!(wrong.code.is_some_and(|code| code != 0), "{wrong:?}");
    wrong.assert_stderr_names(&["no-such-flag"]);
}
