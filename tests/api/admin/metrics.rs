//! The figures: they change as they should, and no stranger makes new ones.

use std::collections::BTreeSet;

use jobmaker_sim::{Jobmaker, Knobs, SubPool};
use serde_json::json;
use upstream_sim::{Gate, Reply, Upstream};

use super::Admin;
use crate::support::certificates::Authority;
use crate::support::client::{Answer, Request};
use crate::support::daemon::Daemon;
use crate::support::zookeeper::ZooKeeper;
use crate::support::{seconds, unique};

#[tokio::test]
async fn a_switch_is_counted_by_coin_and_by_what_came_of_it() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let admin = Admin::of(&daemon).await;
    let znodes = zookeeper.znodes().await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    znodes.put_forbidden(&daemon.path("mallory"), "btc").await;
    assert_eq!(daemon.switch("mallory", "bcc").await.err_no, 107);
    assert_eq!(daemon.switch("alice", "xyz").await.err_no, 104);
    let batch = json!({"usercoins": [{"coin": "bcc", "punames": ["a", "b", "c"]}]}).to_string();
    assert_eq!(daemon.batch(batch).await, Answer::success());

    admin
        .wait_for(r#"switcher_switches_total{source="api",coin="bcc",result="applied"}"#, 3.0)
        .await;
    // Depths are looked at now and then.
    for depth in ["switcher_switches_waiting", "switcher_zookeeper_chunks_in_flight"] {
        admin.wait_for(depth, 0.0).await;
    }
    let samples = admin.samples().await;
    for (series, value) in [
        (r#"switcher_switches_total{source="api",coin="btc",result="applied"}"#, 1.0),
        (r#"switcher_switches_total{source="api",coin="bcc",result="not_applied"}"#, 1.0),
        (r#"switcher_switches_total{source="api",coin="btc",result="unknown"}"#, 0.0),
        (r#"switcher_http_requests_total{endpoint="switch",err_no="0"}"#, 1.0),
        (r#"switcher_http_requests_total{endpoint="switch",err_no="104"}"#, 1.0),
        (r#"switcher_http_requests_total{endpoint="switch",err_no="107"}"#, 1.0),
        (r#"switcher_http_requests_total{endpoint="switch_multi_user",err_no="0"}"#, 1.0),
        (r#"switcher_http_request_duration_seconds_count{endpoint="switch"}"#, 3.0),
        ("switcher_zookeeper_chunk_switches_count", 3.0),
        ("switcher_zookeeper_chunk_switches_sum", 5.0),
        ("switcher_zookeeper_session_up", 1.0),
        ("switcher_zookeeper_sessions_total", 1.0),
        ("switcher_zookeeper_connections_lost_total", 0.0),
        ("switcher_log_lines_dropped_total", 0.0),
    ] {
        assert_eq!(samples.value(series), value, "{series}");
    }
    let took = samples.value(r#"switcher_http_request_duration_seconds_sum{endpoint="switch"}"#);
    assert!(took > 0.0 && took < 60.0, "{took}");
    assert_eq!(samples.sum("switcher_build_info{version="), 1.0);
    assert!(samples.value("process_resident_memory_bytes") > 1e6);
    assert!(samples.value("process_open_fds") > 5.0);
    // It does not poll, so an alarm about the age of polls must find nothing.
    assert_eq!(samples.get("switcher_poll_last_success_timestamp_seconds"), None);
}

#[tokio::test]
async fn what_waits_and_what_is_lost_with_zookeeper_can_be_seen() {
    let mut zookeeper = ZooKeeper::private().await;
    let builder = Daemon::builder(&zookeeper).admin().set("ZKRequestTimeoutSeconds", 30);
    let daemon = builder.start().await;
    let admin = Admin::of(&daemon).await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    zookeeper.kill9();
    admin.wait_for("switcher_zookeeper_session_up", 0.0).await;
    assert_eq!(admin.samples().await.value("switcher_zookeeper_connections_lost_total"), 1.0);
    let batch = json!({"usercoins": [{"coin": "bcc", "punames": ["a", "b", "c"]}]}).to_string();
    let dry_run = Request::post("/switch/multi-user?dry_run=true")
        .body(r#"{"usercoins": [{"coin": "bcc", "punames": ["a", "b"]}]}"#);
    let (answer, looked, ()) = tokio::join!(daemon.batch(batch), daemon.send(dry_run), async {
        admin.wait_for("switcher_switches_waiting", 3.0).await;
        admin.wait_for("switcher_dry_run_entries_waiting", 2.0).await;
        zookeeper.restart().await;
    });
    assert_eq!(answer, Answer::success());
    assert!(looked.text().contains("would_create"), "{looked:?}");
    admin.wait_for("switcher_zookeeper_session_up", 1.0).await;
    admin.wait_for("switcher_switches_waiting", 0.0).await;
    admin.wait_for("switcher_dry_run_entries_waiting", 0.0).await;
    assert_eq!(admin.samples().await.value("switcher_zookeeper_sessions_total"), 2.0);
}

#[tokio::test]
async fn exchanges_are_counted_with_the_time_to_their_acks() {
    let zookeeper = ZooKeeper::shared().await;
    let base = format!("/t/{}/subpool/", unique("observed"));
    let builder = Daemon::builder(zookeeper).admin().set("ZKSubPoolUpdateBaseDir", base.clone());
    let daemon = builder.start().await;
    let admin = Admin::of(&daemon).await;
    let address = "34woZDygXWqaVPnNxp5SUnbN6RNQ5koBt4";
    let sub_pool = SubPool::new(&format!("{base}btc/pool3"), "hellobtc", address);
    let pools = vec![sub_pool];
    let _jobmaker = Jobmaker::start(&zookeeper.address(), pools, Knobs::default()).await.unwrap();
    let get = |name: &str| {
        let body = json!({"coin": "btc", "subpool_name": name});
        Request::post("/subpool/get-coinbase").body(body.to_string())
    };
    assert!(daemon.send(get("pool3")).await.text().contains("hellobtc"));
    let update = |address: &str| {
        let body = json!({"coin": "btc", "subpool_name": "pool3", "payout_addr": address,
            "coinbase_info": "tiger"});
        Request::post("/subpool/update-coinbase").body(body.to_string())
    };
    assert!(daemon.send(update(address)).await.text().contains("tiger"));
    assert!(daemon.send(update("nonsense")).await.text().contains("invalid payout address"));
    assert_eq!(daemon.send(get("none")).await.answer().err_no, 404);

    let samples = admin.samples().await;
    for (series, value) in [
        (r#"switcher_subpool_exchanges_total{kind="get",result="done"}"#, 1.0),
        (r#"switcher_subpool_exchanges_total{kind="get",result="nothing_written"}"#, 1.0),
        (r#"switcher_subpool_exchanges_total{kind="update",result="done"}"#, 1.0),
        (r#"switcher_subpool_exchanges_total{kind="update",result="refused"}"#, 1.0),
        (r#"switcher_subpool_exchanges_total{kind="update",result="unknown"}"#, 0.0),
        (r#"switcher_subpool_ack_duration_seconds_count{kind="get"}"#, 1.0),
        (r#"switcher_subpool_ack_duration_seconds_count{kind="update"}"#, 2.0),
        (r#"switcher_http_requests_total{endpoint="subpool_get_coinbase",err_no="0"}"#, 1.0),
        (r#"switcher_http_requests_total{endpoint="subpool_get_coinbase",err_no="404"}"#, 1.0),
        (r#"switcher_http_requests_total{endpoint="subpool_update_coinbase",err_no="0"}"#, 1.0),
        (r#"switcher_http_requests_total{endpoint="subpool_update_coinbase",err_no="500"}"#, 1.0),
    ] {
        assert_eq!(samples.value(series), value, "{series}");
    }
}

#[tokio::test]
async fn polls_are_counted_by_outcome_and_their_entries_by_coin() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = Upstream::start(|_| Reply::map(&[], 1_513_239_055)).await.unwrap();
    let entries =
        [("alice", "btc"), ("bob", "bcc"), ("carol", "bcc"), ("dave", "doge"), ("a/b", "btc")];
    upstream.next(Reply::map(&entries, 1_513_239_055));
    let watch_dir = format!("/t/{}/", unique("observed"));
    let builder = Daemon::builder(zookeeper)
        .admin()
        .set("EnableCronJob", true)
        .set("CronIntervalSeconds", 3)
        .set("ZKSwitcherWatchDir", watch_dir.clone())
        .set("UserCoinMapURL", format!("http://{}/map", upstream.address()));
    zookeeper.znodes().await.put(&format!("{watch_dir}bob"), "bcc").await;
    let daemon = builder.start().await;
    let admin = Admin::of(&daemon).await;
    let outcome = |outcome: &str| format!(r#"switcher_polls_total{{outcome="{outcome}"}}"#);
    admin.wait_for(&outcome("complete"), 1.0).await;
    let samples = admin.samples().await;
    for (series, value) in [
        (r#"switcher_switches_total{source="poll",coin="btc",result="applied"}"#, 1.0),
        (r#"switcher_switches_total{source="poll",coin="bcc",result="applied"}"#, 1.0),
        (r#"switcher_switches_total{source="poll",coin="bcc",result="unchanged"}"#, 1.0),
        ("switcher_poll_invalid_entries_total", 2.0),
        ("switcher_poll_duration_seconds_count", 1.0),
    ] {
        assert_eq!(samples.value(series), value, "{series}");
    }
    let success = samples.value("switcher_poll_last_success_timestamp_seconds");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!((now.as_secs_f64() - success).abs() < 60.0, "{success}");

    upstream.next(Reply::status(500, "Internal Server Error", "text/plain", "no"));
    admin.wait_for(&outcome("failed"), 1.0).await;
}

/// Neither what `ZkWriter` refused for want of a session, nor what it was not even given, is missing in the figures.
#[tokio::test]
async fn entries_of_a_poll_that_nobody_tried_are_counted_as_not_applied() {
    let mut zookeeper = ZooKeeper::private().await;
    let upstream = Upstream::start(|_| Reply::map(&[], 1_513_239_055)).await.unwrap();
    let names: Vec<String> = (0..2_000).map(|n| format!("user{n}")).collect();
    let coin = |n| if n < 1_900 { "btc" } else { "bcc" };
    let map: Vec<(&str, &str)> =
        names.iter().enumerate().map(|(n, name)| (&**name, coin(n))).collect();
    let gate = Gate::default();
    upstream.next(Reply::map(&map, 1_513_239_055).behind(&gate));
    let builder = Daemon::builder(&zookeeper)
        .admin()
        .set("EnableCronJob", true)
        .set("UserCoinMapURL", format!("http://{}/map", upstream.address()));
    let daemon = builder.start().await;
    let admin = Admin::of(&daemon).await;
    crate::support::eventually("the map is asked for", seconds(20), || async {
        (!upstream.requests().is_empty()).then_some(())
    })
    .await;
    zookeeper.kill9();
    admin.wait_for("switcher_zookeeper_session_up", 0.0).await;
    gate.open();
    daemon.wait_for_log(&["poll, outcome: incomplete", "not_written: 2000"]).await;
    let samples = admin.samples().await;
    for (coin, count) in [("btc", 1_900.0), ("bcc", 100.0)] {
        let series = format!(
            r#"switcher_switches_total{{source="poll",coin="{coin}",result="not_applied"}}"#
        );
        assert_eq!(samples.value(&series), count, "{coin}");
    }
}

/// The names of all figures of a daemon on which everything is on.
async fn names() -> BTreeSet<String> {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = Upstream::start(|_| Reply::map(&[], 1_513_239_055)).await.unwrap();
    let builder = Daemon::builder(zookeeper)
        .admin()
        .secure(&Authority::new("pool"))
        .set("TLSListeners", json!(["api"]))
        .set("EnableCronJob", true)
        .set("ZKSubPoolUpdateBaseDir", "/subpool/")
        .set("UserCoinMapURL", format!("http://{}/map", upstream.address()))
        .set("UserListAPI", json!({"btc": format!("http://{}/list", upstream.address())}));
    let daemon = builder.start().await;
    let samples = Admin::of(&daemon).await.samples().await;
    let name = |series: &&str| series.split('{').next().unwrap().to_owned();
    samples.series().iter().map(name).collect()
}

fn file(path: &str) -> String {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(root.join(path)).unwrap()
}

#[tokio::test]
async fn the_reference_names_every_metric_and_no_other() {
    let reference = file("docs/operate/monitoring.md");
    let names: BTreeSet<String> = names().await.iter().map(|name| family(name)).collect();
    let told: BTreeSet<String> =
        words(&reference).filter(|word| word.starts_with("switcher_")).collect();
    let ours: BTreeSet<String> =
        names.iter().filter(|name| name.starts_with("switcher_")).cloned().collect();
    assert_eq!(told, ours);
    let others = names.difference(&ours).filter(|name| !reference.contains(&***name));
    assert_eq!(others.collect::<Vec<_>>(), Vec::<&String>::new());
}

/// A histogram's name, or the very name.
fn family(name: &str) -> String {
    let parts = ["_bucket", "_sum", "_count"];
    parts.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name).to_owned()
}

fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(move |c| !is_part(c)).filter(|word| !word.is_empty()).map(str::to_owned)
}

/// What strangers and clients send in, however odd, makes no series that was not known beforehand.
#[tokio::test]
async fn no_request_makes_a_series_of_its_own() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let admin = Admin::of(&daemon).await;
    let odd = |word: String| {
        let daemon = &daemon;
        async move {
            daemon.switch("alice", &word).await;
            daemon.switch(format!("{word}/"), "btc").await;
            daemon.switch("", "btc").await;
            assert_eq!(daemon.switch(&word, "btc").await, Answer::success());
            assert_eq!(daemon.batch("nonsense").await.err_no, 400);
            for request in [
                Request::get(&format!("/{word}")),
                Request::get(&format!("/switch/{word}?x={word}")),
                Request::new(&word.to_uppercase(), "/switch"),
                Request::get("/switch/multi-user"),
                Request::post("/switch-multi-user").body("{}"),
                Request::get(&format!("/{}", "x".repeat(10_000))),
                Request::post("/subpool-get-coinbase").body(word.clone()),
            ] {
                daemon.send(request).await;
            }
            daemon.send_as_is(&Request::get(&format!("/{word}")).credentials(&word, &word)).await;
        }
    };
    let series = async || -> BTreeSet<String> {
        admin.samples().await.series().into_iter().map(str::to_owned).collect()
    };
    let before = series().await;
    odd("first".to_owned()).await;
    let after = series().await;
    odd("second".to_owned()).await;
    admin
        .wait_for(r#"switcher_switches_total{source="api",coin="btc",result="applied"}"#, 2.0)
        .await;
    assert_eq!(series().await, after);
    assert!(before.is_subset(&after));
    let numbers = ["101", "102", "104", "108", "400", "401", "403", "404", "405", "414"];
    for new in after.difference(&before) {
        let labels = new.strip_prefix("switcher_http_requests_total{endpoint=\"");
        let labels = labels.unwrap_or_else(|| panic!("{new}"));
        let (endpoint, number) = labels.split_once("\",err_no=\"").expect("two labels");
        let endpoints = ["switch", "switch_multi_user", "subpool_get_coinbase", "none"];
        assert!(endpoints.contains(&endpoint), "{new}");
        assert!(numbers.contains(&number.trim_end_matches("\"}")), "{new}");
    }
    let samples = admin.samples().await;
    for (series, value) in [
        (r#"switcher_http_requests_total{endpoint="none",err_no="401"}"#, 2.0),
        (r#"switcher_http_requests_total{endpoint="none",err_no="414"}"#, 2.0),
        (r#"switcher_http_requests_total{endpoint="switch",err_no="405"}"#, 2.0),
        (r#"switcher_http_requests_total{endpoint="switch_multi_user",err_no="405"}"#, 2.0),
        (r#"switcher_http_requests_total{endpoint="switch_multi_user",err_no="108"}"#, 2.0),
    ] {
        assert_eq!(samples.value(series), value, "{series}");
    }
}

/// The pages' own cost: a thousand scrapes leave nothing behind.
#[tokio::test]
async fn scrapes_do_not_pile_up() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let admin = Admin::of(&daemon).await;
    admin.samples().await;
    let (descriptors, memory) = (daemon.descriptors(), daemon.peak_megabytes());
    for _ in 0..300 {
        admin.samples().await;
    }
    crate::support::eventually("the connections are gone", seconds(10), || async {
        (daemon.descriptors() <= descriptors + 1).then_some(())
    })
    .await;
    assert!(
        daemon.peak_megabytes() <= memory + 10,
        "{memory} MB became {}",
        daemon.peak_megabytes()
    );
}
