//! kill -9 at each step of a held switch: a proxy before ZooKeeper holds a message of the daemon back, and the daemon is
//! killed at that moment. Then another daemon, or the same one started again, has to settle the switch.

use std::sync::{Arc, Mutex};

use tokio::{join, task::JoinHandle, time::timeout};

use super::*;
use crate::frame_proxy::{FrameProxy, Held, SET_DATA, SYNC, WRITES};

/// Step at which the daemon is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The write of the intent does not reach ZooKeeper.
    BeforeIntent,
    /// The intent is committed; the daemon does not get ZooKeeper's answer.
    AfterIntent,
    BeforeAnnouncement,
    BeforeConfirmation,
    /// The caller has got success.
    Waiting,
    /// The switch is due; the transaction does not reach ZooKeeper.
    BeforeWrite,
    /// The transaction is committed; the daemon does not get ZooKeeper's answer.
    AfterWrite,
    /// The daemon has the answer, and no time for more.
    Written,
}

use Step::{
    AfterIntent, AfterWrite, BeforeAnnouncement, BeforeConfirmation, BeforeIntent, BeforeWrite,
    Waiting, Written,
};

/// Switch that the survivor gets after the kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Later {
    /// None, and the survivor is started only then.
    Nothing,
    Held,
    Immediate,
}

/// Values of a znode, with the time at which each was seen first.
struct Witness {
    seen: Arc<Mutex<Vec<(String, Instant)>>>,
    task: JoinHandle<()>,
}

fn note(seen: &mut Vec<(String, Instant)>, value: String) {
    if seen.last().is_none_or(|(last, _)| *last != value) {
        seen.push((value, Instant::now()));
    }
}

