//! Each key: a reload applies another value, or is rejected with the key's name.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};
use upstream_sim::{Reply, Upstream};

use super::{REFUSED, applied, patient, reload};
use crate::support::client::{Answer, Request};
use crate::support::daemon::{Builder, PASSWORD, USER};
use crate::support::unique;
use crate::support::zookeeper::ZooKeeper;

/// Keys in `--help`, and whether it marks them as reloadable.
async fn keys(builder: &Builder) -> BTreeMap<String, bool> {
    let help = builder.run(&["--help".into()]).await.stdout;
    let (_, list) = help.split_once("Configuration keys").expect("the list of keys");
    let lines = list.lines().skip(1).filter_map(|line| line.trim().split_once(": "));
    lines.map(|(name, text)| (name.to_owned(), text.trim_end().ends_with("[reload]"))).collect()
}

/// A value for every key, so that each can get another. Fields of `UserAutoRegAPI` have their keys' names, which a file
/// may have, too.
fn every_key() -> Map<String, Value> {
    let text = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/config/default.json")).unwrap();
    let mut keys: Map<String, Value> = serde_json::from_slice(&text).unwrap();
    let Some(Value::Object(fields)) = keys.remove("UserAutoRegAPI") else { panic!("no object") };
    keys.extend(fields.into_iter().map(|(name, value)| (format!("UserAutoRegAPI_{name}"), value)));
    keys
}

/// Keys that name files of TLS, which are valid only together; they have tests of their own.
fn is_of_tls(key: &str) -> bool {
    key.contains("TLS") && key.ends_with("File")
}

fn another(key: &str, value: &Value, upstream: &Upstream, users: &Path) -> Value {
    match (key, value) {
        ("UsersFile", _) => json!(users),
        (_, Value::Bool(flag)) => json!(!flag),
        (_, Value::Number(number)) => json!(number.as_u64().unwrap() + 1),
        ("UserListAPI", _) => json!({"btc": format!("http://{}/list", upstream.address())}),
        ("UserListAddr", _) => json!("127.0.0.1:3"),
        ("UserListAllow" | "TrustedProxies", _) => json!(["10.0.0.0/8"]),
        ("APIRoles", _) => json!(["viewer", "switcher"]),
        ("TLSListeners", _) => json!(["api"]),
        (_, Value::Object(_)) => json!({"another": "text"}),
        ("AvailableCoins", _) => json!(["btc", "ltc"]),
        ("AdminHosts", _) => json!(["console.example.com"]),
        ("HistorySync", _) => json!("all"),
        ("LogFormat", _) => json!("json"),
        ("LogLevel", _) => json!("info,zk_writer=debug"),
        ("ZKBroker", _) => json!(["127.0.0.1:1"]),
        ("ListenAddr", _) => json!("127.0.0.1:1"),
        ("AdminListenAddr", _) => json!("127.0.0.1:2"),
        ("UserCoinMapURL", _) => json!(format!("http://{}/another", upstream.address())),
        ("ZKServerVersion", _) => json!("3.4.13"),
        ("ZKDigestCredentials", _) => json!("somebody:secret"),
        (key, _) if key.starts_with("ZK") => json!("/t/another/place"),
        _ => json!("another"),
    }
}

#[tokio::test]
async fn each_key_is_applied_or_rejected_by_its_name() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = Upstream::start(|_| Reply::map(&[], 1_513_239_055)).await.unwrap();
    let here = unique("reloaded");
    let mut config = every_key();
    for (key, value) in [
        ("EnableAPIServer", json!(true)),
        ("APIUser", json!(USER)),
        ("APIPassword", json!(PASSWORD)),
        ("ListenAddr", json!("127.0.0.1:0")),
        ("AdminListenAddr", json!("127.0.0.1:0")),
        // Its directory is not there on every machine.
        ("HistoryFile", json!("")),
        ("MetricsUser", json!("scraper")),
        ("MetricsPassword", json!("scraping")),
        ("UserListUser", json!("sserver")),
        ("UserListPassword", json!("polling")),
        ("ZKAutoRegWatchDir", json!(format!("/t/{here}/requests/"))),
        ("AvailableCoins", json!(["btc", "bcc"])),
        ("ZKBroker", json!([zookeeper.address()])),
        ("ZKSwitcherWatchDir", json!(format!("/t/{here}/watch/"))),
        ("ZKSubPoolUpdateBaseDir", json!(format!("/t/{here}/subpool/"))),
        ("EnableCronJob", json!(true)),
        ("ZKRequestTimeoutSeconds", json!(60)),
        ("ZKSessionTimeoutSeconds", json!(30)),
        ("UserCoinMapURL", json!(format!("http://{}/map", upstream.address()))),
        ("LogFormat", json!("human")),
    ] {
        config.insert(key.to_owned(), value);
    }
    let builder = patient(zookeeper).replace(config.clone()).without_environment("LogFormat");
    let daemon = builder.start().await;
    let keys = keys(&builder).await;
    let users = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&users, r#"{"users":[]}"#).unwrap();
    let names: Vec<_> = config.keys().collect();
    assert_eq!(keys.keys().collect::<Vec<_>>(), names, "the sample and --help differ");
    for (key, is_reloadable) in keys.iter().filter(|(key, _)| !is_of_tls(key)) {
        let other = another(key, &config[key], &upstream, users.path());
        let with = builder.clone().set(key, other);
        let lines = reload(&daemon, &with).await;
        let last = lines.last().unwrap();
        if *is_reloadable {
            let changed = last.split_once("changed: ").unwrap_or_else(|| panic!("{lines:#?}")).1;
            assert!(changed.starts_with(&format!("{key} ")) && !changed.contains(';'), "{changed}");
            assert!(applied(&daemon, &builder).await.starts_with(key));
        } else {
            assert!(last.contains(REFUSED) && last.contains("problems: 1"), "{lines:#?}");
            let told = |line: &String| line.contains(key) && line.contains("needs a restart");
            assert!(lines.iter().any(told), "{key}: {lines:#?}");
        }
    }
    assert_eq!(applied(&daemon, &builder).await, "nothing");
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    // The log shows no secret.
    let log = daemon.log().join("\n");
    assert!(!log.contains("somebody:secret") && !log.contains("APIPassword from"), "{log}");
}

