//! Foreign texts in rows.

use serde_json::Value;

use super::{Recorded, parameter, recorded};
use crate::support::zookeeper::ZooKeeper;

/// Neither foreign data in a znode nor a client's name of a sub-account can break the page.
#[tokio::test]
async fn hostile_texts_are_no_more_than_texts() {
    let zookeeper = ZooKeeper::shared().await;
    let history = Recorded::start(&recorded(zookeeper)).await;
    let znodes = zookeeper.znodes().await;
    let old = "\",\"x\":1}\r\n</script>\u{2028}\u{1b}[2J";
    znodes.put(&history.daemon.path("alice"), old).await;
    let name = "a\"}],\\b<script>&\u{202e}\u{3164}\u{fe0f}用' OR 1=1 --";
    for user in ["alice", name] {
        history.switch(user, "btc").await;
    }
    let found = history.changes("sub_account=alice").await;
    assert_eq!(found[0]["old"], old);
    let query = parameter("sub_account", name);
    let found = history.changes(&query).await;
    assert_eq!((found.len(), &found[0]["sub_account"]), (1, &Value::from(name)));
    for format in ["json", "csv"] {
        let text = history.admin.get(&format!("/history?format={format}")).await.text();
        let is_unseen = |c: char| {
            (c.is_control() && !"\r\n".contains(c))
                || "\u{202e}\u{2028}\u{3164}\u{fe0f}".contains(c)
        };
        assert!(!text.contains(is_unseen), "{text:?}");
        // A row is a line, also in a table.
        let lines = if format == "csv" { 3 } else { 1 };
        assert_eq!(text.lines().count(), lines, "{text}");
    }
}

#[tokio::test]
async fn long_texts_stay_whole() {
    let zookeeper = ZooKeeper::shared().await;
    let history = Recorded::start(&recorded(zookeeper)).await;
    // The longest that a znode's path lets be, in bytes.
    let name = "n".repeat(200);
    history.switch(&name, "btc").await;
    // Too long a path: the cause contains it.
    let found = history.changes(&parameter("sub_account", &name)).await;
    assert_eq!(found.len(), 1);
    let prefix = format!("prefix=true&{}", parameter("sub_account", &name[..199]));
    assert_eq!(history.changes(&prefix).await.len(), 1);
}
