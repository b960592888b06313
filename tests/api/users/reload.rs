//! Reloads of `UsersFile`: sessions and streams that end, files that are no use, logins that wait meanwhile.

use super::*;
use crate::admin::events::Events;
use crate::reload::applied;

#[tokio::test]
async fn a_reload_ends_what_removed_and_changed_users_may_do() {
    let zookeeper = ZooKeeper::shared().await;
    let (wang, li) = (with_password("wang", "secret", &["switcher"]), with_token("li", &["admin"]));
    let zhao = with_password("zhao", "secret", &["viewer"]);
    let builder = with(zookeeper, &[wang.clone(), li.clone(), zhao.clone()]);
    let daemon = builder.start().await;
    let admin = Admin::of(&daemon).await;
    let switch = |coin| Request::switch("alice", coin).credentials("wang", "secret");
    let mut wangs = daemon.connect().await;
    assert!(wangs.send(&switch("btc")).await.unwrap().answer().success);
    let stream = Request::get("/recent/stream");
    let mut of_wang = Events::of(&admin, &stream.clone().credentials("wang", "secret")).await;
    let mut of_zhao = Events::of(&admin, &stream.clone().credentials("zhao", "secret")).await;
    let mut of_li = Events::of(&admin, &stream.token(&token_of("li"))).await;
    assert_eq!([of_wang.status, of_zhao.status, of_li.status], [200; 3]);

    let changed = with_password("zhao", "another", &["viewer"]);
    let new = with_token("new", &["viewer"]);
    let without = builder.clone().users(&[li.clone(), changed, new]);
    assert_eq!(applied(&daemon, &without).await, "UsersFile (content of the file)");
    daemon
        .wait_for_log(&[
            "users changed",
            "added: \"new\"",
            "removed: \"wang\"",
            "changed: \"zhao\"",
        ])
        .await;
    assert_eq!(wangs.send(&switch("bcc")).await.unwrap().status, 401);
    assert_eq!(admin.send(&page().credentials("zhao", "secret")).await.status, 401);
    assert_eq!(admin.send(&page().credentials("zhao", "another")).await.status, 200);
    assert_eq!(admin.send(&page().token(&token_of("new"))).await.status, 200);
    let ltc = Request::switch("bob", "bcc").token(&token_of("li"));
    assert!(daemon.send_as_is(&ltc).await.answer().success);
    for stream in [&mut of_wang, &mut of_zhao] {
        let rest = stream.rest().await.expect("the end of the stream");
        assert!(!rest.contains("bob"), "{rest}");
    }
    assert_eq!(of_li.change().await["sub_account"], "bob");
    // The same user again: the password has to be compared once more.
    let builder = without.users(&[wang, li, watcher()]);
    applied(&daemon, &builder).await;
    let before = metric(&admin, COMPARISONS).await;
    let mut again = daemon.connect().await;
    assert!(again.send(&switch("btc")).await.unwrap().answer().success);
    assert_eq!(metric(&admin, COMPARISONS).await - before, 1.0);
    // A reload that does not concern it forgets its login, too.
    applied(&daemon, &builder).await;
    assert!(again.send(&switch("bcc")).await.unwrap().answer().success);
    assert_eq!(metric(&admin, COMPARISONS).await - before, 2.0);
}

#[tokio::test]
async fn a_fifo_is_refused_and_the_next_reload_serves() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = with(zookeeper, &[watcher()]);
    let daemon = builder.start().await;
    let file = builder.folder().join("users.json");
    std::fs::remove_file(&file).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&file).status().unwrap();
    assert!(made.success(), "{made}");
    daemon.signal(Signal::HUP);
    daemon.wait_for_log(&["configuration not reloaded", "UsersFile", "no regular file"]).await;
    std::fs::remove_file(&file).unwrap();
    applied(&daemon, &builder.clone().users(&[])).await;
    let admin = Admin::of(&daemon).await;
    assert_eq!(admin.send(&page().token(&token_of("watcher"))).await.status, 401);
}

#[tokio::test]
async fn a_reload_of_roles_refuses_no_login_that_waits() {
    let zookeeper = ZooKeeper::shared().await;
    // A comparison of this size holds up all others.
    let slow = with_hash("slow", &argon2("secret", 32 << 10), &["viewer"]);
    let wang = |roles| with_password("wang", "secret", roles);
    let builder = with(zookeeper, &[slow.clone(), wang(&["viewer"])]);
    let daemon = builder.start().await;
    let admin = Admin::of(&daemon).await;
    let mut logins = JoinSet::new();
    for (name, expected) in [("slow", 401), ("slow", 401), ("wang", 200)] {
        let password = if expected == 401 { "wrong" } else { "secret" };
        let (admin, request) = (admin.address.clone(), page().credentials(name, password));
        logins.spawn(async move {
            let mut connection = Connection::open(&admin).await.unwrap();
            (connection.send(&request).await.unwrap().status, expected)
        });
    }
    applied(&daemon, &builder.clone().users(&[slow, wang(&["viewer", "payout"])])).await;
    while let Some(login) = logins.join_next().await {
        let (status, expected) = login.unwrap();
        assert_eq!(status, expected);
    }
}
