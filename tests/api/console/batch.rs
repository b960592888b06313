//! Many sub-accounts: pasted or uploaded, previewed, applied.

use serde_json::json;

use super::Console;
use crate::support::client::Answer;
use crate::support::daemon::Daemon;
use crate::support::zookeeper::ZooKeeper;

/// So many entries in three chunks.
const MANY: usize = 2_500;

#[tokio::test]
async fn a_preview_writes_nothing_and_an_apply_writes_all() {
    let zookeeper = ZooKeeper::shared().await;
    let Some(console) = Console::open(Daemon::builder(zookeeper)).await else { return };
    let (daemon, browser) = (&console.daemon, &console.browser);
    let znodes = zookeeper.znodes().await;
    for (user, coin) in [("alice", "btc"), ("bob", "btc")] {
        assert_eq!(daemon.switch(user, coin).await, Answer::success());
    }
    let text = "user,coin\r\nalice,bcc\r\n\"a,\"\"b\"\"\",btc\r\nbob,bcc\r\nbob,btc\r\n";
    let set = format!("document.querySelector('#batch-text').value = {}", json!(text));
    browser.run(&set).await;
    browser.click("#batch-preview").await;
    browser.wait_for_text("#batch-outcome", "Preview of 3 sub-accounts").await;
    let detail = browser.text("#batch-detail").await;
    for part in [
        "would change\n1\n",
        "would be created\n1\n",
        "unchanged\n1\n",
        "named again later\n1\n",
        "alice\tbtc → bcc\twould change",
        "a,\"b\"\tnone → btc\twould be created",
        "bob\tbtc → btc\tunchanged",
    ] {
        assert!(detail.contains(part), "no {part:?} in {detail:?}");
    }
    let dir = daemon.watch_dir().trim_end_matches('/');
    assert_eq!(znodes.children(dir).await.len(), 2, "a preview has written");
    assert_eq!(znodes.get(&daemon.path("alice")).await.as_deref(), Some("btc"));
    browser.click("#batch-apply").await;
    browser.wait_for_text("#confirm", "3 sub-accounts are written").await;
    browser.click("#confirm-yes").await;
    browser.wait_for_text("#batch-outcome .done", "3 of 3 switched").await;
    for (user, coin) in [("alice", "bcc"), ("a,\"b\"", "btc"), ("bob", "btc")] {
        assert_eq!(znodes.get(&daemon.path(user)).await.as_deref(), Some(coin), "{user}");
    }
    assert_eq!(znodes.children(dir).await.len(), 3);
    // What was applied is not applied again without another preview.
    assert_eq!(browser.run("return document.querySelector('#batch-apply').disabled").await, true);
    // The API's JSON.
    browser
        .fill("#batch-text", r#"{"UserCoins":[{"coin":"bcc","punames":["carol","dave"]}]}"#)
        .await;
    browser.click("#batch-preview").await;
    browser.wait_for_text("#batch-outcome", "Preview of 2 sub-accounts").await;
    browser.wait_for_text("#batch-counts", "would be created\n2").await;
    console.has_no_complaints().await;
}

#[tokio::test]
async fn a_file_is_sent_in_chunks_and_what_failed_is_listed() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = Daemon::builder(zookeeper);
    let file = builder.folder().join("users.csv");
    let lines: String = (0..MANY).map(|n| format!("user{n},bcc\n")).collect();
    std::fs::write(&file, lines).unwrap();
    let Some(console) = Console::open(builder).await else { return };
    let (daemon, browser) = (&console.daemon, &console.browser);
    let znodes = zookeeper.znodes().await;
    znodes.put_read_only(&daemon.path("user1500"), "btc").await;
    browser.fill("#batch-file", file.to_str().unwrap()).await;
    browser.wait_for_text("#batch-outcome", "Preview of 2,500 sub-accounts").await;
    browser.wait_for_text("#batch-counts", "would be created\n2,499").await;
    browser.wait_for_text("#batch-detail", "and 2,490 more").await;
    browser.click("#batch-apply").await;
    browser.wait_until("document.querySelector('#confirm').open").await;
    browser.click("#confirm-yes").await;
    browser
        .wait_for_text("#batch-outcome .refused", "2,499 of 2,500 switched, 1 not switched")
        .await;
    browser.wait_for_text("#batch-detail", "user1500").await;
    browser.wait_for_text("#batch-progress", "Sent: 2,500 of 2,500").await;
    let bar = "const bar = document.querySelector('#batch-bar'); return bar.value / bar.max;";
    assert_eq!(browser.run(bar).await.as_f64(), Some(1.0));
    let dir = daemon.watch_dir().trim_end_matches('/');
    assert_eq!(znodes.children(dir).await.len(), MANY);
    for user in ["user0", "user999", "user1499", "user2499"] {
        assert_eq!(znodes.get(&daemon.path(user)).await.as_deref(), Some("bcc"), "{user}");
    }
    // What is left can be tried again.
    browser.click("#batch-again").await;
    let left = browser.run("return document.querySelector('#batch-text').value").await;
    assert_eq!(left, "user1500,bcc\n");
    console.has_no_complaints().await;
}

