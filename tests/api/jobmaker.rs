//! The simulated jobmaker of the sub-pool tests and of `make run` (`tests/jobmaker`), without the daemon: it must follow
//! the contract, or the tests that use it prove nothing.

use std::time::Duration;

use jobmaker_sim::{Applied, Error, Jobmaker, Knobs, SubPool};
use serde_json::{Value, json};

use crate::support::zookeeper::{Znodes, ZooKeeper};
use crate::support::{eventually, seconds, unique};

const CONFIGURED: &str = "hellobtc";
const ADDRESS: &str = "34woZDygXWqaVPnNxp5SUnbN6RNQ5koBt4";
/// Time in which a jobmaker would do a forbidden thing.
const A_WHILE: Duration = Duration::from_millis(300);

/// A sub-pool of the test's own.
struct Scene {
    znodes: Znodes,
    address: String,
    path: String,
}

impl Scene {
    async fn shared() -> Self {
        Self::at(ZooKeeper::shared().await).await
    }

    async fn at(zookeeper: &ZooKeeper) -> Self {
        let path = format!("/t/{}/btc/pool3", unique("jobmaker"));
        Self { znodes: zookeeper.znodes().await, address: zookeeper.address(), path }
    }

    async fn start(&self, knobs: Knobs) -> Jobmaker {
        let sub_pool = SubPool::new(&self.path, CONFIGURED, ADDRESS);
        Jobmaker::start(&self.address, vec![sub_pool], knobs).await.unwrap()
    }

    async fn ask(&self, coinbase_info: &str) {
        self.znodes.put(&self.path, &request(coinbase_info)).await;
    }

    fn ack_path(&self) -> String {
        format!("{}/ack", self.path)
    }

    async fn ack(&self) -> Value {
        let text = self.znodes.get(&self.ack_path()).await.unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}"))
    }

    /// Writes of the ack znode since its creation.
    async fn ack_writes(&self) -> i32 {
        self.znodes.stat(&self.ack_path()).await.unwrap().version
    }

    /// Waits for the ack of a request, and returns it.
    async fn ack_of(&self, coinbase_info: &str) -> Value {
        let what = format!("an ack of {coinbase_info:?}");
        eventually(&what, seconds(20), || async {
            let text = self.znodes.get(&self.ack_path()).await.unwrap();
            let ack: Value = serde_json::from_str(&text).ok()?;
            (ack["new"]["coinbase_info"] == coinbase_info).then_some(ack)
        })
        .await
    }
}

fn request(coinbase_info: &str) -> String {
    json!({"coinbase_info": coinbase_info, "payout_addr": ADDRESS}).to_string()
}

fn value(coinbase_info: &str) -> Value {
    json!({"coinbase_info": coinbase_info, "payout_addr": ADDRESS})
}

/// The coinbase texts in order, those of starts in brackets.
fn held(jobmaker: &Jobmaker) -> Vec<String> {
    let shown = |Applied { coinbase_info, restart, .. }: &Applied| match restart {
        true => format!("[{coinbase_info}]"),
        false => coinbase_info.clone(),
    };
    jobmaker.applied().iter().map(shown).collect()
}

async fn wait_for_reads(jobmaker: &Jobmaker, reads: u64) {
    let what = format!("{reads} reads");
    eventually(&what, seconds(20), || async { (jobmaker.counters().reads >= reads).then_some(()) })
        .await;
}

async fn wait_for_acks(jobmaker: &Jobmaker, acks: u64) {
    let what = format!("{acks} acks");
    eventually(&what, seconds(20), || async { (jobmaker.counters().acks >= acks).then_some(()) })
        .await;
}

