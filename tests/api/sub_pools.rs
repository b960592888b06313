//! The sub-pool API as its clients, its jobmakers and its operator meet it.
//!
//! Where the order of acks matters, the test itself plays the jobmaker ([`Puppet`]) and writes each ack
//! when it likes; elsewhere the simulator does. Whether answers stay true under load is for `races`.

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
/// What every jobmaker holds at its start.
const CONFIGURED: &str = "hellobtc";
/// The host of all scripted acks that do not say otherwise.
const HOST: &str = "jm-a";
/// Long enough for a daemon that must not do a thing to do it.
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

/// As the log shows it.
const QUOTED: &str = r#""x\", outcome: applied, jobmaker: \"evil\", y: \\\"\r\nNov 23 "#;

/// A daemon whose sub-pools are below a directory of one test's own.
struct Scene {
    zookeeper: String,
    znodes: Arc<Znodes>,
    daemon: Daemon,
    /// Above the base directory, for what must stay untouched.
    root: String,
}

impl Scene {
    /// On the shared server, with so many seconds for an ack.
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

    /// Asks, and returns the answer's body.
    async fn ask(&self, request: Request) -> String {
        body(self.daemon.base(), &request).await
    }

    /// Asks beside whatever else goes on.
    fn asking(&self, request: Request) -> JoinHandle<String> {
        let address = self.daemon.base().to_owned();
        tokio::spawn(async move { body(&address, &request).await })
    }

    /// A request that was sent whole over a connection that can be hung up.
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

