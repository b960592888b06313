//! Requests recorded with the Go daemon, and the answers and ZooKeeper contents that this daemon owes them.
//!
//! The data is `tests/golden/http.json`; its `about` explains it. The cases of one configuration
//! run one after the other on one daemon, and every failed case is reported, not only the first.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jobmaker_sim::{Jobmaker, Knobs, SubPool};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tokio::task::JoinHandle;
use zookeeper_client::Client;

use crate::support::client::{self, Answer, Request, Response};
use crate::support::daemon::Daemon;
use crate::support::unique;
use crate::support::zookeeper::{Znodes, ZooKeeper};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/http.json");
/// The watch directory and the sub-pool directory of the recorded requests.
const RECORDED_WATCH_DIR: &str = "/stratumSwitcher/btcbcc";
const RECORDED_SUBPOOL_DIR: &str = "/subpool";
/// The one sub-pool of the recorded requests, and where it is acked.
const RECORDED_SUBPOOL: &str = "/subpool/btc/pool3";
const RECORDED_ACK: &str = "/subpool/btc/pool3/ack";

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
    for case in cases {
        tree.restore(&case.znodes_before).await;
        let acking = Acking::start(case, &tree, zookeeper).await;
        let request = case.request.build();
        let mut problems = match client::send(daemon.base(), &request).await {
            Ok(response) => case.problems(&request, &response),
            Err(error) => vec![format!("no answer: {error}")],
        };
        acking.stop().await;
        let mut znodes = tree.read().await;
        // The file names no acks: the jobmaker writes them. Without a jobmaker they must stay untouched.
        let ack = znodes.remove(RECORDED_ACK);
        if case.jobmaker.is_none() && ack.as_ref() != case.znodes_before.get(RECORDED_ACK) {
            problems.push(format!("{RECORDED_ACK} has become {ack:?}"));
        }
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
    #[serde(default)]
    jobmaker: Option<Part>,
}

/// Behaviour of the recorded sub-pool's jobmaker.
#[derive(Deserialize)]
#[serde(try_from = "String")]
enum Part {
    /// Its work, beginning with the `old` value of the ack that is there.
    Faithful,
    /// Writes these bytes to the ack node whenever the request node changes.
    Writes(String),
    /// Deletes the ack node when the request node changes.
    Deletes,
}

impl TryFrom<String> for Part {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        const WRITES: &str = "writes the given bytes to ack when the request node changes: ";
        match text.as_str() {
            "faithful simulator, starting from the old value in the ack" => Ok(Self::Faithful),
            "deletes ack when the request node changes" => Ok(Self::Deletes),
            _ => match text.strip_prefix(WRITES) {
                Some(bytes) => Ok(Self::Writes(bytes.to_owned())),
                None => Err(format!("a jobmaker that {text:?}")),
            },
        }
    }
}

/// The simulated jobmaker of a case.
enum Acking {
    Nobody,
    Simulator(Jobmaker),
    Script(JoinHandle<()>),
}

impl Acking {
    /// Returns when a write to the request node will be noticed.
    async fn start(case: &Case, tree: &Tree, zookeeper: &ZooKeeper) -> Self {
        let path = tree.place(RECORDED_SUBPOOL);
        let bytes = match &case.jobmaker {
            None => return Self::Nobody,
            Some(Part::Faithful) => {
                let ack: Value = serde_json::from_str(&case.znodes_before[RECORDED_ACK]).unwrap();
                let old = |field: &str| ack["old"][field].as_str().unwrap();
                let sub_pool = SubPool::new(&path, old("coinbase_info"), old("payout_addr"));
                let address = zookeeper.address();
                let jobmaker = Jobmaker::start(&address, vec![sub_pool], Knobs::default()).await;
                return Self::Simulator(jobmaker.unwrap());
            }
            Some(Part::Writes(bytes)) => Some(bytes.clone()),
            Some(Part::Deletes) => None,
        };
        let client = zookeeper.client().await;
        let (_, _, mut changed) = client.get_and_watch_data(&path).await.unwrap();
        Self::Script(tokio::spawn(async move {
            loop {
                changed.changed().await;
                // Before the ack, so that the next change is not missed.
                changed = client.get_and_watch_data(&path).await.unwrap().2;
                answer(&client, &format!("{path}/ack"), bytes.as_deref()).await;
            }
        }))
    }

    async fn stop(self) {
        match self {
            Self::Nobody => {}
            Self::Simulator(jobmaker) => jobmaker.stop().await,
            Self::Script(task) => task.abort(),
        }
    }
}

/// Writes the ack node, or deletes it if it is still there.
async fn answer(client: &Client, ack: &str, bytes: Option<&str>) {
    match bytes {
        Some(bytes) => {
            client.set_data(ack, bytes.as_bytes(), None).await.unwrap();
        }
        None => {
            let _ = client.delete(ack, None).await;
        }
    }
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

impl Case {
    fn problems(&self, request: &Request, response: &Response) -> Vec<String> {
        let (mut problems, expected) = (Vec::new(), &self.ours.status);
        if !expected.contains(&response.status) {
            problems.push(format!("status: expected {expected:?}, got {}", response.status));
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
        let expected = self.ours.body.as_ref().map(|Compact(body)| body.clone());
        if let Some(expected) = expected.or_else(|| self.refusal_passed_on()) {
            return (text != expected).then(|| format!("body: expected {expected:?}"));
        }
        // A refusal in our own words: the three fields, and the number where the contract has one.
        let Ok(answer) = serde_json::from_str::<Answer>(&text) else {
            return Some("body: expected the three fields of an error".to_owned());
        };
        if answer.success || answer.err_msg.is_empty() || text != answer.to_string() {
            return Some("body: expected an error with its reason".to_owned());
        }
        let wrong = self.ours.err_no.is_some_and(|expected| expected != answer.err_no);
        wrong.then(|| format!("err_no: expected {:?}", self.ours.err_no))
    }

    /// The answer to a get that the jobmaker refuses: the content of its ack, with 500 (contract, section 2).
    /// The Go daemon said 0, and the file leaves the rest to our own words.
    fn refusal_passed_on(&self) -> Option<String> {
        let Some(Part::Writes(bytes)) = &self.jobmaker else {
            return None;
        };
        let ack: Value = serde_json::from_str(bytes).ok()?;
        let (message, name, old) = (&ack["err_msg"], &ack["subpool_name"], ack.get("old")?);
        (ack["success"] == false).then(|| {
            format!(
                r#"{{"success":false,"err_no":500,"err_msg":{message},"subpool_name":{name},"old":{old}}}"#
            )
        })
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

/// The recorded tree, moved below the root of this test.
struct Tree {
    root: String,
    znodes: Znodes,
}

impl Tree {
    fn place(&self, path: &str) -> String {
        format!("{}{path}", self.root)
    }

    /// Restores the tree to its state before the recorded request. The two directories stay, as in
    /// production: only the znodes below them are deleted.
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
