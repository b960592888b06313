//! Authentication: HTTP Basic on every path, and no effect without the right credentials.

use std::net::IpAddr;

use rustix::process::Signal;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::admin::Admin;
use crate::support::client::{Connection, Request, Response, basic};
use crate::support::daemon::{Daemon, PASSWORD, USER};
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, seconds};

fn assert_refused(response: &Response, what: &str) {
    assert_eq!(response.status, 401, "{what}: {response:?}");
    let asked = response.header("www-authenticate");
    assert_eq!(asked, Some(r#"Basic realm="Restricted""#), "{what}: {response:?}");
    assert_eq!(response.text(), "<h1>401 - Unauthorized</h1>", "{what}");
}

#[tokio::test]
async fn every_path_and_method_asks_for_credentials() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    let batch = r#"{"usercoins":[{"coin":"btc","punames":["stranger"]}]}"#;
    for request in [
        Request::switch("stranger", "btc"),
        Request::post("/switch?puname=stranger&coin=btc"),
        Request::new("PUT", "/switch?puname=stranger&coin=btc"),
        Request::post("/switch/multi-user").body(batch),
        Request::post("/switch-multi-user").body(batch),
        Request::get("/switch/multi-user"),
        Request::get("/"),
        Request::get("/no/such/path"),
    ] {
        assert_refused(&daemon.send_as_is(&request).await, &format!("{request:?}"));
    }
    let znodes = zookeeper.znodes().await;
    assert_eq!(znodes.get(&daemon.path("stranger")).await, None);
}

#[tokio::test]
async fn credentials_that_are_nearly_right_are_wrong() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    let long = "x".repeat(3_000);
    for (user, password) in [
        ("", ""),
        (USER, ""),
        ("", PASSWORD),
        (USER, "admi"),
        (USER, "admin2"),
        (USER, "Admin"),
        (USER, "admin\0"),
        (USER, " admin"),
        (USER, "admin "),
        (USER, "admin:"),
        ("admin2", PASSWORD),
        ("ADMIN", PASSWORD),
        (long.as_str(), PASSWORD),
        (USER, long.as_str()),
    ] {
        let request = Request::switch("stranger", "btc").credentials(user, password);
        let what = format!("{user:.20}:{password:.20}");
        assert_refused(&daemon.send_as_is(&request).await, &what);
    }
    let znodes = zookeeper.znodes().await;
    assert_eq!(znodes.get(&daemon.path("stranger")).await, None);
}

#[tokio::test]
async fn headers_that_are_no_basic_credentials_are_wrong() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    let right = basic(USER, PASSWORD);
    let encoded = right.strip_prefix("Basic ").unwrap();
    for header in [
        "".to_owned(),
        "Basic".to_owned(),
        "Basic ".to_owned(),
        format!("Basic{encoded}"),
        format!("Digest {encoded}"),
        format!("Bearer {encoded}"),
        encoded.to_owned(),
        "Basic admin:admin".to_owned(),
        // `admin` without a colon.
        "Basic YWRtaW4=".to_owned(),
        // Bytes ff fe, a colon, and the password: no text.
        "Basic //46YWRtaW4=".to_owned(),
        format!("Basic {encoded}!"),
        format!("Basic {}", encoded.trim_end_matches('=')),
    ] {
        let request = Request::switch("stranger", "btc").header("Authorization", &header);
        assert_refused(&daemon.send_as_is(&request).await, &header);
    }
    let not_text = Request::switch("stranger", "btc").header("Authorization", b"Basic \xff\xfe");
    assert_refused(&daemon.send_as_is(&not_text).await, "a header that is no text");
}

#[tokio::test]
async fn the_name_of_the_scheme_matches_in_any_case() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    for scheme in ["Basic", "basic", "BASIC", "bAsIc"] {
        let header = basic(USER, PASSWORD).replacen("Basic", scheme, 1);
        let request = Request::switch("alice", "btc").header("Authorization", header);
        let response = daemon.send_as_is(&request).await;
        assert_eq!(response.status, 200, "{scheme}: {response:?}");
        assert!(response.answer().success, "{scheme}: {response:?}");
    }
}

