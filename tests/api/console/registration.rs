//! Registrations among the recent changes.

use super::Console;
use crate::registration::Pool;
use crate::support::zookeeper::ZooKeeper;

#[tokio::test]
async fn a_registration_is_shown_with_puid_coin_and_duration() {
    let pool = Pool::new(ZooKeeper::shared().await).await;
    let Some(console) = Console::open(pool.daemon()).await else { return };
    pool.ready().await;
    pool.request("newbie").await;
    pool.gone("newbie").await;
    console.browser.wait_for_text("#changes-rows tr.done .result", "registered after 1.").await;
    let row = console.browser.text("#changes-rows tr.done").await;
    for part in ["stratum", "registration newbie", "puid 1001", "btc"] {
        assert!(row.contains(part), "no {part:?} in {row:?}");
    }
    console.has_no_complaints().await;
}
