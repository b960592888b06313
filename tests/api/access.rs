//! Each route, on either listener, for a user of each role, in every spelling.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::admin::Admin;
use crate::support::client::{self, Connection, Request, Response};
use crate::support::daemon::{Builder, Daemon};
use crate::support::users::{token_of, with_token};
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, seconds, unique};

/// The least that a route needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    Nothing,
    /// A viewer, or `MetricsUser`.
    Metrics,
    Viewer,
    Switcher,
    Payout,
}

use Needs::{Metrics, Nothing, Payout, Switcher, Viewer};

/// The users, each named after its roles.
const USERS: [&[&str]; 5] =
    [&["viewer"], &["switcher"], &["payout"], &["switcher", "payout"], &["admin"]];

fn name(roles: &[&str]) -> String {
    format!("has-{}", roles.join("-"))
}

impl Needs {
    fn admits(self, roles: &[&str]) -> bool {
        let has = |role| roles.contains(&role) || roles.contains(&"admin");
        match self {
            Nothing | Metrics | Viewer => true,
            Switcher => has("switcher"),
            Payout => has("payout"),
        }
    }

    /// The error for a user who is not admitted.
    fn text(self) -> &'static str {
        match self {
            Switcher => "switch sub-accounts (role switcher)",
            Payout => "change payout addresses (role payout)",
            other => panic!("{other:?} refuses no user"),
        }
    }
}

/// `STRANGER` in a request is a name that only the user of the request writes.
const API: &[(&str, &str, &str, Needs)] = &[
    ("GET", "/switch?puname=STRANGER&coin=btc", "", Switcher),
    ("POST", "/switch?puname=STRANGER&coin=btc", "", Switcher),
    ("POST", "/switch/multi-user", BATCH, Switcher),
    ("POST", "/switch-multi-user", BATCH, Switcher),
    ("POST", "/switch/multi-user?dry_run=true", BATCH, Viewer),
    ("POST", "/switch-multi-user?DRY_RUN=1", BATCH, Viewer),
    ("POST", "/switch/multi-user?dry_run=false", BATCH, Switcher),
    ("POST", "/switch/multi-user?dry_run=false&dry_run=true", BATCH, Switcher),
    ("POST", "/subpool/get-coinbase", SUB_POOL, Viewer),
    ("POST", "/subpool-get-coinbase", SUB_POOL, Viewer),
    ("POST", "/subpool/update-coinbase", UPDATE, Payout),
    ("POST", "/subpool-update-coinbase", UPDATE, Payout),
];

const BATCH: &str = r#"{"usercoins":[{"coin":"btc","punames":["STRANGER"]}]}"#;
const SUB_POOL: &str = r#"{"coin":"btc","subpool_name":"none"}"#;
const UPDATE: &str = r#"{"coin":"btc","subpool_name":"none","payout_addr":"a","coinbase_info":""}"#;

