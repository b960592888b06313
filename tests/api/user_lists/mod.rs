//! User lists: the real daemon between a scripted upstream, a real ZooKeeper and clients of the list API.

mod access;
mod first_coins;
mod hostile;
mod paths;
mod pulls;
mod recorded;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use upstream_sim::{Gate, Reply, Upstream};

use crate::support::{
    client::{self, Request, Response},
    daemon::{Builder, Daemon, PASSWORD, USER},
    eventually, seconds,
    zookeeper::ZooKeeper,
};

pub const EMPTY: &str = r#"{"err_no":0,"err_msg":null,"data":{}}"#;
pub const ALICE: &str = r#"{"err_no":0,"err_msg":null,"data":{"alice":1,"bob":2}}"#;

/// An answer of an upstream with these sub-accounts.
pub fn document(users: impl IntoIterator<Item = (String, u32)>) -> String {
    let data: Map<String, Value> =
        users.into_iter().map(|(name, puid)| (name, puid.into())).collect();
    json!({"err_no": 0, "err_msg": null, "data": data}).to_string()
}

/// `count` sub-accounts: `user0000001` and so on.
fn many(count: u32) -> String {
    document((1..=count).map(|puid| (format!("user{puid:07}"), puid)))
}

/// An upstream of these lists, by coin: each comes whole each time.
pub async fn upstream(lists: BTreeMap<String, String>) -> Upstream {
    let reply = move |request: &upstream_sim::Request| {
        let path = request.target.split('?').next().unwrap_or_default();
        match lists.get(path.trim_start_matches('/')) {
            Some(body) => Reply::json(body),
            None => Reply::status(404, "Not Found", "text/plain", "no such list"),
        }
    };
    Upstream::start(reply).await.unwrap()
}

/// A daemon with a list of each of these coins.
fn builder(zookeeper: &ZooKeeper, upstream: &Upstream, coins: &[&str]) -> Builder {
    let urls = coins.iter().map(|coin| {
        ((*coin).to_owned(), Value::from(format!("http://{}/{coin}", upstream.address())))
    });
    Daemon::builder(zookeeper)
        .set("UserListAPI", Value::Object(urls.collect()))
        .set("IntervalSeconds", 1)
}

/// An upstream with a list of `btc`, and a daemon that pulls it.
async fn with_list(body: &str) -> (Upstream, Builder) {
    let upstream = upstream(BTreeMap::from([("btc".to_owned(), body.to_owned())])).await;
    let builder = builder(ZooKeeper::shared().await, &upstream, &["btc"]);
    (upstream, builder)
}

async fn get(address: &str, target: &str) -> Response {
    client::send(address, &Request::get(target)).await.unwrap()
}

/// Waits for the end of the first pulls.
pub async fn ready(address: &str) -> Response {
    eventually("a complete list", seconds(30), || async {
        Some(get(address, "/").await).filter(|response| response.status != 503)
    })
    .await
}

#[tokio::test]
async fn a_list_is_not_there_before_its_first_pull_and_switches_do_not_wait() {
    let gate = Gate::default();
    let held = gate.clone();
    let reply = move |_: &upstream_sim::Request| Reply::json(ALICE).behind(&held);
    let upstream = Upstream::start(reply).await.unwrap();
    let daemon = builder(ZooKeeper::shared().await, &upstream, &["btc"]).start().await;
    for target in ["/", "/?coin=btc", "/any/path?last_id=5"] {
        let response = get(daemon.base(), target).await;
        assert_eq!(response.status, 503, "{target}: {response:?}");
        let answer = response.answer();
        assert_eq!((answer.err_no, answer.success), (503, false), "{answer:?}");
    }
    let unknown = get(daemon.base(), "/?coin=ltc").await;
    assert_eq!((unknown.status, unknown.text().as_str()), (200, EMPTY));
    assert_eq!(daemon.switch("newcomer", "bcc").await, client::Answer::success());
    gate.open();
    let list = ready(daemon.base()).await;
    assert_eq!((list.status, list.text().as_str()), (200, ALICE));
    assert_eq!(list.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_redirect_of_an_upstream_to_another_host_is_followed_without_credentials() {
    let elsewhere = Upstream::start(|_| Reply::json(ALICE)).await.unwrap();
    let there = format!("http://localhost:{}/x", elsewhere.address().port());
    let upstream = Upstream::start(move |_| Reply::redirect_with(301, &there)).await.unwrap();
    let url = format!("http://user:pass@{}/btc", upstream.address());
    let builder = builder(ZooKeeper::shared().await, &upstream, &[]);
    let daemon = builder.set("UserListAPI", json!({"btc": url})).start().await;
    assert_eq!(ready(daemon.base()).await.text(), ALICE);
    assert!(upstream.requests()[0].header("authorization").is_some());
    let followed = &elsewhere.requests()[0];
    assert_eq!((&*followed.target, followed.header("authorization")), ("/x", None));
}

#[tokio::test]
async fn a_client_that_has_the_list_does_not_get_it_again() {
    let (_upstream, builder) = with_list(&many(3_000)).await;
    let daemon = builder.start().await;
    let whole = ready(daemon.base()).await;
    let etag = whole.header("etag").expect("a tag").to_owned();
    let head = client::send(daemon.base(), &Request::new("HEAD", "/")).await.unwrap();
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-length"), Some(whole.body.len().to_string().as_str()));
    assert!(head.body.is_empty() && head.header("etag") == Some(&etag));
    let known = Request::get("/?coin=btc").header("If-None-Match", &etag);
    let known = client::send(daemon.base(), &known).await.unwrap();
    assert!(known.status == 304 && known.body.is_empty(), "{known:?}");
    let part = Request::get("/?last_id=2999").header("If-None-Match", &etag);
    let part = client::send(daemon.base(), &part).await.unwrap();
    assert_eq!((part.status, part.text().contains("user0003000")), (200, true));

    let packed = Request::get("/").header("Accept-Encoding", "gzip");
    let packed = client::send(daemon.base(), &packed).await.unwrap();
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(
        packed.header("vary").map(str::to_ascii_lowercase).as_deref(),
        Some("accept-encoding")
    );
    assert!(packed.body.len() < whole.body.len() / 2 && packed.header("etag") != Some(&etag));
    // The last four bytes are the length of the document (RFC 1952).
    let length = packed.body.last_chunk().copied().map(u32::from_le_bytes).unwrap();
    assert!(packed.body.starts_with(&[0x1f, 0x8b]) && length as usize == whole.body.len());
}

#[tokio::test]
async fn requests_for_lists_have_their_own_label() {
    let (_upstream, builder) = with_list(ALICE).await;
    let daemon = builder.admin().start().await;
    ready(daemon.base()).await;
    get(daemon.base(), "/elsewhere").await;
    let request = Request::get("/metrics").credentials(USER, PASSWORD);
    let metrics = client::send(&daemon.admin().await, &request).await.unwrap().text();
    let lines = metrics.lines().filter(|line| line.contains(r#"endpoint="user_list",err_no="0""#));
    let count: u64 = lines.map(|it| it.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum();
    assert!(count >= 2, "{metrics}");
    assert!(metrics.contains(r#"http_request_duration_seconds_count{endpoint="user_list"}"#));
}