#[tokio::test]
async fn a_batch_that_is_stopped_says_what_was_not_sent() {
    let zookeeper = ZooKeeper::shared().await;
    let Some(console) = Console::open(Daemon::builder(zookeeper)).await else { return };
    let (daemon, browser) = (&console.daemon, &console.browser);
    let lines: String = (0..MANY).map(|n| format!("user{n},bcc\n")).collect();
    let set = format!("document.querySelector('#batch-text').value = {}", json!(lines));
    browser.run(&set).await;
    browser.click("#batch-preview").await;
    browser.wait_for_text("#batch-outcome", "Preview of 2,500").await;
    // The first chunk's answer is held back.
    let hold = "const send = window.fetch; const held = new Promise((free) => { window.free = free; }); \
        window.fetch = async (...request) => { const answer = await send(...request); \
        if (String(request[0]).includes('results')) await held; return answer; };";
    browser.run(hold).await;
    browser.click("#batch-apply").await;
    browser.wait_until("document.querySelector('#confirm').open").await;
    browser.click("#confirm-yes").await;
    browser.wait_for_text("#batch-progress", "Sent: 0 of 2,500").await;
    // Meanwhile nothing can be changed.
    assert_eq!(
        browser.run("return document.querySelector('#batch-text').matches(':disabled')").await,
        true
    );
    browser.click("#batch-stop").await;
    browser.run("free();").await;
    browser
        .wait_for_text("#batch-outcome .refused", "1,000 of 2,500 switched, 1,500 not sent")
        .await;
    let dir = daemon.watch_dir().trim_end_matches('/');
    assert_eq!(zookeeper.znodes().await.children(dir).await.len(), 1_000);
    assert_eq!(
        browser.run("return document.querySelector('#batch-stop').checkVisibility()").await,
        false
    );
    console.has_no_complaints().await;
}

#[tokio::test]
async fn what_is_no_batch_is_told_line_by_line_and_nothing_is_sent() {
    let zookeeper = ZooKeeper::shared().await;
    let Some(console) = Console::open(Daemon::builder(zookeeper)).await else { return };
    let (daemon, browser) = (&console.daemon, &console.browser);
    for (text, told) in [
        (
            "alice,btc\n\nbob\ncarol,ltc\nx/y,btc\n..,btc\n",
            &[
                "4 refused of 4",
                "line 3: has 1 field, expected two",
                "line 4: carol there is no coin ltc",
                "line 5: x/y the sub-account contains a slash",
                "line 6: .. the sub-account is a relative path",
            ][..],
        ),
        ("alice;btc", &["fields are separated by commas"]),
        ("{\"usercoins\":[", &["it is not JSON"]),
        ("{\"usercoins\":[{\"coin\":\"btc\",\"punames\":[1]}]}", &["a list of texts"]),
        ("", &["there is no entry in it"]),
    ] {
        let set = format!("document.querySelector('#batch-text').value = {}", json!(text));
        browser.run(&set).await;
        browser.click("#batch-preview").await;
        for part in told {
            browser.wait_for_text("#batch", part).await;
        }
        let disabled = browser.run("return document.querySelector('#batch-apply').disabled").await;
        assert_eq!(disabled, true, "{text}");
    }
    assert!(daemon.log_with(&["dry run"]).is_empty());
    console.has_no_complaints().await;
}

#[tokio::test]
async fn a_batch_that_zookeeper_does_not_take_ends_where_it_fails() {
    let mut zookeeper = ZooKeeper::private().await;
    let builder = Daemon::builder(&zookeeper).set("ZKRequestTimeoutSeconds", 1);
    let Some(console) = Console::open(builder).await else { return };
    let browser = &console.browser;
    let lines: String = (0..MANY).map(|n| format!("user{n},bcc\n")).collect();
    let set = format!("document.querySelector('#batch-text').value = {}", json!(lines));
    browser.run(&set).await;
    browser.click("#batch-preview").await;
    browser.wait_for_text("#batch-outcome", "Preview of 2,500").await;
    browser.click("#batch-apply").await;
    browser.wait_until("document.querySelector('#confirm').open").await;
    zookeeper.kill9();
    browser.wait_for_text("#states", "no ZooKeeper session").await;
    browser.click("#confirm-yes").await;
    let told = "0 of 2,500 switched, 1,000 not switched, 1,500 not sent";
    browser.wait_for_text("#batch-outcome .refused", told).await;
    browser.click("#batch-again").await;
    let left = "return document.querySelector('#batch-text').value.split('\\n').length - 1;";
    assert_eq!(browser.run(left).await, MANY);
    // A preview needs ZooKeeper, too.
    browser.click("#batch-preview").await;
    browser.wait_for_text("#batch-outcome .not_now", "could not be read").await;
    zookeeper.restart().await;
}
