//! Pulls recorded with the Go daemon; `about` in the file explains it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use serde_json::Value;
use upstream_sim::{Reply, Upstream};

use super::get;
use crate::support::{
    daemon::Daemon,
    eventually, free_port, seconds, unique,
    zookeeper::{Znodes, ZooKeeper},
};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/user_list_pulls.json");

/// Cases that run at the same time.
const TOGETHER: usize = 6;

#[derive(Deserialize)]
struct Golden {
    pulls: Vec<Case>,
}

#[derive(Clone, Deserialize)]
struct Case {
    section: String,
    name: String,
    #[serde(default)]
    config: BTreeMap<String, Value>,
    #[serde(default)]
    lists: BTreeMap<String, Vec<Answer>>,
    #[serde(default)]
    before: BTreeMap<String, String>,
    recorded: Expected,
    #[serde(default)]
    ours: Ours,
}

#[derive(Clone, Deserialize)]
struct Answer {
    #[serde(default)]
    body: Body,
    status: Option<u16>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    delay: Option<f64>,
    mode: Option<String>,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Body {
    Text(String),
    Bytes { base64: String },
}

impl Default for Body {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

#[derive(Clone, Deserialize)]
struct Expected {
    listed: BTreeMap<String, Option<String>>,
    asked: BTreeMap<String, Vec<String>>,
    znodes: BTreeMap<String, String>,
}

#[derive(Clone, Default, Deserialize)]
struct Ours {
    listed: Option<BTreeMap<String, Option<String>>>,
    asked: Option<BTreeMap<String, Vec<String>>>,
    znodes: Option<BTreeMap<String, String>>,
    #[serde(default)]
    refused: bool,
}

impl Answer {
    fn reply(&self) -> Reply {
        let body = match &self.body {
            Body::Text(text) => text.clone().into_bytes(),
            Body::Bytes { base64 } => STANDARD.decode(base64).unwrap(),
        };
        let status = self.status.unwrap_or(200);
        let headers: String =
            self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let reply = match self.mode.as_deref() {
            Some("hang") => Reply::silence(),
            Some("close") => Reply::default(),
            Some("truncate") => Reply::raw(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}",
                body.len(),
                String::from_utf8_lossy(&body[..body.len() / 2])
            )),
            _ => Reply::with_head(&format!("{status} Status"), &headers, body),
        };
        match self.delay {
            Some(delay) => reply.after(Duration::from_secs_f64(delay)),
            None => reply,
        }
    }
}

async fn scripted(lists: BTreeMap<String, Vec<Answer>>) -> Upstream {
    let asked = Mutex::<HashMap<String, usize>>::default();
    let reply = move |request: &upstream_sim::Request| {
        let path = request.target.split('?').next().unwrap_or_default();
        let Some(answers) = lists.get(path) else {
            return Reply::status(404, "Not Found", "text/plain", "no such list");
        };
        let mut asked = asked.lock().unwrap();
        let number = asked.entry(path.to_owned()).or_default();
        *number += 1;
        answers[(*number - 1).min(answers.len() - 1)].reply()
    };
    Upstream::start(reply).await.unwrap()
}

/// The case's paths, below a directory of its own.
fn below(root: &str, znodes: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    znodes.iter().map(|(path, data)| (format!("{root}{path}"), data.clone())).collect()
}

