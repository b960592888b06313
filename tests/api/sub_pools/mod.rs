//! The sub-pool API as clients, jobmakers and the operator see it. `races` tests its answers under load.
//!
//! Where the order of acks matters, the test itself plays the jobmaker ([`Puppet`]) and chooses the time of each ack;
//! elsewhere the simulator does.
//!
//! * `turns`: one exchange at a time for a sub-pool, gets together;
//! * `attribution`: which ack answers which request;
//! * `answers`: answers, and requests that no jobmaker could answer;
//! * `interruptions`: clients that disconnect, ZooKeeper outages, shutdown;
//! * `log`: the log lines.

mod answers;
mod attribution;
mod interruptions;
mod log;
mod turns;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jobmaker_sim::{Jobmaker, Knobs, SubPool};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::{JoinHandle, JoinSet};
use zookeeper_client::{Acl, AuthId, Permission};

use crate::support::client::{self, Answer, Connection, Request};
use crate::support::daemon::{Builder, Daemon, PASSWORD, USER};
use crate::support::zookeeper::{DIGEST_CREDENTIALS, Znodes, ZooKeeper};
use crate::support::{eventually, seconds, unique};

const COIN: &str = "btc";
const ADDRESS: &str = "34woZDygXWqaVPnNxp5SUnbN6RNQ5koBt4";
/// Every jobmaker's text at its start.
const CONFIGURED: &str = "hellobtc";
/// The default host of scripted acks.
const HOST: &str = "jm-a";
/// Time in which a daemon would do a forbidden thing.
const A_WHILE: Duration = Duration::from_millis(300);
/// An ack timeout that no test waits for.
const ENDLESS: u64 = 50;

const TIMED_OUT: &str = "timeout when waiting ACK";
const NOT_SERVED: &str = "timeout when waiting ACK of the requests before this one, nothing was \
    written; try again";
const SHUTTING_DOWN: &str = "the daemon is shutting down, nothing was written; try again";
const RACE: &str = "data has been updated at query time";
const UNKNOWN: &str = "outcome unknown: zookeeper gave no answer; an update may be applied \
    or not: ask get-coinbase before trying again";

/// Starts with 30 bytes of ASCII, so that no jobmaker cuts it within a character.
const HOSTILE: &str = "x\", outcome: applied, jobmaker: \"evil\", y: \\\"\r\n\
    Nov 23 00:00:00.000 INFO sub-pool exchange, outcome: applied\u{1b}[2J\u{85}\u{2028}\u{202e}\0";

/// [`HOSTILE`] in the log.
const QUOTED: &str = r#""x\", outcome: applied, jobmaker: \"evil\", y: \\\"\r\nNov 23 "#;

/// A daemon whose sub-pools are below a directory of the test's own.
struct Scene {
    zookeeper: String,
    znodes: Arc<Znodes>,
    daemon: Daemon,
    /// Above the base directory, for znodes that must stay untouched.
    root: String,
}

impl Scene {
    /// On the shared server, with an ack timeout in seconds.
    async fn start(ack_timeout: u64) -> Self {
        Self::with(ZooKeeper::shared().await, ack_timeout, |builder| builder).await
    }

    async fn with(
        zookeeper: &ZooKeeper,
        ack_timeout: u64,
        configure: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let root = format!("/t/{}", unique("sub-pools"));
        let builder = Daemon::builder(zookeeper)
            .set("ZKSubPoolUpdateBaseDir", format!("{root}/subpool/"))
            .set("ZKSubPoolUpdateAckTimeout", ack_timeout);
        Self {
            zookeeper: zookeeper.address(),
            znodes: Arc::new(zookeeper.znodes().await),
            daemon: configure(builder).start().await,
            root,
        }
    }

    fn path(&self, name: &str) -> String {
        format!("{}/subpool/{COIN}/{name}", self.root)
    }

