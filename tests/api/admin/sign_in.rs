//! Sign-in to the console: sessions and their cookie.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Admin;
use super::events::Events;
use crate::reload::applied;
use crate::support::certificates::Authority;
use crate::support::client::{Connection, Request, Response, percent_encode};
use crate::support::daemon::{Builder, Daemon, PASSWORD, USER};
use crate::support::users::{token_of, with_bcrypt, with_password, with_token};
use crate::support::zookeeper::ZooKeeper;
use crate::tls;

const FORM: &str = "application/x-www-form-urlencoded";
const CHALLENGE: Option<&str> = Some(r#"Basic realm="Restricted""#);

/// Accept of a browser that opens a page.
const PAGE: (&str, &str) = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");

/// A configuration with `users` in a `UsersFile`, besides `APIUser`.
fn with_users(zookeeper: &ZooKeeper, users: &[Value]) -> Builder {
    Daemon::builder(zookeeper).admin().users(users)
}

/// A user with a token, who may switch.
fn wang() -> Value {
    with_token("wang", &["switcher"])
}

fn login(name: &str, password: &str) -> Request {
    let [name, password] = [name, password].map(|text| percent_encode(text.as_bytes()));
    let form = format!("name={name}&password={password}");
    Request::post("/login").header("Content-Type", FORM).body(form)
}

fn logout() -> Request {
    Request::post("/logout").header("Content-Type", FORM)
}

/// The cookie of an answer as a browser sends it, without its attributes.
fn cookie(response: &Response) -> String {
    let header = response.header("Set-Cookie").unwrap_or_else(|| panic!("no cookie: {response:?}"));
    header.split(';').next().unwrap_or_default().to_owned()
}

/// Signs in and returns the cookie.
async fn sign_in(admin: &Admin, name: &str, password: &str) -> String {
    let response = admin.send(&login(name, password)).await;
    assert_eq!((response.status, response.header("Location")), (303, Some("/")), "{response:?}");
    cookie(&response)
}

async fn status_with(admin: &Admin, cookie: &str) -> u16 {
    admin.send(&Request::get("/status").header("Cookie", cookie)).await.status
}

fn batch(name: &str) -> Request {
    Request::batch(json!({"usercoins": [{"coin": "btc", "punames": [name]}]}).to_string())
}

#[tokio::test]
async fn a_sign_in_gives_a_cookie_that_opens_the_console_and_nothing_of_the_api() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = with_users(zookeeper, &[wang()]).start().await;
    let admin = Admin::of(&daemon).await;
    let response = admin.send(&login(USER, PASSWORD)).await;
    assert_eq!((response.status, response.header("Location")), (303, Some("/")), "{response:?}");
    assert_eq!(response.header("Cache-Control"), Some("no-store"));
    let set = response.header("Set-Cookie").unwrap();
    let (pair, attributes) = set.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; Max-Age=43200; HttpOnly; SameSite=Strict");
    let (name, id) = pair.split_once('=').unwrap();
    let port = admin.address.rsplit(':').next().unwrap();
    assert_eq!(name, format!("switcher_session_{port}"));
    assert!(id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{set}");
    daemon.wait_for_log(&["signed in", "source: console", &format!("actor: {USER}")]).await;
    assert!(daemon.log_with(&[id]).is_empty(), "the log has the id");

    for path in ["/", "/status", "/console/console.js", "/metrics"] {
        let request = Request::get(path).header("Cookie", format!("a=b; {pair}"));
        assert_eq!(admin.send(&request).await.status, 200, "{path}");
    }
    let user = admin.send(&Request::get("/whoami").header("Cookie", pair)).await;
    let expected =
        json!({"name": USER, "roles": ["admin"], "means": "session", "client": "127.0.0.1"});
    assert_eq!(serde_json::from_slice::<Value>(&user.body).unwrap(), expected);

    let switch = batch("alice").header("Cookie", pair).header("Sec-Fetch-Site", "same-origin");
    assert!(admin.send(&switch).await.answer().success);
    let change = admin.recent(1).await.pop().unwrap();
    assert_eq!((&change["source"], &change["actor"]), (&json!("console"), &json!(USER)));

    // The API's listener knows no cookies and no sign-in.
    for request in [
        switch.clone(),
        Request::switch("bob", "btc").header("Cookie", pair),
        login(USER, PASSWORD),
        Request::get("/login").header(PAGE.0, PAGE.1),
    ] {
        let response = daemon.send_as_is(&request).await;
        assert_eq!(response.status, 401, "{request:?}");
        assert_eq!(response.header("WWW-Authenticate"), CHALLENGE);
    }
    assert_eq!(zookeeper.znodes().await.get(&daemon.path("bob")).await, None);
}

#[tokio::test]
async fn each_means_shows_its_user() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = with_users(zookeeper, &[wang()]).start().await;
    let admin = Admin::of(&daemon).await;
    let whoami = Request::get("/whoami");
    let session = sign_in(&admin, "wang", &token_of("wang")).await;
    for (request, name, role, means) in [
        (whoami.clone().credentials(USER, PASSWORD), USER, "admin", "basic"),
        (whoami.clone().credentials("wang", &token_of("wang")), "wang", "switcher", "basic"),
        (
            whoami.clone().header("Authorization", format!("Bearer {}", token_of("wang"))),
            "wang",
            "switcher",
            "token",
        ),
        (whoami.clone().header("Cookie", session), "wang", "switcher", "session"),
    ] {
        let response = admin.send(&request).await;
        assert_eq!(response.status, 200, "{response:?}");
        let found: Value = serde_json::from_slice(&response.body).unwrap();
        let expected =
            json!({"name": name, "roles": [role], "means": means, "client": "127.0.0.1"});
        assert_eq!(found, expected);
    }
    assert_eq!(admin.send(&whoami).await.status, 401);
}

