//! The recent changes after a restart.

use rustix::process::Signal;

use super::*;
use crate::admin::events::{Event, Events};

/// The page's changes, oldest first.
async fn page(admin: &Admin) -> Vec<Value> {
    let body = admin.get("/recent?limit=1000").await.body;
    let page: Value = serde_json::from_slice(&body).unwrap();
    page["changes"].as_array().unwrap().clone()
}

/// Without what an earlier process's change has no more: its number, and the log's words for a jobmaker's exchange. An
/// update has the time of its beginning then.
fn without_number(changes: &[Value]) -> Vec<Value> {
    let without = |change: &Value| {
        let mut change = change.clone();
        let fields = change.as_object_mut().unwrap();
        fields.remove("number");
        if fields["kind"] == "update" {
            fields.remove("time");
            if fields["outcome"] == "nothing written" {
                fields["outcome"] = "not applied".into();
            }
        }
        change
    };
    changes.iter().map(without).collect()
}

#[tokio::test]
async fn the_recent_changes_continue_after_a_restart() {
    let zookeeper = ZooKeeper::shared().await;
    let (builder, file) = recording(zookeeper);
    let builder = builder.set("ZKSubPoolUpdateBaseDir", "/t/restarted/");
    let mut daemon = builder.start().await;
    let admin = Admin::of(&daemon).await;
    let mut events = Events::open(&admin).await;
    assert_eq!(daemon.switch("first", "btc").await, Answer::success());
    assert_eq!(events.change().await["sub_account"], "first");
    assert_eq!(daemon.batch(batch("user", 1_200, "btc")).await, Answer::success());
    let znodes = zookeeper.znodes().await;
    znodes.put_read_only(&daemon.path("mallory"), "btc").await;
    assert_eq!(daemon.switch("mallory", "bcc").await.err_no, 107);
    let info = "x".repeat(1_000);
    let body =
        json!({"coin": "btc", "subpool_name": "none", "payout_addr": "a", "coinbase_info": info});
    daemon.send(Request::post("/subpool/update-coinbase").body(body.to_string())).await;
    assert_eq!(daemon.batch(batch("user", 3, "bcc")).await, Answer::success());
    records(&file, 1_206).await;
    let before = page(&admin).await;
    assert_eq!((before.len(), &before[999]["number"]), (1_000, &json!(1_206)));
    let id = events.last_id.take().unwrap();
    drop(events);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait_exit(seconds(PATIENCE)).await.code(), Some(0));

    let daemon = builder.start().await;
    let admin = Admin::of(&daemon).await;
    let after = page(&admin).await;
    assert_eq!(without_number(&after), without_number(&before));
    let numbers: Vec<_> = after.iter().map(|it| it["number"].as_u64().unwrap()).collect();
    assert!(numbers.windows(2).all(|two| two[1] == two[0] + 1), "{numbers:?}");
    assert_eq!(daemon.switch("last", "btc").await, Answer::success());
    records(&file, 1_207).await;
    let now = page(&admin).await;
    assert_eq!(without_number(&now[..999]), without_number(&after[1..]));
    let last = numbers[999] + 1;
    assert_eq!((&now[999]["sub_account"], &now[999]["number"]), (&json!("last"), &json!(last)));
    // The id is of the run before, whose numbers say nothing now: all that is kept comes again, and nothing is missing.
    let mut events = Events::resume(&admin, Some(&id)).await;
    let mut seen = Vec::new();
    while seen.last().is_none_or(|it: &Value| it["sub_account"] != "last") {
        match events.next().await {
            Event::Change(change) => seen.push(change),
            Event::Missed(missed) => assert!(missed < now[0]["number"].as_u64().unwrap()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, now);
    // An id of this run continues.
    let id = events.last_id.take().unwrap();
    assert_eq!(daemon.switch("more", "btc").await, Answer::success());
    let mut events = Events::resume(&admin, Some(&id)).await;
    assert_eq!(events.change().await["sub_account"], "more");
}

/// A crash of the process loses no record that was handed to the file.
#[tokio::test]
async fn the_recent_changes_continue_after_kill_9() {
    let zookeeper = ZooKeeper::shared().await;
    let (builder, file) = recording(zookeeper);
    let mut daemon = builder.start().await;
    assert_eq!(daemon.batch(batch("user", 20, "btc")).await, Answer::success());
    records(&file, 20).await;
    let before = page(&Admin::of(&daemon).await).await;
    daemon.kill9();
    let daemon = builder.start().await;
    let after = page(&Admin::of(&daemon).await).await;
    assert_eq!(without_number(&after), without_number(&before));
}
