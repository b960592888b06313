//! Connections with TLS, without the HTTP library: the test reads and writes in its place.

use std::{pin::pin, sync::Arc, time::Duration};

use actix_web::rt::net::{TcpListener, TcpStream};
use prometheus_client::registry::Registry;
use test_support::{
    certificates::{Authority, VERSIONS},
    client::shake_hands,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{self, sleep, timeout},
};
use tokio_rustls::{client::TlsStream, rustls::ClientConfig};

use super::{
    Connections, HEAD_ROOM, HttpConnection,
    tests::{GET, answer, ends_within, patient_deadlines, read_all},
    tls_handshake::UNSENT_RECORDS,
};
use crate::{
    http::{Tls, error::RequestError},
    tls::{LiveTls, ServerTls, certificates, private_key},
};

/// A listener's connections, and a client's side of TLS that trusts it.
struct Scene {
    connections: Connections,
    client: Arc<ClientConfig>,
}

impl Scene {
    fn new() -> Self {
        let authority = Authority::new("root");
        let server = authority.server();
        let certificates = certificates(server.pem().as_bytes()).unwrap();
        let key = private_key(server.key_pem().as_bytes()).unwrap();
        let server = ServerTls::new(certificates, key, None).unwrap();
        let tls = Tls::new(LiveTls::new(server), &mut Registry::default()).of_listener("api");
        let connections = Connections::new(patient_deadlines(), Some(tls));
        Self { connections, client: authority.trusting(&VERSIONS, None) }
    }

    /// A connection to be served, and its client.
    async fn connected(&self) -> (HttpConnection, TlsStream<TcpStream>) {
        let (served, client) = sockets().await;
        let both =
            tokio::join!(self.connections.begin(served, None), shake_hands(client, &self.client));
        (both.0.expect("a connection"), both.1.expect("a handshake"))
    }

    fn last_failure(&self) -> Option<&'static str> {
        let summary = self.connections.failed_handshakes()?.take_summary();
        summary.last.map(|last| last.reason)
    }

    fn held(&self) -> usize {
        self.connections.held.load(std::sync::atomic::Ordering::Relaxed)
    }
}

async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let client = TcpStream::connect(address).await.expect("a connection");
    let (served, _) = listener.accept().await.expect("a client");
    (served, client)
}

async fn pass(time: Duration) {
    time::pause();
    time::advance(time).await;
    time::resume();
}

#[actix_web::test]
async fn requests_and_answers_pass() {
    let scene = Scene::new();
    let (mut served, mut client) = scene.connected().await;
    assert!(served.handle().is_tls());
    for _ in 0..2 {
        client.write_all(GET).await.expect("sent");
        assert_eq!(read_all(&mut served).await, GET);
        answer(&mut served, b"answer").await;
        let mut received = [0; 6];
        client.read_exact(&mut received).await.expect("an answer");
        assert_eq!(&received, b"answer");
    }
    assert_eq!(scene.held(), 0);
}

/// Half a handshake gets no more time for the rest, and a whole one gets no more for the head.
#[actix_web::test]
async fn the_deadline_of_the_first_head_counts_from_the_opening() {
    let scene = Scene::new();
    let (served, mut client) = sockets().await;
    client.write_all(&[22, 3, 1, 0, 200, 1]).await.expect("sent");
    let mut begin = pin!(scene.connections.begin(served, None));
    assert!(timeout(Duration::from_millis(100), &mut begin).await.is_err());
    time::pause();
    assert!(timeout(Duration::from_secs(29), &mut begin).await.is_err());
    assert!(timeout(Duration::from_secs(2), &mut begin).await.expect("an end").is_none());
    time::resume();
    assert_eq!(scene.last_failure(), Some("too_slow"));
    assert_eq!(client.read(&mut [0]).await.expect("an end"), 0);

    let (served, client) = sockets().await;
    let mut begin = pin!(scene.connections.begin(served, None));
    assert!(timeout(Duration::from_millis(50), &mut begin).await.is_err());
    pass(Duration::from_secs(20)).await;
    let (served, client) = tokio::join!(begin, shake_hands(client, &scene.client));
    let (served, _client) = (served.expect("a connection"), client.expect("a handshake"));
    time::pause();
    assert!(timeout(Duration::from_secs(9), served.first_head()).await.is_err());
    assert_eq!(timeout(Duration::from_secs(2), served.first_head()).await, Ok(false));
    assert_eq!((scene.last_failure(), scene.connections.take_cut()), (None, 1));
}

#[actix_web::test]
async fn a_client_that_says_nothing_is_cut_and_is_no_failed_handshake() {
    let scene = Scene::new();
    let (served, _client) = sockets().await;
    time::pause();
    let begun = timeout(Duration::from_secs(31), scene.connections.begin(served, None)).await;
    assert!(begun.expect("an end").is_none());
    assert_eq!((scene.last_failure(), scene.connections.take_cut()), (None, 1));
}

/// A first message that pretends to be large.
fn long_hello(bytes: usize) -> Vec<u8> {
    const PART: usize = 16_000;
    let whole = [&[1, 0, 0xff, 0xf0][..], &vec![0; bytes]].concat();
    let record = |part: &[u8]| {
        let [high, low] = u16::try_from(part.len()).unwrap().to_be_bytes();
        [&[22, 3, 1, high, low][..], part].concat()
    };
    whole.chunks(PART).flat_map(record).collect()
}

