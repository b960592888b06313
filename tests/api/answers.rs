//! Answers of ZooKeeper that do not match the request: they prove neither that a write was done nor that it was not.

use serde_json::{Value, json};

use crate::frame_proxy::{FrameProxy, MULTI, MULTI_READ};
use crate::support::client::{Answer, Request};
use crate::support::daemon::Daemon;
use crate::support::zookeeper::ZooKeeper;

/// More entries than are written without reading their znodes first.
const USERS: usize = 20;

/// Operations in the results of a transaction.
const CREATE: i32 = 1;
const DELETE: i32 = 2;
const SET_DATA: i32 = 5;
const CHECK: i32 = 13;
const ERROR: i32 = -1;

/// Error codes.
const NO_NODE: i32 = -101;
const BAD_VERSION: i32 = -103;
const NODE_EXISTS: i32 = -110;

/// One result: the operation, more to come, an error code, and the details.
fn result(operation: i32, body: &[u8]) -> Vec<u8> {
    [&operation.to_be_bytes()[..], &[0], &0_i32.to_be_bytes(), body].concat()
}

fn error(code: i32) -> Vec<u8> {
    result(ERROR, &code.to_be_bytes())
}

fn text(text: &str) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

/// The end of the results.
fn end() -> Vec<u8> {
    [&ERROR.to_be_bytes()[..], &[1], &ERROR.to_be_bytes()].concat()
}

/// Whole results of a transaction or a read, without the end.
fn without_end(body: &[u8]) -> &[u8] {
    &body[..body.len() - end().len()]
}

async fn through(proxy: &FrameProxy, zookeeper: &ZooKeeper) -> Daemon {
    Daemon::builder(zookeeper).set("ZKBroker", json!([proxy.address()])).start().await
}

async fn results(daemon: &Daemon, query: &str, coin: &str, users: &[&str]) -> Value {
    let json = json!({"usercoins": [{"coin": coin, "punames": users}]}).to_string();
    let response =
        daemon.send(Request::post(&format!("/switch/multi-user?{query}")).body(json)).await;
    serde_json::from_slice(&response.body).unwrap()
}

#[tokio::test]
async fn a_transaction_whose_answer_does_not_match_has_an_unknown_outcome() {
    let zookeeper = ZooKeeper::shared().await;
    let proxy = FrameProxy::start(zookeeper.address()).await;
    let daemon = through(&proxy, zookeeper).await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    type Body = fn(&[u8]) -> Vec<u8>;
    let answers: [(&str, Body); 14] = [
        ("nothing", |_| Vec::new()),
        ("no results", |_| end()),
        ("half a result", |body| body[..body.len() / 2].to_vec()),
        ("no end", |body| without_end(body).to_vec()),
        ("two results", |body| [without_end(body), body].concat()),
        ("a check", |_| [result(CHECK, &[]), end()].concat()),
        ("a delete", |_| [result(DELETE, &[]), end()].concat()),
        ("a create", |_| [result(CREATE, &text("/a")), end()].concat()),
        ("no stat", |_| [result(SET_DATA, &[0xff; 68]), end()].concat()),
        ("an error with code 0", |_| [error(0), end()].concat()),
        ("an error for an operation outside", |_| [error(0), error(NO_NODE), end()].concat()),
        ("an error after a result", |body| [without_end(body), &error(NO_NODE), &end()].concat()),
        ("the error of a create", |_| [error(NODE_EXISTS), end()].concat()),
        ("the error of a condition", |_| [error(BAD_VERSION), end()].concat()),
    ];
    for (number, (name, body)) in answers.into_iter().enumerate() {
        let coin = ["bcc", "btc"][number % 2];
        proxy.rewrite(MULTI, body);
        let answer = results(&daemon, "results=true", coin, &["alice"]).await;
        assert!(proxy.is_done(), "{name}: no transaction was sent");
        assert_eq!(answer["err_no"], 107, "{name}: {answer}");
        let result = &answer["results"][0];
        assert_eq!(result["outcome"], "unknown", "{name}: {answer}");
        assert_eq!(result.get("old"), None, "{name}: {answer}");
        assert_eq!(daemon.switch("bob", "btc").await, Answer::success(), "after {name}");
    }
    assert!(daemon.log_with(&["sub_account: alice", "outcome: not applied"]).is_empty());
}

#[tokio::test]
async fn one_missing_result_makes_the_whole_transaction_unknown() {
    let zookeeper = ZooKeeper::shared().await;
    let proxy = FrameProxy::start(zookeeper.address()).await;
    let daemon = through(&proxy, zookeeper).await;
    assert_eq!(daemon.switch("other", "btc").await, Answer::success());
    // The znodes are read first: the first transaction creates all, the second sets all.
    let users: Vec<String> = (0..USERS).map(|number| format!("user{number:03}")).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    for coin in ["btc", "bcc"] {
        proxy.rewrite(MULTI, |body| {
            let one = (body.len() - end().len()) / USERS;
            [&body[..one * (USERS - 1)], &end()].concat()
        });
        let answer = results(&daemon, "results=true", coin, &users).await;
        assert!(proxy.is_done(), "no transaction was sent");
        assert_eq!(answer["err_no"], 107, "{answer}");
        for result in answer["results"].as_array().unwrap() {
            assert_eq!(result["outcome"], "unknown", "{result}");
        }
        let again = results(&daemon, "results=true", coin, &users).await;
        assert_eq!(again["success"], true, "{again}");
    }
}

#[tokio::test]
async fn a_read_whose_answer_does_not_match_is_no_read() {
    let zookeeper = ZooKeeper::shared().await;
    let proxy = FrameProxy::start(zookeeper.address()).await;
    let daemon = through(&proxy, zookeeper).await;
    for user in ["alice", "bob"] {
        assert_eq!(daemon.switch(user, "btc").await, Answer::success());
    }
    type Body = fn(&[u8]) -> Vec<u8>;
    let answers: [(&str, Body); 6] = [
        ("no results", |_| end()),
        ("one result of two", |body| [&body[..(body.len() - end().len()) / 2], &end()].concat()),
        ("three results", |body| {
            let one = (body.len() - end().len()) / 2;
            [&body[..one], body].concat()
        }),
        ("an error with code 0", |_| [error(0), error(0), end()].concat()),
        ("the error of a condition", |_| [error(BAD_VERSION), error(NO_NODE), end()].concat()),
        ("the children of a znode", |_| {
            [result(8, &0_i32.to_be_bytes()), result(8, &0_i32.to_be_bytes()), end()].concat()
        }),
    ];
    for (name, body) in answers {
        proxy.rewrite(MULTI_READ, body);
        let answer = results(&daemon, "dry_run=true", "bcc", &["alice", "bob"]).await;
        assert!(proxy.is_done(), "{name}: no read was sent");
        assert_eq!(answer["err_no"], 105, "{name}: {answer}");
        for index in 0..2 {
            let result = &answer["results"][index];
            assert_eq!(result["outcome"], "unknown", "{name}: {answer}");
            assert_eq!(result.get("old"), None, "{name}: {answer}");
        }
    }
    let answer = results(&daemon, "dry_run=true", "bcc", &["alice", "bob"]).await;
    assert_eq!(answer["success"], true, "{answer}");
}
