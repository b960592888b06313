//! The packaged samples of proxies with TLS, run by real nginx and Caddy in front of the daemon.

mod console;
mod proxy;
mod requests;
mod streams;

use serde_json::{Value, json};

use self::proxy::{API, CONSOLE, Kind, Proxy};
use crate::support::client::Request;
use crate::support::daemon::{Builder, Daemon};
use crate::support::users::{token_of, with_password, with_token};
use crate::support::zookeeper::ZooKeeper;

/// Addresses of clients.
const BACKEND: [u8; 4] = [127, 0, 0, 2];
const OPERATOR: [u8; 4] = [127, 0, 0, 3];

/// A daemon as the samples need it, with a user who has a token and one who has a password.
fn behind_proxy(zookeeper: &ZooKeeper) -> Builder {
    let backend = with_token("backend", &["switcher"]);
    let wang = with_password("wang", "secret", &["switcher"]);
    let builder = Daemon::builder(zookeeper).admin().users(&[backend, wang]);
    let file = builder.folder().join("history.db");
    builder
        .set("HistoryFile", file.to_str().expect("a path in UTF-8"))
        .set("TrustedProxies", json!(["127.0.0.1"]))
        .set("AdminHosts", json!([CONSOLE]))
        // A busy machine must not fail these tests.
        .set("ZKRequestTimeoutSeconds", 60)
}

async fn in_front_of(daemon: &Daemon, kind: Kind) -> Proxy {
    Proxy::start(kind, daemon.base(), &daemon.admin().await).await
}

/// A daemon behind a proxy.
async fn start(kind: Kind) -> (Daemon, Proxy) {
    let daemon = behind_proxy(ZooKeeper::shared().await).start().await;
    let proxy = in_front_of(&daemon, kind).await;
    (daemon, proxy)
}

fn as_backend(request: Request) -> Request {
    request.token(&token_of("backend"))
}