    /// A simulator that owns these sub-pools.
    async fn jobmaker(&self, names: &[&str], knobs: Knobs) -> Jobmaker {
        let sub_pool = |name: &&str| SubPool::new(&self.path(name), CONFIGURED, ADDRESS);
        let sub_pools = names.iter().map(sub_pool).collect();
        Jobmaker::start(&self.zookeeper, sub_pools, knobs).await.unwrap()
    }

    /// A sub-pool whose jobmaker is the test.
    async fn puppet(&self, name: &str) -> Puppet {
        let path = self.path(name);
        self.znodes.put(&path, &request(CONFIGURED, ADDRESS)).await;
        self.znodes.put(&format!("{path}/ack"), "").await;
        let puppet = Puppet { znodes: Arc::clone(&self.znodes), path, before: 0 };
        Puppet { before: puppet.writes().await, ..puppet }
    }

    /// Sends a request, and returns the answer's body.
    async fn ask(&self, request: Request) -> String {
        body(self.daemon.base(), &request).await
    }

    /// Sends a request in the background.
    fn asking(&self, request: Request) -> JoinHandle<String> {
        let address = self.daemon.base().to_owned();
        tokio::spawn(async move { body(&address, &request).await })
    }

    /// Sends a request over a connection that the test can close.
    async fn sent(&self, request: &Request) -> Connection {
        let mut connection = self.daemon.connect().await;
        connection.write(&bytes_of(request)).await.unwrap();
        connection
    }

    /// The log lines of a sub-pool's exchanges so far.
    fn exchanges(&self, name: &str) -> Vec<String> {
        let sub_pool = format!("sub_pool: \"{name}\"");
        self.daemon.log_with(&["sub-pool exchange, source: ", &sub_pool])
    }

    /// The fields of a sub-pool's log lines, one for each exchange; waits for this number.
    async fn logged(&self, name: &str, exchanges: usize) -> Vec<BTreeMap<String, String>> {
        // A thread of its own writes the lines, maybe after the answers.
        let lines = eventually("the log lines", seconds(20), || async {
            Some(self.exchanges(name)).filter(|lines| lines.len() >= exchanges)
        })
        .await;
        assert_eq!(lines.len(), exchanges, "{lines:#?}");
        lines.iter().map(|line| fields(line)).collect()
    }

    /// The fields of the only exchange's line.
    async fn exchange(&self, name: &str) -> BTreeMap<String, String> {
        self.logged(name, 1).await.remove(0)
    }
}

/// The request as it goes over the wire.
fn bytes_of(request: &Request) -> Vec<u8> {
    let request = request.clone().credentials(USER, PASSWORD);
    [request.head_bytes(), request.body_bytes().to_vec()].concat()
}

async fn body(address: &str, request: &Request) -> String {
    let request = request.clone().credentials(USER, PASSWORD);
    let response = client::send(address, &request).await;
    let response = response.unwrap_or_else(|error| panic!("{error} instead of an answer"));
    assert_eq!(response.status, 200, "{response:?}");
    response.text()
}

/// A sub-pool whose acks the test writes.
struct Puppet {
    znodes: Arc<Znodes>,
    path: String,
    /// Writes to the request znode that are not the daemon's.
    before: i32,
}

impl Puppet {
    /// Writes of the request since the start.
    async fn writes(&self) -> i32 {
        self.znodes.stat(&self.path).await.unwrap().version - self.before
    }

    async fn wait_for_writes(&self, writes: i32) {
        let what = format!("{writes} writes to {}", self.path);
        eventually(&what, seconds(20), || async { (self.writes().await >= writes).then_some(()) })
            .await;
        assert_eq!(self.writes().await, writes);
    }

    /// The requested coinbase text.
    async fn asked(&self) -> String {
        let text = self.znodes.get(&self.path).await.unwrap();
        let request: Value = serde_json::from_str(&text).unwrap();
        request["coinbase_info"].as_str().unwrap().to_owned()
    }

    async fn ack(&self, ack: &str) {
        self.znodes.put(&format!("{}/ack", self.path), ack).await;
    }
}

fn get(name: &str) -> Request {
    Request::post("/subpool/get-coinbase")
        .body(json!({"coin": COIN, "subpool_name": name}).to_string())
}

