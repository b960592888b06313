//! `doctor`: everything in order, and each possible problem by itself.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use jobmaker_sim::{Jobmaker, Knobs, SubPool};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use upstream_sim::{Reply, Upstream};

use super::puppet::{Act, Puppet, SUCCESS};
use super::{Cli, assert_says};
use crate::polls::{now, url};
use crate::support::daemon::{Builder, Daemon};
use crate::support::zookeeper::{DIGEST_CREDENTIALS, Znodes, ZooKeeper};
use crate::support::{free_port, unique};

/// Every dependency of a daemon, in order.
struct Scene {
    builder: Builder,
    daemon: Daemon,
    upstream: Upstream,
    base: String,
    znodes: Znodes,
    _jobmaker: Jobmaker,
}

async fn scene() -> Scene {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = Upstream::start(|_| Reply::map(&[("alice", "btc")], now())).await.unwrap();
    let base = format!("/t/{}/subpool/", unique("doctor"));
    let sub_pool = SubPool::new(&format!("{base}btc/pool3"), "hello", "x");
    let jobmaker =
        Jobmaker::start(&zookeeper.address(), vec![sub_pool], Knobs::default()).await.unwrap();
    let builder = Daemon::builder(zookeeper)
        .set("EnableCronJob", true)
        .set("UserCoinMapURL", url(&upstream))
        .set("ZKSubPoolUpdateBaseDir", base.clone())
        .set("ListenAddr", format!("127.0.0.1:{}", free_port()));
    let daemon = builder.start().await;
    let znodes = zookeeper.znodes().await;
    Scene { builder, daemon, upstream, base, znodes, _jobmaker: jobmaker }
}

impl Scene {
    fn doctor(&self) -> Cli {
        doctor(&self.builder)
    }
}

pub fn doctor(builder: &Builder) -> Cli {
    let config = builder.write_config();
    std::fs::set_permissions(&config, Permissions::from_mode(0o644)).unwrap();
    Cli::new("doctor").config(config)
}

/// Runs `doctor` and returns the texts of a check's findings at one level. Panics if a finding that needs a remedy
/// lacks it.
pub async fn found(cli: &Cli, level: &str, check: &str) -> Vec<String> {
    let finished = cli.clone().arg("--json").run().await;
    let document: Value = serde_json::from_str(&finished.stdout).unwrap();
    let findings = document["findings"].as_array().unwrap();
    let count = |level: &str| findings.iter().filter(|finding| finding["level"] == level).count();
    assert_eq!(document["problems"], count("problem"));
    assert_eq!(document["warnings"], count("warning"));
    assert_eq!(finished.code, Some(i32::from(count("problem") > 0)), "{document}");
    for finding in findings {
        assert_eq!(finding["remedy"].is_null(), finding["level"] == "ok", "{finding}");
    }
    let text = |finding: &Value| finding["text"].as_str().unwrap().to_owned();
    let wanted = findings.iter().filter(|it| it["level"] == level && it["check"] == check);
    wanted.map(text).collect()
}

/// Panics unless the check has exactly one finding of this level, with all `parts`.
pub async fn finds(cli: &Cli, level: &str, check: &str, parts: &[&str]) {
    let texts = found(cli, level, check).await;
    assert_eq!(texts.len(), 1, "{level} {check}: {texts:?}");
    assert_says(&texts[0], parts);
}

#[tokio::test]
async fn all_is_well_but_for_the_open_znodes() {
    let scene = scene().await;
    let told = scene.doctor().ends_with(0).await;
    assert_eq!(told.stderr, "");
    assert_says(
        &told.stdout,
        &[
            "warning  configuration: APIPassword is the password of the published samples",
            "APIPassword in it, and every user of this machine may read it (mode 644)",
            "ok       configuration: valid",
            "ok       broker: 127.0.0.1:",
            "version 3.",
            "ok       session: granted",
            "ok       path: ZKSwitcherWatchDir exists",
            "ok       path: ZKSubPoolUpdateBaseDir exists",
            "warning  acl: any client that reaches ZooKeeper may change /t/",
            "         → let only the pool's machines reach ZooKeeper",
            "ok       jobmaker: btc/pool3 acked ",
            "ok       upstream: http://127.0.0.1:",
            "answers with 1 sub-accounts",
            "ok       clock: the upstream's now_date is ",
            "ok       api: 127.0.0.1:",
            "answers, and accepts the credentials",
            "problems: 0, warnings: 4",
        ],
    );
    assert_eq!(scene.daemon.log_with(&[" switch, source: api"]), Vec::<String>::new());
    finds(&scene.doctor(), "ok", "api", &["accepts the credentials"]).await;
}

