//! The listener itself: who is let in, what it has and has not, and what strangers can do to it.

use std::ffi::OsString;
use std::time::Instant;

use serde_json::Value;
use upstream_sim::{Reply, Upstream};

use super::Admin;
use crate::support::client::{Answer, Connection, Request, Response};
use crate::support::daemon::{Builder, Daemon, PASSWORD, USER};
use crate::support::zookeeper::ZooKeeper;
use crate::support::{Guarded, eventually, free_port, seconds};

const CLOSED: [&str; 14] = [
    "/",
    "/metrics",
    "/recent",
    "/recent/stream",
    "/status",
    "/sub-account",
    "/whoami",
    "/login",
    "/login.css",
    "/logout",
    "/openapi.json",
    "/docs",
    "/docs.css",
    "/nonsense",
];
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

#[tokio::test]
async fn all_but_health_asks_for_credentials() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let admin = Admin::of(&daemon).await;
    admin.wait_until(200, "ready").await;
    for path in CLOSED {
        for request in [
            Request::get(path),
            Request::post(path),
            Request::get(path).credentials(USER, "wrong"),
            Request::get(path).credentials("", ""),
        ] {
            let response = admin.send(&request).await;
            assert_eq!(response.status, 401, "{request:?}: {response:?}");
            assert_eq!(response.header("WWW-Authenticate"), Some(r#"Basic realm="Restricted""#));
        }
    }
    for path in OPEN {
        for request in [Request::get(path), Request::get(path).credentials(USER, "wrong")] {
            let response = admin.send(&request).await;
            assert_eq!(response.status, 200, "{request:?}: {response:?}");
            // Nobody unknown keeps a connection.
            assert_eq!(response.header("Connection"), Some("close"), "{response:?}");
        }
    }
    daemon.wait_for_log(&["wrong credentials", "listener: admin"]).await;
}

#[tokio::test]
async fn a_scrapers_credentials_open_the_figures_and_nothing_else() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = Daemon::builder(zookeeper)
        .admin()
        .set("MetricsUser", "prometheus")
        .set("MetricsPassword", "looks-only");
    let daemon = builder.start().await;
    let admin = Admin::of(&daemon).await;
    let scraped = async |path: &str| {
        let request = Request::get(path).credentials("prometheus", "looks-only");
        admin.send(&request).await.status
    };
    assert_eq!(scraped("/metrics").await, 200);
    for path in ["/recent", "/recent/stream", "/nonsense", "/metrics/", "/metrics/x"] {
        assert_eq!(scraped(path).await, 401, "{path}");
    }
    let mixed = Request::get("/metrics").credentials(USER, "looks-only");
    assert_eq!(admin.send(&mixed).await.status, 401);
    assert_eq!(admin.get("/metrics").await.status, 200);
    let switch = Request::switch("alice", "btc").credentials("prometheus", "looks-only");
    assert_eq!(daemon.send_as_is(&switch).await.status, 401);
    let refused = "switcher_admin_logins_refused_total";
    assert_eq!(admin.samples().await.value(refused), 6.0);
}

#[tokio::test]
async fn the_api_has_no_pages_and_the_pages_switch_nothing_by_get() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let admin = Admin::of(&daemon).await;
    for path in CLOSED.iter().chain(&OPEN) {
        assert_eq!(daemon.send(Request::get(path)).await.status, 404, "{path}");
        assert_eq!(daemon.send_as_is(&Request::get(path)).await.status, 401, "{path}");
    }
    let nowhere = admin.get("/switch?puname=alice&coin=btc").await;
    assert_eq!(nowhere.status, 404, "{nowhere:?}");
    assert!(nowhere.text().contains("/recent/stream"), "{nowhere:?}");
    for path in [
        "/",
        "/metrics",
        "/recent",
        "/recent/stream",
        "/readyz",
        "/status",
        "/sub-account",
        "/openapi.json",
        "/docs",
    ] {
        let request = Request::post(path).credentials(USER, PASSWORD);
        assert_eq!(admin.send(&request).await.status, 405, "{path}");
    }
    let long = format!("/{}", "x".repeat(10_000));
    assert_eq!(admin.get(&long).await.status, 414);
    assert_eq!(zookeeper.znodes().await.get(&daemon.path("alice")).await, None);
}

#[tokio::test]
async fn an_address_that_is_taken_is_told_with_its_key_before_anything_is_done() {
    let zookeeper = ZooKeeper::shared().await;
    let address = format!("127.0.0.1:{}", free_port());
    let _holder = std::net::TcpListener::bind(&address).unwrap();
    let builder = Daemon::builder(zookeeper).set("AdminListenAddr", address.clone());
    let finished = builder.refuse_to_start().await;
    assert_eq!(finished.code, Some(69), "{finished:?}");
    finished.assert_stderr_names(&[&address, "AdminListenAddr", "Each daemon on a machine"]);
    assert!(!finished.stderr.contains("session is up"), "{finished:?}");
}