async fn play(case: Case) -> Vec<String> {
    let (zookeeper, root) = (ZooKeeper::shared().await, format!("/t/{}", unique("pull")));
    let upstream = scripted(case.lists.clone()).await;
    let expected = Expected {
        listed: case.ours.listed.unwrap_or(case.recorded.listed),
        asked: case.ours.asked.unwrap_or(case.recorded.asked),
        znodes: below(&root, &case.ours.znodes.unwrap_or(case.recorded.znodes)),
    };
    let local = |value: &Value| {
        let text = value.to_string().replace("UPSTREAM", &upstream.address().to_string());
        let text = text.replace("NOBODY", &format!("127.0.0.1:{}", free_port()));
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let coins = case.lists.keys().map(|path| {
        let url = format!("http://{}{path}", upstream.address());
        (path.trim_start_matches('/').to_owned(), Value::from(url))
    });
    let mut builder = Daemon::builder(zookeeper)
        .set("UserListAPI", Value::Object(coins.collect()))
        .set("AvailableCoins", serde_json::json!(["btc", "bcc", "auto"]))
        .set("IntervalSeconds", 1)
        .set("ZKSwitcherWatchDir", format!("{root}/sw/"))
        .set("ZKUserCaseInsensitiveIndex", format!("{root}/case/"));
    for (key, value) in &case.config {
        let is_dir = key.starts_with("ZK") && value != "";
        let value =
            if is_dir { format!("{root}{}", value.as_str().unwrap()).into() } else { local(value) };
        builder = builder.set(key, value);
    }
    if case.ours.refused {
        let is_refused = builder.check().await.code != Some(0);
        return if is_refused { Vec::new() } else { vec!["the configuration is good".to_owned()] };
    }
    let znodes = zookeeper.znodes().await;
    for (path, data) in below(&root, &case.before) {
        znodes.put(&path, &data).await;
    }
    let daemon = builder.start().await;
    for (path, targets) in &expected.asked {
        let asked = || {
            let all = upstream.requests().into_iter().map(|it| it.target);
            all.filter(|target| target.split('?').next() == Some(path)).take(targets.len())
        };
        // The next request shows that the daemon has taken the last answer. Here there is none.
        let count = if case.name == "never answers" { 1 } else { targets.len() + 1 };
        eventually(&format!("{}: {count} pulls of {path}", case.name), seconds(60), || async {
            let seen = upstream.requests().into_iter();
            let seen = seen.filter(|it| it.target.split('?').next() == Some(path)).count();
            (seen >= count).then_some(())
        })
        .await;
        let asked: Vec<_> = asked().collect();
        if asked[..] != targets[..asked.len()] {
            return vec![format!("asked {asked:?} instead of {targets:?}")];
        }
    }
    let deadline = Instant::now() + seconds(20);
    loop {
        let faults = differences(&daemon, &znodes, &root, &expected).await;
        if faults.is_empty() || Instant::now() > deadline {
            return faults;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Differences of the lists and znodes from the expected ones.
async fn differences(
    daemon: &Daemon,
    znodes: &Znodes,
    root: &str,
    expected: &Expected,
) -> Vec<String> {
    let mut faults = Vec::new();
    for (coin, data) in &expected.listed {
        let listed = get(daemon.base(), &format!("/?coin={coin}")).await;
        let body =
            data.as_ref().map(|it| format!("{{\"err_no\":0,\"err_msg\":null,\"data\":{it}}}"));
        let is_it = match &body {
            Some(body) => listed.status == 200 && listed.text() == *body,
            None => listed.status == 503,
        };
        if !is_it {
            faults.push(format!("{coin} is {} instead of {body:?}", listed.text()));
        }
    }
    let mut tree = znodes.tree(root).await;
    tree.retain(|path, _| path != root && !path.contains("_held"));
    if tree != expected.znodes {
        faults.push(format!("znodes {tree:?} instead of {:?}", expected.znodes));
    }
    faults
}

#[tokio::test]
async fn recorded_pulls_end_as_they_must() {
    let golden: Golden = serde_json::from_slice(&std::fs::read(FILE).unwrap()).unwrap();
    assert!(golden.pulls.len() > 50);
    let ended = stream::iter(golden.pulls).map(|case| async move {
        let name = format!("{}: {}", case.section, case.name);
        play(case).await.into_iter().map(|fault| format!("{name}: {fault}")).collect::<Vec<_>>()
    });
    let faults: Vec<_> = ended.buffer_unordered(TOGETHER).collect().await;
    let faults = faults.concat();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
