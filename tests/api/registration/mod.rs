//! Registration: the real daemon between a scripted backend and a real ZooKeeper, which the tests share with it as a
//! stratum server does.

mod crashes;
mod election;
mod faults;
mod recorded;
mod requests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use upstream_sim::{Reply, Request, Upstream};

use crate::admin::Admin;
use crate::support::daemon::{Builder, Daemon};
use crate::support::zookeeper::{Znodes, ZooKeeper};
use crate::support::{eventually, seconds, unique};

/// A pool: its directories, its backend, and a session as stratum servers have one.
pub struct Pool {
    root: String,
    broker: Builder,
    backend: Upstream,
    znodes: Znodes,
}

impl Pool {
    /// A backend whose list of `btc` is empty, and which gives each new name the next puid.
    pub async fn new(zookeeper: &ZooKeeper) -> Self {
        let backend = Upstream::start(lists(registers())).await.unwrap();
        let (root, znodes) = (format!("/t/{}", unique("registration")), zookeeper.znodes().await);
        Self { root, broker: Daemon::builder(zookeeper), backend, znodes }
    }

    /// Answers registrations so, and lists as before.
    fn registration(&self, answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) {
        self.backend.otherwise(lists(answer));
    }

    fn api(&self) -> Value {
        json!({
            "URL": self.url("autoreg"),
            "User": "admin",
            "Password": "s3cret",
            "DefaultCoin": "btc",
            "IntervalSeconds": 1,
            "PostData": {"sub_name": "{sub_name}"},
        })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.backend.address())
    }

    /// A daemon with `UserAutoRegAPI` as given.
    fn daemon_with(&self, api: &Value) -> Builder {
        self.broker
            .clone()
            .set("UserListAPI", json!({"btc": self.url("btc")}))
            .set("IntervalSeconds", 60)
            .set("ZKSwitcherWatchDir", self.place("/sw/"))
            .set("ZKUserCaseInsensitiveIndex", self.place("/case/"))
            .set("EnableUserAutoReg", true)
            .set("ZKAutoRegWatchDir", self.place("/reg/"))
            .set("UserAutoRegAPI", api.clone())
    }

    pub fn daemon(&self) -> Builder {
        self.daemon_with(&self.api())
    }

    fn place(&self, path: &str) -> String {
        format!("{}{path}", self.root)
    }

    fn reg(&self, name: &str) -> String {
        self.place("/reg/") + name
    }

    /// Waits until the daemon has made the directory of requests.
    pub async fn ready(&self) {
        let dir = self.place("/reg");
        let what = "the directory of requests";
        eventually(what, seconds(30), || async { self.znodes.stat(&dir).await }).await;
    }

    /// Requests a registration, as a stratum server does.
    pub async fn request(&self, name: &str) {
        self.znodes.put(&self.reg(name), r#"{"SessionID":1,"Worker":"w.rig"}"#).await;
    }

    /// Waits until the request is deleted.
    pub async fn gone(&self, name: &str) {
        let (what, path) = (format!("the deletion of the request for {name}"), self.reg(name));
        let stat = || async { self.znodes.stat(&path).await.is_none().then_some(()) };
        eventually(&what, seconds(60), stat).await;
    }

    async fn coin(&self, name: &str) -> Option<String> {
        self.znodes.get(&(self.place("/sw/") + name)).await
    }

    /// The tree with paths from `/`, without the directory of held switches, which the recorded daemon lacks.
    async fn tree(&self) -> BTreeMap<String, String> {
        let tree = self.znodes.tree(&self.root).await.into_iter();
        let tree = tree.filter_map(|(path, data)| {
            let path = path.strip_prefix(&self.root)?.to_owned();
            (!path.is_empty() && !path.starts_with("/sw_held")).then_some((path, data))
        });
        tree.collect()
    }

    /// Bodies of the requests for registration so far.
    fn posts(&self) -> Vec<Request> {
        self.backend.requests().into_iter().filter(|request| request.method == "POST").collect()
    }

    fn posted(&self, name: &str) -> usize {
        let body = format!("\"sub_name\":\"{name}\"");
        self.posts().iter().filter(|request| request.body.contains(&body)).count()
    }

    async fn until_posted(&self, name: &str, times: usize) {
        let posted = || async { (self.posted(name) >= times).then_some(()) };
        eventually(&format!("request {times} for {name}"), seconds(60), posted).await;
    }
}

/// Waits until so many requests are taken up and not deleted.
async fn until_under_way(admin: &Admin, count: usize) {
    eventually(&format!("{count} are under way"), seconds(10), || async {
        let under_way = admin.samples().await.value("switcher_registrations_under_way");
        (under_way == count as f64).then_some(())
    })
    .await;
}

/// Empty lists, and this answer to registrations.
fn lists(
    registration: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    move |request| {
        if request.target.starts_with("/btc?last_id=") {
            Reply::json(r#"{"err_no": 0, "err_msg": null, "data": {}}"#)
        } else {
            registration(request)
        }
    }
}

/// Each registration gets the next puid.
fn registers() -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let last = Arc::new(AtomicU32::new(1000));
    move |_| Reply::registered(last.fetch_add(1, Ordering::Relaxed) + 1)
}
