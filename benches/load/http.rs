//! The load on the daemon: kept-alive connections that send prepared requests and check every answer.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    daemon::Daemon,
    load::{Load, Names, ms_since, on_one_thread},
};

/// `admin:admin`.
pub const CREDENTIALS: &str = "Authorization: Basic YWRtaW46YWRtaW4=\r\n";
/// End of an answer to a switch.
pub const SUCCESS: &[u8] = b"\"success\":true}";
pub const REFUSAL: &[u8] = b"\"success\":false}";

pub struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Connection {
    pub async fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, answer: Vec::with_capacity(4096) }
    }

    /// Sends a switch or a batch and insists on an answer with that end. Each answer is short.
    pub async fn ask(&mut self, request: &[u8], end: &[u8]) {
        self.stream.write_all(request).await.unwrap();
        self.answer.clear();
        while !self.answer.ends_with(end) {
            let text = String::from_utf8_lossy(&self.answer);
            assert!(!text.ends_with('}'), "unexpected answer: {text}");
            let read = self.stream.read_buf(&mut self.answer).await.unwrap();
            assert!(read > 0, "the daemon closed the connection");
        }
    }

    /// Sends a request to a jobmaker and insists on success.
    pub async fn ask_jobmaker(&mut self, request: &[u8]) {
        self.stream.write_all(request).await.unwrap();
        self.answer.clear();
        // A jobmaker's answers end so; the daemon's own errors do not.
        while !self.answer.ends_with(b"}}") {
            let read = self.stream.read_buf(&mut self.answer).await.unwrap();
            let text = String::from_utf8_lossy(&self.answer);
            assert!(read > 0 && !text.contains(r#""success":false"#), "not a success: {text}");
        }
    }
}

pub fn switch(name: &str, coin: &str) -> Vec<u8> {
    format!("GET /switch?puname={name}&coin={coin} HTTP/1.1\r\nHost: x\r\n{CREDENTIALS}\r\n").into()
}

/// The answer to a request on a connection of its own, head included.
pub async fn request(address: &str, target: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n{CREDENTIALS}");
    stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    answer
}

/// Switches per second of one batch.
pub async fn batch(daemon: &Daemon, names: &[String], coin: &str) -> f64 {
    let request = batch_request(names, coin);
    let mut connection = Connection::open(&daemon.address).await;
    let began = Instant::now();
    connection.ask(&request, SUCCESS).await;
    names.len() as f64 / began.elapsed().as_secs_f64()
}

pub fn batch_request(names: &[String], coin: &str) -> Vec<u8> {
    let punames = names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(",");
    let body = format!(r#"{{"usercoins":[{{"coin":"{coin}","punames":[{punames}]}}]}}"#);
    let length = body.len();
    let head = format!("POST /switch/multi-user HTTP/1.1\r\nHost: x\r\n{CREDENTIALS}");
    format!("{head}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// Batches of one size, made before they are sent.
pub struct Batches {
    requests: Vec<Vec<u8>>,
    size: usize,
}

impl Batches {
    /// All of `names`, as far as they fill batches, to one coin and then to another.
    pub fn of(names: &[String], size: usize) -> Self {
        let to = |coin| names.chunks_exact(size).map(move |batch| batch_request(batch, coin));
        Self { requests: to("bcc").chain(to("btc")).collect(), size }
    }

    /// Sends them over one connection, one after another, for so long, and at least one.
    pub async fn send(&self, daemon: &Daemon, time: Duration) -> Load {
        let mut connection = Connection::open(&daemon.address).await;
        let mut times = Vec::new();
        let began = Instant::now();
        for request in self.requests.iter().cycle() {
            let sent = Instant::now();
            connection.ask(request, SUCCESS).await;
            times.push(ms_since(sent));
            if began.elapsed() >= time {
                break;
            }
        }
        Load::new(times, self.size, began.elapsed())
    }
}

/// Single switches over so many connections.
pub async fn singles(
    daemon: &Daemon,
    connections: usize,
    names: Names<'_>,
    time: Duration,
) -> Load {
    on_one_thread(async {
        let open = (0..connections).map(|_| Connection::open(&daemon.address));
        let open = join_all(open).await;
        let began = Instant::now();
        let each = open.into_iter().enumerate().map(|(index, mut connection)| async move {
            let mut times = Vec::new();
            while began.elapsed() < time {
                let name = names.name(index, connections, times.len());
                let request = switch(&name, "bcc");
                let sent = Instant::now();
                connection.ask(&request, SUCCESS).await;
                times.push(ms_since(sent));
            }
            times
        });
        let times = join_all(each).await;
        Load::new(times.concat(), 1, began.elapsed())
    })
}
