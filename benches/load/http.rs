//! The load on the daemon: kept-alive connections that send prepared requests and check every answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{daemon::Daemon, report::median};

/// `admin:admin`.
pub const CREDENTIALS: &str = "Authorization: Basic YWRtaW46YWRtaW4=\r\n";

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

    /// Sends a request and insists on success.
    async fn ask(&mut self, request: &[u8]) {
        self.stream.write_all(request).await.unwrap();
        self.answer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.answer).await.unwrap();
            assert!(read > 0, "the daemon closed the connection");
            // Every answer of success is short, and ends so.
            if self.answer.ends_with(b"\"success\":true}") {
                return;
            }
            assert!(
                !self.answer.ends_with(b"}"),
                "not a success: {}",
                String::from_utf8_lossy(&self.answer)
            );
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

fn switch(name: &str, coin: &str) -> Vec<u8> {
    format!("GET /switch?puname={name}&coin={coin} HTTP/1.1\r\nHost: x\r\n{CREDENTIALS}\r\n").into()
}

/// Switches per second of one batch.
pub async fn batch(daemon: &Daemon, names: &[String], coin: &str) -> f64 {
    let punames = names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(",");
    let body = format!(r#"{{"usercoins":[{{"coin":"{coin}","punames":[{punames}]}}]}}"#);
    let length = body.len();
    let head = format!("POST /switch/multi-user HTTP/1.1\r\nHost: x\r\n{CREDENTIALS}");
    let request = format!("{head}Content-Length: {length}\r\n\r\n{body}").into_bytes();
    let mut connection = Connection::open(&daemon.address).await;
    let began = Instant::now();
    connection.ask(&request).await;
    names.len() as f64 / began.elapsed().as_secs_f64()
}

/// Single switches per second over so many connections. The load comes from one thread.
pub async fn singles(daemon: &Daemon, connections: usize, names: &[String], time: Duration) -> f64 {
    let requests: Arc<Vec<Vec<u8>>> =
        Arc::new(names.iter().map(|name| switch(name, "bcc")).collect());
    let address = daemon.address.clone();
    let load = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async move {
            let mut open = Vec::new();
            for _ in 0..connections {
                open.push(Connection::open(&address).await);
            }
            let done = Arc::new(AtomicUsize::new(0));
            let began = Instant::now();
            let mut tasks = Vec::new();
            for (index, mut connection) in open.into_iter().enumerate() {
                let (requests, done) = (Arc::clone(&requests), Arc::clone(&done));
                tasks.push(tokio::task::spawn_local(async move {
                    let mut next = index * requests.len() / connections;
                    while began.elapsed() < time {
                        connection.ask(&requests[next % requests.len()]).await;
                        next += 1;
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                }));
            }
            for task in tasks {
                task.await.unwrap();
            }
            done.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64()
        })
    };
    tokio::task::spawn_blocking(load).await.unwrap()
}

/// The median of single switches, one after another, in milliseconds.
pub async fn median_ms(daemon: &Daemon, names: &[String]) -> f64 {
    let mut connection = Connection::open(&daemon.address).await;
    let mut times = Vec::with_capacity(names.len());
    for name in names {
        let request = switch(name, "bcc");
        let began = Instant::now();
        connection.ask(&request).await;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    median(times)
}
