//! Requests to the list API recorded with the Go daemon; `about` in the file explains it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{builder, ready, upstream};
use crate::support::{
    client::{self, Request},
    zookeeper::ZooKeeper,
};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/user_lists.json");

#[derive(Deserialize)]
struct Golden {
    http: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    lists: BTreeMap<String, String>,
    requests: Vec<Exchange>,
}

#[derive(Deserialize)]
struct Exchange {
    request: Recorded,
    recorded: Expected,
    ours: Option<Expected>,
}

#[derive(Deserialize)]
struct Recorded {
    method: String,
    target: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
}

#[derive(Deserialize)]
struct Expected {
    status: u16,
    body: Option<String>,
}

#[tokio::test]
async fn recorded_requests_for_lists_are_answered_as_they_must_be() {
    let golden: Golden = serde_json::from_slice(&std::fs::read(FILE).unwrap()).unwrap();
    let mut groups = BTreeMap::<_, Vec<&Case>>::new();
    for case in &golden.http {
        groups.entry(&case.lists).or_default().push(case);
    }
    let mut failures = Vec::new();
    for (lists, cases) in groups {
        let upstream = upstream(lists.clone()).await;
        let coins: Vec<&str> = lists.keys().map(String::as_str).collect();
        let daemon = builder(ZooKeeper::shared().await, &upstream, &coins).start().await;
        ready(daemon.base()).await;
        for case in cases {
            for Exchange { request, recorded, ours } in &case.requests {
                let mut sent =
                    Request::new(&request.method, &request.target).body(request.body.clone());
                for (name, value) in &request.headers {
                    sent = sent.header(name, value);
                }
                let response = client::send(daemon.base(), &sent).await.unwrap();
                let expected = ours.as_ref().unwrap_or(recorded);
                let is_body = expected.body.as_ref().is_none_or(|body| *body == response.text());
                let is_list = response.text().contains("\"err_no\":0");
                if response.status != expected.status
                    || !is_body
                    || (expected.status != 200 && is_list)
                {
                    let (name, target) = (&case.name, &request.target);
                    failures.push(format!("{name}: {} {target}: {response:?}", request.method));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test]
async fn sserver_gets_new_sub_accounts_in_both_spellings_of_its_query() {
    let (_upstream, builder) = super::with_list(&super::many(9)).await;
    let daemon = builder.start().await;
    ready(daemon.base()).await;
    for target in
        ["/?coin=btc?last_id=7", "/?coin=btc&x=?last_id=7", "/list?last_id=7", "/?last_id=7"]
    {
        let answer: Value =
            serde_json::from_slice(&super::get(daemon.base(), target).await.body).unwrap();
        let data = answer["data"].as_object().unwrap();
        assert_eq!(data.keys().collect::<Vec<_>>(), ["user0000008", "user0000009"], "{target}");
    }
}
