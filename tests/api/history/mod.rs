//! The history's pages: searches among all changes of a real daemon.

mod filters;
mod kinds;
mod pages;
mod queries;
mod texts;

use serde_json::{Value, json};

use crate::admin::Admin;
use crate::support::client::{Answer, Request, Response, percent_encode};
use crate::support::daemon::{Builder, Daemon};
use crate::support::zookeeper::ZooKeeper;

/// A daemon with a history.
struct Recorded {
    daemon: Daemon,
    admin: Admin,
}

/// Configuration of a daemon with a history and admin pages.
fn recorded(zookeeper: &ZooKeeper) -> Builder {
    let builder = Daemon::builder(zookeeper).admin();
    let file = builder.folder().join("history.db");
    builder.set("HistoryFile", file.to_str().expect("a path in UTF-8"))
}

impl Recorded {
    async fn start(builder: &Builder) -> Self {
        let daemon = builder.start().await;
        let admin = Admin::of(&daemon).await;
        Self { daemon, admin }
    }

    /// The answer to a query that must be accepted.
    async fn page(&self, path: &str) -> Value {
        let response = self.admin.get(path).await;
        assert_eq!(response.status, 200, "{path}: {response:?}");
        serde_json::from_slice(&response.body).unwrap()
    }

    /// All rows of a query that has parameters.
    async fn changes(&self, query: &str) -> Vec<Value> {
        let page = self.page(&format!("/history?limit=1000&{query}")).await;
        assert_eq!(page["next"], Value::Null, "{query}");
        page["changes"].as_array().unwrap().clone()
    }

    /// The same of requests.
    async fn requests(&self, query: &str) -> Vec<Value> {
        let page = self.page(&format!("/history/requests?limit=1000&{query}")).await;
        assert_eq!(page["next"], Value::Null, "{query}");
        page["requests"].as_array().unwrap().clone()
    }

    /// Switches, and returns the request's id.
    async fn switch(&self, user: &str, coin: &str) -> String {
        let response = self.daemon.send(Request::switch(user, coin)).await;
        assert_eq!(response.answer(), Answer::success(), "{user}");
        request_of(&response)
    }

    /// Switches many, and returns the request's id.
    async fn batch(&self, entries: &[(&str, &str)]) -> String {
        let coins: Vec<Value> =
            entries.iter().map(|(user, coin)| json!({"coin": coin, "punames": [user]})).collect();
        let batch = json!({"usercoins": coins}).to_string();
        let response = self.daemon.send(Request::batch(batch)).await;
        assert_eq!(response.answer(), Answer::success());
        request_of(&response)
    }
}

fn request_of(response: &Response) -> String {
    response.header("X-Request-Id").expect("a request id").to_owned()
}

/// A parameter of a query.
fn parameter(name: &str, value: &str) -> String {
    format!("{name}={}", percent_encode(value.as_bytes()))
}

/// The numbers of rows, in their order.
fn numbers(rows: &[Value]) -> Vec<u64> {
    rows.iter().map(|row| row["number"].as_u64().expect("a number")).collect()
}
