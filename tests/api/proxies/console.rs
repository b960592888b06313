//! The console under a proxy's name.

use super::*;
use crate::console::browser::Browser;
use crate::console::browser_programs;
use crate::support::client::{Answer, Request};

/// A sign-in of wang, with these headers of a browser.
fn login(headers: &[(&str, String)]) -> Request {
    let request = Request::post("/login")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("name=wang&password=secret");
    headers.iter().fold(request, |request, (name, value)| request.header(name, value))
}

#[tokio::test]
async fn a_form_of_the_https_page_signs_in_and_the_cookie_is_secure() {
    for kind in Kind::installed() {
        let (_daemon, proxy) = start(kind).await;
        let own = ("Origin", format!("https://{}", proxy.host(CONSOLE)));
        let site = |site: &str| ("Sec-Fetch-Site", site.to_owned());
        // With or without Sec-Fetch-Site, which old browsers do not send.
        for headers in [vec![own.clone()], vec![own.clone(), site("same-origin")]] {
            let response = proxy.send(CONSOLE, OPERATOR, login(&headers)).await;
            assert_eq!(response.status, 303, "{kind:?}: {response:?}");
            let set = response.header("Set-Cookie").unwrap();
            let (cookie, attributes) = set.split_once("; ").unwrap();
            let secure = "Path=/; Max-Age=43200; HttpOnly; SameSite=Strict; Secure";
            assert_eq!(attributes, secure, "{kind:?}");
            let whoami = Request::get("/whoami").header("Cookie", cookie);
            let whoami = proxy.send(CONSOLE, OPERATOR, whoami).await;
            let whoami: Value = serde_json::from_slice(&whoami.body).unwrap();
            let fields = ["name", "means", "client"].map(|name| whoami[name].clone());
            assert_eq!(fields, ["wang", "session", "127.0.0.3"], "{kind:?}");
            let batch = Request::batch(r#"{"usercoins":[{"coin":"btc","punames":["alice"]}]}"#);
            let batch = batch.header("Cookie", cookie).header(own.0, &own.1);
            let response = proxy.send(CONSOLE, OPERATOR, batch).await;
            assert_eq!(response.answer(), Answer::success(), "{kind:?}");
        }
        let plain = ("Origin", format!("http://{}", proxy.host(CONSOLE)));
        let other = ("Origin", "https://evil.example".to_owned());
        for headers in [vec![plain], vec![other], vec![own, site("same-site")]] {
            let response = proxy.send(CONSOLE, OPERATOR, login(&headers)).await;
            assert_eq!(response.status, 403, "{kind:?}: {headers:?}: {response:?}");
        }
    }
}

#[tokio::test]
async fn an_operator_signs_in_switches_and_signs_out_in_a_browser() {
    let Some(programs) = browser_programs() else { return };
    for kind in Kind::installed() {
        let (daemon, proxy) = start(kind).await;
        let flags =
            ["--host-resolver-rules=MAP *.example.com 127.0.0.1", "--ignore-certificate-errors"];
        let browser = Browser::start_with(programs.clone(), &flags).await;
        browser.open(&format!("https://{}/", proxy.host(CONSOLE))).await;
        browser.wait_for_text("main", "Programs do not sign in").await;
        browser.fill("#name", "wang").await;
        browser.fill("#password", "secret").await;
        browser.click("button").await;
        browser.wait_for_text("#stream-state", "live").await;
        browser.wait_for_text("#user", "wang (switcher)").await;
        assert_eq!(browser.run("return document.cookie;").await, "", "{kind:?}");
        browser.fill("#switch-name", "alice").await;
        browser.click("#switch-go").await;
        browser.wait_until("document.querySelector('#confirm').open").await;
        browser.click("#confirm-yes").await;
        browser.wait_for_text("#switch-outcome", "Switched: alice").await;
        browser.wait_for_text("#changes-rows tr", "alice").await;
        assert_eq!(browser.text("#changes-rows .who").await, "wang\nconsole 127.0.0.1");
        // Another's change comes by the stream.
        assert_eq!(daemon.switch("bob", "btc").await, Answer::success());
        browser.wait_for_text("#changes-rows tr", "bob").await;
        browser.keep_view(&format!("console-behind-{kind:?}").to_lowercase()).await;
        browser.click("#sign-out").await;
        browser.wait_for_text("main", "Programs do not sign in").await;
        assert_eq!(browser.complaints().await, Vec::<String>::new(), "{kind:?}");
    }
}