#[tokio::test]
async fn it_creates_its_znodes_and_acks_unasked_at_its_start() {
    let scene = Scene::shared().await;
    let knobs = Knobs { hostname: Some("jobmaker-a".to_owned()), ..Knobs::default() };
    let jobmaker = scene.start(knobs).await;
    assert_eq!(scene.znodes.get(&scene.path).await.as_deref(), Some(""));
    let mut ack = scene.ack().await;
    let created_at = ack["created_at"].take();
    let shape: String = created_at.as_str().unwrap().replace(|c: char| c.is_ascii_digit(), "0");
    assert_eq!(shape, "0000-00-00 00:00:00");
    let expected = json!({
        "created_at": null,
        "host": {"hostname": "jobmaker-a", "ip": ["127.0.0.1"]},
        "subpool_name": "pool3",
        "old": value(CONFIGURED),
        "success": false,
        "err_msg": "empty request",
    });
    assert_eq!(ack, expected);
    assert_eq!(held(&jobmaker), ["[hellobtc]"]);
    jobmaker.stop().await;
}

#[tokio::test]
async fn a_request_from_before_the_start_is_applied() {
    let scene = Scene::shared().await;
    scene.ask("tiger").await;
    let jobmaker = scene.start(Knobs::default()).await;
    let ack = scene.ack().await;
    assert_eq!((&ack["old"], &ack["new"]), (&value(CONFIGURED), &value("tiger")));
    assert_eq!((&ack["success"], &ack["err_msg"]), (&json!(true), &json!("success")));
    assert_eq!(held(&jobmaker), ["[hellobtc]", "tiger"]);
    jobmaker.stop().await;
}

#[tokio::test]
async fn every_write_is_applied_and_acked_also_of_the_same_bytes() {
    let scene = Scene::shared().await;
    let jobmaker = scene.start(Knobs::default()).await;
    for acks in 2..5 {
        scene.ask("tiger").await;
        wait_for_acks(&jobmaker, acks).await;
    }
    assert_eq!(held(&jobmaker), ["[hellobtc]", "tiger", "tiger", "tiger"]);
    assert_eq!(scene.ack().await["old"], value("tiger"));
    jobmaker.stop().await;
}

#[tokio::test]
async fn writes_that_come_while_it_is_busy_are_read_once() {
    let scene = Scene::shared().await;
    let jobmaker = scene.start(Knobs::default()).await;
    jobmaker.pause();
    for coinbase_info in ["first", "second", "third"] {
        scene.ask(coinbase_info).await;
    }
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(jobmaker.counters().reads, 1, "it stands still");
    jobmaker.resume();
    scene.ack_of("third").await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(held(&jobmaker), ["[hellobtc]", "third"]);
    assert_eq!((jobmaker.counters().reads, scene.ack_writes().await), (2, 2));
    jobmaker.stop().await;
}

#[tokio::test]
async fn one_handler_serves_all_its_sub_pools() {
    let scene = Scene::shared().await;
    let other = format!("{}-other", scene.path);
    let sub_pools = vec![
        SubPool::new(&scene.path, CONFIGURED, ADDRESS),
        SubPool::new(&other, "other", ADDRESS),
    ];
    let delay = Duration::from_millis(200);
    let knobs = Knobs { delay_before_ack: delay, ..Knobs::default() };
    let jobmaker = Jobmaker::start(&scene.address, sub_pools, knobs).await.unwrap();
    scene.ask("tiger").await;
    scene.znodes.put(&other, &request("lion")).await;
    wait_for_acks(&jobmaker, 4).await;
    let times: Vec<_> = jobmaker.applied()[2..].iter().map(|applied| applied.at).collect();
    let apart = times[1].max(times[0]) - times[1].min(times[0]);
    assert!(apart >= delay, "the second read waits for the first ack, but came after {apart:?}");
    jobmaker.stop().await;
}

#[tokio::test]
async fn a_long_coinbase_is_cut_and_half_a_character_is_never_acked() {
    let scene = Scene::shared().await;
    let knobs = Knobs { coinbase_max: 5, ..Knobs::default() };
    let jobmaker = scene.start(knobs).await;
    scene.ask("tigers").await;
    let ack = scene.ack_of("tiger").await;
    assert_eq!(ack["err_msg"], "coinbase info truncated to 5 bytes");
    assert_eq!(ack["success"], true);

    let before = scene.ack_writes().await;
    scene.ask("abc矿").await;
    wait_for_reads(&jobmaker, 3).await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(held(&jobmaker), ["[hellobtc]", "tiger", "abc\u{fffd}"], "it is applied");
    assert_eq!(scene.ack_writes().await, before, "but not acked");
    jobmaker.stop().await;
}

