//! Filters: each alone and together, compared with a model that filters all rows.

use serde_json::Value;

use super::{Recorded, numbers, parameter, recorded};
use crate::support::client::Request;
use crate::support::zookeeper::ZooKeeper;

/// Names with characters that patterns or sort orders of a database treat specially.
const NAMES: [&str; 12] = [
    "alice",
    "alicf",
    "Alice",
    "al",
    "al%ce",
    "al_ce",
    "al*",
    "用户甲",
    "用户乙",
    "用",
    "al￦z",
    "é",
];

/// Some requests of several kinds of outcomes.
async fn filled() -> Recorded {
    let zookeeper = ZooKeeper::shared().await;
    let history = Recorded::start(&recorded(zookeeper)).await;
    for name in NAMES {
        history.switch(name, "btc").await;
    }
    history.batch(&[("alice", "bcc"), ("alicf", "btc"), ("new", "bcc")]).await;
    let mallory = history.daemon.path("mallory");
    zookeeper.znodes().await.put_read_only(&mallory, "btc").await;
    assert_eq!(history.daemon.switch("mallory", "bcc").await.err_no, 107);
    history
}

fn is(row: &Value, field: &str, value: &str) -> bool {
    row[field] == value
}

#[tokio::test]
async fn each_filter_finds_the_rows_that_have_its_value() {
    let history = filled().await;
    let all = history.changes("").await;
    assert_eq!(all.len(), 16);
    let text = |row: &Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
    let request = text(&all[1], "request");
    let (early, late) = (text(&all[12], "time"), text(&all[3], "time"));
    let check = async |query: &str, matches: &dyn Fn(&Value) -> bool| {
        let expected: Vec<Value> = all.iter().filter(|row| matches(row)).cloned().collect();
        assert!(!expected.is_empty() && expected.len() < all.len(), "{query} tests nothing");
        assert_eq!(numbers(&history.changes(query).await), numbers(&expected), "{query}");
        // A request is found by each of its changes.
        let mut ids: Vec<String> = expected.iter().map(|row| text(row, "request")).collect();
        ids.dedup();
        let found = history.requests(query).await;
        let found: Vec<String> = found.iter().map(|row| text(row, "request")).collect();
        assert_eq!(found, ids, "requests of {query}");
    };
    for name in NAMES {
        check(&parameter("sub_account", name), &|row| is(row, "sub_account", name)).await;
    }
    for prefix in ["al", "al%", "al_", "al*", "alic", "用", "用户", "al￦", "é", "m"] {
        let query = format!("{}&prefix=true", parameter("sub_account", prefix));
        check(&query, &|row| text(row, "sub_account").starts_with(prefix)).await;
    }
    check("coin=bcc", &|row| is(row, "old", "bcc") || is(row, "new", "bcc")).await;
    check("outcome=not_applied", &|row| is(row, "outcome", "not_applied")).await;
    check("outcome=applied", &|row| is(row, "outcome", "applied")).await;
    check(&format!("request={request}"), &|row| is(row, "request", &request)).await;
    check(&format!("request={}", request.to_uppercase()), &|row| is(row, "request", &request))
        .await;
    check(&parameter("from", &early), &|row| text(row, "time") >= early).await;
    check(&parameter("to", &late), &|row| text(row, "time") < late).await;
    let both = format!("{}&{}", parameter("from", &early), parameter("to", &late));
    check(&both, &|row| (&early..&late).contains(&&text(row, "time"))).await;
    // Together.
    check("sub_account=alice&coin=bcc", &|row| {
        is(row, "sub_account", "alice") && is(row, "new", "bcc")
    })
    .await;
    check(&format!("coin=bcc&outcome=applied&request={request}&source=api&kind=switch&prefix=1&sub_account=ne&client=127.0.0.1"), &|row| {
        is(row, "sub_account", "new")
    })
    .await;
    for query in [
        "sub_account=nobody",
        "sub_account=ali",
        "sub_account=al%25&prefix=false",
        "coin=b",
        "sub_pool=pool3",
        "actor=wang",
        "source=poll",
        "source=console",
        "client=10.0.0.7",
        "request=0000000000000000",
        "kind=update",
        "kind=approval",
        "outcome=held",
        "from=2100-01-01T00:00:00Z",
        "to=1790000000",
        "sub_account=alice&coin=bcc&outcome=unknown",
    ] {
        assert_eq!(history.changes(query).await, Vec::<Value>::new(), "{query}");
        assert_eq!(history.requests(query).await, Vec::<Value>::new(), "{query}");
    }
}

#[tokio::test]
async fn times_are_rfc_3339_or_seconds_and_the_end_does_not_count() {
    let history = filled().await;
    let all = history.changes("order=oldest").await;
    let time = all[5]["time"].as_str().unwrap();
    let others = |row: &&Value| row["time"].as_str().unwrap() >= time;
    let since = all.iter().filter(others).count();
    assert_eq!(history.changes(&parameter("from", time)).await.len(), since);
    assert_eq!(history.changes(&parameter("to", time)).await.len(), all.len() - since);
    // The same moment as a clock in Shanghai shows it.
    let hour: u32 = time[11..13].parse().unwrap();
    if hour < 16 {
        let there =
            time.replace('Z', "+08:00").replacen(&time[10..13], &format!("T{:02}", hour + 8), 1);
        assert_eq!(history.changes(&parameter("from", &there)).await.len(), since, "{there}");
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for (query, found) in [
        (format!("from={}", now - 3_600), all.len()),
        (format!("from={}", now + 3_600), 0),
        (format!("to={}", now - 3_600), 0),
        (format!("from={}&to={}", now - 3_600, now + 3_600), all.len()),
    ] {
        assert_eq!(history.changes(&query).await.len(), found, "{query}");
    }
}

#[tokio::test]
async fn an_answered_switch_is_found_at_once() {
    let zookeeper = ZooKeeper::shared().await;
    let history = Recorded::start(&recorded(zookeeper)).await;
    let names: Vec<String> = (0..2_000).map(|n| format!("many{n}")).collect();
    for round in 0..100 {
        let (name, coin) = (format!("user{}", round % 7), ["btc", "bcc"][round / 7 % 2]);
        let request = history.switch(&name, coin).await;
        let found = history.changes(&format!("request={request}")).await;
        assert_eq!(found.len(), 1, "round {round}");
        assert_eq!((&found[0]["sub_account"], &found[0]["new"]), (&name.into(), &coin.into()));
    }
    for coin in ["btc", "bcc", "btc"] {
        let entries: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), coin)).collect();
        let request = history.batch(&entries).await;
        let found = history.requests(&format!("request={request}")).await;
        assert_eq!((found.len(), &found[0]["applied"]), (1, &2_000.into()));
    }
    // Those that failed, too.
    let mallory = history.daemon.path("mallory");
    zookeeper.znodes().await.put_read_only(&mallory, "btc").await;
    let response = history.daemon.send(Request::switch("mallory", "bcc")).await;
    let request = super::request_of(&response);
    let found = history.changes(&format!("request={request}")).await;
    assert_eq!(found[0]["outcome"], "not_applied");
}
