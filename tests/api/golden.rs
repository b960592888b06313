//! Requests that were put to the Go daemon, and what ours must answer and leave in ZooKeeper.
//!
//! The data is `tests/golden/http.json`; its `about` explains it. The cases of one configuration
//! run one after the other on one daemon, and every case that fails is told, not only the first.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::support::client::{self, Answer, Request, Response};
use crate::support::daemon::Daemon;
use crate::support::unique;
use crate::support::zookeeper::{Znodes, ZooKeeper};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/http.json");
/// The watch directory and the sub-pool directory of the recorded requests.
const RECORDED_WATCH_DIR: &str = "/stratumSwitcher/btcbcc";
const RECORDED_SUBPOOL_DIR: &str = "/subpool";

#[tokio::test]
async fn recorded_requests_are_answered_as_they_must_be() {
    run("main").await;
}

#[tokio::test]
async fn recorded_requests_are_answered_with_names_in_lower_case() {
    run("caseinsensitive").await;
}

#[tokio::test]
async fn recorded_requests_are_answered_without_a_subpool_directory() {
    run("disabled").await;
}

#[tokio::test]
async fn recorded_requests_are_answered_with_a_watch_directory_without_slash() {
    run("noslash").await;
}

/// Whether the case needs the sub-pool API, which this daemon does not have yet. Remove this
/// function together with its call when it has.
fn waits_for_the_subpool_api(case: &Case) -> bool {
    let target = &case.request.target;
    target.starts_with("/subpool/") || target.starts_with("/subpool-")
}

async fn run(config: &str) {
    let golden: Golden = serde_json::from_slice(&std::fs::read(FILE).unwrap()).unwrap();
    let zookeeper = ZooKeeper::shared().await;
    let tree = Tree { root: format!("/t/{}", unique("golden")), znodes: zookeeper.znodes().await };
    let slash = if config == "noslash" { "" } else { "/" };
    let subpool_dir =
        if config == "disabled" { String::new() } else { tree.place(RECORDED_SUBPOOL_DIR) + "/" };
    let daemon = Daemon::builder(zookeeper)
        .set("ZKSwitcherWatchDir", tree.place(RECORDED_WATCH_DIR) + slash)
        .set("StratumServerCaseInsensitive", config == "caseinsensitive")
        .set("ZKSubPoolUpdateBaseDir", subpool_dir)
        .set("ZKSubPoolUpdateAckTimeout", 1)
        .start()
        .await;

    let mut failures = Vec::new();
    let cases = golden.cases.iter().filter(|case| case.config == config);
    for case in cases.filter(|case| !waits_for_the_subpool_api(case)) {
        tree.restore(&case.znodes_before).await;
        let request = case.request.build();
        let mut problems = match client::send(daemon.base(), &request).await {
            Ok(response) => case.ours.problems(&request, &response),
            Err(error) => vec![format!("no answer: {error}")],
        };
        let znodes = tree.read().await;
        if case.ours.znodes.as_ref().is_some_and(|expected| *expected != znodes) {
            problems.push(format!("znodes: expected {:?}, got {znodes:?}", case.ours.znodes));
        }
        if !problems.is_empty() {
            failures.push(format!("{}\n    {}", case.name, problems.join("\n    ")));
        }
    }
    assert!(failures.is_empty(), "{} cases failed:\n{}", failures.len(), failures.join("\n"));
}

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    config: String,
    znodes_before: BTreeMap<String, String>,
    request: Recorded,
    ours: Expected,
}

