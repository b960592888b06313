//! Rows of switches, batches, polls, updates and reloads.

use jobmaker_sim::{Jobmaker, Knobs, SubPool};
use serde_json::{Value, json};
use upstream_sim::{Reply, Upstream};

use super::{Recorded, recorded, request_of};
use crate::reload::applied;
use crate::support::client::Request;
use crate::support::unique;
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, seconds};

const ADDRESS: &str = "34woZDygXWqaVPnNxp5SUnbN6RNQ5koBt4";

/// A row without number and time, whose form is checked.
fn without_time(row: &Value) -> Value {
    let mut row = row.clone();
    let fields = row.as_object_mut().unwrap();
    assert!(fields.remove("number").is_some_and(|number| number.as_u64() > Some(0)));
    let time = fields.remove("time").expect("a time");
    let form = time.as_str().unwrap().replace(|c: char| c.is_ascii_digit(), "0");
    assert_eq!(form, "0000-00-00T00:00:00.000Z");
    row
}

#[tokio::test]
async fn a_batch_is_one_request_with_a_row_for_each_switch() {
    let zookeeper = ZooKeeper::shared().await;
    let history = Recorded::start(&recorded(zookeeper)).await;
    let znodes = zookeeper.znodes().await;
    znodes.put(&history.daemon.path("alice"), "btc").await;
    znodes.put_read_only(&history.daemon.path("mallory"), "btc").await;
    let batch = json!({"usercoins": [{"coin": "bcc", "punames": ["alice", "bob"]},
        {"coin": "btc", "punames": ["carol", "mallory"]}]});
    let response = history.daemon.send(Request::batch(batch.to_string())).await;
    assert_eq!(response.answer().err_no, 107);
    let request = request_of(&response);
    let query = format!("request={request}");
    let requests: Vec<Value> = history.requests(&query).await.iter().map(without_time).collect();
    let expected = json!({"kind": "switch", "request": request, "source": "api", "actor": "admin", "client": "127.0.0.1",
        "entries": 4, "applied": 3, "not_applied": 1, "unknown": 0, "created": 2,
        "new": {"bcc": 2, "btc": 2}});
    assert_eq!(requests, [expected]);
    let mut rows: Vec<Value> = history.changes(&query).await.iter().map(without_time).collect();
    rows.sort_by_key(|row| row["sub_account"].to_string());
    let row = |name: &str, old: Value, new: &str, outcome: &str| {
        json!({"kind": "switch", "request": request, "source": "api", "actor": "admin", "client": "127.0.0.1",
            "sub_account": name, "old": old, "new": new, "outcome": outcome})
    };
    let cause = rows[3].as_object_mut().unwrap().remove("cause").expect("a cause");
    assert!(!cause.as_str().unwrap().is_empty());
    assert_eq!(
        rows,
        [
            row("alice", json!("btc"), "bcc", "applied"),
            row("bob", Value::Null, "bcc", "applied"),
            row("carol", Value::Null, "btc", "applied"),
            row("mallory", json!("btc"), "btc", "not_applied"),
        ]
    );
    // The fields stand in the order of the documents.
    let text = history.admin.get(&format!("/history?{query}&sub_account=alice")).await.text();
    let mut at = 0;
    for field in [
        "number",
        "time",
        "kind",
        "request",
        "source",
        "actor",
        "client",
        "sub_account",
        "old",
        "new",
        "outcome",
    ] {
        let place =
            text.find(&format!("\"{field}\":")).unwrap_or_else(|| panic!("no {field}: {text}"));
        assert!(place > at, "{field} in {text}");
        at = place;
    }
}

#[tokio::test]
async fn polls_are_requests_of_their_own() {
    let zookeeper = ZooKeeper::shared().await;
    let upstream = Upstream::start(|_| Reply::map(&[], 1_513_239_055)).await.unwrap();
    upstream.next(Reply::map(&[("alice", "btc"), ("bob", "bcc")], 1_513_239_055));
    let builder = recorded(zookeeper)
        .set("EnableCronJob", true)
        .set("CronIntervalSeconds", 1)
        .set("UserCoinMapURL", format!("http://{}/map", upstream.address()));
    let history = Recorded::start(&builder).await;
    let polled = |count: usize| {
        let history = &history;
        async move {
            eventually("the poll is recorded", seconds(20), || async {
                let requests = history.requests("source=poll").await;
                (requests.len() == count).then_some(requests)
            })
            .await
        }
    };
    let first = polled(1).await.remove(0);
    let expected = json!({"kind": "switch", "request": first["request"], "source": "poll", "entries": 2,
        "applied": 2, "not_applied": 0, "unknown": 0, "created": 2, "new": {"btc": 1, "bcc": 1}});
    assert_eq!(without_time(&first), expected);
    upstream.next(Reply::map(&[("alice", "bcc")], 1_513_239_060));
    let second = polled(2).await.remove(0);
    assert_ne!(first["request"], second["request"]);
    let query = format!("source=poll&request={}", second["request"].as_str().unwrap());
    let rows = history.changes(&query).await;
    let expected = json!({"kind": "switch", "request": second["request"], "source": "poll",
        "sub_account": "alice", "old": "btc", "new": "bcc", "outcome": "applied"});
    assert_eq!(rows.iter().map(without_time).collect::<Vec<_>>(), [expected]);
    history.switch("carol", "btc").await;
    assert_eq!(history.changes("source=api").await.len(), 1);
    assert_eq!(history.changes("source=poll").await.len(), 3);
}