#[tokio::test]
async fn a_password_may_hold_colons_and_letters_of_any_language() {
    let zookeeper = ZooKeeper::shared().await;
    let (user, password) = ("почта", "pa:ss: wörd:密码");
    let builder = Daemon::builder(zookeeper).set("APIUser", user).set("APIPassword", password);
    let daemon = builder.start().await;
    let right = Request::switch("alice", "btc").credentials(user, password);
    assert!(daemon.send_as_is(&right).await.answer().success);
    let wrong = Request::switch("alice", "btc").credentials(user, "pa");
    assert_refused(&daemon.send_as_is(&wrong).await, "the password up to its first colon");
}

#[tokio::test]
async fn a_stranger_is_refused_before_his_body_is_waited_for() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    let mut connection = daemon.connect().await;
    let head = Request::post("/switch/multi-user").header("Content-Length", "1000000");
    connection.write(&head.head_bytes()).await.unwrap();
    // The deadline for bodies is 30 s: an answer before that did not wait for one.
    let answer = tokio::time::timeout(seconds(15), connection.read_response()).await;
    assert_refused(&answer.expect("an answer at once").unwrap(), "a stranger without a body");
}

/// Failed logins of an address that are answered at once.
const FREE: usize = 10;

/// Failed logins by listener, and by answer.
async fn failed_logins(admin: &Admin, listener: &str) -> [f64; 3] {
    let samples = admin.samples().await;
    ["at_once", "delayed", "too_many"].map(|answer| {
        samples.value(&format!(
            r#"switcher_failed_logins_total{{listener="{listener}",answer="{answer}"}}"#
        ))
    })
}

/// The first request of a browser, and of a client that waits for the challenge.
#[tokio::test]
async fn a_request_without_credentials_is_no_failed_login() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let admin = Admin::of(&daemon).await;
    for _ in 0..2 * FREE {
        for header in [None, Some(""), Some("Basic"), Some("basic ")] {
            let request = Request::get("/status");
            let request = header.map_or(request.clone(), |it| request.header("Authorization", it));
            assert_refused(&daemon.send_as_is(&request).await, &format!("{header:?}"));
            assert_refused(&admin.send(&request).await, &format!("{header:?}"));
        }
    }
    for listener in ["api", "admin"] {
        assert_eq!(failed_logins(&admin, listener).await, [0.0; 3], "{listener}");
    }
    let refused = "switcher_admin_logins_refused_total";
    assert_eq!(admin.samples().await.value(refused), 0.0);
    // The next report of refused logins, which are logged together.
    sleep(seconds(2)).await;
    assert!(daemon.log_with(&["credentials"]).is_empty(), "{:#?}", daemon.log());

    for header in ["Basic Og==", "Basic !!!!", "Bearer x", "Digest x", "x"] {
        let request = Request::get("/status").header("Authorization", header);
        assert_refused(&daemon.send_as_is(&request).await, header);
        assert_refused(&admin.send(&request).await, header);
    }
    let [api, pages] = ["api", "admin"].map(|listener| failed_logins(&admin, listener));
    assert_eq!(api.await[0] + pages.await[0], 10.0);
    assert_eq!(admin.samples().await.value(refused), 5.0);
    daemon.wait_for_log(&["wrong credentials", "listener: admin"]).await;
}

fn guess(number: usize) -> Request {
    Request::get("/status").credentials(USER, &format!("guess{number}"))
}

fn client(last: u8) -> IpAddr {
    [127, 0, 0, last].into()
}

/// Sends one wrong password.
async fn guess_from(source: IpAddr, address: &str) -> Connection {
    let mut connection = Connection::open_from(source, address).await.unwrap();
    connection.write(&guess(0).head_bytes()).await.unwrap();
    connection
}

/// Guesses from that address until an answer is delayed, and returns the connection that waits for it.
async fn exhaust(admin: &Admin, listener: &str, address: &str, source: IpAddr) -> Connection {
    loop {
        let before = failed_logins(admin, listener).await;
        let mut connection = guess_from(source, address).await;
        let after = eventually("the daemon has read it", seconds(20), || async {
            let after = failed_logins(admin, listener).await;
            (after != before).then_some(after)
        })
        .await;
        assert_eq!(after[2], before[2], "one at a time is never too many");
        if after[1] > before[1] {
            return connection;
        }
        assert_refused(&connection.read_response().await.unwrap(), "one of the first");
    }
}

