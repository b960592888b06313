//! Paths that serve the list, and those that never do.

use super::{ALICE, EMPTY, get, ready, with_list};
use crate::support::{
    client::{self, Request},
    daemon::{PASSWORD, USER},
};

#[tokio::test]
async fn a_mistyped_switch_is_never_a_list() {
    let (_upstream, builder) = with_list(ALICE).await;
    let daemon = builder.start().await;
    ready(daemon.base()).await;
    for path in [
        "/SWITCH",
        "/switch/",
        "/switch/x",
        "/Switch-multi-user",
        "/switches",
        "//switch",
        "/a/../switch",
        "/%53witch",
        "/%2e/switch",
        "/switch%2f",
        "/subpool",
        "/SUBPOOL/get",
        "/%zz",
    ] {
        let target = format!("{path}?puname=alice&coin=btc");
        for method in ["GET", "HEAD", "POST"] {
            let anonymous = Request::new(method, &target);
            let response = client::send(daemon.base(), &anonymous).await.unwrap();
            let err_no = if method == "HEAD" { 404 } else { response.answer().err_no };
            assert_eq!((response.status, err_no), (404, 404), "{method} {target}: {response:?}");
        }
    }
    for path in ["/SWITCH", "/switch/x", "/foo", "/", "/subpool"] {
        for password in [PASSWORD, "wrong", ""] {
            let request = Request::get(path).credentials(USER, password);
            let response = client::send(daemon.base(), &request).await.unwrap();
            assert_eq!((response.status, response.answer().err_no), (404, 404), "{path}");
        }
    }
    for path in ["/", "/foo", "/favicon.ico", "/api/switch", "/*"] {
        assert_eq!(get(daemon.base(), path).await.text(), ALICE, "{path}");
    }
    // The switcher's own paths are as before.
    assert_eq!(get(daemon.base(), "/switch?puname=alice&coin=btc").await.status, 401);
    assert_eq!(daemon.switch("carol", "bcc").await, client::Answer::success());
}

#[tokio::test]
async fn without_lists_no_path_serves_one() {
    let (_upstream, builder) = with_list(ALICE).await;
    let daemon = builder.without("UserListAPI").start().await;
    for path in ["/", "/foo"] {
        assert_eq!(get(daemon.base(), path).await.status, 401, "{path}");
        let known = Request::get(path).credentials(USER, PASSWORD);
        assert_eq!(client::send(daemon.base(), &known).await.unwrap().status, 404, "{path}");
    }
}

#[tokio::test]
async fn each_new_path_is_logged_once_and_not_too_many() {
    let (_upstream, builder) = with_list(ALICE).await;
    let daemon = builder.start().await;
    ready(daemon.base()).await;
    let mut connection = daemon.connect().await;
    for number in 0..150 {
        for _ in 0..2 {
            let request = Request::get(&format!("/path{number}?coin=nothing"));
            assert_eq!(connection.send(&request).await.unwrap().text(), EMPTY);
        }
    }
    daemon.wait_for_log(&["no more of them are logged"]).await;
    assert_eq!(daemon.log_with(&["user list read under a path", "path0"]).len(), 1);
    assert_eq!(daemon.log_with(&["user list read under a path"]).len(), 100);
}
