//! Users of a `UsersFile`: their credentials, the cost of their logins, their roles, and a reload.

mod reload;

use std::net::IpAddr;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::admin::Admin;
use crate::support::client::{Connection, Request, Response};
use crate::support::daemon::{Builder, Daemon, PASSWORD, USER};
use crate::support::users::{
    argon2, bcrypt, token_of, with_bcrypt, with_hash, with_password, with_token,
};
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, seconds};

fn with(zookeeper: &ZooKeeper, users: &[Value]) -> Builder {
    Daemon::builder(zookeeper).admin().users(users)
}

fn page() -> Request {
    Request::get("/status")
}

/// A user for the metrics, whose requests cost no comparison.
fn watcher() -> Value {
    with_token("watcher", &["viewer"])
}

async fn metric(admin: &Admin, series: &str) -> f64 {
    let request = Request::get("/metrics").token(&token_of("watcher"));
    let response = admin.send(&request).await;
    crate::admin::samples::Samples::parse(&response.text()).value(series)
}

const COMPARISONS: &str = "switcher_password_comparison_seconds_count";

#[tokio::test]
async fn every_kind_of_credentials_is_accepted_at_both_listeners() {
    let zookeeper = ZooKeeper::shared().await;
    let roles = &["switcher"];
    let b_names = ["$2a$", "$2b$"].map(|name| bcrypt("pa:ss 密码", 4).replace("$2y$", name));
    let users = [
        with_password("wang@example.com", "pa:ss 密码", roles),
        with_bcrypt("li", "pa:ss 密码", roles),
        with_hash("li-a", &b_names[0], roles),
        with_hash("li-b", &b_names[1], roles),
        with_token("backend", roles),
    ];
    let builder = with(zookeeper, &users).without("APIUser").without("APIPassword");
    let daemon = builder.start().await;
    let admin = Admin::of(&daemon).await;
    let switch = || Request::switch("alice", "btc");
    // The second time, the login is remembered.
    for _ in 0..2 {
        for name in ["wang@example.com", "li", "li-a", "li-b"] {
            let response = daemon.send_as_is(&switch().credentials(name, "pa:ss 密码")).await;
            assert!(response.status == 200 && response.answer().success, "{name} {response:?}");
            let response = admin.send(&page().credentials(name, "pa:ss 密码")).await;
            assert_eq!(response.status, 200, "{name}");
        }
        let token = token_of("backend");
        for request in [switch().token(&token), switch().credentials("backend", &token)] {
            assert!(daemon.send_as_is(&request).await.answer().success);
        }
    }
    daemon.wait_for_log(&["switch", "actor: wang@example.com"]).await;
    for (name, password) in [
        ("wang@example.com", "pa"),
        ("li", token_of("backend").as_str()),
        ("backend", "pa:ss 密码"),
        (USER, PASSWORD),
        ("", ""),
    ] {
        let response = daemon.send_as_is(&switch().credentials(name, password)).await;
        assert_eq!(response.status, 401, "{name}");
    }
    for token in [token_of("wang@example.com"), token_of("backend").to_uppercase(), "x".into()] {
        assert_eq!(daemon.send_as_is(&switch().token(&token)).await.status, 401, "{token}");
    }
}

#[tokio::test]
async fn a_password_in_plain_text_is_no_token() {
    let zookeeper = ZooKeeper::shared().await;
    for builder in [Daemon::builder(zookeeper), with(zookeeper, &[watcher()])] {
        let daemon = builder.start().await;
        let request = Request::switch("alice", "btc");
        assert_eq!(daemon.send_as_is(&request.clone().token(PASSWORD)).await.status, 401);
        assert!(daemon.send(request).await.answer().success);
    }
}

#[tokio::test]
async fn bad_entries_are_refused_all_at_once() {
    let zookeeper = ZooKeeper::shared().await;
    let mut comment = with_token("e", &["viewer"]);
    comment["comment"] = "x".into();
    let bad = [
        with_hash("a", "secret", &["viewer"]),
        with_bcrypt("b", "secret", &["root"]),
        with_token("c", &[]),
        with_token("d:", &["viewer"]),
        comment,
        with_token(USER, &["viewer"]),
        with_hash("f", &argon2("secret", 8).replace("m=8", "m=2000000"), &["viewer"]),
    ];
    let told = [
        "UsersFile: user \"a\" has a password that is neither",
        "UsersFile: user \"b\" has the role \"root\"",
        "UsersFile: user \"c\" has no role",
        "UsersFile: user \"d:\" has a colon",
        "UsersFile: user \"e\" has an unknown field \"comment\"",
        "UsersFile: user \"admin\" has the name of APIUser",
        "UsersFile: user \"f\" has a password that takes 2000000 KiB",
    ];
    let builder = with(zookeeper, &bad);
    let ended = builder.refuse_to_start().await;
    ended.assert_stderr_names(&told);
    assert!(!ended.shown().contains("secret") && !ended.shown().contains("$2y$04"), "{ended:?}");
    // As a reload, the same file changes nothing.
    let wang = [with_password("wang", "secret", &["switcher"])];
    let daemon = builder.clone().users(&wang).start().await;
    let bad = builder.users(&bad);
    bad.write_config();
    daemon.signal(Signal::HUP);
    daemon.wait_for_log(&["reload rejected"]).await;
    for problem in told {
        assert_eq!(daemon.log_with(&["configuration not reloaded", problem]).len(), 1, "{problem}");
    }
    let request = Request::switch("alice", "btc").credentials("wang", "secret");
    assert!(daemon.send_as_is(&request).await.answer().success);
}