#[tokio::test]
async fn parts_that_are_off_are_not_checked() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = Upstream::start(|_| Reply::map(&[], now())).await.unwrap();
    let builder = Daemon::builder(zookeeper)
        .set("EnableAPIServer", false)
        .set("EnableCronJob", true)
        .set("UserCoinMapURL", url(&upstream));
    zookeeper.znodes().await.put("/t/off", "").await;
    let builder = builder.set("ZKSwitcherWatchDir", "/t/off/");
    let told = doctor(&builder).ends_with(0).await;
    assert_says(&told.stdout, &["EnableAPIServer is false", "ZKSubPoolUpdateBaseDir is empty"]);
    let builder = builder.set("EnableAPIServer", true).set("EnableCronJob", false);
    finds(&doctor(&builder), "ok", "upstream", &["EnableCronJob is false"]).await;
}

#[tokio::test]
async fn a_bad_configuration_is_found_key_by_key() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = Daemon::builder(zookeeper).set("ZKBroker", "x").set("AvailableCoins", json!([]));
    let problems = found(&doctor(&builder), "problem", "configuration").await;
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert_says(&problems.join("\n"), &["ZKBroker: ", "AvailableCoins: "]);
    let builder = Daemon::builder(zookeeper).set("APIUsr", "x").set("APIPassword", "another");
    let warnings = found(&doctor(&builder), "warning", "configuration").await;
    assert_says(&warnings[0], &["APIUsr", "APIUser"]);
    assert_says(&warnings[1], &["every user of this machine may read it"]);
    // A password of the environment is not in the file.
    let file = builder.write_config();
    std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let arguments = ["check".into(), "--config".into(), file.into()];
    for (builder, is_in_file) in
        [(builder.clone(), true), (builder.environment("APIPassword", "another"), false)]
    {
        let told = builder.run(&arguments).await.shown();
        assert_eq!(told.contains("every user of this machine may read it"), is_in_file, "{told}");
    }
    let problems = found(&Cli::new("doctor").config("/no/such"), "problem", "configuration").await;
    assert_says(&problems.join("\n"), &["/no/such"]);
}

#[tokio::test]
async fn brokers_that_do_not_answer_are_found() {
    let zookeeper = ZooKeeper::shared().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_address = silent.local_addr().unwrap().to_string();
    let old = old_broker().await;
    let nobody = format!("127.0.0.1:{}", free_port());
    let builder = Daemon::builder(zookeeper)
        .set("ZKBroker", json!([zookeeper.address(), silent_address, nobody, old]));
    let cli = doctor(&builder);
    finds(&cli, "ok", "broker", &[&zookeeper.address(), "version"]).await;
    finds(&cli, "warning", "broker", &[&silent_address, "does not report its version"]).await;
    let problems = found(&cli, "problem", "broker").await;
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert_says(&problems[0], &[&nobody, "refused"]);
    assert_says(&problems[1], &[&old, "has version 3.4.5"]);

    let builder = builder.set("ZKBroker", json!([nobody])).set("ZKSessionTimeoutSeconds", 1);
    finds(&doctor(&builder), "problem", "session", &["not granted", &nobody]).await;
    assert_eq!(found(&doctor(&builder), "problem", "path").await, Vec::<String>::new());
}

/// Address of a server that claims to be a ZooKeeper of an unsupported version.
async fn old_broker() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let text = b"Zookeeper version: 3.4.5-1392090, built on 09/30/2012 17:52 GMT\n";
            // An unread question would reset the connection, and the answer with it.
            if stream.read_exact(&mut [0; 4]).await.is_ok() {
                let _ = stream.write_all(text).await;
            }
        }
    });
    address
}

#[tokio::test]
async fn paths_that_are_absent_or_closed_are_found() {
    let zookeeper = ZooKeeper::shared().await;
    let znodes = zookeeper.znodes().await;
    let root = format!("/t/{}", unique("doctor-paths"));
    znodes.put(&root, "").await;
    let builder = |watch_dir: &str| {
        let dir = format!("{root}/{watch_dir}/");
        Daemon::builder(zookeeper).set("ZKSwitcherWatchDir", dir)
    };
    let absent = builder("absent").set("ZKSubPoolUpdateBaseDir", format!("{root}/none/"));
    let problems = found(&doctor(&absent), "problem", "path").await;
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert_says(&problems[0], &["ZKSwitcherWatchDir", &format!("{root}/absent"), "is absent"]);
    assert_says(&problems[1], &["ZKSubPoolUpdateBaseDir", &format!("{root}/none"), "is absent"]);

    znodes.put_forbidden(&format!("{root}/forbidden"), "").await;
    finds(&doctor(&builder("forbidden")), "problem", "path", &["cannot be read"]).await;
    znodes.put_read_only(&format!("{root}/closed"), "").await;
    let closed = builder("closed");
    finds(&doctor(&closed), "problem", "acl", &["may not create", "digest:somebody may"]).await;
    let ours = builder("ours").set("ZKDigestCredentials", DIGEST_CREDENTIALS);
    znodes.put_for_digest_user(&format!("{root}/ours"), "").await;
    finds(&doctor(&ours), "ok", "acl", &["not open to the world"]).await;
    znodes.put(&format!("{root}/open"), "").await;
    finds(&doctor(&builder("open")), "warning", "acl", &["any client", "/open"]).await;
}

