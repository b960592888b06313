//! Registrations recorded with the Go daemon: the requests to the backend and the znodes that this daemon owes them.
//!
//! The data is `tests/golden/registration.json`; its `about` explains it. Every failed case is reported, not only the
//! first.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use upstream_sim::Reply;

use super::Pool;
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, free_port, seconds};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/registration.json");

/// Cases at a time: most of them wait.
const AT_ONCE: usize = 6;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    api: Value,
    case_insensitive: bool,
    answer: Answer,
    requests: BTreeMap<String, String>,
    before_start: bool,
    znodes_before: BTreeMap<String, String>,
    posts: Vec<Post>,
    znodes_after: BTreeMap<String, String>,
}

#[derive(Clone, Deserialize)]
struct Answer {
    status: u16,
    body: String,
    delay: u64,
    hangs: bool,
}

#[derive(Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Post {
    authorization: Option<String>,
    body: String,
}

#[tokio::test]
async fn recorded_registrations_end_as_they_must() {
    let golden: Golden = serde_json::from_slice(&std::fs::read(FILE).unwrap()).unwrap();
    let (turns, mut cases) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for case in golden.cases {
        let turns = Arc::clone(&turns);
        cases.spawn(async move {
            let _turn = turns.acquire().await;
            let problems = run(&case).await;
            problems.iter().map(|it| format!("{}: {it}", case.name)).collect::<Vec<_>>()
        });
    }
    let problems: Vec<_> = cases.join_all().await.into_iter().flatten().collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

async fn run(case: &Case) -> Vec<String> {
    let pool = Pool::new(ZooKeeper::shared().await).await;
    let answer = case.answer.clone();
    pool.registration(move |_| {
        if answer.hangs {
            return Reply::silence();
        }
        let reply = Reply::status(answer.status, "x", "application/json", &answer.body);
        reply.after(seconds(answer.delay))
    });
    for (path, data) in &case.znodes_before {
        pool.znodes.put(&pool.place(path), data).await;
    }
    let mut api = case.api.clone();
    let url = api["URL"].as_str().unwrap().replace("UPSTREAM", &pool.backend.address().to_string());
    api["URL"] = url.replace("NOBODY", &format!("127.0.0.1:{}", free_port())).into();
    let daemon = pool.daemon_with(&api).set("StratumServerCaseInsensitive", case.case_insensitive);
    let daemon = if case.before_start {
        request(&pool, case).await;
        daemon.start().await
    } else {
        let daemon = daemon.start().await;
        pool.ready().await;
        request(&pool, case).await;
        daemon
    };
    for name in case.requests.keys() {
        pool.gone(name).await;
    }
    let mut posts: Vec<_> = pool
        .posts()
        .iter()
        .map(|it| Post {
            authorization: it.header("authorization").map(str::to_owned),
            body: it.body.clone(),
        })
        .collect();
    posts.sort();
    let mut problems = Vec::new();
    if posts != case.posts {
        problems.push(format!("posts: expected {:?}, got {posts:?}", case.posts));
    }
    for request in pool.posts() {
        if request.header("content-type") != Some("application/json") {
            problems.push(format!("content type: {:?}", request.headers));
        }
    }
    if case.znodes_after.contains_key("/case") {
        // Made beside the registrations.
        let (what, dir) = ("the directory of the index", pool.place("/case"));
        eventually(what, seconds(30), || async { pool.znodes.stat(&dir).await }).await;
    }
    let tree = pool.tree().await;
    if tree != case.znodes_after {
        problems.push(format!("znodes: expected {:?}, got {tree:?}", case.znodes_after));
    }
    if daemon.log_with(&["s3cret"]).len() + daemon.log_with(&["region_name"]).len() > 0 {
        problems.push("the log has the credentials or PostData".to_owned());
    }
    problems
}

async fn request(pool: &Pool, case: &Case) {
    for (name, data) in &case.requests {
        pool.znodes.put(&pool.reg(name), data).await;
    }
}
