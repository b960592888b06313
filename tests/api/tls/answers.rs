//! Requests and answers over TLS: what holds without TLS holds with it.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::{known, open, patient, send, trusting};
use crate::admin::Admin;
use crate::support::certificates::Authority;
use crate::support::client::{Answer, Connection, Request, connect_narrow, shake_hands};
use crate::support::zookeeper::ZooKeeper;
use crate::support::{eventually, seconds};

#[tokio::test]
async fn a_pipeline_is_answered_in_its_order() {
    const TIMES: usize = 200;
    let authority = Authority::new("root");
    let daemon = patient(&authority).await.start().await;
    let good = known(Request::switch("alice", "btc")).head_bytes();
    let bad = known(Request::switch("a/b", "btc")).head_bytes();
    for pause in [0, 1] {
        let tcp = connect_narrow(daemon.base(), 1024).await.unwrap();
        let stream = shake_hands(tcp, &trusting(&authority)).await.unwrap();
        let mut connection = Connection::over(stream);
        let both = [&good[..], &bad[..]].concat();
        let answers = connection.pipeline(&both, TIMES, seconds(pause), 2 * TIMES).await.unwrap();
        for pair in answers.chunks(2) {
            assert_eq!((pair[0].err_no, pair[1].err_no), (0, 102));
        }
    }
}

#[tokio::test]
async fn a_large_batch_arrives_whole_and_so_do_its_results() {
    let authority = Authority::new("root");
    let daemon = patient(&authority).await.start().await;
    let names: Vec<String> = (0..200_000).map(|n| format!("{n:0>18}")).collect();
    let batch = json!({"usercoins": [{"coin": "btc", "punames": names}]}).to_string();
    assert!(batch.len() > 4 << 20);
    let mut connection = open(daemon.base(), &trusting(&authority)).await;
    let dry = Request::post("/switch/multi-user?dry_run=true").body(batch.clone());
    let answer = send(&mut connection, dry).await;
    let results: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(results["results"].as_array().unwrap().len(), names.len());
    assert_eq!(results["results"][199_999]["puname"], names[199_999]);
    // With an interim answer before the body.
    let expecting = Request::batch(batch).header("Expect", "100-continue");
    assert_eq!(send(&mut connection, expecting).await.answer(), Answer::success());
    let znodes = ZooKeeper::shared().await.znodes().await;
    assert_eq!(znodes.get(&daemon.path(&names[199_999])).await.as_deref(), Some("btc"));
}

#[tokio::test]
async fn a_client_that_takes_no_answer_is_hung_up_on() {
    let authority = Authority::new("root");
    let builder = patient(&authority).await.set("TLSListeners", json!(["api"]));
    let daemon = builder.set("APIHeadTimeoutSeconds", 1).start().await;
    let before = daemon.descriptors();
    let tcp = connect_narrow(daemon.base(), 1024).await.unwrap();
    let mut stream = shake_hands(tcp, &trusting(&authority)).await.unwrap();
    let requests = known(Request::switch("a/b", "btc")).head_bytes().repeat(100);
    let flood = async { while stream.write_all(&requests).await.is_ok() {} };
    let cut = eventually("the daemon hangs up", seconds(60), || async {
        (daemon.descriptors() <= before).then_some(())
    });
    tokio::select! {
        () = flood => {}
        () = async { sleep(seconds(1)).await; cut.await } => {}
    }
}

/// A stream that ended by itself, not by an error: the client can be sure that it has all of it.
async fn read_to_its_end(mut stream: impl AsyncReadExt + Unpin) -> String {
    let mut said = Vec::new();
    let read = timeout(seconds(30), stream.read_to_end(&mut said)).await;
    read.expect("an end").expect("an end of TLS, not of the socket alone");
    String::from_utf8(said).unwrap()
}

#[tokio::test]
async fn the_end_of_a_connection_is_the_end_of_tls() {
    let authority = Authority::new("root");
    let daemon = patient(&authority).await.set("APIHeadTimeoutSeconds", 2).start().await;
    let client = trusting(&authority);
    let switch = known(Request::switch("alice", "btc"));
    let stranger = Request::switch("alice", "btc").head_bytes();
    for (bytes, end) in [
        (switch.clone().header("Connection", "close").head_bytes(), r#""success":true}"#),
        // Refused, with requests behind.
        ([stranger, switch.head_bytes().repeat(1000)].concat(), ""),
        // Too slow for another request, and for the first.
        (switch.head_bytes(), r#""success":true}"#),
        (b"GET".to_vec(), "not arrive within 2 seconds\",\"success\":false}"),
        (Vec::new(), ""),
    ] {
        let tcp = TcpStream::connect(daemon.base()).await.unwrap();
        let mut stream = shake_hands(tcp, &client).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        stream.flush().await.unwrap();
        let said = read_to_its_end(stream).await;
        assert!(said.ends_with(end), "{said}");
        assert_eq!(said.is_empty(), bytes.is_empty(), "{said}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_whether_or_not_it_ends_tls() {
    const STREAMS: usize = 8;
    let authority = Authority::new("root");
    let daemon = patient(&authority).await.start().await;
    let (admin, client) = (daemon.admin().await, trusting(&authority));
    let stream = async || {
        let tcp = TcpStream::connect(&admin).await.unwrap();
        let mut stream = shake_hands(tcp, &client).await.unwrap();
        let request = known(Request::get("/recent/stream")).head_bytes();
        stream.write_all(&request).await.unwrap();
        let mut line = [0; 12];
        stream.read_exact(&mut line).await.unwrap();
        (stream, line == *b"HTTP/1.1 200")
    };
    for ends_tls in [true, false, true] {
        let mut open = Vec::new();
        while open.len() < STREAMS {
            let (stream, is_open) = stream().await;
            match is_open {
                true => open.push(stream),
                false => sleep(Duration::from_millis(50)).await,
            }
        }
        assert!(!stream().await.1, "no place is left");
        for mut stream in open {
            if ends_tls {
                stream.shutdown().await.unwrap();
                // The socket stays open for a while.
                tokio::spawn(async move {
                    sleep(seconds(60)).await;
                    drop(stream)
                });
            }
        }
    }
}

#[tokio::test]
async fn a_browsers_own_pages_are_https() {
    let authority = Authority::new("root");
    let daemon = patient(&authority).await.start().await;
    let address = daemon.admin().await;
    let client = trusting(&authority);
    let status = async |request| send(&mut open(&address, &client).await, request).await.status;
    let by_post = |origin: &str| {
        Request::post("/switch/multi-user")
            .host(&address)
            .header("Origin", format!("{origin}{address}"))
            .body(r#"{"usercoins":[{"coin":"btc","punames":["alice"]}]}"#)
    };
    assert_eq!(status(by_post("https://")).await, 200);
    assert_eq!(status(by_post("http://")).await, 403, "a page that was changed on its way");
    let plain = patient(&authority).await.set("TLSListeners", json!(["api"])).start().await;
    let admin = Admin::of(&plain).await;
    for (scheme, expected) in [("http://", 200), ("https://", 403)] {
        let request = Request::post("/switch/multi-user").host(&admin.address);
        let request = request.header("Origin", format!("{scheme}{}", admin.address));
        let request = request.body(r#"{"usercoins":[{"coin":"btc","punames":["alice"]}]}"#);
        assert_eq!(admin.send(&known(request)).await.status, expected, "{scheme}");
    }
}