fn update(name: &str, coinbase_info: &str) -> Request {
    update_paying(name, coinbase_info, ADDRESS)
}

fn update_paying(name: &str, coinbase_info: &str, payout_addr: &str) -> Request {
    let body = json!({"coin": COIN, "subpool_name": name, "payout_addr": payout_addr,
        "coinbase_info": coinbase_info});
    Request::post("/subpool/update-coinbase").body(body.to_string())
}

/// Another writer's request.
fn request(coinbase_info: &str, payout_addr: &str) -> String {
    json!({"coinbase_info": coinbase_info, "payout_addr": payout_addr}).to_string()
}

fn values(coinbase_info: &str, payout_addr: &str) -> String {
    let (info, address) = (json!(coinbase_info), json!(payout_addr));
    format!(r#"{{"coinbase_info":{info},"payout_addr":{address}}}"#)
}

/// An ack with the coinbase before, and after a success with the one since then.
fn ack(host: &str, old: &str, new: Option<&str>, err_msg: &str) -> String {
    let value = |info: &str| json!({"coinbase_info": info, "payout_addr": ADDRESS});
    let mut ack = json!({
        "created_at": "2026-11-23 00:00:00",
        "host": {"hostname": host, "ip": ["127.0.0.1"]},
        "subpool_name": "of the ack",
        "old": value(old),
        "success": new.is_some(),
        "err_msg": err_msg,
    });
    if let Some(new) = new {
        ack["new"] = value(new);
    }
    ack.to_string()
}

fn granted(old: &str, new: &str) -> String {
    ack(HOST, old, Some(new), "success")
}

fn refused(held: &str, err_msg: &str) -> String {
    ack(HOST, held, None, err_msg)
}

fn error(err_no: i64, err_msg: &str) -> String {
    Answer::error(err_no, err_msg).to_string()
}

/// The body of an answer from a jobmaker; an update's has `new`.
fn answered(name: &str, success: bool, err_msg: &str, old: &str, new: Option<String>) -> String {
    let (err_no, err_msg, name) = (if success { 0 } else { 500 }, json!(err_msg), json!(name));
    let old = values(old, ADDRESS);
    let new = new.map_or(String::new(), |new| format!(r#","new":{new}"#));
    format!(
        r#"{{"success":{success},"err_no":{err_no},"err_msg":{err_msg},"subpool_name":{name},"old":{old}{new}}}"#
    )
}

fn held(name: &str, value: &str) -> String {
    answered(name, true, "success", value, None)
}

fn updated(name: &str, old: &str, new: &str) -> String {
    answered(name, true, "success", old, Some(values(new, ADDRESS)))
}

fn not_updated(name: &str, held: &str, err_msg: &str) -> String {
    answered(name, false, err_msg, held, Some(values("", "")))
}

/// Parses a log line: `name: value` with commas between, where a value may have quoted parts. Panics at a repeated
/// name.
fn fields(line: &str) -> BTreeMap<String, String> {
    let (_, rest) = line.split_once(", ").unwrap_or_else(|| panic!("no fields: {line}"));
    let mut fields = BTreeMap::new();
    let mut rest = Some(rest);
    while let Some(text) = rest {
        let (name, text) = text.split_once(": ").unwrap_or_else(|| panic!("{text:?} in {line}"));
        let (value, after) = value(text);
        rest = after;
        assert!(fields.insert(name.to_owned(), value.to_owned()).is_none(), "{name} twice: {line}");
    }
    fields
}

/// Splits at the first comma outside quotes.
fn value(text: &str) -> (&str, Option<&str>) {
    let (mut quoted, mut escaped) = (false, false);
    for (index, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => return (&text[..index], text[index..].strip_prefix(", ")),
            _ => {}
        }
    }
    assert!(!quoted, "a quote without end: {text}");
    (text, None)
}

async fn wait_unanswered(pending: &JoinHandle<String>) {
    tokio::time::sleep(A_WHILE).await;
    assert!(!pending.is_finished(), "it was answered");
}