#[tokio::test]
async fn invalid_json_is_neither_applied_nor_acked() {
    let scene = Scene::shared().await;
    let jobmaker = scene.start(Knobs::default()).await;
    scene.znodes.put(&scene.path, "garbage").await;
    wait_for_reads(&jobmaker, 2).await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!((held(&jobmaker).len(), scene.ack_writes().await), (1, 1));
    scene.ask("tiger").await;
    assert_eq!(scene.ack_of("tiger").await["old"], value(CONFIGURED), "it still watches");
    jobmaker.stop().await;
}

#[tokio::test]
async fn a_request_znode_that_is_created_again_is_still_watched() {
    let scene = Scene::shared().await;
    let jobmaker = scene.start(Knobs::default()).await;
    scene.znodes.remove(&scene.path).await;
    scene.znodes.put(&scene.ack_path(), "").await;
    scene.ask("tiger").await;
    scene.ack_of("tiger").await;
    jobmaker.stop().await;
}

#[tokio::test]
async fn a_crash_before_the_ack_forgets_the_value_and_reads_it_again() {
    let scene = Scene::shared().await;
    let knobs = Knobs { crash: 1.0, number_restarts: true, ..Knobs::default() };
    let jobmaker = scene.start(knobs).await;
    scene.ask("tiger").await;
    let ack = scene.ack_of("tiger").await;
    assert_eq!(ack["old"], value("restart-1"), "the ack is the new process's");
    assert_eq!(held(&jobmaker), ["[hellobtc]", "tiger", "[restart-1]", "tiger"]);
    assert_eq!((jobmaker.counters().lives, scene.ack_writes().await), (2, 2));
    scene.ask("lion").await;
    assert_eq!(scene.ack_of("lion").await["old"], value("restart-2"));
    jobmaker.stop().await;
}

#[tokio::test]
async fn it_crashes_on_demand_even_when_it_is_paused() {
    let scene = Scene::shared().await;
    let knobs = Knobs { down: A_WHILE, ..Knobs::default() };
    let jobmaker = scene.start(knobs).await;
    scene.ask("tiger").await;
    scene.ack_of("tiger").await;
    jobmaker.pause();
    jobmaker.crash();
    tokio::time::sleep(2 * A_WHILE).await;
    assert_eq!(jobmaker.counters().lives, 1, "the new process stands still as well");
    jobmaker.resume();
    wait_for_acks(&jobmaker, 3).await;
    assert_eq!(held(&jobmaker), ["[hellobtc]", "tiger", "[hellobtc]", "tiger"]);
    jobmaker.stop().await;
}

#[tokio::test]
async fn acks_come_twice_if_configured() {
    let scene = Scene::shared().await;
    let knobs = Knobs { double_acks: 1.0, ..Knobs::default() };
    let jobmaker = scene.start(knobs).await;
    assert_eq!(scene.ack_writes().await, 2);
    scene.ask("tiger").await;
    wait_for_acks(&jobmaker, 4).await;
    assert_eq!(held(&jobmaker), ["[hellobtc]", "tiger"], "what is acked twice is applied once");
    assert_eq!(scene.ack_writes().await, 4);
    assert_eq!(scene.ack().await["old"], value(CONFIGURED));
    jobmaker.stop().await;
}