#[tokio::test]
async fn users_sign_in_with_any_kind_of_secret() {
    let zookeeper = ZooKeeper::shared().await;
    let users = [
        wang(),
        with_bcrypt("li", "pass: wörd+&=%", &["viewer"]),
        with_password("张", "密码", &["payout"]),
    ];
    let daemon = with_users(zookeeper, &users).start().await;
    let admin = Admin::of(&daemon).await;
    let token = token_of("wang");
    for (name, secret) in
        [(USER, PASSWORD), ("wang", token.as_str()), ("li", "pass: wörd+&=%"), ("张", "密码")]
    {
        let session = sign_in(&admin, name, secret).await;
        let response = admin.send(&Request::get("/whoami").header("Cookie", session)).await;
        let found: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!((&found["name"], &found["means"]), (&json!(name), &json!("session")));
        let wrong = admin.send(&login(name, "wrong")).await;
        assert_eq!((wrong.status, wrong.header("Set-Cookie")), (401, None), "{name}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_a_failed_login_like_any_other() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = with_users(zookeeper, &[wang()]).start().await;
    let admin = Admin::of(&daemon).await;
    let failed = [
        login(USER, "wrong"),
        login("nobody", PASSWORD),
        login("", ""),
        login("wang", &token_of("wang")[1..]),
        Request::post("/login").header("Content-Type", FORM),
        // Credentials in a header do not count here.
        login(USER, "wrong").credentials(USER, PASSWORD),
    ];
    for request in &failed {
        let response = admin.send(request).await;
        assert_eq!((response.status, response.answer().err_no), (401, 401), "{response:?}");
        for header in ["WWW-Authenticate", "Set-Cookie"] {
            assert_eq!(response.header(header), None, "{response:?}");
        }
    }
    let response = admin.send(&login(USER, "<wrong>").header(PAGE.0, PAGE.1)).await;
    assert_eq!((response.status, response.header("Set-Cookie")), (401, None));
    assert_eq!(response.header("Content-Type"), Some("text/html; charset=utf-8"));
    let page = response.text();
    assert!(
        page.contains("name or password is wrong") && page.contains("action=\"/login\""),
        "{page}"
    );
    assert!(!page.contains("<wrong>"), "{page}");
    daemon.wait_for_log(&["wrong credentials", "listener: admin"]).await;
    let count = failed.len() as f64 + 1.0;
    admin.wait_for("switcher_admin_logins_refused_total", count).await;
    let series = r#"switcher_failed_logins_total{listener="admin",answer="at_once"}"#;
    admin.wait_for(series, count).await;
    // More of them wait, and soon get 429, while the right password passes.
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let admin = Admin { address: admin.address.clone() };
        waiting
            .spawn(async move { admin.send(&login(USER, "wrong").header(PAGE.0, PAGE.1)).await });
    }
    let answers = waiting.join_all().await;
    let refused: Vec<_> = answers.iter().filter(|it| it.status == 429).collect();
    assert!(!refused.is_empty(), "{answers:?}");
    for answer in refused {
        assert!(answer.header("Retry-After").is_some(), "{answer:?}");
        assert!(answer.text().contains("too many failed logins"), "{answer:?}");
    }
    sign_in(&admin, USER, PASSWORD).await;
}

#[tokio::test]
async fn a_sign_in_never_takes_over_a_session_that_the_browser_had() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = with_users(zookeeper, &[wang()]).start().await;
    let admin = Admin::of(&daemon).await;
    let planted = sign_in(&admin, "wang", &token_of("wang")).await;
    let other = sign_in(&admin, "wang", &token_of("wang")).await;
    let name = planted.split('=').next().unwrap();
    let invented = format!("{name}={}", "ab".repeat(32));
    let cookies = format!("{planted}; {invented}");
    // A failed one ends nothing.
    let failed = login(USER, "wrong").header("Cookie", &cookies);
    assert_eq!(admin.send(&failed).await.status, 401);
    assert_eq!(status_with(&admin, &planted).await, 200);
    let response = admin.send(&login(USER, PASSWORD).header("Cookie", &cookies)).await;
    let own = cookie(&response);
    assert!(own != planted && own != invented, "{own}");
    assert_eq!(status_with(&admin, &own).await, 200);
    assert_eq!(status_with(&admin, &planted).await, 401);
    assert_eq!(status_with(&admin, &invented).await, 401);
    assert_eq!(status_with(&admin, &other).await, 200, "a session of another browser");
}

