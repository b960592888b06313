//! Held switches in the page: one, a batch, and the recent changes.

use serde_json::json;

use super::Console;
use crate::held::holding;
use crate::support::client::Answer;
use crate::support::zookeeper::ZooKeeper;

#[tokio::test]
async fn held_switches_are_no_failures_and_show_their_due_time() {
    let zookeeper = ZooKeeper::shared().await;
    // Long enough for the whole test.
    let Some(console) = Console::open(holding(zookeeper).set("IntervalSeconds", 600)).await else {
        return;
    };
    let (daemon, browser) = (&console.daemon, &console.browser);
    for user in ["alice", "bob"] {
        assert_eq!(daemon.switch(user, "btc").await, Answer::success());
    }
    browser.fill("#switch-name", "alice").await;
    browser.click("#switch-coin option[value=bcc]").await;
    browser.click("#switch-go").await;
    browser.wait_for_text("#confirm", "alice: btc → bcc").await;
    browser.click("#confirm-yes").await;
    browser.wait_for_text("#switch-outcome .done", "Accepted, held until ").await;
    browser.wait_for_text("#changes-rows tr.done", "held until ").await;

    let set =
        format!("document.querySelector('#batch-text').value = {}", json!("bob,bcc\nnew,bcc\n"));
    browser.run(&set).await;
    browser.click("#batch-preview").await;
    browser.wait_for_text("#batch-outcome", "Preview of 2 sub-accounts").await;
    let detail = browser.text("#batch-detail").await;
    for part in ["would be held\n1", "would be held until ", "new\tnone → bcc\twould be created"]
    {
        assert!(detail.contains(part), "no {part:?} in {detail:?}");
    }
    browser.click("#batch-apply").await;
    browser.wait_for_text("#confirm", "2 sub-accounts are written").await;
    browser.click("#confirm-yes").await;
    let text = "1 of 2 switched, 1 held until the servers know them";
    browser.wait_for_text("#batch-outcome .done", text).await;
    browser.wait_for_text("#held", "2").await;
    console.has_no_complaints().await;
}

#[tokio::test]
async fn a_held_switch_that_was_carried_out_shows_when_it_was_due() {
    let zookeeper = ZooKeeper::shared().await;
    let Some(console) = Console::open(holding(zookeeper)).await else {
        return;
    };
    for coin in ["btc", "bcc"] {
        assert_eq!(console.daemon.switch("alice", coin).await, Answer::success());
    }
    console.browser.wait_for_text("#changes-rows tr.done", "carried out, due ").await;
    console.has_no_complaints().await;
}
