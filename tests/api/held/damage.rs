//! Intents and directories that are damaged, forbidden, or from a daemon with another configuration or clock.

use zookeeper_client::{Acl, AuthId, Permission};

use super::*;
use crate::admin::Admin;

const OVERDUE: &str = "switcher_held_switches_overdue_seconds";

fn intent(coin: &str, due: u64) -> String {
    json!({"coin": coin, "due": due, "source": "api", "request": "1"}).to_string()
}

#[tokio::test]
async fn a_damaged_intent_stops_no_other_and_is_replaced_by_a_switch() {
    let zookeeper = ZooKeeper::shared().await;
    let znodes = zookeeper.znodes().await;
    let daemon = holding(zookeeper).start().await;
    let directory = intents(&daemon);
    for user in ["alice", "cut", "array", "late"] {
        assert_eq!(daemon.switch(user, "btc").await, Answer::success());
    }
    eventually("the directory", seconds(20), || async { znodes.get(&directory).await }).await;
    znodes.put(&format!("{directory}/cut"), r#"{"coin":"bc"#).await;
    znodes.put(&format!("{directory}/array"), "[1]").await;
    znodes.put(&format!("{directory}/late"), &intent("bcc", u64::MAX)).await;
    znodes.put(&format!("{directory}/empty"), "").await;
    assert_eq!(result(&daemon, "alice", "bcc", "results").await["outcome"], "held");
    assert_eq!(result(&daemon, "cut", "bcc", "results").await["outcome"], "held");
    for user in ["alice", "cut"] {
        becomes(&znodes, &daemon.path(user), "bcc").await;
    }
    daemon.wait_for_log(&["held switch cannot be carried out", "sub_account: array"]).await;
    assert_eq!(daemon.switch("late", "btc").await, Answer::success());
    eventually("what can be settled is", seconds(20), || async {
        (znodes.children(&directory).await == ["array"]).then_some(())
    })
    .await;
    for user in ["array", "late"] {
        assert_eq!(znodes.get(&daemon.path(user)).await.as_deref(), Some("btc"), "{user}");
    }
}

/// Due times are times of a clock, whoever wrote them: a daemon whose clock differs shifts its switches, and loses none.
#[tokio::test]
async fn intents_of_other_clocks_and_configurations_are_carried_out_at_their_due_time() {
    let zookeeper = ZooKeeper::shared().await;
    let znodes = zookeeper.znodes().await;
    let daemon = holding(zookeeper).without("UserListAPI").start().await;
    let directory = intents(&daemon);
    for user in ["behind", "ahead", "unknown"] {
        assert_eq!(daemon.switch(user, "btc").await, Answer::success());
    }
    let due = now() + 6_000;
    znodes.put(&format!("{directory}/behind"), &intent("bcc", 1)).await;
    znodes.put(&format!("{directory}/ahead"), &intent("bcc", due)).await;
    // A coin of the daemon that accepted it, which may have more coins.
    znodes.put(&format!("{directory}/unknown"), &intent("ltc", now() - 1_000)).await;
    // One without lists looks once in a session.
    let next = holding(zookeeper).set("ZKSwitcherWatchDir", daemon.watch_dir()).start().await;
    becomes(&znodes, &next.path("behind"), "bcc").await;
    becomes(&znodes, &next.path("unknown"), "ltc").await;
    becomes(&znodes, &next.path("ahead"), "bcc").await;
    assert!(now() >= due, "early");
    settled(&znodes, &next).await;
}

#[tokio::test]
async fn a_list_that_goes_away_takes_no_held_switch_with_it() {
    let zookeeper = ZooKeeper::shared().await;
    let znodes = zookeeper.znodes().await;
    let builder = holding(zookeeper);
    let mut daemon = builder.start().await;
    for user in ["alice", "bob"] {
        assert_eq!(daemon.switch(user, "btc").await, Answer::success());
        assert_eq!(result(&daemon, user, "bcc", "results").await["outcome"], "held");
    }
    daemon.kill9();
    let lists = json!({"btc": "http://127.0.0.1:9/btc", "bch": "http://127.0.0.1:9/bch"});
    let next = builder.set("UserListAPI", lists).start().await;
    // This coin has a list now, and the other one has none.
    assert_eq!(result(&next, "bob", "btc", "results").await["outcome"], "held");
    assert_eq!(result(&next, "bob", "bcc", "results").await["outcome"], "applied");
    becomes(&znodes, &next.path("alice"), "bcc").await;
    settled(&znodes, &next).await;
    assert_eq!(znodes.get(&next.path("bob")).await.as_deref(), Some("bcc"));
}

fn everything() -> Vec<Acl> {
    vec![Acl::new(Permission::ALL, AuthId::anyone())]
}

/// The rights of others without some.
fn without(missing: Permission) -> Vec<Acl> {
    let all = [
        Permission::CREATE,
        Permission::READ,
        Permission::WRITE,
        Permission::DELETE,
        Permission::ADMIN,
    ];
    let rights = all.into_iter().filter(|it| *it != missing);
    vec![Acl::new(rights.fold(Permission::NONE, |all, it| all | it), AuthId::anyone())]
}

#[tokio::test]
async fn without_rights_no_switch_is_held_with_success() {
    let zookeeper = ZooKeeper::shared().await;
    let (znodes, client) = (zookeeper.znodes().await, zookeeper.client().await);
    for missing in [Permission::CREATE, Permission::WRITE] {
        let daemon = holding(zookeeper).start().await;
        assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
        let directory = intents(&daemon);
        eventually("the directory", seconds(20), || async { znodes.get(&directory).await }).await;
        client.set_acl(&directory, &without(missing), None).await.unwrap();
        let answer = daemon.switch("alice", "bcc").await;
        assert!(!answer.success && answer.err_no != 0, "without {missing:?}: {answer:?}");
        assert_eq!(daemon.switch("alice", "btc").await, Answer::success(), "at once");
        client.set_acl(&directory, &everything(), None).await.unwrap();
        assert_eq!(result(&daemon, "alice", "bcc", "results").await["outcome"], "held");
        becomes(&znodes, &daemon.path("alice"), "bcc").await;
        settled(&znodes, &daemon).await;
    }
}

#[tokio::test]
async fn a_directory_that_cannot_be_carried_out_is_reported_until_it_can() {
    let zookeeper = ZooKeeper::shared().await;
    let (znodes, client) = (zookeeper.znodes().await, zookeeper.client().await);
    let daemon = holding(zookeeper).admin().start().await;
    let admin = Admin::of(&daemon).await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    let directory = intents(&daemon);
    eventually("the directory", seconds(20), || async { znodes.get(&directory).await }).await;
    client.set_acl(&directory, &without(Permission::DELETE), None).await.unwrap();
    assert_eq!(result(&daemon, "alice", "bcc", "results").await["outcome"], "held");
    daemon.wait_for_log(&["held switch cannot be carried out", "sub_account: alice"]).await;
    eventually("an overdue switch", seconds(20), || async {
        (admin.samples().await.value(OVERDUE) >= 2.0).then_some(())
    })
    .await;
    assert_eq!(znodes.get(&daemon.path("alice")).await.as_deref(), Some("btc"));
    client.set_acl(&directory, &everything(), None).await.unwrap();
    becomes(&znodes, &daemon.path("alice"), "bcc").await;
    settled(&znodes, &daemon).await;
    admin.wait_for(OVERDUE, 0.0).await;
}

#[tokio::test]
async fn each_time_that_no_round_succeeds_is_reported_once() {
    let zookeeper = ZooKeeper::shared().await;
    let (znodes, client) = (zookeeper.znodes().await, zookeeper.client().await);
    let daemon = holding(zookeeper).start().await;
    let directory = intents(&daemon);
    eventually("the directory", seconds(20), || async { znodes.get(&directory).await }).await;
    for time in 1..=2 {
        client.set_acl(&directory, &without(Permission::READ), None).await.unwrap();
        let user = format!("user{time}");
        assert_eq!(daemon.switch(&user, "btc").await, Answer::success());
        znodes.put(&format!("{directory}/{user}"), &intent("bcc", 1)).await;
        let reports = || daemon.log_with(&["cannot carry out held switches"]).len();
        eventually("a report", seconds(20), || async { (reports() >= time).then_some(()) }).await;
        // More than a round.
        sleep(seconds(2)).await;
        assert_eq!(reports(), time, "{:#?}", daemon.log());
        client.set_acl(&directory, &everything(), None).await.unwrap();
        becomes(&znodes, &daemon.path(&user), "bcc").await;
    }
}

#[tokio::test]
async fn intents_that_were_removed_by_hand_are_not_overdue() {
    let zookeeper = ZooKeeper::shared().await;
    let znodes = zookeeper.znodes().await;
    let builder = holding(zookeeper);
    let mut daemon = builder.start().await;
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    let directory = intents(&daemon);
    eventually("the directory", seconds(20), || async { znodes.get(&directory).await }).await;
    daemon.kill9();
    znodes.put(&format!("{directory}/alice"), &intent("bcc", now() + 5_000)).await;
    let plain = builder.without("UserListAPI").admin().start().await;
    let admin = Admin::of(&plain).await;
    admin.wait_for("switcher_held_switches", 1.0).await;
    znodes.remove(directory.trim_end_matches("/switches")).await;
    admin.wait_for("switcher_held_switches", 0.0).await;
    sleep(seconds(6)).await;
    assert_eq!(admin.samples().await.value(OVERDUE), 0.0);
    assert_eq!(znodes.get(&plain.path("alice")).await.as_deref(), Some("btc"));
}