#[actix_web::test]
async fn unfinished_handshakes_hold_memory_within_the_bound_for_heads() {
    let scene = Scene::new();
    let (served, mut client) = sockets().await;
    let hello = long_hello(30_000);
    client.write_all(&hello).await.expect("sent");
    {
        let mut begin = pin!(scene.connections.begin(served, None));
        assert!(timeout(Duration::from_millis(200), &mut begin).await.is_err());
        assert_eq!(scene.held(), hello.len() - HEAD_ROOM);
    }
    assert_eq!(scene.held(), 0, "the room was given back");
    // Nothing is left.
    scene.connections.hold(0, 1 << 30);
    let (served, mut client) = sockets().await;
    client.write_all(&hello).await.expect("sent");
    assert!(scene.connections.begin(served, None).await.is_none());
    assert_eq!(scene.last_failure(), Some("no_memory"));
    // A handshake that came through, and a record that does not end.
    let (served, mut client) = scene.connected().await;
    let raw = client.get_mut().0;
    raw.write_all(&[23, 3, 3, 0x40, 0]).await.expect("sent");
    raw.write_all(&[0; 8000]).await.expect("sent");
    assert!(served.first_head().await);
    assert_eq!(served.handle().take_refusal(), Some(RequestError::HeadsTooMany));
    drop(served);
    scene.connections.hold(1 << 30, 0);
    assert_eq!(scene.held(), 0);
}

#[actix_web::test]
async fn a_client_that_takes_no_answer_is_cut() {
    let scene = Scene::new();
    let (mut served, mut client) = scene.connected().await;
    client.write_all(GET).await.expect("sent");
    assert_eq!(read_all(&mut served).await, GET);
    let _answer = served.handle().begin_answer();
    time::pause();
    let endless = async { while served.write_all(&[b'x'; 64 * 1024]).await.is_ok() {} };
    assert!(timeout(Duration::from_secs(61), endless).await.is_ok());
    assert_eq!(scene.connections.take_cut(), 1);
}

/// What TLS has taken of an answer's end is not sent yet.
#[actix_web::test]
async fn an_answer_is_sent_when_the_client_can_have_all_of_it() {
    let scene = Scene::new();
    let (mut served, mut client) = scene.connected().await;
    client.write_all(GET).await.expect("sent");
    assert_eq!(read_all(&mut served).await, GET);
    let answer = served.handle().begin_answer();
    let mut written = 0;
    let bytes = vec![b'x'; UNSENT_RECORDS];
    while let Ok(count) = timeout(Duration::from_millis(200), served.write(&bytes)).await {
        written += count.expect("a write");
    }
    drop(answer);
    assert!(timeout(Duration::from_millis(200), served.flush()).await.is_err());
    time::pause();
    // A request under way has no deadline; a client that takes nothing has.
    assert!(timeout(Duration::from_secs(58), served.flush()).await.is_err());
    time::resume();
    let mut all = vec![0; written];
    let (read, flushed) = tokio::join!(client.read_exact(&mut all), served.flush());
    assert_eq!((read.expect("all of it"), flushed.is_ok()), (written, true));
    assert_eq!(scene.connections.take_cut(), 0);
}

/// Each part takes less than the patience for a client that takes nothing, all of them more.
#[actix_web::test]
async fn a_client_that_reads_slowly_is_not_cut() {
    const ANSWER: usize = 8 << 20;
    let scene = Scene::new();
    let (mut served, mut client) = scene.connected().await;
    client.write_all(GET).await.expect("sent");
    assert_eq!(read_all(&mut served).await, GET);
    let in_progress = served.handle().begin_answer();
    let writing = async {
        served.write_all(&vec![b'x'; ANSWER]).await.expect("sent");
        drop(in_progress);
        served.flush().await.expect("sent");
    };
    let reading = async {
        let mut part = vec![0; ANSWER / 8];
        for _ in 0..8 {
            client.read_exact(&mut part).await.expect("the next part");
            pass(Duration::from_secs(50)).await;
        }
    };
    tokio::join!(writing, reading);
    assert_eq!(scene.connections.take_cut(), 0);
}

#[actix_web::test]
async fn a_client_that_hangs_up_is_noticed_with_or_without_an_end_of_tls() {
    let scene = Scene::new();
    for ends_tls in [true, false] {
        let (mut served, mut client) = scene.connected().await;
        client.write_all(GET).await.expect("sent");
        assert_eq!(read_all(&mut served).await, GET);
        match ends_tls {
            true => client.shutdown().await.expect("an end"),
            false => client.get_mut().0.shutdown().await.expect("an end"),
        }
        assert!(ends_within(&mut served, 1).await, "{ends_tls}");
    }
}

#[actix_web::test]
async fn a_connection_that_is_dropped_ends_tls() {
    let scene = Scene::new();
    let (served, mut client) = scene.connected().await;
    drop(served);
    assert_eq!(client.read(&mut [0]).await.expect("an end of TLS"), 0);
}

/// Closing a socket with bytes that were not read resets it, and the client loses what it has not taken.
#[actix_web::test]
async fn answers_reach_a_client_that_has_sent_on_when_the_connection_ends() {
    const ANSWER: usize = 100_000;
    let scene = Scene::new();
    let (mut served, mut client) = scene.connected().await;
    client.write_all(&GET.repeat(2_000)).await.expect("sent");
    let ending = async {
        let mut answer = served.handle().begin_answer();
        answer.close();
        assert!(!read_all(&mut served).await.is_empty());
        served.write_all(&[b'y'; ANSWER]).await.expect("sent");
        drop(answer);
        served.flush().await.expect("sent");
        served.shutdown().await.expect("an end");
        served.linger().await;
        drop(served);
    };
    let reading = async {
        sleep(Duration::from_millis(300)).await;
        let mut answers = Vec::new();
        client.read_to_end(&mut answers).await.expect("an orderly end");
        assert_eq!(answers.len(), ANSWER);
        drop(client);
    };
    tokio::join!(ending, reading);
}
