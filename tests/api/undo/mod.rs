//! Undo: real daemons with a history, and a real ZooKeeper.
//!
//! * `switches`: entries that are put back, and entries that are left alone;
//! * `held`: held switches;
//! * `updates`: coinbase updates;
//! * `refusals`: errors, and failures of ZooKeeper;
//! * `roles`: users without the role of what is undone;
//! * `races`: clients, polls and undos of two daemons at the same time.

mod held;
mod races;
mod refusals;
mod roles;
mod switches;
mod updates;

use serde_json::{Value, json};

use crate::admin::Admin;
use crate::support::client::{Request, Response};
use crate::support::daemon::{Builder, Daemon, PASSWORD, USER};
use crate::support::zookeeper::{Znodes, ZooKeeper};

/// A configuration with a history.
fn recording(zookeeper: &ZooKeeper) -> Builder {
    with_history(Daemon::builder(zookeeper))
}

fn with_history(builder: Builder) -> Builder {
    let file = builder.folder().join("history.db").to_str().unwrap().to_owned();
    builder.admin().set("HistoryFile", file)
}

/// A daemon with a history.
struct Scene {
    daemon: Daemon,
    admin: Admin,
    znodes: Znodes,
}

/// The answer to an undo.
#[derive(Debug)]
struct Undone {
    status: u16,
    body: Value,
}

impl Scene {
    async fn start(zookeeper: &ZooKeeper) -> Self {
        Self::of(zookeeper, &recording(zookeeper)).await
    }

    async fn of(zookeeper: &ZooKeeper, builder: &Builder) -> Self {
        let daemon = builder.start().await;
        let admin = Admin::of(&daemon).await;
        Self { daemon, admin, znodes: zookeeper.znodes().await }
    }

    /// Switches sub-accounts, and returns the request.
    async fn switch(&self, coin: &str, users: &[&str]) -> String {
        let json = json!({"usercoins": [{"coin": coin, "punames": users}]}).to_string();
        let response = self.daemon.send(Request::batch(json)).await;
        assert!(response.answer().success, "{response:?}");
        id(&response)
    }

    async fn undo(&self, body: Value) -> Undone {
        let request = Request::post("/undo").credentials(USER, PASSWORD).body(body.to_string());
        let response = self.admin.send(&request).await;
        let body: Value = serde_json::from_slice(&response.body).unwrap();
        if let Some(request) = body.get("request") {
            assert_eq!(*request, json!(id(&response)), "{body}");
        }
        Undone { status: response.status, body }
    }

    async fn undo_request(&self, request: &str) -> Undone {
        self.undo(json!({ "request": request })).await
    }

    async fn dry_run(&self, request: &str) -> Undone {
        self.undo(json!({"request": request, "dry_run": true})).await
    }

    async fn coin(&self, user: &str) -> Option<String> {
        self.znodes.get(&self.daemon.path(user)).await
    }

    /// The row of a request in the history.
    async fn row(&self, request: &str) -> Value {
        let page = self.admin.get(&format!("/history/requests?request={request}")).await;
        let page: Value = serde_json::from_slice(&page.body).unwrap();
        page["requests"][0].clone()
    }
}

impl Undone {
    /// Id of the undo, which is a success.
    fn request(&self) -> String {
        assert_eq!((self.status, &self.body["success"]), (200, &json!(true)), "{self:?}");
        self.body["request"].as_str().unwrap().to_owned()
    }

    /// Each result as `name: now -> back_to outcome cause`.
    fn lines(&self) -> Vec<String> {
        let text = |value: Option<&Value>| match value {
            None => "?".to_owned(),
            Some(Value::Null) => "-".to_owned(),
            Some(value) => value.as_str().map_or(value.to_string(), str::to_owned),
        };
        let results = self.body["results"].as_array().unwrap_or_else(|| panic!("{self:?}"));
        let line = |result: &Value| {
            let field = |name: &str| text(result.get(name));
            let cause = result.get("cause").map(|cause| format!(": {}", text(Some(cause))));
            format!(
                "{}: {} -> {} {}{}",
                field("sub_account"),
                field("now"),
                field("back_to"),
                field("outcome"),
                cause.unwrap_or_default()
            )
        };
        results.iter().map(line).collect()
    }

    fn error(&self) -> (u16, String) {
        assert_eq!(
            (&self.body["err_no"], &self.body["success"]),
            (&json!(self.status), &json!(false))
        );
        assert!(self.body.get("results").is_none(), "{self:?}");
        (self.status, self.body["err_msg"].as_str().unwrap().to_owned())
    }
}

fn id(response: &Response) -> String {
    response.header("X-Request-Id").expect("an id").to_owned()
}
