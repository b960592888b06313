//! Which handshakes succeed.

use tokio_rustls::rustls::version::{TLS12, TLS13};

use super::{open, patient, send, trusting};
use crate::support::certificates::Authority;
use crate::support::client::{Answer, Request};

#[tokio::test]
async fn both_versions_are_spoken_at_both_listeners() {
    let authority = Authority::new("root");
    let daemon = patient(&authority).await.start().await;
    for version in [&TLS12, &TLS13] {
        let client = authority.trusting(&[version], None);
        let mut api = open(daemon.base(), &client).await;
        let answer = send(&mut api, Request::switch("alice", "btc")).await.answer();
        assert_eq!(answer, Answer::success(), "{version:?}");
        let mut admin = open(&daemon.admin().await, &client).await;
        assert_eq!(send(&mut admin, Request::get("/status")).await.status, 200, "{version:?}");
    }
    let _ = trusting(&authority);
}
