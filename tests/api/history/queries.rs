//! Refused queries, and the daemon without a history.

use serde_json::Value;

use super::{Recorded, recorded};
use crate::admin::Admin;
use crate::support::client::Request;
use crate::support::daemon::Daemon;
use crate::support::zookeeper::ZooKeeper;

const PAGES: [&str; 2] = ["/history", "/history/requests"];

async fn error(admin: &Admin, path: &str, status: u16) -> String {
    let response = admin.get(path).await;
    assert_eq!(response.status, status, "{path}: {response:?}");
    let body: Value = serde_json::from_slice(&response.body).unwrap();
    body["err_msg"].as_str().expect("an error").to_owned()
}

#[tokio::test]
async fn a_query_with_a_fault_is_refused_and_the_fault_is_named() {
    let zookeeper = ZooKeeper::shared().await;
    let history = Recorded::start(&recorded(zookeeper)).await;
    for page in PAGES {
        for (query, named) in [
            ("name=alice", "unknown parameter \"name\""),
            ("SUB_ACCOUNT=alice", "unknown parameter \"SUB_ACCOUNT\""),
            ("coin=btc&coin=bcc", "parameter coin is given twice"),
            ("coin=%4", "\"coin=%4\" has a malformed escape"),
            ("sub_account=", "sub_account is \"\""),
            ("prefix=1", "prefix needs sub_account"),
            ("sub_account=a&prefix=maybe", "prefix is \"maybe\""),
            ("sub_pool=", "sub_pool is \"\""),
            ("actor=", "actor is \"\""),
            ("source=cron", "source is \"cron\""),
            ("client=10.0.0", "client is \"10.0.0\""),
            ("request=17", "request is \"17\""),
            ("kind=get", "kind is \"get\""),
            ("outcome=success", "outcome is \"success\""),
            ("from=2026-11-28", "from is \"2026-11-28\""),
            ("to=2026-11-28T10:00:00+01:00", "a + written as %2B"),
            ("order=up", "order is \"up\""),
            ("limit=0", "limit is \"0\", expected a whole number from 1 to 1000"),
            ("limit=1001", "limit is \"1001\""),
            ("limit=ten", "limit is \"ten\""),
            ("cursor=abc", "cursor is \"abc\""),
            ("cursor=5", "cursor is \"5\", which does not belong to order=newest"),
            ("cursor=-5&order=oldest", "cursor is \"-5\", which does not belong to order=oldest"),
            ("format=xlsx", "format is \"xlsx\", expected json or csv"),
        ] {
            let told = error(&history.admin, &format!("{page}?{query}"), 400).await;
            assert!(told.contains(named), "{query}: {told}");
        }
        let told = error(&history.admin, &format!("{page}?format=%1b[2J%e2%80%ae"), 400).await;
        assert!(!told.contains(|c: char| c.is_control() || c == '\u{202e}'), "{told:?}");
        let anonymous = history.admin.send(&Request::get(page)).await;
        assert_eq!(anonymous.status, 401);
    }
}

#[tokio::test]
async fn without_a_history_the_pages_name_the_key() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let admin = Admin::of(&daemon).await;
    for page in PAGES {
        let told = error(&admin, page, 404).await;
        assert_eq!(told, "there is no history: HistoryFile is not set");
    }
}
