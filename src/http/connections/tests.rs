//! A connection without the HTTP library: the test reads and writes in its place.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use actix_web::rt::net::{TcpListener, TcpStream};
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpSocket,
    time::{self, Instant, sleep, timeout},
};

use super::{
    Connections, Deadlines, HEAD_ROOM, HEADS_LIMIT, HttpConnection, connection::AHEAD,
    tls_stream::Stream,
};
use crate::http::error::RequestError;

pub(super) const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: s\r\n\r\n";
const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 40000\r\n\r\n";

/// A connection to be served, and its client.
async fn connected(connections: &Connections) -> (HttpConnection, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let client = TcpStream::connect(address).await.expect("a connection");
    let (served, _) = listener.accept().await.expect("a client");
    (connections.open(Stream::Plain(served), Instant::now()), client)
}

pub(super) fn patient_deadlines() -> Deadlines {
    let [first_head, idle, patience] = [30, 40, 60].map(Duration::from_secs);
    Deadlines { first_head, idle, patience }
}

fn patient() -> Connections {
    Connections::new(patient_deadlines(), None)
}

/// Reads for as long as something comes within a moment.
pub(super) async fn read_all(connection: &mut HttpConnection) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    while let Ok(read) = timeout(Duration::from_millis(200), connection.read(&mut buffer)).await {
        let count = read.expect("a read");
        if count == 0 {
            break;
        }
        all.extend_from_slice(&buffer[..count]);
    }
    all
}

/// Answers the request that was read.
pub(super) async fn answer(connection: &mut HttpConnection, answer: &[u8]) {
    let in_progress = connection.handle().begin_answer();
    connection.write_all(answer).await.expect("sent");
    drop(in_progress);
    connection.flush().await.expect("sent");
}

/// Whether the connection ends within so many seconds.
pub(super) async fn ends_within(connection: &mut HttpConnection, seconds: u64) -> bool {
    let read = timeout(Duration::from_secs(seconds), connection.read(&mut [0; 1000])).await;
    matches!(read, Ok(Ok(0)))
}

#[actix_web::test]
async fn one_request_after_the_other_is_handed_over() {
    let (mut served, mut client) = connected(&patient()).await;
    client.write_all(&GET.repeat(3)).await.expect("sent");
    for _ in 0..3 {
        assert!(served.first_head().await);
        assert_eq!(read_all(&mut served).await, GET);
        answer(&mut served, b"answer").await;
    }
    assert_eq!(read_all(&mut served).await, b"");
}

#[actix_web::test]
async fn no_more_than_so_much_is_read_while_a_request_is_under_way() {
    let (mut served, mut client) = connected(&patient()).await;
    client.write_all(&GET.repeat(10_000)).await.expect("sent");
    assert_eq!(read_all(&mut served).await, GET);
    let inner = &served.handle().0;
    assert!(inner.borrow().inbound.len() <= AHEAD);
    assert!(inner.borrow().inbound.capacity() <= 2 * AHEAD);
}

#[actix_web::test]
async fn a_body_is_handed_over_when_it_is_wanted_and_nothing_behind_it() {
    let (mut served, mut client) = connected(&patient()).await;
    let body = vec![b'x'; 40_000];
    client.write_all(&[POST, &body, GET].concat()).await.expect("sent");
    assert_eq!(read_all(&mut served).await, POST);
    served.handle().begin_body();
    assert_eq!(read_all(&mut served).await, body);
    served.handle().end_body();
    assert!(!served.handle().begin_answer().must_close());
    answer(&mut served, b"answer").await;
    assert_eq!(read_all(&mut served).await, GET);
}

#[actix_web::test]
async fn a_body_that_was_not_read_makes_the_answer_the_last() {
    let (mut served, mut client) = connected(&patient()).await;
    client.write_all(&[POST, &[b'x'; 40_000], GET].concat()).await.expect("sent");
    assert_eq!(read_all(&mut served).await, POST);
    let mut answer = served.handle().begin_answer();
    assert!(answer.must_close());
    answer.close();
    drop(answer);
    served.flush().await.expect("sent");
    assert!(ends_within(&mut served, 1).await);
}

