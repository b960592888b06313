//! The single switch: its writes, its refusals with their reasons, and the order in which writes win.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::client::{Answer, Connection, Request, basic, percent_encode};
use crate::support::daemon::{Daemon, PASSWORD, USER};
use crate::support::seconds;
use crate::support::zookeeper::{DIGEST_CREDENTIALS, ZooKeeper};

#[tokio::test]
async fn a_switch_writes_the_coin_into_a_plain_znode_that_all_may_use() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());

    let znodes = zookeeper.znodes().await;
    let (coin, stat) = znodes.get_with_stat(&daemon.path("alice")).await.unwrap();
    assert_eq!(coin, "btc");
    assert_eq!(stat.ephemeral_owner, 0, "persistent");
    let acl = znodes.acl(&daemon.path("alice")).await;
    assert_eq!(format!("{acl:?}"), format!("{:?}", &*zookeeper_client::Acls::anyone_all()));
    let directory = daemon.watch_dir().trim_end_matches('/');
    let acl = znodes.acl(directory).await;
    assert_eq!(format!("{acl:?}"), format!("{:?}", &*zookeeper_client::Acls::anyone_all()));
}

#[tokio::test]
async fn a_switch_to_the_coin_that_is_set_is_written_again() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    let znodes = zookeeper.znodes().await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    let before = znodes.stat(&daemon.path("alice")).await.unwrap().version;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    let after = znodes.stat(&daemon.path("alice")).await.unwrap().version;
    assert_eq!(after, before + 1, "the stratum side gets another event");
}

#[tokio::test]
async fn a_switch_works_after_others_made_or_removed_the_znode() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    let znodes = zookeeper.znodes().await;
    let path = daemon.path("alice");
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    znodes.remove(&path).await;
    assert_eq!(daemon.switch("alice", "bcc").await, Answer::success());
    assert_eq!(znodes.get(&path).await.as_deref(), Some("bcc"));
    znodes.remove(&path).await;
    znodes.put(&path, "btc").await;
    assert_eq!(daemon.switch("alice", "bcc").await, Answer::success());
    assert_eq!(znodes.get(&path).await.as_deref(), Some("bcc"));
}

#[tokio::test]
async fn with_credentials_for_zookeeper_only_we_write_and_all_may_read() {
    let zookeeper = ZooKeeper::shared().await;
    let znodes = zookeeper.znodes().await;
    let builder = Daemon::builder(zookeeper).set("ZKDigestCredentials", DIGEST_CREDENTIALS);
    let daemon = builder.start().await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    assert_eq!(daemon.switch("alice", "bcc").await, Answer::success());
    let path = daemon.path("alice");
    assert_eq!(znodes.get(&path).await.as_deref(), Some("bcc"), "the stratum side reads it");
    assert!(!znodes.may_be_written_by_anyone(&path).await);
}

#[tokio::test]
async fn a_znode_that_only_our_credentials_open_can_be_switched() {
    let zookeeper = ZooKeeper::shared().await;
    let znodes = zookeeper.znodes().await;
    // The directory is there already, open to all, as for a pool that starts to use the daemon.
    let anonymous = Daemon::start(zookeeper).await;
    assert_eq!(anonymous.switch("bob", "btc").await, Answer::success());
    znodes.put_for_digest_user(&anonymous.path("alice"), "btc").await;
    let daemon = Daemon::builder(zookeeper)
        .set("ZKDigestCredentials", DIGEST_CREDENTIALS)
        .set("ZKSwitcherWatchDir", anonymous.watch_dir())
        .start()
        .await;
    assert_eq!(daemon.switch("alice", "bcc").await, Answer::success());
    assert_eq!(daemon.switch("bob", "bcc").await, Answer::success());
    assert!(!anonymous.switch("alice", "btc").await.success);
    daemon.wait_for_log(&["sub_account: alice", "old: btc", "new: bcc", "outcome: applied"]).await;
}

#[tokio::test]
async fn each_error_has_its_number_and_text_and_is_found_in_the_documented_order() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    let empty_name = Answer::error(101, "puname is empty");
    let invalid_name = Answer::error(102, "puname invalid");
    let empty_coin = Answer::error(103, "coin is empty");
    let unknown_coin = Answer::error(104, "coin is inexistent");
    for (user, coin, expected) in [
        ("", "btc", &empty_name),
        ("", "", &empty_name),
        ("", "nope", &empty_name),
        ("a/b", "btc", &invalid_name),
        ("a/b", "", &invalid_name),
        ("a/b", "nope", &invalid_name),
        ("alice", "", &empty_coin),
        ("alice", "nope", &unknown_coin),
        ("alice", "BTC", &unknown_coin),
        ("alice", "btc ", &unknown_coin),
        ("alice", "bt", &unknown_coin),
        ("alice", "btc\0", &unknown_coin),
    ] {
        assert_eq!(daemon.switch(user, coin).await, *expected, "{user:?} to {coin:?}");
    }
    let znodes = zookeeper.znodes().await;
    let directory = daemon.watch_dir().trim_end_matches('/');
    assert_eq!(znodes.children(directory).await, Vec::<String>::new(), "nothing was written");
}