/// Pages of the admin listener, besides the console's files.
const PAGES: &[(&str, &str, &str, Needs)] = &[
    ("GET", "/healthz", "", Nothing),
    ("GET", "/readyz", "", Nothing),
    ("GET", "/metrics", "", Metrics),
    ("GET", "/recent", "", Viewer),
    ("HEAD", "/recent/stream", "", Viewer),
    ("GET", "/history", "", Viewer),
    ("GET", "/history/requests", "", Viewer),
    ("GET", "/status", "", Viewer),
    ("GET", "/held-switches", "", Viewer),
    ("GET", "/sub-account?puname=alice", "", Viewer),
    // What is undone decides.
    ("POST", "/undo", r#"{"request":"00000000000000ff"}"#, Viewer),
    ("GET", "/whoami", "", Viewer),
    ("GET", "/login", "", Nothing),
    ("GET", "/login.css", "", Nothing),
    // Answered 405.
    ("GET", "/logout", "", Nothing),
    ("GET", "/openapi.json", "", Viewer),
    ("GET", "/docs", "", Viewer),
    ("GET", "/docs.css", "", Viewer),
];

/// Paths between quotes in a source, which begin a route.
fn paths_in(source: &str) -> BTreeSet<String> {
    let source = source.split("#[cfg(test)]").next().unwrap();
    let quoted = source.split('"').skip(1).step_by(2);
    quoted.filter(|it| it.starts_with('/')).map(str::to_owned).collect()
}

/// The icon is on the page that asks for the password, too.
fn needs(file: &str) -> Needs {
    if file == "/console/icon.svg" { Nothing } else { Viewer }
}

/// The console's files.
fn files() -> Vec<String> {
    let source = include_str!("../../src/admin/console.rs");
    let scripts = source.split("script!(\"").skip(1).filter_map(|it| it.split('"').next());
    let scripts = scripts.map(|name| format!("/console/{name}"));
    let paths = source.split('"').skip(1).step_by(2).filter(|it| it.starts_with('/'));
    let paths = paths.filter(|path| path.len() == 1 || path.contains('.')).map(str::to_owned);
    paths.chain(scripts).collect()
}

#[test]
fn the_tables_here_have_every_route() {
    let paths = |table: &[(&str, &str, &str, Needs)]| -> BTreeSet<String> {
        table.iter().map(|(_, target, ..)| target.split('?').next().unwrap().to_owned()).collect()
    };
    let mut api = paths_in(include_str!("../../src/api/routes.rs"));
    // Forms of requests for user lists.
    assert!(api.remove("/"));
    assert_eq!(api, paths(API));
    let mut admin = paths_in(include_str!("../../src/admin/routes.rs"));
    admin.insert("/login".to_owned());
    assert_eq!(admin, paths(PAGES));
    assert!(files().len() >= 15, "{:?}", files());
}

fn builder(zookeeper: &ZooKeeper) -> Builder {
    let users: Vec<Value> = USERS.iter().map(|roles| with_token(&name(roles), roles)).collect();
    let builder = Daemon::builder(zookeeper).admin().users(&users);
    let file = builder.folder().join("history.db").to_str().expect("UTF-8").to_owned();
    builder
        .set("HistoryFile", file)
        .set("ZKSubPoolUpdateBaseDir", format!("/t/{}/subpool/", unique("access")))
        .set("MetricsUser", "prometheus")
        .set("MetricsPassword", "scraping")
}

fn request((method, target, body, _): (&str, &str, &str, Needs), stranger: &str) -> Request {
    let request = Request::new(method, &target.replace("STRANGER", stranger));
    request.body(body.replace("STRANGER", stranger))
}

async fn send(address: &str, request: &Request) -> Response {
    client::send(address, request).await.unwrap_or_else(|error| panic!("{error}: {request:?}"))
}

fn err_no(response: &Response) -> Option<i64> {
    let body: Value = serde_json::from_slice(&response.body).ok()?;
    body["err_no"].as_i64()
}

#[tokio::test]
async fn each_route_admits_the_users_with_its_role_and_no_other() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = builder(zookeeper).start().await;
    let (admin, znodes) = (Admin::of(&daemon).await, zookeeper.znodes().await);
    admin.wait_until(200, "ready").await;
    let files = files();
    let files = files.iter().map(|path| ("GET", path.as_str(), "", needs(path)));
    // The admin listener has the API's paths, too, but for those that write by GET.
    let posts = API.iter().filter(|(_, target, ..)| !target.starts_with("/switch?")).copied();
    let of_admin: Vec<_> = PAGES.iter().copied().chain(files).chain(posts.clone()).collect();
    let listeners = [(daemon.base(), API.to_vec()), (&admin.address, of_admin)];
    let mut refused = 0;
    for (address, routes) in &listeners {
        for (number, route) in routes.iter().enumerate() {
            let (method, target, _, needs) = *route;
            let is_api = API.contains(route);
            for roles in USERS {
                let name = name(roles);
                let stranger = format!("{name}-{number}-{}", address.replace([':', '.'], "-"));
                let request = request(*route, &stranger)
                    .header("Authorization", format!("Bearer {}", token_of(&name)));
                let response = send(address, &request).await;
                let what = format!("{name}: {method} {target} at {address}: {response:?}");
                if needs.admits(roles) {
                    assert!(![401, 403].contains(&response.status), "{what}");
                    assert_ne!(err_no(&response), Some(403), "{what}");
                    continue;
                }
                refused += 1;
                let answer = response.answer();
                assert_eq!(response.status, if is_api { 200 } else { 403 }, "{what}");
                assert_eq!((answer.err_no, answer.success), (403, false), "{what}");
                let text = format!("user '{name}' may not {}", needs.text());
                assert!(answer.err_msg.starts_with(&text), "{what}");
                assert_eq!(znodes.get(&daemon.path(&stranger)).await, None, "{what}");
            }
            let without = send(address, &request(*route, "stranger")).await;
            let is_refused = without.status == 401;
            assert_eq!(is_refused, needs != Nothing, "{method} {target}: {without:?}");
        }
    }
    assert_eq!(znodes.get(&daemon.path("stranger")).await, None);
    assert_eq!(refused, 28);
    let lines = daemon.log_with(&["request refused", "user 'has-viewer' may not change payout"]);
    assert_eq!(lines.len(), 4, "{lines:#?}");
    assert!(lines[0].contains("actor: has-viewer") && lines[0].contains("WARN"), "{lines:#?}");
}

