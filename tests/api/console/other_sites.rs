//! Pages of another site in the browser of an operator, whose credentials the browser keeps.

use serde_json::json;

use super::page::PageServer;
use super::{Console, browser_programs, show};
use crate::support::daemon::{Daemon, PASSWORD, USER};
use crate::support::zookeeper::ZooKeeper;

#[tokio::test]
async fn a_picture_on_another_site_switches_nothing_at_the_api() {
    let zookeeper = ZooKeeper::shared().await;
    let Some(console) = Console::open(Daemon::builder(zookeeper)).await else { return };
    let (daemon, browser) = (&console.daemon, &console.browser);
    let api = daemon.base();
    // An operator who has typed an address in; from here on the browser has the credentials.
    browser.open(&format!("http://{USER}:{PASSWORD}@{api}/switch?puname=typed&coin=btc")).await;
    browser.wait_for_text("body", "\"success\":true").await;
    let znodes = zookeeper.znodes().await;
    assert_eq!(znodes.get(&daemon.path("typed")).await.as_deref(), Some("btc"));
    let picture = format!("<img src='http://{api}/switch?puname=victim&coin=btc'>");
    let page = format!("<body>{picture}<script>onload = () => document.title = 'loaded';</script>");
    let evil = PageServer::start(page).await;
    browser.open(&format!("http://{}/", evil.address)).await;
    browser.wait_until("document.title === 'loaded'").await;
    // A link, which a person may be talked into, is no better.
    browser.run(&format!("location.href = 'http://{api}/switch?puname=victim&coin=bcc';")).await;
    browser.wait_for_text("body", "sent by a page of another site").await;
    assert_eq!(znodes.get(&daemon.path("victim")).await, None);
}

#[tokio::test]
async fn the_console_works_under_each_name_that_it_is_served_by() {
    let zookeeper = ZooKeeper::shared().await;
    let Some(programs) = browser_programs() else { return };
    let builder = Daemon::builder(zookeeper).admin().set("AdminHosts", json!(["gate.example"]));
    let daemon = builder.start().await;
    let address = daemon.admin().await;
    let port = address.rsplit(':').next().unwrap();
    let browser = show(&format!("console.localhost:{port}"), programs).await;
    browser.fill("#switch-name", "alice").await;
    browser.click("#switch-look").await;
    browser.wait_for_text("#switch-outcome", "alice").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.open(&format!("http://{USER}:{PASSWORD}@localhost:{port}/")).await;
    browser.wait_for_text("#stream-state", "live").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}