/// Whoever changes the binary alone has a configuration without the key, and must not lose its switches to pages
/// that it has not asked for.
#[tokio::test]
async fn an_address_that_nobody_asked_for_and_that_is_taken_is_done_without() {
    let zookeeper = ZooKeeper::shared().await;
    // If this fails, somebody else has it, which is as good.
    let _holder = std::net::TcpListener::bind("127.0.0.1:8083");
    let daemon = Daemon::builder(zookeeper).set("AdminListenAddr", Value::Null).start().await;
    daemon.wait_for_log(&["WARN the daemon runs without admin pages", "127.0.0.1:8083"]).await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
}

#[tokio::test]
async fn an_empty_address_does_without() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    daemon.wait_for_log(&["ZooKeeper session is up"]).await;
    assert!(daemon.log_with(&["admin"]).is_empty(), "{:#?}", daemon.log());
}

/// A daemon without the API, and its admin pages.
async fn without_api(builder: Builder, upstream: &Upstream) -> (Guarded, Admin, Vec<String>) {
    let builder = builder
        .admin()
        .set("EnableAPIServer", false)
        .set("EnableCronJob", true)
        .set("UserCoinMapURL", format!("http://{}/map", upstream.address()));
    let config = builder.write_config();
    let (process, log) = builder.spawn(&[OsString::from("--config"), config.into()]);
    let line = eventually("the admin pages are up", seconds(20), || async {
        log.lines_with(&["admin pages are up"]).pop()
    })
    .await;
    let address = line.split("address: ").nth(1).expect("an address").to_owned();
    let admin = Admin { address };
    admin.wait_until(200, "ready").await;
    assert!(log.lines_with(&["listening"]).is_empty(), "{:?}", log.lines());
    (process, admin, log.lines())
}

#[tokio::test]
async fn a_daemon_that_only_polls_has_the_pages_too() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream =
        Upstream::start(|_| Reply::map(&[("alice", "btc")], 1_513_239_055)).await.unwrap();
    let (_process, admin, _) = without_api(Daemon::builder(zookeeper), &upstream).await;
    let samples = admin.samples().await;
    assert_eq!(
        samples.value(r#"switcher_switches_total{source="poll",coin="btc",result="applied"}"#),
        1.0
    );
    assert!(!samples.series().iter().any(|series| series.contains("http_request")));
    assert_eq!(admin.recent(1).await[0]["source"], "poll");
    for path in ["/openapi.json", "/docs"] {
        let nothing = admin.get(path).await;
        assert_eq!(nothing.status, 404, "there is no API to describe: {nothing:?}");
        assert!(nothing.text().contains("EnableAPIServer"), "{nothing:?}");
    }
}

#[tokio::test]
async fn without_credentials_there_is_health_and_no_more() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = Upstream::start(|_| Reply::map(&[], 1_513_239_055)).await.unwrap();
    let builder = Daemon::builder(zookeeper).without("APIUser").without("APIPassword");
    let (_process, admin, log) = without_api(builder, &upstream).await;
    assert!(
        log.iter().any(|line| line.contains("only /healthz and /readyz will answer")),
        "{log:?}"
    );
    for (user, password) in [("", ""), (USER, PASSWORD)] {
        let request = Request::get("/metrics").credentials(user, password);
        assert_eq!(admin.send(&request).await.status, 401, "{user}");
    }
}

/// Asks for health until it is told; how long that took.
async fn is_alive(admin: &Admin) -> std::time::Duration {
    let start = Instant::now();
    let response: Response = admin.send(&Request::get("/healthz")).await;
    assert_eq!(response.status, 200);
    start.elapsed()
}

#[tokio::test]
async fn strangers_who_hold_connections_are_cut_and_leave_descriptors_for_the_api() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().limit_descriptors(200).start().await;
    let admin = Admin::of(&daemon).await;
    let half = Request::get("/healthz").head_bytes();
    let mut held = Vec::new();
    for _ in 0..100 {
        let mut connection = Connection::open(&admin.address).await.unwrap();
        connection.write(&half[..half.len() - 2]).await.unwrap();
        held.push(connection);
    }
    // Of a hundred, some dozens are let in at a time, each for five seconds.
    assert_eq!(daemon.switch("alice", "btc").await.err_no, 0);
    assert!(daemon.descriptors() < 100, "{}", daemon.descriptors());
    let took = is_alive(&admin).await;
    assert!(took < seconds(40), "{took:?}");
}

#[tokio::test]
async fn a_scraper_keeps_its_connection() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().set("APIHeadTimeoutSeconds", 1).start().await;
    let admin = Admin::of(&daemon).await;
    let mut connection = Connection::open(&admin.address).await.unwrap();
    let request = Request::get("/metrics").credentials(USER, PASSWORD);
    let first = connection.send(&request).await.unwrap();
    let kind = first.header("Content-Type").unwrap().to_owned();
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
    tokio::time::sleep(seconds(4)).await;
    assert_eq!(connection.send(&request).await.unwrap().status, 200);
}
