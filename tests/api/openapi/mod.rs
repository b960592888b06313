//! The API's description: what `/openapi.json` and `/docs` are, and whether the daemon does what they say.
//!
//! The last is for schemathesis, which draws requests out of the document, such as it allows and such as it
//! forbids, and looks at the answers; `schemathesis.toml` says how, `checks.py` and `requests_judged.py` are what
//! this API needs besides. `make test` installs it. Where it cannot be had, these tests say so and pass, but not
//! in continuous integration (`CI=true`).

mod page;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use jobmaker_sim::{Jobmaker, Knobs, SubPool};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::client::{self, Request};
use crate::support::daemon::{Daemon, PASSWORD, USER};
use crate::support::zookeeper::ZooKeeper;
use crate::support::{Guarded, Output, seconds, unique, untested};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Where `.ci/test-tools` puts schemathesis.
const TESTER: &str = "/.run/schemathesis";

/// A daemon with a jobmaker, whose document is in a file.
struct Scene {
    daemon: Daemon,
    document: Value,
    folder: tempfile::TempDir,
    _jobmaker: Jobmaker,
}

impl Scene {
    async fn start() -> Self {
        let zookeeper = ZooKeeper::shared().await;
        let root = format!("/t/{}", unique("openapi"));
        let path = format!("{root}/subpool/btc/pool3");
        let address = "34woZDygXWqaVPnNxp5SUnbN6RNQ5koBt4";
        let sub_pools = vec![SubPool::new(&path, "hellobtc", address)];
        let jobmaker = Jobmaker::start(&zookeeper.address(), sub_pools, Knobs::default()).await;
        let daemon = Daemon::builder(zookeeper)
            .admin()
            .set("ZKSubPoolUpdateBaseDir", format!("{root}/subpool/"))
            // What is given up for a busy machine would say nothing of the document.
            .set("ZKSubPoolUpdateAckTimeout", 50)
            .set("ZKRequestTimeoutSeconds", 50)
            .start()
            .await;
        daemon.wait_for_log(&["ZooKeeper session is up"]).await;
        let mut document = document_of(&daemon).await;
        // Only where there is one scheme does the tool leave the credentials out.
        document["security"].as_array_mut().unwrap().truncate(1);
        let folder = tempfile::Builder::new().prefix("switcher-openapi-").tempdir().unwrap();
        Self { daemon, document, folder, _jobmaker: jobmaker.unwrap() }
    }

    /// Runs schemathesis with this document; its exit status, what it printed, and the ledger.
    async fn test(&self, document: &Value, arguments: &[&str]) -> Finding {
        let place = |name: &str| self.folder.path().join(name);
        let (file, ledger, printed) = (place("openapi.json"), place("ledger"), place("printed"));
        std::fs::write(&file, document.to_string()).unwrap();
        for name in [&ledger, &printed] {
            std::fs::write(name, "").unwrap();
        }
        let path = [Path::new(ROOT).join("tests/api/openapi"), tester()];
        // It leaves files where it runs.
        let mut command = Command::new("env");
        command
            .arg("-C")
            .arg(self.folder.path())
            .env("PYTHONPATH", std::env::join_paths(path).unwrap())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("SCHEMATHESIS_HOOKS", "checks")
            .env("OPENAPI_DOCUMENT", &file)
            .env("OPENAPI_LEDGER", &ledger)
            .args(["python3", "-m", "schemathesis.cli", "--config-file"])
            .arg(Path::new(ROOT).join("tests/api/openapi/schemathesis.toml"))
            .arg("run")
            .arg(&file)
            .args(["--url", &format!("http://{}", self.daemon.base())])
            .args(["--auth", &format!("{USER}:{PASSWORD}")])
            .arg("--no-color")
            .args(arguments);
        let output = Output::File(printed.clone());
        let mut process = Guarded::spawn(&command, self.folder.path(), output).unwrap();
        let status = process.wait(seconds(300)).await;
        let text =
            |path: &PathBuf| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        let entries =
            text(&ledger).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        Finding { status: status.code(), printed: text(&printed), entries }
    }
}

/// What a run of schemathesis came to.
struct Finding {
    status: Option<i32>,
    printed: String,
    entries: Vec<Entry>,
}

/// An answer.
#[derive(Debug, Deserialize)]
struct Entry {
    operation: String,
    status: u16,
    /// What it says, if an endpoint gave it.
    success: Option<bool>,
    /// What was switched by it.
    #[serde(default)]
    switches: Vec<(String, String)>,
}

