//! User lists, held switches and registrations in the page.

use serde_json::json;
use upstream_sim::{Gate, Reply, Upstream};

use super::Console;
use crate::support::client::Answer;
use crate::support::daemon::Daemon;
use crate::support::unique;
use crate::support::zookeeper::ZooKeeper;

const LIST: &str = r#"{"err_no":0,"err_msg":null,"data":{"alice":7,"bob":12345,"c/d":11}}"#;

#[tokio::test]
async fn lists_held_switches_and_registrations_are_shown() {
    let (zookeeper, gate) = (ZooKeeper::shared().await, Gate::default());
    let held_back = gate.clone();
    let backend = Upstream::start(move |request| match request.body.as_str() {
        body if body.contains("slow") => Reply::registered(20_000).behind(&held_back),
        body if body.contains("taken") => Reply::json(r#"{"message":"<b>taken</b>"}"#),
        _ if request.target.contains("bcc") => Reply::status(500, "Oops", "text/html", "<b>no"),
        _ => Reply::json(LIST),
    });
    let backend = backend.await.unwrap();
    let url = |path: &str| format!("http://{}/{path}", backend.address());
    let root = format!("/t/{}", unique("console-lists"));
    let api = json!({"URL": url("reg"), "DefaultCoin": "btc", "PostData": {"n": "{sub_name}"}});
    let builder = Daemon::builder(zookeeper)
        .set("UserListAPI", json!({"btc": url("btc"), "bcc": url("bcc")}))
        .set("IntervalSeconds", 600)
        .set("ZKUserCaseInsensitiveIndex", format!("{root}/case/"))
        .set("EnableUserAutoReg", true)
        .set("UserAutoRegTimeoutSeconds", 14)
        .set("UserAutoRegParallelRequests", 2)
        .set("ZKAutoRegWatchDir", format!("{root}/reg/"))
        .set("UserAutoRegAPI", api);
    let Some(console) = Console::open(builder).await else { return };
    let (daemon, browser) = (&console.daemon, &console.browser);
    browser.wait_for_text("#list-rows", "complete").await;
    browser.wait_for_text("#list-rows", "failed").await;
    let rows = browser.text("#list-rows").await;
    for part in
        ["bcc\t0\t–\t✕ failed", "status 500", "not served", "btc\t2\t12345\t✓ complete", "c/d, "]
    {
        assert!(rows.contains(part), "no {part:?} in {rows:?}");
    }
    let znodes = zookeeper.znodes().await;
    for name in ["slow", "taken"] {
        znodes.put(&format!("{root}/reg/{name}"), "{}").await;
    }
    browser.wait_for_text("#registration-rows", "waiting\tslow").await;
    browser.wait_for_text("#registration-rows", "refused after").await;
    browser.wait_for_text("#registration-rows", "<b>taken</b>").await;
    browser
        .wait_for_text("#registrations-state", "1 waiting; since the start 0 registered, 1 not")
        .await;

    // Listed just now.
    assert_eq!(daemon.switch("alice", "bcc").await, Answer::success());
    browser.wait_for_text("#held-rows", "alice\tbcc\t").await;
    browser.wait_for_text("#held-state", "1 in all; this daemon writes them").await;
    browser.fill("#switch-name", "alice").await;
    browser.click("#switch-look").await;
    browser.wait_for_text("#switch-outcome .info", "alice mines btc").await;
    let shown = browser.text("#switch-outcome").await;
    for part in [
        "A switch to bcc is held until ",
        "In the list of btc, puid 7, since ",
        "Index entry: alice.",
    ] {
        assert!(shown.contains(part), "no {part:?} in {shown:?}");
    }
    browser.click("#switch-go").await;
    browser.wait_for_text("#confirm", "is held until").await;
    browser.click("#confirm-no").await;
    browser.fill("#switch-name", "carol").await;
    browser.click("#switch-look").await;
    browser.wait_for_text("#switch-outcome", "It is in no list.").await;
    browser.wait_for_text("#switch-outcome", "It has no index entry.").await;
    browser.fill("#switch-name", "alice").await;
    browser.click("#switch-look").await;
    browser.wait_for_text("#switch-outcome", "Index entry: alice.").await;

    browser.keep_picture("lists-light").await;
    browser.prefer("dark").await;
    browser.keep_picture("lists-dark").await;
    browser.resize(390, 844).await;
    browser.keep_picture("lists-narrow").await;
    let overflow = "return document.documentElement.scrollWidth - innerWidth;";
    assert_eq!(browser.run(overflow).await, 0, "the page scrolls sideways");
    gate.open();
    browser.wait_for_text("#registration-rows", "registered after").await;
    console.has_no_complaints().await;
}

#[tokio::test]
async fn without_lists_nothing_of_them_is_shown() {
    let zookeeper = ZooKeeper::shared().await;
    let Some(console) = Console::open(Daemon::builder(zookeeper)).await else { return };
    let browser = &console.browser;
    browser.wait_until("document.querySelector('#lists').hidden").await;
    browser.fill("#switch-name", "alice").await;
    browser.click("#switch-look").await;
    browser.wait_for_text("#switch-outcome", "alice has no znode").await;
    let shown = browser.text("#switch-outcome").await;
    assert!(!shown.contains("list") && !shown.contains("index"), "{shown}");
    console.has_no_complaints().await;
}