#[tokio::test]
async fn updates_have_their_values_and_outcomes() {
    let zookeeper = ZooKeeper::shared().await;
    let base = format!("/t/{}/subpool/", unique("recorded"));
    let pools = vec![SubPool::new(&format!("{base}btc/pool3"), "hellobtc", ADDRESS)];
    let _jobmaker = Jobmaker::start(&zookeeper.address(), pools, Knobs::default()).await.unwrap();
    let history = Recorded::start(&recorded(zookeeper).set("ZKSubPoolUpdateBaseDir", base)).await;
    let get = json!({"coin": "btc", "subpool_name": "pool3"}).to_string();
    history.daemon.send(Request::post("/subpool/get-coinbase").body(get)).await;
    let update = async |name: &str, info: &str, address: &str| {
        let body = json!({"coin": "btc", "subpool_name": name, "payout_addr": address,
            "coinbase_info": info});
        let request = Request::post("/subpool/update-coinbase").body(body.to_string());
        request_of(&history.daemon.send(request).await)
    };
    let long = "x".repeat(1_000);
    let requests = [
        update("pool3", "tiger", ADDRESS).await,
        update("pool3", "lion", "nonsense").await,
        update("none", &long, ADDRESS).await,
    ];
    history.switch("alice", "btc").await;
    let coinbase =
        |info: &str, address: &str| json!({"coinbase_info": info, "payout_addr": address});
    let row = |index: usize, name: &str, new: Value| {
        json!({"kind": "update", "request": requests[index], "source": "api", "actor": "admin", "client": "127.0.0.1",
            "coin": "btc", "sub_pool": name, "new": new})
    };
    let mut expected = [
        row(0, "pool3", coinbase("tiger", ADDRESS)),
        row(1, "pool3", coinbase("lion", "nonsense")),
        row(2, "none", coinbase(&long, ADDRESS)),
    ];
    expected[0]["old"] = coinbase("hellobtc", ADDRESS);
    expected[0]["outcome"] = "applied".into();
    expected[1]["old"] = coinbase("tiger", ADDRESS);
    for (row, cause) in [(1, "invalid payout address"), (2, "there is no request znode")] {
        expected[row]["outcome"] = "not_applied".into();
        expected[row]["cause"] = cause.into();
    }
    let found = history.changes("kind=update&order=oldest").await;
    assert_eq!(found.iter().map(without_time).collect::<Vec<_>>(), expected);
    for (query, count) in [
        ("sub_pool=pool3", 2),
        ("sub_pool=pool", 0),
        ("coin=btc&kind=update", 3),
        ("coin=btc", 4),
        ("outcome=not_applied", 2),
        ("sub_pool=none&outcome=applied", 0),
    ] {
        assert_eq!(history.changes(query).await.len(), count, "{query}");
        assert_eq!(history.requests(query).await.len(), count, "{query}");
    }
    let request = history.requests(&format!("request={}", requests[1])).await.remove(0);
    let counts = ["entries", "applied", "not_applied", "unknown"].map(|name| request[name].clone());
    assert_eq!(counts, [1, 0, 1, 0].map(Value::from));
    assert_eq!(request["kind"], "update");
    let text = history.admin.get("/history?format=csv&sub_pool=pool3&outcome=applied").await.text();
    let old = r#""{""coinbase_info"":""hellobtc"",""payout_addr"":""34wo"#;
    assert!(text.contains(old), "{text}");
}

#[tokio::test]
async fn reloads_have_their_keys_and_no_values() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = recorded(zookeeper);
    let history = Recorded::start(&builder).await;
    let changed = builder
        .set("AvailableCoins", json!(["btc", "bcc", "ltc"]))
        .set("ZKRequestTimeoutSeconds", 77);
    applied(&history.daemon, &changed).await;
    let rows = eventually("the reload is recorded", seconds(20), || async {
        let rows = history.changes("kind=reload").await;
        (!rows.is_empty()).then_some(rows)
    })
    .await;
    assert_eq!(rows.len(), 1);
    let mut keys: Vec<&str> =
        rows[0]["keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["AvailableCoins", "ZKRequestTimeoutSeconds"]);
    assert_eq!((&rows[0]["kind"], &rows[0]["outcome"]), (&json!("reload"), &json!("applied")));
    let mut row = without_time(&rows[0]);
    row.as_object_mut().unwrap().remove("request");
    assert!(!row.to_string().contains("77"), "{row}");
    let requests = history.requests("kind=reload").await;
    assert_eq!((requests.len(), &requests[0]["entries"]), (1, &json!(1)));
    assert_eq!(requests[0]["request"], rows[0]["request"]);
}
