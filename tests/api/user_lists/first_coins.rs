//! First coins, index entries and complete lists, whatever happens to ZooKeeper, backends and the daemon.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use stratum_sim::UserList;
use upstream_sim::{Gate, Reply, Upstream};
use zookeeper_client::{Acl, AuthId, Permission};

use super::{builder, document, get, many, ready, upstream, with_list};
use crate::support::{
    client::Answer, daemon::Daemon, eventually, seconds, unique, zookeeper::ZooKeeper,
};

/// The names of a coin's list by puid, when its first pull has ended.
async fn names(daemon: &Daemon, coin: &str) -> Vec<String> {
    let target = format!("/?coin={coin}");
    let list = eventually(&format!("the list of {coin}"), seconds(60), || async {
        Some(get(daemon.base(), &target).await).filter(|it| it.status == 200)
    })
    .await;
    let list: Value = serde_json::from_slice(&list.body).unwrap();
    let entries = list["data"].as_object().unwrap();
    let mut entries: Vec<_> = entries.iter().map(|(name, puid)| (puid.as_u64(), name)).collect();
    entries.sort();
    entries.into_iter().map(|(_, name)| name.clone()).collect()
}

/// `count` names, as [`many`] has them.
fn users(count: u32) -> Vec<String> {
    (1..=count).map(|puid| format!("user{puid:07}")).collect()
}

fn upstream_of(lists: &[(&str, String)]) -> BTreeMap<String, String> {
    lists.iter().map(|(coin, list)| ((*coin).to_owned(), list.clone())).collect()
}

#[tokio::test]
async fn a_first_pull_creates_what_is_missing_and_overwrites_nothing() {
    let zookeeper = ZooKeeper::shared().await;
    let znodes = zookeeper.znodes().await;
    let (upstream, builder) = with_list(
        r#"{"err_no":0,"err_msg":null,"data":{"New":1,"Old_btc":2,"Empty":3,"TAKEN":4}}"#,
    )
    .await;
    let root = format!("/t/{}", unique("first"));
    let (watch_dir, index) = (format!("{root}/sw/"), format!("{root}/case/"));
    for (path, data) in
        [("sw/Old", "bcc"), ("sw/Empty", ""), ("case/taken", "Taken"), ("case/empty", "")]
    {
        znodes.put(&format!("{root}/{path}"), data).await;
    }
    let before = znodes.stat(&format!("{root}/sw/Old")).await.unwrap();
    let builder =
        builder.set("ZKSwitcherWatchDir", watch_dir).set("ZKUserCaseInsensitiveIndex", index);
    let daemon = builder.start().await;
    assert_eq!(names(&daemon, "btc").await, ["New", "Old", "Empty", "TAKEN"]);
    let expected = [
        ("sw/New", "btc"),
        ("sw/Old", "bcc"),
        ("sw/Empty", ""),
        ("sw/TAKEN", "btc"),
        ("case/new", "New"),
        ("case/old", "Old"),
        ("case/empty", ""),
        ("case/taken", "Taken"),
    ];
    for (path, data) in expected {
        assert_eq!(znodes.get(&format!("{root}/{path}")).await.as_deref(), Some(data), "{path}");
    }
    let after = znodes.stat(&format!("{root}/sw/Old")).await.unwrap();
    assert_eq!((after.version, after.mzxid), (before.version, before.mzxid));
    for path in ["sw/New", "case/new", "case"] {
        let path = format!("{root}/{path}");
        assert_eq!(znodes.acl(&path).await, [Acl::new(Permission::ALL, AuthId::anyone())]);
        assert_eq!(znodes.stat(&path).await.unwrap().ephemeral_owner, 0);
    }
    // The list comes whole again, and the switch's coin stays.
    assert_eq!(daemon.switch("New", "bcc").await, Answer::success());
    let pulls = upstream.requests().len();
    eventually("two more pulls", seconds(30), || async {
        (upstream.requests().len() >= pulls + 2).then_some(())
    })
    .await;
    assert_eq!(znodes.get(&format!("{root}/sw/New")).await.as_deref(), Some("bcc"));
}

