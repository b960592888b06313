//! Signing in to the console, and what it shows to users of few rights.

use serde_json::json;

use super::page::FAINT;
use super::{Browser, Console, browser_programs};
use crate::reload::applied;
use crate::support::client::{Answer, Request};
use crate::support::daemon::{Builder, Daemon, PASSWORD, USER};
use crate::support::zookeeper::ZooKeeper;

/// A configuration with a `UsersFile`, besides `APIUser`.
fn with_users_file(zookeeper: &ZooKeeper) -> Builder {
    Daemon::builder(zookeeper).admin().users(&[])
}

fn recorded(builder: Builder) -> Builder {
    let file = builder.folder().join("history.db");
    builder.set("HistoryFile", file.to_str().expect("a path in UTF-8"))
}

async fn sign_in(browser: &Browser, password: &str) {
    browser.fill("#name", USER).await;
    browser.fill("#password", password).await;
    browser.click("button").await;
}

/// The state of a button: whether it is disabled, and the reason.
async fn state(browser: &Browser, id: &str) -> (bool, String) {
    let script =
        format!("const it = document.querySelector('{id}'); return [it.disabled, it.title];");
    let found = browser.run(&script).await;
    (found[0] == true, found[1].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_user_signs_in_switches_and_signs_out() {
    let zookeeper = ZooKeeper::shared().await;
    let Some(programs) = browser_programs() else { return };
    let daemon = with_users_file(zookeeper).start().await;
    let admin = daemon.admin().await;
    let browser = Browser::start(programs).await;
    // Every page leads to the sign-in.
    browser.open(&format!("http://{admin}/docs")).await;
    browser.wait_for_text("main", "Programs do not sign in").await;
    for scheme in ["light", "dark"] {
        browser.prefer(scheme).await;
        for (device, width, height) in [("desk", 1360, 900), ("phone", 360, 740)] {
            browser.resize(width, height).await;
            let needed = browser.run("return document.documentElement.scrollWidth;").await;
            assert!(needed.as_u64().unwrap() <= width.into(), "{device}: {needed}");
            assert_eq!(browser.run(FAINT).await, json!([]), "{device} in {scheme}");
            browser.keep_view(&format!("login-{device}-{scheme}")).await;
        }
    }
    browser.resize(1360, 900).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    sign_in(&browser, "wrong").await;
    browser.wait_for_text(".message", "name or password is wrong").await;
    assert_eq!(browser.run(FAINT).await, json!([]));
    browser.keep_view("login-wrong").await;
    // The browser reports the status of a page that it shows.
    browser.complaints().await;

    sign_in(&browser, PASSWORD).await;
    browser.wait_for_text("#stream-state", "live").await;
    browser.wait_for_text("#user", "admin (admin)").await;
    assert_eq!(browser.run("return location.pathname + document.cookie;").await, "/");
    browser.fill("#switch-name", "alice").await;
    browser.click("#switch-go").await;
    browser.wait_until("document.querySelector('#confirm').open").await;
    browser.click("#confirm-yes").await;
    browser.wait_for_text("#switch-outcome", "Switched: alice").await;
    browser.wait_for_text("#changes-rows tr", "alice").await;
    assert_eq!(browser.text("#changes-rows .who").await, "admin\nconsole 127.0.0.1");
    browser.prefer("light").await;
    browser.keep_view("console-session").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());

    browser.click("#sign-out").await;
    browser.wait_for_text("main", "Programs do not sign in").await;
    browser.open(&format!("http://{admin}/")).await;
    browser.wait_for_text("main", "Programs do not sign in").await;
    assert_eq!(browser.run("return location.pathname;").await, "/login");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn the_console_shows_the_end_of_its_session_and_leads_to_the_sign_in() {
    let zookeeper = ZooKeeper::shared().await;
    let Some(programs) = browser_programs() else { return };
    let builder = with_users_file(zookeeper);
    let daemon = builder.start().await;
    let admin = daemon.admin().await;
    let browser = Browser::start(programs).await;
    browser.open(&format!("http://{admin}/")).await;
    browser.wait_for_text("main", "Programs do not sign in").await;
    sign_in(&browser, PASSWORD).await;
    browser.wait_for_text("#user", "admin (admin)").await;
    let changed = builder.clone().set("APIPassword", "another").set("APIRoles", json!(["payout"]));
    applied(&daemon, &changed).await;
    browser.wait_for_text("#states", "signed out").await;
    browser
        .wait_for_text("#notice", "You are signed out, or your session has ended. Sign in.")
        .await;
    browser.wait_until("!document.querySelector('#user').checkVisibility()").await;
    browser.fill("#switch-name", "alice").await;
    browser.click("#switch-look").await;
    browser.wait_for_text("#switch-outcome", "you are signed out").await;
    assert_eq!(browser.run(FAINT).await, json!([]));
    browser.keep_view("console-signed-out").await;
    browser.click("#notice a").await;
    browser.wait_for_text("main", "Programs do not sign in").await;
    sign_in(&browser, "another").await;
    browser.wait_for_text("#user", "admin (payout)").await;
    assert_eq!(zookeeper.znodes().await.get(&daemon.path("alice")).await, None);
}

#[tokio::test]
async fn buttons_of_missing_roles_are_disabled_and_say_why() {
    let zookeeper = ZooKeeper::shared().await;
    let base = format!("/t/{}/subpool/", crate::support::unique("roles"));
    let builder = recorded(Daemon::builder(zookeeper)).admin().set("ZKSubPoolUpdateBaseDir", base);
    let Some(console) = Console::open_at(builder.clone()).await else { return };
    let (daemon, browser) = (&console.daemon, &console.browser);
    assert_eq!(daemon.switch("alice", "btc").await, Answer::success());
    browser.wait_for_text("#user", "admin (admin)").await;
    browser.wait_until("document.querySelector('#sign-out').hidden").await;
    for id in ["#switch-go", "#sub-pool-change"] {
        assert_eq!(state(browser, id).await, (false, String::new()), "{id}");
    }
    let switch = "user 'admin' may not switch sub-accounts (role switcher)";
    let update = "user 'admin' may not change payout addresses (role payout)";

    // The roles change behind an open page: the daemon's refusal is shown.
    applied(daemon, &builder.clone().set("APIRoles", json!(["payout"]))).await;
    browser.fill("#switch-name", "alice").await;
    browser.click("#switch-go").await;
    browser.wait_until("document.querySelector('#confirm').open").await;
    browser.click("#confirm-yes").await;
    browser.wait_for_text("#switch-outcome", switch).await;
    browser.wait_for_text("#switch-outcome", "Not switched").await;

    for (roles, may_switch, may_update) in
        [("viewer", false, false), ("payout", false, true), ("switcher", true, false)]
    {
        applied(daemon, &builder.clone().set("APIRoles", json!([roles]))).await;
        browser.run("location.reload();").await;
        browser.wait_for_text("#user", &format!("admin ({roles})")).await;
        browser.wait_for_text("#stream-state", "live").await;
        let expected =
            |may: bool, reason: &str| (!may, if may { String::new() } else { reason.to_owned() });
        assert_eq!(state(browser, "#switch-go").await, expected(may_switch, switch));
        assert_eq!(state(browser, "#sub-pool-change").await, expected(may_update, update));
        browser.fill("#batch-text", "alice,bcc").await;
        browser.click("#batch-preview").await;
        browser.wait_for_text("#batch-outcome", "nothing is written yet").await;
        assert_eq!(state(browser, "#batch-apply").await, expected(may_switch, switch));
        browser.click("#history-search").await;
        browser.wait_for_text("#history-rows", "1 switch to btc").await;
        assert_eq!(state(browser, "#history-rows .undo").await, expected(may_switch, switch));
        browser.keep_picture(&format!("console-{roles}")).await;
    }
    console.has_no_complaints().await;
}

#[tokio::test]
async fn changes_show_their_user_its_person_and_its_comment() {
    let zookeeper = ZooKeeper::shared().await;
    let Some(console) = Console::open(recorded(Daemon::builder(zookeeper))).await else { return };
    let browser = &console.browser;
    let request = Request::switch("alice", "btc")
        .header("X-On-Behalf-Of", "li <b>")
        .header("X-Change-Comment", "ticket 7");
    assert_eq!(console.daemon.send(request).await.answer(), Answer::success());
    browser.wait_for_text("#changes-rows", "alice").await;
    assert_eq!(browser.text("#changes-rows .who").await, "admin\nfor li <b>\napi 127.0.0.1");
    assert_eq!(browser.text("#changes-rows .what").await, "alice\n“ticket 7”");
    browser.wait_until("!document.querySelector('#history-form').hidden").await;
    browser.fill("#history-actor", "wang").await;
    browser.click("#history-search").await;
    browser.wait_for_text("#history-outcome", "Nothing was found").await;
    browser.fill("#history-actor", USER).await;
    browser.click("#history-search").await;
    browser.wait_for_text("#history-rows .who", "admin\nfor li <b>\napi 127.0.0.1").await;
    browser.click("#history-rows .undo").await;
    browser.wait_until("document.querySelector('#confirm').open").await;
    let question = browser.text("#confirm-body").await;
    assert!(question.starts_with("Sent by admin for li <b>, "), "{question}");
    assert!(question.lines().next().unwrap().ends_with(": “ticket 7”"), "{question}");
    browser.keep_view("confirm-undo").await;
    browser.click("#confirm-no").await;
    console.has_no_complaints().await;
}