/// As [`send`], from an address of its own: failed logins of an address are slowed down.
async fn send_from(last: usize, address: &str, request: &Request) -> Response {
    let source = [127, 0, 1, u8::try_from(last).unwrap()].into();
    let mut connection = Connection::open_from(source, address).await.unwrap();
    connection.send(request).await.unwrap()
}

#[tokio::test]
async fn the_metrics_user_reads_the_metrics_and_nothing_else() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = builder(zookeeper).start().await;
    let admin = Admin::of(&daemon).await;
    admin.wait_until(200, "ready").await;
    let files = files();
    let files = files.iter().map(|path| ("GET", path.as_str(), "", needs(path)));
    let spelled = ["/%6detrics", "//metrics", "/metrics/", "/metrics%00", "/x/../metrics"];
    let spelled = spelled.map(|path| ("GET", path, "", Viewer));
    let routes = PAGES.iter().copied().chain(files).chain(API.iter().copied()).chain(spelled);
    for (number, route) in routes.enumerate() {
        let request = request(route, "stranger").credentials("prometheus", "scraping");
        let response = send_from(number, &admin.address, &request).await;
        let is_refused = response.status == 401;
        assert_eq!(is_refused, !matches!(route.3, Nothing | Metrics), "{route:?}: {response:?}");
    }
    for (number, route) in API.iter().enumerate() {
        let request = request(*route, "stranger").credentials("prometheus", "scraping");
        let response = send_from(100 + number, daemon.base(), &request).await;
        assert_eq!(response.status, 401, "{route:?}");
    }
    assert_eq!(zookeeper.znodes().await.get(&daemon.path("stranger")).await, None);
}

