//! Who may come in: HTTP Basic on everything, and nothing happens for those who may not.

use crate::support::client::{Request, Response, basic};
use crate::support::daemon::{Daemon, PASSWORD, USER};
use crate::support::seconds;
use crate::support::zookeeper::ZooKeeper;

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
async fn the_name_of_the_scheme_matches_whatever_its_case() {
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