#[tokio::test]
async fn names_that_are_no_path_component_or_too_long_are_refused() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    let long = [b'x'; 201];
    let long_in_few_letters = "用".repeat(67);
    for (name, what) in [
        (&b"/"[..], "a slash"),
        (b"a/b", "a slash inside"),
        (b"/alice", "an absolute path"),
        (b"alice/", "a slash at the end"),
        (b".", "this directory"),
        (b"..", "the directory above"),
        (b"../x", "a way out"),
        (b"a\0b", "NUL"),
        (b"a\x01b", "U+0001"),
        (b"a\nb", "a new line"),
        (b"a\x1fb", "U+001F"),
        (b"a\x7fb", "DEL"),
        ("a\u{80}b".as_bytes(), "U+0080"),
        ("a\u{9f}b".as_bytes(), "U+009F"),
        ("\u{e000}".as_bytes(), "U+E000"),
        ("\u{f8ff}".as_bytes(), "U+F8FF"),
        ("\u{fff0}".as_bytes(), "U+FFF0"),
        ("\u{fffd}".as_bytes(), "the replacement character"),
        ("\u{ffff}".as_bytes(), "U+FFFF"),
        ("\u{10000}".as_bytes(), "U+10000"),
        ("🐙".as_bytes(), "an emoji"),
        ("\u{10ffff}".as_bytes(), "U+10FFFF"),
        (b"\xff", "a byte that UTF-8 never has"),
        (b"a\xc3(", "a sequence that breaks off"),
        (b"a\xe7\x94", "a sequence cut at the end"),
        (b"\xc0\xaf", "an overlong slash"),
        (b"\xed\xa0\x80", "a high surrogate"),
        (b"\xed\xbf\xbf", "a low surrogate"),
        (b"\xed\xa0\xbd\xed\xb0\x99", "a surrogate pair"),
        (&long, "201 bytes"),
        (long_in_few_letters.as_bytes(), "201 bytes of 67 letters"),
    ] {
        let answer = daemon.switch(name, "btc").await;
        assert_eq!(answer, Answer::error(102, "puname invalid"), "in the query: {what}");
        let mut form = b"coin=btc&puname=".to_vec();
        form.extend_from_slice(percent_encode(name).as_bytes());
        let kind = "application/x-www-form-urlencoded";
        let request = Request::post("/switch").header("Content-Type", kind).body(form);
        let answer = daemon.send(request).await.answer();
        assert_eq!(answer, Answer::error(102, "puname invalid"), "in a form: {what}");
    }
    let znodes = zookeeper.znodes().await;
    let directory = daemon.watch_dir().trim_end_matches('/');
    assert_eq!(znodes.children(directory).await, Vec::<String>::new(), "nothing was written");
}

#[tokio::test]
async fn names_that_only_look_wrong_are_taken() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    let znodes = zookeeper.znodes().await;
    let long = "x".repeat(200);
    let long_in_few_letters = "用".repeat(66) + "ab";
    for name in [
        "...",
        ".hidden",
        "a.",
        "a b",
        " ",
        "a+b",
        "100%",
        "a&b=c",
        "\"<'>\\",
        "zookeeper",
        "\u{a0}",
        "e\u{301}",
        "\u{d7ff}",
        "\u{f900}",
        "\u{ffef}",
        &long,
        &long_in_few_letters,
    ] {
        assert_eq!(daemon.switch(name, "bcc").await, Answer::success(), "{name:?}");
        let coin = znodes.get(&daemon.path(name)).await;
        assert_eq!(coin.as_deref(), Some("bcc"), "{name:?}");
    }
}

#[tokio::test]
async fn a_broken_percent_escape_has_no_effect() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    for target in ["/switch?puname=%zz&coin=btc", "/switch?puname=alice%&coin=btc"] {
        let answer = daemon.send(Request::get(target)).await.answer();
        assert!(!answer.success, "{target}: {answer}");
    }
    let znodes = zookeeper.znodes().await;
    let directory = daemon.watch_dir().trim_end_matches('/');
    assert_eq!(znodes.children(directory).await, Vec::<String>::new(), "nothing was written");
}

