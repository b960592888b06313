//! Coinbase updates: crashes at each step, records that fail, and callers that go.

use std::time::Duration;

use jobmaker_sim::{Jobmaker, Knobs, SubPool};
use switcher_history::{Coinbase, Update, verify};
use tokio::{task::JoinHandle, time::timeout};

use super::*;
use crate::frame_proxy::{FrameProxy, Held, WRITES};
use crate::support::client::{self, Connection, Response};
use crate::support::daemon::{PASSWORD, USER};
use crate::support::unique;

const ADDRESS: &str = "34woZDygXWqaVPnNxp5SUnbN6RNQ5koBt4";
const POOL: &str = "pool3";
/// Time in which a daemon would do a forbidden thing.
const A_WHILE: Duration = Duration::from_millis(300);
const LOCKED: &str = "the change cannot be recorded: database is locked; nothing was written";

/// A daemon whose sub-pools are below a directory of the test's own. The test is the jobmaker of `pool3`.
struct Scene {
    zookeeper: &'static ZooKeeper,
    znodes: Znodes,
    builder: Builder,
    file: PathBuf,
    base: String,
}

impl Scene {
    async fn new() -> Self {
        let zookeeper = ZooKeeper::shared().await;
        let (builder, file) = recording(zookeeper);
        let base = format!("/t/{}/subpool/", unique("recorded"));
        let builder = builder
            .set("ZKSubPoolUpdateBaseDir", base.as_str())
            .set("ZKSubPoolUpdateAckTimeout", 50)
            .set("ZKSessionTimeoutSeconds", 4);
        let scene = Self { zookeeper, znodes: zookeeper.znodes().await, builder, file, base };
        scene.znodes.put(&scene.path(), &asked("old")).await;
        scene.znodes.put(&format!("{}/ack", scene.path()), "").await;
        scene
    }

    fn path(&self) -> String {
        format!("{}btc/{POOL}", self.base)
    }

    fn key_file(&self) -> PathBuf {
        self.file.with_added_extension("key")
    }

    /// The request znode's version.
    async fn version(&self) -> i32 {
        self.znodes.stat(&self.path()).await.unwrap().version
    }

    async fn until_written(&self, before: i32) {
        eventually("the request is written", seconds(PATIENCE), || async {
            (self.version().await > before).then_some(())
        })
        .await;
    }

    /// Acks as the jobmaker.
    async fn ack(&self, old: &str, new: &str) {
        let coinbase = |info: &str| json!({"coinbase_info": info, "payout_addr": ADDRESS});
        let ack = json!({"created_at": "2026-11-23 00:00:00", "host": {"hostname": "jm", "ip": ["127.0.0.1"]},
            "subpool_name": POOL, "old": coinbase(old), "new": coinbase(new), "success": true, "err_msg": "success"});
        self.znodes.put(&format!("{}/ack", self.path()), &ack.to_string()).await;
    }

    /// An update from old to new that the jobmaker acks.
    async fn complete(&self, daemon: &Daemon, old: &str, new: &str) {
        let before = self.version().await;
        let pending = sent(daemon, update(POOL, new));
        eventually("the request is written", seconds(PATIENCE), || async {
            assert!(!pending.is_finished(), "{new} is answered");
            (self.version().await > before).then_some(())
        })
        .await;
        self.ack(old, new).await;
        let response = pending.await.unwrap().unwrap();
        assert!(is_success(&response), "{response:?}");
    }

    fn chain(&self) -> u64 {
        verify(&self.file, &self.key_file(), None).unwrap().unwrap()
    }
}

fn asked(coinbase_info: &str) -> String {
    json!({"coinbase_info": coinbase_info, "payout_addr": ADDRESS}).to_string()
}

fn update(name: &str, coinbase_info: &str) -> Request {
    let body = json!({"coin": "btc", "subpool_name": name, "payout_addr": ADDRESS,
        "coinbase_info": coinbase_info});
    let request = Request::post("/subpool/update-coinbase").body(body.to_string());
    request.credentials(USER, PASSWORD)
}

/// Sends a request in the background.
fn sent(daemon: &Daemon, request: Request) -> JoinHandle<std::io::Result<Response>> {
    let address = daemon.base().to_owned();
    tokio::spawn(async move { client::send(&address, &request).await })
}

fn is_success(response: &Response) -> bool {
    let body: Value = serde_json::from_slice(&response.body).unwrap();
    body["success"] == true
}

fn request_of(response: &Response) -> u64 {
    u64::from_str_radix(response.header("x-request-id").unwrap(), 16).unwrap()
}

fn coinbase(info: &str) -> Coinbase {
    Coinbase { coinbase_info: info.to_owned(), payout_addr: ADDRESS.to_owned() }
}