#[tokio::test]
async fn connections_with_equal_credentials_share_one_comparison() {
    let zookeeper = ZooKeeper::shared().await;
    let hash = argon2("secret", 64 << 10);
    let daemon =
        with(zookeeper, &[with_hash("backend", &hash, &["switcher"]), watcher()]).start().await;
    let mut connections = Vec::new();
    for _ in 0..256 {
        connections.push(daemon.connect().await);
    }
    let mut answers = JoinSet::new();
    for (number, mut connection) in connections.into_iter().enumerate() {
        let request = Request::switch(format!("user{number}"), "btc");
        let request = request.credentials("backend", "secret");
        answers.spawn(async move { connection.send(&request).await.unwrap() });
    }
    while let Some(response) = answers.join_next().await {
        let response = response.unwrap();
        assert!(response.status == 200 && response.answer().success, "{response:?}");
    }
    let admin = Admin::of(&daemon).await;
    assert_eq!(metric(&admin, COMPARISONS).await, 1.0);
}

fn client(last: u8) -> IpAddr {
    [127, 0, 0, last].into()
}

async fn from(source: IpAddr, address: &str, request: &Request) -> Response {
    Connection::open_from(source, address).await.unwrap().send(request).await.unwrap()
}

#[tokio::test]
async fn remembered_logins_and_tokens_pass_while_their_address_is_refused() {
    let zookeeper = ZooKeeper::shared().await;
    let users = [
        with_password("wang", "secret", &["switcher"]),
        with_bcrypt("li", "secret", &["switcher"]),
        watcher(),
    ];
    let daemon = with(zookeeper, &users).start().await;
    let admin = Admin::of(&daemon).await;
    let switch = |name| Request::switch("alice", "btc").credentials(name, "secret");
    assert_eq!(from(client(2), daemon.base(), &switch("wang")).await.status, 200);
    let mut guesses = JoinSet::new();
    for number in 0..40 {
        let (address, name) = (daemon.base().to_owned(), ["wang", "li", "nobody"][number % 3]);
        guesses.spawn(async move {
            let request = Request::switch("x", "btc").credentials(name, &format!("guess{number}"));
            from(client(2), &address, &request).await
        });
    }
    let refused = |response: &Response| {
        assert_eq!(response.status, 429, "{response:?}");
        let wait: u64 = response.header("Retry-After").unwrap().parse().unwrap();
        assert!((1..=5).contains(&wait), "{wait}");
        assert_eq!(response.header("Connection"), Some("close"));
        assert_eq!(response.answer().err_no, 429);
    };
    let unchecked = r#"switcher_logins_unchecked_total{listener="api",cause="address"}"#;
    eventually("the address is refused", seconds(20), || async {
        (metric(&admin, unchecked).await > 0.0).then_some(())
    })
    .await;
    // As long as guesses wait, the address stays refused.
    let first = from(client(2), daemon.base(), &switch("li")).await;
    refused(&first);
    assert!(first.answer().err_msg.starts_with("credentials not checked"), "{first:?}");
    let token = Request::switch("alice", "bcc").credentials("watcher", &token_of("watcher"));
    assert_eq!(from(client(2), daemon.base(), &token).await.status, 200);
    assert_eq!(from(client(2), daemon.base(), &switch("wang")).await.status, 200);
    // Another address is not affected: not even by a login that is compared.
    assert_eq!(from(client(3), daemon.base(), &switch("li")).await.status, 200);
    assert_eq!(from(client(2), daemon.base(), &switch("li")).await.status, 200);
    let (mut wrong, mut too_many) = (0, 0);
    while let Some(response) = guesses.join_next().await {
        let response = response.unwrap();
        if response.status == 401 {
            wrong += 1;
        } else {
            refused(&response);
            too_many += 1;
        }
    }
    // A busy machine may take some seconds for them.
    assert!((10..=30).contains(&wrong) && too_many >= 10, "{wrong} {too_many}");
    let compared = metric(&admin, COMPARISONS).await;
    assert_eq!(compared, f64::from(wrong) + 2.0, "the guesses, wang, li");
    daemon.wait_for_log(&["passwords not compared", "client: 127.0.0.2"]).await;
}

