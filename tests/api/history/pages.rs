//! Pages of rows: order, limit, cursor, and CSV.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Recorded, numbers, recorded};
use crate::support::zookeeper::ZooKeeper;

/// Reads page by page, and switches once before each of the first pages.
async fn paged(history: &Recorded, page: &str, rows: &str, query: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    for round in 0..1_000 {
        if round < 40 {
            history.switch(&format!("meanwhile{}", round % 5), "bcc").await;
        }
        let body = history.page(&format!("{page}?{query}{cursor}")).await;
        all.extend(body[rows].as_array().unwrap().clone());
        match body["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
    panic!("no end of {query}");
}

#[tokio::test]
async fn pages_have_no_gaps_and_no_repetitions_while_records_are_added() {
    let zookeeper = ZooKeeper::shared().await;
    let history = Recorded::start(&recorded(zookeeper)).await;
    for round in 0..12 {
        let names: Vec<String> = (0..=round % 4).map(|n| format!("user{n}")).collect();
        let coin = ["btc", "bcc"][round % 2];
        let entries: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), coin)).collect();
        history.batch(&entries).await;
    }
    for (page, rows) in [("/history", "changes"), ("/history/requests", "requests")] {
        for limit in [2, 1_000] {
            let newest = history.page(&format!("{page}?limit=1000")).await;
            let newest = numbers(newest[rows].as_array().unwrap());
            let found = numbers(&paged(&history, page, rows, &format!("limit={limit}")).await);
            // All of before, and the one switch before the first page.
            assert_eq!(found[1..], newest, "{page}, limit {limit}");
            assert!(found[0] > newest[0]);
            // Oldest first, pages reach the switches of meanwhile, too.
            let query = format!("order=oldest&limit={limit}");
            let found = numbers(&paged(&history, page, rows, &query).await);
            let all = history.page(&format!("{page}?limit=1000&order=oldest")).await;
            assert_eq!(found, numbers(all[rows].as_array().unwrap()), "{page}, limit {limit}");
            let sorted: BTreeSet<u64> = found.iter().copied().collect();
            assert_eq!(found, sorted.into_iter().collect::<Vec<_>>());
        }
    }
}

#[tokio::test]
async fn the_number_of_a_row_is_the_cursor_of_later_ones() {
    let zookeeper = ZooKeeper::shared().await;
    let history = Recorded::start(&recorded(zookeeper)).await;
    for _ in 0..3 {
        history.switch("alice", "btc").await;
    }
    for (page, rows) in [("/history", "changes"), ("/history/requests", "requests")] {
        let all = numbers(history.page(page).await[rows].as_array().unwrap());
        for (index, number) in all.iter().enumerate() {
            let later = history.page(&format!("{page}?order=oldest&cursor={number}")).await;
            let later = numbers(later[rows].as_array().unwrap());
            let mut expected = all[..index].to_vec();
            expected.reverse();
            assert_eq!(later, expected, "{page}");
        }
    }
}

#[tokio::test]
async fn csv_has_the_same_rows() {
    let zookeeper = ZooKeeper::shared().await;
    let history = Recorded::start(&recorded(zookeeper)).await;
    let names = ["alice", "=cmd|' C calc'!A0", "+1", "-1", "@x", "a,\"b\"", "a\u{202e}b", "用户"];
    for name in names {
        history.switch(name, "btc").await;
    }
    history.batch(&[("alice", "bcc"), ("bob", "btc")]).await;
    for (page, rows) in [("/history", "changes"), ("/history/requests", "requests")] {
        let (mut cursor, mut table) = (String::new(), Vec::new());
        let mut header: Vec<String>;
        loop {
            let query = format!("{page}?format=csv&limit=4{cursor}");
            let response = history.admin.get(&query).await;
            assert_eq!(response.status, 200, "{response:?}");
            let kind = response.header("Content-Type").unwrap();
            assert!(kind.starts_with("text/csv; charset=utf-8"), "{kind}");
            let text = response.text();
            assert!(text.ends_with("\r\n") && !text.contains('\u{202e}'), "{text:?}");
            let mut reader = csv::Reader::from_reader(text.as_bytes());
            header = reader.headers().unwrap().iter().map(str::to_owned).collect();
            table.extend(reader.records().map(Result::unwrap));
            match response.header("X-Next-Cursor") {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let all = history.page(page).await;
        let all = all[rows].as_array().unwrap();
        assert_eq!(table.len(), all.len(), "{page}");
        for (row, record) in all.iter().zip(&table) {
            let fields = row.as_object().unwrap();
            assert!(fields.keys().all(|name| header.contains(name)), "{header:?} {row}");
            for (name, field) in header.iter().zip(record) {
                let expected = match &row[name] {
                    Value::Null => String::new(),
                    Value::String(text) if text.starts_with(['=', '+', '-', '@']) => {
                        format!("'{text}")
                    }
                    Value::String(text) => text.replace('\u{202e}', "\\u{202e}"),
                    other => other.to_string(),
                };
                assert_eq!(*field, *expected, "{name} of {row}");
            }
        }
    }
    let nothing = history.admin.get("/history?format=csv&coin=none").await;
    assert!(nothing.text().starts_with("number,time,kind,request,"), "{nothing:?}");
    assert_eq!(nothing.text().lines().count(), 1);
    assert_eq!(nothing.header("X-Next-Cursor"), None);
}