/// Reads until the stream's end, before which no change may come.
async fn ends_without_a_change(mut events: Events) {
    let rest = events.rest().await.expect("the stream ends");
    assert!(!rest.contains("event: change"), "{rest}");
}

#[tokio::test]
async fn a_sign_out_ends_the_session_and_its_streams() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = with_users(zookeeper, &[wang()]).start().await;
    let admin = Admin::of(&daemon).await;
    let [mine, other] =
        [sign_in(&admin, USER, PASSWORD).await, sign_in(&admin, USER, PASSWORD).await];
    let stream = |cookie: &str| Request::get("/recent/stream").header("Cookie", cookie);
    let events = Events::of(&admin, &stream(&mine)).await;
    let mut others = Events::of(&admin, &stream(&other)).await;
    assert_eq!((events.status, others.status), (200, 200));
    let request = logout().header("Cookie", &mine).header("Sec-Fetch-Site", "same-origin");
    let response = admin.send(&request).await;
    assert_eq!((response.status, response.header("Location")), (303, Some("/login")));
    let removed = response.header("Set-Cookie").unwrap();
    let name = mine.split('=').next().unwrap();
    assert_eq!(removed, format!("{name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"));
    assert_eq!(status_with(&admin, &mine).await, 401);
    assert!(daemon.switch("alice", "btc").await.success);
    assert_eq!(others.change().await["sub_account"], "alice");
    ends_without_a_change(events).await;
    assert_eq!(status_with(&admin, &other).await, 200);
    daemon.wait_for_log(&["signed out", &format!("actor: {USER}")]).await;
    // Without a session it leads to the page, too.
    let response = admin.send(&logout()).await;
    assert_eq!((response.status, response.header("Location")), (303, Some("/login")));
}

