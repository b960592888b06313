//! The stream of changes through a proxy.

use rustix::process::Signal;

use super::*;
use crate::admin::Admin;
use crate::admin::events::{Event, Events};
use crate::support::client::{Answer, Request};
use crate::support::seconds;

async fn stream(proxy: &Proxy) -> Events {
    let request = as_backend(Request::get("/recent/stream")).host(&proxy.host(CONSOLE));
    Events::over(Box::new(proxy.connect(CONSOLE, OPERATOR).await), &request).await
}

#[tokio::test]
async fn each_event_arrives_by_itself_and_a_quiet_stream_stays_open() {
    for kind in Kind::installed() {
        let (daemon, proxy) = start(kind).await;
        let mut events = stream(&proxy).await;
        assert_eq!(events.status, 200, "{kind:?}");
        let greeting = Event::Comment("changes follow".to_owned());
        assert_eq!(events.next_of_all(seconds(20)).await, Some(greeting), "{kind:?}");
        for user in ["alice", "bob"] {
            assert_eq!(daemon.switch(user, "btc").await, Answer::success());
            assert_eq!(events.change().await["sub_account"], user, "{kind:?}");
        }
        let heartbeat = Event::Comment("heartbeat".to_owned());
        assert_eq!(events.next_of_all(seconds(20)).await, Some(heartbeat), "{kind:?}");
    }
}

#[tokio::test]
async fn a_stream_whose_client_has_left_leaves_room_for_another_at_once() {
    for kind in Kind::installed() {
        let (daemon, proxy) = start(kind).await;
        // A stream past the proxy, older than the others: its heartbeat comes first. A proxy that notices the end of a
        // client only when it sends something has freed no place by then.
        let mut first = Events::open(&Admin::of(&daemon).await).await;
        first.next_of_all(seconds(20)).await.expect("the greeting");
        let mut streams = Vec::new();
        for _ in 0..7 {
            streams.push(stream(&proxy).await);
        }
        assert!(streams.iter().all(|it| it.status == 200), "{kind:?}");
        assert_eq!(stream(&proxy).await.status, 503, "{kind:?}: no room for a ninth");
        drop(streams);
        tokio::select! {
            biased;
            event = first.next_of_all(seconds(60)) => panic!("{kind:?}: {event:?} and no room"),
            () = async { while stream(&proxy).await.status != 200 {} } => {}
        }
    }
}

#[tokio::test]
async fn an_open_stream_does_not_hold_up_the_daemons_end() {
    for kind in Kind::installed() {
        let (mut daemon, proxy) = start(kind).await;
        let mut events = stream(&proxy).await;
        events.next_of_all(seconds(20)).await.expect("the greeting");
        daemon.signal(Signal::TERM);
        assert_eq!(daemon.wait_exit(seconds(20)).await.code(), Some(0), "{kind:?}");
        assert!(daemon.log_with(&["grace period is over"]).is_empty(), "{kind:?}");
    }
}