fn update_of(row: &ChangeRow) -> &Update {
    match &row.entry {
        Entry::Update(update) => update,
        other => panic!("no update: {other:?}"),
    }
}

/// Requested text, outcome and cause of each record.
fn updates(rows: &[ChangeRow]) -> Vec<(&str, Outcome, Option<&str>)> {
    let text = |row| update_of(row).new.coinbase_info.as_str();
    rows.iter().map(|row| (text(row), row.outcome, row.cause.as_deref())).collect()
}

async fn arrived(held: &mut Held) {
    timeout(seconds(PATIENCE), held.arrived()).await.expect("the message that the step waits for");
}

/// Step at which the daemon is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The intent waits for the disk.
    BeforeIntent,
    /// The write of the request does not reach ZooKeeper.
    BeforeWrite,
    /// ZooKeeper has the request; the daemon does not get its answer.
    AfterWrite,
    /// The jobmaker has not acked.
    BeforeAck,
    /// The caller has got success; the outcome waits for the disk.
    BeforeOutcome,
    /// The caller has got success, and the disk works.
    Answered,
}

/// Kills the daemon at the step, while it answers an update to `tiger`. Returns the answer.
async fn kill(
    scene: &Scene,
    daemon: &mut Daemon,
    proxy: &FrameProxy,
    step: Step,
) -> Option<Response> {
    let (before, path) = (scene.version().await, scene.path());
    let mut held = match step {
        Step::BeforeWrite => Some(proxy.hold_request(&WRITES, &path)),
        Step::AfterWrite => Some(proxy.hold_answer(&WRITES, &path)),
        _ => None,
    };
    let mut lock = None;
    if step == Step::BeforeIntent {
        lock = Some(Lock::of(&scene.file).await);
    }
    let pending = sent(daemon, update(POOL, "tiger"));
    match step {
        Step::BeforeIntent => {
            // Whenever it is killed now, the intent is not recorded.
            tokio::time::sleep(A_WHILE).await;
        }
        Step::BeforeWrite => {
            arrived(held.as_mut().unwrap()).await;
            assert_eq!(updates(&recorded(&scene.file)), [("tiger", Outcome::Unknown, None)]);
        }
        Step::AfterWrite => arrived(held.as_mut().unwrap()).await,
        Step::BeforeAck => scene.until_written(before).await,
        Step::BeforeOutcome | Step::Answered => {
            scene.until_written(before).await;
            if step == Step::BeforeOutcome {
                lock = Some(Lock::of(&scene.file).await);
            }
            scene.ack("old", "tiger").await;
            let response = pending.await.unwrap().unwrap();
            daemon.kill9();
            if let Some(lock) = lock {
                lock.release();
            }
            return Some(response);
        }
    }
    daemon.kill9();
    if let Some(held) = held {
        held.lose();
    }
    if let Some(lock) = lock {
        lock.release();
    }
    assert!(pending.await.unwrap().is_err(), "answered");
    None
}

async fn scene(step: Step) {
    let mut scene = Scene::new().await;
    let proxy = FrameProxy::start(scene.zookeeper.address()).await;
    scene.builder = scene.builder.set("ZKBroker", json!([proxy.address()]));
    let mut daemon = scene.builder.start().await;
    let before = scene.version().await;

    let answer = kill(&scene, &mut daemon, &proxy, step).await;
    let expected = match step {
        Step::BeforeIntent => None,
        Step::Answered => Some(Outcome::Applied),
        _ => Some(Outcome::Unknown),
    };
    let written = scene.version().await - before;
    let (is_answered, is_written) = match step {
        Step::BeforeIntent | Step::BeforeWrite => (false, false),
        Step::AfterWrite | Step::BeforeAck => (false, true),
        Step::BeforeOutcome | Step::Answered => (true, true),
    };
    assert_eq!((answer.as_ref().is_some_and(is_success), written > 0), (is_answered, is_written));

    let daemon = scene.builder.start().await;
    let found = recorded(&scene.file);
    let shown: Vec<_> = expected.iter().map(|outcome| ("tiger", *outcome, None)).collect();
    assert_eq!(updates(&found), shown, "{step:?}");
    if let (Some(answer), Some(row)) = (answer, found.first()) {
        assert_eq!(request_of(&answer), row.origin.request);
    }
    // The next update has its own record and leaves the old one as it is.
    let old = if is_written { "tiger" } else { "old" };
    scene.complete(&daemon, old, "lion").await;
    let found = recorded(&scene.file);
    let shown = [shown, vec![("lion", Outcome::Applied, None)]].concat();
    assert_eq!(updates(&found), shown, "{step:?}");
    assert_eq!(update_of(found.last().unwrap()).old, Some(coinbase(old)));
    let admin = Admin::of(&daemon).await;
    let page: Value =
        serde_json::from_slice(&admin.get("/history?kind=update").await.body).unwrap();
    let outcomes: Vec<_> =
        page["changes"].as_array().unwrap().iter().map(|it| it["outcome"].as_str()).collect();
    let words: Vec<_> = shown.iter().rev().map(|it| Some(it.1.word())).collect();
    assert_eq!(outcomes, words);
    // An outcome is a link of its own.
    let notes: u64 = shown.iter().map(|it| if it.1 == Outcome::Unknown { 1 } else { 2 }).sum();
    assert_eq!(scene.chain(), notes);
}