    /// The fields of a sub-pool's log lines, one for each of its exchanges; waits until there are so many.
    async fn logged(&self, name: &str, exchanges: usize) -> Vec<BTreeMap<String, String>> {
        // Lines are written by a thread of their own, so they may come after the answers.
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
    /// How often the request has been written since the start.
    async fn writes(&self) -> i32 {
        self.znodes.stat(&self.path).await.unwrap().version - self.before
    }

    async fn wait_for_writes(&self, writes: i32) {
        let what = format!("{writes} writes to {}", self.path);
        eventually(&what, seconds(20), || async { (self.writes().await >= writes).then_some(()) })
            .await;
        assert_eq!(self.writes().await, writes);
    }

    /// The coinbase text that is asked for now.
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

/// What somebody else writes to a request znode.
fn request(coinbase_info: &str, payout_addr: &str) -> String {
    json!({"coinbase_info": coinbase_info, "payout_addr": payout_addr}).to_string()
}

fn values(coinbase_info: &str, payout_addr: &str) -> String {
    let (info, address) = (json!(coinbase_info), json!(payout_addr));
    format!(r#"{{"coinbase_info":{info},"payout_addr":{address}}}"#)
}

/// An ack that says what was held before, and with success what is held since.
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

/// The body of an answer that a jobmaker made; an update's has `new`.
fn told(name: &str, success: bool, err_msg: &str, old: &str, new: Option<String>) -> String {
    let (err_no, err_msg, name) = (if success { 0 } else { 500 }, json!(err_msg), json!(name));
    let old = values(old, ADDRESS);
    let new = new.map_or(String::new(), |new| format!(r#","new":{new}"#));
    format!(
        r#"{{"success":{success},"err_no":{err_no},"err_msg":{err_msg},"subpool_name":{name},"old":{old}{new}}}"#
    )
}

fn held(name: &str, value: &str) -> String {
    told(name, true, "success", value, None)
}

fn updated(name: &str, old: &str, new: &str) -> String {
    told(name, true, "success", old, Some(values(new, ADDRESS)))
}

fn not_updated(name: &str, held: &str, err_msg: &str) -> String {
    told(name, false, err_msg, held, Some(values("", "")))
}

/// Reads a log line as a machine would: `name: value` with commas between, where a value may have parts
/// in quotes. Panics at a name that comes twice.
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

// One exchange at a time, gets together.

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_gets_of_one_sub_pool_cost_a_handful_of_writes() {
    let scene = Scene::start(ENDLESS).await;
    let jobmaker = scene.jobmaker(&["pool3"], Knobs::default()).await;
    let before = scene.znodes.stat(&scene.path("pool3")).await.unwrap().version;
    // Slow to read at first, so that how fast the clients are makes no difference.
    jobmaker.pause();
    let mut clients = Vec::new();
    for _ in 0..500 {
        clients.push(scene.sent(&get("pool3")).await);
    }
    tokio::time::sleep(A_WHILE).await;
    jobmaker.resume();
    for mut client in clients {
        let answer = client.read_response().await.unwrap();
        assert_eq!(answer.text(), held("pool3", CONFIGURED));
    }
    let writes = scene.znodes.stat(&scene.path("pool3")).await.unwrap().version - before;
    assert!((1..=5).contains(&writes), "{writes} writes");
    // Whoever was left out of a line, or is in two, was not told with the others.
    eventually("500 gets in the log", seconds(20), || async {
        let lines = scene.exchanges("pool3");
        let gets = lines.iter().map(|line| fields(line)["gets"].parse::<usize>().unwrap());
        (gets.sum::<usize>() == 500).then_some(())
    })
    .await;
    jobmaker.stop().await;
}

#[tokio::test]
async fn a_silent_jobmaker_costs_other_sub_pools_nothing() {
    let scene = Scene::start(ENDLESS).await;
    let names = ["a", "b", "c", "d"];
    let jobmaker = scene.jobmaker(&names, Knobs::default()).await;
    let silent = scene.puppet("silent").await;
    let pending = scene.asking(update("silent", "waits"));
    silent.wait_for_writes(1).await;
    for name in names {
        assert_eq!(scene.ask(get(name)).await, held(name, CONFIGURED));
        assert_eq!(scene.ask(update(name, "tiger")).await, updated(name, CONFIGURED, "tiger"));
    }
    assert!(!pending.is_finished(), "it still waits");
    silent.ack(&granted(CONFIGURED, "waits")).await;
    assert_eq!(pending.await.unwrap(), updated("of the ack", CONFIGURED, "waits"));
    jobmaker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_behind_a_silent_jobmaker_is_answered_and_never_written() {
    let scene = Scene::start(1).await;
    let puppet = scene.puppet("pool3").await;
    let first = scene.asking(update("pool3", "first"));
    puppet.wait_for_writes(1).await;
    let others: Vec<_> =
        (0..6).map(|number| scene.asking(update("pool3", &format!("u{number}")))).collect();
    let get = scene.asking(get("pool3"));
    assert_eq!(first.await.unwrap(), error(504, TIMED_OUT));
    // The next in the queue may just be served when its time is over; the others cannot.
    let mut written = vec!["first".to_owned()];
    for (number, other) in others.into_iter().enumerate() {
        let answer = other.await.unwrap();
        if answer == error(504, TIMED_OUT) {
            written.push(format!("u{number}"));
        } else {
            assert_eq!(answer, error(504, NOT_SERVED));
        }
    }
    let get = get.await.unwrap();
    assert!([error(504, NOT_SERVED), error(504, TIMED_OUT)].contains(&get), "{get}");
    assert!(written.len() <= 2, "{written:?}");
    assert_eq!(puppet.writes().await, written.len() as i32, "{written:?}");
    assert!(written.contains(&puppet.asked().await));
    // Some may have begun, but too late.
    eventually("a log line for each that was not written", seconds(20), || async {
        let not_written = ["sub-pool update not begun", "asked: update"]
            .map(|kind| scene.daemon.log_with(&[kind, "outcome: nothing written"]).len());
        (not_written.iter().sum::<usize>() + written.len() == 7).then_some(())
    })
    .await;
}

/// Where an exchange begins just when its time is over, answer and znode must agree on what happened.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_of_which_nothing_was_written_is_in_no_znode() {
    const SUB_POOLS: usize = 200;
    let scene = Scene::start(1).await;
    let mut puppets = Vec::new();
    for number in 0..SUB_POOLS {
        puppets.push(scene.puppet(&format!("pool{number}")).await);
    }
    // It takes luck to meet the moment.
    let mut said_written = vec![0; SUB_POOLS];
    for _ in 0..3 {
        for (sub_pool, answer) in two_updates_each(&scene, SUB_POOLS).await {
            if answer == error(504, TIMED_OUT) {
                said_written[sub_pool] += 1;
            } else {
                assert_eq!(answer, error(504, NOT_SERVED));
            }
        }
    }
    let mut wrong = Vec::new();
    for (puppet, said) in puppets.iter().zip(said_written) {
        let writes = puppet.writes().await;
        if writes != said {
            wrong.push(format!("{}: {said} said to be written, {writes} were", puppet.path));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The answers to two updates of each sub-pool, of which the second comes a moment after the first: its
/// turn is when its time ends.
async fn two_updates_each(scene: &Scene, sub_pools: usize) -> Vec<(usize, String)> {
    let mut connections = Vec::new();
    for number in 0..2 * sub_pools {
        connections.push((number / 2, scene.daemon.connect().await));
    }
    let mut updates = JoinSet::new();
    for (sub_pool, mut connection) in connections {
        let request = update(&format!("pool{sub_pool}"), "tiger");
        connection.write(&bytes_of(&request)).await.unwrap();
        updates.spawn(async move { (sub_pool, connection.read_response().await.unwrap().text()) });
    }
    updates.join_all().await
}

// Whose ack it is.

#[tokio::test]
async fn a_late_ack_never_answers_the_next_caller() {
    let scene = Scene::start(2).await;
    let puppet = scene.puppet("pool3").await;
    assert_eq!(scene.ask(update("pool3", "late")).await, error(504, TIMED_OUT));
    let next = scene.asking(update("pool3", "next"));
    puppet.wait_for_writes(2).await;
    puppet.ack(&granted(CONFIGURED, "late")).await;
    // It makes sure of what it was not told.
    puppet.wait_for_writes(3).await;
    wait_unanswered(&next).await;
    puppet.ack(&granted("late", "next")).await;
    assert_eq!(next.await.unwrap(), updated("of the ack", "late", "next"));

    // And if only the late one ever comes:
    let last = scene.asking(update("pool3", "last"));
    puppet.wait_for_writes(4).await;
    puppet.ack(&granted("late", "next")).await;
    assert_eq!(last.await.unwrap(), error(504, TIMED_OUT));
}

#[tokio::test]
async fn an_ack_from_before_the_write_is_not_looked_at() {
    let scene = Scene::start(2).await;
    let puppet = scene.puppet("pool3").await;
    // Says all that the update wants to hear, and was there before it.
    puppet.ack(&granted(CONFIGURED, "tiger")).await;
    assert_eq!(scene.ask(update("pool3", "tiger")).await, error(504, TIMED_OUT));
    assert_eq!(scene.ask(get("pool3")).await, error(504, TIMED_OUT));
    assert_eq!(puppet.writes().await, 2, "there was nothing to make sure of");
}

#[tokio::test]
async fn acks_of_a_stale_read_are_not_believed_even_twice() {
    let stale = [
        granted("elephant", "foreign"),
        refused("foreign", "invalid payout address"),
        refused("foreign", "empty request"),
    ];
    let scene = Scene::start(ENDLESS).await;
    for (number, stale) in stale.iter().enumerate() {
        let name = format!("pool{number}");
        let puppet = scene.puppet(&name).await;
        let pending = scene.asking(update(&name, "tiger"));
        puppet.wait_for_writes(1).await;
        for repeated in 0..2 {
            puppet.ack(stale).await;
            puppet.wait_for_writes(2 + repeated).await;
            wait_unanswered(&pending).await;
        }
        assert_eq!(puppet.asked().await, "tiger");
        puppet.ack(&granted("foreign", "tiger")).await;
        let answer = pending.await.unwrap();
        assert_eq!(answer, updated("of the ack", "foreign", "tiger"), "after {stale}");
        assert_eq!(puppet.writes().await, 3);
    }
}

/// An ack for the text `tiger` and another address than the daemon's clients ask for.
fn elsewhere(old_address: &str) -> String {
    let value = |address: &str| json!({"coinbase_info": "tiger", "payout_addr": address});
    let mut ack: Value = serde_json::from_str(&granted("", "tiger")).unwrap();
    (ack["old"], ack["new"]) = (value(old_address), value("elsewhere"));
    ack.to_string()
}

/// The test is a jobmaker that writes one ack of an earlier request again and again: after each write of ours, in a
/// row, or at its own pace.
#[tokio::test]
async fn one_stale_ack_with_another_address_makes_no_update_succeed() {
    let scene = Scene::start(5).await;
    let mut tests = JoinSet::new();
    for (number, stale) in [elsewhere("before"), elsewhere("elsewhere")].into_iter().enumerate() {
        for pace in ["after each write", "in a row", "slowly"] {
            let name = format!("{}-{number}", pace.replace(' ', "-"));
            let (puppet, stale) = (scene.puppet(&name).await, stale.clone());
            let pending = scene.asking(update(&name, "tiger"));
            tests.spawn(async move {
                puppet.wait_for_writes(1).await;
                for writes in 2..=5 {
                    puppet.ack(&stale).await;
                    match pace {
                        "after each write" if writes < 5 => puppet.wait_for_writes(writes).await,
                        "slowly" => tokio::time::sleep(Duration::from_millis(40)).await,
                        _ => {}
                    }
                }
                let answer = pending.await.unwrap();
                assert!(
                    answer == error(504, TIMED_OUT) || answer == error(500, RACE),
                    "{name}: {answer}"
                );
            });
        }
    }
    tests.join_all().await;
}

/// A jobmaker that spells the address in its own way, and reads each of our writes.
#[tokio::test]
async fn an_own_spelling_of_an_address_is_a_success_once_the_jobmaker_holds_it() {
    let scene = Scene::start(ENDLESS).await;
    let puppet = scene.puppet("pool3").await;
    let pending = scene.asking(update("pool3", "tiger"));
    for (writes, old) in [(1, "before"), (2, "elsewhere"), (3, "elsewhere")] {
        puppet.wait_for_writes(writes).await;
        puppet.ack(&elsewhere(old)).await;
    }
    let answer: Value = serde_json::from_str(&pending.await.unwrap()).unwrap();
    assert_eq!(
        (&answer["success"], &answer["old"]["payout_addr"]),
        (&json!(true), &json!("before"))
    );
    assert_eq!(answer["new"]["payout_addr"], "elsewhere");
    assert_eq!(puppet.writes().await, 3);

    // It held the value before, so that only the date tells its acks apart.
    let puppet = scene.puppet("held").await;
    let pending = scene.asking(update("held", "tiger"));
    for (writes, second) in [(1, "00"), (2, "00"), (3, "00"), (4, "01")] {
        puppet.wait_for_writes(writes).await;
        let dated = format!("2026-11-23 00:00:{second}");
        puppet.ack(&elsewhere("elsewhere").replace("2026-11-23 00:00:00", &dated)).await;
    }
    let answer: Value = serde_json::from_str(&pending.await.unwrap()).unwrap();
    assert_eq!(answer["success"], true, "{answer}");
}

#[tokio::test]
async fn a_refusal_is_believed_once_it_must_be_of_a_later_read() {
    let scene = Scene::start(ENDLESS).await;
    // It contradicts the one before, so it must be said again.
    let puppet = scene.puppet("other-words").await;
    let pending = scene.asking(update_paying("other-words", "tiger", "nonsense"));
    puppet.wait_for_writes(1).await;
    puppet.ack(&granted("elephant", "foreign")).await;
    for writes in 2..=3 {
        puppet.wait_for_writes(writes).await;
        wait_unanswered(&pending).await;
        puppet.ack(&refused("foreign", "invalid payout address")).await;
    }
    let refusal = not_updated("of the ack", "foreign", "invalid payout address");
    assert_eq!(pending.await.unwrap(), refusal);

    // Or it is the third that says the same.
    let puppet = scene.puppet("third").await;
    let pending = scene.asking(update_paying("third", "tiger", "nonsense"));
    for writes in 1..=3 {
        puppet.wait_for_writes(writes).await;
        assert!(!pending.is_finished());
        puppet.ack(&refused("foreign", "invalid payout address")).await;
    }
    assert_eq!(pending.await.unwrap(), refusal);
}

#[tokio::test]
async fn an_update_that_another_writer_has_overwritten_is_a_race_unless_it_was_granted() {
    let scene = Scene::start(ENDLESS).await;
    for (name, ack, answer) in [
        ("success", granted(CONFIGURED, "foreign"), error(500, RACE)),
        ("refusal", refused(CONFIGURED, "invalid payout address"), error(500, RACE)),
        ("ours", granted(CONFIGURED, "tiger"), updated("of the ack", CONFIGURED, "tiger")),
    ] {
        let puppet = scene.puppet(name).await;
        let pending = scene.asking(update(name, "tiger"));
        puppet.wait_for_writes(1).await;
        scene.znodes.put(&puppet.path, &request("foreign", ADDRESS)).await;
        puppet.ack(&ack).await;
        assert_eq!(pending.await.unwrap(), answer, "{name}");
        assert_eq!(puppet.asked().await, "foreign", "it is not written over");
        assert_eq!(puppet.writes().await, 2);
    }
}

#[tokio::test]
async fn nothing_is_believed_or_written_again_after_another_writer() {
    let scene = Scene::start(ENDLESS).await;
    let refusal = refused("foreign", "invalid payout address");
    for (name, second) in [
        ("same", refusal.clone()),
        // Without the other writer, these would be of a later read, so the answer.
        ("refusal", refused("foreign", "field missing or wrong field type")),
        ("success", granted(CONFIGURED, "foreign")),
    ] {
        let puppet = scene.puppet(name).await;
        let pending = scene.asking(update(name, "tiger"));
        puppet.wait_for_writes(1).await;
        puppet.ack(&refusal).await;
        puppet.wait_for_writes(2).await;
        scene.znodes.put(&puppet.path, &request("foreign", ADDRESS)).await;
        puppet.ack(&second).await;
        assert_eq!(pending.await.unwrap(), error(500, RACE), "{name}");
        assert_eq!((puppet.asked().await.as_str(), puppet.writes().await), ("foreign", 3));
    }
}

#[tokio::test]
async fn acks_of_two_hosts_within_one_exchange_are_a_race() {
    let scene = Scene::start(ENDLESS).await;
    let puppet = scene.puppet("pool3").await;
    let pending = scene.asking(update_paying("pool3", "tiger", "nonsense"));
    for (writes, host) in [(1, "jm-a"), (2, "jm-b")] {
        puppet.wait_for_writes(writes).await;
        puppet.ack(&ack(host, CONFIGURED, None, "invalid payout address")).await;
    }
    assert_eq!(pending.await.unwrap(), error(500, RACE));
    assert_eq!(scene.exchange("pool3").await["outcome"], "outcome unknown");
}

// What gets and updates are told.

/// As in Go's decoder, which the backends' encoders were tried with: half an emoji is one U+FFFD.
#[tokio::test]
async fn half_an_emoji_is_a_character_of_three_bytes() {
    let scene = Scene::start(ENDLESS).await;
    let jobmaker = scene.jobmaker(&["pool3"], Knobs::default()).await;
    let letters = "x".repeat(26);
    let body = format!(
        r#"{{"coin":"btc","subpool_name":"pool3","payout_addr":"{ADDRESS}","coinbase_info":"{letters}\ud83d"}}"#
    );
    let answer = scene.ask(Request::post("/subpool/update-coinbase").body(body)).await;
    let kept = values(&format!("{letters}\u{fffd}"), ADDRESS);
    assert_eq!(answer, told("pool3", true, "success", CONFIGURED, Some(kept)));
    jobmaker.stop().await;
}

#[tokio::test]
async fn a_get_tells_what_the_jobmaker_holds_even_if_nothing_was_requested_yet() {
    let scene = Scene::start(ENDLESS).await;
    let jobmaker = scene.jobmaker(&["pool3"], Knobs::default()).await;
    assert_eq!(scene.znodes.get(&scene.path("pool3")).await.as_deref(), Some(""));
    assert_eq!(scene.ask(get("pool3")).await, held("pool3", CONFIGURED));
    assert_eq!(scene.znodes.get(&scene.path("pool3")).await.as_deref(), Some(""), "as it was");

    let (long, cut) = ("abcdefghijklmnopqrstuvwxyz0123456789", "abcdefghijklmnopqrstuvwxyz0123");
    let truncated = "coinbase info truncated to 30 bytes";
    let answer = scene.ask(update("pool3", long)).await;
    assert_eq!(answer, told("pool3", true, truncated, CONFIGURED, Some(values(cut, ADDRESS))));
    assert_eq!(scene.ask(get("pool3")).await, told("pool3", true, truncated, cut, None));

    let invalid = "invalid payout address";
    let answer = scene.ask(update_paying("pool3", "lion", "nonsense")).await;
    assert_eq!(answer, not_updated("pool3", cut, invalid));
    assert_eq!(scene.ask(get("pool3")).await, told("pool3", false, invalid, cut, None));
    jobmaker.stop().await;
}

#[tokio::test]
async fn an_ack_node_that_vanishes_is_told_as_that() {
    let scene = Scene::start(ENDLESS).await;
    for (name, request) in [("get", get("get")), ("update", update("update", "tiger"))] {
        let puppet = scene.puppet(name).await;
        let pending = scene.asking(request);
        puppet.wait_for_writes(1).await;
        scene.znodes.remove(&format!("{}/ack", puppet.path)).await;
        assert_eq!(pending.await.unwrap(), error(500, "cannot get ACK from zookeeper"));
        assert_eq!(scene.exchange(name).await["outcome"], "outcome unknown");
    }
}

#[tokio::test]
async fn garbage_in_the_ack_node_is_told_unless_an_ack_follows() {
    let scene = Scene::start(ENDLESS).await;
    for (name, request) in [("get", get("get")), ("update", update("update", "tiger"))] {
        let puppet = scene.puppet(name).await;
        let pending = scene.asking(request.clone());
        puppet.wait_for_writes(1).await;
        puppet.ack("{").await;
        puppet.wait_for_writes(2).await;
        wait_unanswered(&pending).await;
        puppet.ack(&granted(CONFIGURED, "tiger")).await;
        let answer = pending.await.unwrap();
        assert!(answer.starts_with(r#"{"success":true,"#), "{answer}");

        let pending = scene.asking(request);
        for writes in 3..5 {
            puppet.wait_for_writes(writes).await;
            puppet.ack(r#"{"success":true}"#).await;
        }
        assert_eq!(pending.await.unwrap(), error(500, "cannot parse ACK in zookeeper"));
    }
}

// Requests that no jobmaker could answer.

/// The coinbase text with which an update's node data has so many bytes.
fn filling(name: &str, bytes: usize) -> String {
    let empty = json!({"coin": COIN, "subpool_name": name, "payout_addr": ADDRESS,
        "coinbase_info": ""});
    "x".repeat(bytes - empty.to_string().len())
}

#[tokio::test]
async fn an_update_that_a_jobmaker_would_not_read_to_its_end_is_refused() {
    let scene = Scene::start(ENDLESS).await;
    let jobmaker = scene.jobmaker(&["pool3"], Knobs::default()).await;
    // Short in the body, but a character takes six bytes in the node.
    let escaped = "<".repeat(8_192 / 6);
    for text in [filling("pool3", 8_193), filling("pool3", 20_000), escaped] {
        let answer = scene.ask(update("pool3", &text)).await;
        assert!(answer.starts_with(r#"{"err_no":400,"#) && answer.contains("8192"), "{answer}");
    }
    assert_eq!(scene.znodes.get(&scene.path("pool3")).await.as_deref(), Some(""));

    let answer = scene.ask(update("pool3", &filling("pool3", 8_192))).await;
    let new = values(&"x".repeat(30), ADDRESS);
    let cut = "coinbase info truncated to 30 bytes";
    assert_eq!(answer, told("pool3", true, cut, CONFIGURED, Some(new)));
    let written = scene.znodes.get(&scene.path("pool3")).await.unwrap();
    assert_eq!(written.len(), 8_192);
    jobmaker.stop().await;
}

#[tokio::test]
async fn an_update_that_a_jobmaker_would_cut_within_a_character_is_refused() {
    let shared = ZooKeeper::shared().await;
    for cut in [30, 40] {
        let scene = Scene::with(shared, ENDLESS, |builder| match cut {
            30 => builder,
            cut => builder.set("JobmakerCoinbaseMaxBytes", cut),
        })
        .await;
        let knobs = Knobs { coinbase_max: cut, ..Knobs::default() };
        let jobmaker = scene.jobmaker(&["pool3"], knobs).await;
        for before in [cut - 1, cut - 2] {
            let text = format!("{}矿", "x".repeat(before));
            let answer = scene.ask(update("pool3", &text)).await;
            let refused = answer.starts_with(r#"{"err_no":400,"#);
            assert!(refused && answer.contains(&format!("{cut} bytes")), "{answer}");
        }
        assert_eq!(scene.znodes.get(&scene.path("pool3")).await.as_deref(), Some(""));
        for before in [cut - 3, cut] {
            let text = format!("{}矿", "x".repeat(before));
            let answer = scene.ask(update("pool3", &text)).await;
            assert!(answer.starts_with(r#"{"success":true,"#), "{cut}, {before}: {answer}");
        }
        jobmaker.stop().await;
    }
}

#[tokio::test]
async fn names_that_no_sub_pool_can_have_do_not_exist_and_touch_nothing() {
    let scene = Scene::start(1).await;
    let puppet = scene.puppet("pool3").await;
    for outside in ["outside", "outside/pool3", "subpool/pool3", "pool3"] {
        scene.znodes.put(&format!("{}/{outside}/ack", scene.root), "").await;
    }
    let before = states(&scene).await;
    let long = "é".repeat(1_000);
    let component = |text: &str| !matches!(text, "btc" | "pool3");
    let texts = [
        "..",
        ".",
        "/",
        "a/b",
        "../outside",
        "../../outside/pool3",
        "pool3/",
        "/pool3",
        "pool3/ack",
        "..\0",
        "a\0b",
        "\u{1}",
        "\n",
        "\u{7f}",
        "\u{85}",
        "\u{e000}",
        "\u{fff0}",
        "😀",
        &long,
    ];
    for text in texts {
        for (coin, name) in [("btc", text), (text, "pool3"), (text, "outside"), (text, text)] {
            assert!(component(coin) || component(name));
            let body = json!({"coin": coin, "subpool_name": name, "payout_addr": ADDRESS,
                "coinbase_info": "tiger"});
            for path in ["/subpool/get-coinbase", "/subpool-update-coinbase"] {
                let answer = scene.ask(Request::post(path).body(body.to_string())).await;
                if name.len() < 200 {
                    assert_eq!(answer, error(404, &format!("subpool '{name}' does not exist")));
                } else {
                    assert!(answer.starts_with(r#"{"err_no":404,"err_msg":"subpool 'éé"#));
                    assert!(answer.len() < 1_000, "{} bytes", answer.len());
                }
            }
        }
    }
    // Valid, but nobody's.
    let name = "%2e%2e";
    let absent = error(404, &format!("subpool '{name}' does not exist"));
    assert_eq!(scene.ask(update(name, "tiger")).await, absent);
    assert_eq!(states(&scene).await, before);
    assert_eq!(puppet.writes().await, 0);
}

/// Each znode of the scene with its last write.
async fn states(scene: &Scene) -> BTreeMap<String, i64> {
    let mut states = BTreeMap::new();
    for path in scene.znodes.tree(&scene.root).await.into_keys() {
        let written = scene.znodes.stat(&path).await.unwrap().mzxid;
        states.insert(path, written);
    }
    states
}

// Clients that go away.

#[tokio::test]
async fn a_client_that_goes_after_its_update_was_written_blocks_nobody_and_is_logged() {
    let scene = Scene::start(ENDLESS).await;
    let puppet = scene.puppet("pool3").await;
    let gone = scene.sent(&update("pool3", "gone")).await;
    puppet.wait_for_writes(1).await;
    drop(gone);
    let next = scene.asking(update("pool3", "next"));
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(puppet.asked().await, "gone", "its exchange goes on");
    puppet.ack(&granted(CONFIGURED, "gone")).await;
    puppet.wait_for_writes(2).await;
    puppet.ack(&granted("gone", "next")).await;
    assert_eq!(next.await.unwrap(), updated("of the ack", "gone", "next"));
    let lines = scene.logged("pool3", 2).await;
    let new: Vec<_> = lines.iter().map(|line| &*line["new"]).collect();
    assert_eq!(new, ["gone", "next"].map(|text| format!("\"{text}\" \"{ADDRESS}\"")));
}

#[tokio::test]
async fn a_client_that_goes_while_it_waits_for_its_turn_is_left_out() {
    let scene = Scene::start(ENDLESS).await;
    let puppet = scene.puppet("pool3").await;
    let first = scene.asking(update("pool3", "first"));
    puppet.wait_for_writes(1).await;
    let gone = scene.sent(&update("pool3", "gone")).await;
    tokio::time::sleep(A_WHILE).await;
    drop(gone);
    tokio::time::sleep(A_WHILE).await;
    let last = scene.asking(update("pool3", "last"));
    tokio::time::sleep(A_WHILE).await;
    puppet.ack(&granted(CONFIGURED, "first")).await;
    assert_eq!(first.await.unwrap(), updated("of the ack", CONFIGURED, "first"));
    puppet.wait_for_writes(2).await;
    assert_eq!(puppet.asked().await, "last", "nothing is written for nobody");
    puppet.ack(&granted("first", "last")).await;
    assert_eq!(last.await.unwrap(), updated("of the ack", "first", "last"));
    let line = scene.daemon.wait_for_log(&["sub-pool update not begun", "\"gone\""]).await;
    let line = fields(&line);
    assert_eq!((&*line["outcome"], &*line["coin"]), ("nothing written", "\"btc\""));
}

// ZooKeeper that goes away.

#[tokio::test]
async fn zookeeper_killed_in_mid_exchange_is_told_at_once_and_the_next_exchange_works() {
    let mut zookeeper = ZooKeeper::private().await;
    let mut scene = Scene::with(&zookeeper, ENDLESS, |builder| builder).await;
    let puppet = scene.puppet("pool3").await;
    let pending = scene.asking(update("pool3", "tiger"));
    puppet.wait_for_writes(1).await;
    let start = Instant::now();
    zookeeper.kill9();
    assert_eq!(pending.await.unwrap(), error(500, UNKNOWN));
    assert!(start.elapsed() < seconds(ENDLESS / 2), "only after {:?}", start.elapsed());
    let line = scene.exchange("pool3").await;
    assert_eq!(line["outcome"], "outcome unknown");
    assert_eq!(line["new"], format!("\"tiger\" \"{ADDRESS}\""));

    zookeeper.restart().await;
    scene.znodes = Arc::new(zookeeper.znodes().await);
    let jobmaker = scene.jobmaker(&["pool3"], Knobs::default()).await;
    // What was written in the end is what get tells.
    assert_eq!(scene.ask(get("pool3")).await, held("pool3", "tiger"));
    assert_eq!(scene.ask(update("pool3", "lion")).await, updated("pool3", "tiger", "lion"));
    jobmaker.stop().await;
}

#[tokio::test]
async fn without_zookeeper_no_sub_pool_is_said_not_to_exist() {
    let mut zookeeper = ZooKeeper::absent().await;
    let root = format!("/t/{}", unique("sub-pools"));
    let daemon = Daemon::builder(&zookeeper)
        .set("ZKSubPoolUpdateBaseDir", format!("{root}/subpool/"))
        .set("ZKSubPoolUpdateAckTimeout", 2)
        .start()
        .await;
    let away = error(500, "read data node failed");
    for request in [get("pool3"), update("pool3", "tiger")] {
        assert_eq!(body(daemon.base(), &request).await, away);
    }
    zookeeper.restart().await;
    let absent = error(404, "subpool 'pool3' does not exist");
    eventually("it is back", seconds(30), || async {
        (body(daemon.base(), &get("pool3")).await == absent).then_some(())
    })
    .await;
    let line = daemon.wait_for_log(&["sub-pool update not begun", "\"tiger\""]).await;
    assert_eq!(fields(&line)["outcome"], "nothing written");
    zookeeper.kill9();
    daemon.wait_for_log(&["connection lost"]).await;
    for request in [get("pool3"), update("pool3", "tiger")] {
        assert_eq!(body(daemon.base(), &request).await, away);
    }
}

#[tokio::test]
async fn a_frozen_zookeeper_is_told_as_one_that_cannot_be_read() {
    let zookeeper = ZooKeeper::private().await;
    let scene =
        Scene::with(&zookeeper, 1, |builder| builder.set("ZKSessionTimeoutSeconds", 20)).await;
    let puppet = scene.puppet("pool3").await;
    zookeeper.stop();
    let answers = [scene.ask(get("pool3")).await, scene.ask(update("pool3", "tiger")).await];
    zookeeper.cont();
    // The get's reads are still under way, so the update has no turn.
    assert_eq!(answers, [error(500, "read data node failed"), error(504, NOT_SERVED)]);
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(puppet.writes().await, 0, "and nothing is written later");
}

#[tokio::test]
async fn an_older_zookeeper_loses_no_session_over_watches_that_never_fire() {
    let shared = ZooKeeper::shared().await;
    let scene = Scene::with(shared, 1, |builder| builder.set("ZKServerVersion", "3.4.6")).await;
    let jobmaker = scene.jobmaker(&["pool3"], Knobs::default()).await;
    let silent = scene.puppet("silent").await;
    let mut before = CONFIGURED;
    for text in ["tiger", "lion", "lynx"] {
        let (timed_out, answer) =
            tokio::join!(scene.ask(update("silent", text)), scene.ask(update("pool3", text)));
        assert_eq!(timed_out, error(504, TIMED_OUT));
        assert_eq!(answer, updated("pool3", before, text));
        assert_eq!(scene.ask(get("silent")).await, error(504, TIMED_OUT));
        assert_eq!(scene.ask(get("pool3")).await, held("pool3", text));
        before = text;
        // Fires the watches that nobody waits for any more.
        silent.ack(&granted(CONFIGURED, text)).await;
    }
    let sessions = scene.daemon.log_with(&["ZooKeeper session is up"]);
    assert_eq!(sessions.len(), 1, "{sessions:#?}");
    assert_eq!(scene.daemon.log_with(&["connection lost"]), Vec::<String>::new());
    jobmaker.stop().await;
}

#[tokio::test]
async fn a_request_znode_that_may_not_be_written_or_read_is_told_as_that() {
    let shared = ZooKeeper::shared().await;
    let client = shared.client().await;
    for credentials in ["", DIGEST_CREDENTIALS] {
        let scene =
            Scene::with(shared, ENDLESS, |builder| builder.set("ZKDigestCredentials", credentials))
                .await;
        let anyone = |permission| [Acl::new(permission, AuthId::anyone())];
        let puppet = scene.puppet("readable").await;
        client.set_acl(&puppet.path, &anyone(Permission::READ), None).await.unwrap();
        for request in [get("readable"), update("readable", "tiger")] {
            assert_eq!(scene.ask(request).await, error(500, "write data node failed"));
        }
        assert_eq!(puppet.writes().await, 0);
        let hidden = scene.puppet("hidden").await;
        client.set_acl(&hidden.path, &anyone(Permission::WRITE), None).await.unwrap();
        assert_eq!(scene.ask(get("hidden")).await, error(500, "read data node failed"));
        assert_eq!(hidden.writes().await, 0);
        for (name, lines) in [("readable", 2), ("hidden", 1)] {
            for line in scene.logged(name, lines).await {
                assert_eq!(line["outcome"], "nothing written");
            }
        }
    }
}

// The log.

const FIELDS: [&str; 12] = [
    "asked",
    "client",
    "coin",
    "gets",
    "jobmaker",
    "new",
    "old",
    "outcome",
    "request",
    "source",
    "sub_pool",
    "took_seconds",
];

/// Panics unless the line has these fields besides those of every exchange.
fn assert_fields(line: &BTreeMap<String, String>, more: &[&str]) {
    let mut expected = [&FIELDS[..], more].concat();
    expected.sort_unstable();
    assert_eq!(line.keys().collect::<Vec<_>>(), expected);
    line["took_seconds"].parse::<f64>().unwrap();
    assert_eq!((&*line["source"], &*line["client"]), ("api", "127.0.0.1"));
    assert_eq!((line["request"].len(), &*line["coin"]), (16, "\"btc\""));
}

#[tokio::test]
async fn an_exchange_is_one_log_line_that_says_all() {
    let scene = Scene::start(1).await;
    let shown = |text: &str| format!("\"{text}\" \"{ADDRESS}\"");
    let puppet = scene.puppet("applied").await;
    let pending = scene.asking(update("applied", "tiger"));
    puppet.wait_for_writes(1).await;
    puppet.ack(&granted("before", "tiger")).await;
    pending.await.unwrap();
    let line = scene.exchange("applied").await;
    assert_fields(&line, &[]);
    assert_eq!((&*line["asked"], &*line["gets"], &*line["outcome"]), ("update", "0", "applied"));
    assert_eq!((&line["old"], &line["new"]), (&shown("before"), &shown("tiger")));
    assert_eq!(line["jobmaker"], "\"jm-a\"");

    let puppet = scene.puppet("read").await;
    let pending = scene.asking(get("read"));
    puppet.wait_for_writes(1).await;
    puppet.ack(&granted("before", "tiger")).await;
    pending.await.unwrap();
    let line = scene.exchange("read").await;
    assert_fields(&line, &[]);
    assert_eq!((&*line["asked"], &*line["gets"], &*line["outcome"]), ("get", "1", "read"));
    assert_eq!((&*line["old"], &*line["new"]), (&*shown("tiger"), "-"));

    let puppet = scene.puppet("refused").await;
    let pending = scene.asking(update("refused", "tiger"));
    puppet.wait_for_writes(1).await;
    puppet.ack(&granted("foreign", "before")).await;
    for writes in 2..=3 {
        puppet.wait_for_writes(writes).await;
        puppet.ack(&refused("before", "no")).await;
    }
    pending.await.unwrap();
    let line = scene.exchange("refused").await;
    assert_fields(&line, &["err_msg"]);
    assert_eq!((&*line["outcome"], &*line["err_msg"]), ("refused", "\"no\""));
    assert_eq!((&line["old"], &line["new"]), (&shown("before"), &shown("tiger")));

    scene.puppet("silent").await;
    scene.ask(update("silent", "tiger")).await;
    let line = scene.exchange("silent").await;
    assert_fields(&line, &["cause"]);
    assert_eq!((&*line["outcome"], &*line["old"]), ("outcome unknown", "?"));
    assert_eq!((&*line["jobmaker"], &line["new"]), ("\"\"", &shown("tiger")));
    assert!(line["took_seconds"].parse::<f64>().unwrap() >= 0.9, "{line:?}");
}

#[tokio::test]
async fn values_from_outside_forge_neither_lines_nor_fields_nor_flood_the_log() {
    let grace = |builder: Builder| builder.set("ShutdownGraceSeconds", 1);
    let scene = Scene::with(ZooKeeper::shared().await, 3, grace).await;
    let hostile = HOSTILE.to_owned() + &"z".repeat(2_000);
    let asking = |name: &str| scene.asking(update_paying(name, &hostile, &hostile));
    let evil = |new: Option<&str>| {
        let mut evil: Value =
            serde_json::from_str(&ack(&hostile, &hostile, new, &hostile)).unwrap();
        evil["old"]["payout_addr"] = json!(hostile);
        if new.is_some() {
            evil["new"]["payout_addr"] = json!(hostile);
        }
        evil["subpool_name"] = json!(hostile);
        evil.to_string()
    };

    let puppet = scene.puppet("applied").await;
    let pending = asking("applied");
    puppet.wait_for_writes(1).await;
    puppet.ack(&evil(Some(&hostile))).await;
    let answer: Value = serde_json::from_str(&pending.await.unwrap()).unwrap();
    assert_eq!((&answer["success"], &answer["err_msg"]), (&json!(true), &json!(hostile)));

    let puppet = scene.puppet("read").await;
    let pending = scene.asking(get("read"));
    puppet.wait_for_writes(1).await;
    puppet.ack(&evil(Some(&hostile))).await;
    pending.await.unwrap();

    let puppet = scene.puppet("refused").await;
    let pending = asking("refused");
    puppet.wait_for_writes(1).await;
    puppet.ack(&evil(Some("foreign"))).await;
    for writes in 2..=3 {
        puppet.wait_for_writes(writes).await;
        puppet.ack(&evil(None)).await;
    }
    let answer: Value = serde_json::from_str(&pending.await.unwrap()).unwrap();
    assert_eq!((&answer["success"], &answer["err_msg"]), (&json!(false), &json!(hostile)));

    let puppet = scene.puppet("race").await;
    let pending = asking("race");
    puppet.wait_for_writes(1).await;
    scene.znodes.put(&puppet.path, &hostile).await;
    puppet.ack(&evil(None)).await;
    assert_eq!(pending.await.unwrap(), error(500, RACE));

    scene.puppet("silent").await;
    assert_eq!(asking("silent").await.unwrap(), error(504, TIMED_OUT));

    // What never begins has a line as well.
    let puppet = scene.puppet("end").await;
    let ended = asking("end");
    puppet.wait_for_writes(1).await;
    let waits = asking("end");
    tokio::time::sleep(A_WHILE).await;
    scene.daemon.signal(Signal::TERM);
    assert_eq!(ended.await.unwrap(), error(500, UNKNOWN));
    assert_eq!(waits.await.unwrap(), error(500, SHUTTING_DOWN));

    for (name, outcome, more) in [
        ("applied", "applied", None),
        ("read", "read", None),
        ("refused", "refused", Some("err_msg")),
        ("race", "outcome unknown", Some("cause")),
        ("silent", "outcome unknown", Some("cause")),
        ("end", "outcome unknown", Some("cause")),
    ] {
        let line = scene.exchange(name).await;
        assert_fields(&line, more.as_slice());
        assert_eq!(line["outcome"], outcome);
        let outside = ["old", "new", "jobmaker", "err_msg"].map(|field| line.get(field));
        for shown in outside.into_iter().flatten() {
            assert!(
                shown.starts_with(QUOTED) || ["?", "-", "\"\""].contains(&&**shown),
                "{name}: {shown}"
            );
        }
    }
    let line = fields(&scene.daemon.wait_for_log(&["sub-pool update not begun"]).await);
    let expected = ["cause", "client", "coin", "new", "outcome", "request", "source", "sub_pool"];
    assert_eq!(line.keys().collect::<Vec<_>>(), expected);
    assert!(line["new"].starts_with(QUOTED), "{line:?}");
    for line in scene.daemon.log() {
        let odd = |c: char| c.is_control() || ['\u{2028}', '\u{202e}'].contains(&c);
        assert!(!line.contains(odd), "{line:?}");
        assert!(line.len() < 2_000, "{} bytes: {line}", line.len());
        let mut words = line.split(' ').skip(3);
        let is_ours = words.next().is_some_and(|level| ["INFO", "WARN"].contains(&level));
        assert!(is_ours, "{line}");
    }
}

// The end.

#[tokio::test]
async fn sigterm_lets_an_exchange_under_way_finish() {
    let mut scene = Scene::start(ENDLESS).await;
    let knobs = Knobs { delay_before_ack: seconds(1), ..Knobs::default() };
    let jobmaker = scene.jobmaker(&["pool3"], knobs).await;
    let reads = jobmaker.counters().reads;
    let pending = scene.asking(update("pool3", "tiger"));
    eventually("the jobmaker has read it", seconds(20), || async {
        (jobmaker.counters().reads > reads).then_some(())
    })
    .await;
    scene.daemon.signal(Signal::TERM);
    assert_eq!(pending.await.unwrap(), updated("pool3", CONFIGURED, "tiger"));
    assert_eq!(scene.daemon.wait_exit(seconds(20)).await.code(), Some(0));
    assert_eq!(scene.exchange("pool3").await["outcome"], "applied");
    jobmaker.stop().await;
}

#[tokio::test]
async fn sigterm_does_not_wait_for_a_silent_jobmaker_and_still_answers() {
    let shared = ZooKeeper::shared().await;
    let grace = |builder: Builder| builder.set("ShutdownGraceSeconds", 4);
    let mut scene = Scene::with(shared, ENDLESS, grace).await;
    let puppet = scene.puppet("pool3").await;
    let first = scene.asking(update("pool3", "first"));
    puppet.wait_for_writes(1).await;
    let waits = scene.asking(update("pool3", "waits"));
    tokio::time::sleep(A_WHILE).await;
    scene.daemon.signal(Signal::TERM);
    // Much less than the ack's time, and no more than the grace period on a busy machine.
    let status = scene.daemon.wait_exit(seconds(10)).await;
    assert_eq!(status.code(), Some(0), "{:#?}", scene.daemon.log());
    assert_eq!(first.await.unwrap(), error(500, UNKNOWN));
    assert_eq!(waits.await.unwrap(), error(500, SHUTTING_DOWN));
    assert_eq!(scene.exchange("pool3").await["outcome"], "outcome unknown");
    let line = scene.daemon.wait_for_log(&["sub-pool update not begun", "\"waits\""]).await;
    assert_eq!(fields(&line)["outcome"], "nothing written");
    assert_eq!((puppet.asked().await.as_str(), puppet.writes().await), ("first", 1));
}

/// Two processes on one machine: their acks tell the same host, and one is slow enough to answer another's
/// request after ours was refused.
#[tokio::test]
async fn two_jobmakers_of_one_host_make_no_success_of_anothers_values() {
    let scene = Scene::start(3).await;
    let twin = |delay| Knobs {
        hostname: Some("twin".to_owned()),
        delay_before_ack: Duration::from_millis(delay),
        ..Knobs::default()
    };
    let quick = scene.jobmaker(&["twin"], twin(5)).await;
    let slow = scene.jobmaker(&["twin"], twin(50)).await;
    for round in 0..15 {
        let other = request(&format!("other{round}"), ADDRESS);
        scene.znodes.put(&scene.path("twin"), &other).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        let ours = update_paying("twin", &format!("mine{round}"), "nonsense");
        let answer = scene.ask(ours).await;
        assert!(answer.contains(r#""success":false"#), "{answer}");
    }
    quick.stop().await;
    slow.stop().await;
}