#[tokio::test]
async fn a_reload_that_changes_or_removes_a_user_ends_its_sessions_and_streams() {
    let zookeeper = ZooKeeper::shared().await;
    let li = with_token("li", &["viewer"]);
    let builder = with_users(zookeeper, &[wang(), li.clone()]);
    let daemon = builder.start().await;
    let admin = Admin::of(&daemon).await;
    let more = with_token("wang", &["admin"]);
    for (changed, back) in [(vec![li.clone()], wang()), (vec![li, more], wang())] {
        let mine = sign_in(&admin, "wang", &token_of("wang")).await;
        let own = sign_in(&admin, USER, PASSWORD).await;
        let request = Request::get("/recent/stream").header("Cookie", &mine);
        let events = Events::of(&admin, &request).await;
        assert_eq!(events.status, 200);
        applied(&daemon, &builder.clone().users(&changed)).await;
        assert!(daemon.switch("alice", "btc").await.success);
        ends_without_a_change(events).await;
        // The previous entry does not bring the session back.
        applied(&daemon, &builder.clone().users(&[back])).await;
        assert_eq!(status_with(&admin, &mine).await, 401);
        assert_eq!(status_with(&admin, &own).await, 200, "another user's session");
    }
    let own = sign_in(&admin, USER, PASSWORD).await;
    applied(&daemon, &builder.clone().set("APIPassword", "another")).await;
    assert_eq!(status_with(&admin, &own).await, 401);
}

type Headers = Vec<(&'static str, String)>;

/// Headers that a browser adds to a request for `host`, and whether a cookie, or a form without one, is accepted with
/// them.
fn sites(host: &str) -> Vec<(Headers, bool, bool)> {
    let text = str::to_owned;
    let own = format!("http://{host}");
    vec![
        (vec![], false, true),
        (vec![("Sec-Fetch-Site", text("same-origin"))], true, true),
        (vec![("Sec-Fetch-Site", text("none"))], false, true),
        (vec![("Sec-Fetch-Site", text("same-site"))], false, false),
        (vec![("Sec-Fetch-Site", text("cross-site"))], false, false),
        (vec![("Sec-Fetch-Site", text("cross-site")), ("Origin", own.clone())], false, false),
        (vec![("Origin", own.clone())], true, true),
        (vec![("Origin", text("http://evil.example"))], false, false),
        (vec![("Origin", text("null"))], false, false),
        (vec![("Referer", format!("{own}/"))], false, true),
        (vec![("Referer", text("http://evil.example/"))], false, false),
    ]
}

#[tokio::test]
async fn a_cookie_changes_something_only_from_a_page_that_proves_to_be_ours() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = with_users(zookeeper, &[wang()]).start().await;
    let admin = Admin::of(&daemon).await;
    let znodes = zookeeper.znodes().await;
    let session = sign_in(&admin, USER, PASSWORD).await;
    for (index, (said, by_cookie, by_form)) in sites(&admin.address).into_iter().enumerate() {
        let with = |request: Request| {
            let request = request.host(&admin.address);
            said.iter().fold(request, |request, (name, value)| request.header(name, value))
        };
        let name = format!("user{index}");
        let response = admin.send(&with(batch(&name)).header("Cookie", &session)).await;
        let expected = if by_cookie { 200 } else { 403 };
        assert_eq!(response.status, expected, "{said:?}: {response:?}");
        let written = znodes.get(&daemon.path(&name)).await;
        assert_eq!(written.is_some(), by_cookie, "{said:?}");
        for path in ["/subpool/get-coinbase", "/undo", "/nonsense"] {
            let request = with(Request::post(path).body("{}")).header("Cookie", &session);
            let status = admin.send(&request).await.status;
            assert_eq!(status == 403, !by_cookie, "{said:?}: {path} {status}");
        }
        let response = admin.send(&with(login(USER, PASSWORD))).await;
        assert_eq!(response.status, if by_form { 303 } else { 403 }, "{said:?}: {response:?}");
        assert_eq!(response.header("Set-Cookie").is_some(), by_form);
        if !by_form {
            continue;
        }
        let mine = cookie(&response);
        let out = with(logout()).header("Cookie", &mine);
        assert_eq!(admin.send(&out).await.status, if by_cookie { 303 } else { 403 }, "{said:?}");
        assert_eq!(status_with(&admin, &mine).await == 401, by_cookie, "{said:?}");
    }
}