#[tokio::test]
async fn names_are_written_in_lower_case_where_the_stratum_side_wants_it() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = Daemon::builder(zookeeper).set("StratumServerCaseInsensitive", true);
    let daemon = builder.start().await;
    let znodes = zookeeper.znodes().await;
    assert_eq!(daemon.switch("ALICE", "btc").await, Answer::success());
    assert_eq!(daemon.switch("Alice", "bcc").await, Answer::success());
    assert_eq!(znodes.get(&daemon.path("alice")).await.as_deref(), Some("bcc"));
    assert_eq!(znodes.get(&daemon.path("ALICE")).await, None);
    assert_eq!(znodes.get(&daemon.path("Alice")).await, None);

    // Letter by letter, as the Go daemon does it: without a final sigma and without a separate dot.
    for (name, written) in [("ΑΣ", "ασ"), ("İX", "ix"), ("ẞ", "ß"), ("ЖЁ", "жё")] {
        assert_eq!(daemon.switch(name, "btc").await, Answer::success());
        assert_eq!(znodes.get(&daemon.path(written)).await.as_deref(), Some("btc"), "{name}");
    }

    // Each of these takes two bytes, and three in lower case: the written name counts.
    let grows = "Ⱥ".repeat(100);
    let answer = daemon.switch(&grows, "btc").await;
    assert_eq!(answer, Answer::error(102, "puname invalid"), "200 bytes that become 300");
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_in_json_and_write_nothing() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    let batch = r#"{"usercoins":[{"coin":"btc","punames":["alice"]}]}"#;
    for (request, status) in [
        (Request::get("/?puname=alice&coin=btc"), 404),
        (Request::get("/switch/?puname=alice&coin=btc"), 404),
        (Request::get("/Switch?puname=alice&coin=btc"), 404),
        (Request::get("/switch2?puname=alice&coin=btc"), 404),
        (Request::post("/switch/multi-users").body(batch), 404),
        (Request::new("PUT", "/switch?puname=alice&coin=btc"), 405),
        (Request::new("DELETE", "/switch?puname=alice&coin=btc"), 405),
        (Request::new("PATCH", "/switch?puname=alice&coin=btc"), 405),
        (Request::new("OPTIONS", "/switch?puname=alice&coin=btc"), 405),
        (Request::new("FOO", "/switch?puname=alice&coin=btc"), 405),
        (Request::get("/switch/multi-user"), 405),
        (Request::get("/switch-multi-user"), 405),
        (Request::new("PUT", "/switch/multi-user").body(batch), 405),
    ] {
        let response = daemon.send(request.clone()).await;
        assert_eq!(response.status, status, "{request:?}: {response:?}");
        let answer = response.answer();
        assert!(!answer.success && answer.err_no != 0, "{request:?}: {answer}");
        assert!(!answer.err_msg.is_empty(), "{request:?}: {answer}");
    }
    let znodes = zookeeper.znodes().await;
    assert_eq!(znodes.get(&daemon.path("alice")).await, None);
}

#[tokio::test]
async fn a_watch_directory_that_vanishes_stops_nothing_for_good() {
    let zookeeper = ZooKeeper::shared().await;
    let mut daemon = Daemon::start(zookeeper).await;
    let znodes = zookeeper.znodes().await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    let directory = daemon.watch_dir().trim_end_matches('/').to_owned();
    znodes.remove(&directory).await;
    let answer = daemon.switch("alice", "bcc").await;
    let coin = znodes.get(&daemon.path("alice")).await;
    let expected = if answer.success { Some("bcc") } else { None };
    assert_eq!(coin.as_deref(), expected, "{answer}");
    assert!([0, 107].contains(&answer.err_no), "{answer}");
    znodes.put(&directory, "").await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    assert!(daemon.is_alive());
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_its_answer_and_the_end_of_the_connection() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    let authorization = basic(USER, PASSWORD);
    let head = format!(
        "GET /switch?puname=alice&coin=btc HTTP/1.0\r\nAuthorization: {authorization}\r\n\r\n"
    );
    let mut connection = daemon.connect().await;
    let response = connection.exchange(head.as_bytes(), false).await.unwrap();
    assert_eq!(response.answer(), Answer::success());
    assert_eq!(response.header("transfer-encoding"), None, "HTTP/1.0 knows no chunks");
    assert_eq!(connection.drip_until_closed(b"", seconds(1), seconds(4)).await, b"");
}

