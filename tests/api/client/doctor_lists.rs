//! `doctor`: user lists, held switches and registrations.

use serde_json::json;
use upstream_sim::{Reply, Upstream};

use super::doctor::{doctor, finds, found};
use super::{Cli, assert_says};
use crate::held::holding;
use crate::polls::url;
use crate::support::client::Answer;
use crate::support::daemon::{Builder, Daemon};
use crate::support::unique;
use crate::support::zookeeper::ZooKeeper;

#[tokio::test]
async fn lists_and_registrations_that_cannot_work_are_found() {
    let zookeeper = ZooKeeper::shared().await;
    let (znodes, root) = (zookeeper.znodes().await, format!("/t/{}", unique("doctor-lists")));
    znodes.put(&root, "").await;
    let list = r#"{"err_no":0,"err_msg":null,"data":{"alice":1,"bob":2}}"#;
    let upstream = Upstream::start(move |_| Reply::json(list)).await.unwrap();
    let place = |name: &str| format!("{root}/{name}/");
    let registration = json!({"URL": url(&upstream), "DefaultCoin": "bcc", "IntervalSeconds": 12});
    let builder = Daemon::builder(zookeeper)
        .set("UserListAPI", json!({"btc": format!("{}?k=s3cret", url(&upstream))}))
        .set("ZKUserCaseInsensitiveIndex", place("case"))
        .set("EnableUserAutoReg", true)
        .set("ZKAutoRegWatchDir", place("reg"))
        .set("UserAutoRegAPI", registration);
    let cli = doctor(&builder);
    finds(&cli, "ok", "list", &["btc: ", &url(&upstream), "answers with 2 sub-accounts"]).await;
    let warnings = found(&cli, "warning", "configuration").await.join("\n");
    assert_says(&warnings, &["get no znode", "(12) and UserAutoRegTimeoutSeconds (5)"]);
    let absent = found(&cli, "problem", "path").await.join("\n");
    assert_says(&absent, &["ZKUserCaseInsensitiveIndex", "ZKAutoRegWatchDir", "is absent"]);
    let same = builder.clone().set("ZKUserCaseInsensitiveIndex", place("sw"));
    let same = same.set("ZKSwitcherWatchDir", place("sw"));
    finds(&doctor(&same), "problem", "configuration", &["ZKUserCaseInsensitiveIndex", "the same"])
        .await;

    znodes.put(&format!("{root}/sw_held"), "").await;
    for name in ["sw", "case", "reg", "sw_held/switches"] {
        znodes.put_read_only(&format!("{root}/{name}"), "").await;
    }
    let closed = doctor(&builder.clone().set("ZKSwitcherWatchDir", place("sw")));
    let problems = found(&closed, "problem", "acl").await.join("\n");
    let may_not = [
        "create sub-accounts in",
        "create index entries in",
        "create held switches in",
        "delete held switches in",
        "delete requests in",
    ];
    assert_says(&problems, &may_not);
    znodes.put_read_only(&format!("{root}/held"), "").await;
    let closed = doctor(&builder.clone().set("ZKHeldSwitchDir", place("held")));
    let problems = found(&closed, "problem", "acl").await.join("\n");
    assert_says(&problems, &["may not create the carrier's lock in", "/held"]);
    let problems = found(&closed, "problem", "path").await.join("\n");
    assert_says(&problems, &["ZKHeldSwitchDir", "/held/switches) is absent"]);
    let absent = found(&cli, "problem", "path").await.join("\n");
    assert_eq!(absent.matches("ZKHeldSwitchDir").count(), 1, "{absent}");

    let answer = |reply: fn() -> Reply| upstream.otherwise(move |_| reply());
    answer(|| Reply::json(r#"{"err_no":0,"err_msg":null,"data":{"alice":-1}}"#));
    finds(&cli, "warning", "list", &["btc: 1 entries", "alice"]).await;
    answer(|| Reply::json(r#"{"alice":1}"#));
    finds(&cli, "warning", "list", &["btc: ", "an empty list"]).await;
    answer(|| Reply::json(r#"{"err_no":0,"err_msg":null,"data":["alice"]}"#));
    finds(&cli, "problem", "list", &["btc: "]).await;
    answer(|| Reply::status(404, "None", "text/html", "<b>"));
    finds(&cli, "problem", "list", &["btc: ", "status 404"]).await;
    let finished = cli.run().await;
    assert!(!finished.stdout.contains("s3cret"), "{}", finished.stdout);
}

#[tokio::test]
async fn overdue_held_switches_are_found() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = holding(zookeeper).set("IntervalSeconds", 600);
    let (mut daemon, znodes) = (builder.start().await, zookeeper.znodes().await);
    let intents = format!("{}_held/switches", daemon.watch_dir().trim_end_matches('/'));
    for coin in ["btc", "bcc"] {
        assert_eq!(daemon.switch("alice", coin).await, Answer::success());
    }
    let cli = doctor(&builder);
    finds(&cli, "ok", "held", &["1 switches wait, none of them overdue"]).await;
    daemon.kill9();
    let intent = |due: u64| json!({"coin": "bcc", "due": due, "source": "api"}).to_string();
    for (name, due) in [("alice", 1_700_000_000_000), ("bob", 1_600_000_000_000)] {
        znodes.put(&format!("{intents}/{name}"), &intent(due)).await;
    }
    let overdue = ["2 held switches are overdue", "bob to bcc, due 2020-09-13T12:26:40.000Z"];
    finds(&cli, "problem", "held", &overdue).await;
    for name in ["alice", "bob"] {
        znodes.put(&format!("{intents}/{name}"), "x").await;
    }
    let problems = found(&cli, "problem", "held").await;
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert_says(&problems[1], &["held switch of bob cannot be read", "no intent"]);
    assert_says(&cli.run().await.stdout, &[&format!("delete {intents}/bob")]);
}

#[tokio::test]
async fn requests_for_registration_that_no_daemon_answers_are_found() {
    let scene = Registering::new().await;
    let (znodes, cli) = (ZooKeeper::shared().await.znodes().await, doctor(&scene.builder));
    let requests = async |level: &str, parts: &[&str]| {
        let found = found(&cli, level, "registration").await;
        assert_says(found.first().map_or("nothing", String::as_str), parts);
    };
    requests("ok", &["0 requests wait"]).await;
    znodes.put(&format!("{}/reg/newbie", scene.root), "{}").await;
    requests("ok", &["1 requests wait"]).await;
    if let Some(later) = super::doctor::fake_time(cli.clone(), "+2h") {
        finds(&later, "problem", "registration", &["1 requests in", "newbie, 7"]).await;
    }
}

/// A configuration with registrations, whose directories exist.
struct Registering {
    builder: Builder,
    backend: Upstream,
    root: String,
}

impl Registering {
    async fn new() -> Self {
        let zookeeper = ZooKeeper::shared().await;
        let (znodes, root) = (zookeeper.znodes().await, format!("/t/{}", unique("doctor-reg")));
        for path in ["", "/reg"] {
            znodes.put(&format!("{root}{path}"), "").await;
        }
        let backend = Upstream::start(list_and(|| Reply::registered(7))).await.unwrap();
        let api = json!({"URL": url(&backend) + "?k=s3cret", "DefaultCoin": "btc",
            "IntervalSeconds": 10, "User": "u", "Password": "s3cret"});
        let builder = Daemon::builder(zookeeper)
            .set("UserListAPI", json!({"btc": url(&backend)}))
            .set("EnableUserAutoReg", true)
            .set("ZKAutoRegWatchDir", format!("{root}/reg/"))
            .set("UserAutoRegAPI", api);
        Self { builder, backend, root }
    }

    fn posts(&self) -> usize {
        self.backend.requests().iter().filter(|request| request.method == "POST").count()
    }
}

/// A list with alice as 7, and this answer to a POST.
fn list_and(
    answer: fn() -> Reply,
) -> impl Fn(&upstream_sim::Request) -> Reply + Send + Sync + 'static {
    move |request| {
        let list = r#"{"err_no":0,"err_msg":null,"data":{"alice":7}}"#;
        if request.method == "POST" { answer() } else { Reply::json(list) }
    }
}

#[tokio::test]
async fn a_backend_that_registers_is_asked_without_a_registration() {
    let scene = Registering::new().await;
    let cli = doctor(&scene.builder);
    let backend = |cli: &Cli, level: &'static str, parts: &'static [&'static str]| {
        let cli = cli.clone();
        async move {
            let texts = found(&cli, level, "registration").await;
            let text = texts.iter().find(|text| text.contains("http://")).cloned();
            assert_says(&text.unwrap_or_else(|| panic!("no URL in {texts:?}")), parts);
        }
    };
    backend(&cli, "ok", &["answers a GET", "--registration USER"]).await;
    let get = |status: u16| {
        let list = r#"{"err_no":0,"err_msg":null,"data":{}}"#;
        scene.backend.otherwise(move |request| {
            let is_list = request.target.contains("last_id");
            if is_list { Reply::json(list) } else { Reply::status(status, "S", "text/plain", "x") }
        });
    };
    get(405);
    backend(&cli, "ok", &["answers"]).await;
    get(401);
    backend(&cli, "problem", &["status 401"]).await;
    get(302);
    backend(&cli, "problem", &["redirects with status 302", "no name"]).await;
    get(307);
    backend(&cli, "warning", &["answers a GET with status 307"]).await;
    get(404);
    backend(&cli, "warning", &["answers a GET with status 404"]).await;
    assert_eq!(scene.posts(), 0);

    scene.backend.otherwise(list_and(|| Reply::registered(7)));
    let unknown = cli.clone().words("--registration bob");
    let texts = found(&unknown, "problem", "registration").await;
    assert_says(&texts.concat(), &["bob is in none of the 1 lists", "not requested"]);
    assert_eq!(scene.posts(), 0, "a name that the backend may not know was posted");
    let known = cli.words("--registration alice");
    backend(&known, "ok", &["puid 7 for alice"]).await;
    assert_eq!(scene.posts(), 1, "one of each run");
    scene.backend.otherwise(list_and(|| Reply::registered(8)));
    backend(&known, "problem", &["puid 8 for alice", "list of btc has 7"]).await;
    scene.backend.otherwise(list_and(|| Reply::json(r#"{"message":"name taken"}"#)));
    backend(&known, "problem", &["no puid for alice", "name taken"]).await;
    let finished = known.run().await;
    assert!(!finished.stdout.contains("s3cret"), "{}", finished.stdout);
    scene.backend.otherwise(|_| Reply::silence());
    let slow = scene.builder.clone().set("UserAutoRegTimeoutSeconds", 1);
    let slow = doctor(&slow.set("CronFetchTimeoutSeconds", 1));
    backend(&slow, "problem", &["no answer from", "within 1 s"]).await;
}