#[tokio::test]
async fn kill_9_before_the_intent_is_on_the_disk() {
    scene(Step::BeforeIntent).await;
}

#[tokio::test]
async fn kill_9_before_the_request_is_written() {
    scene(Step::BeforeWrite).await;
}

#[tokio::test]
async fn kill_9_after_the_request_is_written() {
    scene(Step::AfterWrite).await;
}

#[tokio::test]
async fn kill_9_before_the_ack() {
    scene(Step::BeforeAck).await;
}

#[tokio::test]
async fn kill_9_before_the_outcome_is_recorded() {
    scene(Step::BeforeOutcome).await;
}

#[tokio::test]
async fn kill_9_after_the_answer() {
    for _ in 0..3 {
        scene(Step::Answered).await;
    }
}

/// Jobmakers that apply everything, clients that never stop, and a daemon that dies again and again.
#[tokio::test]
async fn kill_9_at_any_time_loses_no_acknowledged_update() {
    const NAMES: [&str; 4] = ["a", "b", "c", "d"];
    let scene = Scene::new().await;
    let pools =
        NAMES.map(|name| SubPool::new(&format!("{}btc/{name}", scene.base), "old", ADDRESS));
    let address = scene.zookeeper.address();
    let jobmaker = Jobmaker::start(&address, pools.to_vec(), Knobs::default()).await.unwrap();
    let mut answered = Vec::new();
    for round in 0..4 {
        let mut daemon = scene.builder.start().await;
        let clients = NAMES.map(|name| {
            let address = daemon.base().to_owned();
            tokio::spawn(async move {
                let mut answered = Vec::new();
                for number in 0.. {
                    let info = format!("{name}-{round}-{number}");
                    let Ok(response) = client::send(&address, &update(name, &info)).await else {
                        break;
                    };
                    if is_success(&response) {
                        answered.push((info, request_of(&response)));
                    }
                }
                answered
            })
        });
        eventually("some updates are applied", seconds(PATIENCE), || async {
            let has = |text: &str| jobmaker.applied().iter().any(|it| it.coinbase_info == text);
            has(&format!("a-{round}-{}", 2 + round)).then_some(())
        })
        .await;
        daemon.kill9();
        for client in clients {
            answered.extend(client.await.unwrap());
        }
    }
    let found = recorded(&scene.file);
    for (info, request) in &answered {
        let of: Vec<_> = found.iter().filter(|row| row.origin.request == *request).collect();
        assert_eq!(of.len(), 1, "{info}: {of:#?}");
        let new = &update_of(of[0]).new.coinbase_info;
        assert_eq!((new, of[0].outcome), (info, Outcome::Applied));
    }
    assert!(answered.len() >= 8, "{answered:?}");
    // A jobmaker has nothing that was not recorded.
    let texts: Vec<_> = updates(&found).into_iter().map(|it| it.0.to_owned()).collect();
    for applied in jobmaker.applied() {
        let text = applied.coinbase_info;
        assert!(text == "old" || texts.contains(&text), "{text} is not recorded");
    }
    scene.chain();
    jobmaker.stop().await;
}

#[tokio::test]
async fn an_update_that_cannot_be_recorded_is_refused_and_nothing_written() {
    let scene = Scene::new().await;
    let daemon = scene.builder.start().await;
    scene.complete(&daemon, "old", "lion").await;
    let before = scene.version().await;
    let lock = Lock::of(&scene.file).await;
    // The next ones do not wait for the lock again.
    for text in ["first", "second"] {
        let response = daemon.send_as_is(&update(POOL, text)).await;
        assert_eq!(response.answer(), Answer::error(500, LOCKED));
        let refused = ["sub-pool update not begun", text, "the change cannot be recorded"];
        daemon.wait_for_log(&refused).await;
    }
    assert_eq!(scene.version().await, before);
    lock.release();
    settled(&Admin::of(&daemon).await).await;
    scene.complete(&daemon, "lion", "tiger").await;
    let cause = Some("the change cannot be recorded: database is locked");
    let found = recorded(&scene.file);
    assert_eq!(
        updates(&found),
        [
            ("lion", Outcome::Applied, None),
            ("first", Outcome::NotApplied, cause),
            ("second", Outcome::NotApplied, cause),
            ("tiger", Outcome::Applied, None)
        ]
    );
}

