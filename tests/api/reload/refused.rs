//! A rejected reload keeps the whole previous configuration.

use rustix::process::Signal;
use serde_json::json;

use super::{APPLIED, applied, assert_refused, hang_up, patient, refused};
use crate::admin::Admin;
use crate::support::client::Answer;
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, seconds};

const SUCCESSFUL: &str = "switcher_config_last_reload_successful";

#[tokio::test]
async fn nothing_changes_after_a_problem_and_every_problem_is_logged() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = patient(zookeeper).admin();
    let daemon = builder.start().await;
    let admin = Admin::of(&daemon).await;
    admin.wait_for(SUCCESSFUL, 1.0).await;
    let bad = builder
        .clone()
        .set("AvailableCoins", json!(["btc", "ltc"]))
        .set("ZKBroker", json!(["elsewhere:2181"]))
        .set("ZKQueueLimit", 0)
        .set("APIPassword", "");
    let causes = [
        "APIPassword: is empty",
        "ZKQueueLimit: is 0",
        "ZKBroker from [",
        "to [\"elsewhere:2181\"] needs a restart",
    ];
    refused(&daemon, &bad, &causes).await;
    assert_eq!(daemon.switch("alice", "ltc").await.err_no, 104);
    assert_eq!(daemon.switch("alice", "bcc").await, Answer::success());
    let samples = admin.samples().await;
    let refusals = r#"switcher_config_reloads_total{result="refused"}"#;
    assert_eq!((samples.value(refusals), samples.value(SUCCESSFUL)), (1.0, 0.0));

    // A reloadable change is not applied together with one that needs a restart.
    let half = builder.clone().set("AvailableCoins", json!(["ltc"])).set("EnableCronJob", true);
    refused(&daemon, &half, &["EnableCronJob from false to true needs a restart"]).await;
    assert_eq!(daemon.switch("alice", "ltc").await.err_no, 104);

    applied(&daemon, &builder).await;
    let samples = admin.samples().await;
    let applied = r#"switcher_config_reloads_total{result="applied"}"#;
    assert_eq!((samples.value(applied), samples.value(SUCCESSFUL)), (1.0, 1.0));
    let at = samples.value("switcher_config_last_reload_success_timestamp_seconds");
    assert!((at - crate::polls::now() as f64).abs() < 60.0, "{at}");
}

#[tokio::test]
async fn an_invalid_value_is_rejected_and_another_spelling_is_no_change() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = patient(zookeeper);
    let daemon = builder.start().await;
    let bad = builder
        .clone()
        .set("AvailableCoins", json!(["btc bcc"]))
        .set("APIPassword", "\"admin\"")
        .set("ZKQueueLimit", json!(60.5))
        .set("ZKSubPoolUpdateBaseDir", "/");
    let causes = [
        "AvailableCoins: its coin \"btc bcc\" contains a blank",
        "APIPassword: begins and ends with a quote",
        "ZKQueueLimit: is 60.5 (file)",
        "ZKSubPoolUpdateBaseDir: is \"/\", the root",
    ];
    refused(&daemon, &bad, &causes).await;
    let same = builder.clone().set("CronIntervalSeconds", json!(60.0));
    assert_eq!(applied(&daemon, &same).await, "nothing");
}

#[tokio::test]
async fn a_truncated_or_missing_file_is_rejected_even_if_the_environment_is_complete() {
    let zookeeper = ZooKeeper::shared().await;
    let watch_dir = "/t/reloaded-without-file/";
    // The environment alone would be enough.
    let builder = patient(zookeeper)
        .environment("EnableAPIServer", "true")
        .environment("APIUser", "admin")
        .environment("APIPassword", "admin")
        .environment("ListenAddr", "127.0.0.1:0")
        .environment("AdminListenAddr", "")
        .environment("AvailableCoins", "btc")
        .environment("ZKBroker", &zookeeper.address())
        .environment("ZKSwitcherWatchDir", watch_dir)
        .set("ZKSwitcherWatchDir", watch_dir);
    let daemon = builder.start().await;
    let file = builder.write_config();
    let whole = std::fs::read(&file).unwrap();
    for length in [0, 1, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&file, &whole[..length]).unwrap();
        let lines = hang_up(&daemon).await;
        assert_refused(&lines, &["config.json is no JSON"]);
        assert_eq!(lines.len(), 2, "{lines:#?}");
    }
    std::fs::remove_file(&file).unwrap();
    assert_refused(&hang_up(&daemon).await, &["config.json cannot be read: No such file"]);
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    assert_eq!(applied(&daemon, &builder).await, "nothing");
}

#[tokio::test]
async fn a_reload_with_the_environment_alone_changes_nothing() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = patient(zookeeper)
        .environment("EnableAPIServer", "true")
        .environment("APIUser", "admin")
        .environment("APIPassword", "admin")
        .environment("ListenAddr", "127.0.0.1:0")
        .environment("AdminListenAddr", "")
        .environment("AvailableCoins", "btc,bcc")
        .environment("ZKBroker", &zookeeper.address())
        .environment("ZKRequestTimeoutSeconds", "60")
        .environment("ZKSessionTimeoutSeconds", "30")
        .environment("ZKSwitcherWatchDir", "/t/reloaded-environment/");
    let daemon = builder.start_with(&[]).await;
    let lines = hang_up(&daemon).await;
    // The warning about the published password comes first.
    assert!(lines.iter().any(|line| line.contains("changed: nothing")), "{lines:?}");
    assert_eq!(daemon.switch("alice", "bcc").await, Answer::success());
}

#[tokio::test]
async fn the_environment_wins_over_the_file_as_at_the_start() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = patient(zookeeper).environment("ZKQueueLimit", "1000");
    let daemon = builder.start().await;
    assert_eq!(applied(&daemon, &builder.clone().set("ZKQueueLimit", 7)).await, "nothing");
}

#[tokio::test]
async fn after_many_signals_the_last_state_of_the_file_counts() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = patient(zookeeper);
    let daemon = builder.start().await;
    let limit = |limit: u64| builder.clone().set("ZKQueueLimit", limit);
    for number in 1..=100 {
        limit(number).write_config();
        daemon.signal(Signal::HUP);
    }
    // A signal may find the file half-written, which is rejected; another signal follows each write.
    eventually("the last limit", seconds(30), || async {
        let changed = daemon.log_with(&[APPLIED, "to 100"]);
        changed.last().map(|_| ())
    })
    .await;
    assert_eq!(applied(&daemon, &limit(100)).await, "nothing");
    assert_eq!(daemon.switch("alice", "bcc").await, Answer::success());
}

#[tokio::test]
async fn many_reloads_leave_no_descriptors_and_no_memory_behind() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = patient(zookeeper).admin();
    let daemon = builder.start().await;
    let admin = Admin::of(&daemon).await;
    let coins = [json!(["btc", "bcc"]), json!(["btc", "bcc", "ltc"])];
    let turn = async |number: usize| {
        let with = builder.clone().set("AvailableCoins", coins[number % 2].clone());
        applied(&daemon, &with).await;
    };
    for number in 0..20 {
        turn(number).await;
    }
    let resident = async || admin.samples().await.value("process_resident_memory_bytes");
    let before = (daemon.descriptors(), resident().await);
    for number in 0..200 {
        turn(number).await;
    }
    // The connection of the last request may still be open.
    eventually("the descriptors of before", seconds(20), || async {
        (daemon.descriptors() <= before.0).then_some(())
    })
    .await;
    let grown = resident().await - before.1;
    assert!(grown < 4e6, "{grown} bytes more");
}