#[tokio::test]
async fn silent_jobmakers_are_found() {
    let scene = scene().await;
    let hours_later = |cli: Cli| fake_time(cli, "+2h");
    finds(&scene.doctor(), "ok", "jobmaker", &["btc/pool3 acked "]).await;
    if let Some(later) = hours_later(scene.doctor()) {
        finds(&later, "problem", "jobmaker", &["btc/pool3 acked 7", "more than 900"]).await;
    }
    scene.znodes.put(&format!("{}btc/id\u{202e}le", scene.base), "{}").await;
    finds(&scene.doctor(), "problem", "jobmaker", &["\"btc/id\\u{202e}le\"", "no ack znode"]).await;

    scene.znodes.put(&format!("{}bcc/closed", scene.base), "{}").await;
    scene.znodes.put_forbidden(&format!("{}bcc/closed/ack", scene.base), "").await;
    let problems = found(&scene.doctor(), "problem", "jobmaker").await;
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert_says(&problems[0], &["ack of bcc/closed cannot be read"]);

    let empty = format!("{}empty/", scene.base.trim_end_matches("subpool/"));
    scene.znodes.put(empty.trim_end_matches('/'), "").await;
    let builder = scene.builder.clone().set("ZKSubPoolUpdateBaseDir", empty);
    finds(&doctor(&builder), "warning", "jobmaker", &["no sub-pool"]).await;
}

/// A command with another clock; `None` where libfaketime is not installed.
pub fn fake_time(cli: Cli, offset: &str) -> Option<Cli> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten();
    let files = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    let library: PathBuf = files.into_iter().find(|file| file.is_file())?;
    let cli = cli.environment("LD_PRELOAD", library.to_str()?);
    Some(cli.environment("FAKETIME", offset).environment("FAKETIME_DONT_FAKE_MONOTONIC", "1"))
}

#[tokio::test]
async fn an_upstream_that_is_away_or_odd_is_found() {
    let scene = scene().await;
    let cli = scene.doctor();
    let answer = |reply: fn() -> Reply| scene.upstream.otherwise(move |_| reply());
    answer(|| Reply::status(500, "Oops", "text/html", "<b>"));
    finds(&cli, "problem", "upstream", &["status 500"]).await;
    answer(|| Reply::json(r#"{"err_no":0,"data":{"alice":"btc"}}"#));
    finds(&cli, "warning", "upstream", &["data is the map itself"]).await;
    finds(&cli, "ok", "clock", &["no now_date"]).await;
    answer(|| Reply::map(&[("alice", "btc"), ("bob", "ltc")], now()));
    finds(&cli, "warning", "upstream", &["1 entries", "bob", "ltc"]).await;
    answer(|| Reply::map(&[], now() + 1000));
    finds(&cli, "warning", "clock", &["s ahead of our clock"]).await;
    answer(|| Reply::map(&[], now() - 1000));
    finds(&cli, "warning", "clock", &["s behind our clock"]).await;
    answer(|| Reply::map(&[], now() * 1000));
    finds(&cli, "problem", "clock", &["is not followed"]).await;
    answer(|| Reply::map(&[], 0));
    finds(&cli, "problem", "clock", &["is not followed"]).await;
    drop(scene.upstream);
    finds(&cli, "problem", "upstream", &["cannot connect"]).await;
}

#[tokio::test]
async fn a_daemon_that_is_away_or_another_is_found() {
    let scene = scene().await;
    let Scene { daemon, builder, .. } = &scene;
    let wrong = doctor(builder).words("--password wrong");
    finds(&wrong, "problem", "api", &["admin", "401"]).await;
    let elsewhere = |puppet: &Puppet| {
        doctor(builder).words(&format!("--timeout 1 --server {}", puppet.address()))
    };
    for (act, part) in [
        (Act::Raw("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx".to_owned()), "not this daemon"),
        (Act::Silence, "gave no answer"),
        (Act::Answer(SUCCESS.to_owned()), "answers 0"),
    ] {
        let puppet = Puppet::start([act]).await;
        finds(&elsewhere(&puppet), "problem", "api", &[puppet.address(), part]).await;
    }
    let address = daemon.base().to_owned();
    drop(scene.daemon);
    finds(&doctor(&scene.builder), "problem", "api", &[&address, "cannot connect"]).await;
    let builder = scene.builder.clone().set("ListenAddr", "127.0.0.1:0");
    finds(&doctor(&builder), "problem", "api", &["127.0.0.1:0", "--server"]).await;
}