#[actix_web::test]
async fn a_client_is_told_to_continue_when_its_body_is_wanted() {
    let (mut served, mut client) = connected(&patient()).await;
    let post = b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    client.write_all(post).await.expect("sent");
    assert!(!read_all(&mut served).await.is_empty());
    served.handle().begin_body();
    assert!(read_all(&mut served).await.is_empty());
    let mut interim = [0; 25];
    client.read_exact(&mut interim).await.expect("an interim answer");
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"body").await.expect("sent");
    assert_eq!(read_all(&mut served).await, b"body");
}

#[actix_web::test]
async fn a_refusal_takes_its_turn_and_ends_the_connection() {
    let (mut served, mut client) = connected(&patient()).await;
    client.write_all(&[GET, b"HELLO\r\n\r\n", GET].concat()).await.expect("sent");
    assert_eq!(read_all(&mut served).await, GET);
    assert_eq!(served.handle().take_refusal(), None);
    answer(&mut served, b"answer").await;
    let stand_in = read_all(&mut served).await;
    assert!(stand_in.starts_with(b"GET * "));
    assert!(matches!(served.handle().take_refusal(), Some(RequestError::Malformed(_))));
    assert!(served.handle().begin_answer().must_close());
    answer(&mut served, b"refused").await;
    assert!(ends_within(&mut served, 1).await);
}

#[actix_web::test]
async fn a_client_that_hangs_up_is_noticed_while_its_request_is_under_way() {
    let (mut served, mut client) = connected(&patient()).await;
    client.write_all(&GET.repeat(2)).await.expect("sent");
    assert_eq!(read_all(&mut served).await, GET);
    drop(client);
    assert!(ends_within(&mut served, 1).await);
}

#[actix_web::test]
async fn a_whole_body_is_handed_over_before_a_disconnect_is_noticed() {
    for post in [
        &b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 4\r\n\r\nbody"[..],
        b"POST / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    ] {
        let (mut served, mut client) = connected(&patient()).await;
        client.write_all(post).await.expect("sent");
        client.shutdown().await.expect("an end");
        assert_eq!(read_all(&mut served).await, post);
        assert!(ends_within(&mut served, 1).await);
    }
}

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[actix_web::test]
async fn a_client_that_reads_again_is_read_again() {
    let (mut served, mut client) = connected(&patient()).await;
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut cx = Context::from_waker(&waker);
    let mut written = 0;
    let mut write = |served: &mut HttpConnection| {
        std::pin::Pin::new(served).poll_write(&mut cx, &[b'x'; 64 * 1024])
    };
    while let Poll::Ready(more) = write(&mut served) {
        written += more.expect("a write");
    }
    client.write_all(GET).await.expect("sent");
    assert!(
        read_all(&mut served).await.is_empty(),
        "nothing is read of a client that does not read"
    );
    let mut sink = vec![0; written];
    client.read_exact(&mut sink).await.expect("all of it");
    sleep(Duration::from_millis(50)).await;
    count.0.store(0, Ordering::Relaxed);
    assert!(write(&mut served).is_ready());
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert_eq!(read_all(&mut served).await, GET);
}

#[actix_web::test]
async fn a_client_that_takes_no_answer_is_cut() {
    let connections = patient();
    let (mut served, mut client) = connected(&connections).await;
    client.write_all(GET).await.expect("sent");
    assert_eq!(read_all(&mut served).await, GET);
    let _answer = served.handle().begin_answer();
    time::pause();
    let endless = async { while served.write_all(&[b'x'; 64 * 1024]).await.is_ok() {} };
    assert!(timeout(Duration::from_secs(61), endless).await.is_ok());
    assert_eq!(connections.take_cut(), 1);
}