#[tokio::test]
async fn a_new_coin_is_accepted_and_a_removed_one_is_refused() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = patient(zookeeper).admin();
    let daemon = builder.start().await;
    assert_eq!(daemon.switch("alice", "ltc").await.err_no, 104);
    let with = builder.clone().set("AvailableCoins", json!(["btc", "ltc"]));
    let changed = applied(&daemon, &with).await;
    assert_eq!(changed, r#"AvailableCoins from ["btc", "bcc"] to ["btc", "ltc"]"#);
    assert_eq!(daemon.switch("alice", "ltc").await, Answer::success());
    assert_eq!(daemon.switch("alice", "bcc").await.err_no, 104);
    let admin = crate::admin::Admin::of(&daemon).await;
    let series = r#"switcher_switches_total{source="api",coin="ltc",result="applied"}"#;
    admin.wait_for(series, 1.0).await;
}

#[tokio::test]
async fn credentials_are_replaced_between_two_requests_of_a_connection_and_for_the_admin_pages() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = patient(zookeeper).admin();
    let daemon = builder.start().await;
    let admin = crate::admin::Admin::of(&daemon).await;
    let mut events = crate::admin::events::Events::open(&admin).await;
    let old = Request::switch("alice", "btc").credentials(USER, PASSWORD);
    let new = Request::switch("alice", "bcc").credentials("operator", "another");
    let (mut one, mut other) = (daemon.connect().await, daemon.connect().await);
    assert_eq!(one.send(&old).await.unwrap().status, 200);
    assert_eq!(other.send(&old).await.unwrap().status, 200);
    assert_eq!(events.change().await["new"], "btc");
    let with = builder.clone().set("APIUser", "operator").set("APIPassword", "another");
    applied(&daemon, &with).await;
    assert_eq!(one.send(&new).await.unwrap().answer(), Answer::success());
    assert_eq!(other.send(&old).await.unwrap().status, 401);
    assert_eq!(admin.get("/metrics").await.status, 401);
    let page = Request::get("/metrics").credentials("operator", "another");
    assert_eq!(admin.send(&page).await.status, 200);
    // Credentials for the metrics alone are replaced in the same way.
    let page = Request::get("/metrics").credentials("scraper", "scraping");
    assert_eq!(admin.send(&page).await.status, 401);
    let with = with.set("MetricsUser", "scraper").set("MetricsPassword", "scraping");
    applied(&daemon, &with).await;
    assert_eq!(admin.send(&page).await.status, 200);
    // A stream that was opened with the old credentials ends.
    let rest = events.rest().await.expect("the end of the stream");
    assert!(!rest.contains("bcc"), "{rest}");
}

#[tokio::test]
async fn limits_hold_for_later_requests() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = patient(zookeeper);
    let daemon = builder.start().await;
    let names: Vec<_> = (0..200).map(|n| format!("user{n:04}")).collect();
    let batch = json!({"usercoins": [{"coin": "btc", "punames": names}]}).to_string();
    let send = || daemon.send(Request::batch(batch.clone()));
    assert_eq!(send().await.answer(), Answer::success());
    applied(&daemon, &builder.clone().set("APIBodyLimitBytes", 1024)).await;
    assert_eq!(send().await.status, 413);
    applied(&daemon, &builder.clone().set("ZKQueueLimit", 100)).await;
    assert_eq!(send().await.answer().err_no, 107);
    applied(&daemon, &builder.clone().set("APIBodyTimeoutSeconds", 1)).await;
    let mut slow = daemon.connect().await;
    let request = Request::batch("{}").credentials(USER, PASSWORD);
    let response = slow.exchange(&request.head_bytes(), false).await.unwrap();
    assert_eq!(response.status, 408);
    applied(&daemon, &builder).await;
    assert_eq!(send().await.answer(), Answer::success());
}
