//! Access to the list API: addresses, credentials, a listener of its own.

use rustix::process::Signal;
use serde_json::json;

use super::{ALICE, get, ready, with_list};
use crate::support::{
    client::{self, Request},
    daemon::{PASSWORD, USER},
};

#[tokio::test]
async fn clients_of_other_addresses_are_refused() {
    let (_upstream, builder) = with_list(ALICE).await;
    let builder = builder.set("UserListAllow", json!(["10.0.0.0/8", "::1"]));
    let daemon = builder.start().await;
    for target in ["/", "/foo?coin=btc"] {
        let refused = get(daemon.base(), target).await;
        assert_eq!((refused.status, refused.answer().err_no), (403, 403), "{refused:?}");
    }
    assert_eq!(daemon.switch("alice", "bcc").await, client::Answer::success());
    builder.set("UserListAllow", json!(["127.0.0.0/8"])).write_config();
    daemon.signal(Signal::HUP);
    daemon.wait_for_log(&["configuration reloaded", "UserListAllow"]).await;
    assert_eq!(ready(daemon.base()).await.text(), ALICE);
}

#[tokio::test]
async fn lists_have_credentials_of_their_own() {
    let (_upstream, builder) = with_list(ALICE).await;
    let builder = builder.set("UserListUser", "sserver").set("UserListPassword", "polls-lists");
    let daemon = builder.start().await;
    let with = async |path: &str, user: &str, password: &str| {
        let request = Request::get(path).credentials(user, password);
        client::send(daemon.base(), &request).await.unwrap()
    };
    assert_eq!(get(daemon.base(), "/").await.status, 401);
    crate::support::eventually("the list", crate::support::seconds(30), || async {
        (with("/", "sserver", "polls-lists").await.text() == ALICE).then_some(())
    })
    .await;
    assert_eq!(with("/foo", "sserver", "polls-lists").await.text(), ALICE);
    assert_eq!(with("/", "sserver", "wrong").await.status, 401);
    assert_eq!(with("/", USER, PASSWORD).await.status, 404);
    let switch = with("/switch?puname=a&coin=btc", "sserver", "polls-lists").await;
    assert_eq!(switch.status, 401, "they are not those of the API");
    for path in ["/SWITCH", "/switch/x"] {
        assert_eq!(with(path, "sserver", "polls-lists").await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_listener_of_their_own_serves_lists_alone() {
    let (_upstream, builder) = with_list(ALICE).await;
    let builder = builder.set("UserListAddr", "127.0.0.1:0");
    let without_api = builder.clone().set("EnableAPIServer", false).check().await.stdout;
    assert!(without_api.contains("configuration is good"), "{without_api}");

    let daemon = builder.start().await;
    assert_eq!(get(daemon.base(), "/").await.status, 401, "the API serves no list then");
    let line = daemon.wait_for_log(&["user lists are served"]).await;
    let address = line.split("address: ").nth(1).unwrap().trim().to_owned();
    assert_eq!(ready(&address).await.text(), ALICE);
    let switch = Request::switch("alice", "bcc").credentials(USER, PASSWORD);
    assert_eq!(client::send(&address, &switch).await.unwrap().status, 404);
    assert_eq!(get(&address, "/switch").await.status, 401);
}