impl Witness {
    fn of(znodes: Znodes, path: String) -> Self {
        let seen = Arc::new(Mutex::new(Vec::<(String, Instant)>::new()));
        let task = tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                loop {
                    let value = znodes.get(&path).await.unwrap_or_default();
                    note(&mut seen.lock().unwrap(), value);
                    sleep(Duration::from_millis(10)).await;
                }
            }
        });
        Self { seen, task }
    }

    /// When the value was seen first; `None` if it was not.
    fn first(&self, value: &str) -> Option<Instant> {
        let seen = self.seen.lock().unwrap();
        seen.iter().find(|(seen, _)| seen == value).map(|(_, at)| *at)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn arrived(held: &mut Held) {
    timeout(seconds(40), held.arrived()).await.expect("the message that the step waits for");
}

/// Requests the switch to `bcc`, and kills the daemon if the step is one of the acceptance. Returns whether the caller
/// got success.
async fn accept(daemon: &mut Daemon, proxy: &FrameProxy, intent: &str, step: Step) -> bool {
    let directory = intent.trim_end_matches("/alice");
    let mut held = match step {
        BeforeIntent => proxy.hold_request(&WRITES, intent),
        AfterIntent => proxy.hold_answer(&WRITES, intent),
        BeforeAnnouncement | BeforeConfirmation => proxy.hold_request(&[SET_DATA], directory),
        Waiting | BeforeWrite | AfterWrite | Written => {
            assert_eq!(result(daemon, "alice", "bcc", "results").await["outcome"], "held");
            return true;
        }
    };
    let base = daemon.base().to_owned();
    let request = Request::switch("alice", "bcc").credentials(USER, PASSWORD);
    let ending = async {
        arrived(&mut held).await;
        if step == BeforeConfirmation {
            let next = proxy.hold_request(&[SYNC], intent);
            std::mem::replace(&mut held, next).release();
            arrived(&mut held).await;
        }
        daemon.kill9();
        held.lose();
    };
    let (answer, ()) = join!(client::send(&base, &request), ending);
    assert!(answer.is_err(), "answered before its intent is safe: {answer:?}");
    false
}

/// Kills the daemon while its switch waits, or while it is carried out.
async fn carry_out(daemon: &mut Daemon, proxy: &FrameProxy, intent: &str, step: Step) {
    let mut held = match step {
        BeforeWrite => proxy.hold_request(&WRITES, intent),
        AfterWrite | Written => proxy.hold_answer(&WRITES, intent),
        _ => return daemon.kill9(),
    };
    arrived(&mut held).await;
    if step == Written {
        held.release();
        return daemon.kill9();
    }
    daemon.kill9();
    held.lose();
}

/// A daemon that is the carrier, and reaches ZooKeeper through the proxy.
async fn carrier(builder: &Builder, proxy: &FrameProxy, znodes: &Znodes) -> Daemon {
    let daemon = builder.clone().set("ZKBroker", json!([proxy.address()])).start().await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    let lock = intents(&daemon).replace("/switches", "/carrier");
    eventually("a carrier", seconds(20), || async { znodes.get(&lock).await.map(drop) }).await;
    daemon
}

async fn version(znodes: &Znodes, path: &str) -> i32 {
    znodes.stat(path).await.expect("a znode").version
}

async fn scene(step: Step, later: Later) {
    let zookeeper = ZooKeeper::shared().await;
    let znodes = zookeeper.znodes().await;
    let proxy = FrameProxy::start(zookeeper.address()).await;
    let builder = holding(zookeeper).set("ZKSessionTimeoutSeconds", 4);
    let mut daemon = carrier(&builder, &proxy, &znodes).await;
    let standby = if later == Later::Nothing { None } else { Some(builder.start().await) };
    let (path, intent) = (daemon.path("alice"), format!("{}/alice", intents(&daemon)));
    let witness = Witness::of(zookeeper.znodes().await, path.clone());
    let before = version(&znodes, &path).await;

    let asked = Instant::now();
    let is_accepted = accept(&mut daemon, &proxy, &intent, step).await;
    if is_accepted {
        carry_out(&mut daemon, &proxy, &intent, step).await;
    }
    let survivor = match standby {
        Some(standby) => standby,
        None => builder.set("ZKBroker", json!([proxy.address()])).start().await,
    };
    let asked_later = Instant::now();
    let last = match later {
        Later::Nothing if step == BeforeIntent => "btc",
        Later::Nothing => "bcc",
        Later::Held => "bch",
        Later::Immediate => "btc",
    };
    if later != Later::Nothing {
        let outcome = if later == Later::Held { "held" } else { "applied" };
        assert_eq!(result(&survivor, "alice", last, "results").await["outcome"], outcome);
    }
    settled(&znodes, &survivor).await;
    // Whatever is late.
    sleep(seconds(2)).await;

    let what = format!("{step:?}, {later:?}: {:?}", witness.seen.lock().unwrap());
    assert_eq!(znodes.get(&path).await.as_deref(), Some(last), "{what}");
    let writes = version(&znodes, &path).await - before - i32::from(later != Later::Nothing);
    let carried_out = match (step, later) {
        (BeforeIntent, _) => 0..=0,
        (AfterWrite | Written, _) | (_, Later::Nothing) => 1..=1,
        // The later switch has replaced it, or came too late for that.
        _ => 0..=1,
    };
    assert!(carried_out.contains(&writes), "{writes} writes of bcc; {what}");
    let period = Duration::from_secs(PERIOD);
    assert!(witness.first("bcc").is_none_or(|at| at >= asked + period), "early; {what}");
    assert!(witness.first("bch").is_none_or(|at| at >= asked_later + period), "early; {what}");
    assert!(znodes.children(&intents(&survivor)).await.is_empty(), "{what}");
}

async fn scenes(step: Step) {
    join!(scene(step, Later::Nothing), scene(step, Later::Held), scene(step, Later::Immediate));
}

#[tokio::test]
async fn kill_9_before_the_intent_is_committed() {
    scenes(BeforeIntent).await;
}

#[tokio::test]
async fn kill_9_after_the_intents_commit() {
    scenes(AfterIntent).await;
}

#[tokio::test]
async fn kill_9_before_the_announcement() {
    scenes(BeforeAnnouncement).await;
}

#[tokio::test]
async fn kill_9_before_the_confirmation() {
    scenes(BeforeConfirmation).await;
}

#[tokio::test]
async fn kill_9_while_a_switch_waits() {
    scenes(Waiting).await;
}

#[tokio::test]
async fn kill_9_before_a_due_switch_is_written() {
    scenes(BeforeWrite).await;
}

#[tokio::test]
async fn kill_9_after_a_due_switch_is_committed() {
    scenes(AfterWrite).await;
}

#[tokio::test]
async fn kill_9_after_a_due_switch_is_answered() {
    scenes(Written).await;
}

/// The messages of the first carrier are held back until its session has ended and another daemon has carried out.
#[tokio::test]
async fn a_transaction_that_comes_after_its_session_writes_nothing() {
    let zookeeper = ZooKeeper::shared().await;
    let znodes = zookeeper.znodes().await;
    let proxy = FrameProxy::start(zookeeper.address()).await;
    let builder = holding(zookeeper).set("ZKSessionTimeoutSeconds", 4);
    let mut daemon = carrier(&builder, &proxy, &znodes).await;
    let other = builder.start().await;
    let (path, intent) = (daemon.path("alice"), format!("{}/alice", intents(&daemon)));
    let before = version(&znodes, &path).await;
    assert_eq!(result(&daemon, "alice", "bcc", "results").await["outcome"], "held");
    let mut held = proxy.hold_request(&WRITES, &intent);
    arrived(&mut held).await;
    becomes(&znodes, &path, "bcc").await;
    settled(&znodes, &other).await;
    assert_eq!(result(&other, "alice", "btc", "results").await["outcome"], "applied");
    held.release();
    sleep(seconds(2)).await;
    assert_eq!(znodes.get(&path).await.as_deref(), Some("btc"));
    assert_eq!(version(&znodes, &path).await, before + 2);
    assert!(daemon.is_alive());
}

/// The carrier creates a znode that is gone, while another switch replaces its intent and a third one is written at once.
#[tokio::test]
async fn a_replaced_intent_does_not_outlive_a_newer_switch() {
    let zookeeper = ZooKeeper::shared().await;
    let znodes = zookeeper.znodes().await;
    let proxy = FrameProxy::start(zookeeper.address()).await;
    let builder = holding(zookeeper).set("ZKSessionTimeoutSeconds", 20);
    let daemon = carrier(&builder, &proxy, &znodes).await;
    let other = builder.start().await;
    let (path, intent) = (daemon.path("alice"), format!("{}/alice", intents(&daemon)));
    assert_eq!(result(&daemon, "alice", "bcc", "results").await["outcome"], "held");
    znodes.remove(&path).await;
    let mut create = proxy.hold_request(&WRITES, &path);
    arrived(&mut create).await;
    let replacing = json!({"coin": "bch", "due": now() - 1_000, "source": "api", "request": "1"});
    znodes.put(&intent, &replacing.to_string()).await;
    // Its announcement.
    znodes.put(&intents(&daemon), "").await;
    let mut delete = proxy.hold_request(&WRITES, &intent);
    create.release();
    arrived(&mut delete).await;
    assert_eq!(result(&other, "alice", "btc", "results").await["outcome"], "applied");
    delete.release();
    settled(&znodes, &daemon).await;
    assert_eq!(znodes.get(&path).await.as_deref(), Some("btc"));
}