#[tokio::test]
async fn the_forms_are_small_and_forms() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = with_users(zookeeper, &[wang()]).start().await;
    let admin = Admin::of(&daemon).await;
    let body = format!("name={USER}&password={PASSWORD}");
    for path in ["/login", "/logout"] {
        for content_type in ["application/json", "text/plain", "multipart/form-data; boundary=x"] {
            let request = Request::post(path).header("Content-Type", content_type);
            let response = admin.send(&request.body(body.as_str())).await;
            assert_eq!((response.status, response.answer().err_no), (415, 415), "{response:?}");
        }
        assert_eq!(admin.send(&Request::post(path).body(body.as_str())).await.status, 415);
        let form = Request::post(path).header("Content-Type", format!("{FORM}; charset=UTF-8"));
        let fits = form.clone().body(format!("{body}&x={}", "x".repeat(4096 - body.len() - 3)));
        assert_eq!(admin.send(&fits).await.status, 303);
        let large = form.body(format!("{body}&x={}", "x".repeat(4096 - body.len() - 2)));
        let response = admin.send(&large).await;
        assert_eq!((response.status, response.answer().err_no), (413, 413), "{response:?}");
        assert_eq!(response.header("Set-Cookie"), None);
    }
    for (method, path, allowed) in [
        ("PUT", "/login", "GET, HEAD, POST"),
        ("GET", "/logout", "POST"),
        ("DELETE", "/logout", "POST"),
    ] {
        let response = admin.send(&Request::new(method, path)).await;
        assert_eq!((response.status, response.header("Allow")), (405, Some(allowed)), "{path}");
    }
    let other_host = login(USER, PASSWORD).host("evil.example");
    assert_eq!(admin.send(&other_host).await.status, 421);
}

