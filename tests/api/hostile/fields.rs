//! Line ends, terminal escapes and secrets in every field that another program fills.

use serde_json::json;
use upstream_sim::{Reply, Upstream};

use super::siege::{ATTEMPT, FORGERY, PASSWORD, Scale, Sent, USER, known};
use crate::support::client::{Connection, Request, basic, percent_encode};
use crate::support::daemon::{Builder, Daemon};
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, seconds};

/// Names that znodes may have, and that a reader of the log may take for something else.
const NAMES: [&str; 4] = [
    "x, outcome: applied, forged: yes",
    "x\u{2028}Jan 01 00:00:00.000 INFO switch",
    "x\u{202e}deilppa :emoctuo",
    "\" , forged: yes, \"",
];

/// A URL of the upstream with a secret in each place for one.
pub fn upstream_url(upstream: &Upstream) -> String {
    format!("http://pool:a@{PASSWORD}@{}/{}?token={PASSWORD}", upstream.address(), "map")
}

/// With sub-pools, and with secrets in the URL of the upstream and in ZooKeeper's credentials. The znodes
/// below `root` hold forgeries.
pub async fn configured(
    builder: Builder,
    zookeeper: &ZooKeeper,
    upstream: &Upstream,
    root: &str,
) -> Builder {
    let znodes = zookeeper.znodes().await;
    // A jobmaker that answers every request with forgeries.
    let value = json!({"coinbase_info": FORGERY, "payout_addr": FORGERY});
    let ack = json!({"subpool_name": FORGERY, "host": {"hostname": FORGERY, FORGERY: FORGERY},
        "old": value, "success": false, "err_msg": FORGERY});
    znodes.put(&format!("{root}/subpool/btc/pool3"), "{}").await;
    znodes.put(&format!("{root}/subpool/btc/pool3/ack"), &ack.to_string()).await;
    for name in NAMES {
        znodes.put(&format!("{root}/watch/{name}"), FORGERY).await;
    }
    builder
        .set("EnableCronJob", true)
        .set("CronIntervalSeconds", 1)
        .set("UserCoinMapURL", upstream_url(upstream))
        .set("ZKSwitcherWatchDir", format!("{root}/watch/"))
        .set("ZKSubPoolUpdateBaseDir", format!("{root}/subpool/"))
        .set("ZKSubPoolUpdateAckTimeout", 1)
        .set("ZKDigestCredentials", format!("switcher:{PASSWORD}"))
}

/// Requests with a forgery in each field, by turns.
fn requests(scale: Scale) -> Vec<Request> {
    let escaped = percent_encode(FORGERY.as_bytes());
    let form = "application/x-www-form-urlencoded";
    let texts = |field: &str| {
        let mut body = json!({"coin": "btc", "subpool_name": "pool3", "payout_addr": "a", "coinbase_info": "i"});
        body[field] = json!(FORGERY);
        body[FORGERY] = json!({FORGERY: [FORGERY]});
        body.to_string()
    };
    let multipart = format!(
        "--B\r\nContent-Disposition: form-data; name=\"puname\"\r\n\r\n{FORGERY}\r\n\
         --B\r\nContent-Disposition: form-data; name=\"coin\"\r\n\r\n{FORGERY}\r\n--B--\r\n"
    );
    let mut requests = vec![
        Request::switch(FORGERY, "btc"),
        Request::switch("alice", FORGERY),
        Request::get(&format!("/switch?{escaped}={escaped}&puname=%zz{escaped}")),
        Request::get(&format!("/{escaped}")),
        Request::get(&format!("/switch/{escaped}?{escaped}")),
        Request::new("DELETE", &format!("/switch?puname={escaped}")),
        Request::post("/switch")
            .header("Content-Type", form)
            .body(format!("puname={escaped}&coin={escaped}")),
        Request::post("/switch")
            .header("Content-Type", "multipart/form-data; boundary=B")
            .body(multipart),
        Request::batch(json!({"usercoins": [{"coin": FORGERY, "punames": [FORGERY]}]}).to_string()),
        Request::batch(json!({"usercoins": FORGERY}).to_string()),
        Request::batch(json!({"usercoins": [FORGERY]}).to_string()),
        Request::batch(json!({"usercoins": [{"punames": FORGERY}]}).to_string()),
        Request::batch(json!({FORGERY: FORGERY}).to_string()),
        Request::batch(FORGERY),
        Request::get("/switch?puname=alice&coin=btc").header("X-Forwarded-For", "1.2.3.4\u{1b}[2J"),
        Request::get("/switch?puname=alice&coin=btc").header("Content-Type", "\u{9b}2J; \u{202e}"),
    ];
    for path in ["/subpool/get-coinbase", "/subpool/update-coinbase"] {
        for field in ["coin", "subpool_name", "payout_addr", "coinbase_info"] {
            requests.push(Request::post(path).body(texts(field)));
        }
        requests.push(Request::post(path).body(json!([FORGERY]).to_string()));
        requests.push(Request::post(path).body(json!({"coin": {FORGERY: 1}}).to_string()));
    }
    for name in NAMES {
        requests.push(Request::switch(name, "btc"));
        requests.push(Request::batch(
            json!({"usercoins": [{"coin": "bcc", "punames": [name]}]}).to_string(),
        ));
    }
    let requests = requests.into_iter().map(known);
    let strangers = [
        Request::get("/").credentials(FORGERY, ATTEMPT),
        Request::get("/").credentials(USER, &format!("{ATTEMPT}{FORGERY}")),
        Request::get("/").header("Authorization", format!("Basic {ATTEMPT}\u{1b}[2J")),
        Request::get("/").header("Authorization", basic(USER, PASSWORD).replace("Basic", "Digest")),
    ];
    let all: Vec<_> = requests.chain(strangers).collect();
    std::iter::repeat_n(all, scale.rounds).flatten().collect()
}

