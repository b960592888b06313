//! The document and its page, as a browser and a program meet them.

use serde_json::Value;

use super::document_of;
use crate::support::client::{self, Request, Response};
use crate::support::daemon::{Daemon, PASSWORD, USER};
use crate::support::zookeeper::ZooKeeper;

async fn get(daemon: &Daemon, path: &str) -> Response {
    let request = Request::get(path).credentials(USER, PASSWORD);
    client::send(&daemon.admin().await, &request).await.unwrap()
}

#[tokio::test]
async fn the_document_tells_of_this_daemon() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper)
        .admin()
        .set("AvailableCoins", vec!["btc", "bcc", "auto"])
        .set("StratumServerCaseInsensitive", true)
        .set("APIBodyLimitBytes", 4_000_000)
        .start()
        .await;
    let document = document_of(&daemon).await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3."), "{document}");
    let at = |pointer: &str| document.pointer(pointer).unwrap_or(&Value::Null).to_string();
    assert_eq!(at("/components/schemas/Coin/enum"), r#"["btc","bcc","auto"]"#);
    assert!(at("/components/schemas/Puname/description").contains("in lower case"));
    assert!(at("/paths/~1switch~1multi-user/post/description").contains("4000000 bytes"));
    assert!(at("/info/description").contains("sub-pool API of this daemon is off"));
    let variable = |name: &str| {
        let default = &document["servers"][0]["variables"][name]["default"];
        default.as_str().unwrap().to_owned()
    };
    assert_eq!(format!("{}:{}", variable("host"), variable("port")), daemon.base());
}

#[tokio::test]
async fn the_page_shows_all_of_the_document_and_loads_nothing_from_elsewhere() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let page = get(&daemon, "/docs").await;
    assert_eq!(page.status, 200, "{page:?}");
    let html = page.text();
    let document = document_of(&daemon).await;
    for (path, item) in document["paths"].as_object().unwrap() {
        assert!(html.contains(&format!("{path}</code>")), "{path}");
        for operation in item.as_object().unwrap().values() {
            for response in operation["responses"].as_object().unwrap().values() {
                let examples = response["content"]["application/json"]["examples"].as_object();
                for (_, example) in examples.into_iter().flatten() {
                    let row = format!("<th scope=\"row\">{}</th>", example["value"]["err_no"]);
                    assert!(html.contains(&row), "{row}");
                }
            }
        }
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(html.contains(&format!("id=\"schema-{name}\"")), "{name}");
    }
    for link in html.split("href=\"#").skip(1) {
        let anchor = link.split('"').next().unwrap();
        assert!(html.contains(&format!("id=\"{anchor}\"")), "a link to nowhere: {anchor}");
    }

    let policy = page.header("Content-Security-Policy").unwrap();
    for part in
        ["default-src 'none'", "style-src 'self'", "frame-ancestors 'none'", "form-action 'none'"]
    {
        assert!(policy.split("; ").any(|it| it == part), "{part} is not in {policy}");
    }
    assert_eq!(page.header("X-Content-Type-Options"), Some("nosniff"));
    for forbidden in
        ["<script", "style=", "<style", "<img", "<iframe", " src=", " onclick", "//fonts"]
    {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    let loaded: Vec<&str> = html.split("<link ").skip(1).collect();
    assert_eq!(loaded.len(), 1);
    assert!(loaded[0].starts_with("rel=\"stylesheet\" href=\"docs.css\""), "{}", loaded[0]);
    let style = get(&daemon, "/docs.css").await;
    assert_eq!(style.status, 200, "{style:?}");
    assert_eq!(style.header("Content-Type"), Some("text/css; charset=utf-8"));
    for forbidden in ["url(", "@import"] {
        assert!(!style.text().contains(forbidden), "{forbidden}");
    }
    assert_nests(&html);
}

/// Every element is closed, and in its order.
fn assert_nests(html: &str) {
    let mut open = Vec::new();
    for tag in html.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()) {
        let name = tag.split_whitespace().next().unwrap();
        match name.strip_prefix('/') {
            Some(closed) => assert_eq!(open.pop(), Some(closed), "</{closed}>"),
            None if ["!DOCTYPE", "meta", "link"].contains(&name) => {}
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}
