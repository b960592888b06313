//! kill -9 at each step of a registration. The next daemon posts the name again and finishes; nothing is lost, and no request
//! goes before the first coin is there.

use std::sync::{Arc, Mutex};

use serde_json::json;
use upstream_sim::{Backend, Gate, Reply};

use super::{Pool, until_under_way};
use crate::admin::Admin;
use crate::frame_proxy::{DELETE, FrameProxy, WRITES};
use crate::support::client::Request;
use crate::support::daemon::{Builder, Daemon};
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, seconds};

/// A pool whose backend knows the names that it has registered, and its first daemon behind a proxy.
struct Scene {
    pool: Pool,
    proxy: FrameProxy,
}

impl Scene {
    async fn new() -> Self {
        let zookeeper = ZooKeeper::shared().await;
        let pool = Pool::new(zookeeper).await;
        let backend = Arc::new(Mutex::new(Backend::default()));
        pool.backend.otherwise(move |request| {
            let mut backend = backend.lock().unwrap();
            if request.target.starts_with("/empty") {
                Reply::json(r#"{"err_no": 0, "err_msg": null, "data": {}}"#)
            } else if request.method == "POST" {
                let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
                Reply::registered(backend.list(body["sub_name"].as_str().unwrap(), &["btc"]))
            } else {
                backend.list_answer("btc", request.query("last_id").unwrap().parse().unwrap())
            }
        });
        Self { pool, proxy: FrameProxy::start(zookeeper.address()).await }
    }

    /// A daemon with a short session, since the next one has to wait for its end. Its list is empty: otherwise a pull would
    /// create the first coin before the registration does.
    fn next(&self) -> Builder {
        self.pool
            .daemon()
            .set("UserListAPI", json!({"btc": self.pool.url("empty")}))
            .set("ZKSessionTimeoutSeconds", 2)
            .set("UserAutoRegTimeoutSeconds", 2)
    }

    /// The same with the backend's list.
    fn next_with_list(&self) -> Builder {
        self.next().set("UserListAPI", json!({"btc": self.pool.url("btc")}))
    }

    fn through_proxy(&self) -> Builder {
        self.next().set("ZKBroker", json!([self.proxy.address()]))
    }

    /// Starts the daemon that will be killed.
    async fn start(&self) -> Daemon {
        let daemon = self.through_proxy().start().await;
        self.pool.ready().await;
        daemon
    }

    /// The next daemon finishes the registration, after `posts` requests to the backend in all.
    async fn finish(&self, posts: usize) {
        self.finish_by(&self.next(), posts).await;
    }

    async fn finish_by(&self, next: &Builder, posts: usize) {
        let daemon = next.start().await;
        self.pool.gone("newbie").await;
        self.finished("newbie", posts).await;
        let list = Request::get("/?coin=btc&last_id=0");
        eventually("the name is listed", seconds(30), || async {
            daemon.send_as_is(&list).await.text().contains("\"newbie\":").then_some(())
        })
        .await;
    }

    /// The request is gone, after the index entry and the first coin were created, and its posts have not overlapped.
    async fn finished(&self, name: &str, posts: usize) {
        let pool = &self.pool;
        let deleted = pool.znodes.stat(&pool.place("/reg")).await.unwrap().pzxid;
        for (path, data) in [("/case/", name), ("/sw/", "btc")] {
            let path = pool.place(path) + name;
            let (found, stat) = pool.znodes.get_with_stat(&path).await.expect(&path);
            assert_eq!(found, data, "{path}");
            assert!(stat.czxid < deleted, "{path} was created after the request was deleted");
        }
        let body = format!("\"sub_name\":\"{name}\"");
        let posted: Vec<_> =
            pool.posts().into_iter().filter(|post| post.body.contains(&body)).collect();
        assert_eq!(posted.len(), posts);
        for two in posted.windows(2) {
            assert!(two[0].ended.unwrap() <= two[1].at, "{name} was posted twice at the same time");
        }
    }

    async fn is_requested(&self, name: &str) -> bool {
        self.pool.znodes.stat(&self.pool.reg(name)).await.is_some()
    }
}

#[tokio::test]
async fn before_the_name_is_posted() {
    let scene = Scene::new().await;
    let builder = scene.through_proxy().admin().set("UserAutoRegTimeoutSeconds", 14);
    let mut daemon = builder.start().await;
    let admin = Admin::of(&daemon).await;
    scene.pool.ready().await;
    scene.pool.backend.next_post(Reply::silence());
    scene.pool.request("busy").await;
    scene.pool.until_posted("busy", 1).await;
    // Waits for its turn at the backend.
    scene.pool.request("newbie").await;
    until_under_way(&admin, 2).await;
    daemon.kill9();
    assert_eq!(scene.pool.posted("newbie"), 0);
    assert!(scene.is_requested("newbie").await);
    scene.finish(1).await;
    scene.pool.gone("busy").await;
    scene.finished("busy", 2).await;
}

#[tokio::test]
async fn while_the_backend_works() {
    let scene = Scene::new().await;
    let mut daemon = scene.start().await;
    let gate = Gate::default();
    scene.pool.backend.next_post(Reply::registered(7).behind(&gate));
    scene.pool.request("newbie").await;
    scene.pool.until_posted("newbie", 1).await;
    daemon.kill9();
    assert!(scene.is_requested("newbie").await);
    scene.finish(2).await;
}

#[tokio::test]
async fn during_the_wait() {
    let scene = Scene::new().await;
    let mut api = scene.pool.api();
    api["IntervalSeconds"] = 3600.into();
    let mut daemon = scene.through_proxy().set("UserAutoRegAPI", api).start().await;
    scene.pool.ready().await;
    scene.pool.request("newbie").await;
    daemon.wait_for_log(&["registration confirmed by the backend", "newbie", "puid: 1"]).await;
    daemon.kill9();
    assert!(scene.is_requested("newbie").await);
    assert_eq!(scene.pool.coin("newbie").await, None);
    scene.finish(2).await;
}

#[tokio::test]
async fn between_the_index_entry_and_the_first_coin() {
    let scene = Scene::new().await;
    let mut daemon = scene.start().await;
    let mut coin = scene.proxy.hold_request(&WRITES, "/sw/newbie");
    scene.pool.request("newbie").await;
    coin.arrived().await;
    let index = scene.pool.place("/case/newbie");
    assert_eq!(scene.pool.znodes.get(&index).await.as_deref(), Some("newbie"));
    daemon.kill9();
    coin.lose();
    assert!(scene.is_requested("newbie").await);
    assert_eq!(scene.pool.coin("newbie").await, None);
    scene.finish(2).await;
}

#[tokio::test]
async fn between_the_first_coin_and_the_deletion() {
    let scene = Scene::new().await;
    let mut daemon = scene.start().await;
    let mut deletion = scene.proxy.hold_request(&[DELETE], "/reg/newbie");
    scene.pool.request("newbie").await;
    deletion.arrived().await;
    daemon.kill9();
    deletion.lose();
    assert!(scene.is_requested("newbie").await);
    assert_eq!(scene.pool.coin("newbie").await.as_deref(), Some("btc"));
    scene.finish(2).await;
}

#[tokio::test]
async fn between_the_deletion_and_its_answer() {
    let scene = Scene::new().await;
    let mut daemon = scene.start().await;
    let mut answer = scene.proxy.hold_answer(&[DELETE], "/reg/newbie");
    scene.pool.request("newbie").await;
    answer.arrived().await;
    scene.pool.gone("newbie").await;
    daemon.kill9();
    answer.lose();
    scene.finish_by(&scene.next_with_list(), 1).await;
    // A new request of the same name must not be taken for the old one.
    scene.pool.request("newbie").await;
    let _daemon = scene.next().start().await;
    scene.pool.gone("newbie").await;
    assert_eq!(scene.pool.posted("newbie"), 2);
}