#[tokio::test]
async fn an_outcome_that_cannot_be_recorded_is_still_answered() {
    let scene = Scene::new().await;
    let daemon = scene.builder.start().await;
    let before = scene.version().await;
    let pending = sent(&daemon, update(POOL, "tiger"));
    scene.until_written(before).await;
    let lock = Lock::of(&scene.file).await;
    scene.ack("old", "tiger").await;
    let response = pending.await.unwrap().unwrap();
    assert!(is_success(&response), "{response:?}");
    let line = "the outcome of a payout change cannot be recorded: the history has it as unknown";
    let request = response.header("x-request-id").unwrap();
    daemon.wait_for_log(&["ERRO", line, request, "database is locked"]).await;
    lock.release();
    scene.complete(&daemon, "tiger", "lion").await;
    let found = records(&scene.file, 2).await;
    let expected = [("tiger", Outcome::Unknown, None), ("lion", Outcome::Applied, None)];
    assert_eq!(updates(&found), expected);
}

#[tokio::test]
async fn an_update_of_a_client_that_has_gone_is_recorded_as_not_applied() {
    let scene = Scene::new().await;
    let daemon = scene.builder.start().await;
    let gone = async |text| {
        let mut connection = Connection::open(daemon.base()).await.unwrap();
        let request = update(POOL, text);
        let bytes = [request.head_bytes(), request.body_bytes().to_vec()].concat();
        connection.write(&bytes).await.unwrap();
        connection
    };
    // One waits for its turn.
    let before = scene.version().await;
    let first = sent(&daemon, update(POOL, "first"));
    scene.until_written(before).await;
    let waiting = gone("for its turn").await;
    records(&scene.file, 2).await;
    drop(waiting);
    tokio::time::sleep(A_WHILE).await;
    scene.ack("old", "first").await;
    assert!(is_success(&first.await.unwrap().unwrap()));
    daemon.wait_for_log(&["sub-pool update not begun", "for its turn"]).await;
    // Another waits for the disk.
    let lock = Lock::of(&scene.file).await;
    let waiting = gone("for the disk").await;
    tokio::time::sleep(A_WHILE).await;
    drop(waiting);
    tokio::time::sleep(A_WHILE).await;
    let before = scene.version().await;
    lock.release();
    daemon.wait_for_log(&["sub-pool update not begun", "for the disk"]).await;
    assert_eq!(scene.version().await, before);
    scene.complete(&daemon, "first", "last").await;
    let found = recorded(&scene.file);
    let cause = Some("the client has gone");
    assert_eq!(
        updates(&found),
        [
            ("first", Outcome::Applied, None),
            ("for its turn", Outcome::NotApplied, cause),
            ("for the disk", Outcome::NotApplied, cause),
            ("last", Outcome::Applied, None)
        ]
    );
    let request = scene.znodes.get(&scene.path()).await.unwrap();
    assert!(request.contains("\"last\""), "{request}");
    assert_eq!(scene.version().await, before + 1);
}

#[tokio::test]
async fn each_of_256_updates_of_a_sub_pool_has_one_record() {
    let scene = Scene::new().await;
    let pool = vec![SubPool::new(&scene.path(), "old", ADDRESS)];
    let knobs = Knobs { garbage_instead: 0.02, ..Knobs::default() };
    let jobmaker = Jobmaker::start(&scene.zookeeper.address(), pool, knobs).await.unwrap();
    let daemon = scene.builder.start().await;
    let pending: Vec<_> =
        (0..256).map(|n| (n, sent(&daemon, update(POOL, &format!("text {n}"))))).collect();
    let mut answers = Vec::new();
    for (n, answer) in pending {
        answers.push((format!("text {n}"), answer.await.unwrap().unwrap()));
    }
    settled(&Admin::of(&daemon).await).await;
    let found = records(&scene.file, 256).await;
    let mut applied = 0;
    for row in &found {
        let of = answers.iter().find(|(_, answer)| request_of(answer) == row.origin.request);
        let (text, answer) = of.expect("an answer");
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        let update = update_of(row);
        assert_eq!(update.new, coinbase(text));
        let is_applied = row.outcome == Outcome::Applied;
        assert_eq!(is_applied, is_success(answer), "{row:?}: {body}");
        if is_applied {
            applied += 1;
            let old = update.old.as_ref().unwrap();
            assert_eq!(body["old"]["coinbase_info"], old.coinbase_info);
        }
    }
    assert!(applied > 0, "{found:#?}");
    scene.chain();
    jobmaker.stop().await;
}