#[tokio::test]
async fn the_page_needs_no_credentials_and_has_no_script() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = with_users(zookeeper, &[wang()]).start().await;
    let admin = Admin::of(&daemon).await;
    // A link on another site leads to the console, and from there to this page.
    let link = [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
    ];
    let request =
        link.iter().fold(Request::get("/login"), |it, (name, value)| it.header(name, value));
    for request in
        [Request::get("/login"), request, Request::get("/login").credentials(USER, "wrong")]
    {
        let response = admin.send(&request).await;
        assert_eq!(response.status, 200, "{response:?}");
        let policy = response.header("Content-Security-Policy").unwrap();
        for part in ["default-src 'none'", "form-action 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert_eq!(response.header("X-Frame-Options"), Some("DENY"));
        assert_eq!(response.header("Cache-Control"), Some("no-store"));
        let page = response.text();
        assert!(!page.contains("<script") && !page.contains("<!-- message -->"), "{page}");
    }
    for path in ["/login.css", "/console/icon.svg"] {
        assert_eq!(admin.send(&Request::get(path)).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn browsers_are_led_to_the_page_and_programs_get_the_challenge() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = with_users(zookeeper, &[wang()]).start().await;
    let admin = Admin::of(&daemon).await;
    let ended = format!("switcher_session_{}=x", admin.address.rsplit(':').next().unwrap());
    let mode = |mode: &'static str| ("Sec-Fetch-Mode", mode);
    let json = ("Accept", "application/json");
    for path in ["/", "/docs", "/status", "/nonsense"] {
        for (headers, status, challenge) in [
            (vec![], 401, CHALLENGE),
            (vec![("Accept", "*/*")], 401, CHALLENGE),
            (vec![PAGE], 303, None),
            (vec![PAGE, mode("navigate")], 303, None),
            (vec![PAGE, ("Cookie", &ended)], 303, None),
            (vec![json, mode("cors")], 401, None),
            (vec![PAGE, mode("cors")], 401, None),
            (vec![json, ("Cookie", &ended)], 401, None),
            (vec![json, ("Referer", "http://localhost/")], 401, None),
            (vec![json, ("Cookie", "other=x")], 401, CHALLENGE),
            // A header wins, and a wrong one is a failed login.
            (vec![PAGE, ("Authorization", "Basic eDp5")], 401, CHALLENGE),
        ] {
            let request =
                headers.iter().fold(Request::get(path), |it, (name, value)| it.header(name, value));
            let response = admin.send(&request).await;
            assert_eq!(response.status, status, "{path} {headers:?}: {response:?}");
            assert_eq!(response.header("WWW-Authenticate"), challenge, "{path} {headers:?}");
            assert_eq!(response.header("Location"), (status == 303).then_some("/login"));
        }
    }
    let form = Request::post("/").header(PAGE.0, PAGE.1);
    assert_eq!(admin.send(&form).await.header("WWW-Authenticate"), CHALLENGE);
    let session = sign_in(&admin, USER, PASSWORD).await;
    for (credentials, status) in [((USER, PASSWORD), 200), ((USER, "wrong"), 401), (("", ""), 401)]
    {
        let request = Request::get("/status").credentials(credentials.0, credentials.1);
        let response = admin.send(&request.header("Cookie", &session)).await;
        assert_eq!(response.status, status, "{credentials:?}");
    }
}

#[tokio::test]
async fn without_a_users_file_there_is_no_sign_in_and_every_answer_is_the_challenge() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = Daemon::builder(zookeeper).admin().start().await;
    let admin = Admin::of(&daemon).await;
    let cookie = format!("switcher_session_{}=x", admin.address.rsplit(':').next().unwrap());
    let page =
        |path: &str| Request::get(path).header(PAGE.0, PAGE.1).header("Sec-Fetch-Mode", "navigate");
    for request in [
        page("/"),
        page("/login"),
        page("/logout"),
        page("/docs"),
        Request::get("/login.css"),
        Request::get("/console/icon.svg"),
        Request::get("/status").header("Sec-Fetch-Mode", "cors").header("Cookie", &cookie),
        Request::get("/status").header("Referer", "http://localhost/"),
        login(USER, PASSWORD),
        logout(),
    ] {
        let response = admin.send(&request).await;
        let mut names: Vec<_> =
            response.headers.iter().map(|(name, _)| name.to_lowercase()).collect();
        names.sort();
        let known = [
            "connection",
            "content-length",
            "content-type",
            "date",
            "www-authenticate",
            "x-request-id",
        ];
        assert_eq!(
            (response.status, names),
            (401, known.map(str::to_owned).to_vec()),
            "{request:?}"
        );
        assert_eq!(response.header("WWW-Authenticate"), CHALLENGE);
        assert_eq!(response.text(), "<h1>401 - Unauthorized</h1>", "{request:?}");
    }
    // With credentials, the paths are unknown.
    for request in [Request::get("/login"), login(USER, PASSWORD), logout()] {
        let response = admin.send(&request.credentials(USER, PASSWORD)).await;
        assert_eq!(response.status, 404, "{response:?}");
        assert!(response.text().contains("no such path"), "{response:?}");
    }
}

#[tokio::test]
async fn a_user_has_sixteen_sessions_and_the_oldest_gives_way() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = with_users(zookeeper, &[wang()]).start().await;
    let admin = Admin::of(&daemon).await;
    let others = sign_in(&admin, "wang", &token_of("wang")).await;
    let mut sessions = Vec::new();
    for _ in 0..17 {
        sessions.push(sign_in(&admin, USER, PASSWORD).await);
    }
    assert_eq!(status_with(&admin, &sessions[0]).await, 401);
    for session in sessions[1..].iter().chain([&others]) {
        assert_eq!(status_with(&admin, session).await, 200);
    }
}