async fn document_of(daemon: &Daemon) -> Value {
    let request = Request::get("/openapi.json").credentials(USER, PASSWORD);
    let response = client::send(&daemon.admin().await, &request).await.unwrap();
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(response.header("Content-Type"), Some("application/json"));
    serde_json::from_slice(&response.body).unwrap()
}

fn tester() -> PathBuf {
    PathBuf::from(format!("{ROOT}{TESTER}"))
}

/// Whether there is schemathesis.
fn is_there() -> bool {
    let is_there = tester().join("schemathesis").is_dir();
    if !is_there {
        untested("the API's description: there is no schemathesis");
    }
    is_there
}

#[tokio::test]
async fn the_daemon_does_what_its_document_says() {
    if !is_there() {
        return;
    }
    let scene = Scene::start().await;
    let found = scene.test(&scene.document, &[]).await;
    assert_eq!(found.status, Some(0), "{}", found.printed);
    assert_is_no_empty_word(&scene.document, &found);
    let switched = switched(&found);
    assert!(switched.len() > 20, "{} sub-accounts: {}", switched.len(), found.printed);
    assert_eq!(held(&scene).await, switched, "ZooKeeper holds what was called a success");
}

/// A run in which no request of an operation succeeds, or none is refused, says nothing.
fn assert_is_no_empty_word(document: &Value, found: &Finding) {
    let mut missing = String::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let operation = format!("{} {path}", method.to_uppercase());
            let of_operation = || found.entries.iter().filter(|it| it.operation == operation);
            for success in [true, false] {
                if !of_operation().any(|entry| entry.success == Some(success)) {
                    let _ = writeln!(missing, "{operation} was never answered success: {success}");
                }
            }
        }
    }
    assert!(missing.is_empty(), "{missing}{}", found.printed);
    let statuses: BTreeSet<u16> = found.entries.iter().map(|entry| entry.status).collect();
    assert_eq!(statuses, BTreeSet::from([200, 401, 405]));
}

/// The last coin of each sub-account of which a switch was answered with success.
fn switched(found: &Finding) -> BTreeMap<String, String> {
    found.entries.iter().flat_map(|entry| entry.switches.iter().cloned()).collect()
}

async fn held(scene: &Scene) -> BTreeMap<String, String> {
    let directory = scene.daemon.watch_dir().trim_end_matches('/');
    let znodes = ZooKeeper::shared().await.znodes().await.tree(directory).await;
    let below = |path: &str| path.strip_prefix(scene.daemon.watch_dir()).map(str::to_owned);
    znodes.into_iter().filter_map(|(path, data)| Some((below(&path)?, data))).collect()
}

/// The judge is judged: each of these documents says of the daemon what it does not do.
#[tokio::test]
async fn a_document_that_is_wrong_is_found_out() {
    if !is_there() {
        return;
    }
    let scene = Scene::start().await;
    type Break = fn(&mut Value);
    let cases: [(&str, &str, &str, Break); 5] = [
        ("a wrong type", "/switch", "Response violates schema", |it| {
            it["components"]["schemas"]["Answer"]["properties"]["err_no"]["type"] = json!("string");
        }),
        ("a missing status", "/switch", "Undocumented status code", |it| {
            let path = "/paths/~1switch/get/responses";
            let responses = it.pointer_mut(path).unwrap().as_object_mut().unwrap();
            let ok = responses.remove("200").unwrap();
            responses.insert("201".to_owned(), ok);
        }),
        (
            "a coin that there is not",
            "/switch",
            "what_the_document_allows_is_not_called_wrong",
            |it| {
                it["components"]["schemas"]["Coin"]["enum"] = json!(["ltc"]);
            },
        ),
        (
            "a name that is allowed and documented as too long",
            "/switch",
            "success_only_for_what_the_document_allows",
            |it| {
                it["components"]["schemas"]["Puname"]["maxLength"] = json!(5);
            },
        ),
        ("a number that is not named", "/switch/multi-user", "Response violates schema", |it| {
            let text = it.to_string().replace("104", "204");
            *it = serde_json::from_str(&text).unwrap();
        }),
    ];
    for (name, path, expected, spoil) in cases {
        let mut document = scene.document.clone();
        spoil(&mut document);
        assert_ne!(document, scene.document, "{name}");
        let arguments =
            ["--include-path", path, "--max-examples", "5", "--max-failures", "1", "--no-shrink"];
        let found = scene.test(&document, &arguments).await;
        assert_eq!(found.status, Some(1), "{name}: {}", found.printed);
        assert!(found.printed.contains(expected), "{name}: no {expected:?} in {}", found.printed);
    }
}