/// Heads that no parser should accept: raw line ends and escapes in the request line and in headers.
fn broken_heads() -> Vec<Vec<u8>> {
    let authorization = basic(USER, PASSWORD);
    let head = |line: &str, header: &str| {
        format!("{line}\r\nHost: switcher\r\n{header}\r\nAuthorization: {authorization}\r\n\r\n")
            .into_bytes()
    };
    vec![
        head("GET /switch?puname=a\u{1b}[2J&coin=btc HTTP/1.1", "X: y"),
        head("GET /switch?puname=a\nJan 01 00:00:00.000 INFO forged: yes HTTP/1.1", "X: y"),
        head("G\u{1b}ET / HTTP/1.1", "X: y"),
        head("GET / HTTP/1.1\u{1b}", "X: y"),
        head("GET / HTTP/1.1", "X\u{1b}[2J: y"),
        head("GET / HTTP/1.1", "X: y\u{1b}[2J\u{7}"),
        head("GET / HTTP/1.1", "Content-Length: 1\u{1b}[2J"),
        head("GET / HTTP/1.1", "Content-Length: \u{9b}2J forged: yes"),
        head("POST / HTTP/1.1", "Transfer-Encoding: \u{9b}2J forged: yes"),
        head("POST / HTTP/1.1", "Expect: \u{9b}2J forged: yes"),
        format!("{ATTEMPT} {PASSWORD} HTTP/1.1\r\n\r\n").into_bytes(),
    ]
}

/// Sends them all and waits until the upstream's answers, which do the same, have been polled.
pub async fn forge(daemon: &Daemon, upstream: &Upstream, scale: Scale) -> Sent {
    let requests = requests(scale);
    let mut sent = Sent::default();
    for request in &requests {
        // Any answer will do.
        daemon.send_as_is(request).await;
        sent = Sent { connections: sent.connections + 1, requests: sent.requests + 1 };
    }
    for head in broken_heads() {
        let mut connection = Connection::open(daemon.base()).await.unwrap();
        // Closing the connection without an answer is accepted, too.
        let _ = connection.exchange(&head, false).await;
        sent = Sent { connections: sent.connections + 1, requests: sent.requests + 1 };
    }
    let replies = replies();
    let before = upstream.requests().len();
    let expected = before + replies.len() + 1;
    replies.into_iter().for_each(|reply| upstream.next(reply));
    eventually("the forged maps are pulled", seconds(60), || async {
        (upstream.requests().len() >= expected).then_some(())
    })
    .await;
    sent
}

/// A forgery in each place that an upstream fills.
fn replies() -> Vec<Reply> {
    let map = |map: serde_json::Value| {
        Reply::json(&json!({"err_no": 0, "data": {"user_coin": map, "now_date": 5}}).to_string())
    };
    let names: serde_json::Map<_, _> =
        NAMES.iter().map(|&name| (name.to_owned(), json!("btc"))).collect();
    vec![
        map(json!({FORGERY: "btc", "alice": FORGERY, "bob": {FORGERY: FORGERY}})),
        map(names.into()),
        Reply::json(&json!({"err_no": 7, "err_msg": FORGERY}).to_string()),
        Reply::json(&json!({"err_no": FORGERY}).to_string()),
        Reply::json(FORGERY),
        Reply::status(500, "\u{9b}2J forged: yes", "\u{9b}2J forged: yes", FORGERY),
        Reply::redirect("http://\u{9b}2J/forged: yes"),
        Reply::redirect(&format!("http://{PASSWORD}:{PASSWORD}@127.0.0.2/?{PASSWORD}")),
        Reply::raw(FORGERY),
        Reply::raw(format!("HTTP/1.1 200 {FORGERY}\r\n\r\n")),
        Reply::with_head("200 OK", "Content-Encoding: \u{9b}2J forged: yes\r\n", FORGERY),
        Reply::json(&format!("{{\"x\":{}", "[".repeat(1_000_000))),
        Reply::bomb(300),
    ]
}