#[tokio::test]
async fn garbage_comes_before_the_ack_or_in_its_place() {
    let scene = Scene::shared().await;
    let knobs = Knobs { garbage_before: 1.0, ..Knobs::default() };
    let jobmaker = scene.start(knobs).await;
    assert_eq!((jobmaker.counters().acks, scene.ack_writes().await), (1, 2));
    assert_eq!(scene.ack().await["err_msg"], "empty request");
    jobmaker.stop().await;

    let knobs = Knobs { garbage_instead: 1.0, ..Knobs::default() };
    let jobmaker = scene.start(knobs).await;
    assert_eq!((jobmaker.counters().acks, scene.ack_writes().await), (0, 3));
    let text = scene.znodes.get(&scene.ack_path()).await.unwrap();
    let ack: Value = serde_json::from_str(&text).unwrap_or_default();
    assert!(ack.get("success").is_none(), "{text:?} is no garbage");
    jobmaker.stop().await;
}

#[tokio::test]
async fn it_acks_unasked_from_time_to_time_and_one_write_still_makes_one_event() {
    let scene = Scene::shared().await;
    let knobs = Knobs { unasked_every: Duration::from_millis(100), ..Knobs::default() };
    let jobmaker = scene.start(knobs).await;
    wait_for_acks(&jobmaker, 5).await;
    jobmaker.stop().await;

    let knobs = Knobs { unasked_every: seconds(5), ..Knobs::default() };
    let jobmaker = scene.start(knobs).await;
    wait_for_reads(&jobmaker, 2).await;
    scene.ask("tiger").await;
    wait_for_reads(&jobmaker, 3).await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(jobmaker.counters().reads, 3);
    jobmaker.stop().await;
}

#[tokio::test]
async fn two_jobmakers_of_one_sub_pool_both_ack() {
    let scene = Scene::shared().await;
    let named = |name: &str| Knobs { hostname: Some(name.to_owned()), ..Knobs::default() };
    let (one, two) = (scene.start(named("one")).await, scene.start(named("two")).await);
    one.pause();
    scene.ask("tiger").await;
    assert_eq!(scene.ack_of("tiger").await["host"]["hostname"], "two");
    one.resume();
    wait_for_acks(&one, 2).await;
    assert_eq!(scene.ack().await["host"]["hostname"], "one");
    assert_eq!(scene.ack_writes().await, 4);
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn it_acks_nothing_after_it_was_stopped() {
    let scene = Scene::shared().await;
    let jobmaker = scene.start(Knobs::default()).await;
    jobmaker.stop().await;
    scene.ask("tiger").await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(scene.ack_writes().await, 1);
}

#[tokio::test]
async fn it_outlives_zookeeper_with_the_values_it_holds() {
    let mut zookeeper = ZooKeeper::private().await;
    let mut scene = Scene::at(&zookeeper).await;
    let jobmaker = scene.start(Knobs::default()).await;
    scene.ask("tiger").await;
    scene.ack_of("tiger").await;
    for coinbase_info in ["lion", "lynx"] {
        let acks = jobmaker.counters().acks;
        zookeeper.kill9();
        // Long enough for a failed attempt to connect, with a long pause before the next.
        tokio::time::sleep(seconds(2)).await;
        zookeeper.restart().await;
        wait_for_acks(&jobmaker, acks + 1).await;
        // The old client may take long to reconnect.
        scene.znodes = zookeeper.znodes().await;
        scene.ask(coinbase_info).await;
        scene.ack_of(coinbase_info).await;
    }
    let mut held = held(&jobmaker);
    held.dedup();
    assert_eq!(held, ["[hellobtc]", "tiger", "lion", "lynx"]);
    assert_eq!(jobmaker.counters().lives, 1);
    jobmaker.stop().await;
}

#[tokio::test]
async fn it_starts_when_zookeeper_comes_and_refuses_invalid_paths() {
    let mut zookeeper = ZooKeeper::absent().await;
    let address = zookeeper.address();
    let sub_pool = |path: &str| vec![SubPool::new(path, CONFIGURED, ADDRESS)];
    let refused = Jobmaker::start(&address, sub_pool("/subpool//pool3"), Knobs::default()).await;
    assert!(matches!(refused.err(), Some(Error::Path(_))));
    let starting = Jobmaker::start(&address, sub_pool("/subpool/btc/pool3"), Knobs::default());
    let (jobmaker, ()) = tokio::join!(starting, zookeeper.restart());
    jobmaker.unwrap().stop().await;
}
