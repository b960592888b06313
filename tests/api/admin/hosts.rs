//! The hosts under which the admin pages answer: a page of another site must not have its name point here and read
//! them as its own (DNS rebinding).

use serde_json::json;

use super::Admin;
use crate::reload::applied;
use crate::support::client::{Connection, Request, Response, basic};
use crate::support::daemon::{Daemon, PASSWORD, USER};
use crate::support::zookeeper::ZooKeeper;

const PATHS: [&str; 12] = [
    "/",
    "/metrics",
    "/recent",
    "/recent/stream",
    "/status",
    "/sub-account",
    "/whoami",
    "/login",
    "/docs",
    "/openapi.json",
    "/console/console.js",
    "/nonsense",
];

/// The answer to a head whose lines after the credentials are given, in any version.
async fn raw(admin: &Admin, line: &str, headers: &str) -> Response {
    let authorization = basic(USER, PASSWORD);
    let head = format!("{line}\r\nAuthorization: {authorization}\r\n{headers}\r\n");
    let mut connection = Connection::open(&admin.address).await.unwrap();
    connection.exchange(head.as_bytes(), false).await.unwrap()
}

fn assert_refused(response: &Response, host: &str, told: &str) {
    assert_eq!(response.status, 421, "{told}: {response:?}");
    // HTTP/1.0 keeps no connection that nobody has asked to keep.
    assert_ne!(response.header("Connection"), Some("keep-alive"), "{told}");
    let answer = response.answer();
    assert!(answer.err_no == 421 && !answer.success, "{told}: {answer}");
    for part in [host, "AdminHosts"] {
        assert!(answer.err_msg.contains(part), "no {part} in {answer}");
    }
}

#[tokio::test]
async fn pages_answer_under_another_host_to_nobody() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let admin = Admin::of(&daemon).await;
    for path in PATHS {
        for request in [Request::get(path), Request::get(path).credentials(USER, PASSWORD)] {
            let response = admin.send(&request.clone().host("evil.example:8083")).await;
            assert_refused(&response, "evil.example:8083", path);
            assert_eq!(response.header("WWW-Authenticate"), None, "nobody is asked for a password");
        }
    }
    for host in
        ["localhost.evil.example", "127.0.0.1.evil.example", "192.0.2.1", "switcher", "localhost:x"]
    {
        let status = Request::get("/status").credentials(USER, PASSWORD);
        assert_refused(&admin.send(&status.host(host)).await, host, host);
        let batch = Request::batch(r#"{"usercoins":[{"coin":"btc","punames":["alice"]}]}"#);
        let batch = batch.credentials(USER, PASSWORD).host(host);
        assert_refused(&admin.send(&batch).await, host, host);
    }
    // Not a valid Host at any listener.
    let status = Request::get("/status").credentials(USER, PASSWORD);
    let response = admin.send(&status.host("localhost@evil.example")).await;
    assert_eq!((response.status, response.answer().err_no), (400, 400), "{response:?}");
    assert_eq!(zookeeper.znodes().await.get(&daemon.path("alice")).await, None);
    daemon
        .wait_for_log(&["requests for a host that is not in AdminHosts", "listener: admin"])
        .await;
    // Health shows nothing that is worth it, and balancers have names of their own for what they ask.
    for path in ["/healthz", "/readyz"] {
        let response = admin.send(&Request::get(path).host("balancer.example")).await;
        assert_eq!(response.status, 200, "{response:?}");
    }
    // The API is for programs, which call it by any name.
    let switch = Request::switch("alice", "btc").credentials(USER, PASSWORD);
    let response = daemon.send_as_is(&switch.host("api.pool.example")).await;
    assert!(response.answer().success, "{response:?}");
}

#[tokio::test]
async fn loopback_names_and_the_own_address_are_accepted_with_any_port() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let admin = Admin::of(&daemon).await;
    for host in [
        "localhost",
        "LOCALHOST:9999",
        "localhost.",
        "console.localhost:8083",
        "127.0.0.1",
        "127.0.0.53:8083",
        "[::1]:8083",
        &admin.address,
    ] {
        let request = Request::get("/status").credentials(USER, PASSWORD).host(host);
        assert_eq!(admin.send(&request).await.status, 200, "{host}");
    }
}

#[tokio::test]
async fn both_versions_and_all_forms_of_a_request_are_judged() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let admin = Admin::of(&daemon).await;
    for version in ["1.0", "1.1"] {
        let get = |target: &str| format!("GET {target} HTTP/{version}");
        for (target, headers) in [
            ("/status", "Host: localhost\r\n"),
            ("/status", "hOST:localhost \r\n"),
            ("http://localhost/status", "Host: localhost\r\n"),
        ] {
            let response = raw(&admin, &get(target), headers).await;
            assert_eq!(response.status, 200, "{target} {headers} {version}: {response:?}");
        }
        for (target, headers) in [
            ("/status", "Host: evil.example\r\n"),
            ("http://evil.example/status", "Host: localhost\r\n"),
            ("http://localhost/status", "Host: evil.example\r\n"),
            ("http://evil.example:8083/status", "Host: evil.example:8083\r\n"),
        ] {
            let response = raw(&admin, &get(target), headers).await;
            assert_refused(&response, "evil.example", &format!("{target} {headers} {version}"));
        }
        for headers in [
            "Host: localhost\r\nHost: localhost\r\n",
            "Host: localhost\r\nHost: evil.example\r\n",
            "Host: evil.example\r\nHost: localhost\r\n",
            "Host:\r\n",
            "Host: a b\r\n",
        ] {
            let response = raw(&admin, &get("/status"), headers).await;
            assert!([400, 421].contains(&response.status), "{headers} {version}: {response:?}");
        }
    }
    // Scripts of old leave it out, and no browser does.
    assert_eq!(raw(&admin, "GET /status HTTP/1.0", "").await.status, 200);
}

#[tokio::test]
async fn admin_hosts_are_accepted_and_a_reload_takes_others_over() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = Daemon::builder(zookeeper)
        .admin()
        .set("AdminHosts", json!(["Console.Pool.example", "gate:8443"]));
    let daemon = builder.start().await;
    let admin = Admin::of(&daemon).await;
    let status = async |host: &str| {
        let request = Request::get("/status").credentials(USER, PASSWORD).host(host);
        admin.send(&request).await.status
    };
    for (host, expected) in [
        ("console.pool.example", 200),
        ("CONSOLE.pool.example.:8083", 200),
        ("gate:8443", 200),
        ("gate:8083", 421),
        ("pool.example", 421),
        ("x.console.pool.example", 421),
    ] {
        assert_eq!(status(host).await, expected, "{host}");
    }
    applied(&daemon, &builder.set("AdminHosts", json!(["other.example"]))).await;
    assert_eq!(status("console.pool.example").await, 421);
    assert_eq!(status("other.example").await, 200);
}

#[tokio::test]
async fn an_admin_host_that_cannot_be_one_is_refused_at_the_start() {
    let zookeeper = ZooKeeper::shared().await;
    for host in ["http://console.example.com", "console.example.com/", "*", "a b", ""] {
        let builder = Daemon::builder(zookeeper).set("AdminHosts", json!(["good", host]));
        let finished = builder.check().await;
        assert_eq!(finished.code, Some(78), "{finished:?}");
        finished.assert_stderr_names(&[
            "AdminHosts",
            &format!("{host:?}"),
            "console.example.com:8443",
        ]);
    }
}
