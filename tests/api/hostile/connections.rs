//! Clients that hold connections: slowly, silently, or without ever reading.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::siege::{Scale, Sent, known, while_it_listens};
use crate::support::client::{Connection, Request, connect_narrow, shake_hands};
use crate::support::daemon::Daemon;
use crate::support::seconds;

const BATCH: &str = r#"{"usercoins":[{"coin":"btc","punames":["alice"]}]}"#;
const DRIP: Duration = Duration::from_millis(200);
/// The daemon's timeouts are one or two seconds in these tests.
const PATIENCE: Duration = seconds(30);

/// Sends `start` over as many connections and goes on with `drop`, until the daemon has hung up on all.
pub async fn drip(
    daemon: &Daemon,
    connections: usize,
    start: Vec<Vec<u8>>,
    drop: &'static [u8],
) -> Sent {
    let mut clients = JoinSet::new();
    let requests = connections * start.len();
    for _ in 0..connections {
        let (address, start) = (daemon.base().to_owned(), start.clone());
        clients.spawn(async move {
            let mut connection = Connection::open(&address).await.unwrap();
            let (last, whole) = start.split_last().unwrap();
            for request in whole {
                connection.exchange(request, false).await.unwrap();
            }
            // A closed connection is the goal.
            let _ = connection.write(last).await;
            connection.drip_until_closed(drop, DRIP, PATIENCE).await;
        });
    }
    clients.join_all().await;
    Sent { connections, requests }
}

fn half_a_head() -> Vec<u8> {
    let head = known(Request::switch("alice", "btc")).head_bytes();
    head[..head.len() - 4].to_vec()
}

pub async fn slow_heads(daemon: &Daemon, scale: Scale) -> Sent {
    drip(daemon, scale.connections, vec![half_a_head()], b"x").await
}

pub async fn slow_second_heads(daemon: &Daemon, scale: Scale) -> Sent {
    let whole = known(Request::switch("alice", "btc")).head_bytes();
    drip(daemon, scale.connections, vec![whole, half_a_head()], b"x").await
}

pub async fn slow_bodies(daemon: &Daemon, scale: Scale) -> Sent {
    let half = scale.connections / 2;
    let post = known(Request::post("/switch/multi-user"));
    let with_length = post.clone().header("Content-Length", "100000").head_bytes();
    let in_chunks = post.header("Transfer-Encoding", "chunked").head_bytes();
    let with_length = [&with_length, BATCH.as_bytes()].concat();
    let in_chunks = [in_chunks, format!("{:x}\r\n{BATCH}\r\n", BATCH.len()).into_bytes()].concat();
    let (one, other) = tokio::join!(
        drip(daemon, half, vec![with_length], b" "),
        drip(daemon, half, vec![in_chunks], b"1\r\n \r\n"),
    );
    Sent {
        connections: one.connections + other.connections,
        requests: one.requests + other.requests,
    }
}

/// Clients without credentials that announce a body and drip it after the refusal.
pub async fn slow_strangers(daemon: &Daemon, scale: Scale) -> Sent {
    let head = Request::post("/switch/multi-user").header("Transfer-Encoding", "chunked");
    drip(daemon, scale.connections, vec![head.head_bytes()], b"1\r\n \r\n").await
}

/// Connections that say nothing, each opened again as soon as the daemon hangs up on it.
pub async fn idle(daemon: &Daemon, connections: usize, time: Duration) -> Sent {
    let end = Instant::now() + time;
    let mut clients = JoinSet::new();
    for _ in 0..connections {
        let address = daemon.base().to_owned();
        clients.spawn(async move {
            let mut opened = 0;
            while Instant::now() < end {
                // Without room for it, the connection waits to be taken, or fails.
                if let Ok(Ok(mut stream)) = timeout(seconds(5), TcpStream::connect(&address)).await
                {
                    opened += 1;
                    let left = end.saturating_duration_since(Instant::now());
                    let _ = timeout(left, stream.read(&mut [0])).await;
                }
            }
            opened
        });
    }
    let opened = clients.join_all().await.into_iter().sum();
    Sent { connections: opened, requests: 0 }
}

/// Clients that send `request` over and over and read no answer, until the daemon hangs up.
async fn deaf(daemon: &Daemon, connections: usize, request: Request) -> Sent {
    let before = daemon.descriptors();
    let sent = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..connections {
        let address = daemon.base().to_owned();
        let requests = request.head_bytes().repeat(100);
        let (sent, tls) = (Arc::clone(&sent), daemon.tls());
        clients.spawn(async move {
            let stream = connect_narrow(&address, 1024).await.unwrap();
            let mut connection = match tls {
                None => Connection::plain(stream),
                Some(tls) => Connection::over(shake_hands(stream, &tls).await.unwrap()),
            };
            while connection.write(&requests).await.is_ok() {
                sent.fetch_add(100, Ordering::Relaxed);
            }
        });
    }
    while_it_listens(daemon, before, clients.join_all()).await;
    let requests = sent.load(Ordering::Relaxed);
    assert!(requests > 1_000 * connections, "{requests} requests are no flood");
    Sent { connections, requests }
}

/// Requests that are refused at once, so that answers pile up.
pub async fn unread_refusals(daemon: &Daemon, scale: Scale) -> Sent {
    deaf(daemon, scale.deaf, known(Request::switch("a/b", "btc"))).await
}

/// Requests that wait for ZooKeeper, so that requests pile up.
pub async fn unread_successes(daemon: &Daemon, scale: Scale) -> Sent {
    deaf(daemon, scale.deaf, known(Request::switch("alice", "btc"))).await
}

/// Requests sent in one go, good ones and bad ones in turn; the answers come in the same order. Some clients
/// begin to read when their answers have filled all buffers.
pub async fn pipelines(daemon: &Daemon, scale: Scale) -> Sent {
    const CLIENTS: usize = 20;
    const AT_ONCE: usize = 500;
    let mut sent = Sent::default();
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let address = daemon.base().to_owned();
        let good = known(Request::switch(format!("piped{number}"), "btc")).head_bytes();
        let bad = known(Request::switch("a/b", "btc")).head_bytes();
        let is_late = number < CLIENTS / 10;
        // Some megabytes of answers.
        let requests = if is_late { 30_000 } else { (scale.requests / CLIENTS).max(AT_ONCE) };
        let times = requests / AT_ONCE;
        let answers = times * AT_ONCE;
        sent += Sent { connections: 1, requests: answers };
        clients.spawn(async move {
            let (mut connection, pair, expected, pause) = if is_late {
                // A smaller window loses segments, and TCP then waits for seconds before it sends them again.
                let narrow = Connection::open_narrow(&address, 16 * 1024).await.unwrap();
                (narrow, [&bad, &bad], [102, 102], seconds(1))
            } else {
                let connection = Connection::open(&address).await.unwrap();
                (connection, [&good, &bad], [0, 102], Duration::ZERO)
            };
            let batch = pair.map(Vec::as_slice).concat().repeat(AT_ONCE / 2);
            let answers = connection.pipeline(&batch, times, pause, answers).await.unwrap();
            for (number, answer) in answers.iter().enumerate() {
                assert_eq!(answer.err_no, expected[number % 2], "answer {number}");
            }
        });
    }
    clients.join_all().await;
    sent
}