#[tokio::test]
async fn requests_sent_in_one_go_are_answered_in_their_order() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    let mut bytes = Vec::new();
    for (user, coin) in [("alice", "btc"), ("", "btc"), ("alice", "bcc"), ("alice", "nope")] {
        let request = Request::switch(user, coin).credentials(USER, PASSWORD);
        bytes.extend_from_slice(&request.head_bytes());
    }
    let mut connection = daemon.connect().await;
    connection.write(&bytes).await.unwrap();
    for err_no in [0, 101, 0, 104] {
        let answer = connection.read_response().await.unwrap().answer();
        assert_eq!(answer.err_no, err_no, "{answer}");
    }
    let znodes = zookeeper.znodes().await;
    assert_eq!(znodes.get(&daemon.path("alice")).await.as_deref(), Some("bcc"));
}

#[tokio::test]
async fn each_switch_is_logged_once_with_its_outcome() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::start(zookeeper).await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    assert_eq!(daemon.switch("alice", "bcc").await, Answer::success());
    assert_eq!(daemon.switch("alice", "nope").await.err_no, 104);

    let applied =
        ["sub_account: alice", "new: bcc", "outcome: applied", "source: api, client: 127.0.0.1"];
    daemon.wait_for_log(&applied).await;
    let lines = daemon.log_with(&["switch,", "sub_account: alice", "outcome: applied"]);
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[0].contains("new: btc"), "{lines:#?}");
    assert!(lines[1].contains("old: btc"), "{lines:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_acknowledged_write_wins_among_64_clients() {
    const CLIENTS: usize = 64;
    const USERS: usize = 20;
    const ROUNDS: usize = 2;
    const COINS: usize = CLIENTS * USERS * ROUNDS;

    /// An acknowledged write, with a coin that no other write has.
    struct Write {
        user: usize,
        coin: usize,
        start: Instant,
        end: Instant,
    }

    let zookeeper = ZooKeeper::shared().await;
    let coins: Vec<Value> = (0..COINS).map(|coin| format!("c{coin}").into()).collect();
    let daemon = Daemon::builder(zookeeper).set("AvailableCoins", coins).start().await;

    let address = Arc::new(daemon.base().to_owned());
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let address = Arc::clone(&address);
        clients.spawn(async move {
            let mut connection = Connection::open(&address).await.unwrap();
            let mut writes = Vec::new();
            for step in 0..USERS * ROUNDS {
                // Each client begins at another name, so that all names are contended.
                let user = (client + step) % USERS;
                let coin = client * USERS * ROUNDS + step;
                let request = Request::switch(format!("user{user}"), format!("c{coin}"));
                let start = Instant::now();
                let answer = connection.send(&request.credentials(USER, PASSWORD)).await.unwrap();
                assert_eq!(answer.answer(), Answer::success());
                writes.push(Write { user, coin, start, end: Instant::now() });
            }
            writes
        });
    }
    let writes: Vec<Write> = clients.join_all().await.into_iter().flatten().collect();

    let znodes = zookeeper.znodes().await;
    for user in 0..USERS {
        let (value, stat) =
            znodes.get_with_stat(&daemon.path(&format!("user{user}"))).await.unwrap();
        let writes: Vec<_> = writes.iter().filter(|write| write.user == user).collect();
        let last = writes.iter().find(|write| format!("c{}", write.coin) == value);
        let last = last.unwrap_or_else(|| panic!("user{user} has {value}, which nobody wrote"));
        let later = writes.iter().filter(|write| write.start > last.end).count();
        assert_eq!(later, 0, "user{user}: acknowledged writes began after that of {value} ended");
        // A value that a later one overtook in the queue need not reach ZooKeeper by itself.
        assert!((stat.version as usize) < writes.len(), "user{user}: more writes than requests");
    }
}

#[tokio::test]
async fn the_log_shows_no_old_coin_that_another_writer_has_replaced() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon =
        Daemon::builder(zookeeper).set("AvailableCoins", json!(["a", "b", "c"])).start().await;
    let znodes = zookeeper.znodes().await;
    for coin in ["a", "b"] {
        assert_eq!(daemon.switch("alice", coin).await, Answer::success());
    }
    znodes.put(&daemon.path("alice"), "elsewhere").await;
    for coin in ["c", "a"] {
        assert_eq!(daemon.switch("alice", coin).await, Answer::success());
    }
    daemon.wait_for_log(&["old: -", "new: a"]).await;
    daemon.wait_for_log(&["old: a", "new: b"]).await;
    daemon.wait_for_log(&["old: ?", "new: c"]).await;
    daemon.wait_for_log(&["old: c", "new: a"]).await;
}