#[tokio::test]
async fn a_wrong_password_costs_a_comparison_whether_or_not_the_name_exists() {
    let zookeeper = ZooKeeper::shared().await;
    let users = [with_password("wang", "secret", &["viewer"]), watcher()];
    let builder =
        with(zookeeper, &users).set("MetricsUser", "m").set("MetricsPassword", "scraping");
    let daemon = builder.start().await;
    let admin = Admin::of(&daemon).await;
    let long = "x".repeat(1025);
    let basic = |name: &str, password: &str| page().credentials(name, password);
    for (what, request, status, cost) in [
        ("a name without a user", basic("nobody", "secret"), 401, 1.0),
        ("a user with a hash", basic("wang", "guess"), 401, 1.0),
        ("a user with a token", basic("watcher", "guess"), 401, 1.0),
        ("APIUser", basic(USER, "guess"), 401, 1.0),
        ("a name that is no text", page().header("Authorization", "Basic //46YWRtaW4="), 401, 1.0),
        ("a longer password", basic("wang", &long), 401, 0.0),
        ("a wrong token", page().token("x"), 401, 0.0),
        ("no name", page().header("Authorization", "Basic YWRtaW4="), 401, 0.0),
        ("no credentials", page(), 401, 0.0),
        ("the password", basic("wang", "secret"), 200, 1.0),
        ("the password again", basic("wang", "secret"), 200, 0.0),
        ("APIPassword", basic(USER, PASSWORD), 200, 0.0),
        ("MetricsUser", Request::get("/metrics").credentials("m", "scraping"), 200, 0.0),
    ] {
        let before = metric(&admin, COMPARISONS).await;
        assert_eq!(admin.send(&request).await.status, status, "{what}");
        assert_eq!(metric(&admin, COMPARISONS).await - before, cost, "{what}");
    }
    let failed = r#"switcher_failed_logins_total{listener="admin",answer="at_once"}"#;
    assert_eq!(metric(&admin, failed).await, 8.0);
    assert_eq!(metric(&admin, "switcher_admin_logins_refused_total").await, 8.0);
}

#[tokio::test]
async fn without_slow_hashes_no_login_is_compared_slowly() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = with(zookeeper, &[watcher()]).start().await;
    let admin = Admin::of(&daemon).await;
    for (name, password) in [("nobody", "x"), ("watcher", "x"), (USER, "x")] {
        assert_eq!(admin.send(&page().credentials(name, password)).await.status, 401, "{name}");
    }
    assert_eq!(metric(&admin, COMPARISONS).await, 0.0);
}

#[tokio::test]
async fn a_missing_role_is_refused_counted_and_logged() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = with(zookeeper, &[watcher()]).start().await;
    let admin = Admin::of(&daemon).await;
    let request = Request::switch("alice", "btc").token(&token_of("watcher"));
    let response = daemon.send_as_is(&request).await;
    assert_eq!((response.status, response.answer().err_no), (200, 403));
    let text = "user 'watcher' may not switch sub-accounts (role switcher)";
    assert_eq!(response.answer().err_msg, text);
    let missing = |role| format!(r#"switcher_missing_roles_total{{listener="api",role="{role}"}}"#);
    assert_eq!(metric(&admin, &missing("switcher")).await, 1.0);
    assert_eq!(metric(&admin, &missing("payout")).await, 0.0);
    daemon.wait_for_log(&["request refused", text, "actor: watcher"]).await;
    let znodes = zookeeper.znodes().await;
    assert_eq!(znodes.get(&daemon.path("alice")).await, None);
}

#[tokio::test]
async fn check_warns_about_users() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = with(zookeeper, &[watcher()]);
    let finished = builder.check().await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let shown = finished.shown();
    for part in ["APIUser has its password in plain text", "the role admin"] {
        assert!(shown.contains(part), "no {part} in {shown}");
    }
    let daemon = builder.set("APIRoles", json!(["switcher"])).start().await;
    daemon.wait_for_log(&["APIUser has its password in plain text"]).await;
}

#[tokio::test]
async fn a_file_of_more_than_16_mib_is_refused() {
    const MOST: usize = 16 << 20;
    let builder = Daemon::builder(ZooKeeper::shared().await);
    let users = json!({"users": [watcher()]}).to_string();
    for (bytes, code) in [(MOST, 0), (MOST + 1, 78)] {
        let padded = users.clone() + &" ".repeat(bytes - users.len());
        let finished = builder.clone().users_text(&padded).check().await;
        assert_eq!(finished.code, Some(code), "{finished:?}");
        if code != 0 {
            let fault = "which cannot be read: it is larger than 16777216 bytes";
            finished.assert_stderr_names(&["UsersFile: is ", fault]);
        }
    }
}