#[tokio::test]
async fn in_case_insensitive_mode_znodes_are_in_lower_case_and_lists_are_not() {
    let (_upstream, builder) =
        with_list(r#"{"err_no":0,"err_msg":null,"data":{"Tiger":1,"tiger":2,"OTTER_btc":3}}"#)
            .await;
    let index = format!("/t/{}/", unique("index"));
    let builder = builder
        .set("StratumServerCaseInsensitive", true)
        .set("ZKUserCaseInsensitiveIndex", index.as_str());
    let daemon = builder.start().await;
    assert_eq!(names(&daemon, "btc").await, ["Tiger", "tiger", "OTTER"]);
    let znodes = ZooKeeper::shared().await.znodes().await;
    let children = znodes.children(daemon.watch_dir().trim_end_matches('/')).await;
    assert_eq!(
        children.into_iter().collect::<BTreeSet<_>>(),
        ["otter", "tiger"].map(str::to_owned).into()
    );
    assert!(znodes.children(index.trim_end_matches('/')).await.is_empty());
}

#[tokio::test]
async fn after_a_restart_the_list_is_complete_and_old_sub_accounts_stay_old() {
    let body = document([("alice".to_owned(), 1), ("bob".to_owned(), 2)]);
    let upstream = upstream(upstream_of(&[("bcc", body)])).await;
    // A safety period of 15 s.
    let builder =
        builder(ZooKeeper::shared().await, &upstream, &["bcc"]).set("IntervalSeconds", 10);
    let mut daemon = builder.start().await;
    assert_eq!(names(&daemon, "bcc").await, ["alice", "bob"]);
    let znodes = ZooKeeper::shared().await.znodes().await;
    let mark = format!("{}_held/lists/bcc", daemon.watch_dir().trim_end_matches('/'));
    let mark = eventually("the mark", seconds(30), || znodes.get(&mark)).await;
    let mark: Value = serde_json::from_str(&mark).unwrap();
    assert_eq!(mark[0]["last_id"], 2, "{mark}");
    let is_held = async |daemon: &Daemon| {
        assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
        assert_eq!(daemon.switch("alice", "bcc").await, Answer::success());
        znodes.get(&daemon.path("alice")).await.as_deref() != Some("bcc")
    };
    assert!(is_held(&daemon).await, "alice is new in the list of bcc");
    daemon.kill9();
    tokio::time::sleep(seconds(16)).await;
    let daemon = builder.start().await;
    assert_eq!(names(&daemon, "bcc").await, ["alice", "bob"]);
    assert!(!is_held(&daemon).await, "the restart made alice new");
}

#[tokio::test]
async fn two_lists_with_the_same_names_are_both_complete_and_the_first_coin_counts() {
    const COUNT: u32 = 10_000;
    let other = document((1..=COUNT).map(|puid| (format!("user{puid:07}"), puid + 50_000)));
    let lists = upstream_of(&[("btc", many(COUNT)), ("bcc", other)]);
    let reply = move |request: &upstream_sim::Request| {
        let path = request.target.split('?').next().unwrap_or_default();
        let reply = Reply::json(&lists[path.trim_start_matches('/')]);
        // The list of the first coin comes last.
        if path == "/bcc" { reply.after(std::time::Duration::from_millis(500)) } else { reply }
    };
    let upstream = Upstream::start(reply).await.unwrap();
    let builder = builder(ZooKeeper::shared().await, &upstream, &["btc", "bcc"]);
    let daemon = builder.set("AvailableCoins", json!(["bcc", "btc"])).start().await;
    for coin in ["btc", "bcc"] {
        assert_eq!(names(&daemon, coin).await, users(COUNT), "{coin}");
    }
    let paths: Vec<_> = users(COUNT).iter().map(|user| daemon.path(user)).collect();
    let coins = ZooKeeper::shared().await.znodes().await.get_all(&paths).await;
    assert!(coins.iter().all(|coin| coin.as_deref() == Some("bcc")));
}

#[tokio::test]
async fn zookeeper_may_die_during_a_pull() {
    const COUNT: u32 = 3_000;
    let mut zookeeper = ZooKeeper::private().await;
    let upstream = upstream(upstream_of(&[("btc", many(COUNT))])).await;
    let daemon = builder(&zookeeper, &upstream, &["btc"]).start().await;
    let znodes = zookeeper.znodes().await;
    let dir = daemon.watch_dir().trim_end_matches('/').to_owned();
    eventually("a part of the first coins", seconds(30), || async {
        znodes.stat(&format!("{dir}/user0000001")).await
    })
    .await;
    zookeeper.kill9();
    daemon.wait_for_log(&["pull of a list", "outcome: failed"]).await;
    assert_eq!(get(daemon.base(), "/?coin=btc").await.status, 503);
    zookeeper.restart().await;
    assert_eq!(names(&daemon, "btc").await, users(COUNT));
    let paths: Vec<_> = users(COUNT).iter().map(|user| daemon.path(user)).collect();
    let coins = zookeeper.znodes().await.get_all(&paths).await;
    assert!(coins.iter().all(|coin| coin.as_deref() == Some("btc")));
}

#[tokio::test]
async fn a_backend_that_hangs_hurts_its_own_list_only() {
    let gate = Gate::default();
    let held = gate.clone();
    let reply = move |request: &upstream_sim::Request| {
        let list = Reply::json(super::ALICE);
        if request.target.starts_with("/btc") { list.behind(&held) } else { list }
    };
    let upstream = Upstream::start(reply).await.unwrap();
    // The list that hangs comes first.
    let builder = builder(ZooKeeper::shared().await, &upstream, &["bcc", "btc"]);
    let builder = builder.set("CronFetchTimeoutSeconds", 300);
    let daemon = builder.set("AvailableCoins", json!(["btc", "bcc"])).start().await;
    assert_eq!(names(&daemon, "bcc").await, ["alice", "bob"]);
    assert_eq!(get(daemon.base(), "/?coin=btc").await.status, 503);
    let pulls = || upstream.requests().iter().filter(|it| it.target.starts_with("/bcc")).count();
    eventually("further pulls", seconds(30), || async { (pulls() >= 3).then_some(()) }).await;
    gate.open();
    assert_eq!(names(&daemon, "btc").await, ["alice", "bob"]);
    let coin = ZooKeeper::shared().await.znodes().await.get(&daemon.path("alice")).await;
    assert_eq!(coin.as_deref(), Some("bcc"));
}

#[tokio::test]
async fn a_consumer_with_a_cursor_misses_no_sub_account() {
    const COUNT: u32 = 4_000;
    let sent = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(COUNT / 2));
    let known = std::sync::Arc::clone(&sent);
    let reply = move |_: &upstream_sim::Request| {
        Reply::json(&many(known.load(std::sync::atomic::Ordering::SeqCst)))
    };
    let upstream = Upstream::start(reply).await.unwrap();
    let daemon = builder(ZooKeeper::shared().await, &upstream, &["btc"]).start().await;
    let url = format!("http://{}/?coin=btc", daemon.base());
    let mut list = UserList::default();
    let deadline = std::time::Instant::now() + seconds(60);
    while list.len() < COUNT as usize && std::time::Instant::now() < deadline {
        // Not before the first pull: status 503, which a consumer takes as a failure.
        if let Ok(answer) = stratum_sim::fetch(&url, list.last_id()).await {
            list.take(&answer).unwrap();
            sent.store(COUNT, std::sync::atomic::Ordering::SeqCst);
        }
        assert_eq!(list.len(), list.last_id() as usize, "the cursor has passed a puid");
    }
    assert_eq!(list.len(), COUNT as usize);
}

