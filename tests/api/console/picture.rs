//! The picture of the console in the documents. `make console-picture` takes it and puts it in its place.

use std::time::{Duration, Instant};

use jobmaker_sim::{Jobmaker, Knobs, SubPool};
use serde_json::json;
use upstream_sim::{Reply, Upstream};

use super::{Console, sub_pool::OLD};
use crate::support::client::Answer;
use crate::support::daemon::Daemon;
use crate::support::unique;
use crate::support::zookeeper::ZooKeeper;

/// The span of the page's charts.
const TRAFFIC: Duration = Duration::from_secs(300);
const NAMES: [&str; 12] = [
    "alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "mike",
    "olivia",
];

#[tokio::test]
#[ignore = "five minutes of traffic; `make console-picture`"]
async fn the_picture_of_the_documents() {
    let zookeeper = ZooKeeper::shared().await;
    let base = format!("/t/{}/subpool/", unique("picture"));
    let pools = vec![SubPool::new(&format!("{base}btc/pool3"), "hellobtc", OLD)];
    let _jobmaker = Jobmaker::start(&zookeeper.address(), pools, Knobs::default()).await.unwrap();
    let backend =
        Upstream::start(|_| Reply::map(&[("peggy", "bcc")], 1_513_239_055)).await.unwrap();
    let builder = Daemon::builder(zookeeper)
        .set("AvailableCoins", json!(["btc", "bcc", "auto"]))
        .set("EnableCronJob", true)
        .set("UserCoinMapURL", format!("http://{}/usercoin", backend.address()))
        .set("ZKSubPoolUpdateBaseDir", base);
    let Some(console) = Console::open(builder).await else { return };
    let (daemon, browser) = (&console.daemon, &console.browser);
    browser.resize(1200, 750).await;

    let begin = Instant::now();
    for round in 0_usize.. {
        let coin = ["btc", "bcc", "btc", "bcc", "auto"][round % 5];
        if round % 10 == 0 {
            // A batch whose size goes up and down.
            let coin = ["btc", "bcc", "auto"][round / 10 % 3];
            let count = 20 + (round / 10 * 37) % 61;
            let names: Vec<String> = (0..count).map(|n| format!("miner.{n:03}")).collect();
            let batch = json!({"usercoins": [{"coin": coin, "punames": names}]}).to_string();
            assert_eq!(daemon.batch(batch).await, Answer::success());
        }
        for n in 0..=round % 4 {
            let name = NAMES[(round * 5 + n) % NAMES.len()];
            assert_eq!(daemon.switch(name, coin).await, Answer::success());
        }
        if begin.elapsed() > TRAFFIC {
            break;
        }
        tokio::time::sleep(Duration::from_millis(700)).await;
    }

    browser.fill("#sub-pool-coin", "btc").await;
    browser.fill("#sub-pool-name", "pool3").await;
    browser.click("#sub-pool-get").await;
    browser.wait_for_text("#sub-pool-held", OLD).await;
    browser.fill("#batch-text", "alice,btc\nbob,bcc\nvictor,btc\n").await;
    browser.click("#batch-preview").await;
    browser.wait_for_text("#batch-counts", "would be created").await;
    browser.fill("#switch-name", "carol").await;
    browser.click("#switch-go").await;
    browser.wait_until("document.querySelector('#confirm').open").await;
    browser.click("#confirm-yes").await;
    browser.wait_for_text("#switch-outcome", "carol").await;
    browser.keep_view("console").await;
    console.has_no_complaints().await;
}
