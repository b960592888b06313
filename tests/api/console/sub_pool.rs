//! A sub-pool: read and changed in the page, with a simulated jobmaker behind it.

use jobmaker_sim::{Jobmaker, Knobs, SubPool};
use serde_json::json;

use super::Console;
use crate::support::daemon::Daemon;
use crate::support::unique;
use crate::support::zookeeper::ZooKeeper;

pub const OLD: &str = "34woZDygXWqaVPnNxp5SUnbN6RNQ5koBt4";
const NEW: &str = "bc1qjl8uwezzlech723lpnyuza0h2cdkvxvh54v3dn";

#[tokio::test]
async fn a_change_shows_old_and_new_one_above_the_other_and_asks() {
    let zookeeper = ZooKeeper::shared().await;
    let base = format!("/t/{}/subpool/", unique("console"));
    let pools = vec![SubPool::new(&format!("{base}btc/pool3"), "hellobtc", OLD)];
    let jobmaker = Jobmaker::start(&zookeeper.address(), pools, Knobs::default()).await.unwrap();
    let builder = Daemon::builder(zookeeper)
        .set("ZKSubPoolUpdateBaseDir", base)
        .set("ZKSubPoolUpdateAckTimeout", 1);
    let Some(console) = Console::open(builder).await else { return };
    let browser = &console.browser;
    browser.fill("#sub-pool-coin", "btc").await;
    browser.fill("#sub-pool-name", "pool3").await;
    browser.click("#sub-pool-get").await;
    browser.wait_for_text("#sub-pool-held", OLD).await;
    browser.wait_for_text("#sub-pool-held", "hellobtc").await;

    // Only what differs is marked.
    browser.fill("#sub-pool-info", "hellobcc").await;
    browser.wait_for_text("#sub-pool-size", "(8 of 30 bytes)").await;
    browser.fill("#sub-pool-addr", NEW).await;
    browser.click("#sub-pool-change").await;
    browser.wait_for_text("#confirm", "Blocks of this sub-pool will pay another address").await;
    let pairs = "return [...document.querySelectorAll('#confirm .comparison')].map((it) => \
        [...it.querySelectorAll('dd')].map((dd) => [dd.textContent, dd.querySelector('mark')?.textContent, \
        Math.round(dd.getBoundingClientRect().left)]));";
    let pairs = browser.run(pairs).await;
    let left = pairs[0][0][2].clone();
    let expected = json!([
        [[OLD, OLD[..33], left], [NEW, NEW, left]],
        [["hellobtc", "t", left], ["hellobcc", "c", left]],
    ]);
    let [marked_old, marked_new] =
        [0, 1].map(|line| pairs[0][line][1].as_str().unwrap().to_owned());
    assert!(OLD.contains(&marked_old) && NEW.contains(&marked_new), "{pairs}");
    assert_eq!((&pairs[0][0][0], &pairs[0][1][0]), (&json!(OLD), &json!(NEW)));
    assert_eq!((&pairs[0][1][2], &pairs[1]), (&left, &expected[1]));
    // Who presses Enter too early changes nothing.
    assert_eq!(browser.run("return document.activeElement.id").await, "confirm-no");
    browser.click("#confirm-no").await;
    browser.wait_for_text("#sub-pool-outcome", "Nothing was changed").await;

    browser.click("#sub-pool-change").await;
    browser.wait_until("document.querySelector('#confirm').open").await;
    browser.click("#confirm-yes").await;
    browser.wait_for_text("#sub-pool-outcome .done", "Changed: btc / pool3").await;
    browser.wait_for_text("#sub-pool-held", NEW).await;
    let row = "#changes-rows tr";
    browser.wait_for_text(row, "btc / pool3").await;
    for part in [OLD, NEW, "hellobtc → hellobcc", "applied"] {
        browser.wait_for_text(row, part).await;
    }

    browser.fill("#sub-pool-addr", "nonsense").await;
    browser.click("#sub-pool-change").await;
    browser.wait_until("document.querySelector('#confirm').open").await;
    browser.click("#confirm-yes").await;
    browser.wait_for_text("#sub-pool-outcome .refused", "the jobmaker refuses it").await;
    browser.wait_for_text("#sub-pool-outcome", "invalid payout address").await;
    // A sub-pool that does not exist.
    browser.fill("#sub-pool-name", "none").await;
    browser.click("#sub-pool-get").await;
    browser.wait_for_text("#sub-pool-outcome", "subpool 'none' does not exist (404)").await;
    assert_eq!(browser.run("return document.querySelector('#sub-pool-update').hidden").await, true);
    console.has_no_complaints().await;
    drop(jobmaker);
}

/// The rules by which the page separates "nothing was written" from "outcome unknown" (docs/guide/api.md).
#[tokio::test]
async fn an_answer_lets_the_page_claim_no_more_than_the_guide_says() {
    let zookeeper = ZooKeeper::shared().await;
    let Some(console) = Console::open(Daemon::builder(zookeeper)).await else { return };
    let held = json!({"coinbase_info": "", "payout_addr": ""});
    for (number, text, old, expected) in [
        (0, "", None, "unknown"),
        (102, "puname invalid", None, "refused"),
        (105, "read record failed", None, "not_now"),
        (107, "write record failed", None, "unknown"),
        (108, "usercoins is empty", None, "refused"),
        (403, "API disabled", None, "refused"),
        (404, "subpool 'x' does not exist", None, "refused"),
        (413, "request body is larger", None, "refused"),
        (500, "invalid payout address", Some(&held), "refused"),
        (500, "read data node failed", None, "not_now"),
        (500, "write data node failed", None, "not_now"),
        (500, "the daemon is shutting down, nothing was written; try again", None, "not_now"),
        (500, "data has been updated at query time", None, "unknown"),
        (500, "cannot get ACK from zookeeper", None, "unknown"),
        (503, "jobmaker cannot ACK the request", None, "not_now"),
        (
            504,
            "timeout when waiting ACK of the requests before this one, nothing was written",
            None,
            "not_now",
        ),
        (504, "timeout when waiting ACK", None, "unknown"),
        (999, "nothing was written", None, "unknown"),
    ] {
        let answer = json!({"success": false, "err_no": number, "err_msg": text, "old": old});
        let script = format!("import('/console/api.js').then((api) => api.fate({answer}))");
        assert_eq!(console.browser.resolve(&script).await, expected, "{number} {text}");
    }
    let torn = "import('/console/api.js').then((api) => api.fate({success: true, err_no: 107, err_msg: ''}))";
    assert_eq!(console.browser.resolve(torn).await, "unknown");
    console.has_no_complaints().await;
}