#[derive(Deserialize)]
struct Recorded {
    method: String,
    target: String,
    headers: BTreeMap<String, String>,
    body: Body,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Body {
    Text(String),
    Bytes { base64: String },
}

impl Recorded {
    fn build(&self) -> Request {
        let body = match &self.body {
            Body::Text(text) => text.clone().into_bytes(),
            Body::Bytes { base64 } => STANDARD.decode(base64).unwrap(),
        };
        let request = Request::new(&self.method, &self.target).body(body);
        self.headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    }
}

#[derive(Deserialize)]
struct Expected {
    status: Vec<u16>,
    body: Option<Compact>,
    err_no: Option<i64>,
    znodes: Option<BTreeMap<String, String>>,
}

impl Expected {
    fn problems(&self, request: &Request, response: &Response) -> Vec<String> {
        let mut problems = Vec::new();
        if !self.status.contains(&response.status) {
            problems.push(format!("status: expected {:?}, got {}", self.status, response.status));
        }
        if response.status == 401 {
            let asked = response.header("www-authenticate");
            if asked != Some(r#"Basic realm="Restricted""#) {
                problems.push(format!("WWW-Authenticate: {asked:?}"));
            }
        }
        if let Some(problem) = self.body_problem(request, response) {
            problems.push(format!("{problem}, got {:?}", response.text()));
        }
        problems
    }

    fn body_problem(&self, request: &Request, response: &Response) -> Option<String> {
        let text = response.text();
        if request.is_head() {
            return None;
        }
        if response.status == 401 {
            let expected = "<h1>401 - Unauthorized</h1>";
            return (text != expected).then(|| format!("body: expected {expected:?}"));
        }
        let kind = response.header("content-type").unwrap_or_default();
        if !kind.starts_with("application/json") {
            return Some(format!("Content-Type: {kind:?}"));
        }
        if let Some(Compact(expected)) = &self.body {
            return (text != *expected).then(|| format!("body: expected {expected:?}"));
        }
        // A refusal in our own words: the three fields, and the number where it is laid down.
        let Ok(answer) = serde_json::from_str::<Answer>(&text) else {
            return Some("body: expected the three fields of an error".to_owned());
        };
        if answer.success || answer.err_msg.is_empty() || text != answer.to_string() {
            return Some("body: expected an error with its reason".to_owned());
        }
        let wrong = self.err_no.is_some_and(|expected| expected != answer.err_no);
        wrong.then(|| format!("err_no: expected {:?}", self.err_no))
    }
}

/// JSON without blanks, its keys in the order of the file.
struct Compact(String);

impl<'de> Deserialize<'de> for Compact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CompactVisitor).map(Compact)
    }
}

struct CompactVisitor;

impl<'de> Visitor<'de> for CompactVisitor {
    type Value = String;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<String, E> {
        Ok("null".to_owned())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<String, E> {
        serde_json::to_string(value).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<String, A::Error> {
        let mut texts = Vec::new();
        while let Some(Compact(text)) = items.next_element()? {
            texts.push(text);
        }
        Ok(format!("[{}]", texts.join(",")))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<String, A::Error> {
        let mut texts = Vec::new();
        while let Some((Compact(key), Compact(value))) = fields.next_entry()? {
            texts.push(format!("{key}:{value}"));
        }
        Ok(format!("{{{}}}", texts.join(",")))
    }
}

/// The recorded tree, moved below a root of this test's own.
struct Tree {
    root: String,
    znodes: Znodes,
}

impl Tree {
    fn place(&self, path: &str) -> String {
        format!("{}{path}", self.root)
    }

    /// Makes the tree what it was before the recorded request. The two directories stay, as they
    /// do in life: only what is below them goes.
    async fn restore(&self, recorded: &BTreeMap<String, String>) {
        for directory in [RECORDED_WATCH_DIR, RECORDED_SUBPOOL_DIR] {
            let directory = self.place(directory);
            for child in self.znodes.children(&directory).await {
                self.znodes.remove(&format!("{directory}/{child}")).await;
            }
        }
        for (path, data) in recorded {
            self.znodes.put(&self.place(path), data).await;
        }
    }

    /// The two directories and all below them, under their recorded names.
    async fn read(&self) -> BTreeMap<String, String> {
        let mut tree = BTreeMap::new();
        for directory in [RECORDED_WATCH_DIR, RECORDED_SUBPOOL_DIR] {
            for (path, data) in self.znodes.tree(&self.place(directory)).await {
                tree.insert(path[self.root.len()..].to_owned(), data);
            }
        }
        tree
    }
}