#[tokio::test]
async fn an_address_that_guesses_waits_and_correct_credentials_never_do() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let admin = Admin::of(&daemon).await;
    let page = Request::get("/status").credentials(USER, PASSWORD);
    for (listener, address) in [("api", daemon.base()), ("admin", &*admin.address)] {
        // Each listener with an address that has done nothing yet.
        let source = client(if listener == "api" { 2 } else { 3 });
        let at_once = failed_logins(&admin, listener).await[0];
        let mut guessing = exhaust(&admin, listener, address, source).await;
        assert!(failed_logins(&admin, listener).await[0] - at_once >= FREE as f64);
        // Neither listener, and no other address, is affected.
        for (address, status) in [(daemon.base(), 404), (&*admin.address, 200)] {
            let mut connection = Connection::open_from(source, address).await.unwrap();
            assert_eq!(connection.send(&page).await.unwrap().status, status, "{listener}");
        }
        let other = guess_from(client(9), address).await.read_response().await.unwrap();
        assert_refused(&other, "another address");
        assert_refused(&guessing.read_response().await.unwrap(), "held back, and the same answer");
        daemon.wait_for_log(&["slowing down failed logins", &format!("client: {source}")]).await;
    }
    assert_eq!(daemon.log_with(&["slowing down failed logins"]).len(), 2);
}

#[tokio::test]
async fn guesses_on_many_connections_are_answered_one_after_the_other_or_429() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let admin = Admin::of(&daemon).await;
    for (listener, address, source) in
        [("api", daemon.base(), client(2)), ("admin", &*admin.address, client(3))]
    {
        let _held = exhaust(&admin, listener, address, source).await;
        let mut guesses = JoinSet::new();
        for number in 0..20 {
            let address = address.to_owned();
            guesses.spawn(async move {
                let mut connection = Connection::open_from(source, &address).await.unwrap();
                connection.send(&guess(number)).await.unwrap()
            });
        }
        let (mut refused, mut too_many) = (0, 0);
        while let Some(answer) = guesses.join_next().await {
            let response = answer.unwrap();
            if response.status == 401 {
                refused += 1;
                assert_refused(&response, "one of those that were held back");
                continue;
            }
            too_many += 1;
            assert_eq!(response.status, 429, "{response:?}");
            let wait: u64 = response.header("Retry-After").unwrap().parse().unwrap();
            assert!((1..=5).contains(&wait), "{wait}");
            assert_eq!(response.header("Connection"), Some("close"));
            let answer = response.answer();
            assert!(answer.err_no == 429 && answer.err_msg.contains("wrong credentials"));
            // At the same moment correct credentials are accepted.
            let right = Request::get("/status").credentials(USER, PASSWORD);
            let mut connection = Connection::open_from(source, &admin.address).await.unwrap();
            assert_eq!(connection.send(&right).await.unwrap().status, 200);
        }
        // A busy machine may take some seconds for them.
        assert!((3..=10).contains(&refused) && too_many >= 10, "{refused} {too_many}");
    }
}

/// The admin listener has 32 connections, of which delayed answers take at most eight.
#[tokio::test]
async fn guesses_from_many_addresses_leave_room_for_others() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let admin = Admin::of(&daemon).await;
    let mut clients = Vec::new();
    for last in 2..=9 {
        clients.push(exhaust(&admin, "admin", &admin.address, client(last)).await);
    }
    let before: f64 = failed_logins(&admin, "admin").await.iter().sum();
    for last in (2..=9).cycle().take(64) {
        clients.push(guess_from(client(last), &admin.address).await);
    }
    eventually("the daemon has read all of them", seconds(20), || async {
        let after: f64 = failed_logins(&admin, "admin").await.iter().sum();
        (after - before >= 64.0).then_some(())
    })
    .await;
    assert!(failed_logins(&admin, "admin").await[2] >= 1.0);
    assert_eq!(admin.get("/status").await.status, 200);
}

#[tokio::test]
async fn a_stop_sends_delayed_answers() {
    let zookeeper = ZooKeeper::shared().await;
    let mut daemon = Daemon::builder(zookeeper).admin().start().await;
    let admin = Admin::of(&daemon).await;
    let mut clients = Vec::new();
    for last in 2..=5 {
        clients.push(exhaust(&admin, "api", daemon.base(), client(last)).await);
    }
    daemon.signal(Signal::TERM);
    for mut client in clients {
        assert_refused(&client.read_response().await.unwrap(), "at the daemon's end");
    }
    assert_eq!(daemon.wait_exit(seconds(20)).await.code(), Some(0), "{:#?}", daemon.log());
}