#[tokio::test]
async fn no_spelling_of_a_path_passes_its_role() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = builder(zookeeper).start().await;
    let (admin, znodes) = (Admin::of(&daemon).await, zookeeper.znodes().await);
    admin.wait_until(200, "ready").await;
    let switches = [
        "/%73witch",
        "/swi%74ch",
        "/%53witch",
        "/SWITCH",
        "/Switch",
        "//switch",
        "/switch/",
        "/switch%2F",
        "/./switch",
        "/x/../switch",
        "/%2e/switch",
        "/switch;x",
        "/switch%00",
        "/switch%3Fpuname=stranger&coin=btc",
        "http://localhost/switch",
        "http://localhost/%73witch",
    ];
    let batches = [
        "/switch%2Fmulti-user",
        "/switch%2fmulti-user",
        "/%73witch/multi%2Duser",
        "/switch//multi-user",
        "/switch/multi-user/",
        "/switch-multi%2duser",
        "/healthz/../switch/multi-user",
        "http://localhost/switch/multi-user",
    ];
    let updates = [
        "/subpool%2Fupdate-coinbase",
        "/sub%70ool/update-coinbase",
        "/subpool/update%2Dcoinbase",
        "/subpool/get-coinbase/../update-coinbase",
        "/SUBPOOL/update-coinbase",
    ];
    let of_viewer = |request: Request| {
        request.header("Authorization", format!("Bearer {}", token_of("has-viewer")))
    };
    let mut requests = Vec::new();
    for path in switches {
        let target = format!("{path}?puname=stranger&coin=btc");
        requests.push(Request::get(&target));
        requests.push(Request::post(&target));
    }
    let batch = BATCH.replace("STRANGER", "stranger");
    for path in batches {
        requests.push(Request::post(path).body(batch.clone()));
        requests.push(Request::post(&format!("{path}?dry%5Frun=0")).body(batch.clone()));
        // The first counts, so this is no dry run.
        let query = "dry_run=false&dry_run=true";
        requests.push(Request::post(&format!("{path}?{query}")).body(batch.clone()));
    }
    requests.extend(updates.map(|path| Request::post(path).body(UPDATE)));
    for request in requests {
        let request = of_viewer(request);
        for address in [daemon.base(), admin.address.as_str()] {
            let response = send(address, &request).await;
            let is_refused = err_no(&response) == Some(403)
                || [400, 403, 404, 405, 421].contains(&response.status);
            assert!(is_refused, "{request:?} at {address}: {response:?}");
        }
    }
    assert_eq!(znodes.get(&daemon.path("stranger")).await, None);
}

#[tokio::test]
async fn the_roles_of_the_configured_user_are_those_of_its_key() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = Daemon::builder(zookeeper).set("APIRoles", json!(["viewer"]));
    let daemon = builder.start().await;
    let refused = daemon.switch("alice", "btc").await;
    assert_eq!((refused.err_no, refused.success), (403, false));
    assert!(
        refused.err_msg.starts_with("user 'admin' may not switch sub-accounts (role switcher)")
    );
    builder.clone().set("APIRoles", json!(["switcher"])).write_config();
    daemon.signal(rustix::process::Signal::HUP);
    daemon.wait_for_log(&["configuration reloaded", "APIRoles from"]).await;
    assert!(daemon.switch("alice", "btc").await.success);
    let update = daemon.send(Request::post("/subpool/update-coinbase").body(UPDATE)).await;
    assert_eq!(update.answer().err_no, 403);
}

#[tokio::test]
async fn a_flood_of_a_user_without_the_role_costs_few_lines_and_each_request_counts() {
    const REQUESTS: usize = 300;
    let zookeeper = ZooKeeper::shared().await;
    let daemon = builder(zookeeper).start().await;
    let request = Request::switch("alice", "btc").token(&token_of("has-viewer"));
    let mut connection = daemon.connect().await;
    for _ in 0..REQUESTS {
        assert_eq!(connection.send(&request).await.unwrap().answer().err_no, 403);
    }
    let lines = |start| {
        let text =
            format!("{start}: user 'has-viewer' may not switch sub-accounts (role switcher)");
        daemon.log_with(&[&text, "actor: has-viewer", "path: /switch"])
    };
    let count = |line: &String| -> usize {
        let count = line.split("requests_refused: ").nth(1).and_then(|it| it.split(',').next());
        count.and_then(|it| it.parse().ok()).unwrap_or_else(|| panic!("{line}"))
    };
    let left_out = || lines("more requests refused").iter().map(count).sum::<usize>();
    eventually("each refused request is in a line", seconds(20), || async {
        (lines("request refused").len() + left_out() == REQUESTS).then_some(())
    })
    .await;
    assert!(left_out() > REQUESTS / 2, "{:#?}", daemon.log());
}