#[tokio::test]
async fn cookie_and_own_pages_are_secure_when_a_trusted_proxy_has_tls() {
    let zookeeper = ZooKeeper::shared().await;
    for (proxies, protocol, is_secure) in [
        (json!(["127.0.0.0/8"]), "https", true),
        (json!(["127.0.0.0/8"]), "http", false),
        (json!(["10.0.0.0/8"]), "https", false),
    ] {
        let daemon = with_users(zookeeper, &[wang()]).set("TrustedProxies", proxies).start().await;
        let admin = Admin::of(&daemon).await;
        for request in [login(USER, PASSWORD), logout()] {
            let response = admin.send(&request.header("X-Forwarded-Proto", protocol)).await;
            let set = response.header("Set-Cookie").unwrap();
            assert_eq!(set.ends_with("; SameSite=Strict; Secure"), is_secure, "{set}");
        }
        // Its pages are https, by the same rule.
        for (scheme, is_own) in [("https", is_secure), ("http", !is_secure)] {
            let request = login(USER, PASSWORD).host("localhost:1");
            let request = request.header("Origin", format!("{scheme}://localhost:1"));
            let response = admin.send(&request.header("X-Forwarded-Proto", protocol)).await;
            assert_eq!(response.status == 303, is_own, "{scheme}: {response:?}");
        }
    }
}

#[tokio::test]
async fn under_tls_the_cookie_is_secure_and_our_own_pages_are_https() {
    let authority = Authority::new("root");
    let builder = with_users(ZooKeeper::shared().await, &[wang()]);
    let daemon = tls::with(builder, &authority.server()).start().await;
    let (admin, client) = (daemon.admin().await, tls::trusting(&authority));
    let send = async |request: Request| {
        let mut connection = Connection::open_tls(&admin, &client).await.unwrap();
        connection.send(&request.host(&admin)).await.unwrap()
    };
    let response = send(login(USER, PASSWORD)).await;
    let set = response.header("Set-Cookie").unwrap();
    assert!(set.ends_with("; SameSite=Strict; Secure"), "{set}");
    for (scheme, status) in [("https", 200), ("http", 403)] {
        let request = batch("alice").header("Origin", format!("{scheme}://{admin}"));
        let response = send(request.header("Cookie", cookie(&response))).await;
        assert_eq!(response.status, status, "{scheme}: {response:?}");
    }
}

#[tokio::test]
async fn another_spelling_of_the_path_is_no_sign_in() {
    let zookeeper = ZooKeeper::shared().await;
    let daemon = with_users(zookeeper, &[wang()]).start().await;
    let admin = Admin::of(&daemon).await;
    let request = Request::post("/%6cogin").body("name=wang&password=x");
    let form = request.header("Content-Type", "application/x-www-form-urlencoded");
    assert_eq!(admin.send(&form).await.status, 401);
    let response = admin.send(&form.credentials(USER, PASSWORD)).await;
    assert_eq!(response.status, 404, "{response:?}");
}

#[tokio::test]
async fn a_sign_in_that_a_reload_overtakes_begins_no_session() {
    let zookeeper = ZooKeeper::shared().await;
    let builder = with_users(zookeeper, &[wang()]);
    let daemon = builder.start().await;
    let admin = Admin::of(&daemon).await;
    let body = format!("name=wang&password={}", token_of("wang"));
    let head = format!(
        "POST /login HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n",
        admin.address,
        body.len()
    );
    let mut stream = TcpStream::connect(&admin.address).await.unwrap();
    stream.write_all((head + &body[..9]).as_bytes()).await.unwrap();
    // The daemon has the head when it answers another connection.
    assert_eq!(admin.send(&Request::get("/healthz")).await.status, 200);
    applied(&daemon, &builder.clone().users(&[])).await;
    stream.write_all(&body.as_bytes()[9..]).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 ") && !answer.contains("et-cookie"), "{answer}");
}
