//! The admin pages, as an operator and a monitoring system meet them: beside the real daemon and a real ZooKeeper.

mod console;
mod dashboard;
pub mod events;
mod health;
mod hosts;
mod listener;
mod methods;
mod metrics;
mod origins;
mod promql;
mod recent;
pub mod samples;
mod sign_in;
mod stream;
mod user_lists;

use serde_json::Value;

use self::samples::Samples;
use crate::support::client::{self, Request, Response};
use crate::support::daemon::{Daemon, PASSWORD, USER};
use crate::support::{eventually, seconds};

/// A daemon's admin pages.
pub struct Admin {
    pub address: String,
}

impl Admin {
    pub async fn of(daemon: &Daemon) -> Self {
        Self { address: daemon.admin().await }
    }

    /// A page, asked for with the right credentials.
    pub async fn get(&self, path: &str) -> Response {
        self.send(&Request::get(path).credentials(USER, PASSWORD)).await
    }

    pub async fn send(&self, request: &Request) -> Response {
        let response = client::send(&self.address, request).await;
        response.unwrap_or_else(|error| panic!("{error} instead of an answer to {request:?}"))
    }

    pub async fn samples(&self) -> Samples {
        let response = self.get("/metrics").await;
        assert_eq!(response.status, 200, "{response:?}");
        Samples::parse(&response.text())
    }

    /// Waits until a series has this value. Switches are counted after their callers were answered.
    pub async fn wait_for(&self, series: &str, value: f64) {
        let what = format!("{series} is {value}");
        eventually(&what, seconds(20), || async {
            (self.samples().await.get(series) == Some(value)).then_some(())
        })
        .await;
    }

    /// The last changes, once there are so many.
    pub async fn recent(&self, count: usize) -> Vec<Value> {
        eventually(&format!("{count} changes"), seconds(20), || async {
            let response = self.get("/recent").await;
            assert_eq!(response.status, 200, "{response:?}");
            let body: Value = serde_json::from_slice(&response.body).unwrap();
            let changes = body["changes"].as_array().unwrap().clone();
            (changes.len() >= count).then_some(changes)
        })
        .await
    }

    /// What `/readyz` says, asked for without credentials.
    async fn readiness(&self) -> (u16, String) {
        let response = self.send(&Request::get("/readyz")).await;
        (response.status, response.text())
    }

    /// Waits until it says this.
    pub async fn wait_until(&self, status: u16, text: &str) {
        eventually(&format!("{status} and {text:?} of /readyz"), seconds(30), || async {
            let told = self.readiness().await;
            (told.0 == status && told.1.contains(text)).then_some(())
        })
        .await;
    }
}

/// The change without what differs from run to run.
pub fn without_time(change: &Value) -> Value {
    let mut change = change.clone();
    let time = change["time"].as_str().unwrap_or_else(|| panic!("no time in {change}"));
    let form = "0000-00-00T00:00:00";
    let digits = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "0");
    assert!(digits(time).starts_with(form) && time.ends_with('Z'), "{time}");
    change.as_object_mut().unwrap().remove("time");
    let request = change.as_object_mut().unwrap().remove("request");
    assert!(request.is_some(), "{change}");
    change
}