/// Closing a socket with bytes that were not read resets it, and the client loses what it has not taken.
#[actix_web::test]
async fn answers_reach_a_client_that_has_sent_on_when_the_connection_ends() {
    const ANSWERS: usize = 20_000;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let narrow = TcpSocket::new_v4().expect("a socket");
    narrow.set_recv_buffer_size(1024).expect("a narrow one");
    let mut client = narrow.connect(address).await.expect("a connection");
    let (served, _) = listener.accept().await.expect("a client");
    let mut served = patient().open(Stream::Plain(served), Instant::now());
    client.write_all(&GET.repeat(2_000)).await.expect("sent");
    let ending = async {
        let mut answer = served.handle().begin_answer();
        answer.close();
        assert!(!read_all(&mut served).await.is_empty());
        served.write_all(&[b'y'; ANSWERS]).await.expect("sent");
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
        assert_eq!(answers.len(), ANSWERS);
        drop(client);
    };
    tokio::join!(ending, reading);
}

#[actix_web::test]
async fn a_silent_connection_is_cut_before_its_first_request_and_between_two() {
    let connections = patient();
    let (served, _client) = connected(&connections).await;
    time::pause();
    assert!(timeout(Duration::from_secs(29), served.first_head()).await.is_err());
    assert_eq!(timeout(Duration::from_secs(2), served.first_head()).await, Ok(false));
    assert_eq!((connections.take_cut(), connections.take_cut()), (1, 0));
    time::resume();

    let (mut served, mut client) = connected(&connections).await;
    client.write_all(GET).await.expect("sent");
    assert_eq!(read_all(&mut served).await, GET);
    time::pause();
    assert!(!ends_within(&mut served, 600).await, "a request is under way");
    answer(&mut served, b"answer").await;
    assert!(!ends_within(&mut served, 39).await);
    assert!(ends_within(&mut served, 2).await);
    assert!(served.write(b"x").await.is_err());
    assert_eq!(connections.take_cut(), 1);
}

#[actix_web::test]
async fn a_head_that_does_not_end_is_answered() {
    let (served, mut client) = connected(&patient()).await;
    client.write_all(&GET[..10]).await.expect("sent");
    assert!(timeout(Duration::from_millis(200), served.first_head()).await.is_err());
    time::pause();
    assert_eq!(timeout(Duration::from_secs(31), served.first_head()).await, Ok(true));
    assert_eq!(served.handle().take_refusal(), Some(RequestError::HeadTooSlow(30)));
}

#[actix_web::test]
async fn the_time_for_the_next_request_begins_when_the_answer_was_sent() {
    let second = Duration::from_secs(1);
    let deadlines = Deadlines { first_head: second, idle: 3 * second, patience: second };
    let (mut served, mut client) = connected(&Connections::new(deadlines, None)).await;
    client.write_all(GET).await.expect("sent");
    assert_eq!(read_all(&mut served).await, GET);
    let in_progress = served.handle().begin_answer();
    let answer = vec![b'x'; 50 << 20];
    // Each part takes less than the deadlines, all of them more.
    let reading = async {
        let mut part = vec![0; 1 << 20];
        for _ in 0..50 {
            sleep(Duration::from_millis(100)).await;
            client.read_exact(&mut part).await.expect("the next part");
        }
        client.write_all(GET).await.expect("sent");
    };
    let writing = async {
        // The library has all of it at once.
        drop(in_progress);
        served.write_all(&answer).await.expect("sent");
        served.flush().await.expect("sent");
        // The kernel still has some of it.
        sleep(second).await;
        assert_eq!(read_all(&mut served).await, GET);
    };
    tokio::join!(reading, writing);
}

#[test]
fn a_flood_of_unfinished_heads_leaves_room_for_an_ordinary_one() {
    const ORDINARY: usize = HEAD_ROOM;
    let connections = patient();
    let greedy = |_| {
        let mut held = 0;
        while connections.hold(held, held + 512) && held < 128 * 1024 {
            held += 512;
        }
        connections.hold(held + 512, held);
        held
    };
    let held: Vec<usize> = (0..16_000).map(greedy).collect();
    let total: usize = held.iter().sum();
    assert!(total < HEADS_LIMIT + held.len() * HEAD_ROOM, "{total}");
    assert!(held[0] > 64 * 1024, "one alone may hold the largest head: {}", held[0]);
    assert!(connections.hold(0, ORDINARY));
    for held in held {
        connections.hold(held, 0);
    }
    connections.hold(ORDINARY, 0);
    assert!(connections.hold(0, 128 * 1024), "the room was given back");
}