#[tokio::test]
async fn first_coins_that_zookeeper_refuses_withhold_no_list() {
    let zookeeper = ZooKeeper::shared().await;
    let (client, znodes) = (zookeeper.client().await, zookeeper.znodes().await);
    let body = document([("alice".to_owned(), 1), ("bob".to_owned(), 2), ("carol".to_owned(), 3)]);
    let upstream = upstream(upstream_of(&[("btc", body)])).await;
    let builder = builder(zookeeper, &upstream, &["btc"]);
    let dir = format!("/t/{}", unique("refusing"));
    znodes.put(&format!("{dir}/bob"), "bcc").await;
    let all_but_create =
        Permission::READ | Permission::WRITE | Permission::DELETE | Permission::ADMIN;
    client.set_acl(&dir, &[Acl::new(all_but_create, AuthId::anyone())], None).await.unwrap();
    let daemon = builder.set("ZKSwitcherWatchDir", dir.as_str()).start().await;
    assert_eq!(names(&daemon, "btc").await, ["alice", "bob", "carol"]);
    daemon.wait_for_log(&["first coins of a list refused", "refused: 2"]).await;
    assert_eq!(znodes.children(&dir).await, ["bob"]);
    client.set_acl(&dir, &[Acl::new(Permission::ALL, AuthId::anyone())], None).await.unwrap();
    for user in ["alice", "carol"] {
        let path = daemon.path(user);
        let coin = eventually("a first coin", seconds(30), || znodes.get(&path)).await;
        assert_eq!(coin, "btc");
    }
    assert_eq!(ready(daemon.base()).await.status, 200);
    assert_eq!(znodes.get(&daemon.path("bob")).await.as_deref(), Some("bcc"));
}

#[tokio::test]
async fn index_entries_that_zookeeper_refuses_are_tried_again() {
    let zookeeper = ZooKeeper::shared().await;
    let (client, znodes) = (zookeeper.client().await, zookeeper.znodes().await);
    let body = document([("Alice".to_owned(), 1), ("bob".to_owned(), 2), ("carol".to_owned(), 3)]);
    let upstream = upstream(upstream_of(&[("btc", body)])).await;
    let index = format!("/t/{}", unique("index"));
    znodes.put(&format!("{index}/bob"), "bob").await;
    let all_but_create =
        Permission::READ | Permission::WRITE | Permission::DELETE | Permission::ADMIN;
    client.set_acl(&index, &[Acl::new(all_but_create, AuthId::anyone())], None).await.unwrap();
    let builder = builder(zookeeper, &upstream, &["btc"]);
    let daemon = builder.set("ZKUserCaseInsensitiveIndex", index.as_str()).start().await;
    assert_eq!(names(&daemon, "btc").await, ["Alice", "bob", "carol"]);
    daemon.wait_for_log(&["index entry or mark of a list not written"]).await;
    let pulled = || async {
        let last = upstream.requests().last().and_then(|it| it.query("last_id").map(str::to_owned));
        (last.as_deref() == Some("3")).then_some(())
    };
    eventually("a pull after the last puid", seconds(30), pulled).await;
    assert_eq!(znodes.children(&index).await, ["bob"]);
    client.set_acl(&index, &[Acl::new(Permission::ALL, AuthId::anyone())], None).await.unwrap();
    for (entry, user) in [("alice", "Alice"), ("carol", "carol")] {
        let path = format!("{index}/{entry}");
        let name = eventually("an index entry", seconds(30), || znodes.get(&path)).await;
        assert_eq!(name, user);
    }
}
